/**
 * What calls cost in commands, those inside scripts counted, as the headers of the scripts say; and what messages cost
 * in memory.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { queueKeys } from '../../runtime/store/redis/keys.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { LeasedEntry, NewEntry, RestoredEntry, StoredQueue } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

/** Messages to be put back; on a FIFO queue the last of them is delayed. */
function restored(count: number, group?: string): RestoredEntry[] {
  return many(count).map(({ id, record }, at) => ({
    ...{ id, record, position: at + 1, receiveCount: 0, firstReceivedAt: 0, state: 'visible' as const },
    ...{ sentAt: time.now(), dueAt: time.now() },
    ...(group === undefined
      ? {}
      : { group, sequenceNumber: String(at + 1).padStart(20, '0'), dueAt: time.now() + (at + 1 === count ? 50 : 0) }),
  }));
}

const time = new ManualTime();
let server: RedisServer;
let admin: Redis;
let store: RedisStore;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = new Redis(server.url);
  store = await RedisStore.open({
    urls: [server.url],
    instanceId: 'counted',
    time: systemTime,
    randomness: systemRandomness,
    clock: () => time.now(),
  });
});
afterAll(async () => {
  await store.close();
  admin.disconnect();
  await server.stop();
});

/** The commands that the server runs during `act`, by name, in alphabetical order. */
async function commandsOf(act: () => Promise<unknown>, observer: Redis = admin): Promise<string[]> {
  await observer.config('RESETSTAT');
  await act();
  const stats = await observer.info('commandstats');
  return [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)]
    .flatMap(([, name = '', calls]) => Array.from({ length: Number(calls) }, () => name))
    .filter((name) => name !== 'config|resetstat')
    .sort();
}

/** The injected clock saves the TIME that production needs: it is added to what every script with a clock costs. */
function scripted(commands: string): string[] {
  return ['evalsha', ...commands.split(' ')].sort();
}

interface Case {
  readonly name: string;
  readonly fifo?: boolean;
  /** What is there before; its result is handed to `act`. */
  readonly before?: (queue: StoredQueue) => Promise<LeasedEntry[]>;
  readonly act: (queue: StoredQueue, leased: LeasedEntry[]) => Promise<unknown>;
  readonly commands: string[];
}

const many = (count: number, overrides: Partial<NewEntry> = {}): NewEntry[] =>
  Array.from({ length: count }, () => entry(overrides));

const send = async (queue: StoredQueue, entries: NewEntry[]): Promise<LeasedEntry[]> => {
  await store.send(queue, entries);
  return [];
};

const receive = async (queue: StoredQueue, maxMessages: number): Promise<LeasedEntry[]> => {
  const { leased } = await store.receive(queue, { maxMessages, maxBytes: 1_000_000, leaseMs: 1_000 });
  return [...leased];
};

const leased =
  (sent: () => NewEntry[], maxMessages = 500) =>
  async (queue: StoredQueue): Promise<LeasedEntry[]> => {
    await store.send(queue, sent());
    return receive(queue, maxMessages);
  };

const inA = (count: number): NewEntry[] => many(count, { group: 'a' });

const REPEATED = entry({ group: 'a' });
const NAMED = { id: REPEATED.id, group: 'a' };
const LATER = entry({ group: 'a', delayMs: 50 });

