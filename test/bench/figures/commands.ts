import { Redis } from 'ioredis';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { commandCalls } from '../../support/idle-server.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';

/** Client commands that Redis receives for each message, from SendMessage to the delete after a successful Invoke, one message at a time. */
export async function commands(bench: Bench): Promise<readonly Figure[]> {
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
