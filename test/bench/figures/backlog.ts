import type { Store, StoredQueue } from '../../../runtime/store/store.ts';
import type { Bench } from '../bench.ts';
import { entry, openBenchStore } from '../bench-store.ts';
import { type Figure, percentile } from '../figure.ts';

/** Messages of one send while the backlog is made. */
const STEP = 500;
const ROUNDS = 21;
const SENDS = 200;
const RECEIVES = 20;
/** Calls under way at one time: enough that neither process sleeps, because waking up takes longer than the call. */
const AT_ONCE = 20;

interface Load {
  readonly title: string;
  readonly queue: StoredQueue;
  readonly size: number;
  readonly group: (n: number) => string | undefined;
}

/** Send, and receive with delete, on a queue with a large backlog, beside the same on an empty queue. */
export async function backlog(bench: Bench): Promise<readonly Figure[]> {
  const standard = await compare(bench, {
    title: 'standard backlog',
    queue: { key: 'us-east-1:000000000000:standard', fifo: false },
    size: bench.size(1_000_000, 50_000),
    group: () => undefined,
  });
  const fifo = await compare(bench, {
    title: 'FIFO backlog in 1,000 groups',
    queue: { key: 'us-east-1:000000000000:groups.fifo', fifo: true },
    size: bench.size(200_000, 20_000),
    group: (n) => `group-${n % 1000}`,
  });
  return [...standard, ...fifo];
}

/** Two servers of Redis, one of them with the backlog; short rounds on each in turn, and the median of their ratios. */
async function compare(bench: Bench, load: Load): Promise<readonly Figure[]> {
  const stores: Store[] = [];
  try {
    for (const redis of [await bench.redis(), await bench.redis()]) stores.push(await openBenchStore(redis.url));
    const [empty, full] = stores;
    if (empty === undefined || full === undefined) throw new Error('there are two stores');
    for (let n = 0; n < load.size; n += STEP) {
      await full.send(
        load.queue,
        Array.from({ length: STEP }, (_, i) => entry(`backlog ${n + i}`, load.group(n + i))),
      );
    }
    const sends: number[] = [];
    const receives: number[] = [];
    for (let round = 0; round <= ROUNDS; round += 1) {
      const [withoutBacklog, withBacklog] = [await sample(empty, load), await sample(full, load)];
      // The first round compiles what the others run.
      if (round === 0) continue;
      sends.push(withBacklog.sendMs / withoutBacklog.sendMs);
      receives.push(withBacklog.receiveMs / withoutBacklog.receiveMs);
    }
    const figure = (what: string, ratios: readonly number[]): Figure => ({
      name: `${load.title}: ${what}, times an empty queue`,
      value: percentile(ratios, 0.5),
      unit: 'x',
      bound: { kind: 'at-most', value: 1.5 },
      note: `${load.size.toLocaleString('en')} messages`,
    });
    return [figure('send', sends), figure('receive and delete', receives)];
  } finally {
    for (const store of stores) await store.close();
  }
}

/** Milliseconds for sends of one message, and for as many messages received by tens and deleted. */
async function sample(store: Store, { queue, group }: Load): Promise<{ sendMs: number; receiveMs: number }> {
  const begun = performance.now();
  await inBursts(SENDS, async (n) => {
    await store.send(queue, [entry(`sample ${n}`, group(n))]);
  });
  const sent = performance.now();
  await inBursts(RECEIVES, async () => {
    const { leased } = await store.receive(queue, { maxMessages: 10, maxBytes: 10_000_000, leaseMs: 30_000 });
    if (leased.length !== 10) throw new Error(`a receive gave ${leased.length} messages where 10 were due`);
    await store.delete(queue, leased);
  });
  return { sendMs: sent - begun, receiveMs: performance.now() - sent };
}

async function inBursts(count: number, run: (n: number) => Promise<void>): Promise<void> {
  for (let n = 0; n < count; n += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => run(n + i)));
}
