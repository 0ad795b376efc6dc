import {
  type BrowsedEntry,
  DEDUPLICATION_WINDOW_MS,
  type DeleteReply,
  type DepthNow,
  type FreeMessage,
  type KeptMessage,
  type Lease,
  type LeasedEntry,
  type LeaseOutcome,
  type MessageName,
  type NamedOutcome,
  type NamedReply,
  type NewEntry,
  type ReceiveOptions,
  type ReceiveReply,
  type RestoredEntry,
  type RestoreReply,
  type ScheduledReply,
  type SendReply,
  type SentEntry,
  type TakeReply,
  type VisibilityChange,
} from '../store.ts';
import {
  browsedEntry,
  compareText,
  countReceive,
  Delays,
  type FoundPage,
  headLowered,
  headLoweredBySend,
  headNews,
  headTimes,
  holds,
  inOrder,
  isReceived,
  keptMessage,
  type MemoryQueue,
  type NamedMessage,
  namesAfter,
  nextDue,
  receivesOf,
  refusalOf,
  restoredMessage,
  type StoredMessage,
  storedMessage,
  uncountReceive,
  wasGivenBack,
} from './memory-queue.ts';
import { SortedList } from './sorted-list.ts';

interface OrderedMessage extends StoredMessage {
  readonly group: string;
  readonly sequence: number;
}

interface Group {
  readonly name: string;
  due: number;
  readonly messages: SortedList<OrderedMessage>;
  /** Ends of leases by message id. One that ended stays while another runs, and may linger after that. */
  leases: Map<string, number>;
}

interface Accepted {
  readonly at: number;
  readonly id: string;
  readonly sequence: number;
}

/**
 * A FIFO queue in memory: what the `FIFO_...` scripts of the Redis store do. The invariant stands in `fifo-groups.ts`
 * there.
 */
export class FifoMemoryQueue implements MemoryQueue {
  readonly #messages = new Map<string, OrderedMessage>();
  readonly #groups = new Map<string, Group>();
  readonly #due = new SortedList<Group>((a, b) => a.due - b.due || compareText(a.name, b.name));
  readonly #delays = new Delays();
  /** By time of acceptance, oldest first. */
  readonly #accepted = new Map<string, Accepted>();
  #lastSequence = 0;
  /** The last sequence number that was not given by a send. */
  #lastRestored = 0;
  /** The last sequence number before the last purge: what was accepted up to it is no original any more. */
  #purgedUpTo = 0;

