import { createHash } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const CONNECTIONS = 64;
/** Odd, so that the median is one of them. */
const ROUNDS = 9;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const KEY = { id: 'AKIABENCHBENCHBENCH1', secret: 'bench-secret-0123456789abcdefghijklmnopq' };
const HOST = 'karin.bench';

/**
 * SendMessage over HTTP beside a bare server that has none of Karin's code (`bare-server.ts`).
 *
 * Short rounds of each in turn, and the median of their shares: the three of one round find the machine in the same
 * state, whatever else it does meanwhile.
 */
export async function throughput(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const bare = await bench.bareServer({ REDIS_URL: redis.url });
  const karin = await bench.server({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    KARIN_KEYS: `${KEY.id}:${KEY.secret}`,
  });
  await bench.sqs(karin, 'CreateQueue', { QueueName: 'load' }, `/k/${TOKEN}`);

  const body = JSON.stringify({ QueueUrl: `http://${HOST}/000000000000/load`, MessageBody: 'x'.repeat(300) });
  const jsonHeaders = {
    host: HOST,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  };
  const withToken = httpRequest('POST', `/k/${TOKEN}/`, jsonHeaders, body);
  const signed = httpRequest('POST', '/', await sign(jsonHeaders, body), body);
  const plain = httpRequest('POST', '/', jsonHeaders, body);

  const total = bench.size(10_000, 2_000);
  const bareRates: number[] = [];
  const capabilityRates: number[] = [];
  const signatureRates: number[] = [];
  const rate = async (port: number, request: Buffer): Promise<number> =>
    (await load(port, () => request, total, CONNECTIONS)).perSecond;
  // Compiled and grown to their size before anything counts.
  for (const [port, request] of [
    [bare.port, plain],
    [karin.port, withToken],
    [karin.port, signed],
  ] as const)
    await rate(port, request);
  for (let round = 0; round < ROUNDS; round += 1) {
    bareRates.push(await rate(bare.port, plain));
    capabilityRates.push(await rate(karin.port, withToken));
    signatureRates.push(await rate(karin.port, signed));
  }
  const shareOfBare = (rates: readonly number[]): number =>
    100 *
    percentile(
      rates.map((perSecond, round) => perSecond / (bareRates[round] ?? Number.NaN)),
      0.5,
    );
  const note = `bare node:http and ioredis: ${percentile(bareRates, 0.5).toFixed(0)}/s`;
  return [
    { name: 'SendMessage by capability', value: percentile(capabilityRates, 0.5), unit: 'msg/s' },
    { name: 'SendMessage by SigV4', value: percentile(signatureRates, 0.5), unit: 'msg/s' },
    {
      name: 'SendMessage by capability, share of bare',
      value: shareOfBare(capabilityRates),
      unit: '%',
      bound: { kind: 'at-least', value: 75 },
      note,
    },
    {
      name: 'SendMessage by SigV4, share of bare',
      value: shareOfBare(signatureRates),
      unit: '%',
      bound: { kind: 'at-least', value: 55 },
      note,
    },
    {
      name: 'resident memory of the server after the load',
      value: karin.residentMb(),
      unit: 'MB',
      bound: { kind: 'at-most', value: 150 },
    },
  ];
}

/** Headers with a valid SigV4 signature for five minutes: long enough for every round to repeat the same bytes. */
async function sign(headers: Readonly<Record<string, string>>, body: string): Promise<Record<string, string>> {
  const signer = new SignatureV4({
    service: 'sqs',
    region: 'us-east-1',
    credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret },
    sha256: Sha256,
  });
  const request = await signer.sign({
    method: 'POST',
    protocol: 'http:',
    hostname: HOST,
    path: '/',
    headers: { ...headers, 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') },
    body,
  });
  return request.headers;
}
