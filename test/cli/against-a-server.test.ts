import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createAwsRealQueues, type RealQueues } from '../../runtime/aws/real-queues.ts';
import { CliError } from '../../runtime/cli/context.ts';
import { listen } from '../../runtime/dev/runtime-api.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { RedisServer } from '../support/redis-server.ts';
import { discoveryOf, foreignOf, keyOf, mappingOf, ScriptedSource } from '../sync/discoveries.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const CLOSED = { KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };
const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

describe('karin sync', () => {
  it('prints the difference, and fails if a mapping is broken', async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf(['a']);
    const karin = await runKarin(CLOSED, { source });
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    source.found = discoveryOf(['b'], {
      broken: [{ ...mappingOf('bad'), reason: 'its function is gone' }],
      foreign: [foreignOf('a')],
      waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:b': 3 },
    });
    const broken = await runCli(['sync'], env);
    expect(broken.status).toBe(1);
    expect(broken.out.split('\n')).toEqual([
      'a script: 1 added, 0 changed, 1 removed, 0 unchanged, 1 broken',
      '+ b -> on-b',
      '- a -> on-a',
      'x bad -> on-bad: its function is gone',
      '! a is on hold: AWS consumes it, because a mapping of it is not disabled',
      '! b: 3 messages wait in the real queue; karin pull brings them here',
      '',
    ]);
    source.found = discoveryOf(['b']);
    const json = await runCli(['sync', '--json'], env);
    expect(json.status).toBe(0);
    expect(JSON.parse(json.out)).toMatchObject({ unchanged: 1, broken: [] });
  });

  it('says what to do when it is not let in, or nobody answers', async () => {
    const karin = await runKarin(CLOSED, { source: new ScriptedSource() });
    await expect(runCli(['sync', '--url', karin.url])).rejects.toThrow(
      'set KARIN_ADMIN_PASSWORD to the password of the server',
    );
    await expect(runCli(['sync', '--url', karin.url], { KARIN_ADMIN_PASSWORD: 'a wrong password' })).rejects.toThrow(
      'refused',
    );
    await expect(runCli(['sync', '--url', 'http://127.0.0.1:1'])).rejects.toThrow(
      'no server answers at http://127.0.0.1:1',
    );
    await expect(runCli(['sync', '--url', 'karin'])).rejects.toThrow('karin is not the address of a server');
  });
});

describe('a command for a server', () => {
  it.each([
    ['sync', 'sync'],
    ['token list', 'token', 'list'],
    ['drain', 'drain', 'jobs'],
  ])('says that it is not a Karin server that answers: %s', async (_what, ...args) => {
    const other = createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome!</html>\n');
    });
    const port = await listen(other);
    closers.push(() => other.close());
    await expect(runCli([...args, '--url', `http://127.0.0.1:${port}`])).rejects.toThrow(
      `what answers at http://127.0.0.1:${port} is not a Karin server`,
    );
  });

  it('takes the password from a file, as the server does', async () => {
    const karin = await runKarin(CLOSED);
    const folder = mkdtempSync(join(tmpdir(), 'karin-cli-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'password');
    writeFileSync(file, `${PASSWORD}\n`);
    const args = ['token', 'list', '--url', karin.url];
    expect((await runCli(args, { KARIN_ADMIN_PASSWORD_FILE: file })).out).toContain('There is no token.');
    await expect(runCli(args, { KARIN_ADMIN_PASSWORD_FILE: `${file}s` })).rejects.toThrow(
      `KARIN_ADMIN_PASSWORD_FILE=${file}s: cannot be read`,
    );
  });
});

