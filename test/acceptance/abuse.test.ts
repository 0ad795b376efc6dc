/**
 * A server as it runs in the image, with the image's small heap, and what strangers can send it: it answers or closes
 * each, and goes on.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_ATTRIBUTES, definitionName, writeDefinition } from '../../runtime/queue/definition.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import { DOCUMENTS } from '../../runtime/store/redis/keys.ts';
import { chunksOfOneByte, holdOpen, post, sendRaw } from '../support/attacks.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const PASSWORD = 'correct horse battery';
const TOKEN = 'sender-token-sender-token';
const MIB = 1_048_576;
const IS_FULL = process.env['KARIN_TEST_SIZE'] === 'full';

let redis: RedisServer;
let server: RunningServer;
let port: number;

beforeAll(async () => {
  redis = await RedisServer.start();
  server = await startServerProcess(environment(redis));
  port = Number(new URL(server.url).port);
  expect((await call('CreateQueue', { QueueName: 'jobs' })).status).toBe(200);
});

afterAll(async () => {
  await server?.stop();
  await redis?.stop();
});

function environment(store: RedisServer): Readonly<Record<string, string>> {
  return {
    NODE_OPTIONS: '--max-old-space-size=128 --max-semi-space-size=4',
    MALLOC_ARENA_MAX: '1',
    REDIS_URL: `redis://127.0.0.1:${store.port}`,
    AWS_REGION: 'eu-west-1',
    KARIN_DISCOVERY: 'none',
    KARIN_ADMIN_PASSWORD: PASSWORD,
    KARIN_TOKENS: `${TOKEN}:send`,
  };
}

function call(action: string, input: object, url = server.url): Promise<Response> {
  return fetch(`${url}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${action}`,
      authorization: `Bearer ${PASSWORD}`,
    },
    body: JSON.stringify(input),
  });
}

/** The server is the same process, and serves. */
async function goesOn(): Promise<void> {
  expect((await call('SendMessage', { QueueUrl: 'jobs', MessageBody: 'x' })).status).toBe(200);
}

describe('a stranger', () => {
  it.each([
    ['plus signs', '+'],
    ['ampersands', '&'],
    ['percent signs', '%41'],
    ['fields', 'a&'],
    ['QueueUrls', '&QueueUrl='],
  ])('who sends the largest form of nothing but %s is refused, and the server goes on', async (_, piece) => {
    const start = 'q=/k/&QueueUrl=';
    const body = start + piece.repeat(Math.floor((4.2 * MIB) / piece.length));
    expect(await sendRaw(port, post('/', body))).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    await goesOn();
  });

  it.each(['/', '/ops/login', '/sync', `/k/${TOKEN}/`])(
    'who sends a body of one-byte chunks to %s is refused, and the server goes on',
    async (path) => {
      expect(await sendRaw(port, chunksOfOneByte(path, 800_000))).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
      await goesOn();
    },
    120_000,
  );

  it('who logs in with hundreds of thousands of fields is refused by its size', async () => {
    const body = 'a&'.repeat(655_000);
    const answers = await Promise.all(
      [post('/ops/login', body), post('/ops/login', body)].map((it) => sendRaw(port, it)),
    );
    for (const answer of answers) expect(answer).toMatch(/^(HTTP\/1\.1 413 |$)/);
    await goesOn();
  }, 120_000);

  it.each(['/sync', '/drain', '/pull', '/tokens', '/', '/000000000000/jobs'])(
    'is refused at %s before the end of the body has come',
    async (path) => {
      const withheld = post(path, 'x'.repeat(1_200_000), { withheld: 1, type: 'application/json' });
      // The server waits for nothing: what is withheld never comes.
      expect(await sendRaw(port, withheld)).toMatch(/^HTTP\/1\.1 (401|403) /);
    },
  );

  const TYPES = [
    'application/x-www-form-urlencoded',
    'application/x-amz-json-1.0',
    'application/json',
    'multipart/form-data; boundary=a',
  ];
  const PATHS = [
    '/',
    '/000000000000/jobs',
    '/ops/login',
    '/ops/queues/a/send',
    '/sync',
    '/drain',
    '/tokens',
    '/metrics',
    '/k/a/',
    '/healthz',
  ];
  const KB = 1_024;
  const SIZES = IS_FULL ? [8 * KB, 64 * KB, 256 * KB, 4.2 * MIB] : [256 * KB];

  it.each(PATHS)(
    'who sends bodies that grow to %s is answered in the words of HTTP, and the server goes on',
    async (path) => {
      for (const type of TYPES) {
        for (const piece of ['&', '+', 'a=b&', '[', '"QueueUrl":"/k/', '\r\n--a\r\n']) {
          for (const size of SIZES) {
            const sent = post(path, piece.repeat(Math.floor(size / piece.length)), { type });
            expect(await sendRaw(port, sent), `${type} ${piece} ${size}`).toMatch(/^(HTTP\/1\.1 [34]\d\d |$)/);
          }
        }
      }
      await goesOn();
    },
    300_000,
  );

  it('cannot keep bodies in memory: hundreds of them that never end leave room for callers', async () => {
    const count = IS_FULL ? 250 : 60;
    const attacks = await Promise.all([
      holdOpen(port, count, post('/', `q=${'x'.repeat(1_000_000)}`, { withheld: 1 })),
      holdOpen(port, count, post('/ops/login', 'x'.repeat(4_000), { withheld: 1 })),
    ]);
    await goesOn();
    const large = await call('SendMessage', { QueueUrl: 'jobs', MessageBody: 'y'.repeat(900_000) });
    expect(large.status).toBe(200);
    for (const attack of attacks) attack.end();
  }, 120_000);
});

