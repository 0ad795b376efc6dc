import { encodeRecord } from '../../../runtime/queue/record.ts';
import { openStore } from '../../../runtime/store/open-store.ts';
import type { NewEntry, Store, StoredQueue } from '../../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../../runtime/time.ts';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';

const STEP = 500;

/** Send and receive of the store with a large backlog, beside the same on an empty queue; and the bytes a message costs beyond its content. */
export async function backlog(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const store = await openStore({
    urls: [redis.url],
    instanceId: 'bench',
    time: systemTime,
    randomness: systemRandomness,
  });
  try {
    // Before the backlogs: Redis gives their memory back in the background, long after the purge was answered.
    const overhead = await bytesBeyondContent(store, bench);
    const standard = await compare(
      store,
      { key: 'us-east-1:000000000000:standard', fifo: false },
      bench.size(1_000_000, 50_000),
      () => undefined,
    );
    const fifo = await compare(
      store,
      { key: 'us-east-1:000000000000:groups.fifo', fifo: true },
      bench.size(200_000, 20_000),
      (n) => `group-${n % 1000}`,
    );
    return [
      {
        name: 'standard backlog: send, times an empty queue',
        value: standard.send,
        unit: 'x',
        bound: { kind: 'at-most', value: 1.5 },
        note: `${standard.size} messages`,
      },
      {
        name: 'standard backlog: receive and delete, times an empty queue',
        value: standard.receive,
        unit: 'x',
        bound: { kind: 'at-most', value: 1.5 },
      },
      {
        name: 'FIFO backlog: send, times an empty queue',
        value: fifo.send,
        unit: 'x',
        bound: { kind: 'at-most', value: 1.5 },
        note: `${fifo.size} messages in 1,000 groups`,
      },
      {
        name: 'FIFO backlog: receive and delete, times an empty queue',
        value: fifo.receive,
        unit: 'x',
        bound: { kind: 'at-most', value: 1.5 },
      },
      {
        name: 'Redis bytes per message beyond its content',
        value: overhead.least,
        unit: 'bytes',
        bound: { kind: 'at-most', value: 250 },
        note: 'where the allocator rounds up least',
      },
      {
        name: 'Redis bytes per message beyond its content, rounding included',
        value: overhead.mean,
        unit: 'bytes',
        note: `mean of bodies of ${BODY_BYTES.at(0)} to ${BODY_BYTES.at(-1)} bytes`,
      },
    ];
  } finally {
    await store.close();
  }
}

interface Ratios {
  readonly send: number;
  readonly receive: number;
  readonly size: number;
}

async function compare(
  store: Store,
  queue: StoredQueue,
  size: number,
  group: (n: number) => string | undefined,
): Promise<Ratios> {
  await sample(store, queue, group, 0);
  const empty = await sample(store, queue, group, 1);
  for (let n = 0; n < size; n += STEP) {
    await store.send(
      queue,
      Array.from({ length: STEP }, (_, i) => entry(`backlog ${n + i}`, group(n + i))),
    );
  }
  const full = await sample(store, queue, group, 2);
  await store.purge(queue);
  return { send: full.send / empty.send, receive: full.receive / empty.receive, size };
}

/** Median milliseconds of a send of one, and of a receive of ten with its delete. */
async function sample(
  store: Store,
  queue: StoredQueue,
  group: (n: number) => string | undefined,
  round: number,
): Promise<{ send: number; receive: number }> {
  const sends: number[] = [];
  const receives: number[] = [];
  for (let n = 0; n < 1000; n += 1) {
    const before = performance.now();
    await store.send(queue, [entry(`sample ${round} ${n}`, group(n))]);
    sends.push(performance.now() - before);
  }
  for (let n = 0; n < 100; n += 1) {
    const before = performance.now();
    const { leased } = await store.receive(queue, { maxMessages: 10, maxBytes: 10_000_000, leaseMs: 30_000 });
    if (leased.length !== 10) throw new Error(`a receive gave ${leased.length} messages where 10 were due`);
    await store.delete(queue, leased);
    receives.push(performance.now() - before);
  }
  return { send: percentile(sends, 0.5), receive: percentile(receives, 0.5) };
}

/** Values of these bodies fill one size class of the allocator of Redis, from its beginning to its end. */
const BODY_BYTES = [232, 240, 248, 256, 264, 272, 280, 288, 296];

/** The allocator rounds every value up to a size class, here by up to 63 bytes: what Karin adds is the least over a whole class, what an operator pays is the mean. */
async function bytesBeyondContent(store: Store, bench: Bench): Promise<{ least: number; mean: number }> {
  const count = bench.size(50_000, 20_000);
  const used = async (): Promise<number> => {
    const { usedBytes } = await store.health();
    if (usedBytes === undefined) throw new Error('the store does not say how much memory it uses');
    return usedBytes;
  };
  const overheads: number[] = [];
  for (const bytes of BODY_BYTES) {
    // Each in a queue of its own, none purged before the end: Redis gives memory back in the background.
    const queue = { key: `us-east-1:000000000000:bytes-${bytes}`, fifo: false };
    const before = await used();
    for (let n = 0; n < count; n += STEP) {
      await store.send(
        queue,
        Array.from({ length: STEP }, () => entry('x'.repeat(bytes), undefined)),
      );
    }
    overheads.push(((await used()) - before) / count - bytes);
  }
  return {
    least: Math.min(...overheads),
    mean: overheads.reduce((sum, overhead) => sum + overhead, 0) / overheads.length,
  };
}

function entry(body: string, group: string | undefined): NewEntry {
  const id = systemRandomness.uuid();
  const record = encodeRecord({ id, body, attributes: {}, senderId: 'AIDABENCH' });
  return group === undefined ? { id, record, delayMs: 0 } : { id, record, delayMs: 0, group, deduplicationKey: id };
}
