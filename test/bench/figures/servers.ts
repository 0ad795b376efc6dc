import { Redis } from 'ioredis';
import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { commandCalls } from '../../support/idle-server.ts';
import { startRedisCluster } from '../../support/redis-cluster.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';
import { httpRequest, load } from '../load.ts';
import type { ServerProcess } from '../server-process.ts';

const TOKEN = 'bench-token-0123456789abcdefghijklmnop';
const HOST = 'karin.bench';
/** To each server, so that every one of them has the same to do, however many there are. */
const CONNECTIONS = 64;
/** Odd, so that the median is one of them. */
const ROUNDS = 3;
const SERVERS = [1, 2, 4];
/** So many that every node of a cluster has some and every server is preferred for some. */
const QUEUES = Array.from({ length: 24 }, (_, i) => String(i));
const BATCH = 10;
/** What the figures themselves ask of Redis. */
const OWN_COMMANDS = ['info', 'keys'];

interface Installation {
  readonly name: string;
  readonly servers: readonly ServerProcess[];
  readonly redis: readonly Redis[];
  /** Resolves when functions were given so many more messages, and nothing is stored any more. */
  handled(messages: number): Promise<void>;
}

/** What a message costs, of one round. */
interface Cost {
  readonly perSecond: number;
  readonly serverMicroseconds: number;
  readonly redisMicroseconds: number;
  /** Those that servers send, and all that Redis runs, those inside scripts included. */
  readonly calls: number;
  readonly commands: number;
}

/**
 * One, two and four servers on one Redis and on a cluster of three nodes, short rounds of each in turn: sends alone,
 * and the whole life of messages, which are sent, leased, given to a function in batches of up to ten, and deleted.
 *
 * Load, functions, servers and Redis share the cores of one machine, which bounds the rates. What carries over to other
 * machines is the processor time that a message takes of the servers and of Redis.
 */
export async function servers(bench: Bench): Promise<readonly Figure[]> {
  // Each process that is started ends with this one, which listens for its end.
  process.setMaxListeners(100);
  const installations: Installation[] = [];
  for (const count of SERVERS) {
    installations.push(await install(bench, count, 'one Redis'));
    installations.push(await install(bench, count, 'a cluster of 3'));
  }
  return [
    ...(await inTurn(installations, 'sends', (installation) =>
      cost(installation, bench.size(2_400, 240), 'load', async () => undefined),
    )),
    ...(await inTurn(installations, 'whole lives', (installation) => {
      const each = bench.size(1_200, 240);
      return cost(installation, each, 'jobs', () => installation.handled(each * installation.servers.length));
    })),
  ];
}

async function install(bench: Bench, count: number, kind: 'one Redis' | 'a cluster of 3'): Promise<Installation> {
  const urls = kind === 'one Redis' ? [(await bench.redis()).url] : (await cluster(bench)).urls;
  const aws = await bench.keep(
    startAwsEndpoint(
      QUEUES.map((i) => `jobs-${i}`),
      { mapping: { BatchSize: BATCH } },
    ),
  );
  let given = 0;
  aws.onInvoke = ({ Records }) => {
    given += Records.length;
  };
  const started: ServerProcess[] = [];
  for (let at = 0; at < count; at += 1) {
    started.push(
      await bench.server({
        ...aws.environment,
        REDIS_URL: urls.join(','),
        KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
      }),
    );
  }
  const [first] = started;
  if (first === undefined) throw new Error('there is no server');
  for (const i of QUEUES) await bench.sqs(first, 'CreateQueue', { QueueName: `load-${i}` }, `/k/${TOKEN}`);
  const redis = await Promise.all(urls.map((url) => bench.keep(connected(url))));
  return {
    name: `${count} ${count === 1 ? 'server' : 'servers'} on ${kind}`,
    servers: started,
    redis: redis.map(({ client }) => client),
    handled: async (messages) => {
      await bench.until(async () => given >= messages);
      given -= messages;
      await bench.until(async () => {
        const keys = await Promise.all(redis.map(({ client }) => client.keys('karin:*jobs-*:due')));
        return keys.flat().length === 0;
      });
    },
  };
}

async function cluster(bench: Bench): Promise<{ readonly urls: readonly string[] }> {
  const started = await startRedisCluster();
  return bench.keep(Promise.resolve({ urls: started.urls, close: () => started.stop() }));
}

async function connected(url: string): Promise<{ readonly client: Redis; close(): Promise<void> }> {
  const client = new Redis(url);
  return { client, close: async () => client.disconnect() };
}

