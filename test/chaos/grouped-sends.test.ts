/**
 * Sends that wait together leave together (`runtime/queue/group-commit.ts`): seen from outside, over HTTP, with many
 * callers at once and a server that is killed.
 */
import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const TOKEN = 'grouped-sends-grouped-sends';
const CALLERS = 32;
/** Answers to await before the server is killed. */
const ANSWERED = 400;

const messageIn = z.object({ Body: z.string(), ReceiptHandle: z.string() });
const received = z.object({ Messages: z.array(messageIn).optional() });

const releasers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

async function startRedis(): Promise<RedisServer> {
  const redis = await RedisServer.start();
  releasers.push(() => redis.stop());
  return redis;
}

async function startServer(redis: RedisServer): Promise<RunningServer> {
  const server = await startServerProcess({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    AWS_REGION: 'eu-west-1',
  });
  releasers.push(() => server.stop());
  return server;
}

async function call({ url }: RunningServer, action: string, input: object): Promise<unknown> {
  const response = await fetch(`${url}/k/${TOKEN}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
    body: JSON.stringify(input),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${action} was answered with ${response.status}: ${text}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** Receives and deletes until nothing is left; the bodies in the order in which they came. */
async function drain(server: RunningServer, QueueUrl: string): Promise<readonly string[]> {
  const bodies: string[] = [];
  for (;;) {
    const answer = await call(server, 'ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10, VisibilityTimeout: 600 });
    const { Messages = [] } = received.parse(answer);
    if (Messages.length === 0) return bodies;
    bodies.push(...Messages.map(({ Body }) => Body));
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await call(server, 'DeleteMessageBatch', { QueueUrl, Entries });
  }
}

/** How many scripts were called so far. */
async function scriptCalls(redis: RedisServer): Promise<number> {
  const admin = new Redis(redis.url);
  const stats = await admin.info('commandstats');
  admin.disconnect();
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
}

it('A FIFO group keeps the order of its caller while many callers send over HTTP at once, each to its own group', async () => {
  const redis = await startRedis();
  const server = await startServer(redis);
  const QueueUrl = '000000000000/orders.fifo';
  await call(server, 'CreateQueue', { QueueName: 'orders.fifo', Attributes: { FifoQueue: 'true' } });

  const perCaller = 10;
  const before = await scriptCalls(redis);
  await Promise.all(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let n = 0; n < perCaller; n += 1) {
        const id = `${caller}-${n}`;
        await call(server, 'SendMessage', {
          QueueUrl: `http://karin/${QueueUrl}`,
          MessageBody: id,
          MessageGroupId: String(caller),
          MessageDeduplicationId: id,
        });
      }
    }),
  );
  // They did travel together, or this shows nothing.
  expect((await scriptCalls(redis)) - before).toBeLessThan(CALLERS * perCaller);

  const bodies = await drain(server, `http://karin/${QueueUrl}`);
  for (let caller = 0; caller < CALLERS; caller += 1) {
    const own = bodies.filter((body) => body.startsWith(`${caller}-`));
    expect(own).toEqual(Array.from({ length: perCaller }, (_, n) => `${caller}-${n}`));
  }
}, 180_000);

it('A server that is killed in the middle of grouped sends loses nothing that it answered, and stores nothing twice', async () => {
  const redis = await startRedis();
  const doomed = await startServer(redis);
  const QueueUrl = 'http://karin/000000000000/jobs';
  await call(doomed, 'CreateQueue', { QueueName: 'jobs' });

  const tried = new Set<string>();
  const answered = new Set<string>();
  let enough = (): void => {};
  const untilEnough = new Promise<void>((resolve) => {
    enough = resolve;
  });
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let n = 0; ; n += 1) {
      const MessageBody = `${caller}-${n}`;
      tried.add(MessageBody);
      try {
        await call(doomed, 'SendMessage', { QueueUrl, MessageBody });
      } catch {
        // Killed; nobody knows what became of this one.
        return;
      }
      answered.add(MessageBody);
      if (answered.size >= ANSWERED) enough();
    }
  });
  await untilEnough;
  await doomed.kill();
  await Promise.all(callers);

  const bodies = await drain(await startServer(redis), QueueUrl);
  const stored = new Set(bodies);
  expect(bodies.length).toBe(stored.size);
  expect([...answered].filter((body) => !stored.has(body))).toEqual([]);
  expect(bodies.filter((body) => !tried.has(body))).toEqual([]);
}, 180_000);
