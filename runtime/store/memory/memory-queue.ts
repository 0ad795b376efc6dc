/**
 * What the two kinds of queue in memory have in common.
 *
 * They follow the scripts of the Redis store step by step, down to the order of things that are due in the same
 * millisecond, so that a test can compare the two call by call. What a rule is for stands there.
 *
 * @module
 */
import {
  type BrowsedEntry,
  type DeleteReply,
  type DepthNow,
  type FreeMessage,
  type KeptMessage,
  type Lease,
  type MessageName,
  type NamedOutcome,
  type NamedReply,
  type NewEntry,
  OVERDUE_MS,
  type ReceiveOptions,
  type ReceiveReply,
  type RestoredEntry,
  type RestoreReply,
  type ScheduledReply,
  type SendReply,
  type TakeReply,
  type VisibilityChange,
} from '../store.ts';
import { SortedList } from './sorted-list.ts';

/** All times are whole milliseconds; `now` is the clock of the store. */
export interface MemoryQueue {
  send(now: number, entries: readonly NewEntry[]): SendReply;
  receive(now: number, options: ReceiveOptions, takeFirst: boolean): ReceiveReply;
  delete(now: number, leases: readonly Lease[]): DeleteReply;
  changeVisibility(now: number, changes: readonly VisibilityChange[]): DeleteReply;
  release(now: number, leases: readonly Lease[]): DeleteReply;
  /** When the head is due; `undefined`: the queue is empty. */
  head(): number | undefined;
  depth(now: number): DepthNow;
  /** The first messages, at most `limit`. */
  browse(now: number, limit: number): BrowsedEntry[];
  /** The first messages after a place, at most `limit`; `place` names that of one of them. */
  page(now: number, limit: number, after: string | undefined): FoundPage;
  /** Whether a message of this id is there. */
  has(id: string): boolean;
  /** Puts messages back that are not there. */
  restore(
    now: number,
    entries: readonly RestoredEntry[],
    lastSequence: number | undefined,
  ): Omit<RestoreReply, 'outcomes'>;
  /** Whether the message is there and was received. */
  wasReceived(id: string): boolean;
  purge(): void;
  trim(now: number, olderThanMs: number, limit: number): number;
  /** A message by its name; `out-of-reach`: it is there, and its name left out what the Redis store needs. */
  named(now: number, name: MessageName): NamedMessage | undefined;
  deleteNamed(now: number, names: readonly FreeMessage[]): NamedReply;
  makeDue(now: number, names: readonly FreeMessage[]): NamedReply;
  take(now: number, names: readonly FreeMessage[], leaseMs: number): TakeReply;
  /** Messages whose delay runs, from a place on; earliest first. */
  scheduled(now: number, from: number, count: number): ScheduledReply;
  /** Names of messages that were stored after the `after`-th, at most `limit`, with their numbers. */
  names(after: number, limit: number): { readonly names: readonly MessageName[]; readonly last?: number };
}

/** A message that was looked up, and whether its name was enough to touch it. */
export interface NamedMessage {
  readonly entry: BrowsedEntry;
  readonly withinReach: boolean;
}

/** Why a message that is named may not be touched; `undefined`: it may. */
export function refusalOf(found: NamedMessage | undefined, { givenUp }: FreeMessage): NamedOutcome | undefined {
  if (found === undefined) return 'missing';
  if (!found.withinReach) return 'out-of-reach';
  const { state, receiveCount } = found.entry;
  return state === 'in-flight' && receiveCount !== givenUp ? 'in-flight' : undefined;
}

export interface FoundPage {
  readonly found: readonly KeptMessage[];
  readonly place: (message: KeptMessage) => string;
  /** FIFO alone. */
  readonly lastSequence?: number;
}

/** A message as both kinds of queue keep it. */
export interface StoredMessage {
  readonly id: string;
  readonly record: Uint8Array;
  readonly sentAt: number;
  /** When the delay it was sent with ends; `undefined` without a delay. */
  delayedUntil: number | undefined;
  readonly group: string | undefined;
  /** Number of the last lease; 0: it never had one. */
  leaseNumber: number;
  /** How many of its leases were given back. */
  uncounted: number;
  /** The last lease is among them. */
  givenBack: boolean;
  /** Counts for nothing while all leases were given back. */
  firstReceivedAt: number;
}

