/**
 * Queues deleted less than 60 seconds ago, whose names may not be used again yet, on any instance. Source: DeleteQueue,
 * "you must wait at least 60 seconds".
 *
 * A tombstone is a document that holds when it was set, by the wall clock of the instance that set it; the instance
 * takes it away again when its time is over, and one that was left behind by a crash when somebody asks for it.
 *
 * @module
 */
import type { Documents, QueueKey } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';

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
