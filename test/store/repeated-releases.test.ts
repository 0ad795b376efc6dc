/**
 * Releases that are repeated, at any time and any number of times, because their answers were lost.
 *
 * Of a history whose steps are receives, releases and waits, the reference knows each lease: whose last one it is,
 * whether it runs, whether it was given back. A release may change something only if its lease is the last one of the
 * message and was not given back; any other leaves everything as it was, to the millisecond. The receive count is the
 * number of leases that were not given back.
 *
 * An older server is imitated as it wrote the receive history: the count first, less one after a release.
 */
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReceiptHandles } from '../../runtime/queue/receipt-handle.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { shortIdBytes } from '../../runtime/store/redis/calls.ts';
import { queueKeys } from '../../runtime/store/redis/keys.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { BrowsedEntry, Lease, LeasedEntry, Store, StoredQueue } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { entry, leases, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const HISTORIES = FULL ? 3_000 : 150;
const MESSAGES = 3;
const LEASE_MS = 1_000;

const time = new ManualTime();
let server: RedisServer;
let admin: Redis;
let redis: RedisStore;

beforeAll(async () => {
  server = await RedisServer.start();
  admin = new Redis(server.url);
  redis = await RedisStore.open({
    urls: [server.url],
    instanceId: 'repeats',
    time: systemTime,
    randomness: systemRandomness,
    clock: () => time.now(),
  });
});
afterAll(async () => {
  await redis.close();
  admin.disconnect();
  await server.stop();
});

