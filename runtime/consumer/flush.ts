/**
 * What a flushed batch still needs before its Invoke.
 *
 * A batch without a window has it all: its Invoke was taken before its lease. One that collected takes its Invoke now, before all who hold no lease yet. If none is
 * free for so long that the function might no longer finish inside the lease, the batch is given back, uncounted: it is due at once, for whoever has room.
 *
 * @module
 */
import { expectedRunSeconds } from '../lambda/mapping.ts';
import type { Queue } from '../queue/queue.ts';
import type { Batch } from './batch.ts';
import type { Holdings } from './holdings.ts';
import { lastAttemptMargin } from './outcome.ts';
import type { ConsumerParts } from './parts.ts';
import { alignLeases, type BatchName, releaseMessages } from './settlement.ts';

/** Makes sure of the Invoke and the leases of a batch; answers when these end (monotonic ms), or `undefined` if the batch was given back. */
export async function readyToInvoke(
  batch: Batch,
  holdings: Holdings,
  queue: Queue,
  name: BatchName,
  parts: ConsumerParts,
): Promise<number | undefined> {
  if (batch.windowMs === 0) return batch.leaseEndsAt;
  const messages = batch.records.map((record) => record.message);
  const visibilityTimeoutMs = queue.definition.attributes.visibilityTimeoutSeconds * 1_000;
  const marginMs = lastAttemptMargin(expectedRunSeconds(batch.mapping) * 1_000, visibilityTimeoutMs);
  if (!(await takeInvoke(holdings, batch.leaseEndsAt - marginMs, parts))) {
    const why = parts.stopping.aborted ? 'the server stops' : 'no Invoke was free before its leases ended';
    await releaseMessages(queue, messages, name, why, parts);
    return undefined;
  }
  return alignLeases(queue, messages, batch.leaseEndsAt, visibilityTimeoutMs, name, parts);
}

/** Waits for an Invoke, before all who hold no lease; `false`: not before `until` (monotonic ms), or the server stops. */
export function takeInvoke(holdings: Holdings, until: number, { time, stopping }: ConsumerParts): Promise<boolean> {
  if (holdings.tryTakeInvoke()) return Promise.resolve(true);
  if (stopping.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const end = (taken: boolean): void => {
      withdraw();
      cancelTimer();
      stopping.removeEventListener('abort', giveUp);
      resolve(taken);
    };
    const giveUp = (): void => end(false);
    const withdraw = holdings.waitForInvoke(() => end(holdings.tryTakeInvoke()));
    const cancelTimer = time.after(until - time.monotonic(), giveUp);
    stopping.addEventListener('abort', giveUp, { once: true });
  });
}
