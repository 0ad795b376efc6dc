/**
 * Retention: messages older than `MessageRetentionPeriod`, counted from when they were sent, are not received any more and are removed.
 * Source: `MessageRetentionPeriod` of SetQueueAttributes; "Setting-up dead-letter queue retention" (a move to a standard dead-letter queue keeps the sent time).
 *
 * Old messages go in two ways. A receive that meets one deletes it instead of handing it out, so that nobody ever sees one. Where nobody receives (a dead-letter
 * queue), a trim removes them; it rides on the safety sweep and on `depth`, at intervals of a quarter of the period, so that counts are right within that and an idle queue costs next to nothing.
 *
 * @module
 */
import type { Time } from '../time.ts';
import type { QueueAttributes } from './queue-definition.ts';
import type { StoreClock } from './store-clock.ts';

const SHORTEST_TRIM_INTERVAL_MS = 60_000;
const LONGEST_TRIM_INTERVAL_MS = 24 * 3_600_000;

/** The retention period in milliseconds. */
export function retentionMs(attributes: QueueAttributes): number {
  return attributes.messageRetentionPeriodSeconds * 1000;
}

/** Whether a message is past the period. `sentAt`: epoch ms by the store's clock. Where the store's time is not known yet, nothing is old: rather late than lost. */
export function isPastRetention(sentAt: number, attributes: QueueAttributes, clock: StoreClock): boolean {
  const now = clock.now();
  return now !== undefined && now - sentAt > retentionMs(attributes);
}

/** When the next trim of one queue is worth its commands. */
export class TrimSchedule {
  readonly #time: Time;
  #lastAt: number | undefined;

  constructor(time: Time) {
    this.#time = time;
  }

  /** Whether a trim is due: none was made yet, or the last is a quarter of the period ago (between a minute and a day). */
  isDue(attributes: QueueAttributes): boolean {
    if (this.#lastAt === undefined) return true;
    const interval = Math.max(
      SHORTEST_TRIM_INTERVAL_MS,
      Math.min(LONGEST_TRIM_INTERVAL_MS, retentionMs(attributes) / 4),
    );
    return this.#time.monotonic() - this.#lastAt >= interval;
  }

  /** A trim was made that left nothing old. */
  done(): void {
    this.#lastAt = this.#time.monotonic();
  }
}
