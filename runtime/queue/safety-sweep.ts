/**
 * The safety sweep of one queue: a look at the store although nothing says there is anything to see, in case a wake was lost without anybody noticing.
 *
 * It runs one minute after the last activity, then at doubling intervals up to six hours, each varied by a quarter so that queues and instances do not sweep in step.
 * A queue that was never active in this process begins at six hours. While a queue is active its own calls learn all that a sweep would; only upkeep is offered then.
 *
 * @module
 */
import type { Cancel, Randomness, Time } from '../time.ts';

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

  constructor(options: SafetySweepOptions) {
    this.#options = options;
    this.#arm(this.#spread(LONGEST_INTERVAL_MS));
  }

  /** The queue was used, or another instance woke it. Cheap: it arms a timer only if the present one stands for a longer interval. */
  active(): void {
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
