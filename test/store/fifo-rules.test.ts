/**
 * FIFO queues against a reference written from what AWS documents, with random histories on a clock that only the
 * history moves.
 *
 * - Order: of a group, the messages that stand before the first one in flight may be received, in order; those behind
 *   it may not.
 *   https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
 * - Visibility: a message is in flight from a receive until its timeout ends, is changed to 0, or the message is
 *   deleted. A receipt handle counts only until then.
 * - Delay: a message that is still delayed is not received, and neither is what stands behind it.
 * - Deduplication: a key that was accepted within five minutes is answered with the first message, and nothing is
 *   stored, whatever became of that message.
 * - Dead letters: moved by a send under the same id and a delete, of which the second may fail and be repeated. A
 *   repeated move stores nothing twice; a message that came back is another one.
 *
 * Which group comes first is not for AWS to say; the reference asks only that nothing is left behind that could be
 * received.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import {
  DEDUPLICATION_WINDOW_MS,
  type Lease,
  type LeasedEntry,
  type Store,
  type StoredQueue,
} from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const HISTORIES = FULL ? 5_000 : 200;

interface Modelled {
  readonly id: string;
  /** As the store numbered it: an id that comes back is another message. */
  readonly sequence: string;
  readonly sentAt: number;
  /** When the delay or the visibility timeout ends. */
  visibleAt: number;
  received: number;
  /** The number of its last lease. */
  leased: number;
  givenBack: boolean;
  inFlight: boolean;
}

interface Sending {
  readonly group: string;
  readonly id: string;
  readonly delayMs: number;
  readonly key?: string;
  /** Receives in the queue that it comes from. */
  readonly received?: number;
}

/** The reference: groups of messages in the order in which they were sent. */
class Reference {
  readonly groups = new Map<string, Modelled[]>();
  /** `purged`: counts for the message itself only. */
  readonly #accepted = new Map<string, { readonly at: number; readonly id: string; readonly purged: boolean }>();

  /** The id that the answer names. */
  send({ group, id, delayMs, key, received = 0 }: Sending, sequence: string, now: number): string {
    const messages = this.groups.get(group) ?? [];
    if (messages.some((message) => message.id === id)) return id;
    const earlier = key === undefined ? undefined : this.#accepted.get(key);
    if (earlier !== undefined && now - earlier.at < DEDUPLICATION_WINDOW_MS) {
      if (earlier.id === id || !earlier.purged) return earlier.id;
    }
    if (key !== undefined) this.#accepted.set(key, { at: now, id, purged: false });
    const message = { id, sequence, sentAt: now, visibleAt: now + delayMs, received };
    this.groups.set(group, [...messages, { ...message, leased: received, givenBack: false, inFlight: false }]);
    return id;
  }

  /** What of the group may be received now, in order. */
  receivable(group: string, now: number): Modelled[] {
    const messages = this.groups.get(group) ?? [];
    const stop = messages.findIndex(({ visibleAt }) => visibleAt > now);
    return stop === -1 ? messages : messages.slice(0, stop);
  }

  /** The message, if the handle still counts. */
  held(lease: Lease, now: number): Modelled | undefined {
    const found = this.#under(lease);
    return found?.inFlight === true && found.visibleAt > now ? found : undefined;
  }

  /** Whether the handle has done its give-back, and nobody has received the message since. */
  isGivenBack(lease: Lease): boolean {
    return this.#under(lease)?.givenBack === true;
  }

