/**
 * The store as one queue sees it: every call on its messages goes through here, so that the head-watch, the store clock
 * and the safety sweep hear of all of them.
 *
 * An outcome `superseded` settles no lease: the message was received again, perhaps by this process, and that newer
 * lease goes on.
 *
 * @module
 */

import {
  type BrowsedEntry,
  type BrowseOptions,
  type DelayedEntry,
  type DelaySpan,
  type DeleteReply,
  type Depth,
  type KeptFailure,
  type Lease,
  type LeaseOutcome,
  type NewEntry,
  type NewFailure,
  type Page,
  type PageOptions,
  type ReceiveOptions,
  type ReceiveReply,
  type Restoration,
  type RestoreReply,
  type SentEntry,
  type Slots,
  type Store,
  type StoredQueue as StoreAddress,
  StoreFullError,
  type VisibilityChange,
} from '../store/store.ts';
import type { Time } from '../time.ts';
import { GroupCommit } from './group-commit.ts';
import type { Ask, HeadWatch, SafetySweep } from './head-watch.ts';
import { WatchedNames } from './watched-names.ts';

/** Most messages that one call to the store may send or delete. */
const MOST_PER_CALL = 500;
/** Most bytes of records that leave together; a caller who alone brings more leaves alone. */
const MOST_BYTES_PER_CALL = 4 * 1024 * 1024;
/**
 * What a receive through the SQS API may ask for: ten messages. Larger ones are the consumer's, which asks once at a
 * time.
 */
const MOST_PER_SMALL_RECEIVE = 10;
/** Bytes of a lease on its way: an id and a receive count, on FIFO queues a group and a sequence number. */
const LEASE_BYTES = 64;

interface WatchedStoreOptions {
  readonly store: Store;
  readonly address: StoreAddress;
  readonly watch: HeadWatch;
  readonly clock: StoreClock;
  /** To be told when the queue is used. */
  readonly sweep: Pick<SafetySweep, 'active'>;
}

export class WatchedStore {
  readonly #options: WatchedStoreOptions;
  /** Made when first used: there may be thousands of queues. */
  #sends: GroupCommit<NewEntry, SentEntry> | undefined;
  #deletes: GroupCommit<Lease, LeaseOutcome> | undefined;
  #receives: GroupCommit<ReceiveOptions, ReceiveReply> | undefined;
  #largest: number | undefined;

  constructor(options: WatchedStoreOptions) {
    this.#options = options;
  }

  /** Messages by their names. */
  get named(): WatchedNames {
    return new WatchedNames(this.#options);
  }

  /** Bytes of the largest record that was sent or received here; `undefined`: none was. */
  get largest(): number | undefined {
    return this.#largest;
  }

  /**
   * Stores messages in order; all or none up to 500, and in parts of 500 beyond. Sends that wait together leave as one
   * call (`group-commit.ts`). A store that confirms sends is waited for outside of that call, so that the next one
   * leaves meanwhile.
   * Errors: `StoreFullError`, `StoreUnavailableError`.
   */
  send(entries: readonly NewEntry[]): Promise<readonly SentEntry[]> {
    const { store, address, sweep } = this.#options;
    sweep.active();
    for (const { record } of entries) this.#largest = Math.max(this.#largest ?? 0, record.length);
    this.#sends ??= new GroupCommit({
      call: this.#send.bind(this),
      sizeOf: ({ record }) => record.length,
      mostItems: MOST_PER_CALL,
      mostBytes: MOST_BYTES_PER_CALL,
    });
    if (store.confirmation !== undefined) return confirmed(store.confirmation(address), inParts(entries, this.#sends));
    return entries.length <= MOST_PER_CALL && entries.length > 0
      ? this.#sends.commit(entries)
      : inParts(entries, this.#sends);
  }

  /**
   * Leases messages. Small receives of a standard queue that wait together leave as one call: each caller is given what
   * he would have been given had he asked in his turn. On a FIFO queue they cannot: the second caller would be handed
   * what the lease of the first keeps from him. Errors: `StoreUnavailableError`.
   */
  async receive(options: ReceiveOptions): Promise<ReceiveReply> {
    const { address, sweep } = this.#options;
    sweep.active();
    if (address.fifo || options.maxMessages > MOST_PER_SMALL_RECEIVE) return this.#receive(options);
    this.#receives ??= new GroupCommit({
      call: this.#receiveTogether.bind(this),
      sizeOf: () => 0,
      mostItems: MOST_PER_CALL / MOST_PER_SMALL_RECEIVE,
      mostBytes: MOST_BYTES_PER_CALL,
    });
    const [reply] = await this.#receives.commit([options]);
    if (reply === undefined) throw new Error(`a receive of queue ${address.key} was not answered`);
    return reply;
  }

