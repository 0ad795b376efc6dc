import { Redis } from 'ioredis';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const HOST = 'karin.bench';
const CONNECTIONS = 32;
/** Odd, so that the median is one of them. */
const STARTS = 5;

interface Size {
  readonly queues: number;
  readonly serverMb: number;
  readonly startMs: number;
  readonly redisBytes: number;
}

/**
 * What a queue costs that nothing happens to, in a server and in Redis: the slope between two numbers of queues, each
 * seen by a server that has just started and read them. Then what the first message of a queue adds in Redis.
 */
export async function manyQueues(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const client = new Redis(redis.url);
  const [few, many] = [bench.size(1_000, 100), bench.size(4_000, 500)];
  const none = await usedBytes(client);
  const small = await grow(bench, redis.url, client, 0, few);
  const large = await grow(bench, redis.url, client, few, many);
  const server = await start(bench, redis.url, many);
  await load(
    server.port,
    request('SendMessage', (n) => ({ ...urlOf(n), MessageBody: 'x' })),
    many,
    CONNECTIONS,
  );
  const full = await usedBytes(client);
  client.disconnect();
  const slope = (of: (size: Size) => number): number => (of(large) - of(small)) / (large.queues - small.queues);
  const label = `${few.toLocaleString('en')} to ${many.toLocaleString('en')} queues`;
  return [
    {
      name: `memory of a server for each further queue, ${label}`,
      value: slope(({ serverMb }) => serverMb * 1_024),
      unit: 'KB',
      note: `${small.serverMb.toFixed(0)} and ${large.serverMb.toFixed(0)} MB`,
    },
    {
      name: `start to ready for each further queue, ${label}`,
      value: slope(({ startMs }) => startMs * 1_000),
      unit: 'us',
      note: `${small.startMs.toFixed(0)} and ${large.startMs.toFixed(0)} ms`,
    },
    { name: `bytes of Redis for each queue, empty, ${label}`, value: slope((s) => s.redisBytes - none), unit: 'bytes' },
    {
      name: 'bytes of Redis for the first message of a queue, its keys included',
      value: (full - large.redisBytes) / many,
      unit: 'bytes',
    },
  ];
}

/** Makes queues until there are so many, and starts another server that finds them. */
async function grow(bench: Bench, url: string, client: Redis, from: number, to: number): Promise<Size> {
  const maker = await start(bench, url, to);
  await load(
    maker.port,
    request('CreateQueue', (n) => ({ QueueName: nameOf(from + n) })),
    to - from,
    CONNECTIONS,
  );
  await maker.stop();
  const starts: number[] = [];
  for (let n = 1; n < STARTS; n += 1) {
    const short = await start(bench, url, to);
    starts.push(short.startedInMs);
    await short.stop();
  }
  const server = await start(bench, url, to);
  starts.push(server.startedInMs);
  await bench.pause(bench.size(20_000, 1_000));
  const size = {
    queues: to,
    serverMb: server.residentMb(),
    startMs: percentile(starts, 0.5),
    redisBytes: await usedBytes(client),
  };
  await server.stop();
  return size;
}

function start(bench: Bench, url: string, queues: number): ReturnType<Bench['server']> {
  return bench.server({
    REDIS_URL: url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    KARIN_MAX_QUEUES: String(queues),
  });
}

function request(action: string, input: (n: number) => Readonly<Record<string, unknown>>): (n: number) => Buffer {
  const headers = {
    host: HOST,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': `AmazonSQS.${action}`,
  };
  return (n) => httpRequest('POST', `/k/${TOKEN}/`, headers, JSON.stringify(input(n)));
}

function nameOf(n: number): string {
  return `a-queue-of-usual-length-${n}`;
}

function urlOf(n: number): { readonly QueueUrl: string } {
  return { QueueUrl: `http://${HOST}/000000000000/${nameOf(n)}` };
}

async function usedBytes(client: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1]);
}
