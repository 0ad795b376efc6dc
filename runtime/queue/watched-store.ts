/**
 * The store as one queue sees it: every call on its messages goes through here, so that the head-watch, the store clock and the safety sweep hear of all of them.
 *
 * An outcome `superseded` settles no lease: the message was received again, perhaps by this process, and that newer lease goes on.
 *
 * @module
 */
import type {
  Depth,
  Lease,
  LeaseOutcome,
  NewEntry,
  ReceiveOptions,
  ReceiveReply,
  SentEntry,
  Store,
  StoredQueue as StoreAddress,
  VisibilityChange,
} from '../store/store.ts';
import type { Ask, HeadWatch } from './head-watch.ts';
import type { StoreClock } from './store-clock.ts';

/** Most messages that one call to the store may send. */
const MOST_PER_SEND = 500;

interface WatchedStoreOptions {
  readonly store: Store;
  readonly address: StoreAddress;
  readonly watch: HeadWatch;
  readonly clock: StoreClock;
  /** Called when the queue is used. */
  readonly onActivity: () => void;
}

export class WatchedStore {
  readonly #options: WatchedStoreOptions;

  constructor(options: WatchedStoreOptions) {
    this.#options = options;
  }

  /** Stores messages in order; all or none up to 500, and in parts of 500 beyond. Errors: `StoreFullError`, `StoreUnavailableError`. */
  async send(entries: readonly NewEntry[]): Promise<readonly SentEntry[]> {
    const { store, address, watch, clock, onActivity } = this.#options;
    onActivity();
    const sent: SentEntry[] = [];
    for (let from = 0; from < entries.length; from += MOST_PER_SEND) {
      const part = entries.slice(from, from + MOST_PER_SEND);
      const reply = await store.send(address, part);
      if (reply.headLoweredToMs !== undefined) watch.lowered(reply.headLoweredToMs);
      for (const [at, entry] of reply.sent.entries()) {
        if (!entry.duplicate && part[at]?.history === undefined) clock.readExactly(entry.sentAt);
      }
      sent.push(...reply.sent);
    }
    return sent;
  }

  /** Leases messages. Errors: `StoreUnavailableError`. */
  async receive(options: ReceiveOptions): Promise<ReceiveReply> {
    const { store, address, watch, clock, onActivity } = this.#options;
    onActivity();
    return this.#asking(watch.asking(), async (answered) => {
      const reply = await store.receive(address, options);
      for (const entry of reply.leased) {
        watch.leased(entry.id, options.leaseMs);
        // A first receive of a message that did not come from another queue was just now.
        if (entry.receiveCount === 1) clock.readExactly(entry.firstReceivedAt);
        else clock.readAtLeast(entry.firstReceivedAt);
      }
      answered(reply.nextDueInMs);
      return reply;
    });
  }

  /** Errors: `StoreUnavailableError`. */
  async delete(leases: readonly Lease[]): Promise<readonly LeaseOutcome[]> {
    const { store, address } = this.#options;
    this.#options.onActivity();
    const reply = await store.delete(address, leases);
    this.#settle(leases, reply.outcomes, reply.headLoweredToMs);
    return reply.outcomes;
  }

  /** Undoes receives. Errors: `StoreUnavailableError`. */
  async release(leases: readonly Lease[]): Promise<void> {
    const { store, address } = this.#options;
    this.#options.onActivity();
    const reply = await store.release(address, leases);
    this.#settle(leases, reply.outcomes, reply.headLoweredToMs);
  }

  /** Errors: `StoreUnavailableError`. */
  async changeVisibility(changes: readonly VisibilityChange[]): Promise<readonly LeaseOutcome[]> {
    const { store, address, watch, onActivity } = this.#options;
    onActivity();
    const reply = await store.changeVisibility(address, changes);
    for (const [at, change] of changes.entries()) {
      if (reply.outcomes[at] === 'done') watch.leased(change.id, change.leaseMs);
      else if (reply.outcomes[at] === 'missing') watch.settled(change.id);
    }
    if (reply.headLoweredToMs !== undefined) watch.lowered(reply.headLoweredToMs);
    return reply.outcomes;
  }

  /** Asks for the head and tells the watch; whether there are messages. Counts as no activity. Errors: `StoreUnavailableError`. */
  async peek(ask: Ask = this.#options.watch.asking()): Promise<boolean> {
    return this.#asking(ask, async (answered) => {
      const head = await this.#options.store.peek(this.#options.address);
      answered(head);
      return head !== undefined;
    });
  }

  /** Errors: `StoreUnavailableError`. */
  async purge(): Promise<void> {
    const { store, address, watch, onActivity } = this.#options;
    onActivity();
    await this.#asking(watch.asking(), async (answered) => {
      await store.purge(address);
      answered(undefined);
    });
  }

  depth(): Promise<Depth> {
    return this.#options.store.depth(this.#options.address);
  }

  trim(olderThanMs: number, limit: number): Promise<number> {
    return this.#options.store.trim(this.#options.address, olderThanMs, limit);
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

  #settle(leases: readonly Lease[], outcomes: readonly LeaseOutcome[], headLoweredToMs: number | undefined): void {
    const { watch } = this.#options;
    for (const [at, lease] of leases.entries()) {
      if (outcomes[at] === 'done' || outcomes[at] === 'missing') watch.settled(lease.id);
    }
    if (headLoweredToMs !== undefined) watch.lowered(headLoweredToMs);
  }
}