/**
 * Things handled in one call keep their order: the i-th is due a little later than the one before it, by less than a
 * millisecond in all.
 */
export function inOrder(dueAt: number, index: number): number {
  return dueAt + index / 1024;
}

/** Builds what is kept of an entry. */
export function storedMessage(now: number, entry: NewEntry): StoredMessage {
  return {
    id: entry.id,
    record: Uint8Array.from(entry.record),
    sentAt: entry.history?.sentAt ?? now,
    delayedUntil: entry.delayMs > 0 ? now + entry.delayMs : undefined,
    group: entry.group,
    leaseNumber: entry.history?.receiveCount ?? 0,
    uncounted: 0,
    givenBack: false,
    firstReceivedAt: entry.history?.firstReceivedAt ?? 0,
  };
}

/** Builds what is kept of a message that is put back. `isDelayed`: whether it is delayed until it is due. */
export function restoredMessage(entry: RestoredEntry, isDelayed: boolean): StoredMessage {
  const { id, record, sentAt, dueAt, group, receiveCount, firstReceivedAt } = entry;
  return {
    ...{ id, record: Uint8Array.from(record), sentAt, group, firstReceivedAt },
    delayedUntil: isDelayed ? dueAt : undefined,
    ...{ leaseNumber: receiveCount, uncounted: 0, givenBack: false },
  };
}

/** How often it was received, and when first; never: 0 and 0. */
export function receivesOf({ leaseNumber, uncounted, firstReceivedAt }: StoredMessage): {
  readonly receiveCount: number;
  readonly firstReceivedAt: number;
} {
  const receiveCount = leaseNumber - uncounted;
  return { receiveCount, firstReceivedAt: receiveCount === 0 ? 0 : firstReceivedAt };
}

/** Counts a receive and begins another lease. */
export function countReceive(now: number, message: StoredMessage): void {
  if (message.leaseNumber === message.uncounted) message.firstReceivedAt = now;
  message.leaseNumber += 1;
  message.givenBack = false;
}

/** Undoes the last `countReceive`, but for the number of its lease. */
export function uncountReceive(message: StoredMessage): void {
  message.uncounted += 1;
  message.givenBack = true;
}

/** Whether it was received and that was not undone. */
export function isReceived(message: StoredMessage | undefined): boolean {
  return message !== undefined && message.leaseNumber > message.uncounted;
}

/** Whether this very lease was given back and no other followed. */
export function wasGivenBack({ leaseNumber }: Lease, message: StoredMessage | undefined): boolean {
  return message?.givenBack === true && message.leaseNumber === leaseNumber;
}

/** Whether it is the last lease and was not given back; where earlier ones count, whether it is one that counts. */
export function holds({ leaseNumber, orEarlier }: Lease, message: StoredMessage): boolean {
  const { leaseNumber: current, givenBack } = message;
  if (!isReceived(message)) return false;
  return orEarlier === true
    ? (givenBack ? current - 1 : current) >= leaseNumber
    : current === leaseNumber && !givenBack;
}

/** The part of a reply that says whether the head is earlier than it was. */
export function headLowered(
  now: number,
  before: number | undefined,
  after: number | undefined,
): { headLoweredToMs?: number } {
  if (after === undefined || (before !== undefined && after >= before)) return {};
  return { headLoweredToMs: Math.max(0, after - now) };
}

/** The same for a send, to which a head that is long past due is news. */
export function headLoweredBySend(
  now: number,
  before: number | undefined,
  after: number | undefined,
): { headLoweredToMs?: number } {
  const overdue = before !== undefined && Math.floor(before) < now - OVERDUE_MS;
  return overdue ? headLowered(now, undefined, before) : headLowered(now, before, after);
}

/** The same for a repeated call: where the head is, because the answer to the first call may have been lost. */
export function headNews(now: number, head: number | undefined): { headLoweredToMs?: number } {
  return headLowered(now, undefined, head);
}