  /**
   * One call for those who want leases of one length; it gives no more than fits the narrowest of them, so that any
   * part of it fits each.
   */
  async #receiveTogether(requests: readonly ReceiveOptions[]): Promise<readonly ReceiveReply[]> {
    const [first] = requests;
    if (first === undefined) return [];
    if (requests.length === 1) return [await this.#receive(first)];
    if (requests.some(({ leaseMs }) => leaseMs !== first.leaseMs)) {
      return Promise.all(requests.map((request) => this.#receive(request)));
    }
    const maxMessages = requests.reduce((sum, request) => sum + request.maxMessages, 0);
    const maxBytes = Math.min(...requests.map((request) => request.maxBytes));
    const { leased, ...rest } = await this.#receive({ ...first, maxMessages, maxBytes });
    let from = 0;
    const shares = requests.map((request) => {
      const own = leased.slice(from, from + request.maxMessages);
      from += own.length;
      return { ...rest, leased: own };
    });
    // Large messages end a call at its bound of bytes. Whoever got none although more are due asks for himself.
    if (rest.nextDueInMs !== 0) return shares;
    return Promise.all(
      shares.map(async (share, at) => {
        const request = requests[at];
        return share.leased.length > 0 || request === undefined ? share : this.#receive(request);
      }),
    );
  }

  async #receive(options: ReceiveOptions): Promise<ReceiveReply> {
    const { store, address, watch, clock } = this.#options;
    const ask = watch.asking();
    try {
      const reply = await store.receive(address, options);
      for (const { id, record, receiveCount, firstReceivedAt } of reply.leased) {
        watch.leased(id, options.leaseMs);
        this.#largest = Math.max(this.#largest ?? 0, record.length);
        // A first receive was just now; of a later one only the first is known.
        if (receiveCount === 1) clock.readExactly(firstReceivedAt);
        else clock.readAtLeast(firstReceivedAt);
      }
      ask.answered(reply.nextDueInMs);
      return reply;
    } catch (error) {
      ask.failed();
      throw error;
    }
  }

  /** Deletes that wait together leave as one call (`group-commit.ts`). Errors: `StoreUnavailableError`. */
  delete(leases: readonly Lease[]): Promise<readonly LeaseOutcome[]> {
    this.#deletes ??= new GroupCommit({
      call: this.#delete.bind(this),
      sizeOf: () => LEASE_BYTES,
      mostItems: MOST_PER_CALL,
      mostBytes: MOST_BYTES_PER_CALL,
    });
    return leases.length <= MOST_PER_CALL && leases.length > 0
      ? this.#deletes.commit(leases)
      : inParts(leases, this.#deletes);
  }

