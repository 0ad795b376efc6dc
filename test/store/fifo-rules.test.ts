/**
 * FIFO queues against a reference written from what AWS documents, with random histories on a clock that only the history moves.
 *
 * - Order: of a group, the messages that stand before the first one in flight may be received, in order; those behind it may not.
 *   https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
 * - Visibility: a message is in flight from a receive until its timeout ends, is changed to 0, or the message is deleted. A receipt handle counts only until then.
 * - Delay: a message that is still delayed is not received, and neither is what stands behind it.
 *
 * Which group comes first is not for AWS to say; the reference asks only that nothing is left behind that could be received.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Lease, Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const HISTORIES = FULL ? 5_000 : 300;

interface Modelled {
  readonly id: string;
  readonly sentAt: number;
  /** When the delay or the visibility timeout ends. */
  visibleAt: number;
  received: number;
  inFlight: boolean;
}

/** The reference: groups of messages in the order in which they were sent. */
class Reference {
  readonly groups = new Map<string, Modelled[]>();

  send(group: string, id: string, now: number, delayMs: number): void {
    const message = { id, sentAt: now, visibleAt: now + delayMs, received: 0, inFlight: false };
    this.groups.set(group, [...(this.groups.get(group) ?? []), message]);
  }

  /** What of the group may be received now, in order. */
  receivable(group: string, now: number): Modelled[] {
    const messages = this.groups.get(group) ?? [];
    const stop = messages.findIndex(({ visibleAt }) => visibleAt > now);
    return stop === -1 ? messages : messages.slice(0, stop);
  }

  /** The message, if the handle still counts. */
  held({ id, receiveCount, group = '' }: Lease, now: number): Modelled | undefined {
    const found = this.groups.get(group)?.find((message) => message.id === id);
    return found?.inFlight === true && found.visibleAt > now && found.received === receiveCount ? found : undefined;
  }

  remove(group: string, gone: (message: Modelled) => boolean): void {
    this.groups.set(group, this.groups.get(group)?.filter((message) => !gone(message)) ?? []);
  }

  /** Milliseconds until any message may be received: the first ones of their groups decide. */
  nextIn(now: number): number | undefined {
    const heads = [...this.groups.values()].flatMap(([head]) => head?.visibleAt ?? []);
    return heads.length === 0 ? undefined : Math.max(0, Math.min(...heads) - now);
  }
}