  /** The message whose last lease this is. */
  #under({ id, leaseNumber, group = '', sequenceNumber }: Lease): Modelled | undefined {
    const found = this.groups.get(group)?.find((message) => message.id === id && message.sequence === sequenceNumber);
    return found?.leased === leaseNumber ? found : undefined;
  }

  remove(gone: Modelled): void {
    for (const [group, messages] of this.groups) {
      this.groups.set(
        group,
        messages.filter((message) => message !== gone),
      );
    }
  }

  /** Messages in flight are not removed; one that is neither in flight nor old ends the search in its group. */
  expire(ageMs: number, now: number): void {
    for (const messages of this.groups.values()) {
      for (const message of messages) {
        if (message.inFlight && message.visibleAt > now) continue;
        if (message.visibleAt > now || message.sentAt >= now - ageMs) break;
        this.remove(message);
      }
    }
  }

  purge(): void {
    this.groups.clear();
    for (const [key, accepted] of this.#accepted) this.#accepted.set(key, { ...accepted, purged: true });
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
      messages: fc.array(
        fc.record({
          group: fc.constantFrom(...groupNames),
          key: fc.constantFrom(undefined, undefined, 'k1', 'k2', 'k3'),
        }),
        { minLength: 1, maxLength: 4 },
      ),
      delayMs: fc.constantFrom(0, 0, 0, 500),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      call: fc.constant('receive' as const),
      most: fc.constantFrom(1, 2, 3, 10),
      leaseMs: fc.constantFrom(0, 50, 1_000, 30_000),
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
  { weight: 4, arbitrary: fc.record({ call: fc.constant('release' as const), chosen: leaseChoice }) },
  {
    weight: 4,
    arbitrary: fc.record({ call: fc.constant('move' as const), chosen: leaseChoice, dies: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ call: fc.constant('expire' as const), ageMs: fc.constantFrom(100, 2_000) }) },
  { weight: 1, arbitrary: fc.record({ call: fc.constant('purge' as const) }) },
);
const history = fc.array(
  fc.record({
    step,
    /** Which of the two queues. */
    side: fc.constantFrom(0 as const, 0 as const, 1 as const),
    advanceMs: fc.constantFrom(0, 0, 0, 1, 49, 1_000, 30_000, 300_000),
  }),
  { minLength: 5, maxLength: FULL ? 120 : 50, size: 'max' },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** One queue of the store beside its reference. */
interface Side {
  readonly queue: StoredQueue;
  readonly reference: Reference;
  readonly leases: LeasedEntry[];
}

/** Two queues of a store, each the dead-letter queue of the other, beside the reference. */
class Comparison {
  readonly #store: Store;
  readonly #time: ManualTime;
  readonly #sides: readonly [Side, Side] = [newSide(), newSide()];
  #sent = 0;

  constructor(store: Store, time: ManualTime) {
    this.#store = store;
    this.#time = time;
  }

  async take(one: Step, number: 0 | 1): Promise<void> {
    const now = this.#time.now();
    const side = this.#sides[number];
    if (one.call === 'send') await this.#send(side, one.messages, one.delayMs, now);
    else if (one.call === 'receive') await this.#receive(side, one, now);
    else if (one.call === 'move') await this.#move(side, this.#sides[number === 0 ? 1 : 0], one, now);
    else if (one.call === 'purge') {
      await this.#store.purge(side.queue);
      side.reference.purge();
    } else if (one.call === 'expire') {
      await this.#store.trim(side.queue, one.ageMs, 1_000);
      side.reference.expire(one.ageMs, now);
    } else await this.#settle(side, one, now);
    for (const { queue, reference } of this.#sides) {
      expect(await this.#store.peek(queue), 'when the next receive finds something').toBe(reference.nextIn(now));
    }
  }

  async #send(
    side: Side,
    messages: readonly { readonly group: string; readonly key: string | undefined }[],
    delayMs: number,
    now: number,
  ): Promise<void> {
    const sendings = messages.map(({ group, key }) => {
      this.#sent += 1;
      const id = `00000000-0000-4000-8000-${String(this.#sent).padStart(12, '0')}`;
      return { id, group, delayMs, ...(key === undefined ? {} : { key }) };
    });
    await this.#put(side, sendings, now);
  }

  async #put({ queue, reference }: Side, sendings: readonly Sending[], now: number): Promise<void> {
    const entries = sendings.map(({ id, group, delayMs, key, received }) => ({
      id,
      record: Buffer.from('x'),
      delayMs,
      group,
      ...(key === undefined ? {} : { deduplicationKey: key }),
      ...(received === undefined ? {} : { history: { sentAt: now, receiveCount: received, firstReceivedAt: now } }),
    }));
    const { sent } = await this.#store.send(queue, entries);
    const named = sendings.map((sending, index) => reference.send(sending, sent[index]?.sequenceNumber ?? '', now));
    expect(sent.map(({ id }) => id)).toEqual(named);
    expect(sent.map(({ duplicate }) => duplicate)).toEqual(named.map((id, index) => id !== sendings[index]?.id));
  }

  async #receive(
    { queue, reference, leases }: Side,
    options: { most: number; leaseMs: number },
    now: number,
  ): Promise<void> {
    const { most, leaseMs } = options;
    const { leased } = await this.#store.receive(queue, {
      maxMessages: most,
      maxBytes: 1_000_000,
      leaseMs,
    });
    const could = groupNames.map((group) => reference.receivable(group, now));
    expect(leased).toHaveLength(Math.min(most, could.flat().length));
    for (const group of groupNames) {
      const got = leased.filter((message) => message.group === group);
      const first = reference.receivable(group, now).slice(0, got.length);
      for (const message of first) {
        message.received += 1;
        message.leased += 1;
        message.givenBack = false;
        message.visibleAt = now + leaseMs;
        message.inFlight = true;
      }
      expect(
        got.map(({ id, receiveCount, leaseNumber }) => [id, receiveCount, leaseNumber]),
        `what came of ${group}`,
      ).toEqual(first.map(({ id, received, leased }) => [id, received, leased]));
    }
    leases.push(...leased);
  }

  async #settle(
    { queue, reference, leases }: Side,
    one: Extract<Step, { call: 'delete' | 'change' | 'release' }>,
    now: number,
  ): Promise<void> {
    const chosen = choose(leases, one.chosen);
    if (chosen.length === 0) return;
    const leaseMs = one.call === 'change' ? one.leaseMs : 0;
    const held = chosen.map((lease) => reference.held(lease, now));
    const done = chosen.map(
      (lease, index) => held[index] !== undefined || (one.call === 'release' && reference.isGivenBack(lease)),
    );
    const { outcomes } = await (one.call === 'delete'
      ? this.#store.delete(queue, chosen)
      : one.call === 'release'
        ? this.#store.release(queue, chosen)
        : this.#store.changeVisibility(
            queue,
            chosen.map((lease) => ({ ...lease, leaseMs })),
          ));
    expect(outcomes.map((outcome) => outcome === 'done')).toEqual(done);
    for (const message of held) {
      if (message === undefined) continue;
      message.visibleAt = now + leaseMs;
      if (one.call === 'release') {
        message.received -= 1;
        message.givenBack = true;
      }
      if (one.call !== 'change') message.inFlight = false;
      if (one.call === 'delete') reference.remove(message);
    }
  }

  /** As `DeadLetters.move` does it, of messages that are in flight; `dies` before what was stored is deleted here. */
  async #move(from: Side, to: Side, { chosen, dies }: Extract<Step, { call: 'move' }>, now: number): Promise<void> {
    const moving = choose(from.leases, chosen).filter((lease) => from.reference.held(lease, now) !== undefined);
    if (moving.length === 0) return;
    const sendings = moving.map(({ id, group = '', receiveCount, sequenceNumber }) => ({
      id,
      group,
      delayMs: 0,
      received: receiveCount - 1,
      key: `${id} ${from.queue.key} ${sequenceNumber}`,
    }));
    await this.#put(to, sendings, now);
    if (dies) return;
    const { outcomes } = await this.#store.delete(from.queue, moving);
    expect(new Set(outcomes)).toEqual(new Set(['done']));
    for (const lease of moving) {
      const message = from.reference.held(lease, now);
      if (message !== undefined) from.reference.remove(message);
    }
  }
}