const CASES: readonly Case[] = [
  {
    name: 'send: one, to an empty queue',
    act: (queue) => send(queue, many(1)),
    commands: scripted('zrange hsetnx zadd publish'),
  },
  {
    name: 'send: one, behind others',
    before: (queue) => send(queue, many(1)),
    act: (queue) => send(queue, many(1)),
    commands: scripted('zrange hsetnx zadd'),
  },
  {
    name: 'send: 500, behind others',
    before: (queue) => send(queue, many(1)),
    act: (queue) => send(queue, many(500)),
    commands: scripted('zrange hmget hset zadd'),
  },
  {
    name: 'send: with a delay',
    before: (queue) => send(queue, many(1)),
    act: (queue) => send(queue, many(1, { delayMs: 50 })),
    commands: scripted('zrange hsetnx zadd zrange zadd'),
  },
  {
    name: 'send: what is there already',
    before: (queue) => send(queue, [REPEATED]),
    act: (queue) => send(queue, [REPEATED]),
    commands: scripted('zrange hsetnx hget zrange'),
  },
  {
    name: 'send: what is there already, among others',
    before: (queue) => send(queue, [REPEATED]),
    act: (queue) => send(queue, [REPEATED, entry()]),
    commands: scripted('zrange hmget hset zadd zrange'),
  },
  {
    name: 'delayed: none',
    act: (queue) => store.delayed(queue, { fromMs: 0, toMs: 1_000, limit: 10 }),
    commands: scripted('zrange'),
  },
  {
    name: 'delayed: some',
    before: (queue) => send(queue, many(20, { delayMs: 50 })),
    act: (queue) => store.delayed(queue, { fromMs: 0, toMs: 1_000, limit: 10 }),
    commands: scripted('zrange hmget'),
  },
  {
    name: 'delayed: deleted',
    before: (queue) => send(queue, [LATER, entry()]),
    act: (queue) => store.deleteDelayed(queue, [LATER.id, REPEATED.id]),
    commands: scripted('zscore zrange zscore hexists zrem hdel hdel zrem'),
  },
  {
    name: 'browse: one visible, one delayed',
    before: (queue) => send(queue, [entry(), entry({ delayMs: 50 })]),
    act: (queue) => store.browse(queue, { limit: 10, maxBytes: 1_000 }),
    commands: scripted('zrange hget hget hget hget zscore'),
  },
  {
    name: 'FIFO browse: two of one group, one of another',
    fifo: true,
    before: (queue) => send(queue, [...many(2, { group: 'a' }), ...many(1, { group: 'b' })]),
    act: (queue) => store.browse(queue, { limit: 10, maxBytes: 1_000 }),
    commands: scripted('zrange zrange hget zrange hget hget hget zscore hget hget zscore hget hget zscore'),
  },
  {
    name: 'page: the first of two, one visible, one delayed',
    before: (queue) => send(queue, [entry(), entry({ delayMs: 50 })]),
    act: (queue) => store.page(queue, { limit: 10, maxBytes: 1_000 }),
    commands: scripted('zrange hget hget hget hget zscore'),
  },
  {
    name: 'page: one that begins after a message',
    before: (queue) => send(queue, many(3)),
    act: async (queue) => {
      const { next = '' } = await store.page(queue, { limit: 1, maxBytes: 1_000 });
      await store.page(queue, { limit: 1, maxBytes: 1_000, after: next });
    },
    commands: [...scripted('zrange hget hget'), ...scripted('zscore zrank zrange hget hget')].sort(),
  },
  {
    name: 'FIFO page: two of one group',
    fifo: true,
    before: (queue) => send(queue, many(2, { group: 'a' })),
    act: (queue) => store.page(queue, { limit: 10, maxBytes: 1_000 }),
    commands: scripted('zrange get hget zrange hget hget zscore zscore hget hget zscore'),
  },
  {
    name: 'restore: two that were never received',
    act: (queue) => store.restore(queue, { source: 's', entries: restored(2) }),
    commands: scripted('zrange hget hmget hset zadd zrange publish hset pexpire'),
  },
  {
    name: 'restore: what was restored before',
    act: async (queue) => {
      await store.restore(queue, { source: 's', entries: restored(1) });
      await admin.config('RESETSTAT');
      await store.restore(queue, { source: 's', entries: restored(1) });
    },
    commands: scripted('zrange hget hmget'),
  },
  {
    name: 'FIFO restore: two of one group, one delayed',
    fifo: true,
    act: (queue) => store.restore(queue, { source: 's', entries: restored(2, 'g'), lastSequence: 2 }),
    commands: scripted(
      'zrange hget hmget get hget set hset hset zadd zadd zrange zscore zadd zrange publish hset pexpire',
    ),
  },
  { name: 'receive: nothing there', act: (queue) => receive(queue, 10), commands: scripted('zrange') },
  {
    name: 'receive: all that is there',
    before: (queue) => send(queue, many(10)),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange hmget hmget zadd hset'),
  },
  {
    name: 'receive: some of more',
    before: (queue) => send(queue, many(11)),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange zcard hmget hmget zadd hset'),
  },
  {
    name: 'receive: with groups',
    before: (queue) => send(queue, inA(11)),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange zcard zrange hmget hmget zadd hset'),
  },
  {
    name: 'receive: 500',
    before: (queue) => send(queue, many(500)),
    act: (queue) => receive(queue, 500),
    commands: scripted(`zrange ${'hmget '.repeat(16)}hmget zadd hset`),
  },
  {
    name: 'delete',
    before: leased(() => many(10)),
    act: (queue, held) => store.delete(queue, held),
    commands: scripted('hmget zrem hdel hdel zrange'),
  },
  {
    name: 'delete: what is gone',
    act: (queue) => store.delete(queue, [{ id: entry().id, leaseNumber: 1 }]),
    commands: scripted('hmget hexists zrange'),
  },
  {
    name: 'change visibility',
    before: leased(() => many(10)),
    act: (queue, held) =>
      store.changeVisibility(
        queue,
        held.map((one) => ({ ...one, leaseMs: 5_000 })),
      ),
    commands: scripted('hmget zrange zadd zrange'),
  },
  {
    name: 'release',
    before: leased(() => many(10)),
    act: (queue, held) => store.release(queue, held),
    commands: scripted('hmget hset zrange zadd zrange publish'),
  },
  {
    name: 'release: some received for the first time and some not',
    before: async (queue) => {
      await send(queue, many(5));
      await receive(queue, 5);
      time.advance(1_000);
      await send(queue, many(5));
      return receive(queue, 10);
    },
    act: (queue, held) => store.release(queue, held),
    commands: scripted('hmget hset zrange zadd zrange publish'),
  },
  {
    name: 'release: again',
    before: async (queue) => {
      await send(queue, many(10));
      const held = await receive(queue, 10);
      await store.release(queue, held);
      return held;
    },
    act: (queue, held) => store.release(queue, held),
    commands: scripted('hmget zrange'),
  },
  {
    name: 'receive: what was given back',
    before: async (queue) => {
      await send(queue, many(10));
      await store.release(queue, await receive(queue, 10));
      return [];
    },
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange hmget hmget zadd hset'),
  },
  { name: 'peek: an empty queue', act: (queue) => store.peek(queue), commands: ['exists'] },
  {
    name: 'peek',
    before: (queue) => send(queue, many(1)),
    act: (queue) => store.peek(queue),
    commands: ['exists', ...scripted('zrange')].sort(),
  },
  { name: 'depth: an empty queue', act: (queue) => store.depth(queue), commands: scripted('exists') },
  {
    name: 'depth',
    before: (queue) => send(queue, many(1)),
    act: (queue) => store.depth(queue),
    commands: scripted('exists zcard zcount zcount zrange zrange'),
  },
  {
    name: 'depths: a hundred queues, of which one is not empty',
    before: (queue) => send(queue, many(1)),
    act: (queue) => store.depths([queue, ...Array.from({ length: 99 }, () => newQueue(false))]),
    commands: scripted(`exists zcount zcount zrange zrange${' zcard'.repeat(100)}`),
  },
  { name: 'trim: an empty queue', act: (queue) => store.trim(queue, 0, 10), commands: scripted('zrange zrange') },
  {
    name: 'trim',
    before: async (queue) => {
      await send(queue, many(3));
      time.advance(1);
      return [];
    },
    act: (queue) => store.trim(queue, 0, 10),
    commands: scripted('zrange zrem hdel hdel zrem hdel zrange'),
  },
  {
    name: 'failures: one is kept',
    before: async (queue) => {
      await send(queue, [LATER]);
      time.advance(LATER.delayMs);
      await store.receive(queue, { maxMessages: 1, maxBytes: 1_000, leaseMs: 1_000 });
      return [];
    },
    act: (queue) => store.keepFailures(queue, [{ id: LATER.id, text: 'it failed' }]),
    commands: scripted('hmget hset pexpire hlen'),
  },
  { name: 'failures: read', act: (queue) => store.failures(queue, [LATER.id]), commands: ['hmget'] },
  { name: 'purge', act: (queue) => store.purge(queue), commands: ['unlink'] },
  {
    name: 'FIFO send: one with a deduplication id, to an empty queue',
    fifo: true,
    act: (queue) => send(queue, many(1, { group: 'a', deduplicationKey: 'k' })),
    commands: scripted('zrange hmget incrby set hset zadd zadd zrange publish'),
  },
  {
    name: 'FIFO send: what is there already',
    fifo: true,
    before: (queue) => send(queue, [REPEATED]),
    act: (queue) => send(queue, [REPEATED]),
    commands: scripted('zrange hmget incrby zrange zrange'),
  },
  {
    name: 'FIFO send: a duplicate',
    fifo: true,
    before: (queue) => send(queue, many(1, { group: 'a', deduplicationKey: 'k' })),
    act: (queue) => send(queue, many(1, { group: 'a', deduplicationKey: 'k' })),
    commands: scripted('zrange hmget incrby set get'),
  },
  {
    name: 'FIFO purge',
    fifo: true,
    before: (queue) => send(queue, inA(1)),
    act: (queue) => store.purge(queue),
    commands: scripted('unlink get set'),
  },
  {
    name: 'FIFO send: 500, behind others',
    fifo: true,
    before: (queue) => send(queue, inA(1)),
    act: (queue) => send(queue, inA(500)),
    commands: scripted('zrange hmget incrby hset zadd zadd'),
  },
  { name: 'FIFO receive: nothing there', fifo: true, act: (queue) => receive(queue, 10), commands: scripted('zrange') },
  {
    name: 'FIFO receive: all locked',
    fifo: true,
    before: leased(() => inA(2), 1),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange zcard'),
  },
  {
    name: 'FIFO receive: one group',
    fifo: true,
    before: (queue) => send(queue, inA(10)),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange zcard exists zrange hmget hmget zadd hset hset'),
  },
  {
    name: 'FIFO receive: three groups',
    fifo: true,
    before: (queue) => send(queue, [...inA(2), ...many(2, { group: 'b' }), ...many(2, { group: 'c' })]),
    act: (queue) => receive(queue, 10),
    commands: scripted('zrange zcard exists zrange zrange zrange hmget hmget zadd hset hset'),
  },
  {
    name: 'FIFO delete: others of the group wait',
    fifo: true,
    before: leased(() => inA(3), 2),
    act: (queue, held) => store.delete(queue, held),
    commands: scripted('hmget hmget zrem hdel hdel zrange zrange zmscore hdel zadd publish zrange'),
  },
  {
    name: 'FIFO delete: the last of the group',
    fifo: true,
    before: leased(() => inA(2)),
    act: (queue, held) => store.delete(queue, held),
    commands: scripted('hmget hmget zrem hdel hdel zrange zrange hdel zrem zrange'),
  },
  {
    name: 'FIFO change visibility',
    fifo: true,
    before: leased(() => inA(2)),
    act: (queue, held) =>
      store.changeVisibility(
        queue,
        held.map((one) => ({ ...one, leaseMs: 5_000 })),
      ),
    commands: scripted('hmget hmget zrange hset zadd zrange'),
  },
  {
    name: 'FIFO release',
    fifo: true,
    before: leased(() => inA(2)),
    act: (queue, held) => store.release(queue, held),
    commands: scripted('hmget hmget hset zrange zrange zmscore hdel zadd publish zrange'),
  },
  {
    name: 'FIFO release: again',
    fifo: true,
    before: async (queue) => {
      await send(queue, inA(2));
      const held = await receive(queue, 2);
      await store.release(queue, held);
      return held;
    },
    act: (queue, held) => store.release(queue, held),
    commands: scripted('hmget hmget zscore zscore zrange'),
  },
  {
    name: 'FIFO depth',
    fifo: true,
    before: (queue) => send(queue, inA(1)),
    act: (queue) => store.depth(queue),
    commands: scripted('exists zcard zcount hvals zrange zrange'),
  },
  {
    name: 'FIFO trim',
    fifo: true,
    before: async (queue) => {
      await send(queue, inA(3));
      time.advance(1);
      return [];
    },
    act: (queue) => store.trim(queue, 0, 10),
    commands: scripted('zrange hmget zrange zmscore hmget zrem hdel hdel zrem hdel zrange hdel zrem zrange'),
  },
  {
    name: 'look up: one that is visible',
    before: async (queue) => send(queue, [REPEATED]),
    act: (queue) => store.named.lookUp(queue, [NAMED], 1_000),
    commands: scripted('hget hget zscore'),
  },
  {
    name: 'delete by name: one that is delayed',
    before: async (queue) => send(queue, [LATER]),
    act: (queue) => store.named.delete(queue, [{ ...NAMED, id: LATER.id }]),
    commands: scripted('hexists hget zscore zscore zrem hdel hdel zrem hdel zrange'),
  },
  {
    name: 'make due: one that is delayed',
    before: async (queue) => send(queue, [LATER]),
    act: (queue) => store.named.makeDue(queue, [{ ...NAMED, id: LATER.id }]),
    commands: scripted('hexists hget zscore zscore zrange zadd zrem publish zrange'),
  },
  {
    name: 'take: one that is visible',
    before: async (queue) => send(queue, [REPEATED]),
    act: (queue) => store.named.take(queue, [NAMED], 1_000),
    commands: scripted('hexists hget zscore zadd hset zrem zrange'),
  },
  {
    name: 'records: of 17 messages',
    act: (queue) =>
      store.named.records(
        queue,
        many(17).map(({ id }) => id),
        1_000,
      ),
    commands: ['evalsha', 'hmget', 'hmget'],
  },
  {
    name: 'scheduled',
    before: async (queue) => send(queue, [LATER]),
    act: (queue) => store.named.scheduled(queue, 0, 10),
    commands: scripted('zcount zrange'),
  },
  { name: 'names', act: (queue) => store.named.names(queue, 100), commands: ['zscan'] },
  {
    name: 'holders: of three queues',
    act: (queue) => store.named.holders([queue, newQueue(true), newQueue(false)], REPEATED.id),
    commands: scripted('hexists hexists hexists'),
  },
  {
    name: 'FIFO look up: one that is visible',
    fifo: true,
    before: async (queue) => send(queue, [REPEATED]),
    act: (queue) => store.named.lookUp(queue, [NAMED], 1_000),
    commands: scripted('hget hget zrange hget zscore'),
  },
  {
    name: 'FIFO delete by name: the first of a group',
    fifo: true,
    before: async (queue) => send(queue, [REPEATED, ...inA(2)]),
    act: (queue) => store.named.delete(queue, [NAMED]),
    commands: scripted(
      'hexists hget zrange hget zscore zrange zrem hdel hdel zrem hdel zrange zrange zmscore hdel zadd zrange',
    ),
  },
  {
    name: 'FIFO make due: one that is delayed',
    fifo: true,
    before: async (queue) => send(queue, [LATER]),
    act: (queue) => store.named.makeDue(queue, [{ ...NAMED, id: LATER.id }]),
    commands: scripted('hexists hget zrange hget zscore zrange zrem zrange zrange zmscore hdel zadd publish zrange'),
  },
  {
    name: 'FIFO take: the first of a group',
    fifo: true,
    before: async (queue) => send(queue, [REPEATED]),
    act: (queue) => store.named.take(queue, [NAMED], 1_000),
    commands: scripted('hexists hget zrange hget zscore zrange zrem hset zrange hset zadd zrange'),
  },
  {
    name: 'a document: write',
    act: (queue) => store.documents.put(queue.key, 'value', null),
    commands: scripted('hget hset publish'),
  },
  { name: 'a document: read', act: (queue) => store.documents.get(queue.key), commands: ['hget'] },
  { name: 'documents: list', act: () => store.documents.list(''), commands: ['hkeys', 'hmget'] },
  {
    name: 'a slot: take',
    act: (queue) => store.slots.take(queue.key, 'holder', 1, 1_000),
    commands: scripted('zremrangebyscore zscore zcard zadd'),
  },
  {
    name: 'a slot: none is free',
    before: async (queue) => {
      await store.slots.take(queue.key, 'another', 1, 1_000);
      return [];
    },
    act: (queue) => store.slots.take(queue.key, 'holder', 1, 1_000),
    commands: scripted('zremrangebyscore zscore zcard zrange'),
  },
  {
    name: 'a slot: free a full set',
    before: async (queue) => {
      await store.slots.take(queue.key, 'holder', 1, 1_000);
      return [];
    },
    act: (queue) => store.slots.free(queue.key, 'holder', 1),
    commands: scripted('zremrangebyscore zcard zrem publish'),
  },
];

