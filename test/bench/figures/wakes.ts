import { Redis } from 'ioredis';
import { commandCalls } from '../../support/idle-server.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';
import { httpRequest, load } from '../load.ts';

const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const HOST = 'karin.bench';
const QUEUES = 24;
/** The longest delay of SQS, seconds. */
const LONGEST_DELAY = 900;

/**
 * What a wake costs a server that only hears it. A send publishes one if its message is due before all others of its
 * queue, so each message of a queue is sent with a shorter delay than the one before.
 */
export async function wakes(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const environment = {
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
  };
  const sender = await bench.server(environment);
  const bystander = await bench.server(environment);
  const client = new Redis(redis.url);
  const published = async (): Promise<number> => (await commandCalls(client)).get('publish') ?? 0;
  for (let i = 0; i < QUEUES; i += 1) await bench.sqs(sender, 'CreateQueue', { QueueName: `q-${i}` }, `/k/${TOKEN}`);
  const headers = {
    host: HOST,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  };
  const request = (n: number): Buffer => {
    const QueueUrl = `http://${HOST}/000000000000/q-${n % QUEUES}`;
    const DelaySeconds = LONGEST_DELAY - Math.floor(n / QUEUES);
    return httpRequest('POST', `/k/${TOKEN}/`, headers, JSON.stringify({ QueueUrl, DelaySeconds, MessageBody: 'x' }));
  };
  const messages = QUEUES * bench.size(800, 50);
  const [publishedBefore, cpuBefore] = [await published(), bystander.cpuSeconds()];
  await load(sender.port, request, messages, QUEUES);
  const wakesSent = (await published()) - publishedBefore;
  const seconds = bystander.cpuSeconds() - cpuBefore;
  client.disconnect();
  return [
    {
      name: 'processor time of a server for each wake that it only hears',
      value: (seconds * 1e6) / wakesSent,
      unit: 'us',
      note: `${wakesSent} wakes of ${messages} sends`,
    },
  ];
}
