/**
 * What a sender was told is stored is still there after Redis was lost, with `KARIN_DURABILITY` (README, "What a
 * restart of Redis loses"): the master is killed and its replica promoted, and a server with a file that is synced once
 * a second is killed. Seen over HTTP, with many callers at once, each of whom sends the next message when the last was
 * answered.
 *
 * A server that does not know WAITAOF stands behind a proxy that answers it, and syncs its file before each answer,
 * which is what WAITAOF promises. `KARIN_REDIS_SERVER` names one that does. `KARIN_TEST_SIZE=full` makes 12,000 sends.
 */
import { afterEach, expect, it } from 'vitest';
import { z } from 'zod';
import { RedisProxy } from '../store/redis-proxy.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const SENDS = process.env['KARIN_TEST_SIZE'] === 'full' ? 12_000 : 600;
const CALLERS = 32;
/** How many answered sends the replica lacks. */
const LAG = 100;
const TOKEN = 'durable-sends-durable-sends';
const QueueUrl = 'http://karin/000000000000/jobs';

const received = z.object({
  Messages: z.array(z.object({ Body: z.string(), ReceiptHandle: z.string() })).optional(),
});

const releasers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

function released<T extends { stop(): Promise<unknown> }>(started: T): T {
  releasers.push(() => started.stop());
  return started;
}

async function startServer(url: string, durability: Record<string, string>): Promise<RunningServer> {
  const server = await startServerProcess({
    REDIS_URL: url,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    AWS_REGION: 'eu-west-1',
    ...durability,
  });
  return released(server);
}

/** The answer of an action; `undefined`: it was refused, or there is none. */
async function call({ url }: RunningServer, action: string, input: object): Promise<unknown> {
  try {
    const response = await fetch(`${url}/k/${TOKEN}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
      body: JSON.stringify(input),
    });
    const text = await response.text();
    return response.status === 200 ? JSON.parse(text === '' ? '{}' : text) : undefined;
  } catch {
    return undefined;
  }
}

/** As an SDK does: until it succeeds. */
async function insist(server: RunningServer, action: string, input: object): Promise<unknown> {
  for (;;) {
    const answer = await call(server, action, input);
    if (answer !== undefined) return answer;
  }
}

interface Load {
  /** Bodies whose senders were told that they are stored. */
  readonly answered: ReadonlySet<string>;
  /** Resolves at the answer that makes it so many. */
  reached(count: number): Promise<void>;
  /** Resolves when every caller has ended. */
  readonly done: Promise<unknown>;
  /** Callers send no further message. */
  end(): void;
}

/** Callers send until `SENDS` messages were answered, or until they are told to end. A failed send is not repeated. */
function startLoad(server: RunningServer): Load {
  const answered = new Set<string>();
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  let next = 0;
  let isOver = false;
  const callers = Array.from({ length: CALLERS }, async () => {
    while (answered.size < SENDS && !isOver) {
      const MessageBody = String(next++);
      if ((await call(server, 'SendMessage', { QueueUrl, MessageBody })) === undefined) continue;
      answered.add(MessageBody);
      for (const { count, resolve } of waiting) if (answered.size === count) resolve();
    }
  });
  return {
    answered,
    reached: (count) => new Promise((resolve) => waiting.push({ count, resolve })),
    done: Promise.all(callers),
    end: () => {
      isOver = true;
    },
  };
}

/** Receives and deletes until nothing is left. */
async function drain(server: RunningServer): Promise<ReadonlySet<string>> {
  const bodies = new Set<string>();
  for (;;) {
    const answer = await insist(server, 'ReceiveMessage', {
      QueueUrl,
      MaxNumberOfMessages: 10,
      VisibilityTimeout: 600,
    });
    const { Messages = [] } = received.parse(answer);
    if (Messages.length === 0) return bodies;
    for (const { Body } of Messages) bodies.add(Body);
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await insist(server, 'DeleteMessageBatch', { QueueUrl, Entries });
  }
}

function lostOf({ answered }: Load, found: ReadonlySet<string>): readonly string[] {
  return [...answered].filter((body) => !found.has(body));
}

/**
 * A fail-over under load: after half of the sends nothing reaches the replica any more. When `behind` further sends
 * were answered, or where none is, when senders wait, the master is killed; the replica, with a replica of its own,
 * takes over, and the other sends go there. Answers what was lost.
 */
async function failOver(durability: Record<string, string>, behind: number): Promise<readonly string[]> {
  const master = released(await RedisServer.start({ appendOnly: true, appendFsync: 'everysec' }));
  const link = released(await RedisProxy.start(master.port));
  const replica = released(await RedisServer.start({ appendOnly: true, appendFsync: 'everysec' }));
  await replica.follow(master, link.port);
  const address = released(await RedisProxy.start(master.port));
  const server = await startServer(address.url, durability);
  await insist(server, 'CreateQueue', { QueueName: 'jobs' });

  const load = startLoad(server);
  await load.reached(SENDS / 2);
  link.deafen();
  if (behind === 0) await master.ask(untilSendersWait);
  else await load.reached(load.answered.size + behind);
  await master.kill();
  await replica.promote();
  released(await RedisServer.start({ replicaOf: replica }));
  address.leadTo(replica.port);
  address.dropConnections();
  await load.done;
  return lostOf(load, await drain(server));
}

async function untilSendersWait(client: { info(section: string): Promise<string> }): Promise<void> {
  while (/blocked_clients:0\r/.test(await client.info('clients')));
}

it('A fail-over to a replica that had fallen behind loses nothing with KARIN_DURABILITY=replica', async () => {
  expect(await failOver({ KARIN_DURABILITY: 'replica' }, 0)).toEqual([]);
}, 300_000);

it('The same fail-over loses messages without it', async () => {
  const lost = await failOver({}, LAG);
  // Those under way when the replica heard its last may have reached it.
  expect(lost.length).toBeGreaterThanOrEqual(LAG - CALLERS);
}, 300_000);

it('A Redis that is killed loses nothing with KARIN_DURABILITY=fsync', async () => {
  const first = released(await RedisServer.start({ appendOnly: true, appendFsync: 'everysec' }));
  const knows = await first
    .ask((client) => client.call('WAITAOF', 0, 0, 1))
    .then(
      () => true,
      () => false,
    );
  const redis = knows ? first : released(await RedisServer.start({ appendOnly: true, appendFsync: 'always' }));
  const proxy = released(await RedisProxy.start(redis.port));
  if (!knows) {
    proxy.answerInstead = (request) => {
      if (!request.includes('WAITAOF\r\n')) return undefined;
      return `${request.includes(':marker') ? '+OK\r\n' : ''}*2\r\n:1\r\n:0\r\n`;
    };
  }
  const server = await startServer(proxy.url, { KARIN_DURABILITY: 'fsync' });
  await insist(server, 'CreateQueue', { QueueName: 'jobs' });

  const load = startLoad(server);
  // Where each send waits for the sync of its second, this many take a while.
  await load.reached(SENDS / 4);
  load.end();
  await redis.kill();
  await redis.restart();
  await load.done;
  expect(lostOf(load, await drain(server))).toEqual([]);
}, 600_000);
