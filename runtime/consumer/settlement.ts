/**
 * The ends of leases that the consumer brings about itself: deleting what was handled, giving back what nobody was
 * shown.
 *
 * A delete is safe to repeat: receipt handles carry the receive count as a fence, so a message that was received again
 * meanwhile is left alone. A release is not: it lowers that count, so the next receive has the same fence, and a second
 * release could end the lease of another receiver, whose message is then received twice.
 *
 * Invariant: the consumer has each release carried out at most once by its own repeats. It repeats one only if the
 * store was not asked (`StoreNotAskedError`). That is safe however late it comes: a receive counts up, so another lease
 * gets the same count only after the release of this lease lowered it. If the store was asked and its answer is lost,
 * only the driver of Redis repeats, after a lost connection. A failing store loses nothing either way: what is not
 * deleted is delivered again, what is not given back waits out its lease.
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { pause } from '../retry.ts';
import { StoreNotAskedError } from '../store/store.ts';
import type { EventSink } from './events.ts';
import type { SettlementParts } from './parts.ts';

/** Whose messages they are, as every event names them. */
export interface BatchName {
  readonly mapping: string;
  readonly queue: string;
  readonly batch: number;
}

/** Pauses between tries to delete, ms: doubling from the first to the last. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/**
 * Tries are made for this long at least, ms, even if the lease ends before: after it, the fence still decides rightly.
 */
const LEAST_PATIENCE_MS = 10_000;

/**
 * Deletes messages; while the store cannot be reached it is tried again, because each message that stays is one that
 * the function handles twice.
 *
 * @param until Monotonic ms: the end of the lease, after which others may have the messages anyway.
 * @returns Ids of the messages that this call deleted: not those deleted before by the function itself, nor those
 *   received again since.
 */
export async function deleteMessages(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  name: BatchName,
  until: number,
  parts: SettlementParts,
): Promise<readonly string[]> {
  const handles = messages.map((message) => message.receiptHandle);
  const giveUpAt = Math.max(until, parts.time.monotonic() + LEAST_PATIENCE_MS);
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const outcomes = await queue.delete(handles);
      const deleted: string[] = [];
      for (const [at, message] of messages.entries()) if (outcomes[at] === 'done') deleted.push(message.id);
      return deleted;
    } catch (error) {
      warnOfStore(name, 'messages that were handled could not be deleted yet', error, parts);
    }
    const waitMs = pauseMs * (1 + parts.randomness.fraction() / 4);
    const last = parts.time.monotonic() + waitMs > giveUpAt;
    if (last || !(await pause(parts.time, waitMs, parts.aborting))) return [];
  }
}

/**
 * Gives back messages that no function was shown: due at once, the receive not counted. While the store is not asked
 * because it is away, it is tried again until the leases end.
 */
export async function releaseMessages(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  name: BatchName,
  why: string,
  parts: SettlementParts,
): Promise<void> {
  if (messages.length === 0) return;
  const handles = messages.map((message) => message.receiptHandle);
  const until = Math.max(...messages.map((message) => message.leaseEndsAt));
  const giveUpAt = Math.max(until, parts.time.monotonic() + LEAST_PATIENCE_MS);
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const begunAt = parts.time.monotonic();
      await queue.release(handles);
      const tookMs = parts.time.monotonic() - begunAt;
      parts.events.emit({ kind: 'released', ...name, messageIds: messages.map((message) => message.id), why, tookMs });
      return;
    } catch (error) {
      const waitMs = pauseMs * (1 + parts.randomness.fraction() / 4);
      const again = error instanceof StoreNotAskedError && parts.time.monotonic() + waitMs <= giveUpAt;
      const what = again ? 'could not be given back yet' : 'could not be given back, and wait out their lease';
      warnOfStore(name, `messages ${what}`, error, parts);
      if (!again || !(await pause(parts.time, waitMs, parts.aborting))) return;
    }
  }
}

/** Tells the operator that the store failed an operation of the consumer. */
export function warnOfStore(
  name: { readonly mapping: string; readonly queue: string },
  what: string,
  error: unknown,
  parts: { readonly events: EventSink },
): void {
  parts.events.emit({
    kind: 'warning',
    what: 'store-error',
    mapping: name.mapping,
    queue: name.queue,
    detail: `${what}: ${error instanceof Error ? error.message : String(error)}`,
  });
}
