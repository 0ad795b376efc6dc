import type { Bench } from '../bench.ts';
import { entry, openBenchStore } from '../bench-store.ts';
import type { Figure } from '../figure.ts';

const STEP = 500;
/** Values of these bodies fill one size class of the allocator of Redis, from its beginning to its end. */
const BODY_BYTES = [232, 240, 248, 256, 264, 272, 280, 288, 296];

/**
 * The memory of Redis that a message costs beyond its body.
 *
 * The allocator rounds every value up to a size class, here by up to 63 bytes, so one size of body says little: the
 * mean over a whole class counts, and the ends of the range are told.
 */
export async function messageBytes(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const store = await openBenchStore(redis.url);
  try {
    const count = bench.size(50_000, 20_000);
    const used = async (): Promise<number> => {
      const { usedBytes } = await store.health();
      if (usedBytes === undefined) throw new Error('the store does not say how much memory it uses');
      return usedBytes;
    };
    const overheads: number[] = [];
    for (const bytes of BODY_BYTES) {
      const queue = { key: `us-east-1:000000000000:bytes-${bytes}`, fifo: false };
      const before = await used();
      for (let n = 0; n < count; n += STEP) {
        await store.send(
          queue,
          Array.from({ length: STEP }, () => entry('x'.repeat(bytes))),
        );
      }
      overheads.push(((await used()) - before) / count - bytes);
    }
    return [
      {
        name: 'Redis bytes per message beyond its body',
        value: overheads.reduce((sum, overhead) => sum + overhead, 0) / overheads.length,
        unit: 'bytes',
        bound: { kind: 'at-most', value: 250 },
        note: `mean of bodies of ${BODY_BYTES.at(0)} to ${BODY_BYTES.at(-1)} bytes; ${Math.min(...overheads).toFixed(0)} to ${Math.max(...overheads).toFixed(0)}, as the allocator rounds`,
      },
    ];
  } finally {
    await store.close();
  }
}
