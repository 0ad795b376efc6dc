/**
 * The ends of leases that the consumer brings about itself: deleting what was handled, giving back what nobody was shown.
 *
 * Both are safe to repeat: receipt handles carry a fence, so a message that was received again meanwhile is left alone. A failing store loses nothing either way:
 * what is not deleted is delivered again, what is not given back waits out its lease.
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import type { Randomness, Time } from '../time.ts';
import type { EventSink } from './events.ts';
import { pause } from './pause.ts';

/** Whose messages they are, as every event names them. */
export interface BatchName {
  readonly mapping: string;
  readonly queue: string;
  readonly batch: number;
}

export interface SettlementParts {
  readonly time: Time;
  readonly randomness: Randomness;
  readonly events: EventSink;
  /** The process will not wait any longer. */
  readonly aborting: AbortSignal;
}

/** Pauses between tries to delete, ms: doubling from the first to the last. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;
/** Tries are made for this long at least, ms, even if the lease ends before: after it, the fence still decides rightly. */
const LEAST_PATIENCE_MS = 10_000;

/**
 * Deletes messages; while the store cannot be reached it is tried again, because each message that stays is one that the function handles twice.
 *
 * @param until Monotonic ms: the end of the lease, after which others may have the messages anyway.
 * @returns Ids of the messages that this call deleted: not those deleted before by the function itself, nor those received again since.
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
      return messages.filter((_, index) => outcomes[index] === 'done').map((message) => message.id);
    } catch (error) {
      warnOfStore(name, 'messages that were handled could not be deleted yet', error, parts);
    }
    const waitMs = pauseMs * (1 + parts.randomness.fraction() / 4);
    const last = parts.time.monotonic() + waitMs > giveUpAt;
    if (last || !(await pause(parts.time, waitMs, parts.aborting))) return [];
  }
}

/** Gives back messages that no function was shown: due at once, the receive not counted. */
export async function releaseMessages(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  name: BatchName,
  why: string,
  parts: SettlementParts,
): Promise<void> {
  if (messages.length === 0) return;
  try {
    await queue.release(messages.map((message) => message.receiptHandle));
    parts.events.emit({ kind: 'released', ...name, messageIds: messages.map((message) => message.id), why });
  } catch (error) {
    warnOfStore(name, 'messages could not be given back, and wait out their lease', error, parts);
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

/** Leases that end less than this beside their due time are left as they are, ms: a timer is no more exact, and a call to the store is saved. */
const LEASE_TOLERANCE_MS = 250;

/**
 * Makes leases end one visibility timeout from now, if they do not already: a batch that was flushed before its window ended has longer ones, one that had to
 * wait for its Invoke shorter ones. Not waited for: the command leaves before the Invoke does, so a change that the function itself makes comes later and stands.
 *
 * @param leaseEndsAt The earliest end now, monotonic ms.
 * @returns The end that may be relied upon, monotonic ms.
 */
export function alignLeases(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  leaseEndsAt: number,
  visibilityTimeoutMs: number,
  name: BatchName,
  parts: SettlementParts,
): number {
  const due = parts.time.monotonic() + visibilityTimeoutMs;
  if (Math.abs(due - leaseEndsAt) > LEASE_TOLERANCE_MS) {
    const changes = messages.map(({ receiptHandle }) => ({ receiptHandle, timeoutMs: visibilityTimeoutMs }));
    queue.changeVisibility(changes).catch((error: unknown) => {
      warnOfStore(name, 'leases keep the length of their batch window', error, parts);
    });
  }
  return Math.min(due, leaseEndsAt);
}