describe('commands that a call costs, beside TIME', () => {
  for (const { name, fifo = false, before, act, commands } of CASES) {
    it(name, async () => {
      // The first round loads the scripts.
      for (const measured of [false, true]) {
        const queue = newQueue(fifo);
        const held = (await before?.(queue)) ?? [];
        const counted = await commandsOf(() => act(queue, held));
        if (measured) expect(counted).toEqual(commands);
      }
    });
  }
});

describe('a FIFO message that is named without its sequence number', () => {
  it('is looked for among the first 10,000 of its group, and found at once with it', async () => {
    const queue = newQueue(true);
    let last = entry({ group: 'a' });
    let sequenceNumber = '';
    for (let call = 0; call < 21; call += 1) {
      const entries = inA(500);
      last = entries.at(-1) ?? last;
      sequenceNumber = (await store.send(queue, entries)).sent.at(-1)?.sequenceNumber ?? '';
    }
    const name = { id: last.id, group: 'a' };
    const looked = await commandsOf(() => store.named.lookUp(queue, [name], 1_000));
    expect(looked.filter((command) => command === 'zrange')).toHaveLength(20);
    expect((await store.named.lookUp(queue, [name], 1_000)).found[0]).not.toHaveProperty('state');
    const { found } = await store.named.lookUp(queue, [{ ...name, sequenceNumber }], 1_000);
    expect(found).toMatchObject([{ state: 'visible', sequenceNumber }]);
  });
});