/** The part of a reply that says when the next message is due. */
export function nextDue(now: number, dueAt: number | undefined): { nextDueInMs?: number } {
  return dueAt === undefined ? {} : { nextDueInMs: Math.max(0, Math.floor(dueAt) - now) };
}

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Since when the first item has been due, and when the next one will be. */
export function headTimes<T extends { readonly due: number }>(
  due: SortedList<T>,
  now: number,
): Pick<DepthNow, 'waitsMs' | 'nextDueInMs'> {
  const { first } = due;
  const later = due.at(due.countWhile((item) => Math.floor(item.due) <= now));
  return {
    ...(first === undefined || Math.floor(first.due) > now ? {} : { waitsMs: now - Math.floor(first.due) }),
    ...(later === undefined ? {} : { nextDueInMs: Math.floor(later.due) - now }),
  };
}

/** A message that is looked at. `leasedUntil`: when its lease ends; in the past or `undefined`: it has none. */
export function browsedEntry(now: number, message: StoredMessage, leasedUntil: number | undefined): BrowsedEntry {
  const { id, record, sentAt, group, delayedUntil } = message;
  const lease = (leasedUntil ?? 0) - now;
  const delay = (delayedUntil ?? 0) - now;
  const state = lease > 0 ? 'in-flight' : delay > 0 ? 'delayed' : 'visible';
  const dueInMs = state === 'in-flight' ? lease : Math.max(0, delay);
  const what = { id, record, sentAt, ...receivesOf(message), state, dueInMs } as const;
  return group === undefined ? what : { ...what, group };
}

/** A message with all that is kept of it. `dueAt`: when it is due if it is visible. */
export function keptMessage(
  now: number,
  message: StoredMessage,
  leasedUntil: number | undefined,
  dueAt: number,
): KeptMessage {
  const { dueInMs, ...rest } = browsedEntry(now, message, leasedUntil);
  return { ...rest, dueAt: rest.state === 'visible' ? dueAt : now + dueInMs };
}

/** The entries before the one with which their records would exceed `maxBytes`; always the first. */
export function withinBytes<T extends { readonly record: Uint8Array }>(entries: readonly T[], maxBytes: number): T[] {
  let bytes = 0;
  const past = entries.findIndex(({ record }, index) => {
    bytes += record.length;
    return index > 0 && bytes > maxBytes;
  });
  return past === -1 ? [...entries] : entries.slice(0, past);
}

/** The messages whose delay has not ended. */
export class Delays {
  readonly #list = new SortedList<{ readonly id: string; readonly until: number }>(
    (a, b) => a.until - b.until || compareText(a.id, b.id),
  );

  add(message: StoredMessage): void {
    if (message.delayedUntil !== undefined) this.#list.add({ id: message.id, until: message.delayedUntil });
  }

  running(now: number): number {
    for (const ended of this.#list.takeWhile(({ until }) => until <= now)) this.#list.remove(ended);
    return this.#list.size;
  }

  /** Forgets a delay that still runs. */
  remove({ id, delayedUntil }: StoredMessage): void {
    if (delayedUntil !== undefined) this.#list.remove({ id, until: delayedUntil });
  }

  /** Ids whose delay ends between the two times, both included, earliest first. */
  between(from: number, to: number, limit: number): string[] {
    const ids: string[] = [];
    for (const { id, until } of this.#list) {
      if (until > to || ids.length === limit) break;
      if (until >= from) ids.push(id);
    }
    return ids;
  }

  /** Those from a place on, at most `count`, earliest first, and how many run. */
  page(now: number, from: number, count: number): ScheduledReply {
    const total = this.running(now);
    const scheduled: { readonly id: string; readonly dueInMs: number }[] = [];
    let place = 0;
    for (const { id, until } of this.#list) {
      if (scheduled.length === count) break;
      if (place >= from) scheduled.push({ id, dueInMs: until - now });
      place += 1;
    }
    return { scheduled, total };
  }

  clear(): void {
    this.#list.clear();
  }
}

/** Names of messages, in the order in which they were stored. */
export function namesAfter<T extends StoredMessage & { readonly sequenceNumber?: string }>(
  messages: Iterable<T>,
  numberOf: (message: T) => number,
  after: number,
  limit: number,
): { readonly names: readonly MessageName[]; readonly last?: number } {
  const names: MessageName[] = [];
  let last = after;
  for (const message of messages) {
    if (numberOf(message) <= after) continue;
    if (names.length === limit) return { names, last };
    const { id, group, sequenceNumber } = message;
    last = numberOf(message);
    names.push({
      id,
      ...(group === undefined ? {} : { group }),
      ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    });
  }
  return { names };
}