function newSide(): Side {
  return { queue: newQueue(true), reference: new Reference(), leases: [] };
}

/** Each message once. */
function choose(leases: readonly LeasedEntry[], numbers: readonly number[]): LeasedEntry[] {
  const distinct = new Set(numbers.map((number) => number % Math.max(1, leases.length)));
  const all = [...distinct].flatMap((number) => leases[number] ?? []);
  return all.filter(({ id }, index) => all.findIndex((other) => other.id === id) === index);
}

describe('the rules of FIFO queues', () => {
  const time = new ManualTime();
  const releasers: (() => Promise<void>)[] = [];
  const stores = new Map<string, RedisStore>();

  beforeAll(async () => {
    const [server, cluster] = await Promise.all([RedisServer.start(), startRedisCluster()]);
    releasers.push(
      () => server.stop(),
      () => cluster.stop(),
    );
    for (const [name, urls] of [
      ['Redis', [server.url]],
      ['a cluster of three nodes', cluster.urls],
    ] as const) {
      const store = await RedisStore.open({
        urls,
        instanceId: 'rules',
        time: systemTime,
        randomness: systemRandomness,
        clock: () => time.now(),
      });
      stores.set(name, store);
      releasers.push(() => store.close());
    }
  });
  afterAll(async () => {
    for (const release of releasers.reverse()) await release();
  });

  for (const name of ['Redis', 'a cluster of three nodes', 'memory']) {
    const open = (): Store => stores.get(name) ?? new MemoryStore({ time });
    it(`hold in ${name} whatever the history`, { timeout: FULL ? 3_600_000 : 60_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(history, async (steps) => {
          const comparison = new Comparison(open(), time);
          for (const one of steps) {
            await comparison.take(one.step, one.side);
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