/** A lease that was handed out, and by whom. */
interface Held {
  readonly lease: Lease;
  readonly endsAt: number;
  readonly byOlder: boolean;
  givenBack: boolean;
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ call: fc.constant('receive' as const), most: fc.integer({ min: 1, max: MESSAGES }) }),
  },
  { weight: 6, arbitrary: fc.record({ call: fc.constant('release' as const), which: fc.nat(1_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ call: fc.constant('wait' as const), ms: fc.constantFrom(1, LEASE_MS - 1, LEASE_MS) }),
  },
);
const olderStep = fc.oneof(
  { weight: 2, arbitrary: fc.record({ call: fc.constant('older receive' as const), which: fc.nat(1_000) }) },
  { weight: 2, arbitrary: fc.record({ call: fc.constant('older release' as const), which: fc.nat(1_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type OlderStep = typeof olderStep extends fc.Arbitrary<infer T> ? T : never;

/** A queue with some messages beside what the reference knows of their leases, oldest first. */
class History {
  readonly #store: Store;
  readonly #queue: StoredQueue;
  /** Of standard queues in Redis. */
  readonly #older: OlderServer;
  readonly held: Held[] = [];

  constructor(store: Store, queue: StoredQueue) {
    this.#store = store;
    this.#queue = queue;
    this.#older = new OlderServer(queue);
  }

  async begin(): Promise<void> {
    const groups = Array.from({ length: MESSAGES }, (_, index) => (this.#queue.fifo ? { group: `g${index}` } : {}));
    await this.#store.send(
      this.#queue,
      groups.map((group) => entry(group)),
    );
  }

  /** The messages by id, as they are looked at. */
  async seen(): Promise<ReadonlyMap<string, BrowsedEntry>> {
    const found = await this.#store.browse(this.#queue, { limit: 10, maxBytes: 10_000 });
    return new Map(found.map((one) => [one.id, one]));
  }

  /** Leases of a message that were not given back: how often it was received. */
  counted(id: string): number {
    return this.held.filter(({ lease, givenBack }) => lease.id === id && !givenBack).length;
  }

  async take(one: Step | OlderStep): Promise<void> {
    const now = time.now();
    if (one.call === 'wait') time.advance(one.ms);
    else if (one.call === 'receive') {
      const { leased } = await this.#store.receive(this.#queue, {
        maxMessages: one.most,
        maxBytes: 10_000,
        leaseMs: LEASE_MS,
      });
      for (const lease of leased) this.#hold(lease, false);
    } else if (one.call === 'release') await this.#release(this.held[one.which % Math.max(1, this.held.length)], now);
    else if (one.call === 'older receive') await this.#receiveByOlder(one.which);
    else await this.#releaseByOlder(this.held[one.which % Math.max(1, this.held.length)], now);
  }

  async #release(held: Held | undefined, now: number): Promise<void> {
    if (held === undefined || held.byOlder) return;
    const before = await this.seen();
    const last = this.held.findLast(({ lease }) => lease.id === held.lease.id);
    const { outcomes } = await this.#store.release(this.#queue, [held.lease]);
    // Where an older server took its lease back, the message looks as if it had never had it: nobody is harmed.
    if (last !== held && last?.byOlder === true && last.givenBack) {
      if (outcomes[0] === 'done') held.givenBack = true;
      return;
    }
    const runs = held.endsAt > now;
    if (last === held && !held.givenBack && (runs || !this.#queue.fifo)) {
      held.givenBack = true;
      expect(outcomes).toEqual(['done']);
    } else {
      expect(outcomes).toEqual([last === held ? (held.givenBack ? 'done' : 'expired') : 'superseded']);
      expect(await this.seen(), 'what a release that must change nothing left').toEqual(before);
    }
  }

  async #receiveByOlder(which: number): Promise<void> {
    const due = [...(await this.seen()).values()].filter(({ state }) => state === 'visible');
    const message = due[which % Math.max(1, due.length)];
    if (message !== undefined) this.#hold(await this.#older.receive(message.id), true);
  }

  /** Once for each of its leases, and only while nobody has received the message since. */
  async #releaseByOlder(held: Held | undefined, now: number): Promise<void> {
    if (held === undefined || !held.byOlder || held.givenBack || held.endsAt <= now) return;
    await this.#older.release(held.lease);
    held.givenBack = true;
  }

  #hold(lease: Lease | LeasedEntry, byOlder: boolean): void {
    const [bare = lease] = 'record' in lease ? leases(lease) : [lease];
    this.held.push({ lease: bare, endsAt: time.now() + LEASE_MS, byOlder, givenBack: false });
  }
}

/** Reads and writes the receive history of a message without a group as versions before the lease numbers did. */
class OlderServer {
  readonly #keys: { readonly due: string; readonly receives: string };

  constructor({ key }: StoredQueue) {
    this.#keys = queueKeys(key);
  }

  async receive(id: string): Promise<Lease> {
    const [, count = '0', first = String(time.now())] = await this.#read(id);
    const leaseNumber = Number(count) + 1;
    await this.#write(id, `${leaseNumber}:${first}`, time.now() + LEASE_MS);
    return { id, leaseNumber };
  }

  async release({ id, leaseNumber }: Lease): Promise<void> {
    const [, count = '0', first = ''] = await this.#read(id);
    if (Number(count) !== leaseNumber) return;
    await this.#write(id, leaseNumber > 1 ? `${leaseNumber - 1}:${first}` : undefined, time.now());
  }

  async #read(id: string): Promise<readonly string[]> {
    const history = await admin.hget(this.#keys.receives, shortIdBytes(id));
    return /^(\d+):(\d+):?(.*)$/.exec(history ?? '') ?? [];
  }

  async #write(id: string, history: string | undefined, dueAt: number): Promise<void> {
    if (history === undefined) await admin.hdel(this.#keys.receives, shortIdBytes(id));
    else await admin.hset(this.#keys.receives, shortIdBytes(id), history);
    await admin.zadd(this.#keys.due, 'XX', dueAt, shortIdBytes(id));
  }
}

const histories = <T>(steps: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> =>
  fc.array(steps, { minLength: 5, maxLength: 40, size: 'max' });

describe('a repeated release', () => {
  for (const [name, fifo] of [
    ['standard', false],
    ['FIFO', true],
  ] as const) {
    for (const where of ['Redis', 'memory']) {
      it(`harms no later lease and undoes one receive, whenever it comes: a ${name} queue in ${where}`, {
        timeout: FULL ? 3_600_000 : 60_000,
      }, async () => {
        await fc.assert(
          fc.asyncProperty(histories(step), async (steps) => {
            const history = new History(where === 'Redis' ? redis : new MemoryStore({ time }), newQueue(fifo));
            await history.begin();
            for (const one of steps) {
              await history.take(one);
              for (const { id, receiveCount } of (await history.seen()).values()) {
                expect(receiveCount).toBe(history.counted(id));
              }
            }
          }),
          { numRuns: HISTORIES },
        );
      });
    }
  }

  it('harms no lease of an older server on the same Redis, and takes no receive from the count that a function saw', {
    timeout: FULL ? 3_600_000 : 60_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(histories(fc.oneof<[typeof step, typeof olderStep]>(step, olderStep)), async (steps) => {
        const history = new History(redis, newQueue(false));
        await history.begin();
        for (const one of steps) {
          await history.take(one);
          for (const { id, receiveCount } of (await history.seen()).values()) {
            expect(receiveCount).toBeGreaterThanOrEqual(history.counted(id));
          }
        }
      }),
      { numRuns: HISTORIES },
    );
  });
});

describe('what older servers left in Redis', () => {
  const receive = async (queue: StoredQueue): Promise<LeasedEntry> => {
    const [held] = (await redis.receive(queue, { maxMessages: 1, maxBytes: 1_000, leaseMs: LEASE_MS })).leased;
    if (held === undefined) throw new Error('a message was expected and none was received');
    return held;
  };
  /** A message with the history that an older server wrote, under the lease that it gave. */
  const leasedByOlder = async (fifo: boolean, group?: string): Promise<{ queue: StoredQueue; lease: Lease }> => {
    const queue = newQueue(fifo);
    await redis.send(queue, [entry(group === undefined ? {} : { group })]);
    const held = await receive(queue);
    const { receives } = queueKeys(queue.key);
    const [field = Buffer.alloc(0)] = await admin.hkeysBuffer(receives);
    await admin.hset(receives, field, `3:${time.now()}${group === undefined || fifo ? '' : `:${group}`}`);
    const [lease] = leases({ ...held, leaseNumber: 3 });
    if (lease === undefined) throw new Error('a lease was expected');
    return { queue, lease };
  };

  for (const [what, fifo, group] of [
    ['without a group', false, undefined],
    ['with a group that looks like a part of the history', false, '-7*:3:5'],
    ['of a FIFO queue', true, 'g'],
  ] as const) {
    it(`is understood: the lease of a message ${what} holds, and its receives are counted`, async () => {
      const { queue, lease } = await leasedByOlder(fifo, group);
      const firstReceivedAt = time.now();
      const moved = await redis.changeVisibility(queue, [{ ...lease, leaseMs: 500 }]);
      expect(moved.outcomes).toEqual(['done']);
      const options = { limit: 1, maxBytes: 1_000 };
      expect(await redis.browse(queue, options)).toMatchObject([{ receiveCount: 3, state: 'in-flight', dueInMs: 500 }]);
      expect((await redis.release(queue, [lease])).outcomes).toEqual(['done']);
      expect((await redis.release(queue, [lease])).outcomes).toEqual(['done']);
      expect(await redis.browse(queue, options)).toMatchObject([{ receiveCount: 2, firstReceivedAt }]);
      time.advance(1);
      const held = await receive(queue);
      expect(held).toMatchObject({ leaseNumber: 4, receiveCount: 3, firstReceivedAt });
      expect(held.group).toBe(group);
      expect((await redis.delete(queue, [lease])).outcomes).toEqual(['superseded']);
      expect((await redis.delete(queue, leases(held))).outcomes).toEqual(['done']);
      expect(await redis.peek(queue)).toBeUndefined();
      expect(await admin.exists(queueKeys(queue.key).receives)).toBe(0);
    });
  }

  it('and the receipt handles that they gave out are leases here', async () => {
    const { queue, lease } = await leasedByOlder(false);
    const handles = createReceiptHandles(Buffer.alloc(32, 7));
    // Version, id, receive count 3, time of the receive, MAC: as an older server issued it.
    const id = lease.id.replaceAll('-', '');
    const issued = Buffer.concat([Buffer.from(`01${id}00000003`, 'hex'), Buffer.alloc(6)]);
    const own = Buffer.from(handles.issue(queue.key, { ...lease, receivedAt: 0 }), 'base64url');
    expect(own.subarray(0, issued.length)).toEqual(issued);
    const receipt = handles.read(queue.key, own.toString('base64url'));
    if (receipt === undefined) throw new Error('a receipt was expected');
    expect((await redis.delete(queue, [receipt])).outcomes).toEqual(['done']);
  });
});
