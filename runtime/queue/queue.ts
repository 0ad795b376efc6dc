/**
 * A queue as both its users see it: the SQS API and the consumer. All rules of SQS about a single queue live behind
 * this interface (delay defaults, retention, dead letters, the in-flight limit, receipt handles); below it is only the
 * store.
 *
 * @module
 */

import type { BrowsedEntry, FoundEntry, Lease, MessageName, NamedOutcome, QueueKey, Store } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import type { QueueDefinition } from './definition.ts';
import type { Failure, FailureScan, PastFailure } from './failure.ts';
import type { HeadWatch } from './head-watch.ts';
import type { Message, OutgoingMessage, ReceivedMessage, SentMessage } from './message.ts';
import type { QueueArn } from './names.ts';
import type { ReceiptHandles } from './receipt-handle.ts';
import type { AttemptRoom } from './receive-attempts.ts';
import type { StoreClock, WatchedStore } from './watched-store.ts';

export interface ReceiveRequest {
  /** 1 to 10 for the API, up to 10,000 for a consumer. */
  readonly maxMessages: number;
  /** Bytes of stored records in this receive together; default: no bound but the store's own. */
  readonly maxBytes?: number;
  /**
   * What is received must have its place in the `ReceiveRoom` first: for callers that keep no account of their own.
   * Default false.
   */
  readonly inRoom?: boolean;
  /** Length of the lease, ms; default: the queue's visibility timeout. */
  readonly visibilityTimeoutMs?: number;
  /**
   * Long polling: how long to wait for a first message, ms; default 0. While nothing is due this costs the store
   * nothing.
   */
  readonly waitMs?: number;
  /**
   * How often it looks again at once when all that it leased was set aside (dead letters, retention); default: a few
   * times, as an API caller must be answered.
   */
  readonly rounds?: number;
  /** Ends the wait early (client gone, server stopping): answers empty. */
  readonly signal?: CallerSignal;
  /**
   * FIFO, API: `ReceiveRequestAttemptId`; a repeat within five minutes gives the same messages and handles while they
   * are still leased.
   */
  readonly attemptId?: string;
}

/**
 * Tells that a caller went away: as much of an `AbortSignal` as a receive needs. Most receives end without a wait, and
 * making a whole signal for each of them costs as much as all that the queue does.
 */
export interface CallerSignal {
  readonly aborted: boolean;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface HandleOptions {
  /**
   * Standard queues: the handle of an earlier receive counts as well, as callers of SQS were measured to find it.
   * Default false, for the consumer: a batch whose lease ran out must not delete a message that another delivery
   * handles.
   */
  readonly orEarlier?: boolean;
}

/** `missing`, `superseded`, `expired`: as the store says; `invalid`: not a receipt handle of this queue. */
export type HandleOutcome = 'done' | 'superseded' | 'missing' | 'expired' | 'invalid';

/** `beyond-maximum`: the message would stay invisible for more than twelve hours from its receive. */
export type VisibilityOutcome = HandleOutcome | 'beyond-maximum';

export interface QueueDepth {
  readonly visible: number;
  readonly delayed: number;
  readonly inFlight: number;
}

/** More than 120,000 messages in flight on a standard queue. Source: SQS quotas, "In-flight messages per queue". */
export class InFlightLimitError extends Error {
  override readonly name = 'InFlightLimitError';
}

export interface Queue {
  readonly key: QueueKey;
  readonly arn: QueueArn;
  /** Current definition; a new object after each change (attributes, tags, mode). */
  readonly definition: QueueDefinition;
  /** The one timer on the head of this queue. */
  readonly watch: HeadWatch;

