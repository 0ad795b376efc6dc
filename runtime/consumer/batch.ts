/**
 * One batch: the records that will be one event, from the first lease to the flush.
 *
 * A batch is open while it collects. Messages are leased at once when they arrive, but only for a short time, which is
 * renewed as it runs out: if the server dies inside a long window, others have the messages soon. At the flush the
 * leases are set to the full visibility timeout, and a message whose lease was lost meanwhile leaves the batch. The
 * batch is flushed at the first of: as many messages as BatchSize, the end of the window, a record that would push the
 * serialised event over 6,291,456 bytes (it begins the next batch). Without a window it is flushed with whatever the
 * first receive brought.
 *
 * Cost of a window: one command at the flush, and one for every 20 s that the batch waits. A window that fits the short
 * lease together with the visibility timeout costs neither.
 *
 * Lambda starts its window with a long poll, and may hold a batch of a nearly idle queue for up to 20 s; here it starts
 * with the first message, and no batch waits longer than the window.
 *
 * Filters come before sizes: what they drop never counts towards BatchSize, and a batch without records is never
 * invoked.
 *
 * @module
 */

import { expectedRunSeconds, type Mapping } from '../aws/mapping.ts';
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { pause } from '../retry.ts';
import type { Cancel } from '../time.ts';
import { eventBytes, eventPayload, eventRecord, MAX_EVENT_BYTES, recordBytes } from './event.ts';
import type { Filter } from './filter/filter.ts';
import { FilterWorkError } from './filter/matchers.ts';
import type { ConsumerParts, SettlementParts } from './parts.ts';
import { type BatchName, lastAttemptMargin, releaseMessages, warnOfStore } from './settlement.ts';
import type { Holdings } from './slots.ts';

/** The longest lease of a message whose batch collects, ms: so late others have it if the server dies. */
export const COLLECTING_LEASE_MS = 25_000;
/** How often leases are renewed while their batch collects or waits for its Invoke, ms. */
export const RENEWAL_INTERVAL_MS = 20_000;
/** Pause between two tries to set the leases of a flushed batch, ms. */
const LEASE_RETRY_MS = 1_000;
/** Leases that end less than this beside their due time are left as they are, ms: a timer is no more exact. */
const LEASE_TOLERANCE_MS = 250;
/**
 * The shortest lease of the consumer, ms. With a visibility timeout of 0 a message that fails would be invoked as fast
 * as it fails.
 */
const SHORTEST_LEASE_MS = 1_000;

/** How long a message of the queue is hidden from the Invoke on, ms. */
export function leaseMsOf(queue: Queue): number {
  return Math.max(SHORTEST_LEASE_MS, queue.definition.attributes.visibilityTimeoutSeconds * 1_000);
}

/** A message that a filter let through, serialised. */
export interface BatchRecord {
  readonly message: ReceivedMessage;
  /** The record of the event, JSON. */
  readonly json: string;
  /** UTF-8 bytes of `json`. */
  readonly bytes: number;
}

/** A message that can be part of no event, or of which the filters cannot say whether it may. */
interface Undeliverable {
  readonly message: ReceivedMessage;
  readonly reason: 'oversize-record' | 'filter-too-costly';
  /** For the operator. */
  readonly detail: string;
}

/** Received messages, by what becomes of them. */
export interface Sorted {
  readonly records: readonly BatchRecord[];
  /** No filter matched: to be deleted. */
  readonly filteredOut: readonly ReceivedMessage[];
  /** Never invoked, left to the lease and the dead-letter queue. */
  readonly undeliverable: readonly Undeliverable[];
  /** FIFO: behind an undeliverable message of their group, which must come back before them. */
  readonly withheld: readonly ReceivedMessage[];
}

/**
 * Filters and serialises what one receive brought, keeping its order. A message that is too much work for the filters
 * fails alone: any sender can write one, and it must neither be dropped nor stop the mapping.
 */
export function sortReceived(
  messages: readonly ReceivedMessage[],
  mapping: Mapping,
  filter: Filter | undefined,
  fifo: boolean,
): Sorted {
  const records: BatchRecord[] = [];
  const filteredOut: ReceivedMessage[] = [];
  const undeliverable: Undeliverable[] = [];
  const withheld: ReceivedMessage[] = [];
  const blockedGroups = new Set<string | undefined>();
  const refuse = (message: ReceivedMessage, reason: Undeliverable['reason'], detail: string): void => {
    undeliverable.push({ message, reason, detail });
    blockedGroups.add(message.groupId);
  };
  for (const message of messages) {
    let tooCostly: FilterWorkError | undefined;
    try {
      if (filter?.matches(message, mapping.queueArn) === false) {
        filteredOut.push(message);
        continue;
      }
    } catch (error) {
      if (!(error instanceof FilterWorkError)) throw error;
      tooCostly = error;
    }
    if (fifo && blockedGroups.has(message.groupId)) {
      withheld.push(message);
    } else if (tooCostly !== undefined) {
      refuse(message, 'filter-too-costly', tooCostly.message);
    } else {
      const json = eventRecord(message, mapping.queueArn, mapping.batchWindowSeconds);
      const record = { message, json, bytes: recordBytes(json) };
      if (eventBytes(record.bytes, 1) <= MAX_EVENT_BYTES) records.push(record);
      else {
        const detail = `its record has ${record.bytes} bytes as JSON and cannot be part of any event`;
        refuse(message, 'oversize-record', detail);
      }
    }
  }
  return { records, filteredOut, undeliverable, withheld };
}

