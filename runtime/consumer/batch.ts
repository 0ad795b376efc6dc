/**
 * One batch: the records that will be one event, from the first lease to the flush.
 *
 * A batch is open while it collects. Messages are leased at once when they arrive, for what is left of the window plus the visibility timeout, so that the function has its
 * full visibility timeout from the flush on. The batch is flushed at the first of: as many messages as BatchSize, the end of the window, a record that would push
 * the serialised event over 6,291,456 bytes (it begins the next batch). Without a window it is flushed with whatever the first receive brought.
 *
 * Lambda starts its window with a long poll, and may hold a batch of a nearly idle queue for up to 20 s; here it starts with the first message, and no batch waits longer than the window.
 *
 * Filters come before sizes: what they drop never counts towards BatchSize, and a batch without records is never invoked.
 *
 * @module
 */

import { expectedRunSeconds, type Mapping } from '../aws/mapping.ts';
import type { ReceivedMessage } from '../queue/message.ts';
import type { QueueArn } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import { alignLeases, type BatchName, releaseMessages } from './delivery.ts';
import { eventBytes, eventPayload, eventRecord, MAX_EVENT_BYTES, recordBytes } from './event.ts';
import { type Filter, FilterWorkError } from './filter/filter.ts';
import { lastAttemptMargin } from './outcome.ts';
import type { ConsumerParts } from './parts.ts';
import type { Holdings } from './slots.ts';

/** A message that a filter let through, serialised. */
export interface BatchRecord {
  readonly message: ReceivedMessage;
  /** The record of the event, JSON. */
  readonly json: string;
  /** UTF-8 bytes of `json`. */
  readonly bytes: number;
}

/** A message that can be part of no event, or of which the filters cannot say whether it may. */
export interface Undeliverable {
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
 * Filters and serialises what one receive brought, keeping its order. A message that is too much work for the filters fails alone: any sender can write one, and it must
 * neither be dropped nor stop the mapping.
 */
export function sortReceived(
  messages: readonly ReceivedMessage[],
  mapping: Mapping,
  filter: Filter,
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
    const judged = judge(message, mapping, filter);
    if (judged === 'dropped') {
      filteredOut.push(message);
    } else if (fifo && blockedGroups.has(message.groupId)) {
      withheld.push(message);
    } else if (judged instanceof FilterWorkError) {
      refuse(message, 'filter-too-costly', judged.message);
    } else {
      const record = recordOf(message, mapping.queueArn, mapping.batchWindowSeconds);
      if (eventBytes(record.bytes, 1) <= MAX_EVENT_BYTES) records.push(record);
      else {
        const detail = `its record has ${record.bytes} bytes as JSON and cannot be part of any event`;
        refuse(message, 'oversize-record', detail);
      }
    }
  }
  return { records, filteredOut, undeliverable, withheld };
}

function judge(message: ReceivedMessage, mapping: Mapping, filter: Filter): 'passed' | 'dropped' | FilterWorkError {
  try {
    return filter.matches(message, mapping.queueArn) ? 'passed' : 'dropped';
  } catch (error) {
    if (error instanceof FilterWorkError) return error;
    throw error;
  }
}

function recordOf(message: ReceivedMessage, queueArn: QueueArn, batchWindowSeconds: number): BatchRecord {
  const json = eventRecord(message, queueArn, batchWindowSeconds);
  return { message, json, bytes: recordBytes(json) };
}

export class Batch {
  /** Unique in this process. */
  readonly number: number;
  /** The settings under which it was opened; a change applies to the next batch. */
  readonly mapping: Mapping;
  readonly #records: BatchRecord[] = [];
  #recordBytes = 0;
  #windowEndsAt: number | undefined;

  constructor(number: number, mapping: Mapping) {
    this.number = number;
    this.mapping = mapping;
  }

  get windowMs(): number {
    return this.mapping.batchWindowSeconds * 1_000;
  }

  get records(): readonly BatchRecord[] {
    return this.#records;
  }

  get messageIds(): readonly string[] {
    return this.#records.map(({ message }) => message.id);
  }

  get receiptHandles(): readonly string[] {
    return this.#records.map(({ message }) => message.receiptHandle);
  }

  /** Bytes of the event. */
  get bytes(): number {
    return eventBytes(this.#recordBytes, this.#records.length);
  }

  /** Messages that still fit by number. */
  get missing(): number {
    return Math.max(0, this.mapping.batchSize - this.#records.length);
  }

  /** Bytes of records that still fit, roughly: a stored record and its serialised form differ. */
  get missingBytes(): number {
    return MAX_EVENT_BYTES - this.bytes;
  }

  /** The earliest end among the leases of its messages, on the monotonic clock. */
  get leaseEndsAt(): number {
    return this.#records.reduce((earliest, { message }) => Math.min(earliest, message.leaseEndsAt), Infinity);
  }

  /** How long messages that are received at `now` must be leased, ms: what is left of the window, plus the visibility timeout. */
  leaseMs(now: number, visibilityTimeoutMs: number): number {
    return this.windowLeftMs(now) + visibilityTimeoutMs;
  }

  /** Milliseconds until the window ends; the whole window while the batch is empty. */
  windowLeftMs(now: number): number {
    if (this.#windowEndsAt === undefined) return this.windowMs;
    return Math.min(this.windowMs, Math.max(0, this.#windowEndsAt - now));
  }

  /**
   * Adds a record, if the event stays within its limits. The window ends where the lease of a record has only the visibility timeout left: for the first
   * message of a window that is one window after its receive, for a record that another batch had no room for it is sooner.
   */
  add(record: BatchRecord, visibilityTimeoutMs: number): boolean {
    if (this.#records.length >= this.mapping.batchSize) return false;
    if (eventBytes(this.#recordBytes + record.bytes, this.#records.length + 1) > MAX_EVENT_BYTES) return false;
    this.#records.push(record);
    this.#recordBytes += record.bytes;
    this.#windowEndsAt = Math.min(
      this.#windowEndsAt ?? Number.POSITIVE_INFINITY,
      record.message.leaseEndsAt - visibilityTimeoutMs,
    );
    return true;
  }

  /** The event. */
  payload(): Uint8Array {
    return eventPayload(this.#records.map(({ json }) => json));
  }

  /** The trace headers of its messages, those without one as `undefined`. */
  get traceHeaders(): readonly (string | undefined)[] {
    return this.#records.map(({ message }) => message.traceHeader);
  }

  /** FIFO: the groups of its messages. */
  get groups(): ReadonlySet<string | undefined> {
    return new Set(this.#records.map(({ message }) => message.groupId));
  }
}

/*
 * What a flushed batch still needs before its Invoke.
 *
 * A batch without a window has it all: its Invoke was taken before its lease. One that collected takes its Invoke now, before all who hold no lease yet. If none is
 * free for so long that the function might no longer finish inside the lease, the batch is given back, uncounted: it is due at once, for whoever has room.
 */

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