  async #delete(leases: readonly Lease[]): Promise<readonly LeaseOutcome[]> {
    const { store, address, watch, sweep } = this.#options;
    sweep.active();
    const ask = watch.asking();
    try {
      const { outcomes, nextDueInMs } = await store.delete(address, leases);
      for (const [at, { id }] of leases.entries()) {
        if (outcomes[at] === 'done' || outcomes[at] === 'missing') watch.settled(id);
      }
      ask.answered(nextDueInMs);
      return outcomes;
    } catch (error) {
      ask.failed();
      throw error;
    }
  }

  /** Undoes receives. Errors: `StoreUnavailableError`. */
  release(leases: readonly Lease[]): Promise<readonly LeaseOutcome[]> {
    return this.#settling(leases, (store, address) => store.release(address, leases));
  }

  /** Errors: `StoreUnavailableError`. */
  changeVisibility(changes: readonly VisibilityChange[]): Promise<readonly LeaseOutcome[]> {
    return this.#settling(
      changes,
      (store, address) => store.changeVisibility(address, changes),
      ({ id, leaseMs }) => this.#options.watch.leased(id, leaseMs),
    );
  }

  /**
   * Asks for the head and tells the watch; whether there are messages. Counts as no activity. Errors:
   * `StoreUnavailableError`.
   */
  async peek(ask: Ask = this.#options.watch.asking()): Promise<boolean> {
    return this.#asking(ask, async (answered) => {
      const head = await this.#options.store.peek(this.#options.address);
      answered(head);
      return head !== undefined;
    });
  }

  /** Errors: `StoreUnavailableError`. */
  async purge(): Promise<void> {
    const { store, address, watch, sweep } = this.#options;
    sweep.active();
    await this.#asking(watch.asking(), async (answered) => {
      await store.purge(address);
      answered(undefined);
    });
  }

  /** Standard queues: see the store. Errors: `StoreUnavailableError`. */
  delayed(span: DelaySpan): Promise<readonly DelayedEntry[]> {
    return this.#options.store.delayed(this.#options.address, span);
  }

  /**
   * Standard queues: see the store. The head is not told: at worst a receive finds nothing. Errors:
   * `StoreUnavailableError`.
   */
  deleteDelayed(ids: readonly string[]): Promise<readonly LeaseOutcome[]> {
    this.#options.sweep.active();
    return this.#options.store.deleteDelayed(this.#options.address, ids);
  }

  /** What only one at a time may do, across all instances. */
  get slots(): Slots {
    return this.#options.store.slots;
  }

  depth(): Promise<Depth> {
    return this.#options.store.depth(this.#options.address);
  }

  /** See the store. Counts as no activity. Errors: `StoreUnavailableError`. */
  browse(options: BrowseOptions): Promise<readonly BrowsedEntry[]> {
    return this.#options.store.browse(this.#options.address, options);
  }

  /** See the store. Counts as no activity. Errors: `StoreUnavailableError`. */
  page(options: PageOptions): Promise<Page> {
    return this.#options.store.page(this.#options.address, options);
  }

  /** See the store. Errors: `StoreFullError`, `StoreUnavailableError`. */
  async restore(restoration: Restoration): Promise<RestoreReply> {
    const { store, address, watch, sweep } = this.#options;
    sweep.active();
    for (const { record } of restoration.entries) this.#largest = Math.max(this.#largest ?? 0, record.length);
    const confirm = store.confirmation?.(address);
    try {
      const reply = await store.restore(address, restoration);
      if (reply.headLoweredToMs !== undefined) watch.lowered(reply.headLoweredToMs);
      await confirm?.();
      return reply;
    } catch (error) {
      if (!(error instanceof StoreFullError)) watch.asking().failed();
      throw error;
    }
  }

  /** See the store; in parts of 500. Errors: `StoreFullError`, `StoreUnavailableError`. */
  async keepFailures(failures: readonly NewFailure[]): Promise<void> {
    const { store, address } = this.#options;
    for (let from = 0; from < failures.length; from += MOST_PER_CALL) {
      await store.keepFailures(address, failures.slice(from, from + MOST_PER_CALL));
    }
  }

  /** See the store; of up to 500 messages. Counts as no activity. Errors: `StoreUnavailableError`. */
  async failures(ids: readonly string[]): Promise<ReadonlyMap<string, KeptFailure>> {
    return ids.length === 0 ? new Map() : this.#options.store.failures(this.#options.address, ids);
  }

  trim(olderThanMs: number, limit: number): Promise<number> {
    return this.#options.store.trim(this.#options.address, olderThanMs, limit);
  }

  async #send(entries: readonly NewEntry[]): Promise<readonly SentEntry[]> {
    const { store, address, watch, clock } = this.#options;
    try {
      const reply = await store.send(address, entries);
      if (reply.headLoweredToMs !== undefined) watch.lowered(reply.headLoweredToMs);
      // All were stored in one moment, but a duplicate has the time of the first, and one that was moved its own.
      for (let at = reply.sent.length - 1; at >= 0; at -= 1) {
        const entry = reply.sent[at];
        if (entry === undefined || entry.duplicate || entries[at]?.history !== undefined) continue;
        clock.readExactly(entry.sentAt);
        break;
      }
      return reply.sent;
    } catch (error) {
      // The messages may be there although the reply is not, and nobody else will tell of them.
      if (!(error instanceof StoreFullError)) watch.asking().failed();
      throw error;
    }
  }

  /**
   * Ends or moves leases; `moved` is told of each one that has a new end. The reply names the head, which may have
   * hidden behind one of these leases.
   */
  async #settling<T extends Lease>(
    leases: readonly T[],
    call: (store: Store, address: StoreAddress) => Promise<DeleteReply>,
    moved?: (lease: T) => void,
  ): Promise<readonly LeaseOutcome[]> {
    if (leases.length === 0) return [];
    const { store, address, watch, sweep } = this.#options;
    sweep.active();
    return this.#asking(watch.asking(), async (answered) => {
      const reply = await call(store, address);
      for (const [at, lease] of leases.entries()) {
        const outcome = reply.outcomes[at];
        if (outcome === 'done' && moved !== undefined) moved(lease);
        else if (outcome === 'done' || outcome === 'missing') watch.settled(lease.id);
      }
      answered(reply.nextDueInMs);
      return reply.outcomes;
    });
  }

  /** Runs a call whose answer arms the watch; whatever way it fails, the watch hears of that. */
  async #asking<T>(ask: Ask, call: (answered: Ask['answered']) => Promise<T>): Promise<T> {
    try {
      return await call((nextDueInMs) => ask.answered(nextDueInMs));
    } catch (error) {
      ask.failed();
      throw error;
    }
  }
}