  /**
   * Stores 1 or more messages (all or none up to 500), in order. In mode `forward` they go to the real queue, but for
   * those that must wait here (`stored-queue.ts`). Errors: `StoreFullError`, `StoreUnavailableError`.
   */
  send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]>;
  /**
   * Leases messages. Those past the retention period are deleted instead, those received more than `maxReceiveCount`
   * times are moved to the dead-letter queue instead; neither is returned. Errors: `InFlightLimitError` (standard,
   * `waitMs` 0), `StoreUnavailableError`.
   */
  receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]>;
  /** Deletes by receipt handle, or by the lease of whoever received here; an outcome for each. */
  delete(held: readonly (string | Lease)[], options?: HandleOptions): Promise<readonly HandleOutcome[]>;
  /** Moves the ends of leases; `timeoutMs` 0 to 43,200,000. */
  changeVisibility(
    changes: readonly { readonly receiptHandle: string; readonly timeoutMs: number }[],
    options?: HandleOptions,
  ): Promise<readonly VisibilityOutcome[]>;
  /**
   * Undoes receives: due at once, not counted; an outcome for each. For messages that were leased and never shown to
   * anyone. May be repeated where its answer was lost. Errors: `StoreUnavailableError`.
   */
  release(held: readonly (string | Lease)[]): Promise<readonly HandleOutcome[]>;
  /** Whether there is a dead-letter queue that messages of this one can be moved to. */
  hasDeadLetterQueue(): boolean;
  /**
   * Moves leased messages to the dead-letter queue, with the history that a move after too many receives keeps; the
   * receive they are under is not counted. Where there is none they stay, under their leases. Errors: `StoreFullError`,
   * `StoreUnavailableError`; what was not moved waits out its lease.
   */
  moveToDeadLetterQueue(messages: readonly ReceivedMessage[]): Promise<void>;
  /**
   * Keeps why messages failed, by id: replaces what was kept of an earlier failure. Errors: `StoreFullError`,
   * `StoreUnavailableError`.
   */
  keepFailures(failures: ReadonlyMap<string, Failure>): Promise<void>;
  /**
   * Removes every message that is held here, whatever its state; in mode `forward` the real queue keeps what it has.
   * Errors: `StoreUnavailableError`.
   */
  purge(): Promise<void>;
  /** Of what is held here, messages past their retention left out. Errors: `StoreUnavailableError`. */
  depth(): Promise<QueueDepth>;
  /**
   * How often this process used the queue or heard that another one made a message due. Whoever knows the depth asks
   * again only if this has grown.
   */
  readonly uses: number;
  /**
   * Looks at the first messages held here, at most `limit` (1 to 500) and `maxBytes` of records (default and most: 2
   * MiB; the first always), without receiving them, and at their last failures. Errors: `StoreUnavailableError`.
   */
  browse(limit: number, maxBytes?: number): Promise<readonly BrowsedMessage[]>;
  /** Single messages that are held here, by their ids. */
  readonly messages: QueueMessages;
}

/**
 * What people do with single messages, whatever their state. Each message is named by its id; what a look told beside
 * it (group, sequence number) saves calls. Errors of each: `StoreUnavailableError`.
 */
export interface QueueMessages {
  /** Those of up to 500 that are there, and of which one look reads: 2 MiB, the first always. Receives nothing. */
  find(names: readonly MessageName[]): Promise<readonly FoundMessage[]>;
  /** Deletes messages that no handler has; an outcome for each. */
  delete(names: readonly MessageName[]): Promise<readonly NamedOutcome[]>;
  /** Makes messages due now whose delay runs, or whose last delivery has failed; an outcome for each. */
  retryNow(names: readonly MessageName[]): Promise<readonly NamedOutcome[]>;
  /**
   * Moves messages into another queue of the same type, where they are new ones: new id, no receives, the rest of their
   * delay. Errors: `StoreFullError` too; then they are where they were.
   */
  move(names: readonly MessageName[], targetArn: string): Promise<readonly MovedMessage[] | 'no-such-queue'>;
  /**
   * Looks for a text in bodies, whatever its case, in no order, until a bound is met. `cursor`: of the reply before;
   * what is none begins anew.
   */
  search(text: string, bounds: SearchBounds, cursor?: string): Promise<SearchReply>;
  /** All messages by why they failed, up to `MOST_SCANNED` of them. */
  groups(): Promise<FailureScan>;
  /** Messages whose delay runs: up to `count` (1 to 500) from a place on, 0 being the one that is due first. */
  scheduled(from: number, count: number): Promise<ScheduledMessages>;
}

export interface ScheduledMessages {
  /** By due time. `found` is absent beyond what one look reads, and of a message that went meanwhile. */
  readonly messages: readonly { readonly id: string; readonly dueInMs: number; readonly found?: FoundMessage }[];
  /** All messages of the queue whose delay runs. */
  readonly total: number;
}

/** A message that was looked for. */
export interface FoundMessage extends Omit<FoundEntry, 'record'>, Pick<BrowsedMessage, 'message' | 'failure'> {}

/** `unreadable`: another version of Karin stored it. */
export interface MovedMessage {
  readonly outcome: NamedOutcome | 'unreadable';
  /** In the other queue. */
  readonly newId?: string;
}

/** What one call of a search may read and find. */
export interface SearchBounds {
  readonly messages: number;
  /** Of records; it may be passed by half a mebibyte or one message. */
  readonly bytes: number;
  /** It may be passed by what one part has. */
  readonly hits: number;
}

export interface SearchHit extends MessageName {
  /** Bytes of the record. */
  readonly bytes: number;
  /** The text with what stands around it, and where in the body that begins, in characters. */
  readonly line: string;
  readonly from: number;
}

export interface SearchReply {
  readonly hits: readonly SearchHit[];
  /** What was read. */
  readonly messages: number;
  readonly bytes: number;
  /** Leads on; absent: all was read. */
  readonly cursor?: string;
}

/** A message as somebody sees it who only looks. */
export interface BrowsedMessage extends Omit<BrowsedEntry, 'record'> {
  /** Absent: this version of Karin cannot read its record. */
  readonly message?: Message;
  /** Why its last delivery failed; absent: none failed, or it was not kept. */
  readonly failure?: PastFailure;
}

/*
 * What a queue does by itself, reported to whoever keeps count. The consumer's events include these.
 */

