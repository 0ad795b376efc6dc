/**
 * One server with several regions and accounts: which queue a request means.
 *
 * The oracle of the property knows the rule as `region.ts` tells it, and nothing of the code: each message that is
 * stored must stand in the one queue that its request names, and a request that says two things must store none.
 */
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import { queueArn } from '../../runtime/sqs/queue-url.ts';
import { type RunningKarin, runKarin } from './running-karin.ts';

const HOME = 'eu-west-1';
const REGIONS = [HOME, 'us-east-1', 'ap-south-1'];
const ACCOUNTS = ['111122223333', '444455556666'];
const [OWN = '', OTHER = ''] = ACCOUNTS;
const NAMES = ['jobs', 'r'];
/** Regions that a client may be configured for. */
const SIGNED = [...REGIONS, 'sa-east-1'];
const TOKEN = 'every-queue-of-every-scope';
const KEY = { accessKeyId: 'AKIDSCOPES', secretAccessKey: 'scopes-scopes-scopes' };

const ENV = {
  AWS_REGION: HOME,
  KARIN_REGIONS: REGIONS.slice(1).join(),
  KARIN_ACCOUNT_ID: OWN,
  KARIN_TOKENS: [
    `${TOKEN}:all:*/*/*`,
    'old-token-for-names-of-home:all:*',
    `one-scope-and-no-other-one:all:${OTHER}/us-east-1/j*`,
  ].join(),
  KARIN_KEYS: `${KEY.accessKeyId}:${KEY.secretAccessKey}:all:*/*/*`,
};

let karin: RunningKarin;
beforeEach(async () => {
  karin = await runKarin(ENV);
  for (const region of REGIONS)
    for (const account of ACCOUNTS)
      for (const name of NAMES) await karin.directory.create(queueArn(account, name, region), DEFAULT_ATTRIBUTES, {});
});

interface Call {
  readonly action?: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** What stands before the path of the API. */
  readonly path: string;
  /** Signed for this region; with `verified` by a key that the server knows. */
  readonly signed?: { readonly region: string; readonly verified: boolean };
}

async function call({ action = 'SendMessage', input, path, signed }: Call) {
  const url = new URL(`${path}/`, karin.url);
  const headers: Record<string, string> = {
    host: url.host,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': `AmazonSQS.${action}`,
  };
  const request = {
    method: 'POST',
    protocol: 'http:',
    hostname: url.hostname,
    port: Number(url.port),
    path: url.pathname,
  };
  const body = JSON.stringify(input);
  const credentials = signed?.verified === true ? KEY : { accessKeyId: 'ASIAROLE', secretAccessKey: 'of-a-role' };
  const sent =
    signed === undefined
      ? { headers }
      : await new SignatureV4({
          service: 'sqs',
          region: signed.region,
          credentials,
          sha256: Sha256,
          uriEscapePath: true,
        }).sign({
          ...request,
          query: {},
          headers,
          body,
        });
  const response = await fetch(url, { method: 'POST', headers: sent.headers, body });
  // What the tests read of it shows in their assertions.
  const answer = (await response.json()) as Readonly<Record<string, unknown>>;
  return { status: response.status, answer };
}

/** Keys of the queues that hold this text. */
async function holders(text: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const queue of karin.directory.all()) {
    for (const { message } of await queue.browse(100)) if (message?.body === text) found.push(queue.key);
  }
  return found;
}

const region = fc.constantFrom(...REGIONS);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const requests = fc.record({
  name: fc.constantFrom(...NAMES),
  account: fc.constantFrom(...ACCOUNTS),
  form: fc.constantFrom('karin', 'karin with a capability', 'aws', 'path'),
  inUrl: optional(region),
  inPath: optional(region),
  regionFirst: fc.boolean(),
  signed: optional(fc.record({ region: fc.constantFrom(...SIGNED), verified: fc.boolean() })),
});
type Request = typeof requests extends fc.Arbitrary<infer T> ? T : never;

