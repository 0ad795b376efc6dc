import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { runKarin } from '../http/running-karin.ts';
import { discoveryOf, mappingOf, ScriptedSource } from '../sync/discoveries.ts';

const CODE = readFileSync(new URL('../../constructs/sync-handler.js', import.meta.url), 'utf8');

interface Heard {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly body: string;
}

type Answer = readonly [status: number, body: unknown];

const servers: Server[] = [];
async function closeServers(): Promise<void> {
  await Promise.all(servers.splice(0).map((server) => new Promise((closed) => server.close(closed))));
}
afterEach(closeServers);

/**
 * A Karin server that gives these answers to `/sync`, the last one again and again, and takes the reply to
 * CloudFormation.
 */
async function serve(answers: readonly Answer[]) {
  const heard: Heard[] = [];
  const left = [...answers];
  const server = createServer(async (request, response) => {
    heard.push({
      method: request.method ?? '',
      url: request.url ?? '',
      authorization: request.headers.authorization,
      body: await read(request),
    });
    const [status, body] =
      request.url === '/reply' ? [200, ''] : ((left.length > 1 ? left.shift() : left[0]) ?? [500, '']);
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  servers.push(server);
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  // A server that listens on a port has an address with one.
  const { port } = server.address() as AddressInfo;
  return { heard, origin: `http://127.0.0.1:${port}` };
}

async function read(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}

/**
 * Runs the very text that becomes the inline function. Secrets Manager is the one part that does not run here: `secret`
 * is what it holds. Pauses pass at once.
 */
async function run(event: Record<string, unknown>, secret: string): Promise<string> {
  class SecretsManager {
    async getSecretValue({ SecretId }: { SecretId: string }) {
      return { SecretString: SecretId === 'karin/admin' ? secret : undefined };
    }
  }
  const module: { handler?: (event: unknown) => Promise<void> } = {};
  const atOnce = (resume: () => void) => setImmediate(resume);
  let log = '';
  const process = { stdout: { write: (text: string) => (log += text) } };
  const run = new Function('exports', 'require', 'setTimeout', 'process', CODE);
  run(module, () => ({ SecretsManager }), atOnce, process);
  await module.handler?.(event);
  return log;
}

interface Request {
  readonly type?: string;
  readonly onFailure?: string;
  readonly field?: string;
  readonly secret?: string;
  readonly endpoint?: string;
  readonly timeoutSeconds?: string;
}

async function deploy(answers: readonly Answer[], request: Request = {}) {
  const { heard, origin } = await serve(answers);
  const log = await run(
    {
      RequestType: request.type ?? 'Create',
      ResponseURL: `${origin}/reply`,
      StackId: 'stack',
      RequestId: 'request',
      LogicalResourceId: 'Sync',
      ResourceProperties: {
        Endpoint: request.endpoint ?? origin,
        SecretId: 'karin/admin',
        OnFailure: request.onFailure ?? 'warn',
        TimeoutSeconds: request.timeoutSeconds ?? '60',
        ...(request.field === undefined ? {} : { SecretField: request.field }),
      },
    },
    request.secret ?? 's3cret',
  );
  const replies = heard.filter(({ url }) => url === '/reply').map(({ body }) => JSON.parse(body));
  expect(replies).toHaveLength(1);
  return { syncs: heard.filter(({ url }) => url !== '/reply'), reply: replies[0], log };
}

const FOUND = { added: ['a', 'b'], changed: [], removed: ['c'], broken: [], unchanged: 7 };
const BROKEN = { ...FOUND, broken: [{ mapping: 'uuid', reason: 'no permission yet' }] };

describe('after a deployment', () => {
  it('asks the server once, with the credential, and reports what it found', async () => {
    const { syncs, reply, log } = await deploy([[200, FOUND]]);
    expect(log).toBe('2 added, 0 changed, 1 removed, 7 unchanged\n');
    expect(syncs).toEqual([{ method: 'POST', url: '/sync', authorization: 'Bearer s3cret', body: '' }]);
    expect(reply).toEqual({
      Status: 'SUCCESS',
      Reason: '2 added, 0 changed, 1 removed, 7 unchanged',
      PhysicalResourceId: 'karin-sync',
      StackId: 'stack',
      RequestId: 'request',
      LogicalResourceId: 'Sync',
      Data: { Summary: '2 added, 0 changed, 1 removed, 7 unchanged' },
    });
  });

  it('takes the credential from a field of the secret', async () => {
    const { syncs } = await deploy([[200, FOUND]], { secret: '{"password":"other"}', field: 'password' });
    expect(syncs[0]?.authorization).toBe('Bearer other');
  });

  it('says that the field is missing, and nothing of the others', async () => {
    const { syncs, reply } = await deploy([[200, FOUND]], { secret: '{"password":"other"}', field: 'pasword' });
    expect(syncs).toEqual([]);
    expect(reply.Data.Summary).toContain("the secret has no field 'pasword'");
    expect(reply.Data.Summary).not.toContain('other');
  });

  it('asks again while mappings are broken, because permissions may take seconds to work', async () => {
    const { syncs, reply } = await deploy([
      [200, BROKEN],
      [503, 'starting'],
      [200, FOUND],
    ]);
    expect(syncs).toHaveLength(3);
    expect(reply.Data.Summary).toBe('2 added, 0 changed, 1 removed, 7 unchanged');
  });

  it('names what stayed broken when the time is over', async () => {
    const { syncs, reply } = await deploy([[200, BROKEN]], { timeoutSeconds: '1' });
    expect(syncs).toHaveLength(1);
    expect(reply).toMatchObject({
      Status: 'SUCCESS',
      Data: { Summary: '2 added, 0 changed, 1 removed, 7 unchanged; broken uuid: no permission yet' },
    });
  });

  it('does nothing when it is deleted', async () => {
    const { syncs, reply } = await deploy([[200, FOUND]], { type: 'Delete', onFailure: 'fail' });
    expect(syncs).toEqual([]);
    expect(reply.Status).toBe('SUCCESS');
  });
});

describe('a server that cannot be told', () => {
  const refused: readonly Answer[] = [[403, 'forbidden']];

  it('is asked once if it refuses, and only warned of by default', async () => {
    const { syncs, reply } = await deploy(refused);
    expect(syncs).toHaveLength(1);
    expect(reply).toMatchObject({
      Status: 'SUCCESS',
      Data: {
        Summary: "Karin was not synced: the server answered 403: forbidden; run 'karin sync' once this is mended",
      },
    });
  });

  it('fails the deployment by choice', async () => {
    const { reply } = await deploy(refused, { onFailure: 'fail' });
    expect(reply).toMatchObject({ Status: 'FAILED', Reason: expect.stringContaining('the server answered 403') });
  });

  it('is named with the reason if nobody listens', async () => {
    const { origin } = await serve([]);
    await closeServers();
    const { reply } = await deploy([], { endpoint: origin, timeoutSeconds: '1' });
    expect(reply.Data.Summary).toMatch(/^Karin was not synced: fetch failed \(.+\); run/);
  });

  it('never makes the reply too long for CloudFormation', async () => {
    const reason = 'x'.repeat(5_000);
    const { reply } = await deploy([[200, { ...FOUND, broken: [{ mapping: 'uuid', reason }] }]], {
      timeoutSeconds: '1',
    });
    expect(JSON.stringify(reply).length).toBeLessThan(4_096);
  });
});

describe('a Karin server, in earnest', () => {
  const PASSWORD = 'correct horse battery';
  const CLOSED = { KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };

  it('tells what changed, and what it cannot serve', async () => {
    const source = new ScriptedSource();
    const { url: endpoint } = await runKarin(CLOSED, { source });
    source.found = discoveryOf(['a'], { broken: [{ ...mappingOf('bad'), reason: 'its function is gone' }] });
    const { reply } = await deploy([], { endpoint, secret: PASSWORD, timeoutSeconds: '0', onFailure: 'fail' });
    expect(reply).toMatchObject({
      Status: 'SUCCESS',
      Data: {
        Summary: `1 added, 0 changed, 0 removed, 0 unchanged; broken ${mappingOf('bad').uuid}: its function is gone`,
      },
    });
  });

  it.each([
    ['warn', 'SUCCESS'],
    ['fail', 'FAILED'],
  ])('that refuses the credential: %s', async (onFailure, Status) => {
    const { url: endpoint } = await runKarin(CLOSED, { source: new ScriptedSource() });
    const { reply } = await deploy([], { endpoint, secret: 'a wrong password', onFailure });
    expect(reply).toMatchObject({ Status, Reason: expect.stringMatching(/^Karin was not synced: .* 40[13]/) });
    expect(reply.Reason).not.toContain('a wrong password');
  });
});