/** Brings items to a group commit, in parts that one call can take. */
function inParts<Item, Answer>(items: readonly Item[], group: GroupCommit<Item, Answer>): Promise<readonly Answer[]> {
  if (items.length === 0) return Promise.resolve([]);
  return items.length <= MOST_PER_CALL ? group.commit(items) : partByPart(items, group);
}

async function partByPart<Item, Answer>(
  items: readonly Item[],
  group: GroupCommit<Item, Answer>,
): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (let from = 0; from < items.length; from += MOST_PER_CALL) {
    answers.push(...(await group.commit(items.slice(from, from + MOST_PER_CALL))));
  }
  return answers;
}

async function confirmed<Answer>(
  confirm: () => Promise<void>,
  sent: Promise<readonly Answer[]>,
): Promise<readonly Answer[]> {
  const answers = await sent;
  if (answers.length > 0) await confirm();
  return answers;
}

/*
 * What the store's clock says, as far as its replies tell.
 *
 * Retention and the twelve-hour rule compare absolute times that the store wrote (`sentAt`, the time of a receive).
 * Comparing them with this machine's clock would let a machine whose clock runs ahead throw messages away early. So the
 * store's clock is learned from the times in its replies: never ahead of it, at worst behind.
 */

export interface StoreClock {
  /** The reply that just came says that the store's clock read exactly this when it answered. Epoch ms. */
  readExactly(storeNow: number): void;
  /** The reply that just came names a time that had passed. Epoch ms. */
  readAtLeast(storeTime: number): void;
  /** The store's time now, never ahead of it; `undefined`: no reply has told anything yet. Epoch ms. */
  now(): number | undefined;
}

/** A clock that knows nothing yet. One per store: all queues learn together. */
export function createStoreClock(time: Time): StoreClock {
  /** Store time minus monotonic time. */
  let offset: number | undefined;
  return {
    readExactly(storeNow) {
      // Replaces, so that a store whose clock was set back (a failover) is believed again.
      offset = storeNow - time.monotonic();
    },
    readAtLeast(storeTime) {
      const least = storeTime - time.monotonic();
      offset = offset === undefined ? least : Math.max(offset, least);
    },
    now: () => (offset === undefined ? undefined : offset + time.monotonic()),
  };
}
