/**
 * A queue as both its users see it: the SQS API and the consumer. All rules of SQS about a single queue live behind this interface
 * (delay defaults, retention, dead letters, the in-flight limit, receipt handles); below it is only the store.
 *
 * @module
 */
import type { QueueArn, QueueKey } from './arn.ts';
import type { BrowsedMessage } from './browse.ts';
import type { HeadWatch } from './head-watch.ts';
import type { OutgoingMessage, ReceivedMessage, SentMessage } from './message.ts';
import type { QueueDefinition } from './queue-definition.ts';

export interface ReceiveRequest {
  /** 1 to 10 for the API, up to 10,000 for a consumer. */
  readonly maxMessages: number;
  /** Bytes of stored records in this receive together; default: no bound but the store's own. */
  readonly maxBytes?: number;
  /** Length of the lease, ms; default: the queue's visibility timeout. */
  readonly visibilityTimeoutMs?: number;
  /** Long polling: how long to wait for a first message, ms; default 0. While nothing is due this costs the store nothing. */
  readonly waitMs?: number;
  /** How often it looks again at once when all that it leased was set aside (dead letters, retention); default: a few times, as an API caller must be answered. */
  readonly rounds?: number;
  /** Ends the wait early (client gone, server stopping): answers empty. */
  readonly signal?: AbortSignal;
  /** FIFO: only messages of one group. */
  readonly singleGroup?: boolean;
  /** FIFO, API: `ReceiveRequestAttemptId`; a repeat within five minutes gives the same messages and handles while they are still leased. */
  readonly attemptId?: string;
}

export interface HandleOptions {
  /**
   * Standard queues: the handle of an earlier receive counts as well, as callers of SQS were measured to find it. Default false, for the consumer: a batch whose lease ran out must not
   * delete a message that another delivery handles.
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

  /** Stores 1 or more messages (all or none up to 500), in order. In mode `forward` they go to the real queue, but for those that must wait here (`sending.ts`). Errors: `StoreFullError`, `StoreUnavailableError`. */
  send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]>;
  /**
   * Leases messages. Those past the retention period are deleted instead, those received more than `maxReceiveCount` times are moved to the dead-letter
   * queue instead; neither is returned. Errors: `InFlightLimitError` (standard, `waitMs` 0), `StoreUnavailableError`.
   */
  receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]>;
  /** Deletes by receipt handle; an outcome for each. */
  delete(receiptHandles: readonly string[], options?: HandleOptions): Promise<readonly HandleOutcome[]>;
  /** Moves the ends of leases; `timeoutMs` 0 to 43,200,000. */
  changeVisibility(
    changes: readonly { readonly receiptHandle: string; readonly timeoutMs: number }[],
    options?: HandleOptions,
  ): Promise<readonly VisibilityOutcome[]>;
  /** Undoes receives: due at once, not counted. For messages that were leased and never shown to anyone. */
  release(receiptHandles: readonly string[]): Promise<void>;
  /** Whether there is a dead-letter queue that messages of this one can be moved to. */
  hasDeadLetterQueue(): boolean;
  /**
   * Moves leased messages to the dead-letter queue, with the history that a move after too many receives keeps; the receive they are under is not counted. Where there is none they stay,
   * under their leases. Errors: `StoreFullError`, `StoreUnavailableError`; what was not moved waits out its lease.
   */
  moveToDeadLetterQueue(messages: readonly ReceivedMessage[]): Promise<void>;
  /** Removes every message that is held here, whatever its state; in mode `forward` the real queue keeps what it has. Errors: `StoreUnavailableError`. */
  purge(): Promise<void>;
  /** Of what is held here, messages past their retention left out. Errors: `StoreUnavailableError`. */
  depth(): Promise<QueueDepth>;
  /** Looks at the first messages held here, at most `limit` (1 to 500) and few megabytes, without receiving them. Errors: `StoreUnavailableError`. */
  browse(limit: number): Promise<readonly BrowsedMessage[]>;
}