/** The region that a request means; `undefined`: it must be refused. */
function meant({ form, inUrl, inPath, signed }: Request): string | undefined {
  const byUrl = new Set([inUrl, inPath].filter((one) => one !== undefined));
  if (byUrl.size > 1) return undefined;
  const [url] = byUrl;
  const isServed = signed !== undefined && REGIONS.includes(signed.region);
  if (url !== undefined) {
    // A capability in the URL wins over every signature.
    const isProven = signed?.verified === true && form !== 'karin with a capability';
    return isProven && isServed && signed.region !== url ? undefined : url;
  }
  if (signed === undefined) return HOME;
  return isServed ? signed.region : undefined;
}

describe('a queue name in several regions and accounts', () => {
  it('is never mixed up, whatever names it: QueueUrl, path or signature', async () => {
    let count = 0;
    const property = fc.asyncProperty(requests, async (request) => {
      const { name, account, form, inUrl, inPath, regionFirst, signed } = request;
      // Without a verified signature the capability stands in the path.
      const token = signed?.verified === true ? '' : `/k/${TOKEN}`;
      const place = inPath === undefined ? '' : `/r/${inPath}`;
      const inKarin = `${inUrl === undefined ? '' : `/r/${inUrl}`}/${account}/${name}`;
      const url = {
        karin: `https://karin.example/base${inKarin}`,
        'karin with a capability': `https://karin.example/k/${TOKEN}${inKarin}`,
        aws:
          inUrl === undefined
            ? `https://queue.example/${account}/${name}`
            : `https://sqs.${inUrl}.amazonaws.com/${account}/${name}`,
        path: inKarin,
      }[form];
      count += 1;
      const text = `message ${count}`;
      const { status, answer } = await call({
        input: { QueueUrl: url, MessageBody: text },
        path: regionFirst ? `${place}${token}` : `${token}${place}`,
        ...(signed === undefined ? {} : { signed }),
      });
      const expected = meant(request);
      expect([status, await holders(text)], JSON.stringify(answer)).toEqual(
        expected === undefined ? [404, []] : [200, [`${expected}:${account}:${name}`]],
      );
    });
    await fc.assert(property, { numRuns: 150 });
  });

  it('is named by the QueueUrls in answers so that they mean the same to every caller', async () => {
    const asked = { action: 'GetQueueUrl', input: { QueueName: 'jobs' }, path: `/k/${TOKEN}` };
    const { answer } = await call({ ...asked, signed: { region: 'us-east-1', verified: false } });
    expect(answer).toEqual({ QueueUrl: `${karin.url}/k/${TOKEN}/r/us-east-1/${OWN}/jobs` });
    const listed = await call({ action: 'ListQueues', input: {}, path: `/k/${TOKEN}/r/ap-south-1` });
    const urls = NAMES.map((name) => `${karin.url}/k/${TOKEN}/r/ap-south-1/${OWN}/${name}`);
    expect(listed.answer).toEqual({ QueueUrls: urls });
    const input = { QueueUrl: String(answer['QueueUrl']), MessageBody: 'to the url of the answer' };
    await call({ input, path: '', signed: { region: 'eu-west-1', verified: false } });
    expect(await holders('to the url of the answer')).toEqual([`us-east-1:${OWN}:jobs`]);
  });

  it('takes deliveries by the region in their path', async () => {
    const deliver = (path: string) => fetch(`${karin.url}/k/${TOKEN}${path}`, { method: 'POST', body: path });
    expect((await deliver(`/r/us-east-1/in/${OTHER}/jobs`)).status).toBe(200);
    expect((await deliver(`/in/${OTHER}/jobs`)).status).toBe(200);
    expect((await deliver(`/r/sa-east-1/in/${OTHER}/jobs`)).status).toBe(404);
    expect(await holders(`/r/us-east-1/in/${OTHER}/jobs`)).toEqual([`us-east-1:${OTHER}:jobs`]);
    expect(await holders(`/in/${OTHER}/jobs`)).toEqual([`${HOME}:${OTHER}:jobs`]);
  });

  it('says in words what contradicts itself, and what is not served', async () => {
    const send = async (url: string, path: string, signed?: Call['signed']) => {
      const { answer } = await call({ input: { QueueUrl: url, MessageBody: 'x' }, path, ...(signed && { signed }) });
      return answer['message'];
    };
    expect(await send(`/r/us-east-1/${OWN}/jobs`, `/k/${TOKEN}/r/eu-west-1`)).toBe(
      'The QueueUrl names the region us-east-1, and the path of the request eu-west-1.',
    );
    expect(await send(`/r/us-east-1/${OWN}/jobs`, '', { region: 'ap-south-1', verified: true })).toBe(
      'The request names the region us-east-1, and is signed for ap-south-1; configure its client for the region of the queue.',
    );
    expect(await send(`/${OWN}/jobs`, `/k/${TOKEN}/r/sa-east-1`)).toBe(
      'The request names the region sa-east-1; this server serves ap-south-1, eu-west-1, us-east-1.',
    );
    for (const typo of ['US-EAST-1', 'us_east_1', 'us-east-1%2F', 'x', '']) {
      const answer = `The request names the region ${typo}; this server serves ap-south-1, eu-west-1, us-east-1.`;
      expect(await send(`/${OWN}/jobs`, `/r/${typo}/k/${TOKEN}`)).toBe(answer);
      expect(await send(`/${OWN}/jobs`, `/k/${TOKEN}/r/${typo}`)).toBe(answer);
    }
    expect(await send(`/${OWN}/jobs`, `/k/${TOKEN}`, { region: 'sa-east-1', verified: false })).toContain(
      'The request is signed for sa-east-1, where this server has no queue; it serves ap-south-1, eu-west-1, us-east-1.',
    );
  });
});

