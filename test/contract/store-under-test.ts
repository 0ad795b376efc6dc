/**
 * What the contract examines, and its tools.
 *
 * @module
 */
import { newMessageId } from '../../runtime/queue/message.ts';
import type {
  BrowsedEntry,
  Lease,
  LeasedEntry,
  NewEntry,
  ReceiveOptions,
  ReceiveReply,
  Signal,
  Store,
  StoredQueue,
} from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import type { ManualTime } from '../support/manual-time.ts';

/** A store to examine and the clock that it goes by. */
export interface StoreUnderTest {
  readonly store: Store;
  /** What another instance on the same data would be; a store need not signal its own calls to itself. */
  readonly other: Store;
  readonly time: ManualTime;
  /** Closes the store and ends what it ran on. */
  close(): Promise<void>;
}

/** The store under test once it is open, with the calls that most tests make. */
export class Context {
  readonly #current: () => StoreUnderTest;

  constructor(current: () => StoreUnderTest) {
    this.#current = current;
  }

  get store(): Store {
    return this.#current().store;
  }

  get time(): ManualTime {
    return this.#current().time;
  }

  /** Up to ten messages of any size, for half a minute, unless told otherwise. */
  receive(queue: StoredQueue, options: Partial<ReceiveOptions> = {}): Promise<ReceiveReply> {
    return this.store.receive(queue, { maxMessages: 10, maxBytes: 1_000_000_000, leaseMs: 30_000, ...options });
  }

  /** The wakes of one queue, in order, as another instance hears them. */
  wakesOf(queue: StoredQueue): { next(): Promise<number> } {
    const heard: number[] = [];
    let waiting: ((dueInMs: number) => void) | undefined;
    this.#current().other.subscribe((signal) => {
      if (signal.kind !== 'wake' || signal.queue !== queue.key) return;
      if (waiting === undefined) heard.push(signal.dueInMs);
      else waiting(signal.dueInMs);
      waiting = undefined;
    });
    return {
      next: () =>
        new Promise((resolve) => {
          const first = heard.shift();
          if (first === undefined) waiting = resolve;
          else resolve(first);
        }),
    };
  }

  /** The next signal about one of these documents or slot sets. */
  nextSignal(...names: readonly string[]): Promise<Signal> {
    return new Promise((resolve) => {
      const stop = this.store.subscribe((signal) => {
        if (!('name' in signal && names.includes(signal.name))) return;
        stop();
        resolve(signal);
      });
    });
  }
}

let queues = 0;

/** An empty queue that no other test uses. */
export function newQueue(fifo: boolean): StoredQueue {
  queues += 1;
  return { key: `eu-west-1:000000000000:queue-${queues}${fifo ? '.fifo' : ''}`, fifo };
}

export function entry(overrides: Partial<NewEntry> & { readonly text?: string } = {}): NewEntry {
  const { text, ...rest } = overrides;
  return { id: newMessageId(systemRandomness), record: Buffer.from(text ?? 'record'), delayMs: 0, ...rest };
}

export function texts(entries: readonly Pick<BrowsedEntry, 'record'>[]): string[] {
  return entries.map(({ record }) => Buffer.from(record).toString());
}

/** The leases of received messages; a test that expects one and got none fails here. */
export function leases(...entries: readonly (LeasedEntry | undefined)[]): Lease[] {
  return entries.map((held) => {
    if (held === undefined) throw new Error('a message was expected and none was received');
    const { id, leaseNumber, group, sequenceNumber } = held;
    return {
      id,
      leaseNumber,
      ...(group === undefined ? {} : { group }),
      ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    };
  });
}
