/**
 * What the store's clock says, as far as its replies tell.
 *
 * Retention and the twelve-hour rule compare absolute times that the store wrote (`sentAt`, the time of a receive). Comparing them with this machine's clock would let a
 * machine whose clock runs ahead throw messages away early. So the store's clock is learned from the times in its replies: never ahead of it, at worst behind.
 *
 * @module
 */
import type { Time } from '../time.ts';

export interface StoreClock {
  /** The reply that just came says that the store's clock read exactly this when it answered. Epoch ms. */
  readExactly(storeNow: number): void;
  /** The reply that just came names a time that had passed. Epoch ms. */
  readAtLeast(storeTime: number): void;
  /** The store's time now, never ahead of it; `undefined`: no reply has told anything yet. Epoch ms. */
  now(): number | undefined;
}

/** A clock that knows nothing yet. One per store: all queues learn together. */
export function createStoreClock(time: Time): StoreClock {
  /** Store time minus monotonic time. */
  let offset: number | undefined;
  return {
    readExactly(storeNow) {
      // Replaces, so that a store whose clock was set back (a failover) is believed again.
      offset = storeNow - time.monotonic();
    },
    readAtLeast(storeTime) {
      const least = storeTime - time.monotonic();
      offset = offset === undefined ? least : Math.max(offset, least);
    },
    now: () => (offset === undefined ? undefined : offset + time.monotonic()),
  };
}