describe('a credential', () => {
  const statuses = async (token: string): Promise<Readonly<Record<string, number>>> => {
    const found: Record<string, number> = {};
    for (const queue of karin.directory.all()) {
      const { region: inRegion, account, name } = queue.arn;
      const input = { QueueUrl: `/r/${inRegion}/${account}/${name}`, MessageBody: 'x' };
      found[queueKey(queue.arn)] = (await call({ input, path: `/k/${token}` })).status;
    }
    return found;
  };

  it('with patterns of names reaches the queues of the scope that the server had before', async () => {
    const found = Object.entries(await statuses('old-token-for-names-of-home'));
    expect(found.every(([key, status]) => status === (key.startsWith(`${HOME}:`) ? 200 : 403))).toBe(true);
  });

  it('with patterns of account, region and name reaches those, and means them where it names none', async () => {
    const token = 'one-scope-and-no-other-one';
    const found = Object.entries(await statuses(token)).filter(([, status]) => status === 200);
    expect(found).toEqual([[`us-east-1:${OTHER}:jobs`, 200]]);
    await call({ input: { QueueUrl: 'jobs', MessageBody: 'by its name alone' }, path: `/k/${token}` });
    expect(await holders('by its name alone')).toEqual([`us-east-1:${OTHER}:jobs`]);
  });
});

describe('a server of one region', () => {
  it('takes what clients of other regions send, as it always did, but no URL of another region', async () => {
    karin = await runKarin({ AWS_REGION: HOME, KARIN_TOKENS: `${TOKEN}:all` });
    await karin.directory.create(queueArn(OWN, 'jobs', HOME), DEFAULT_ATTRIBUTES, {});
    const send = async (url: string, path = '') =>
      call({
        input: { QueueUrl: url, MessageBody: 'x' },
        path: `/k/${TOKEN}${path}`,
        signed: { region: 'sa-east-1', verified: false },
      });
    expect((await send(`/${OWN}/jobs`)).status).toBe(200);
    expect((await send(`https://sqs.sa-east-1.amazonaws.com/${OWN}/jobs`)).status).toBe(200);
    expect((await send(`/r/${HOME}/${OWN}/jobs`)).status).toBe(200);
    expect((await send(`/${OWN}/jobs`, `/r/${HOME}`)).status).toBe(200);
    expect((await send(`/r/sa-east-1/${OWN}/jobs`)).status).toBe(404);
    expect((await send(`/${OWN}/jobs`, '/r/sa-east-1')).status).toBe(404);
  });
});