/** Sends so many messages to each of the servers, and counts until `finished`. */
async function cost(
  { servers: started, redis }: Installation,
  each: number,
  queues: string,
  finished: () => Promise<void>,
): Promise<Cost> {
  const headers = {
    host: HOST,
    'content-type': 'application/x-amz-json-1.0',
    'x-amz-target': 'AmazonSQS.SendMessage',
  };
  const requests = QUEUES.map((i) => {
    const QueueUrl = `http://${HOST}/000000000000/${queues}-${i}`;
    return httpRequest('POST', `/k/${TOKEN}/`, headers, JSON.stringify({ QueueUrl, MessageBody: 'x'.repeat(300) }));
  });
  const request = (n: number): Buffer => requests[n % requests.length] ?? Buffer.alloc(0);
  const count = async (): Promise<Omit<Cost, 'perSecond'>> => {
    const nodes = await Promise.all(redis.map(readNode));
    return {
      serverMicroseconds: sum(started.map((server) => server.cpuSeconds() * 1e6)),
      redisMicroseconds: sum(nodes.map(({ cpuSeconds }) => cpuSeconds * 1e6)),
      calls: sum(nodes.map(({ calls }) => calls)),
      commands: sum(nodes.map(({ commands }) => commands)),
    };
  };
  const messages = each * started.length;
  const before = await count();
  const beganAt = performance.now();
  await Promise.all(started.map(({ port }) => load(port, request, each, CONNECTIONS)));
  await finished();
  const seconds = (performance.now() - beganAt) / 1_000;
  const after = await count();
  return {
    perSecond: messages / seconds,
    serverMicroseconds: (after.serverMicroseconds - before.serverMicroseconds) / messages,
    redisMicroseconds: (after.redisMicroseconds - before.redisMicroseconds) / messages,
    calls: (after.calls - before.calls) / messages,
    commands: (after.commands - before.commands) / messages,
  };
}

interface Node {
  readonly cpuSeconds: number;
  readonly calls: number;
  readonly commands: number;
}

/** A script that a client calls is one of its calls; what it runs inside is counted beside it. */
async function readNode(client: Redis): Promise<Node> {
  const cpu = await client.info('cpu');
  const seconds = (name: string): number => Number(new RegExp(`^${name}:(\\S+)`, 'm').exec(cpu)?.[1] ?? Number.NaN);
  const all = await commandCalls(client);
  const counted = [...all].filter(([name]) => !OWN_COMMANDS.includes(name));
  const scripts = counted.filter(([name]) => name.startsWith('eval'));
  return {
    cpuSeconds: seconds('used_cpu_user') + seconds('used_cpu_sys'),
    calls: sum(scripts.map(([, calls]) => calls)),
    commands: sum(counted.map(([, calls]) => calls)),
  };
}

async function inTurn(
  installations: readonly Installation[],
  what: string,
  measure: (installation: Installation) => Promise<Cost>,
): Promise<readonly Figure[]> {
  // Compiled and grown to their size before anything counts.
  for (const installation of installations) await measure(installation);
  const rounds: (readonly Cost[])[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const costs: Cost[] = [];
    for (const installation of installations) costs.push(await measure(installation));
    rounds.push(costs);
  }
  return installations.flatMap(({ name }, at) => {
    const middle = (of: (cost: Cost, first: Cost) => number): number =>
      percentile(
        rounds.map((costs) => {
          const [cost, first] = [costs[at], costs[0]];
          return cost === undefined || first === undefined ? Number.NaN : of(cost, first);
        }),
        0.5,
      );
    return [
      { name: `${what}, ${name}`, value: middle(({ perSecond }) => perSecond), unit: 'msg/s' },
      {
        name: `${what}, ${name}: times 1 server on one Redis`,
        value: middle((cost, first) => cost.perSecond / first.perSecond),
        unit: 'times',
      },
      {
        name: `${what}, ${name}: processor time of servers`,
        value: middle((c) => c.serverMicroseconds),
        unit: 'us/msg',
      },
      { name: `${what}, ${name}: processor time of Redis`, value: middle((c) => c.redisMicroseconds), unit: 'us/msg' },
      { name: `${what}, ${name}: scripts that Redis is asked to run`, value: middle((c) => c.calls), unit: 'per msg' },
      {
        name: `${what}, ${name}: commands of Redis, those inside scripts counted`,
        value: middle((c) => c.commands),
        unit: 'per msg',
      },
    ];
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
