/**
 * One receive: leases what is due, sets aside what must not be handed out (past retention, received too often,
 * unreadable), and turns the rest into messages with receipt handles.
 *
 * What is set aside never makes a receive fail: the leases of the good messages have begun, and an error would hide
 * them until they end. So a removal or a move that fails is reported, its messages stay under their leases, and the
 * receive that follows the end of those tries again. Each time that takes longer, up to a quarter of an hour: the
 * leases are extended by how often the message was received, whatever the visibility timeout, because with one of 0 the
 * same message would be received thousands of times a second. A lease that has ended cannot be extended on a FIFO
 * queue; so while a queue has such messages, its leases last a second at least.
 *
 * @module
 */

import { backOff, type Pauses } from '../retry.ts';
import type { LeasedEntry, QueueKey } from '../store/store.ts';
import type { Time } from '../time.ts';
import type { DeadLetters } from './dead-letter.ts';
import type { QueueAttributes, QueueDefinition } from './definition.ts';
import type { ReceivedMessage } from './message.ts';
import type { Notify, QueueWarning, ReceiveRequest, ReceiveRoom } from './queue.ts';
import type { ReceiptHandles } from './receipt-handle.ts';
import { decodeRecord, type RecordContent, RecordError } from './record.ts';
import type { StoreClock, WatchedStore } from './watched-store.ts';

/** More than any answer of the SQS API can hold: ten messages of 1 MiB and their attributes. */
const DEFAULT_MAX_BYTES = 16 * 1_048_576;
/** Old messages removed together with one that a receive met. */
const TRIM_LIMIT = 500;

/**
 * How long a message that could not be set aside is left alone after its first receive, ms; doubled with each further
 * one.
 */
const PAUSES: Pauses = { firstMs: 1_000, longestMs: 900_000 };
/** Least length of a lease, ms, while a queue has messages that could not be set aside. */
const LEAST_LEASE_MS = 1_000;
/** A warning is said again after this long, ms, with how often it would have been said. */
const WARN_AGAIN_MS = 60_000;

interface ReceivingOptions {
  readonly queue: { readonly key: QueueKey; readonly definition: QueueDefinition };
  readonly store: WatchedStore;
  readonly time: Time;
  readonly clock: StoreClock;
  readonly handles: ReceiptHandles;
  readonly notify: Notify;
  readonly deadLetters: DeadLetters;
  readonly inFlightLimit: number;
  readonly room: ReceiveRoom;
}

export interface ReceiveOutcome {
  readonly messages: readonly ReceivedMessage[];
  /** Something was leased that is not among the messages. */
  readonly setAside: boolean;
}

/** What one receive leased, by what becomes of it; each list in the order of the queue. */
interface Sorted {
  /** Handed out. */
  readonly messages: ReceivedMessage[];
  /** Past the retention period: deleted. */
  readonly old: LeasedEntry[];
  /** Received too often: moved to the dead-letter queue. */
  readonly dead: ReceivedMessage[];
  /** They stay under their leases. */
  readonly unreadable: LeasedEntry[];
  /** FIFO: behind an unreadable one of their group, which nothing must overtake: given back. */
  readonly behind: LeasedEntry[];
}

/** A message that a fault left where it is. */
type Stuck = Pick<ReceivedMessage, 'lease' | 'receiveCount'>;

/** A record of a message of 1 MiB, bytes. */
const LARGEST_RECORD = 1_048_576 + 65_536;

export class Receiving {
  readonly #options: ReceivingOptions;
  readonly #limit: InFlightLimit;
  /** Monotonic ms: until then some message of the queue may be one that could not be set aside. */
  #troubledUntil = Number.NEGATIVE_INFINITY;
  readonly #warned = new Map<QueueWarning, { readonly at: number; passedOver: number }>();

  constructor(options: ReceivingOptions) {
    this.#options = options;
    this.#limit = new InFlightLimit(options.inFlightLimit, async () => (await options.store.depth()).inFlight);
  }