describe('karin token', () => {
  it('makes, lists and revokes tokens of a running server', async () => {
    const karin = await runKarin(CLOSED);
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    const args = [
      'token',
      'create',
      '--scope',
      'send',
      '--queue',
      'app-*',
      '--queue',
      'jobs',
      '--expires',
      '90d',
      '--name',
      'checkout',
    ];
    const made = await runCli(args, env);
    const [, endpoint = ''] = /endpoint {2}(\S+)/.exec(made.out) ?? [];
    expect((await sqsCall(endpoint, 'ListQueues', {})).status).toBe(200);

    const list = (await runCli(['token', 'list'], env)).out.split('\n');
    expect(list[0]).toMatch(/^ID +SCOPES +QUEUES +CREATED +EXPIRES +LAST USED +NAME$/);
    expect(list[1]).toMatch(
      /^[0-9a-f]{12} +send +app-\*\|jobs +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d +\d{4}-\d\d-\d\d \d\d:\d\d +checkout$/,
    );
    const id = list[1]?.slice(0, 12) ?? '';
    expect((await runCli(['token', 'revoke', id], env)).out).toBe(`Token ${id} is revoked.\n`);
    expect((await sqsCall(endpoint, 'ListQueues', {})).status).toBe(403);
    await expect(runCli(['token', 'revoke', id], env)).rejects.toThrow(`there is no token ${id}`);
    expect((await runCli(['token', 'list'], env)).out).toBe('There is no token. karin token create makes one.\n');
  });

  it('makes the first token of a server that does not start without one, straight in its Redis', async () => {
    const redis = await RedisServer.start();
    closers.push(() => redis.stop());
    const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}`, KARIN_PUBLIC_URL: 'https://karin.example/' };
    await expect(runKarin({ ...env, HOST: '0.0.0.0' })).rejects.toThrow('no credential is configured');
    const made = JSON.parse((await runCli(['token', 'create', '--scope', 'all', '--json'], env)).out);
    expect(made.endpoint).toBe(`https://karin.example/k/${made.token}`);
    const karin = await runKarin({ ...env, HOST: '0.0.0.0' });
    expect((await sqsCall(`${karin.url}/k/${made.token}`, 'ListQueues', {})).status).toBe(200);

    await runCli(['token', 'revoke', made.id], env);
    const refused = async (): Promise<void> => {
      if ((await sqsCall(`${karin.url}/k/${made.token}`, 'ListQueues', {})).status === 200) return refused();
    };
    // As soon as the running server has heard of it.
    await refused();
  });

  it('says what is wrong with the Redis that it should go to', async () => {
    const list = (env: Readonly<Record<string, string>>) => runCli(['token', 'list'], env);
    await expect(list({ REDIS_URL: 'foo' })).rejects.toThrow(CliError);
    await expect(list({ REDIS_URL: 'foo' })).rejects.toThrow('REDIS_URL: URL 1 of Redis is not of the form');
    await expect(list({ REDIS_URL_FILE: '/nowhere' })).rejects.toThrow('REDIS_URL_FILE=/nowhere: cannot be read');
  });

  it('says what is wrong with a request', async () => {
    const karin = await runKarin(CLOSED);
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    await expect(runCli(['token', 'create', '--scope', 'fly'], env)).rejects.toThrow('"fly" is not a scope');
    await expect(runCli(['token', 'create', '--scope', 'send', '--expires', 'soon'], env)).rejects.toThrow(
      '"soon" is not a time',
    );
  });
});

describe('karin drain and karin pull', () => {
  /** Two servers: one as Karin, one in the place of SQS. */
  async function both() {
    const sqs = await runKarin({ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' });
    await sqsCall(sqs.url, 'CreateQueue', { QueueName: 'jobs' });
    const real = createAwsRealQueues({
      region: 'eu-west-1',
      endpoint: sqs.url,
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
    // One server answers for all of "SQS" here, so short polls see everything, and the test need not wait for long
    // ones.
    const realQueues: RealQueues = {
      send: (arn, entries) => real.send(arn, entries),
      receive: (arn, request) => real.receive(arn, { ...request, waitSeconds: 0 }),
      delete: (arn, handles) => real.delete(arn, handles),
      depth: (arn) => real.depth(arn),
      close: () => real.close(),
    };
    closers.push(() => real.close());
    const source = new ScriptedSource();
    source.found = discoveryOf(['jobs'], { mappings: [] });
    const karin = await runKarin(CLOSED, { source, realQueues });
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    const depth = async (server: typeof karin) => (await server.directory.byKey(keyOf('jobs'))?.depth())?.visible;
    return { sqs, karin, env, depth };
  }

  it('move messages out, and in again', async () => {
    const { sqs, karin, env, depth } = await both();
    const bodies = ['one', 'two', 'three'];
    const messages = bodies.map((body) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' }));
    await karin.directory.byKey(keyOf('jobs'))?.send(messages);
    const drained = await runCli(['drain', 'jobs'], env);
    expect(drained.out).toContain('mode consume -> forward');
    expect(drained.out).toContain('3 moved to SQS');
    expect(drained.out).toContain('done: {"moved":3');
    expect([await depth(karin), await depth(sqs)]).toEqual([0, 3]);

    const pulled = await runCli(['pull', keyOf('jobs'), '--json'], env);
    const lines = pulled.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ kind: 'result', result: { pulled: 3, mode: 'consume' } });
    expect([await depth(karin), await depth(sqs)]).toEqual([3, 0]);
  });

  it('say what is wrong', async () => {
    const { karin, env } = await both();
    await expect(runCli(['drain', 'nothing'], env)).rejects.toThrow('there is no queue nothing');
    const without = await runKarin(CLOSED);
    await expect(runCli(['pull', 'jobs'], { ...env, KARIN_URL: without.url })).rejects.toThrow('no counterpart in AWS');
    await expect(runCli(['pull', 'jobs'], { KARIN_URL: karin.url })).rejects.toThrow('refused');
  });
});
