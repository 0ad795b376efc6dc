/**
 * FIFO with consumers that crash, delete only a part and give back: nothing is lost, nothing overtakes, and a group has
 * one holder at a time.
 *
 * The schedule is a list of random numbers that decides who acts next and how, on a clock that only the schedule moves.
 */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { idBytes } from '../../runtime/store/redis/calls.ts';
import { queueKeys } from '../../runtime/store/redis/keys.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { LeasedEntry, Store, StoredQueue } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const RUNS = FULL ? 500 : 40;
const GROUPS = 8;
const MESSAGES_PER_GROUP = FULL ? 60 : 25;
const CONSUMERS = 6;
const LEASE_MS = 40;

interface Batch {
  readonly entries: readonly LeasedEntry[];
  readonly endsAt: number;
}

/** Consumers on one queue, with an account of what must hold. */
class Simulation {
  readonly deleted = new Set<string>();
  readonly #store: Store;
  readonly #queue: StoredQueue;
  readonly #time: ManualTime;
  /** For each group, the messages not yet deleted, in order. */
  readonly #waiting = new Map<string, string[]>();
  readonly #batches: (Batch | undefined)[] = Array.from({ length: CONSUMERS }, () => undefined);
  /** For each group, until when somebody may hold messages of it. */
  readonly #heldUntil = new Map<string, number>();

  constructor(store: Store, queue: StoredQueue, time: ManualTime) {
    this.#store = store;
    this.#queue = queue;
    this.#time = time;
  }

  get finished(): boolean {
    return [...this.#waiting.values()].every((ids) => ids.length === 0);
  }

  async send(): Promise<void> {
    for (let message = 0; message < MESSAGES_PER_GROUP; message += 1) {
      const entries = Array.from({ length: GROUPS }, (_, index) => ({
        id: randomUUID(),
        record: Buffer.from('x'),
        delayMs: 0,
        group: `group ${index}`,
      }));
      await this.#store.send(this.#queue, entries);
      for (const { id, group } of entries) this.#waiting.set(group, [...(this.#waiting.get(group) ?? []), id]);
    }
  }

  /** One consumer takes one step. `choice`: any natural number. */
  async step(choice: number): Promise<void> {
    const consumer = choice % CONSUMERS;
    const how = Math.floor(choice / CONSUMERS) % 20;
    const batch = this.#batches[consumer];
    if (batch === undefined) {
      this.#batches[consumer] = await this.#receive(1 + (how % 10));
      return;
    }
    this.#batches[consumer] = undefined;
    // 15 % crash: the lease runs out by itself.
    if (how < 3) return;
    // 20 % delete a part and give the rest back; the others delete all.
    const part = how < 7 ? Math.floor(batch.entries.length / 2) : batch.entries.length;
    await this.#settle(batch, part, how % 2 === 0);
  }

  async #receive(maxMessages: number): Promise<Batch | undefined> {
    const { leased } = await this.#store.receive(this.#queue, { maxMessages, maxBytes: 1_000_000, leaseMs: LEASE_MS });
    const now = this.#time.now();
    const byGroup = new Map<string, string[]>();
    for (const { id, group = '' } of leased) byGroup.set(group, [...(byGroup.get(group) ?? []), id]);
    for (const [group, ids] of byGroup) {
      expect(this.#heldUntil.get(group) ?? 0, `${group} has one holder`).toBeLessThanOrEqual(now);
      expect(ids, `${group} is in order`).toEqual(this.#waiting.get(group)?.slice(0, ids.length));
      this.#heldUntil.set(group, now + LEASE_MS);
    }
    return leased.length === 0 ? undefined : { entries: leased, endsAt: now + LEASE_MS };
  }

  async #settle({ entries, endsAt }: Batch, part: number, release: boolean): Promise<void> {
    const [done, failed] = [entries.slice(0, part), entries.slice(part)];
    const inTime = this.#time.now() < endsAt;
    const { outcomes } = await this.#store.delete(this.#queue, done);
    for (const [index, { id, group = '' }] of done.entries()) {
      if (inTime) expect(outcomes[index]).toBe('done');
      else expect(['expired', 'superseded', 'missing']).toContain(outcomes[index]);
      if (outcomes[index] !== 'done') continue;
      this.deleted.add(id);
      this.#waiting.set(group, this.#waiting.get(group)?.filter((other) => other !== id) ?? []);
    }
    if (failed.length > 0) {
      if (release) await this.#store.release(this.#queue, failed);
      else
        await this.#store.changeVisibility(
          this.#queue,
          failed.map((entry) => ({ ...entry, leaseMs: 0 })),
        );
    }
    if (!inTime) return;
    for (const { group = '' } of entries) this.#heldUntil.set(group, 0);
  }
}