  /** `at-limit`: as many messages are in flight as may be. Errors: `StoreUnavailableError`. */
  async receive(request: ReceiveRequest): Promise<ReceiveOutcome | 'at-limit'> {
    if (!(await this.#limit.admits())) return 'at-limit';
    const { store, time, queue, room } = this.#options;
    let maxBytes = request.maxBytes ?? DEFAULT_MAX_BYTES;
    let leave: (() => void) | undefined;
    if (request.inRoom === true) {
      const { largest } = store;
      const bytes = Math.min(maxBytes, largest === undefined ? LARGEST_RECORD : largest * request.maxMessages);
      const place = room.take(bytes, request.signal);
      leave = place instanceof Promise ? await place : place;
      if (leave === undefined) return { messages: [], setAside: false };
      // Where the largest is known, what it may bring is; a lower bound would only narrow receives that leave together.
      if (largest === undefined) maxBytes = bytes;
    }
    try {
      const wantedMs = request.visibilityTimeoutMs ?? queue.definition.attributes.visibilityTimeoutSeconds * 1000;
      const begunAt = time.monotonic();
      const leaseMs = begunAt < this.#troubledUntil ? Math.max(wantedMs, LEAST_LEASE_MS) : wantedMs;
      const { leased, total } = await store.receive({ maxMessages: request.maxMessages, maxBytes, leaseMs });
      this.#limit.received(leased.length, total);
      const sorted = this.#sort(leased, begunAt + leaseMs);
      const setAside = sorted.messages.length < leased.length;
      if (setAside) await this.#setAside(sorted, leaseMs);
      return { messages: sorted.messages, setAside };
    } finally {
      leave?.();
    }
  }

  /** Reads the records, and says of each what becomes of it. */
  #sort(leased: readonly LeasedEntry[], leaseEndsAt: number): Sorted {
    const { queue, handles, clock, time, deadLetters } = this.#options;
    const { attributes, fifo } = queue.definition;
    const now = time.monotonic();
    const storeNow = clock.now();
    const oldest = (storeNow ?? Number.NEGATIVE_INFINITY) - retentionMs(attributes);
    const mostReceives = attributes.redrivePolicy?.maxReceiveCount ?? Number.POSITIVE_INFINITY;
    const sorted: Sorted = { messages: [], old: [], dead: [], unreadable: [], behind: [] };
    const blocked = new Set<string>();
    for (const entry of leased) {
      const { id, leaseNumber, group, sequenceNumber, sentAt, receiveCount, firstReceivedAt } = entry;
      if (sentAt < oldest) {
        sorted.old.push(entry);
        continue;
      }
      if (group !== undefined && blocked.has(group)) {
        sorted.behind.push(entry);
        continue;
      }
      let content: RecordContent;
      try {
        content = decodeRecord(id, entry.record);
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        this.#warn('unreadable-record', error.message);
        sorted.unreadable.push(entry);
        if (fifo && group !== undefined) blocked.add(group);
        continue;
      }
      const lease = {
        id,
        leaseNumber,
        receivedAt: storeNow ?? firstReceivedAt,
        ...(fifo && group !== undefined && { group }),
        ...(sequenceNumber !== undefined && { sequenceNumber }),
      };
      const message = {
        ...content.message,
        lease,
        receiptHandle: handles.issue(queue.key, lease),
        sentAt,
        receiveCount,
        firstReceivedAt,
        leaseEndsAt,
        ...(sequenceNumber !== undefined && { sequenceNumber }),
        bornAt: now - Math.max(0, lease.receivedAt - sentAt),
        dueAt: now - entry.lateMs,
      };
      // Where there is no dead-letter queue they are handed out.
      const isDead = receiveCount - content.receivedBefore > mostReceives && deadLetters.target() !== undefined;
      (isDead ? sorted.dead : sorted.messages).push(message);
    }
    return sorted;
  }

  /** Deals with all that is not handed out. */
  async #setAside({ old, dead, unreadable, behind }: Sorted, leaseMs: number): Promise<void> {
    if (behind.length > 0) await this.#try('unreadable-record', () => this.#options.store.release(behind));
    const stuck: Stuck[] = unreadable.map(stuckEntry);
    await Promise.all([this.#removeOld(old, stuck), this.#moveDead(dead, stuck)]);
    if (stuck.length > 0) await this.#postpone(stuck, leaseMs);
  }

  /** Those that a fault left where they are are added to `stuck`, here and below. */
  async #removeOld(entries: readonly LeasedEntry[], stuck: Stuck[]): Promise<void> {
    if (entries.length === 0) return;
    const { queue, store, notify } = this.#options;
    const done = await this.#try('retention-failed', async () => {
      const outcomes = await store.delete(entries);
      // Where one is old there are often more, and none of them needs a receive of its own.
      const trimmed = await store.trim(retentionMs(queue.definition.attributes), TRIM_LIMIT);
      const count = outcomes.filter((outcome) => outcome === 'done').length + trimmed;
      if (count > 0) notify({ kind: 'expired', queue: queue.key, count });
    });
    if (!done) stuck.push(...entries.map(stuckEntry));
  }

  async #moveDead(dead: readonly ReceivedMessage[], stuck: Stuck[]): Promise<void> {
    const { deadLetters } = this.#options;
    const target = dead.length === 0 ? undefined : deadLetters.target();
    if (target === undefined) return;
    if (!(await this.#try('dead-letter-move-failed', () => deadLetters.move(dead, target)))) stuck.push(...dead);
  }

  /** Leaves messages alone for longer than their leases, if those would end sooner. */
  async #postpone(stuck: readonly Stuck[], leaseMs: number): Promise<void> {
    this.#troubledUntil = this.#options.time.monotonic() + 2 * PAUSES.longestMs;
    const changes = stuck
      .map(({ lease, receiveCount }) => ({ ...lease, leaseMs: backOff(PAUSES, receiveCount - 1) }))
      .filter((change) => change.leaseMs > leaseMs);
    // If it fails, the leases end as they would have, and the store has troubles of its own.
    await this.#options.store.changeVisibility(changes).catch(() => undefined);
  }

  /** Whether it worked. */
  async #try(what: QueueWarning, act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#warn(what, error instanceof Error ? error.message : String(error));
      return false;
    }
  }

  /** Says it once, and then counts. */
  #warn(what: QueueWarning, detail: string): void {
    const { time, notify, queue } = this.#options;
    const last = this.#warned.get(what);
    if (last !== undefined && time.monotonic() - last.at < WARN_AGAIN_MS) {
      last.passedOver += 1;
      return;
    }
    this.#warned.set(what, { at: time.monotonic(), passedOver: 0 });
    const more = last === undefined || last.passedOver === 0 ? '' : ` (and ${last.passedOver} times more since)`;
    notify({ kind: 'queue-warning', queue: queue.key, what, detail: detail + more });
  }
}

