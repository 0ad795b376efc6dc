import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { type IdleServer, startIdleServer } from '../../support/idle-server.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';

const IDLE_QUEUES = 100;
const MINUTES = 20;

/**
 * What looking at the operator's page costs: commands to Redis while it is open and nothing happens, with one tab and
 * with five, on a clock that is run by hand; and how soon and how large the page of a thousand queues arrives.
 */
export async function page(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const aws = await bench.keep(startAwsEndpoint(Array.from({ length: IDLE_QUEUES }, (_, i) => `idle-${i}`)));
  Object.assign(process.env, aws.environment);
  const server = await bench.keep(startIdleServer(redis.url, aws));
  // A tenth of the queues holds a message that waits for its time.
  for (const queue of server.karin.directory.all().slice(0, IDLE_QUEUES / 10)) {
    const message = { id: crypto.randomUUID(), body: 'x', attributes: {}, senderId: 'bench' };
    await queue.send([{ ...message, delayMs: 86_400_000 }]);
  }
  await server.pass(600_000);
  const closed = await perMinute(server);
  const tabs = [await openTab(server)];
  await server.pass(120_000);
  const one = (await perMinute(server)) - closed;
  for (let tab = 0; tab < 4; tab += 1) tabs.push(await openTab(server));
  await server.pass(120_000);
  const five = (await perMinute(server)) - closed;
  for (const tab of tabs) tab.destroy();

  const many = bench.size(1_000, 100);
  const others = await bench.redis();
  const more = await bench.keep(startAwsEndpoint(Array.from({ length: many }, (_, i) => `queue-${i}`)));
  Object.assign(process.env, more.environment);
  const large = await bench.keep(startIdleServer(others.url, more));
  const firstBytes: number[] = [];
  let bytes = 0;
  for (let n = 0; n < 20; n += 1) {
    const begun = performance.now();
    const response = await get(large, { 'accept-encoding': 'gzip' });
    firstBytes.push(performance.now() - begun);
    bytes = 0;
    for await (const chunk of response) bytes += Buffer.from(chunk).length;
  }
  return [
    ...(
      [
        ['one tab', one],
        ['five tabs', five],
      ] as const
    ).map(
      ([tabs, value]): Figure => ({
        name: `page: Redis commands a minute, ${IDLE_QUEUES} queues at rest, ${tabs}`,
        value: Math.max(0, value),
        unit: 'commands',
        bound: { kind: 'at-most', value: 6 },
        note: 'those inside scripts counted, over 20 minutes',
      }),
    ),
    {
      name: `page: first byte, ${many.toLocaleString('en')} queues, median of 20`,
      value: percentile(firstBytes, 0.5),
      unit: 'ms',
      bound: { kind: 'at-most', value: 100 },
    },
    {
      name: `page: size, compressed, ${many.toLocaleString('en')} queues`,
      value: bytes / 1024,
      unit: 'KB',
      bound: { kind: 'at-most', value: 60 },
    },
  ];
}

/** Commands a minute while nothing happens but what is open. */
async function perMinute(server: IdleServer): Promise<number> {
  const before = (await server.asked()).redisCommands;
  await server.pass(MINUTES * 60_000);
  return ((await server.asked()).redisCommands - before) / MINUTES;
}

/** A visible tab: its stream of changes. */
async function openTab(server: IdleServer): Promise<IncomingMessage> {
  const response = await get(server, { accept: 'text/event-stream' });
  response.resume();
  await server.settle();
  return response;
}

async function get(server: IdleServer, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  const sent = request(`${server.karin.url}/ops`, { headers }).end();
  // The server answers with a response or not at all.
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  if (response.statusCode !== 200) throw new Error(`the page was answered with ${response.statusCode}`);
  return response;
}
