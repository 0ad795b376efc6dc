import { Redis } from 'ioredis';
import { z } from 'zod';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';
import type { ServerProcess } from '../server-process.ts';

const Executed = z.object({ functions: z.array(z.string()) });

const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
/**
 * Calls before the one that counts: what runs only once in a process (a module that is loaded late, a first connection)
 * is no part of the path.
 */
const WARM_UP = 20;

/** How long the way of a message is: files and functions of `runtime/` that run for one send and for one delivery. */
export async function path(bench: Bench): Promise<readonly Figure[]> {
  return [...(await ofSend(bench)), ...(await ofDelivery(bench))];
}

async function ofSend(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const server = await bench.countingServer({
    REDIS_URL: redis.url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
  });
  await bench.sqs(server, 'CreateQueue', { QueueName: 'path' }, `/k/${TOKEN}`);
  const send = (): Promise<unknown> =>
    bench.sqs(
      server,
      'SendMessage',
      { QueueUrl: `http://127.0.0.1:${server.port}/000000000000/path`, MessageBody: 'x'.repeat(300) },
      `/k/${TOKEN}`,
    );
  for (let n = 0; n < WARM_UP; n += 1) await send();
  await taken(server);
  await send();
  return figures(bench, 'one send', await taken(server), 24, 70);
}

async function ofDelivery(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const aws = await bench.keep(startAwsEndpoint(['jobs']));
  const server = await bench.countingServer({ REDIS_URL: redis.url, ...aws.environment });
  const client = new Redis(redis.url);
  let invoked = (): void => undefined;
  aws.onInvoke = () => invoked();
  /** A message that is due after its send is long over, so that nothing of the send is counted. */
  const delivery = async (onSent: () => Promise<unknown>): Promise<void> => {
    const arrived = new Promise<void>((resolve) => {
      invoked = resolve;
    });
    await bench.sqs(server, 'SendMessage', {
      QueueUrl: `http://127.0.0.1:${server.port}/000000000000/jobs`,
      MessageBody: 'x'.repeat(300),
      DelaySeconds: 1,
    });
    await onSent();
    await arrived;
    await bench.until(async () => (await client.keys('karin:*:due')).length === 0);
    // The answer to the delete is on its way to the server.
    await bench.pause(200);
  };
  for (let n = 0; n < 3; n += 1) await delivery(async () => undefined);
  await delivery(() => taken(server));
  client.disconnect();
  return figures(bench, 'one delivery', await taken(server), 28, 110);
}

function figures(
  { list }: Bench,
  name: string,
  functions: readonly string[],
  mostFiles: number,
  mostFunctions: number,
): Figure[] {
  const files = new Set(functions.map((one) => one.slice(0, one.indexOf(':'))));
  if (list) console.error([name, ...[...functions].sort()].join('\n  '));
  return [
    {
      name: `files of which a function runs for ${name}`,
      value: files.size,
      unit: 'files',
      bound: { kind: 'at-most', value: mostFiles },
    },
    {
      name: `functions that run for ${name}`,
      value: functions.length,
      unit: 'functions',
      bound: { kind: 'at-most', value: mostFunctions },
    },
  ];
}

/** What ran since the last call. */
async function taken(server: ServerProcess): Promise<readonly string[]> {
  return Executed.parse(await server.ask()).functions;
}
