/**
 * The forwarding service: moves what queues in mode `forward` hold, as it becomes due, for as long as the server runs. Any number of instances may do so at once: leases keep them apart.
 *
 * @module
 */
import type { QueueKey } from '../queue/arn.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { Queue } from '../queue/queue.ts';
import type { Randomness, Time } from '../time.ts';
import { Attempts } from './attempts.ts';
import { giveBack, MOVE_LEASE_MS, type MoverOptions, moveLeased } from './mover.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, type RealQueues } from './real-queues.ts';
import type { OnTransfer } from './transfer-events.ts';

export interface ForwardingOptions {
  readonly directory: Pick<QueueDirectory, 'all' | 'subscribe'>;
  readonly realQueues: RealQueues;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly onEvent: OnTransfer;
}

export interface Forwarding {
  /** Stops taking messages; what is being sent is finished first. Call it before the directory is closed. */
  close(): Promise<void>;
}

/** A wait costs the store nothing, so its length does not matter. */
const WAIT_MS = 3_600_000;

/** Begins with the queues that are in mode `forward` now, and follows the directory from then on. */
export function startForwarding(options: ForwardingOptions): Forwarding {
  const running = new Map<QueueKey, { readonly stop: AbortController; readonly over: Promise<void> }>();

  const start = (queue: Queue): void => {
    const stop = new AbortController();
    const over = forwardUntil(queue, options, stop.signal).finally(() => {
      if (running.get(queue.key)?.stop === stop) running.delete(queue.key);
    });
    running.set(queue.key, { stop, over });
  };
  const follow = (queue: Queue, exists: boolean): void => {
    const wanted = exists && queue.definition.mode === 'forward';
    const current = running.get(queue.key);
    if (wanted && (current === undefined || current.stop.signal.aborted)) start(queue);
    else if (!wanted) current?.stop.abort();
  };

  const unsubscribe = options.directory.subscribe(({ kind, queue }) => follow(queue, kind !== 'removed'));
  for (const queue of options.directory.all()) follow(queue, true);
  return {
    close: async () => {
      unsubscribe();
      const all = [...running.values()];
      for (const { stop } of all) stop.abort();
      await Promise.all(all.map(({ over }) => over));
    },
  };
}

async function forwardUntil(queue: Queue, options: ForwardingOptions, signal: AbortSignal): Promise<void> {
  const { realQueues, onEvent, time, randomness } = options;
  const mover: MoverOptions = { queue, realQueues, onEvent };
  const onRetry = (inMs: number, reason: string): void => onEvent({ kind: 'retrying', queue: queue.key, inMs, reason });
  const attempts = new Attempts({ time, randomness, signal, onRetry });
  let total = 0;
  while (!signal.aborted) {
    await attempts.persist(async () => {
      const leased = await queue.receive({
        maxMessages: MAX_BATCH_ENTRIES,
        maxBytes: MAX_BATCH_BYTES,
        visibilityTimeoutMs: MOVE_LEASE_MS,
        waitMs: WAIT_MS,
        signal,
      });
      if (signal.aborted) return giveBack(mover, leased);
      const { moved, failed } = await moveLeased(mover, leased);
      total += moved;
      if (moved > 0) onEvent({ kind: 'moved', queue: queue.key, count: moved, total });
      if (failed !== undefined) throw new Error(failed);
    });
  }
}
