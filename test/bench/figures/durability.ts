import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

/** Odd, so that the median is one of them. */
const ROUNDS = 5;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const HOST = 'karin.bench';

interface Way {
  readonly name: string;
  readonly redisUrl: string;
  readonly durability?: string;
  /** Answers come when a second ends, not when the work is done: fewer requests show that. */
  readonly waitsForSync?: boolean;
}

/**
 * What it costs to have a send answered only when a replica or the disk has it (`KARIN_DURABILITY`): SendMessage by
 * capability, each way in turn, against one Redis with a replica and one that syncs its file before each answer. The
 * rows for `fsync` are there if the Redis knows WAITAOF; `KARIN_REDIS_SERVER` names one that does.
 */
export async function durability(bench: Bench): Promise<readonly Figure[]> {
  const everysec = await bench.redis({ appendOnly: true, appendFsync: 'everysec' });
  await bench.redis({ replicaOf: everysec, appendOnly: true, appendFsync: 'everysec' });
  const always = await bench.redis({ appendOnly: true, appendFsync: 'always' });
  const knowsFsync = await everysec
    .ask((client) => client.call('WAITAOF', 0, 0, 1))
    .then(
      () => true,
      () => false,
    );
  const ways: readonly Way[] = [
    { name: 'everysec and a replica, nothing awaited', redisUrl: everysec.url },
    { name: 'KARIN_DURABILITY=replica', redisUrl: everysec.url, durability: 'replica' },
    { name: 'appendfsync always, nothing awaited', redisUrl: always.url },
    ...(knowsFsync
      ? [
          { name: 'KARIN_DURABILITY=fsync, appendfsync always', redisUrl: always.url, durability: 'fsync' },
          {
            name: 'KARIN_DURABILITY=fsync, everysec',
            redisUrl: everysec.url,
            durability: 'fsync',
            waitsForSync: true,
          },
        ]
      : []),
  ];
  const figures: Figure[] = [];
  for (const way of ways) figures.push(...(await measure(bench, way)));
  return figures;
}

async function measure(bench: Bench, way: Way): Promise<readonly Figure[]> {
  const queue = `load-${way.durability ?? 'none'}`;
  const karin = await bench.server({
    REDIS_URL: way.redisUrl,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    ...(way.durability === undefined ? {} : { KARIN_DURABILITY: way.durability }),
  });
  await bench.sqs(karin, 'CreateQueue', { QueueName: queue }, `/k/${TOKEN}`);
  const headers = {
    host: HOST,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  };
  const body = JSON.stringify({ QueueUrl: `http://${HOST}/000000000000/${queue}`, MessageBody: 'x'.repeat(300) });
  const request = httpRequest('POST', `/k/${TOKEN}/`, headers, body);
  const run = (total: number, connections: number) => load(karin.port, () => request, total, connections);
  const [together, alone] = way.waitsForSync === true ? [512, 8] : [bench.size(5_000, 1_000), bench.size(500, 100)];

  // Compiled and grown to their size before anything counts.
  await run(together, 64);
  const rates: number[] = [];
  const latencies: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rates.push((await run(together, 64)).perSecond);
    latencies.push(...(await run(alone, 1)).latencies);
  }
  return [
    { name: `SendMessage, 64 connections, ${way.name}`, value: percentile(rates, 0.5), unit: 'msg/s' },
    { name: `SendMessage, one at a time, p50, ${way.name}`, value: percentile(latencies, 0.5), unit: 'ms' },
    { name: `SendMessage, one at a time, p99, ${way.name}`, value: percentile(latencies, 0.99), unit: 'ms' },
  ];
}