/** Its records are changed by its own methods alone. */
export class Batch {
  /** Unique in this process. */
  readonly number: number;
  /** The settings under which it was opened; a change applies to the next batch. */
  readonly mapping: Mapping;
  readonly windowMs: number;
  records: BatchRecord[];
  messageIds: string[];
  /** Bytes of the event. */
  bytes: number;
  /** The earliest end among the leases of its messages, on the monotonic clock. */
  leaseEndsAt: number;
  /** Monotonic ms; `undefined` before the first record. */
  windowEndsAt: number | undefined;
  #recordBytes: number;

  /**
   * `windowEndsAt`: monotonic ms, for records whose window began in another batch; default: one window after the first
   * record.
   */
  constructor(number: number, mapping: Mapping, windowEndsAt?: number) {
    this.number = number;
    this.mapping = mapping;
    this.windowMs = mapping.batchWindowSeconds * 1_000;
    this.windowEndsAt = windowEndsAt;
    this.records = [];
    this.messageIds = [];
    this.#recordBytes = 0;
    this.bytes = eventBytes(0, 0);
    this.leaseEndsAt = Number.POSITIVE_INFINITY;
  }

  get receiptHandles(): readonly string[] {
    return this.records.map(({ message }) => message.receiptHandle);
  }

  /** Messages that still fit by number. */
  get missing(): number {
    return Math.max(0, this.mapping.batchSize - this.records.length);
  }

  /** Bytes of records that still fit, roughly: a stored record and its serialised form differ. */
  get missingBytes(): number {
    return MAX_EVENT_BYTES - this.bytes;
  }

  /** The latest end among the leases of its messages, on the monotonic clock. */
  get lastLeaseEndsAt(): number {
    return this.records.reduce((latest, { message }) => Math.max(latest, message.leaseEndsAt), 0);
  }

  /**
   * How long messages that are received at `now` are leased, ms: what is left of the window plus the visibility
   * timeout, but with a window only a short time at once.
   */
  leaseMs(now: number, visibilityTimeoutMs: number): number {
    if (this.windowMs === 0) return visibilityTimeoutMs;
    return Math.min(COLLECTING_LEASE_MS, this.windowLeftMs(now) + visibilityTimeoutMs);
  }

  /** Milliseconds until the window ends; the whole window while the batch is empty. */
  windowLeftMs(now: number): number {
    if (this.windowEndsAt === undefined) return this.windowMs;
    return Math.min(this.windowMs, Math.max(0, this.windowEndsAt - now));
  }

  /** Adds a record at `now` (monotonic ms), if the event stays within its limits. The first one begins the window. */
  add(record: BatchRecord, now: number): boolean {
    if (this.records.length >= this.mapping.batchSize) return false;
    const bytes = eventBytes(this.#recordBytes + record.bytes, this.records.length + 1);
    if (bytes > MAX_EVENT_BYTES) return false;
    this.records.push(record);
    this.messageIds.push(record.message.id);
    this.#recordBytes += record.bytes;
    this.bytes = bytes;
    this.leaseEndsAt = Math.min(this.leaseEndsAt, record.message.leaseEndsAt);
    this.windowEndsAt ??= now + this.windowMs;
    return true;
  }

  /**
   * The leases of `held` end at `leaseEndsAt` (monotonic ms) now; the messages of `lost` are others', and leave the
   * batch.
   */
  leasesChanged(held: ReadonlySet<string>, lost: ReadonlySet<string>, leaseEndsAt: number): void {
    const before = this.records;
    this.records = [];
    this.messageIds = [];
    this.#recordBytes = 0;
    this.bytes = eventBytes(0, 0);
    this.leaseEndsAt = Number.POSITIVE_INFINITY;
    for (const record of before) {
      const { message } = record;
      if (lost.has(message.receiptHandle)) continue;
      this.add(held.has(message.receiptHandle) ? { ...record, message: { ...message, leaseEndsAt } } : record, 0);
    }
  }

  /**
   * The event; to be asked for once, when nothing is added any more. The batch keeps of its messages only what settles
   * them: their texts, twice the size of the event, would stay in memory for as long as the function runs.
   */
  takePayload(): Uint8Array {
    const texts: string[] = [];
    const settled: BatchRecord[] = [];
    for (const { message, json, bytes } of this.records) {
      texts.push(json);
      settled.push({ message: { ...message, body: '', attributes: {} }, json: '', bytes });
    }
    this.records = settled;
    return eventPayload(texts);
  }

  /** FIFO: the groups of its messages. */
  get groups(): ReadonlySet<string | undefined> {
    return new Set(this.records.map(({ message }) => message.groupId));
  }
}

/** A batch at work on a queue, with all that it holds until it is settled. */
export class HeldBatch extends Batch {
  readonly name: BatchName;
  readonly queue: Queue;
  readonly holdings: Holdings;
  /** A receive into it is under way; a flush waits for its answer. */
  drawing = false;
  flushAsked = false;
  /** Flushed or abandoned; nothing may happen to it twice. */
  closed = false;
  cancelWindow: Cancel | undefined;
  endCollecting: (() => void) | undefined;
  /** With a window: ends the renewal of its leases. */
  endRenewal: Cancel | undefined;

