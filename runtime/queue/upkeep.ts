/**
 * What a queue does although nobody uses it: looks for wakes that were lost, and removes old messages.
 *
 * A look is worth a command only if somebody would be woken; a queue that nobody waits for is asked by its next receive
 * anyway. So an idle queue costs one peek per sweep if it has a listener, and otherwise one when a trim is due.
 *
 * @module
 */

import type { Cancel, Randomness, Time } from '../time.ts';
import type { QueueDefinition } from './definition.ts';
import type { HeadWatch } from './head-watch.ts';
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

/*
 * The safety sweep of one queue: a look at the store although nothing says there is anything to see, in case a wake was
 * lost without anybody noticing.
 *
 * It runs one minute after the last activity, then at doubling intervals up to six hours, each varied by a quarter so
 * that queues and instances do not sweep in step. A queue that was never active in this process begins at six hours.
 * While a queue is active its own calls learn all that a sweep would; only upkeep is offered then.
 */

const FIRST_INTERVAL_MS = 60_000;
const LONGEST_INTERVAL_MS = 6 * 3_600_000;
/** Intervals run from 75 % to 125 % of their nominal length. */
const SPREAD = 0.5;

interface SafetySweepOptions {
  readonly time: Time;
  readonly randomness: Randomness;
  /** Called at each sweep. `idle`: nothing happened for the whole interval. It must not throw. */
  readonly sweep: (idle: boolean) => void;
}

export class SafetySweep {
  readonly #options: SafetySweepOptions;
  #intervalMs = LONGEST_INTERVAL_MS;
  #lastActivityAt: number | undefined;
  #timer: Cancel | undefined;
  #closed = false;
  #uses = 0;

  constructor(options: SafetySweepOptions) {
    this.#options = options;
    this.#arm(this.#spread(LONGEST_INTERVAL_MS));
  }

  /** How often `active` was called. */
  get uses(): number {
    return this.#uses;
  }

  /**
   * The queue was used, or another instance woke it. Cheap: it arms a timer only if the present one stands for a longer
   * interval.
   */
  active(): void {
    this.#uses += 1;
    if (this.#closed) return;
    this.#lastActivityAt = this.#options.time.monotonic();
    if (this.#intervalMs === FIRST_INTERVAL_MS) return;
    this.#intervalMs = FIRST_INTERVAL_MS;
    this.#arm(this.#spread(FIRST_INTERVAL_MS));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  #run(): void {
    const idleMs = this.#options.time.monotonic() - (this.#lastActivityAt ?? Number.NEGATIVE_INFINITY);
    const idle = idleMs >= this.#intervalMs * (1 - SPREAD / 2);
    if (idle) {
      this.#intervalMs = Math.min(LONGEST_INTERVAL_MS, this.#intervalMs * 2);
      this.#arm(this.#spread(this.#intervalMs));
    } else {
      this.#arm(this.#spread(FIRST_INTERVAL_MS));
    }
    this.#options.sweep(idle);
  }

  #spread(ms: number): number {
    return ms * (1 - SPREAD / 2 + SPREAD * this.#options.randomness.fraction());
  }

  #arm(ms: number): void {
    this.#timer?.();
    this.#timer = this.#options.time.after(ms, () => this.#run());
  }
}

/*
 * What the store's clock says, as far as its replies tell.
 *
 * Retention and the twelve-hour rule compare absolute times that the store wrote (`sentAt`, the time of a receive).
 * Comparing them with this machine's clock would let a machine whose clock runs ahead throw messages away early. So the
 * store's clock is learned from the times in its replies: never ahead of it, at worst behind.
 */

export interface StoreClock {
  /** The reply that just came says that the store's clock read exactly this when it answered. Epoch ms. */
  readExactly(storeNow: number): void;
  /** The reply that just came names a time that had passed. Epoch ms. */
  readAtLeast(storeTime: number): void;
  /** The store's time now, never ahead of it; `undefined`: no reply has told anything yet. Epoch ms. */
  now(): number | undefined;
}

/** A clock that knows nothing yet. One per store: all queues learn together. */
export function createStoreClock(time: Time): StoreClock {
  /** Store time minus monotonic time. */
  let offset: number | undefined;
  return {
    readExactly(storeNow) {
      // Replaces, so that a store whose clock was set back (a failover) is believed again.
      offset = storeNow - time.monotonic();
    },
    readAtLeast(storeTime) {
      const least = storeTime - time.monotonic();
      offset = offset === undefined ? least : Math.max(offset, least);
    },
    now: () => (offset === undefined ? undefined : offset + time.monotonic()),
  };
}
