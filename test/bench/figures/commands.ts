import { Redis } from 'ioredis';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { commandCalls } from '../../support/idle-server.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const TOGETHER = 64;
const TOKEN = 'bench-token-0123456789abcdefghijklmnop';

/** What a message costs in commands to Redis: alone on its whole way, and among many sends at a time. */
export async function commands(bench: Bench): Promise<readonly Figure[]> {
  return [...(await alone(bench)), ...(await together(bench))];
}

/** Commands of sends that wait together, those inside scripts counted, because some plans bill them. */
async function together(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const karin = await bench.server({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
  });
  const client = new Redis(redis.url);
  await bench.sqs(karin, 'CreateQueue', { QueueName: 'load' }, `/k/${TOKEN}`);
  const headers = {
    host: 'karin.bench',
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  };
  const body = JSON.stringify({ QueueUrl: 'http://karin.bench/000000000000/load', MessageBody: 'x'.repeat(300) });
  const request = httpRequest('POST', `/k/${TOKEN}/`, headers, body);
  const messages = bench.size(10_000, 2_000);
  await load(karin.port, () => request, messages, TOGETHER);
  const before = await commandCalls(client);
  await load(karin.port, () => request, messages, TOGETHER);
  const after = await commandCalls(client);
  client.disconnect();
  let calls = 0;
  for (const [name, count] of after) if (name !== 'info') calls += count - (before.get(name) ?? 0);
  return [
    {
      name: `commands to Redis per message, ${TOGETHER} sends at a time, those inside scripts counted`,
      value: calls / messages,
      unit: 'commands',
      bound: { kind: 'at-most', value: 1 },
    },
  ];
}

/**
 * Client commands that Redis receives for each message, from SendMessage to the delete after a successful Invoke, one
 * message at a time.
 */
async function alone(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const aws = await bench.keep(startAwsEndpoint(['jobs']));
  const karin = await bench.server({ REDIS_URL: redis.url, ...aws.environment });
  const client = new Redis(redis.url);
  const messages = bench.size(300, 50);

  let arrived = (): void => undefined;
  aws.onInvoke = () => arrived();
  const one = async (n: number): Promise<void> => {
    const invoked = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await bench.sqs(karin, 'SendMessage', {
      QueueUrl: `http://127.0.0.1:${karin.port}/000000000000/jobs`,
      MessageBody: String(n),
    });
    await invoked;
    await bench.until(async () => (await client.keys('karin:*:due')).length === 0);
  };
  await one(0);
  const before = await commandCalls(client);
  for (let n = 1; n <= messages; n += 1) await one(n);
  const after = await commandCalls(client);
  client.disconnect();

  const scripts =
    (after.get('evalsha') ?? 0) + (after.get('eval') ?? 0) - (before.get('evalsha') ?? 0) - (before.get('eval') ?? 0);
  return [
    {
      name: 'client commands to Redis per message (send, receive, delete)',
      value: scripts / messages,
      unit: 'commands',
      bound: { kind: 'at-most', value: 3 },
    },
  ];
}
