/**
 * Which queues exist, by every name a caller may use.
 *
 * A queue exists for Karin if it is the source of a disabled mapping, a redrive target of such a source (transitively),
 * was created through the API, or still holds messages.
 *
 * @module
 */

import type { Documents, QueueKey } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';
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

/*
 * Queues deleted less than 60 seconds ago, whose names may not be used again yet, on any instance. Source: DeleteQueue,
 * "you must wait at least 60 seconds".
 *
 * A tombstone is a document that holds when it was set, by the wall clock of the instance that set it; the instance
 * takes it away again when its time is over, and one that was left behind by a crash when somebody asks for it.
 */

const LASTS_MS = 60_000;

function tombstoneName(key: QueueKey): string {
  return `deleted-queue:${key}`;
}

export class Tombstones {
  readonly #documents: Documents;
  readonly #time: Time;
  readonly #timers = new Map<QueueKey, Cancel>();

  constructor(documents: Documents, time: Time) {
    this.#documents = documents;
    this.#time = time;
  }

  /** Errors: `StoreUnavailableError`. */
  async add(key: QueueKey): Promise<void> {
    const text = String(this.#time.now());
    await this.#documents.put(tombstoneName(key), text);
    this.#timers.get(key)?.();
    this.#timers.set(
      key,
      this.#time.after(LASTS_MS, () => {
        this.#timers.delete(key);
        // If the store cannot be reached now, whoever asks for this tombstone takes it away.
        this.#documents.remove(tombstoneName(key), text).catch(() => undefined);
      }),
    );
  }

  /** Whether the queue was deleted less than 60 seconds ago. Errors: `StoreUnavailableError`. */
  async has(key: QueueKey): Promise<boolean> {
    const text = await this.#documents.get(tombstoneName(key));
    if (text === undefined) return false;
    if (this.#time.now() - Number(text) < LASTS_MS) return true;
    await this.#documents.remove(tombstoneName(key), text);
    return false;
  }

  /** Cancels the timers. */
  close(): void {
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
  }
}
