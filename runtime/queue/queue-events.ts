/**
 * What a queue does by itself, reported to whoever keeps count. The consumer's events include these.
 *
 * @module
 */
import type { QueueKey } from './arn.ts';

/** Why a `queue-warning` was reported. */
export type QueueWarning =
  /** The redrive policy names a queue that does not exist here, or of the other type; messages stay and are received on. */
  | 'dead-letter-queue-missing'
  /** Messages could not be moved now (store full or unreachable); they stay under their lease and are tried again when it ends. */
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
