/**
 * Messages by their names, as one queue sees them: like every call of `watched-store.ts`, what ends or begins a lease,
 * or moves the head, is told to the head-watch, and what is only looked at counts as no activity.
 *
 * @module
 */
import type {
  FreeMessage,
  LookUpReply,
  MessageName,
  NamedReply,
  NamesReply,
  RecordsReply,
  ScheduledReply,
  Store,
  StoredQueue as StoreAddress,
  TakeReply,
} from '../store/store.ts';
import type { HeadWatch, SafetySweep } from './head-watch.ts';

interface WatchedNamesOptions {
  readonly store: Store;
  readonly address: StoreAddress;
  readonly watch: HeadWatch;
  readonly sweep: Pick<SafetySweep, 'active'>;
}

export class WatchedNames {
  readonly #options: WatchedNamesOptions;

  constructor(options: WatchedNamesOptions) {
    this.#options = options;
  }

  /** See the store, as all calls here. Errors of each: `StoreUnavailableError`. */
  lookUp(names: readonly MessageName[], maxBytes: number): Promise<LookUpReply> {
    return this.#options.store.named.lookUp(this.#address, names, maxBytes);
  }

  names(count: number, cursor?: string): Promise<NamesReply> {
    return this.#options.store.named.names(this.#address, count, cursor);
  }

  scheduled(from: number, count: number): Promise<ScheduledReply> {
    return this.#options.store.named.scheduled(this.#address, from, count);
  }

  records(ids: readonly string[], maxBytes: number): Promise<RecordsReply> {
    return this.#options.store.named.records(this.#address, ids, maxBytes);
  }

  delete(names: readonly FreeMessage[]): Promise<NamedReply> {
    return this.#touching(names, () => this.#options.store.named.delete(this.#address, names));
  }

  makeDue(names: readonly FreeMessage[]): Promise<NamedReply> {
    return this.#touching(names, () => this.#options.store.named.makeDue(this.#address, names));
  }

  async take(names: readonly FreeMessage[], leaseMs: number): Promise<TakeReply> {
    const { store, watch } = this.#options;
    const reply = await this.#touching(names, () => store.named.take(this.#address, names, leaseMs));
    for (const { id } of reply.leases) watch.leased(id, leaseMs);
    return reply;
  }

  get #address(): StoreAddress {
    return this.#options.address;
  }

  /** A lease of this process that was given up is over once its message was touched. */
  async #touching<T extends NamedReply>(names: readonly FreeMessage[], call: () => Promise<T>): Promise<T> {
    const { watch, sweep } = this.#options;
    sweep.active();
    const ask = watch.asking();
    try {
      const reply = await call();
      for (const [at, { id }] of names.entries()) {
        if (reply.outcomes[at] === 'done' || reply.outcomes[at] === 'missing') watch.settled(id);
      }
      ask.answered(reply.nextDueInMs);
      return reply;
    } catch (error) {
      ask.failed();
      throw error;
    }
  }
}