function stuckEntry(entry: LeasedEntry): Stuck {
  return { lease: entry, receiveCount: entry.receiveCount };
}

/*
 * The in-flight limit: about 120,000 messages of one queue may be received and not yet deleted.
 * Source: SQS quotas, "In-flight messages per queue". A standard queue answers a short poll with OverLimit, a long poll
 * and a FIFO queue with nothing.
 *
 * It costs nothing as long as a queue holds fewer messages than the limit, because every receive reply says how many
 * there are. Beyond that the exact number is read, and half of what is left may be received before it is read again
 * (half, because other instances receive as well).
 */

/** Messages of one queue. */
export const IN_FLIGHT_LIMIT = 120_000;

export class InFlightLimit {
  readonly #limit: number;
  readonly #readInFlight: () => Promise<number>;
  /** Messages that may be received before the exact number must be read. */
  #allowance = Number.POSITIVE_INFINITY;

  /** `limit`: messages in flight at most. `readInFlight`: asks the store how many are in flight now. */
  constructor(limit: number, readInFlight: () => Promise<number>) {
    this.#limit = limit;
    this.#readInFlight = readInFlight;
  }

  /**
   * Whether a receive may go on. Asks the store only if the queue holds more messages than the limit and the allowance
   * is used up.
   */
  async admits(): Promise<boolean> {
    if (this.#allowance > 0) return true;
    const left = this.#limit - (await this.#readInFlight());
    this.#allowance = Math.ceil(Math.max(0, left) / 2);
    return this.#allowance > 0;
  }

  /** A receive leased `count` messages of a queue that held `total`. */
  received(count: number, total: number): void {
    if (total < this.#limit) this.#allowance = Number.POSITIVE_INFINITY;
    else if (this.#allowance === Number.POSITIVE_INFINITY) this.#allowance = 0;
    else this.#allowance -= count;
  }
}

/*
 * Retention: messages older than `MessageRetentionPeriod`, counted from when they were sent, are not received any more
 * and are removed.
 * Source: `MessageRetentionPeriod` of SetQueueAttributes; "Setting-up dead-letter queue retention" (a move to a
 * standard dead-letter queue keeps the sent time).
 *
 * Old messages go in two ways. A receive that meets one deletes it instead of handing it out, so that nobody ever sees
 * one. Where nobody receives (a dead-letter queue), a trim removes them; it rides on the safety sweep and on `depth`,
 * at intervals of a quarter of the period, so that counts are right within that and an idle queue costs next to
 * nothing.
 */

const SHORTEST_TRIM_INTERVAL_MS = 60_000;
const LONGEST_TRIM_INTERVAL_MS = 24 * 3_600_000;

/** The retention period in milliseconds. */
export function retentionMs(attributes: QueueAttributes): number {
  return attributes.messageRetentionPeriodSeconds * 1000;
}

/**
 * Whether a message is past the period. `sentAt`: epoch ms by the store's clock. Where the store's time is not known
 * yet, nothing is old: rather late than lost.
 */
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

  /**
   * Whether a trim is due: none was made yet, or the last is a quarter of the period ago (between a minute and a day).
   */
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