describe('calls of one turn of the event loop', () => {
  it('reach the server in few reads, however many they are', async () => {
    const queue = newQueue(false);
    await store.send(queue, many(1));
    const reads = async (): Promise<number> =>
      Number(/total_reads_processed:(\d+)/.exec(await admin.info('stats'))?.[1]);
    const before = await reads();
    await Promise.all(Array.from({ length: 200 }, () => store.send(queue, many(1))));
    // The server reads 16 KiB at a time.
    expect((await reads()) - before).toBeLessThan(50);
    expect((await store.depth(queue)).visible).toBe(201);
  });
});

describe('a store alone on a server', () => {
  let lonely: RedisServer;
  let itsAdmin: Redis;
  let itsStore: RedisStore;
  const itsTime = new ManualTime();

  beforeAll(async () => {
    lonely = await RedisServer.start();
    itsAdmin = new Redis(lonely.url);
    itsStore = await RedisStore.open({
      urls: [lonely.url],
      instanceId: 'alone',
      time: itsTime,
      randomness: systemRandomness,
    });
    await settled('start');
  });
  afterAll(async () => {
    await itsStore.close();
    itsAdmin.disconnect();
    await lonely.stop();
  });

  /** Publishes something and waits until the store has heard it, and so everything that was published before. */
  const settled = async (name: string): Promise<void> => {
    const heard = new Promise<void>((resolve) => {
      const stop = itsStore.subscribe((signal) => {
        if (signal.kind !== 'document' || signal.name !== name) return;
        stop();
        resolve();
      });
    });
    await itsAdmin.publish('karin:signals', `d${name}`);
    await heard;
  };

  it('takes the time of the server, with one command', async () => {
    const queue = newQueue(false);
    await itsStore.send(queue, many(1));
    await itsStore.depth(queue);
    const commands = await commandsOf(() => itsStore.depth(queue), itsAdmin);
    expect(commands.filter((command) => command === 'time')).toEqual(['time']);
  });

  it('says what a look at depths cost, to the command', async () => {
    const [used, fifo, ...empty] = [newQueue(false), newQueue(true), newQueue(false), newQueue(true)] as const;
    await itsStore.send(used, many(1));
    await itsStore.send(fifo, inA(1));
    await itsStore.depths([used]);
    for (const queues of [[used, fifo, ...empty], empty]) {
      let said = 0;
      const counted = await commandsOf(async () => {
        said = (await itsStore.depths(queues)).commands;
      }, itsAdmin);
      expect(counted).toHaveLength(said);
    }
  });

  it('sends one canary every ten minutes while it is idle, and nothing else', async () => {
    const commands = await commandsOf(async () => {
      for (let tick = 0; tick < 144; tick += 1) {
        itsTime.advance(600_000);
        await settled(`tick ${tick}`);
      }
    }, itsAdmin);
    const [canaries, ours] = [144, 144];
    expect(commands).toEqual(Array.from({ length: canaries + ours }, () => 'publish'));
  });

  it('does not ask Redis how it is more than once while nothing happens', async () => {
    await itsStore.peek(newQueue(false));
    const commands = await commandsOf(async () => {
      for (let probe = 0; probe < 5; probe += 1) await itsStore.health();
    }, itsAdmin);
    expect(commands).toEqual(['info']);
  });
});