const groupNames = ['a', 'b', 'c'] as const;
const leaseChoice = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 4 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      call: fc.constant('send' as const),
      groups: fc.array(fc.constantFrom(...groupNames), { minLength: 1, maxLength: 4 }),
      delayMs: fc.constantFrom(0, 0, 0, 500),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      call: fc.constant('receive' as const),
      most: fc.constantFrom(1, 2, 3, 10),
      leaseMs: fc.constantFrom(0, 50, 1_000, 30_000),
      singleGroup: fc.boolean(),
    }),
  },
  { weight: 4, arbitrary: fc.record({ call: fc.constant('delete' as const), chosen: leaseChoice }) },
  {
    weight: 6,
    arbitrary: fc.record({
      call: fc.constant('change' as const),
      chosen: leaseChoice,
      leaseMs: fc.constantFrom(0, 0, 40, 5_000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ call: fc.constant('release' as const), chosen: leaseChoice }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant('expire' as const), ageMs: fc.constantFrom(100, 2_000) }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant('purge' as const) }) },
);
const history = fc.array(fc.record({ step, advanceMs: fc.constantFrom(0, 0, 1, 49, 1_000, 30_000) }), {
  minLength: 5,
  maxLength: FULL ? 120 : 50,
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One queue of a store beside the reference. */
class Comparison {
  readonly #store: Store;
  readonly #time: ManualTime;
  readonly #queue = newQueue(true);
  readonly #reference = new Reference();
  readonly #leases: Lease[] = [];
  #sent = 0;

  constructor(store: Store, time: ManualTime) {
    this.#store = store;
    this.#time = time;
  }

  async take(one: Step): Promise<void> {
    const now = this.#time.now();
    if (one.call === 'send') await this.#send(one.groups, one.delayMs, now);
    else if (one.call === 'receive') await this.#receive(one, now);
    else if (one.call === 'purge') {
      await this.#store.purge(this.#queue);
      this.#reference.groups.clear();
    } else if (one.call === 'expire') await this.#expire(one.ageMs, now);
    else await this.#settle(one, now);
    expect(await this.#store.peek(this.#queue), 'when the next receive finds something').toBe(
      this.#reference.nextIn(now),
    );
  }

  async #send(groups: readonly string[], delayMs: number, now: number): Promise<void> {
    const entries = groups.map((group) => {
      this.#sent += 1;
      const id = `00000000-0000-4000-8000-${String(this.#sent).padStart(12, '0')}`;
      return { id, record: Buffer.from('x'), delayMs, group };
    });
    await this.#store.send(this.#queue, entries);
    for (const { id, group } of entries) this.#reference.send(group, id, now, delayMs);
  }

  async #receive(options: { most: number; leaseMs: number; singleGroup: boolean }, now: number): Promise<void> {
    const { most, leaseMs, singleGroup } = options;
    const { leased } = await this.#store.receive(this.#queue, {
      maxMessages: most,
      maxBytes: 1_000_000,
      leaseMs,
      singleGroup,
    });
    const could = groupNames.map((group) => this.#reference.receivable(group, now));
    const some = singleGroup
      ? could.filter(([head]) => head !== undefined && leased.some(({ id }) => id === head.id))
      : could;
    if (singleGroup && could.flat().length > 0) expect(some).toHaveLength(1);
    expect(leased).toHaveLength(Math.min(most, some.flat().length));
    for (const group of groupNames) {
      const ids = leased.filter((message) => message.group === group).map(({ id }) => id);
      const first = this.#reference.receivable(group, now).slice(0, ids.length);
      expect(ids, `what came of ${group}`).toEqual(first.map(({ id }) => id));
      for (const message of first) {
        message.received += 1;
        message.visibleAt = now + leaseMs;
        message.inFlight = true;
      }
    }
    this.#leases.push(...leased);
  }

  async #settle(one: Extract<Step, { chosen: number[] }>, now: number): Promise<void> {
    const numbers = new Set(one.chosen.map((number) => number % Math.max(1, this.#leases.length)));
    const all = [...numbers].flatMap((number) => this.#leases[number] ?? []);
    const chosen = all.filter(({ id }, index) => all.findIndex((other) => other.id === id) === index);
    if (chosen.length === 0) return;
    const leaseMs = one.call === 'change' ? one.leaseMs : 0;
    const held = chosen.map((lease) => this.#reference.held(lease, now));
    const { outcomes } = await (one.call === 'delete'
      ? this.#store.delete(this.#queue, chosen)
      : one.call === 'release'
        ? this.#store.release(this.#queue, chosen)
        : this.#store.changeVisibility(
            this.#queue,
            chosen.map((lease) => ({ ...lease, leaseMs })),
          ));
    expect(outcomes.map((outcome) => outcome === 'done')).toEqual(held.map((message) => message !== undefined));
    for (const message of held) {
      if (message === undefined) continue;
      message.visibleAt = now + leaseMs;
      if (one.call === 'release') message.received -= 1;
      if (one.call !== 'change') message.inFlight = false;
      if (one.call === 'delete')
        for (const group of groupNames) this.#reference.remove(group, (other) => other === message);
    }
  }

  /** Messages in flight are not removed; one that is neither in flight nor old ends the search in its group. */
  async #expire(ageMs: number, now: number): Promise<void> {
    await this.#store.trim(this.#queue, ageMs, 1_000);
    for (const group of groupNames) {
      this.#reference.remove(group, ({ sentAt, visibleAt }) => visibleAt <= now && sentAt < now - ageMs);
    }
  }
}

describe('the rules of FIFO queues', () => {
  const time = new ManualTime();
  let server: RedisServer;
  let redis: RedisStore;

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await RedisStore.open({
      urls: [server.url],
      instanceId: 'rules',
      time: systemTime,
      randomness: systemRandomness,
      clock: () => time.now(),
    });
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  for (const [name, open] of [
    ['Redis', (): Store => redis],
    ['memory', (): Store => new MemoryStore({ time })],
  ] as const) {
    it(`hold in ${name} whatever the history`, { timeout: FULL ? 3_600_000 : 60_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(history, async (steps) => {
          const comparison = new Comparison(open(), time);
          for (const one of steps) {
            await comparison.take(one.step);
            time.advance(one.advanceMs);
          }
        }),
        { numRuns: HISTORIES },
      );
    });

    it(`give back the first of three messages in flight at once in ${name}`, async () => {
      const [store, queue] = [open(), newQueue(true)];
      const entries = ['a', 'b', 'c'].map((text, index) => ({
        id: `00000000-0000-4000-8000-00000000000${index}`,
        record: Buffer.from(text),
        delayMs: 0,
        group: 'g',
      }));
      await store.send(queue, entries);
      const options = { maxMessages: 10, maxBytes: 1_000, leaseMs: 1_000 };
      const { leased } = await store.receive(queue, options);
      expect(leased).toHaveLength(3);
      await store.changeVisibility(
        queue,
        leased.slice(0, 1).map((lease) => ({ ...lease, leaseMs: 0 })),
      );
      expect((await store.receive(queue, options)).leased.map(({ id }) => id)).toEqual([leased[0]?.id]);
      await store.changeVisibility(
        queue,
        leased.slice(2).map((lease) => ({ ...lease, leaseMs: 5_000 })),
      );
      time.advance(1_500);
      expect((await store.receive(queue, options)).leased.map(({ id }) => id)).toEqual([leased[0]?.id, leased[1]?.id]);
    });
  }
});
