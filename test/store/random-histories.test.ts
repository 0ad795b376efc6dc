/**
 * Random histories of calls, made on the Redis store and on the memory store with one clock: every answer must be the
 * same.
 *
 * A history refers to messages and leases by number, taken modulo what exists when its turn comes, so that any history
 * makes sense and shrinks well.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newMessageId } from '../../runtime/queue/message.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type {
  FoundEntry,
  FreeMessage,
  Lease,
  LeasedEntry,
  NewEntry,
  Store,
  StoredQueue,
} from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const HISTORIES = FULL ? 10_000 : 800;
const STEPS = FULL ? 120 : 60;

/** What a history has seen so far. */
interface World {
  readonly store: Store;
  readonly queue: StoredQueue;
  readonly sent: NewEntry[];
  readonly leases: Lease[];
  readonly now: () => number;
}

/** One call. Its answer is compared; it must not depend on anything but the world. */
interface Step {
  readonly call: (world: World) => Promise<unknown>;
  readonly advanceMs: number;
  readonly text: string;
}

const delays = fc.constantFrom(0, 0, 0, 1, 10, 1_000, 400_000);
const numbers = fc.nat(1_000);

/** Of Karin's own making, and of SQS: Redis keeps fewer bytes of the former. */
const messageId = fc
  .tuple(fc.uuid({ version: 4 }), fc.boolean())
  .map(([uuid, own]) => (own ? newMessageId({ uuid: () => uuid }) : uuid));

const newMessage = fc.record({
  id: messageId,
  /** A number here sends an earlier message again. */
  again: fc.option(numbers, { freq: 6 }),
  size: fc.nat(40),
  delayMs: delays,
  group: fc.constantFrom('a', 'b', 'c', 'other'),
  grouped: fc.boolean(),
  deduplicationKey: fc.option(fc.constantFrom('k1', 'k2', 'k3'), { nil: undefined }),
  history: fc.option(fc.record({ ageMs: fc.nat(500_000), receiveCount: fc.nat(3), firstAgeMs: fc.nat(400_000) }), {
    freq: 8,
  }),
});

type NewMessage = typeof newMessage extends fc.Arbitrary<infer T> ? T : never;
type Call = Step['call'];

