/** What instances on one Redis hear of each other, and that nothing is missed without a `gap`. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseChannelMessage } from '../../runtime/store/redis/keys.ts';
import { RedisStore, type RedisStoreOptions } from '../../runtime/store/redis/redis-store.ts';
import { Membership } from '../../runtime/store/redis/wake-channel.ts';
import type { Signal, Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';
import { RedisProxy } from './redis-proxy.ts';

let server: RedisServer;
let admin: Redis;
const opened: RedisStore[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  admin = new Redis(server.url);
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
});
afterAll(async () => {
  admin.disconnect();
  await server.stop();
});

async function open(instanceId: string, options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = await RedisStore.open({
    urls: [server.url],
    instanceId,
    time: systemTime,
    randomness: systemRandomness,
    ...options,
  });
  opened.push(store);
  return store;
}

/** The next signal that passes the test. */
function next(store: Store, test: (signal: Signal) => boolean): Promise<Signal> {
  return new Promise((resolve) => {
    const stop = store.subscribe((signal) => {
      if (!test(signal)) return;
      stop();
      resolve(signal);
    });
  });
}

/** Resolves when `to` has heard everything that `from` has published so far. */
async function afterwards(from: Store, to: Store): Promise<void> {
  const name = `afterwards:${crypto.randomUUID()}`;
  const heard = [from, to].map((store) => next(store, (signal) => signal.kind === 'document' && signal.name === name));
  await from.documents.put(name, 'x');
  await Promise.all(heard);
}

const instances =
  (...ids: string[]) =>
  (signal: Signal): boolean =>
    signal.kind === 'instances' && signal.ids.join() === ids.join();

const isGap = (signal: Signal): boolean => signal.kind === 'gap';

describe('wakes', () => {
  it('reach the other instances, and not the one whose call it was', async () => {
    const [one, two] = [await open('one'), await open('two')];
    const heardByOne: Signal[] = [];
    one.subscribe((signal) => heardByOne.push(signal));
    const [queue, last] = [newQueue(false), newQueue(false)];
    const heardByTwo = next(two, (signal) => signal.kind === 'wake');
    await one.send(queue, [entry({ delayMs: 60_000 })]);
    const heard = await heardByTwo;
    expect(heard).toEqual({ kind: 'wake', queue: queue.key, dueInMs: 60_000 });
    const lastByOne = next(one, (signal) => signal.kind === 'wake');
    await two.send(last, [entry()]);
    expect(await lastByOne).toEqual({ kind: 'wake', queue: last.key, dueInMs: 0 });
    expect(heardByOne.filter(({ kind }) => kind === 'wake')).toHaveLength(1);
  });

  it('are kept apart by database', async () => {
    const [zero, first] = [await open('zero'), await open('first', { urls: [`${server.url}/1`] })];
    const queue = newQueue(false);
    await zero.send(queue, [entry()]);
    expect(await first.peek(queue)).toBeUndefined();
    const other = await open('other', { urls: [`${server.url}/1`] });
    const heard = next(first, (signal) => signal.kind === 'wake');
    const mine = newQueue(false);
    await other.send(mine, [entry()]);
    expect(await heard).toMatchObject({ queue: mine.key });
  });
});

