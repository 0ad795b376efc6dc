/**
 * Which queues exist, by every name a caller may use.
 *
 * A queue exists for Karin if it is the source of a disabled mapping, a redrive target of such a source (transitively),
 * was created through the API, or still holds messages.
 *
 * @module
 */

import type { QueueKey } from '../store/store.ts';
import type { QueueAttributes, QueueMode } from './definition.ts';
import type { QueueArn } from './names.ts';
import type { Queue } from './queue.ts';

/** A queue as AWS (or a template) describes it. */
export interface DiscoveredQueue {
  readonly arn: QueueArn;
  readonly attributes: QueueAttributes;
  readonly tags: Readonly<Record<string, string>>;
}

/** What changed in the directory. */
export type DirectoryEvent =
  | { readonly kind: 'added'; readonly queue: Queue }
  | { readonly kind: 'changed'; readonly queue: Queue }
  | { readonly kind: 'removed'; readonly queue: Queue };

/**
 * A new value, or what makes it of the present one, so that two callers who change different parts at one time do not
 * undo each other. It may be called again if another instance was faster; what it throws is thrown to the caller, and
 * nothing is changed.
 */
export type Next<T> = T | ((present: T) => T);

export interface QueueDirectory {
  /** From memory alone. */
  byKey(key: QueueKey): Queue | undefined;
  /** As `byKey`, but on a miss asks the store once: another instance may have just created it. */
  find(key: QueueKey): Promise<Queue | undefined>;
  /** All queues, by key. */
  all(): readonly Queue[];
  /** Calls `listener` on every change until the returned function is called. */
  subscribe(listener: (event: DirectoryEvent) => void): () => void;

  /**
   * Replaces what AWS names, after a discovery. Queues that vanished but hold messages stay as `left-over`; empty ones
   * go. `isRead`: whether the discovery tells of this queue, so that one it does not name has vanished; default: it
   * tells of all.
   */
  applyDiscovery(queues: readonly DiscoveredQueue[], isRead?: (queue: QueueArn) => boolean): Promise<void>;
  /**
   * CreateQueue. `madeBy`: the credential. `exists`: a queue of this name is there (whatever its attributes; the caller
   * compares).
   */
  create(
    arn: QueueArn,
    attributes: QueueAttributes,
    tags: Readonly<Record<string, string>>,
    madeBy?: string,
  ): Promise<{ readonly queue: Queue; readonly exists: boolean }>;
  /** DeleteQueue: the queue and every message of it. Remembers the deletion for 60 seconds (`deletedRecently`). */
  remove(queue: Queue): Promise<void>;
  /**
   * Whether a queue of this identity was deleted less than 60 seconds ago (AWS: QueueDeletedRecently), on any instance.
   */
  deletedRecently(key: QueueKey): Promise<boolean>;
  /** SetQueueAttributes of an `api` queue; the whole new set. */
  setAttributes(queue: Queue, attributes: Next<QueueAttributes>): Promise<void>;
  setTags(queue: Queue, tags: Next<Readonly<Record<string, string>>>): Promise<void>;
  /**
   * What the operator wants. While AWS consumes the queue, `consume` waits until it does not, and the queue is on hold.
   */
  setMode(queue: Queue, mode: QueueMode): Promise<void>;
  /**
   * What a sync saw: AWS consumes the queue, or no longer. The operator's own hold is untouched by either. `resume`: a
   * queue that was drained to AWS meanwhile is consumed here again, because a mapping of it is served.
   */
  setConsumedByAws(queue: Queue, consumed: boolean, resume?: boolean): Promise<void>;
}