describe('a caller', () => {
  it('who opens thousands of connections at once is answered on each', async () => {
    const body = JSON.stringify({ QueueUrl: 'jobs', MessageBody: 'x' });
    const send = post(`/k/${TOKEN}/`, body, {
      type: 'application/x-amz-json-1.0',
      headers: ['X-Amz-Target: AmazonSQS.SendMessage'],
    });
    const answers = await Promise.all(Array.from({ length: 3_000 }, () => sendRaw(port, send)));
    expect(answers.filter((answer) => !answer.startsWith('HTTP/1.1 200'))).toEqual([]);
  }, 120_000);
});

describe('a store with many queues', () => {
  const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  /** Text that hardly compresses, the same in each run. */
  const noise = (seed: number, length: number): string => {
    let state = seed + 1;
    let text = '';
    while (text.length < length) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      text += LETTERS[state >>> 26];
    }
    return text;
  };
  const FULL = {
    policy: noise(7, 8_192),
    tags: Object.fromEntries(Array.from({ length: 50 }, (_, at) => [noise(at, 120) + at, noise(at + 99, 256)])),
  };

  async function withQueues(
    count: number,
    { policy, tags }: { policy?: string; tags: Readonly<Record<string, string>> },
    use: (url: string) => Promise<void>,
  ): Promise<void> {
    const store = await RedisServer.start();
    const client = new Redis(store.url);
    try {
      for (let at = 0; at < count; at += 100) {
        const page = Array.from({ length: 100 }, (_, index) => {
          const arn = { partition: 'aws', region: 'eu-west-1', account: '000000000000', name: `queue-${at + index}` };
          const attributes = { ...DEFAULT_ATTRIBUTES, ...(policy === undefined ? {} : { policy: policy + at }) };
          const common = { fifo: false, origin: 'api', mode: 'consume', createdAt: 1, modifiedAt: 1 } as const;
          return [definitionName(queueKey(arn)), writeDefinition({ arn, attributes, tags, ...common })];
        });
        await client.hset(DOCUMENTS, ...page.flat());
      }
      const started = await startServerProcess(environment(store));
      try {
        await use(started.url);
      } finally {
        await started.stop();
      }
    } finally {
      client.disconnect();
      await store.stop();
    }
  }

  it('starts with three thousand that have all tags and the largest policy, and answers for each', async () => {
    await withQueues(3_000, FULL, async (url) => {
      const asked = await call('GetQueueAttributes', { QueueUrl: 'queue-2999', AttributeNames: ['Policy'] }, url);
      expect(await asked.json()).toEqual({ Attributes: { Policy: `${FULL.policy}2900` } });
      const tags = await call('ListQueueTags', { QueueUrl: 'queue-0' }, url);
      expect(await tags.json()).toEqual({ Tags: FULL.tags });
      expect((await call('SendMessage', { QueueUrl: 'queue-1', MessageBody: 'x' }, url)).status).toBe(200);
    });
  }, 120_000);

  it('answers on its page and in its metrics with ten thousand, depths included', async () => {
    await withQueues(10_000, { tags: {} }, async (url) => {
      const headers = { authorization: `Bearer ${PASSWORD}` };
      const metrics = await fetch(`${url}/metrics?depth=1`, { headers });
      expect((await metrics.text()).match(/^karin_queue_messages\{/gm)).toHaveLength(30_000);
      const login = await fetch(`${url}/ops/login`, {
        method: 'POST',
        redirect: 'manual',
        body: new URLSearchParams({ password: PASSWORD }),
      });
      const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
      const page = await fetch(`${url}/ops`, { headers: { cookie } });
      expect(page.status).toBe(200);
      expect(await page.text()).toContain('queue-0');
    });
  }, 120_000);
});