describe('a lost subscription', () => {
  it('is replaced, and followed by a gap after which wakes arrive again', async () => {
    const [one, two] = [await open('one'), await open('two')];
    const gap = next(one, isGap);
    const clients = String(await admin.call('CLIENT', 'LIST', 'TYPE', 'pubsub'));
    const id = /^id=(\d+) .*name=karin-one-signals/m.exec(clients)?.[1];
    expect(await admin.call('CLIENT', 'KILL', 'ID', Number(id))).toBe(1);
    await gap;
    const queue = newQueue(false);
    const wake = next(one, (signal) => signal.kind === 'wake');
    await two.send(queue, [entry()]);
    expect(await wake).toMatchObject({ queue: queue.key });
  });

  it('is found out by the canary when nobody closes the connection', async () => {
    const proxy = await RedisProxy.start(server.port);
    const time = new ManualTime();
    const store = await open('deaf', { urls: [proxy.url], time });
    proxy.deafenSubscribers();
    const gap = next(store, isGap);
    time.advance(600_000);
    // The ping has gone out; ten seconds later it counts as lost, and after a pause the connection is replaced.
    time.advance(10_000);
    time.advance(1_000);
    await gap;
    await store.close();
    await proxy.stop();
  });

  it('keeps a subscription whose canary comes back', async () => {
    const time = new ManualTime();
    const store = await open('healthy', { time });
    const gaps: Signal[] = [];
    store.subscribe((signal) => {
      if (isGap(signal)) gaps.push(signal);
    });
    for (let tick = 0; tick < 3; tick += 1) {
      // This comes after the ping on the same connection: when it is heard, so was the ping.
      const heard = next(store, (signal) => signal.kind === 'document' && signal.name === 'healthy');
      await store.documents.put('healthy', String(tick));
      await heard;
      time.advance(600_000 - 10_000);
      expect(time.pending).toBe(1);
      time.advance(10_000);
    }
    expect(gaps).toEqual([]);
  });
});

describe('timers', () => {
  it('are one while a store is idle, and none once it is closed', async () => {
    for (let round = 0; round < 5; round += 1) {
      const time = new ManualTime();
      const store = await open(`timers${round}`, { time });
      const heard = next(store, (signal) => signal.kind === 'document' && signal.name === 'timers');
      await store.documents.put('timers', String(round));
      await heard;
      expect(time.pending).toBe(1);
      await store.close();
      expect(time.pending).toBe(0);
    }
  });
});

describe('instances', () => {
  it('know each other at once, newcomers too, and notice who leaves', async () => {
    const one = await open('i1');
    const both = next(one, instances('i1', 'i2'));
    const two = await open('i2');
    const bothByTwo = next(two, instances('i1', 'i2'));
    await Promise.all([both, bothByTwo]);
    const alone = next(one, instances('i1'));
    await two.close();
    await alone;
  });

  it('are told to whoever subscribes late', async () => {
    const one = await open('l1');
    const known = next(one, instances('l1', 'l2'));
    await open('l2');
    await known;
    expect(await next(one, (signal) => signal.kind === 'instances')).toEqual({ kind: 'instances', ids: ['l1', 'l2'] });
  });

  it('drop out after two and a half intervals of silence', () => {
    const time = new ManualTime();
    const changes: (readonly string[])[] = [];
    const membership = new Membership('b', time, 2_500, (ids) => changes.push(ids));
    expect(membership.heard('b')).toBe(false);
    expect(membership.heard('c')).toBe(true);
    expect(membership.heard('a')).toBe(true);
    time.advance(2_000);
    expect(membership.heard('a')).toBe(false);
    time.advance(2_499);
    expect(membership.ids).toEqual(['a', 'b']);
    time.advance(1);
    expect(changes).toEqual([['b', 'c'], ['a', 'b', 'c'], ['a', 'b'], ['b']]);
    membership.left('a');
    expect(changes).toHaveLength(4);
    membership.heard('d');
    membership.close();
    expect(time.pending).toBe(0);
  });

  it('drop out sooner when they were asked after and did not answer, however often they are asked', () => {
    const time = new ManualTime();
    const changes: (readonly string[])[] = [];
    const membership = new Membership('self', time, 25_000, (ids) => changes.push(ids));
    membership.heard('dead');
    membership.heard('alive');
    membership.doubted('dead', 10_000);
    membership.doubted('alive', 10_000);
    membership.doubted('nobody', 10_000);
    time.advance(9_000);
    membership.heard('alive');
    membership.doubted('dead', 10_000);
    time.advance(1_000);
    expect(changes).toEqual([
      ['dead', 'self'],
      ['alive', 'dead', 'self'],
      ['alive', 'self'],
    ]);
    time.advance(23_999);
    expect(membership.ids).toEqual(['alive', 'self']);
    membership.close();
    expect(time.pending).toBe(0);
  });

  it('that died without a goodbye leave every list ten seconds after one of the others doubted them', async () => {
    const proxy = await RedisProxy.start(server.port);
    const [time, otherTime] = [new ManualTime(), new ManualTime()];
    const [one, two] = [await open('d1', { time }), await open('d2', { time: otherTime })];
    const known = [next(one, instances('d1', 'd2', 'dead')), next(two, instances('d1', 'd2', 'dead'))];
    await open('dead', { urls: [proxy.url] });
    await Promise.all(known);
    await proxy.stop();
    one.doubt('dead');
    await afterwards(one, two);
    const gone = [next(one, instances('d1', 'd2')), next(two, instances('d1', 'd2'))];
    time.advance(10_000);
    otherTime.advance(10_000);
    await Promise.all(gone);
  });

  it('that are there answer a doubt, and stay; they are asked once per interval at most', async () => {
    const listener = new Redis(server.url);
    const questions: string[] = [];
    listener.on('pmessage', (_pattern: string, _channel: string, text: string) => {
      if (text.startsWith('q')) questions.push(text);
    });
    await listener.psubscribe('*');
    const time = new ManualTime();
    const one = await open('e1', { time });
    const known = next(one, instances('e1', 'e2'));
    const two = await open('e2');
    await known;
    const lists: Signal[] = [];
    one.subscribe((signal) => {
      if (signal.kind === 'instances') lists.push(signal);
    });
    for (const milliseconds of [10_000, 589_999, 1]) {
      one.doubt('e2');
      one.doubt('e2');
      one.doubt('unknown');
      await afterwards(one, two);
      await afterwards(two, one);
      time.advance(milliseconds);
    }
    one.doubt('e2');
    await afterwards(one, two);
    expect(questions).toEqual(['qe2', 'qe2']);
    expect(lists).toEqual([{ kind: 'instances', ids: ['e1', 'e2'] }]);
    listener.disconnect();
  });
});

