import { createHash } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const CONNECTIONS = 64;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const KEY = { id: 'AKIABENCHBENCHBENCH1', secret: 'bench-secret-0123456789abcdefghijklmnopq' };
const HOST = 'karin.bench';

/** SendMessage over HTTP beside a bare node:http server that runs the same store call; rounds of each in turn, the best of each counts. */
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

  const total = bench.size(20_000, 3_000);
  const best = { bare: 0, capability: 0, signature: 0 };
  for (let round = 0; round < 4; round += 1) {
    best.bare = Math.max(best.bare, (await load(bare.port, () => plain, total, CONNECTIONS)).perSecond);
    best.capability = Math.max(
      best.capability,
      (await load(karin.port, () => withToken, total, CONNECTIONS)).perSecond,
    );
    best.signature = Math.max(best.signature, (await load(karin.port, () => signed, total, CONNECTIONS)).perSecond);
  }
  const note = `bare node:http with the same store call: ${best.bare.toFixed(0)}/s`;
  return [
    { name: 'SendMessage by capability', value: best.capability, unit: 'msg/s' },
    { name: 'SendMessage by SigV4', value: best.signature, unit: 'msg/s' },
    {
      name: 'SendMessage by capability, share of bare',
      value: (100 * best.capability) / best.bare,
      unit: '%',
      bound: { kind: 'at-least', value: 55 },
      note,
    },
    {
      name: 'SendMessage by SigV4, share of bare',
      value: (100 * best.signature) / best.bare,
      unit: '%',
      bound: { kind: 'at-least', value: 45 },
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
