import { createSns } from '../../../runtime/http/ingest/sns.ts';
import { createSources } from '../../../runtime/http/ingest/sources.ts';
import { createLog } from '../../../runtime/log.ts';
import { systemTime } from '../../../runtime/time.ts';
import { FakeSns, TOPIC } from '../../support/fake-sns.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const CONNECTIONS = 64;
/** Odd, so that the median is one of them. */
const ROUNDS = 9;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const HOST = 'karin.bench';
const BODY = 'x'.repeat(300);

/**
 * Deliveries to the ingest endpoint beside SendMessage by capability, in turn; and how fast signatures of SNS are
 * verified by one process.
 */
export async function ingest(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const karin = await bench.server({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
  });
  await bench.sqs(karin, 'CreateQueue', { QueueName: 'load' }, `/k/${TOKEN}`);
  const json = JSON.stringify({ QueueUrl: `http://${HOST}/000000000000/load`, MessageBody: BODY });
  const jsonHeaders = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' };
  const send = httpRequest('POST', `/k/${TOKEN}/`, { host: HOST, ...jsonHeaders }, json);
  const headers = { host: HOST, 'content-type': 'application/json' };
  const delivery = httpRequest('POST', `/k/${TOKEN}/in/000000000000/load`, headers, BODY);

  const total = bench.size(10_000, 2_000);
  const rate = async (request: Buffer): Promise<number> =>
    (await load(karin.port, () => request, total, CONNECTIONS)).perSecond;
  // Compiled and grown to their size before anything counts.
  await rate(send);
  await rate(delivery);
  const sends: number[] = [];
  const deliveries: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    sends.push(await rate(send));
    deliveries.push(await rate(delivery));
  }
  return [
    { name: 'deliveries to the ingest endpoint', value: percentile(deliveries, 0.5), unit: 'msg/s' },
    {
      name: 'cost of a delivery, share of SendMessage by capability',
      value: percentile(
        sends.map((perSecond, round) => (100 * perSecond) / (deliveries[round] ?? Number.NaN)),
        0.5,
      ),
      unit: '%',
      bound: { kind: 'at-most', value: 110 },
      note: `SendMessage by capability: ${percentile(sends, 0.5).toFixed(0)}/s`,
    },
    ...(await signatures(bench.size(20_000, 2_000))),
  ];
}

async function signatures(total: number): Promise<readonly Figure[]> {
  const fake = new FakeSns();
  const sources = createSources(() => 0);
  const sns = createSns({ trust: fake.trust, sources, time: systemTime, log: createLog({ level: 'silent' }) });
  const figures: Figure[] = [];
  for (const SignatureVersion of ['1', '2']) {
    const body = Buffer.from(JSON.stringify(fake.notification({ SignatureVersion, Message: 'x'.repeat(1_024) })));
    await sns.open(body, [TOPIC]);
    const before = performance.now();
    for (let n = 0; n < total; n += 1) await sns.open(body, [TOPIC]);
    figures.push({
      name: `messages of SNS read and verified, signature version ${SignatureVersion}`,
      value: (total / (performance.now() - before)) * 1000,
      unit: 'msg/s',
      bound: { kind: 'at-least', value: 3_000 },
    });
  }
  return figures;
}