const calls: fc.Arbitrary<{ readonly name: string; readonly input: unknown; readonly call: Call }> = fc.oneof(
  { weight: 8, arbitrary: step('send', fc.array(newMessage, { minLength: 1, maxLength: 6 }), send) },
  {
    weight: 8,
    arbitrary: step(
      'receive',
      fc.record({
        maxMessages: fc.constantFrom(1, 1, 2, 3, 10, 40),
        maxBytes: fc.constantFrom(0, 10, 60, 100_000),
        leaseMs: fc.constantFrom(0, 1, 50, 1_000, 30_000),
      }),
      async ({ store, queue, leases }, options) => {
        const reply = await store.receive(queue, options);
        leases.push(...reply.leased);
        return { ...reply, leased: reply.leased.map(comparable) };
      },
    ),
  },
  {
    weight: 5,
    arbitrary: step(
      'delete',
      fc.record({ chosen: leaseChoice(), orEarlier: fc.boolean() }),
      ({ store, queue, leases }, { chosen, orEarlier }) =>
        store.delete(
          queue,
          choose(leases, chosen).map((lease) => ({ ...lease, orEarlier })),
        ),
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'release',
      fc.record({ chosen: leaseChoice(), orEarlier: fc.boolean() }),
      ({ store, queue, leases }, { chosen, orEarlier }) =>
        store.release(
          queue,
          choose(leases, chosen).map((lease) => ({ ...lease, orEarlier })),
        ),
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'changeVisibility',
      fc.record({ chosen: leaseChoice(), leaseMs: fc.constantFrom(0, 1, 40, 2_000), orEarlier: fc.boolean() }),
      ({ store, queue, leases }, { chosen, leaseMs, orEarlier }) =>
        store.changeVisibility(
          queue,
          choose(leases, chosen).map((lease, index) => ({ ...lease, leaseMs: leaseMs * (index + 1), orEarlier })),
        ),
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'delayed',
      fc.record({
        fromMs: fc.constantFrom(0, 5, 500),
        spanMs: fc.constantFrom(0, 10, 400_000),
        limit: fc.constantFrom(1, 5),
      }),
      async ({ store, queue }, { fromMs, spanMs, limit }) => {
        if (queue.fifo) return null;
        const found = await store.delayed(queue, { fromMs, toMs: fromMs + spanMs, limit });
        return found.map(({ id, record, dueInMs }) => [id, Buffer.from(record).toString('hex'), dueInMs]);
      },
    ),
  },
  {
    weight: 2,
    arbitrary: step(
      'deleteDelayed',
      fc.array(numbers, { minLength: 1, maxLength: 4 }),
      async ({ store, queue, sent }, chosen) => {
        const ids = chosen.flatMap((number) => sent[number % Math.max(1, sent.length)]?.id ?? []);
        return queue.fifo || ids.length === 0 ? null : store.deleteDelayed(queue, ids);
      },
    ),
  },
  {
    weight: 1,
    arbitrary: step(
      'delayed',
      fc.record({
        fromMs: fc.constantFrom(0, 1, 500),
        toMs: fc.constantFrom(500, 1_000, 500_000),
        limit: fc.integer({ min: 1, max: 4 }),
      }),
      async ({ store, queue }, span) => {
        if (queue.fifo) return undefined;
        const entries = await store.delayed(queue, span);
        return entries.map((one) => ({ ...one, record: Buffer.from(one.record).toString('hex') }));
      },
    ),
  },
  {
    weight: 1,
    arbitrary: step('deleteDelayed', fc.array(numbers, { minLength: 1, maxLength: 3 }), async (world, chosen) => {
      const { store, queue, sent } = world;
      const ids = new Set(chosen.flatMap((number) => sent[number % Math.max(1, sent.length)]?.id ?? []));
      return queue.fifo || ids.size === 0 ? undefined : store.deleteDelayed(queue, [...ids]);
    }),
  },
  {
    weight: 2,
    arbitrary: step(
      'lookUp',
      fc.record({ chosen: nameChoice(), maxBytes: fc.constantFrom(0, 30, 100_000) }),
      async ({ store, queue, sent }, { chosen, maxBytes }) => {
        const names = nameSome(sent, chosen);
        if (names.length === 0) return null;
        const { found, looked } = await store.named.lookUp(queue, names, maxBytes);
        return [looked, found.map(comparable)];
      },
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'act on named messages',
      fc.record({ chosen: nameChoice(), act: fc.constantFrom('delete', 'makeDue', 'makeDue') }),
      async ({ store, queue, sent }, { chosen, act }) => {
        const names = nameSome(sent, chosen);
        if (names.length === 0) return null;
        return act === 'delete' ? store.named.delete(queue, names) : store.named.makeDue(queue, names);
      },
    ),
  },
  {
    weight: 3,
    arbitrary: step(
      'take',
      fc.record({ chosen: nameChoice(), leaseMs: fc.constantFrom(1, 50, 30_000) }),
      async ({ store, queue, sent, leases }, { chosen, leaseMs }) => {
        const names = nameSome(sent, chosen);
        if (names.length === 0) return null;
        const reply = await store.named.take(queue, names, leaseMs);
        leases.push(...reply.leases);
        return reply;
      },
    ),
  },
  {
    weight: 1,
    arbitrary: step('names', fc.constant(null), async ({ store, queue, sent }) => {
      const { names } = await store.named.names(queue, 500);
      const held = await Promise.all(
        sent.map(async ({ id }) => [id, (await store.named.holders([queue], id)).holders.length]),
      );
      return [names.toSorted((a, b) => (a.id < b.id ? -1 : 1)), held];
    }),
  },
  {
    weight: 1,
    arbitrary: step(
      'scheduled',
      fc.record({ from: fc.constantFrom(0, 1, 5), count: fc.constantFrom(1, 500) }),
      ({ store, queue }, { from, count }) => store.named.scheduled(queue, from, count),
    ),
  },
  { weight: 2, arbitrary: step('depth', fc.constant(null), ({ store, queue }) => store.depth(queue)) },
  {
    weight: 2,
    arbitrary: step(
      'browse',
      fc.record({ limit: fc.constantFrom(1, 3, 500), maxBytes: fc.constantFrom(0, 60, 100_000) }),
      async ({ store, queue }, options) => (await store.browse(queue, options)).map(comparable),
    ),
  },
  { weight: 1, arbitrary: step('peek', fc.constant(null), ({ store, queue }) => store.peek(queue)) },
  {
    weight: 1,
    arbitrary: step(
      'trim',
      fc.record({ ageMs: fc.constantFrom(0, 1, 100, 60_000), limit: fc.constantFrom(1, 3, 1_000) }),
      ({ store, queue }, { ageMs, limit }) => store.trim(queue, ageMs, limit),
    ),
  },
  {
    weight: 1,
    arbitrary: step('purge', fc.constantFrom(true, false, false, false), async ({ store, queue }, really) => {
      if (really) await store.purge(queue);
    }),
  },
  {
    weight: 1,
    arbitrary: step(
      'documents',
      fc.record({
        name: fc.constantFrom('x', 'x:1', 'x:2', 'y'),
        value: fc.constantFrom('1', '2', ''),
        expected: fc.constantFrom(undefined, null, '1', '2', ''),
        remove: fc.boolean(),
      }),
      async ({ store: { documents }, queue }, { name, value, expected, remove }) => {
        const prefix = `${queue.key}/`;
        const did = remove
          ? await documents.remove(prefix + name, expected ?? undefined)
          : await documents.put(prefix + name, value, expected);
        return [did, await documents.get(prefix + name), [...(await documents.list(`${prefix}x`))]];
      },
    ),
  },
  {
    weight: 1,
    arbitrary: step(
      'slots',
      fc.record({
        holder: fc.constantFrom('h1', 'h2', 'h3'),
        limit: fc.integer({ min: 1, max: 3 }),
        free: fc.boolean(),
      }),
      async ({ store: { slots }, queue }, { holder, limit, free }) =>
        free ? slots.free(queue.key, holder, limit) : slots.take(queue.key, holder, limit, 200),
    ),
  },
);