/** Why a `queue-warning` was reported. */
export type QueueWarning =
  /**
   * The redrive policy names a queue that does not exist here, or of the other type; messages stay and are received on.
   */
  | 'dead-letter-queue-missing'
  /**
   * Messages could not be moved now (store full or unreachable); they stay under their lease and are tried again when
   * it ends.
   */
  | 'dead-letter-move-failed'
  /** A stored message cannot be read by this version; it stays in the queue. */
  | 'unreadable-record'
  /** Old messages could not be removed now; the next receive or sweep tries again. */
  | 'retention-failed'
  /** The safety sweep could not ask the store; the next one will. */
  | 'sweep-failed'
  /** A stored definition cannot be read; the queue is not served by this instance. */
  | 'unreadable-definition'
  /** Mode `forward` without a way to forward; messages are kept here. */
  | 'cannot-forward'
  /** A message move task could not go on now; it is tried again. */
  | 'move-task-interrupted';

export type QueueEvent =
  /** Moved to the dead-letter queue by a receive. */
  | {
      readonly kind: 'dead-lettered';
      readonly queue: QueueKey;
      readonly target: QueueKey;
      readonly messageIds: readonly string[];
    }
  /** Removed because they were older than the retention period. */
  | { readonly kind: 'expired'; readonly queue: QueueKey; readonly count: number }
  /** Something the operator should know. Never a message body. */
  | { readonly kind: 'queue-warning'; readonly queue: QueueKey; readonly what: QueueWarning; readonly detail: string };

/** Takes every event of every queue of this process. It must not throw. */
export type Notify = (event: QueueEvent) => void;

/*
 * What all queues of a process share.
 */

/**
 * Sends messages to the real SQS queue of the same ARN, a standard queue; an answer for each, in order. Delays are at
 * most 900 s. It rejects if any of them was not accepted, and the sender then sees the whole send fail, as with a store
 * that cannot be reached.
 */
export type Forward = (queue: Queue, messages: readonly OutgoingMessage[]) => Promise<readonly SentMessage[]>;

/** A queue that dead letters can be moved to. */
export interface DeadLetterTarget {
  readonly key: QueueKey;
  readonly store: WatchedStore;
}

export interface QueueContext {
  readonly store: Store;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly handles: ReceiptHandles;
  readonly clock: StoreClock;
  readonly notify: Notify;
  readonly forward?: Forward;
  /** Messages of one queue that may be in flight. */
  readonly inFlightLimit: number;
  readonly room: ReceiveRoom;
  readonly attemptRoom: AttemptRoom;
  /** The queue with this ARN, if it exists here and is of the same type. */
  readonly findDeadLetterQueue: (arn: string, fifo: boolean) => DeadLetterTarget | undefined;
}

/**
 * Bytes of all receives that have a place at one time: eight of the largest answers. In JavaScript text, JSON and the
 * answer each take them once more.
 */
const ROOM = 16 * 1_048_576;
/** A receive of so few bytes needs no place. */
const NEEDS_NO_PLACE = 16 * 1_024;

/**
 * What receives of one process may bring into memory at one time. A receive does not know how large its messages are
 * before it has them; hundreds at one moment for messages of a megabyte would end the server. So each takes a place
 * first, for as many bytes as the largest message that its queue is known to hold, and waits in line for it, which
 * lasts as long as a few calls to the store. Nobody is refused, and small receives, as most are, pass the line.
 *
 * A queue of which nothing was seen yet counts as one of the largest messages. One that held small ones only, as far as
 * this server saw, and has large ones from another server is known better after its first large message.
 */
export class ReceiveRoom {
  #taken = 0;
  readonly #line = new Set<{ readonly bytes: number; readonly enter: () => void }>();

  /** Takes a place; gives what ends it. `undefined`: the caller went away before there was one. */
  take(bytes: number, signal?: CallerSignal): (() => void) | Promise<(() => void) | undefined> {
    if (bytes <= NEEDS_NO_PLACE) return () => undefined;
    if (this.#line.size === 0 && this.#hasRoom(bytes)) return this.#enter(bytes);
    if (signal?.aborted === true) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const goAway = (): void => {
        this.#line.delete(waiter);
        resolve(undefined);
        this.#letIn();
      };
      const waiter = {
        bytes,
        enter: () => {
          signal?.removeEventListener('abort', goAway);
          resolve(this.#enter(bytes));
        },
      };
      signal?.addEventListener('abort', goAway, { once: true });
      this.#line.add(waiter);
    });
  }

  #hasRoom(bytes: number): boolean {
    return this.#taken === 0 || this.#taken + bytes <= ROOM;
  }

  #enter(bytes: number): () => void {
    this.#taken += bytes;
    return () => {
      this.#taken -= bytes;
      this.#letIn();
    };
  }

  #letIn(): void {
    for (const waiter of this.#line) {
      if (!this.#hasRoom(waiter.bytes)) return;
      this.#line.delete(waiter);
      waiter.enter();
    }
  }
}
