/**
 * One receive: leases what is due, sets aside what must not be handed out (past retention, received too often, unreadable), and turns the rest into messages with receipt handles.
 *
 * What is set aside never makes a receive fail: the leases of the good messages have begun, and an error would hide them until they end. So a removal or a move that fails is reported,
 * its messages stay under their leases, and the receive that follows the end of those tries again.
 *
 * @module
 */
import type { LeasedEntry } from '../store/store.ts';
import type { Time } from '../time.ts';
import type { QueueKey } from './arn.ts';
import { type DeadLetters, type DeadLetterTarget, exceedsReceives, type OpenedEntry } from './dead-letter.ts';
import { InFlightLimit } from './in-flight-limit.ts';
import type { ReceivedMessage } from './message.ts';
import type { ReceiveRequest } from './queue.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { Notify, QueueWarning } from './queue-events.ts';
import type { ReceiptHandles } from './receipt-handle.ts';
import { decodeRecord, RecordError } from './record.ts';
import { isPastRetention, retentionMs } from './retention.ts';
import type { StoreClock } from './store-clock.ts';
import type { WatchedStore } from './watched-store.ts';

/** More than any answer of the SQS API can hold: ten messages of 1 MiB and their attributes. */
const DEFAULT_MAX_BYTES = 16 * 1_048_576;
/** Old messages removed together with one that a receive met. */
const TRIM_LIMIT = 500;

interface ReceivingOptions {
  readonly queue: { readonly key: QueueKey; readonly definition: QueueDefinition };
  readonly store: WatchedStore;
  readonly time: Time;
  readonly clock: StoreClock;
  readonly handles: ReceiptHandles;
  readonly notify: Notify;
  readonly deadLetters: DeadLetters;
  readonly inFlightLimit: number;
}

export interface ReceiveOutcome {
  readonly messages: readonly ReceivedMessage[];
  /** Something was leased that is not among the messages. */
  readonly setAside: boolean;
}

export class Receiving {
  readonly #options: ReceivingOptions;
  readonly #limit: InFlightLimit;

  constructor(options: ReceivingOptions) {
    this.#options = options;
    this.#limit = new InFlightLimit(options.inFlightLimit, async () => (await options.store.depth()).inFlight);
  }

  /** `at-limit`: as many messages are in flight as may be. Errors: `StoreUnavailableError`. */
  async receive(request: ReceiveRequest): Promise<ReceiveOutcome | 'at-limit'> {
    if (!(await this.#limit.admits())) return 'at-limit';
    const { store, time, queue } = this.#options;
    const leaseMs = request.visibilityTimeoutMs ?? queue.definition.attributes.visibilityTimeoutSeconds * 1000;
    const leaseEndsAt = time.monotonic() + leaseMs;
    const { leased, total } = await store.receive({
      maxMessages: request.maxMessages,
      maxBytes: request.maxBytes ?? DEFAULT_MAX_BYTES,
      leaseMs,
      ...(request.singleGroup === undefined ? {} : { singleGroup: request.singleGroup }),
    });
    this.#limit.received(leased.length, total);
    const deliverable = await this.#setAside(leased);
    return {
      messages: deliverable.map((opened) => this.#message(opened, leaseEndsAt)),
      setAside: deliverable.length < leased.length,
    };
  }

  /** What may be handed out. The rest has been dealt with. */
  async #setAside(leased: readonly LeasedEntry[]): Promise<readonly OpenedEntry[]> {
    const { clock, deadLetters, queue } = this.#options;
    const { attributes } = queue.definition;
    const old: LeasedEntry[] = [];
    const fresh: LeasedEntry[] = [];
    for (const entry of leased) (isPastRetention(entry.sentAt, attributes, clock) ? old : fresh).push(entry);
    const readable = await this.#open(fresh);
    const policy = attributes.redrivePolicy;
    const dead = policy === undefined ? [] : readable.filter((opened) => exceedsReceives(opened, policy));
    const target = dead.length === 0 ? undefined : deadLetters.target();
    await Promise.all([this.#removeOld(old), target === undefined ? undefined : this.#moveDead(dead, target)]);
    if (target === undefined) return readable;
    const moved = new Set(dead);
    return readable.filter((opened) => !moved.has(opened));
  }

  /** Reads the records. An unreadable one stays under its lease; on a FIFO queue those behind it in its group are given back, so that nothing overtakes it. */
  async #open(entries: readonly LeasedEntry[]): Promise<readonly OpenedEntry[]> {
    const opened: OpenedEntry[] = [];
    const behind: LeasedEntry[] = [];
    const blocked = new Set<string>();
    for (const entry of entries) {
      if (entry.group !== undefined && blocked.has(entry.group)) {
        behind.push(entry);
        continue;
      }
      try {
        opened.push({ entry, content: decodeRecord(entry.id, entry.record) });
      } catch (error) {
        if (!(error instanceof RecordError)) throw error;
        this.#warn('unreadable-record', error.message);
        if (this.#options.queue.definition.fifo && entry.group !== undefined) blocked.add(entry.group);
      }
    }
    if (behind.length > 0) {
      await this.#try('unreadable-record', () => this.#options.store.release(behind));
    }
    return opened;
  }

  async #removeOld(entries: readonly LeasedEntry[]): Promise<void> {
    if (entries.length === 0) return;
    const { queue, store, notify } = this.#options;
    await this.#try('retention-failed', async () => {
      const outcomes = await store.delete(entries);
      // Where one is old there are often more, and none of them needs a receive of its own.
      const trimmed = await store.trim(retentionMs(queue.definition.attributes), TRIM_LIMIT);
      const count = outcomes.filter((outcome) => outcome === 'done').length + trimmed;
      if (count > 0) notify({ kind: 'expired', queue: queue.key, count });
    });
  }

  async #moveDead(dead: readonly OpenedEntry[], target: DeadLetterTarget): Promise<void> {
    const moves = dead.map(({ entry, content }) => ({ message: { ...entry, ...content.message }, lease: entry }));
    await this.#try('dead-letter-move-failed', () => this.#options.deadLetters.move(moves, target));
  }

  #message({ entry, content }: OpenedEntry, leaseEndsAt: number): ReceivedMessage {
    const { queue, handles, clock } = this.#options;
    const receipt = {
      id: entry.id,
      receiveCount: entry.receiveCount,
      receivedAt: clock.now() ?? entry.firstReceivedAt,
      ...(queue.definition.fifo && entry.group !== undefined ? { group: entry.group } : {}),
      ...(entry.sequenceNumber === undefined ? {} : { sequenceNumber: entry.sequenceNumber }),
    };
    return {
      ...content.message,
      receiptHandle: handles.issue(queue.key, receipt),
      sentAt: entry.sentAt,
      receiveCount: entry.receiveCount,
      firstReceivedAt: entry.firstReceivedAt,
      ...(entry.sequenceNumber === undefined ? {} : { sequenceNumber: entry.sequenceNumber }),
      leaseEndsAt,
    };
  }

  async #try(what: QueueWarning, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      this.#warn(what, error instanceof Error ? error.message : String(error));
    }
  }

  #warn(what: QueueWarning, detail: string): void {
    this.#options.notify({ kind: 'queue-warning', queue: this.#options.queue.key, what, detail });
  }
}