describe('a cluster', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await startRedisCluster();
  });
  afterAll(async () => {
    await cluster.stop();
  });

  it('carries wakes of every node, also after the node that one listened to is gone from the list of subscribers', async () => {
    const [one, two] = [await open('c1', { urls: cluster.urls }), await open('c2', { urls: cluster.urls })];
    const wakesOf = async (): Promise<void> => {
      const queues = Array.from({ length: 12 }, () => newQueue(false));
      const missing = new Set(queues.map(({ key }) => key));
      const all = next(one, (signal) => signal.kind === 'wake' && missing.delete(signal.queue) && missing.size === 0);
      for (const queue of queues) await two.send(queue, [entry()]);
      await all;
    };
    await wakesOf();
    const gap = next(one, isGap);
    for (const node of cluster.nodes) {
      const client = new Redis(node.url);
      await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      client.disconnect();
    }
    await gap;
    await wakesOf();
  });
});

describe('the signal channel', () => {
  it.each([
    ['w1500 r:1:q inst', { kind: 'wake', queue: 'r:1:q', dueInMs: 1_500, instance: 'inst' }],
    ['dname with spaces', { kind: 'document', name: 'name with spaces' }],
    ['sname', { kind: 'slot', name: 'name' }],
    ['pnonce inst', { kind: 'ping', nonce: 'nonce', instance: 'inst' }],
    ['binst', { kind: 'goodbye', instance: 'inst' }],
    ['qinst', { kind: 'question', instance: 'inst' }],
    ['wx r:1:q inst', undefined],
    ['w5', undefined],
    ['pnonce', undefined],
    ['?something of a later version', undefined],
    ['', undefined],
  ])('reads %j', (text, message) => {
    expect(parseChannelMessage(text)).toEqual(message);
  });
});
