/**
 * What a queue does although nobody uses it: looks for wakes that were lost, and removes old messages.
 *
 * A look is worth a command only if somebody would be woken; a queue that nobody waits for is asked by its next receive
 * anyway. So an idle queue costs one peek per sweep if it has a listener, and otherwise one when a trim is due.
 *
 * @module
 */

import type { QueueDefinition } from './definition.ts';
import type { HeadWatch, SafetySweep } from './head-watch.ts';
import type { QueueContext } from './queue.ts';
import { retentionMs, TrimSchedule } from './receiving.ts';
import type { WatchedStore } from './watched-store.ts';

/** Old messages removed by one call to the store, which is kept from other work meanwhile. */
const TRIM_STEP = 500;

interface UpkeepOptions extends Pick<QueueContext, 'time' | 'notify'> {
  readonly queue: { readonly key: string; readonly definition: QueueDefinition };
  readonly store: WatchedStore;
  readonly watch: HeadWatch;
  readonly sweep: SafetySweep;
}

export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #trims: TrimSchedule;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#trims = new TrimSchedule(options.time);
  }

  /** Removes old messages, if that was not done lately. Errors: `StoreUnavailableError`. */
  async trimIfDue(): Promise<void> {
    if (this.#trims.isDue(this.#options.queue.definition.attributes)) await this.#trim();
  }

  /**
   * Signals were lost. Whoever waits is woken by the answer of one peek; where nobody waits, the next receive asks.
   * Never rejects.
   */
  async signalsLost(): Promise<void> {
    const { watch, store } = this.#options;
    if (watch.hasListeners()) await this.#try(() => store.peek(watch.relearn()));
    else watch.forget();
  }

  close(): void {
    this.#options.sweep.close();
  }

  /** To be called at each safety sweep. Never rejects. */
  async look(idle: boolean): Promise<void> {
    const { queue, store, watch } = this.#options;
    const trimIsDue = this.#trims.isDue(queue.definition.attributes);
    if (!trimIsDue && !(idle && watch.hasListeners())) return;
    await this.#try(async () => {
      const holdsMessages = await store.peek();
      if (trimIsDue && holdsMessages) await this.#trim();
      else if (trimIsDue) this.#trims.done();
    });
  }

  async #trim(): Promise<void> {
    const { queue, store, notify } = this.#options;
    const olderThanMs = retentionMs(queue.definition.attributes);
    let count = 0;
    for (let trimmed = TRIM_STEP; trimmed === TRIM_STEP; count += trimmed) {
      trimmed = await store.trim(olderThanMs, TRIM_STEP);
    }
    this.#trims.done();
    if (count > 0) notify({ kind: 'expired', queue: queue.key, count });
  }

  async #try(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      const { notify, queue } = this.#options;
      const detail = error instanceof Error ? error.message : String(error);
      notify({ kind: 'queue-warning', queue: queue.key, what: 'sweep-failed', detail });
    }
  }
}