  send(now: number, entries: readonly NewEntry[]): SendReply {
    const before = this.head();
    this.#forgetAccepted(now);
    const firstSequence = this.#lastSequence + 1;
    this.#lastSequence += entries.length;
    const sent = entries.map((entry, index) => this.#sendOne(now, entry, firstSequence + index, index));
    const repeated = sent.some(
      (one, index) => !one.duplicate && one.sequenceNumber !== sequenceNumber(firstSequence + index),
    );
    if (repeated) return { sent, ...headNews(now, this.head()) };
    return sent.every(({ duplicate }) => duplicate)
      ? { sent }
      : { sent, ...headLoweredBySend(now, before, this.head()) };
  }

  receive(now: number, options: ReceiveOptions, takeFirst: boolean): ReceiveReply {
    const { maxMessages, maxBytes, leaseMs } = options;
    const total = this.#messages.size;
    const leased: LeasedEntry[] = [];
    const taken = new Set<Group>();
    let bytes = 0;
    let full = false;
    for (const group of this.#due.take(maxMessages)) {
      if (full || leased.length === maxMessages) break;
      if (Math.floor(group.due) > now) break;
      for (const message of group.messages.take(maxMessages - leased.length)) {
        if ((message.delayedUntil ?? 0) > now || (group.leases.get(message.id) ?? 0) > now) break;
        bytes += message.record.length;
        full = bytes > maxBytes && !(takeFirst && leased.length === 0);
        if (full) break;
        if (!taken.has(group) && running(now, group).length === 0) group.leases = new Map();
        taken.add(group);
        group.leases.set(message.id, now + leaseMs);
        countReceive(now, message);
        const due = Math.max(Math.floor(group.due), message.sentAt);
        leased.push(leasedEntry(message, now - due));
      }
    }
    const next = this.#firstOther(taken);
    for (const [index, group] of [...taken].entries()) {
      this.#place(group, inOrder(now + leaseMs, index) + later(group, now + leaseMs));
    }
    return { leased, total, ...nextDue(now, next?.due) };
  }

  delete(now: number, leases: readonly Lease[]): DeleteReply {
    return this.#settle(now, leases, (_, message, group) => {
      group.leases.delete(message.id);
      this.#remove(message, group);
    });
  }

  changeVisibility(now: number, changes: readonly VisibilityChange[]): DeleteReply {
    return this.#settle(now, changes, (change, message, group) => {
      group.leases.set(message.id, now + change.leaseMs);
    });
  }

  release(now: number, leases: readonly Lease[]): DeleteReply {
    const release = (_: Lease, message: OrderedMessage, group: Group): void => {
      group.leases.set(message.id, now);
      uncountReceive(message);
    };
    return this.#settle(now, leases, release, (lease) => {
      const message = this.#messages.get(lease.id);
      return wasGivenBack(lease, message) && message !== undefined && isOf(lease, message);
    });
  }

  head(): number | undefined {
    const { first } = this.#due;
    return first === undefined ? undefined : Math.floor(first.due);
  }

  depth(now: number): DepthNow {
    let inFlight = 0;
    for (const group of this.#groups.values()) inFlight += running(now, group).length;
    const delayed = this.#delays.running(now);
    return { visible: this.#messages.size - delayed - inFlight, delayed, inFlight, ...headTimes(this.#due, now) };
  }

  browse(now: number, limit: number): BrowsedEntry[] {
    const found: BrowsedEntry[] = [];
    for (const group of this.#due) {
      if (found.length === limit) break;
      for (const message of group.messages.take(limit - found.length)) {
        const entry = browsedEntry(now, message, group.leases.get(message.id));
        found.push({ ...entry, sequenceNumber: sequenceNumber(message.sequence) });
      }
    }
    return found;
  }

  page(now: number, limit: number, after: string | undefined): FoundPage {
    const groups = [...this.#groups.values()].sort((a, b) => compareText(a.name, b.name));
    const [, sequence = '', name = ''] = /^(\d+) (.*)$/s.exec(after ?? '') ?? [];
    const isBehind = (message: OrderedMessage): boolean =>
      after === undefined || (compareText(message.group, name) || message.sequence - Number(sequence)) > 0;
    const found: KeptMessage[] = [];
    for (const group of groups) {
      for (const message of group.messages) {
        if (found.length === limit) break;
        if (!isBehind(message)) continue;
        const dueAt = message === group.messages.first ? Math.floor(group.due) : message.sentAt;
        const kept = keptMessage(now, message, group.leases.get(message.id), dueAt);
        found.push({ ...kept, sequenceNumber: sequenceNumber(message.sequence) });
      }
    }
    const place = ({ sequenceNumber: text, group }: KeptMessage): string => `${Number(text)} ${group}`;
    return { found, place, lastSequence: this.#lastSequence };
  }

  has(id: string): boolean {
    return this.#messages.has(id);
  }

  restore(now: number, entries: readonly RestoredEntry[], lastSequence = 0): Omit<RestoreReply, 'outcomes'> {
    const before = this.head();
    const given = this.#lastSequence;
    const sentBefore = given < lastSequence && given > this.#lastRestored && this.#messages.size > 0;
    this.#forgetAccepted(now);
    this.#lastSequence = Math.max(this.#lastSequence, lastSequence);
    const anew = new Set<Group>();
    for (const [index, entry] of entries.entries()) {
      const { group: name, dueAt } = entry;
      if (name === undefined) throw new RangeError('a message for a FIFO queue needs a group');
      const sequence = Number(entry.sequenceNumber);
      this.#lastSequence = Math.max(this.#lastSequence, sequence);
      const message = { ...restoredMessage(entry, dueAt > now), group: name, sequence };
      const known = this.#groups.get(name);
      const group = known ?? this.#newGroup(name, inOrder(dueAt, index));
      group.messages.add(message);
      if (known !== undefined && group.messages.first === message) anew.add(group);
      this.#messages.set(message.id, message);
      this.#delays.add(message);
      const key = entry.deduplicationKey;
      if (key !== undefined && now - entry.sentAt < DEDUPLICATION_WINDOW_MS && !this.#accepted.has(key)) {
        this.#accepted.set(key, { at: entry.sentAt, id: entry.id, sequence });
      }
    }
    // Whoever goes through the names of messages goes by sequence number.
    const bySequence = [...this.#messages].sort(([, a], [, b]) => a.sequence - b.sequence);
    this.#messages.clear();
    for (const [id, message] of bySequence) this.#messages.set(id, message);
    const byAge = [...this.#accepted].sort(([, a], [, b]) => a.at - b.at);
    this.#accepted.clear();
    for (const [key, accepted] of byAge) this.#accepted.set(key, accepted);
    this.#replace(now, anew);
    if (this.#lastSequence > given) this.#lastRestored = this.#lastSequence;
    return { sentBefore, ...headLowered(now, before, this.head()) };
  }

  wasReceived(id: string): boolean {
    return isReceived(this.#messages.get(id));
  }

  purge(): void {
    this.#messages.clear();
    this.#groups.clear();
    this.#due.clear();
    this.#delays.clear();
    this.#purgedUpTo = this.#lastSequence;
    this.#lastRestored = 0;
  }

  trim(now: number, olderThanMs: number, limit: number): number {
    let trimmed = 0;
    const thinned: Group[] = [];
    for (const group of this.#due.take(this.#due.size)) {
      const before = trimmed;
      for (const message of group.messages.take(group.messages.size)) {
        if ((group.leases.get(message.id) ?? now) > now) continue;
        const delayed = message.delayedUntil !== undefined && message.delayedUntil > now;
        if (delayed || message.sentAt >= now - olderThanMs || trimmed === limit) break;
        this.#remove(message, group);
        trimmed += 1;
      }
      if (trimmed > before) thinned.push(group);
    }
    this.#replace(now, thinned);
    return trimmed;
  }

  named(now: number, { id, group }: MessageName): NamedMessage | undefined {
    const message = this.#messages.get(id);
    if (message === undefined) return undefined;
    const entry = browsedEntry(now, message, this.#groups.get(message.group)?.leases.get(id));
    return {
      entry: { ...entry, sequenceNumber: sequenceNumber(message.sequence) },
      withinReach: group === message.group,
    };
  }

  deleteNamed(now: number, names: readonly FreeMessage[]): NamedReply {
    return this.#touch(now, names, (message, group, touch) => {
      if (group.messages.first === message || group.leases.has(message.id)) touch();
      this.#delays.remove(message);
      this.#remove(message, group);
      return 'done';
    });
  }

  makeDue(now: number, names: readonly FreeMessage[]): NamedReply {
    return this.#touch(now, names, (message, group, touch) => {
      const { first } = group.messages;
      const heldBefore = running(now, group).some(([id]) => (this.#messages.get(id)?.sequence ?? 0) < message.sequence);
      if (heldBefore || (first !== message && (first?.delayedUntil ?? 0) > now)) return 'behind';
      if ((group.leases.get(message.id) ?? 0) > now) {
        group.leases.set(message.id, now);
        touch();
      } else if ((message.delayedUntil ?? 0) > now) {
        this.#endDelay(message);
        if (first === message) touch();
      }
      return 'done';
    });
  }

  take(now: number, names: readonly FreeMessage[], leaseMs: number): TakeReply {
    const leases: Lease[] = [];
    /** How many were taken of each group. */
    const taken = new Map<Group, number>();
    const reply = this.#touch(now, names, (message, group, touch) => {
      const before = taken.get(group) ?? 0;
      if (group.messages.at(before) !== message) return 'behind';
      taken.set(group, before + 1);
      const ends = group.leases.get(message.id) ?? 0;
      const until = Math.max(now + leaseMs, ends > now ? ends : (message.delayedUntil ?? 0));
      this.#endDelay(message);
      group.leases.set(message.id, until);
      countReceive(now, message);
      const { id, leaseNumber, sequence } = message;
      leases.push({ id, leaseNumber, group: message.group, sequenceNumber: sequenceNumber(sequence) });
      touch();
      return 'done';
    });
    return { ...reply, leases };
  }

  scheduled(now: number, from: number, count: number): ScheduledReply {
    return this.#delays.page(now, from, count);
  }

  names(after: number, limit: number): { readonly names: readonly MessageName[]; readonly last?: number } {
    const found = namesAfter(this.#messages.values(), ({ sequence }) => sequence, after, limit);
    const names = found.names.map((name) => {
      const sequence = this.#messages.get(name.id)?.sequence;
      return sequence === undefined ? name : { ...name, sequenceNumber: sequenceNumber(sequence) };
    });
    return { ...found, names };
  }

  /** Does `act` to each message that is free, and gives the groups that it touches their new places. */
  #touch(
    now: number,
    names: readonly FreeMessage[],
    act: (message: OrderedMessage, group: Group, touch: () => void) => NamedOutcome,
  ): NamedReply {
    const before = this.head();
    const touched = new Set<Group>();
    const outcomes = names.map((name): NamedOutcome => {
      const refusal = refusalOf(this.named(now, name), name);
      const message = this.#messages.get(name.id);
      const group = message === undefined ? undefined : this.#groups.get(message.group);
      if (refusal !== undefined || message === undefined || group === undefined) return refusal ?? 'missing';
      return act(message, group, () => touched.add(group));
    });
    const earliest = this.#replace(now, touched);
    return { outcomes, ...headLowered(now, before, earliest), ...nextDue(now, this.head()) };
  }

  #endDelay(message: OrderedMessage): void {
    this.#delays.remove(message);
    message.delayedUntil = undefined;
  }

  #sendOne(now: number, entry: NewEntry, sequence: number, index: number): SentEntry {
    const stored = this.#messages.get(entry.id);
    if (stored !== undefined) return sentEntry(entry.id, stored.sentAt, stored.sequence, false);
    const key = entry.deduplicationKey;
    const accepted = key === undefined ? undefined : this.#accepted.get(key);
    if (accepted !== undefined && (accepted.id === entry.id || accepted.sequence > this.#purgedUpTo)) {
      return sentEntry(accepted.id, accepted.at, accepted.sequence, accepted.id !== entry.id);
    }
    if (key !== undefined) {
      // A key that is there keeps its place in a Map, and the oldest must stand first.
      this.#accepted.delete(key);
      this.#accepted.set(key, { at: now, id: entry.id, sequence });
    }
    const { group: name } = entry;
    if (name === undefined) throw new RangeError('a message for a FIFO queue needs a group');
    const message: OrderedMessage = { ...storedMessage(now, entry), group: name, sequence };
    const group = this.#groups.get(name) ?? this.#newGroup(name, inOrder(now + entry.delayMs, index));
    group.messages.add(message);
    this.#messages.set(message.id, message);
    this.#delays.add(message);
    return sentEntry(message.id, message.sentAt, sequence, false);
  }

  #newGroup(name: string, due: number): Group {
    const group: Group = { name, due, messages: new SortedList((a, b) => a.sequence - b.sequence), leases: new Map() };
    this.#groups.set(name, group);
    this.#due.add(group);
    return group;
  }

  #forgetAccepted(now: number): void {
    for (const [key, { at }] of this.#accepted) {
      if (now - at < DEDUPLICATION_WINDOW_MS) return;
      this.#accepted.delete(key);
    }
  }

  #settle<T extends Lease>(
    now: number,
    leases: readonly T[],
    settle: (lease: T, message: OrderedMessage, group: Group) => void,
    isDone: (lease: T) => boolean = () => false,
  ): DeleteReply {
    const before = this.head();
    const touched = new Set<Group>();
    const outcomes = leases.map((lease): LeaseOutcome => {
      if (isDone(lease)) return 'done';
      const message = this.#messages.get(lease.id);
      if (message === undefined) return 'missing';
      if (!holds({ ...lease, orEarlier: false }, message)) return 'superseded';
      const group = isOf(lease, message) ? this.#groups.get(message.group) : undefined;
      if (group === undefined || (group.leases.get(message.id) ?? now) <= now) return 'expired';
      settle(lease, message, group);
      touched.add(group);
      return 'done';
    });
    const earliest = this.#replace(now, touched);
    return { outcomes, ...headLowered(now, before, earliest), ...nextDue(now, this.head()) };
  }

  /** Gives each group its place in `due`, or removes it if it is empty; answers the earliest new place. */
  #replace(now: number, groups: Iterable<Group>): number | undefined {
    let free = 0;
    let earliest: number | undefined;
    for (const group of groups) {
      const held = running(now, group).length > 0;
      const head = group.messages.first;
      if (!held) group.leases = new Map();
      if (head === undefined) {
        this.#due.remove(group);
        this.#groups.delete(group.name);
        continue;
      }
      const dueAt = held ? (group.leases.get(head.id) ?? now) : Math.max(now, head.delayedUntil ?? 0);
      this.#place(group, held ? dueAt + later(group, dueAt) : inOrder(dueAt, free++));
      earliest = Math.min(dueAt, earliest ?? dueAt);
    }
    return earliest;
  }

  #place(group: Group, due: number): void {
    this.#due.remove(group);
    group.due = due;
    this.#due.add(group);
  }

  #remove(message: OrderedMessage, group: Group): void {
    group.messages.remove(message);
    group.leases.delete(message.id);
    this.#messages.delete(message.id);
  }

  #firstOther(taken: ReadonlySet<Group>): Group | undefined {
    for (const group of this.#due) if (!taken.has(group)) return group;
    return undefined;
  }
}

/** Whether the lease is one of this very message, and not of an earlier one of the same id. */
function isOf(lease: Lease, message: OrderedMessage): boolean {
  return lease.group === message.group && lease.sequenceNumber === sequenceNumber(message.sequence);
}

function running(now: number, group: Group): [id: string, ends: number][] {
  return [...group.leases].filter(([, ends]) => ends > now);
}

/** The half that says that a lease of the group ends after `dueAt`; the invariant of `fifo-groups.ts` says why. */
function later(group: Group, dueAt: number): number {
  return [...group.leases.values()].some((ends) => ends > dueAt) ? 0.5 : 0;
}

function sentEntry(id: string, sentAt: number, sequence: number, duplicate: boolean): SentEntry {
  return { id, sentAt, sequenceNumber: sequenceNumber(sequence), duplicate };
}

function sequenceNumber(sequence: number): string {
  return String(sequence).padStart(20, '0');
}

function leasedEntry(message: OrderedMessage, lateMs: number): LeasedEntry {
  const { id, record, sentAt, leaseNumber, group, sequence } = message;
  const what = { id, record, sentAt, leaseNumber, ...receivesOf(message), lateMs };
  return { ...what, group, sequenceNumber: sequenceNumber(sequence) };
}
