/**
 * One PurgeQueue a minute on each queue, whichever instance is asked. Source: SQS API reference, PurgeQueue.
 *
 * The last purge of a queue is a document that holds its wall-clock time. It stays until the next purge or the deletion of the queue. It is written when the purge is done: a caller
 * who was told that it failed must be able to try again. Of two purges at one time both empty the queue, and one is told that it came second.
 *
 * @module
 */
import type { QueueKey } from '../queue/arn.ts';
import type { Documents } from '../store/store.ts';
import type { Time } from '../time.ts';
import { PURGE_INTERVAL_MS } from './limits.ts';

export interface PurgeInterval {
  /** Runs a purge and notes it; `false` if the last one was less than 60 seconds ago. Errors: those of `purge`, `StoreUnavailableError`. */
  run(queue: QueueKey, purge: () => Promise<void>): Promise<boolean>;
  /** The queue is gone. Errors: `StoreUnavailableError`. */
  forget(queue: QueueKey): Promise<void>;
}

export function createPurgeInterval(documents: Documents, time: Time): PurgeInterval {
  const nameOf = (queue: QueueKey): string => `purged-queue:${queue}`;
  return {
    async run(queue, purge) {
      const name = nameOf(queue);
      const now = time.now();
      const last = await documents.get(name);
      const elapsed = last === undefined ? undefined : now - Number(last);
      // A clock that was set back must not forbid purging until it has caught up.
      if (elapsed !== undefined && elapsed >= 0 && elapsed < PURGE_INTERVAL_MS) return false;
      await purge();
      return documents.put(name, String(now), last ?? null);
    },
    async forget(queue) {
      await documents.remove(nameOf(queue));
    },
  };
}