describe('FIFO order', () => {
  const time = new ManualTime();
  let server: RedisServer;
  let redis: RedisStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await RedisStore.open({
      urls: [server.url],
      instanceId: 'fifo',
      time: systemTime,
      randomness: systemRandomness,
      clock: () => time.now(),
    });
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  const positions = fc.array(fc.nat(11), { maxLength: 8 });
  const eviction = fc.record({
    first: fc.nat(9).map((count) => count + 1),
    leaseMs: fc.constantFrom(50, 1_000),
    released: positions,
    evicted: positions,
    receives: fc.constantFrom(1, 2, 10),
    later: fc.constantFrom(1, 2, 4),
  });
  const schedule = fc.infiniteStream(fc.record({ choice: fc.nat(1_000_000), advanceMs: fc.constantFrom(0, 1, 3, 10) }));

  for (const [name, open] of [
    ['Redis', (): Store => redis],
    ['memory', (): Store => new MemoryStore({ time })],
  ] as const) {
    it(`survives crashes and partial deletes in ${name}`, { timeout: FULL ? 3_600_000 : 60_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(schedule, async (steps) => {
          const store = open();
          const queue = newQueue(true);
          const simulation = new Simulation(store, queue, time);
          await simulation.send();
          for (const { choice, advanceMs } of steps) {
            if (simulation.finished) break;
            await simulation.step(choice);
            time.advance(advanceMs);
          }
          expect(simulation.deleted.size).toBe(GROUPS * MESSAGES_PER_GROUP);
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
        }),
        { numRuns: RUNS },
      );
    });
  }

  it('leaves nothing in Redis but the sequence of each queue', async () => {
    const client = new Redis(server.url);
    const keys = await client.keys('*');
    client.disconnect();
    expect(keys.filter((key) => !key.endsWith(':seq'))).toEqual([]);
    expect(keys).toHaveLength(RUNS);
  });

  it('goes on behind messages that an eviction took, in order, and never behind one in flight', {
    timeout: FULL ? 3_600_000 : 60_000,
  }, async () => {
    const client = new Redis(server.url);
    await fc.assert(
      fc.asyncProperty(eviction, async ({ first, leaseMs, released, evicted, receives, later }) => {
        const queue = newQueue(true);
        const send = async (count: number): Promise<readonly { readonly id: string; readonly group: string }[]> => {
          const entries = Array.from({ length: count }, (_, index) => ({
            id: randomUUID(),
            record: Buffer.from('x'),
            delayMs: 0,
            group: `group ${index % 2}`,
          }));
          await redis.send(queue, entries);
          return entries;
        };
        const sent = [...(await send(12))];
        const { leased } = await redis.receive(queue, { maxMessages: first, maxBytes: 1_000, leaseMs });
        const back = leased.filter((_, index) => released.includes(index));
        if (back.length > 0) await redis.release(queue, back);
        const gone = new Set(sent.filter((_, index) => evicted.includes(index)).map(({ id }) => id));
        for (const id of gone) await client.hdel(queueKeys(queue.key).messages, idBytes(id));
        sent.push(...(await send(later)));

        const came: LeasedEntry[] = [];
        const collect = async (): Promise<void> => {
          // Each receive hands something out, or takes away something that was lost.
          for (let rounds = 0; (await redis.peek(queue)) === 0; rounds += 1) {
            expect(rounds, 'receives that come to nothing').toBeLessThan(60);
            const options = { maxMessages: receives, maxBytes: 1_000, leaseMs: 60_000 };
            const got = (await redis.receive(queue, options)).leased;
            if (got.length > 0) await redis.delete(queue, got);
            came.push(...got);
          }
        };
        await collect();
        const all = sent.map(({ id }) => id).filter((id) => !gone.has(id));
        const inFlight = new Set(leased.filter((lease) => !back.includes(lease)).map(({ id }) => id));
        for (const group of ['group 0', 'group 1']) {
          const ids = sent.filter((message) => message.group === group).map(({ id }) => id);
          const stop = ids.findIndex((id) => inFlight.has(id));
          const free = (stop === -1 ? ids : ids.slice(0, stop)).filter((id) => !gone.has(id));
          expect(came.filter((entry) => entry.group === group).map(({ id }) => id)).toEqual(free);
        }
        time.advance(leaseMs);
        await collect();
        expect(came.map(({ id }) => id).toSorted()).toEqual(all.toSorted());
        expect(await redis.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
        expect(await redis.peek(queue)).toBeUndefined();
        await redis.purge(queue);
      }),
      { numRuns: RUNS * 5 },
    );
    client.disconnect();
  });
});