const steps: fc.Arbitrary<Step> = fc
  .record({ chosen: calls, advanceMs: fc.constantFrom(0, 0, 0, 1, 49, 1_000, 30_000, 299_999) })
  .map(({ chosen: { name, input, call }, advanceMs }) => ({
    call,
    advanceMs,
    text: `${name} ${JSON.stringify(input)}, then ${advanceMs} ms`,
  }));

describe('random histories', () => {
  let server: RedisServer;
  let redis: RedisStore;
  const time = new ManualTime();

  beforeAll(async () => {
    server = await RedisServer.start();
    redis = await RedisStore.open({
      urls: [server.url],
      instanceId: 'histories',
      time: systemTime,
      randomness: systemRandomness,
      clock: () => time.now(),
    });
  });
  afterAll(async () => {
    await redis.close();
    await server.stop();
  });

  for (const fifo of [false, true]) {
    it(`of a ${fifo ? 'FIFO' : 'standard'} queue give the same answers in Redis and in memory`, {
      timeout: FULL ? 3_600_000 : 60_000,
    }, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: STEPS, size: 'max' }), async (history) => {
          const queue = newQueue(fifo);
          const model = new MemoryStore({ time });
          const now = (): number => time.now();
          const real: World = { store: redis, queue, sent: [], leases: [], now };
          const expected: World = { store: model, queue, sent: [], leases: [], now };
          for (const { call, advanceMs, text } of history) {
            const [answer, wanted] = [await call(real), await call(expected)];
            expect(answer, text).toEqual(wanted);
            time.advance(advanceMs);
          }
          expect(await redis.depth(queue)).toEqual(await model.depth(queue));
          expect(await redis.peek(queue)).toEqual(await model.peek(queue));
          await redis.purge(queue);
        }),
        { numRuns: HISTORIES },
      );
    });
  }
});

/** A kind of call with what it is given. */
function step<T>(name: string, arbitrary: fc.Arbitrary<T>, call: (world: World, input: T) => Promise<unknown>) {
  return arbitrary.map((input) => ({ name, input, call: (world: World) => call(world, input) }));
}

async function send({ store, queue, sent, now }: World, messages: readonly NewMessage[]): Promise<unknown> {
  const entries = messages.map((message): NewEntry => {
    // One id is one message: it is not sent with another content.
    const earlier =
      sent.find(({ id }) => id === message.id) ??
      (message.again === null ? undefined : sent[message.again % Math.max(1, sent.length)]);
    if (earlier !== undefined) return earlier;
    const { id, size, delayMs, group, grouped, deduplicationKey, history } = message;
    const fresh: NewEntry = {
      id,
      record: Buffer.alloc(size, id),
      delayMs,
      ...(grouped || queue.fifo ? { group } : {}),
      ...(deduplicationKey === undefined ? {} : { deduplicationKey }),
      ...(history === null ? {} : { history: historyAt(now(), history) }),
    };
    sent.push(fresh);
    return fresh;
  });
  return store.send(queue, entries);
}

function historyAt(now: number, { ageMs, receiveCount, firstAgeMs }: NonNullable<NewMessage['history']>) {
  return { sentAt: now - ageMs, receiveCount, firstReceivedAt: now - Math.min(ageMs, firstAgeMs) };
}

/** Which leases: some of the last few, some of any time. */
function leaseChoice(): fc.Arbitrary<readonly number[]> {
  return fc.array(fc.oneof(fc.nat(4), numbers), { minLength: 1, maxLength: 6 });
}

/** Which messages, whether their groups are named, and which receive is given up. */
function nameChoice() {
  const one = fc.record({ number: numbers, grouped: fc.boolean(), givenUp: fc.option(fc.nat(3), { nil: undefined }) });
  return fc.array(one, { minLength: 1, maxLength: 6 });
}

function nameSome(
  sent: readonly NewEntry[],
  chosen: readonly { readonly number: number; readonly grouped: boolean; readonly givenUp: number | undefined }[],
): FreeMessage[] {
  const named = new Set<string>();
  return chosen.flatMap(({ number, grouped, givenUp }): FreeMessage[] => {
    const entry = sent[number % Math.max(1, sent.length)];
    if (entry === undefined || named.has(entry.id)) return [];
    named.add(entry.id);
    const { id, group } = entry;
    return [
      {
        id,
        ...(group === undefined || !grouped ? {} : { group }),
        ...(givenUp === undefined ? {} : { givenUp }),
      },
    ];
  });
}

function choose(leases: readonly Lease[], chosen: readonly number[]): Lease[] {
  return chosen.flatMap((number) => leases.at(-1 - (number % Math.max(1, leases.length))) ?? []);
}

function comparable(entry: LeasedEntry | FoundEntry): unknown {
  return { ...entry, record: Buffer.from(entry.record).toString('hex') };
}
