/**
 * The store of one process: the default of `karin dev`, and the model that the Redis store is compared with. A restart
 * loses everything.
 *
 * @module
 */

import type { Time } from '../../time.ts';
import {
  bareDepth,
  checkBrowse,
  checkDelayed,
  checkEntries,
  checkFailures,
  checkMaxMessages,
  checkRestoration,
  receiveInSteps,
  settleInSteps,
  wholeMs,
} from '../steps.ts';
import type { QueueKey } from '../store.ts';
import {
  type AskedQueue,
  type BrowsedEntry,
  type BrowseOptions,
  type DelayedEntry,
  type DelaySpan,
  type DeleteReply,
  type Depth,
  type DepthsReply,
  type Documents,
  type HeadLowered,
  type KeptFailure,
  type Lease,
  type LeaseOutcome,
  MOST_FAILURES,
  type NamedMessages,
  type NewEntry,
  type NewFailure,
  type Page,
  type PageOptions,
  type ReceiveOptions,
  type ReceiveReply,
  type Restoration,
  type RestoreOutcome,
  type RestoreReply,
  type SendReply,
  type Signal,
  type Slots,
  type Store,
  type StoredQueue,
  type StoreHealth,
  StoreUnavailableError,
  type VisibilityChange,
} from '../store.ts';
import { FifoMemoryQueue } from './fifo-queue.ts';
import { compareText, type MemoryQueue, withinBytes } from './memory-queue.ts';
import { memoryNamed } from './named.ts';
import { StandardMemoryQueue } from './standard-queue.ts';

export interface MemoryStoreOptions {
  /** Its wall clock is the clock of the store. */
  readonly time: Time;
}

export class MemoryStore implements Store {
  readonly documents: MemoryDocuments;
  readonly slots: MemorySlots;
  readonly named: NamedMessages;
  readonly #time: Time;
  readonly #queues = new Map<QueueKey, MemoryQueue>();
  readonly #failures = new Map<QueueKey, Map<string, KeptFailure>>();
  /** For each queue, the last position that it had of each source. */
  readonly #restored = new Map<QueueKey, Map<string, number>>();
  readonly #listeners = new Set<(signal: Signal) => void>();
  #closed = false;

  constructor({ time }: MemoryStoreOptions) {
    this.#time = time;
    const signal = (sent: Signal): void => this.#signal(sent);
    this.documents = new MemoryDocuments(signal);
    this.slots = new MemorySlots(time, signal);
    this.named = memoryNamed({
      time,
      queue: (queue) => this.#queue(queue),
      forget: (queue, ids) => this.#forget(queue, ({ id }) => ids.has(id)),
      woken: (queue, reply) => this.#woken(queue, reply),
    });
  }

  async send(queue: StoredQueue, entries: readonly NewEntry[]): Promise<SendReply> {
    checkEntries(queue, entries);
    const whole = entries.map((entry) => ({ ...entry, delayMs: wholeMs(entry.delayMs) }));
    return this.#woken(queue, this.#queue(queue).send(this.#time.now(), whole));
  }

  async receive(queue: StoredQueue, options: ReceiveOptions): Promise<ReceiveReply> {
    checkMaxMessages(options.maxMessages);
    const whole = { ...options, leaseMs: wholeMs(options.leaseMs) };
    return receiveInSteps(whole, async (step, takeFirst) =>
      this.#queue(queue).receive(this.#time.now(), step, takeFirst),
    );
  }