describe('memory', () => {
  const MESSAGES = 20_000;
  const RECORD_BYTES = 300;

  const bytesPerMessage = async (fifo: boolean): Promise<number> => {
    const used = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
    const before = await used();
    const queue = newQueue(fifo);
    for (let sent = 0; sent < MESSAGES; sent += 500) {
      const batch = many(500, { record: Buffer.alloc(RECORD_BYTES, 'x') });
      await store.send(
        queue,
        fifo ? batch.map((one, index) => ({ ...one, group: `group${(sent + index) % 1_000}` })) : batch,
      );
    }
    const after = await used();
    await store.purge(queue);
    return (after - before) / MESSAGES;
  };

  it('takes no more than 250 bytes for a message beside its record', async () => {
    expect((await bytesPerMessage(false)) - RECORD_BYTES).toBeLessThanOrEqual(250);
  });

  it('takes no more than 250 bytes for a FIFO message beside its record and group', async () => {
    expect((await bytesPerMessage(true)) - RECORD_BYTES - 'group500'.length).toBeLessThanOrEqual(250);
  });

  it('keeps no more of a message that was given back than of one that was received', async () => {
    const queue = newQueue(false);
    const count = 2_000;
    for (let sent = 0; sent < count; sent += 500) await store.send(queue, many(500));
    const bytes = async () => Number(await admin.memory('USAGE', queueKeys(queue.key).receives, 'SAMPLES', 0)) / count;
    const { leased: held } = await store.receive(queue, { maxMessages: count, maxBytes: 1e9, leaseMs: 1_000 });
    const received = await bytes();
    expect(held).toHaveLength(count);
    await store.release(queue, held);
    expect(await bytes()).toBeLessThanOrEqual(received);
  });
});