  constructor(number: number, mapping: Mapping, queue: Queue, holdings: Holdings, windowEndsAt?: number) {
    super(number, mapping, windowEndsAt);
    this.name = { mapping: mapping.uuid, queue: queue.key, batch: number };
    this.queue = queue;
    this.holdings = holdings;
  }
}

/*
 * What a flushed batch still needs before its Invoke.
 *
 * A batch without a window has it all: its Invoke was taken before its lease. One that collected takes its Invoke now,
 * before all who hold no lease yet. If none is free for so long that the function might no longer finish inside the
 * lease, the batch is given back, uncounted: it is due at once, for whoever has room.
 */

/**
 * Makes sure of the Invoke and the leases of a batch that collected; answers when these end (monotonic ms), or
 * `undefined` if nothing is left to invoke: the batch was given back, or all of its messages are others' now. Its
 * leases are renewed meanwhile, until they are set to the full visibility timeout.
 */
export async function readyToInvoke(batch: HeldBatch, parts: ConsumerParts): Promise<number | undefined> {
  const { time, stopping } = parts;
  const visibilityTimeoutMs = leaseMsOf(batch.queue);
  const marginMs = lastAttemptMargin(expectedRunSeconds(batch.mapping) * 1_000, visibilityTimeoutMs);
  const giveBack = async (why: string): Promise<undefined> => {
    await releaseBatch(batch, why, parts);
    return undefined;
  };
  if (!(await takeInvoke(batch.holdings, time.monotonic() + visibilityTimeoutMs - marginMs, parts))) {
    return giveBack(stopping.aborted ? 'the server stops' : 'no Invoke was free before its leases ended');
  }
  // A renewal after the change below would make the leases short again.
  batch.endRenewal?.();
  const due = time.monotonic() + visibilityTimeoutMs;
  const aligned =
    Math.abs(due - batch.leaseEndsAt) <= LEASE_TOLERANCE_MS &&
    Math.abs(due - batch.lastLeaseEndsAt) <= LEASE_TOLERANCE_MS;
  // While the store fails the messages are still hidden; an Invoke now might outlast that.
  while (!aligned && !(await changeLeases(batch, visibilityTimeoutMs, parts))) {
    const again = time.monotonic() + LEASE_RETRY_MS < batch.leaseEndsAt;
    if (!again || !(await pause(time, LEASE_RETRY_MS, stopping))) return giveBack('their leases could not be renewed');
  }
  return batch.records.length === 0 ? undefined : batch.leaseEndsAt;
}

/**
 * Makes the leases of a batch end `leaseMs` milliseconds from now. Messages that were received again meanwhile, or are
 * gone, leave the batch: nothing is invoked whose lease another holds. `false`: the store failed, and nothing is known.
 */
export async function changeLeases(batch: HeldBatch, leaseMs: number, parts: ConsumerParts): Promise<boolean> {
  const receiptHandles = batch.receiptHandles;
  const leaseEndsAt = parts.time.monotonic() + leaseMs;
  try {
    const changes = receiptHandles.map((receiptHandle) => ({ receiptHandle, timeoutMs: leaseMs }));
    const outcomes = await batch.queue.changeVisibility(changes);
    const held = new Set(receiptHandles.filter((_, index) => outcomes[index] === 'done'));
    const lost = new Set(receiptHandles.filter((handle) => !held.has(handle)));
    batch.leasesChanged(held, lost, leaseEndsAt);
    if (lost.size > 0) {
      const error = new Error(`${lost.size} of ${receiptHandles.length} were received again, or are gone`);
      warnOfStore(batch.name, 'messages left their batch because their leases were lost', error, parts);
    }
    return true;
  } catch (error) {
    warnOfStore(batch.name, 'the leases of a batch could not be renewed yet', error, parts);
    return false;
  }
}

/** Gives back the messages of a batch that no function was shown. */
export function releaseBatch(batch: HeldBatch, why: string, parts: SettlementParts): Promise<void> {
  const messages = batch.records.map(({ message }) => message);
  return releaseMessages(batch.queue, messages, batch.name, why, parts);
}

/**
 * Waits for an Invoke, before all who hold no lease; `false`: not before `until` (monotonic ms), or the server stops.
 */
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