  async delete(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply> {
    const reply = await settleInSteps(leases, async (step) =>
      this.#woken(queue, this.#queue(queue).delete(this.#time.now(), step)),
    );
    this.#forget(queue, ({ id }) => leases.some((lease, at) => lease.id === id && reply.outcomes[at] === 'done'));
    return reply;
  }

  async changeVisibility(queue: StoredQueue, changes: readonly VisibilityChange[]): Promise<DeleteReply> {
    const whole = changes.map((change) => ({ ...change, leaseMs: wholeMs(change.leaseMs) }));
    return settleInSteps(whole, async (step) =>
      this.#woken(queue, this.#queue(queue).changeVisibility(this.#time.now(), step)),
    );
  }

  async release(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply> {
    return settleInSteps(leases, async (step) =>
      this.#woken(queue, this.#queue(queue).release(this.#time.now(), step)),
    );
  }

  async peek(queue: StoredQueue): Promise<number | undefined> {
    const head = this.#queue(queue).head();
    return head === undefined ? undefined : Math.max(0, head - this.#time.now());
  }

  async depth(queue: StoredQueue): Promise<Depth> {
    return bareDepth(this.#queue(queue).depth(this.#time.now()));
  }

  async depths(queues: readonly AskedQueue[]): Promise<DepthsReply> {
    const now = this.#time.now();
    return { depths: queues.map((queue) => this.#queue(queue).depth(now)), commands: 0 };
  }

  async browse(queue: StoredQueue, options: BrowseOptions): Promise<readonly BrowsedEntry[]> {
    checkBrowse(options.limit);
    return withinBytes(this.#queue(queue).browse(this.#time.now(), options.limit), options.maxBytes);
  }

  async page(queue: StoredQueue, { limit, maxBytes, after }: PageOptions): Promise<Page> {
    checkBrowse(limit);
    const { found, place, lastSequence } = this.#queue(queue).page(this.#time.now(), limit, after);
    const messages = withinBytes(found, maxBytes);
    const last = messages.at(-1);
    const isLast = found.length < limit && messages.length === found.length;
    return {
      messages,
      ...(last === undefined || isLast ? {} : { next: place(last) }),
      ...(lastSequence === undefined ? {} : { lastSequence }),
    };
  }

  async restore(queue: StoredQueue, restoration: Restoration): Promise<RestoreReply> {
    checkRestoration(queue, restoration);
    const { source, entries, lastSequence } = restoration;
    const stored = this.#queue(queue);
    const reached = this.#restored.get(queue.key)?.get(source) ?? 0;
    const known = new Set<string>();
    const outcomes = entries.map(({ id, position }): RestoreOutcome => {
      if (position <= reached) return 'earlier';
      if (known.has(id) || stored.has(id)) return 'present';
      known.add(id);
      return 'restored';
    });
    const lowered = stored.restore(
      this.#time.now(),
      entries.filter((_, at) => outcomes[at] === 'restored'),
      lastSequence,
    );
    const last = entries.at(-1)?.position ?? 0;
    if (last > reached) {
      const sources = this.#restored.get(queue.key) ?? new Map<string, number>();
      this.#restored.set(queue.key, sources.set(source, last));
    }
    return this.#woken(queue, { outcomes, ...lowered });
  }

  async keepFailures(queue: StoredQueue, failures: readonly NewFailure[]): Promise<void> {
    checkFailures(failures.length);
    const stored = this.#queue(queue);
    const kept = this.#failures.get(queue.key) ?? new Map<string, KeptFailure>();
    this.#failures.set(queue.key, kept);
    for (const { id, text, at = this.#time.now() } of failures) {
      if (stored.wasReceived(id)) kept.set(id, { text, at });
    }
    if (kept.size <= MOST_FAILURES) return;
    const oldest = [...kept].sort(([a, { at: atA }], [b, { at: atB }]) => atA - atB || compareText(a, b));
    for (const [id] of oldest.slice(0, kept.size - MOST_FAILURES + 100)) kept.delete(id);
  }

  async failures(queue: StoredQueue, ids: readonly string[]): Promise<ReadonlyMap<string, KeptFailure>> {
    checkFailures(ids.length);
    const kept = this.#failures.get(queue.key);
    return new Map(
      ids.flatMap((id): [string, KeptFailure][] => {
        const failure = kept?.get(id);
        return failure === undefined ? [] : [[id, failure]];
      }),
    );
  }

  async purge(queue: StoredQueue): Promise<void> {
    this.#queue(queue).purge();
    this.#restored.delete(queue.key);
    this.#forget(queue, () => true);
  }

  async trim(queue: StoredQueue, olderThanMs: number, limit: number): Promise<number> {
    const stored = this.#queue(queue);
    const trimmed = stored.trim(this.#time.now(), olderThanMs, limit);
    if (trimmed > 0) this.#forget(queue, ({ id }) => !stored.wasReceived(id));
    return trimmed;
  }

  async delayed(queue: StoredQueue, span: DelaySpan): Promise<readonly DelayedEntry[]> {
    checkDelayed(queue, span.limit, span);
    return this.#standardQueue(queue).delayed(this.#time.now(), span);
  }

  async deleteDelayed(queue: StoredQueue, ids: readonly string[]): Promise<readonly LeaseOutcome[]> {
    checkDelayed(queue, ids.length);
    return this.#standardQueue(queue).deleteDelayed(this.#time.now(), ids);
  }

  subscribe(listener: (signal: Signal) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** There are no others. */
  doubt(): void {}

  /** There are no others. */
  askForHelp(): void {}

  async health(): Promise<StoreHealth> {
    return {
      reachable: !this.#closed,
      warnings: ['messages are kept in the memory of this process: a restart loses them'],
      description: 'memory',
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#listeners.clear();
  }

  #forget({ key }: StoredQueue, isGone: (failure: { readonly id: string }) => boolean): void {
    const kept = this.#failures.get(key);
    for (const id of [...(kept?.keys() ?? [])]) if (isGone({ id })) kept?.delete(id);
    if (kept?.size === 0) this.#failures.delete(key);
  }

  #queue({ key, fifo }: StoredQueue): MemoryQueue {
    if (this.#closed) throw new StoreUnavailableError('the store is closed');
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      queue = fifo ? new FifoMemoryQueue() : new StandardMemoryQueue();
      this.#queues.set(key, queue);
    }
    return queue;
  }

  #standardQueue(queue: StoredQueue): StandardMemoryQueue {
    const found = this.#queue(queue);
    if (!(found instanceof StandardMemoryQueue)) throw new RangeError(`${queue.key} is not a standard queue`);
    return found;
  }

  #woken<T extends HeadLowered>({ key }: StoredQueue, reply: T): T {
    if (reply.headLoweredToMs !== undefined) {
      this.#signal({ kind: 'wake', queue: key, dueInMs: reply.headLoweredToMs });
    }
    return reply;
  }

  /** Signals come after the call that caused them has been answered, as they may with Redis. */
  #signal(signal: Signal): void {
    setImmediate(() => {
      for (const listener of [...this.#listeners]) listener(signal);
    });
  }
}

export class MemoryDocuments implements Documents {
  readonly #values = new Map<string, string>();
  readonly #signal: (signal: Signal) => void;

  constructor(signal: (signal: Signal) => void) {
    this.#signal = signal;
  }

  async get(name: string): Promise<string | undefined> {
    return this.#values.get(name);
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    return new Map([...this.#values].filter(([name]) => name.startsWith(prefix)).sort(([a], [b]) => compareText(a, b)));
  }

  async *each(prefix: string): AsyncIterable<readonly [string, string]> {
    yield* await this.list(prefix);
  }

  /** What is in this memory is never lost before its reader is. */
  heldBy(): void {}

  async put(name: string, value: string, expected?: string | null): Promise<boolean> {
    const present = this.#values.get(name);
    if (expected !== undefined && present !== (expected ?? undefined)) return false;
    this.#values.set(name, value);
    this.#signal({ kind: 'document', name });
    return true;
  }

  async remove(name: string, expected?: string): Promise<boolean> {
    const present = this.#values.get(name);
    if (present === undefined || (expected !== undefined && present !== expected)) return false;
    this.#values.delete(name);
    this.#signal({ kind: 'document', name });
    return true;
  }
}

export class MemorySlots implements Slots {
  /** For each set, when the slot of each holder frees itself. */
  readonly #sets = new Map<string, Map<string, number>>();
  readonly #time: Time;
  readonly #signal: (signal: Signal) => void;

  constructor(time: Time, signal: (signal: Signal) => void) {
    this.#time = time;
    this.#signal = signal;
  }

  async take(name: string, holder: string, limit: number, holdMs: number): Promise<'taken' | number> {
    const holders = this.#holders(name);
    if (!holders.has(holder) && holders.size >= limit) return Math.min(...holders.values()) - this.#time.now();
    holders.set(holder, this.#time.now() + holdMs);
    return 'taken';
  }

  async free(name: string, holder: string, limit: number): Promise<void> {
    const holders = this.#holders(name);
    const wasFull = holders.size >= limit;
    if (holders.delete(holder) && wasFull) this.#signal({ kind: 'slot', name });
  }

  #holders(name: string): Map<string, number> {
    let holders = this.#sets.get(name);
    if (holders === undefined) {
      holders = new Map();
      this.#sets.set(name, holders);
    }
    for (const [holder, until] of holders) if (until <= this.#time.now()) holders.delete(holder);
    return holders;
  }
}
