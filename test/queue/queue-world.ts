/**
 * Queues over a real store for tests, in memory and in Redis, with a clock that stands still unless the test moves it.
 *
 * @module
 */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../runtime/queue/definition.ts';
import type { OutgoingMessage } from '../../runtime/queue/message.ts';
import { formatQueueArn, type QueueArn } from '../../runtime/queue/names.ts';
import type { Queue, QueueEvent } from '../../runtime/queue/queue.ts';
import { createDirectory, type DirectoryOptions, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

export type StoreKind = 'memory' | 'redis';

const ACCOUNT = '123456789012';

export function arn(name: string): QueueArn {
  return { partition: 'aws', region: 'eu-west-1', account: ACCOUNT, name };
}

export function attributes(overrides: Partial<QueueAttributes> = {}): QueueAttributes {
  return { ...DEFAULT_ATTRIBUTES, ...overrides };
}

/** A message to send. */
export function message(body: string, overrides: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: crypto.randomUUID(), body, attributes: {}, senderId: 'AIDAIENQZJOLO23YVJ4VO', ...overrides };
}

/** What one instance has: its directory, and what it was told. */
export interface Instance {
  readonly store: Store;
  readonly directory: StoredDirectory;
  readonly events: readonly QueueEvent[];
}

export class QueueWorld implements Instance {
  readonly kind: StoreKind;
  readonly time: ManualTime;
  readonly store: Store;
  readonly directory: StoredDirectory;
  readonly events: readonly QueueEvent[];
  readonly redis: RedisServer | undefined;
  readonly #close: (() => Promise<void> | void)[];

  private constructor(kind: StoreKind, time: ManualTime, redis: RedisServer | undefined, first: Instance) {
    this.kind = kind;
    this.time = time;
    this.redis = redis;
    this.store = first.store;
    this.directory = first.directory;
    this.events = first.events;
    this.#close = [() => first.store.close(), () => first.directory.close()];
  }

  static async open(
    kind: StoreKind,
    redis: RedisServer | undefined,
    options: Partial<DirectoryOptions>,
  ): Promise<QueueWorld> {
    const time = new ManualTime();
    const store = await openStore(kind, redis, time);
    return new QueueWorld(kind, time, redis, await openInstance(store, time, options));
  }

  /** Another process on the same data. In memory both share one store, which signals to both. */
  async another(options: Partial<DirectoryOptions> = {}): Promise<Instance> {
    const store = this.kind === 'memory' ? this.store : await openStore(this.kind, this.redis, this.time);
    const instance = await openInstance(store, this.time, options);
    this.#close.push(
      () => store.close(),
      () => instance.directory.close(),
    );
    return instance;
  }

  /** Creates a queue; FIFO if the name says so. */
  async queue(name: string, overrides: Partial<QueueAttributes> = {}): Promise<StoredQueue> {
    await this.directory.create(arn(name), attributes(overrides), {});
    return existing(this.directory, name);
  }

  /** Creates a queue whose messages go to `target` after `maxReceiveCount` receives. */
  queueWithDeadLetters(
    name: string,
    target: Queue,
    maxReceiveCount: number,
    overrides: Partial<QueueAttributes> = {},
  ): Promise<StoredQueue> {
    const redrivePolicy = { deadLetterTargetArn: formatQueueArn(target.arn), maxReceiveCount };
    return this.queue(name, { ...overrides, redrivePolicy });
  }

  async close(): Promise<void> {
    for (const close of this.#close.reverse()) await close();
  }
}

/** The queue of this name in a directory that has it. */
export function existing(directory: StoredDirectory, name: string): StoredQueue {
  const queue = directory.byKey(`eu-west-1:${ACCOUNT}:${name}`);
  if (queue === undefined) throw new Error(`there is no queue ${name}`);
  return queue;
}

/** Resolves when the directory reports that `matches` holds, at once if it does already. */
export function settled(directory: StoredDirectory, matches: () => boolean): Promise<void> {
  if (matches()) return Promise.resolve();
  return new Promise((resolve) => {
    const unsubscribe = directory.subscribe(() => {
      if (!matches()) return;
      unsubscribe();
      resolve();
    });
  });
}

/** Resolves when the queue is next due. */
export function woken(queue: Queue): Promise<void> {
  return new Promise((resolve) => {
    const unsubscribe = queue.watch.subscribe(() => {
      unsubscribe();
      resolve();
    });
  });
}

/** Resolves when all signals published so far have been delivered. */
export async function signalsDelivered(store: Store): Promise<void> {
  const name = `mark ${crypto.randomUUID()}`;
  const delivered = new Promise<void>((resolve) => {
    const unsubscribe = store.subscribe((signal) => {
      if (signal.kind !== 'document' || signal.name !== name) return;
      unsubscribe();
      resolve();
    });
  });
  await store.documents.put(name, '');
  await delivered;
}

/** Lets everything that waits for no input or output run. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export type OpenWorld = (options?: Partial<DirectoryOptions>) => Promise<QueueWorld>;

/**
 * Runs a suite against memory and against a real Redis server; worlds are closed, and Redis is emptied, after each
 * test.
 */
export function forEachStore(name: string, suite: (open: OpenWorld, kind: StoreKind) => void): void {
  forStores(['memory', 'redis'], name, suite);
}

/** The same, against some of them. */
export function forStores(
  kinds: readonly StoreKind[],
  name: string,
  suite: (open: OpenWorld, kind: StoreKind) => void,
): void {
  describe.each<StoreKind>(kinds)(`${name} (%s)`, (kind) => {
    let redis: RedisServer | undefined;
    let worlds: QueueWorld[] = [];

    beforeAll(async () => {
      if (kind === 'redis') redis = await RedisServer.start();
    });
    afterEach(async () => {
      const open = worlds;
      worlds = [];
      for (const world of open) await world.close();
      if (redis !== undefined) await empty(redis);
    });
    afterAll(async () => {
      await redis?.stop();
    });

    suite(async (options = {}) => {
      const world = await QueueWorld.open(kind, redis, options);
      worlds.push(world);
      return world;
    }, kind);
  });
}

async function openInstance(store: Store, time: ManualTime, options: Partial<DirectoryOptions>): Promise<Instance> {
  const events: QueueEvent[] = [];
  const directory = await createDirectory({
    store,
    time,
    randomness: systemRandomness,
    notify: (event) => events.push(event),
    ...options,
  });
  return { store, directory, events };
}

async function openStore(kind: StoreKind, redis: RedisServer | undefined, time: ManualTime): Promise<Store> {
  if (kind === 'memory') return new MemoryStore({ time });
  if (redis === undefined) throw new Error('no Redis server runs');
  return RedisStore.open({
    urls: [redis.url],
    instanceId: crypto.randomUUID(),
    // Its pings must come back in real time, whatever the test does to the clock of the store.
    time: systemTime,
    randomness: systemRandomness,
    clock: () => time.now(),
  });
}

async function empty(server: RedisServer): Promise<void> {
  const client = new Redis(server.url);
  await client.flushall();
  client.disconnect();
}
