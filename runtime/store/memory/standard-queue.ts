import { FAIR_LOOK_AHEAD } from '../steps.ts';
import type {
  BrowsedEntry,
  DelayedEntry,
  DelaySpan,
  DeleteReply,
  DepthNow,
  FreeMessage,
  Lease,
  LeaseOutcome,
  MessageName,
  NamedOutcome,
  NamedReply,
  NewEntry,
  ReceiveOptions,
  ReceiveReply,
  RestoredEntry,
  RestoreReply,
  ScheduledReply,
  SendReply,
  SentEntry,
  TakeReply,
  VisibilityChange,
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

interface DueMessage extends StoredMessage {
  due: number;
  /** How many were stored before it. */
  readonly number: number;
}

/**
 * A standard queue in memory: what the scripts `send`, `receive`, `settle` and `upkeep` of the Redis store do.
 */
export class StandardMemoryQueue implements MemoryQueue {
  readonly #messages = new Map<string, DueMessage>();
  readonly #due = new SortedList<DueMessage>((a, b) => a.due - b.due || compareText(a.id, b.id));
  readonly #delays = new Delays();
  #stored = 0;

  send(now: number, entries: readonly NewEntry[]): SendReply {
    const before = this.head();
    let earliest: number | undefined;
    let repeated = false;
    const sent = entries.map((entry, index): SentEntry => {
      const stored = this.#messages.get(entry.id);
      if (stored !== undefined) {
        repeated = true;
        return { id: entry.id, sentAt: stored.sentAt, duplicate: false };
      }
      const dueAt = now + entry.delayMs;
      const message: DueMessage = { ...storedMessage(now, entry), due: inOrder(dueAt, index), number: ++this.#stored };
      this.#messages.set(message.id, message);
      this.#due.add(message);
      this.#delays.add(message);
      earliest = Math.min(dueAt, earliest ?? dueAt);
      return { id: message.id, sentAt: message.sentAt, duplicate: false };
    });
    if (repeated) return { sent, ...headNews(now, this.head()) };
    return earliest === undefined ? { sent } : { sent, ...headLoweredBySend(now, before, earliest) };
  }

  receive(now: number, { maxMessages, maxBytes, leaseMs }: ReceiveOptions, takeFirst: boolean): ReceiveReply {
    const total = this.#due.size;
    const taken = new Set<DueMessage>();
    let bytes = 0;
    for (const message of this.#candidates(now, maxMessages)) {
      bytes += message.record.length;
      if (taken.size === maxMessages || (bytes > maxBytes && !(takeFirst && taken.size === 0))) break;
      taken.add(message);
    }
    const next = this.#firstOther(taken);
    const leased = [...taken].map((message, index) => {
      const lateMs = now - Math.floor(message.due);
      this.#move(message, inOrder(now + leaseMs, index));
      countReceive(now, message);
      const { id, record, sentAt, leaseNumber, group } = message;
      const leasedNow = { id, record, sentAt, leaseNumber, ...receivesOf(message), lateMs };
      return group === undefined ? leasedNow : { ...leasedNow, group };
    });
    return { leased, total, ...nextDue(now, next?.due) };
  }

  delete(now: number, leases: readonly Lease[]): DeleteReply {
    const outcomes = leases.map((lease) => {
      const message = this.#held(lease);
      if (typeof message === 'string') return message;
      this.#remove(message);
      return 'done';
    });
    return { outcomes, ...nextDue(now, this.head()) };
  }

  changeVisibility(now: number, changes: readonly VisibilityChange[]): DeleteReply {
    return this.#moveLeases(now, changes, (change) => now + change.leaseMs);
  }

  release(now: number, leases: readonly Lease[]): DeleteReply {
    // What is undone is the last receive, so only its lease counts.
    const last = leases.map((lease) => ({ ...lease, orEarlier: false }));
    const release = (_: Lease, message: DueMessage): number => {
      uncountReceive(message);
      return now;
    };
    return this.#moveLeases(now, last, release, (lease) => wasGivenBack(lease, this.#messages.get(lease.id)));
  }

  head(): number | undefined {
    const { first } = this.#due;
    return first === undefined ? undefined : Math.floor(first.due);
  }

  depth(now: number): DepthNow {
    const visible = this.#due.countWhile((message) => Math.floor(message.due) <= now);
    const delayed = this.#delays.running(now);
    return { visible, delayed, inFlight: this.#due.size - visible - delayed, ...headTimes(this.#due, now) };
  }

  browse(now: number, limit: number): BrowsedEntry[] {
    return this.#due.take(limit).map((message) => {
      const due = Math.floor(message.due);
      const delayed = (message.delayedUntil ?? 0) > now;
      return browsedEntry(now, message, delayed ? undefined : due);
    });
  }

  page(now: number, limit: number, after: string | undefined): FoundPage {
    const [due = '', id = ''] = after?.split(' ') ?? [];
    const isBehind = (message: DueMessage): boolean =>
      after === undefined || (message.due - Number(due) || compareText(message.id, id)) > 0;
    const found: DueMessage[] = [];
    for (const message of this.#due) {
      if (found.length === limit) break;
      if (isBehind(message)) found.push(message);
    }
    return {
      found: found.map((message) => {
        const dueAt = Math.floor(message.due);
        const delayed = (message.delayedUntil ?? 0) > now;
        return keptMessage(now, message, delayed ? undefined : dueAt, dueAt);
      }),
      place: (last) => `${this.#messages.get(last.id)?.due ?? last.dueAt} ${last.id}`,
    };
  }

  has(id: string): boolean {
    return this.#messages.has(id);
  }

  restore(now: number, entries: readonly RestoredEntry[]): Omit<RestoreReply, 'outcomes'> {
    const before = this.head();
    for (const [index, entry] of entries.entries()) {
      const isDelayed = entry.state === 'delayed' && entry.dueAt > now;
      const due = inOrder(entry.dueAt, index);
      const message: DueMessage = { ...restoredMessage(entry, isDelayed), due, number: ++this.#stored };
      this.#messages.set(message.id, message);
      this.#due.add(message);
      this.#delays.add(message);
    }
    return { sentBefore: false, ...headLowered(now, before, this.head()) };
  }

  wasReceived(id: string): boolean {
    return isReceived(this.#messages.get(id));
  }

  purge(): void {
    this.#messages.clear();
    this.#due.clear();
    this.#delays.clear();
  }

  trim(now: number, olderThanMs: number, limit: number): number {
    const old = this.#due
      .takeWhile((message) => Math.floor(message.due) <= now)
      .filter((message) => message.sentAt < now - olderThanMs)
      .slice(0, limit);
    for (const message of old) this.#remove(message);
    return old.length;
  }

  delayed(now: number, { fromMs, toMs, limit }: DelaySpan): DelayedEntry[] {
    return this.#delays.between(now + Math.max(1, fromMs), now + toMs, limit).flatMap((id) => {
      const message = this.#messages.get(id);
      if (message?.delayedUntil === undefined) return [];
      return [{ id, record: message.record, dueInMs: message.delayedUntil - now }];
    });
  }

  deleteDelayed(now: number, ids: readonly string[]): LeaseOutcome[] {
    const outcomes = ids.map((id): LeaseOutcome => {
      const message = this.#messages.get(id);
      if (message === undefined) return 'missing';
      return (message.delayedUntil ?? 0) > now ? 'done' : 'superseded';
    });
    for (const [index, id] of ids.entries()) {
      const message = this.#messages.get(id);
      if (outcomes[index] !== 'done' || message === undefined) continue;
      this.#delays.remove(message);
      this.#remove(message);
    }
    return outcomes;
  }

  named(now: number, { id, group }: MessageName): NamedMessage | undefined {
    const message = this.#messages.get(id);
    if (message === undefined) return undefined;
    const known = group ?? (message.leaseNumber > 0 ? message.group : undefined);
    const delayed = (message.delayedUntil ?? 0) > now;
    const entry = browsedEntry(now, message, delayed ? undefined : Math.floor(message.due));
    return { entry, withinReach: known === message.group };
  }

  deleteNamed(now: number, names: readonly FreeMessage[]): NamedReply {
    const outcomes = this.#touch(now, names, (message) => {
      this.#delays.remove(message);
      this.#remove(message);
      return 'done';
    });
    return { outcomes, ...nextDue(now, this.head()) };
  }

  makeDue(now: number, names: readonly FreeMessage[]): NamedReply {
    const before = this.head();
    let made = false;
    const outcomes = this.#touch(now, names, (message, index) => {
      if (Math.floor(message.due) > now) {
        made = true;
        this.#endDelay(message);
        this.#move(message, inOrder(now, index));
      }
      return 'done';
    });
    const lowered = made ? headLowered(now, before, now) : {};
    return { outcomes, ...lowered, ...nextDue(now, this.head()) };
  }

  take(now: number, names: readonly FreeMessage[], leaseMs: number): TakeReply {
    const leases: Lease[] = [];
    const outcomes = this.#touch(now, names, (message, index) => {
      this.#endDelay(message);
      this.#move(message, inOrder(Math.max(now + leaseMs, Math.floor(message.due)), index));
      countReceive(now, message);
      leases.push({ id: message.id, leaseNumber: message.leaseNumber });
      return 'done';
    });
    return { outcomes, leases, ...nextDue(now, this.head()) };
  }

  scheduled(now: number, from: number, count: number): ScheduledReply {
    return this.#delays.page(now, from, count);
  }

  names(after: number, limit: number): { readonly names: readonly MessageName[]; readonly last?: number } {
    return namesAfter(this.#messages.values(), ({ number }) => number, after, limit);
  }

  /** Does `act` to each message that is free. */
  #touch(
    now: number,
    names: readonly FreeMessage[],
    act: (message: DueMessage, index: number) => NamedOutcome,
  ): NamedOutcome[] {
    return names.map((name, index) => {
      const refusal = refusalOf(this.named(now, name), name);
      const message = this.#messages.get(name.id);
      if (refusal !== undefined || message === undefined) return refusal ?? 'missing';
      return act(message, index);
    });
  }

  #endDelay(message: DueMessage): void {
    this.#delays.remove(message);
    message.delayedUntil = undefined;
  }

  /** What may be received, in the order in which it should be: due first, but groups in turn. */
  #candidates(now: number, maxMessages: number): DueMessage[] {
    const isDue = (message: DueMessage): boolean => Math.floor(message.due) <= now;
    const wanted = this.#due.take(maxMessages).filter(isDue);
    if (wanted.every((message) => message.group === undefined)) return wanted;
    const rounds: DueMessage[][] = [];
    const seen = new Map<string, number>();
    for (const message of this.#due.take(Math.max(maxMessages, FAIR_LOOK_AHEAD)).filter(isDue)) {
      const round = message.group === undefined ? 0 : (seen.get(message.group) ?? 0);
      if (message.group !== undefined) seen.set(message.group, round + 1);
      const sameRound = rounds[round] ?? [];
      sameRound.push(message);
      rounds[round] = sameRound;
    }
    return rounds.flat();
  }

  #firstOther(taken: ReadonlySet<DueMessage>): DueMessage | undefined {
    for (const message of this.#due) if (!taken.has(message)) return message;
    return undefined;
  }

  #held(lease: Lease): DueMessage | LeaseOutcome {
    const message = this.#messages.get(lease.id);
    if (message === undefined) return 'missing';
    return holds(lease, message) ? message : 'superseded';
  }

  #moveLeases<T extends Lease>(
    now: number,
    leases: readonly T[],
    dueAfter: (lease: T, message: DueMessage) => number,
    isDone: (lease: T) => boolean = () => false,
  ): DeleteReply {
    const before = this.head();
    let earliest: number | undefined;
    const outcomes = leases.map((lease, index) => {
      if (isDone(lease)) return 'done';
      const message = this.#held(lease);
      if (typeof message === 'string') return message;
      const dueAt = dueAfter(lease, message);
      this.#move(message, inOrder(dueAt, index));
      earliest = Math.min(dueAt, earliest ?? dueAt);
      return 'done';
    });
    return { outcomes, ...headLowered(now, before, earliest), ...nextDue(now, this.head()) };
  }

  #move(message: DueMessage, due: number): void {
    this.#due.remove(message);
    message.due = due;
    this.#due.add(message);
  }

  #remove(message: DueMessage): void {
    this.#due.remove(message);
    this.#messages.delete(message.id);
  }
}
