/**
 * How many batches of one mapping may be on their way at one time in this process.
 *
 * It starts low (Lambda: 5), grows by one per success up to that start and from there steadily (Lambda: 300 a minute)
 * for as long as messages wait and every slot is taken; a failed batch halves it, never below one. It does not grow
 * again before a batch succeeded. When nothing waits and nothing runs it falls back to the start.
 *
 * The one timer, of the steady growth, runs only while messages wait for a slot.
 *
 * Source: "Configuring scaling behavior for SQS event source mappings". AWS does not document what its back-off takes
 * away; halving is Karin's.
 *
 * @module
 */
import type { Cancel, Time } from '../time.ts';

export interface ConcurrencyOptions {
  readonly time: Time;
  /** Batches at one time to begin with, 1 or more. */
  readonly start: number;
  /** The most that it grows to, 1 or more. */
  readonly ceiling: number;
  /** Milliseconds per slot of the steady growth. */
  readonly growthIntervalMs: number;
  /** Called when growth made room for another batch. */
  readonly onRoom: () => void;
}

export class MappingConcurrency {
  readonly #time: Time;
  readonly #growthIntervalMs: number;
  readonly #onRoom: () => void;
  #start: number;
  #ceiling: number;
  #limit: number;
  #running = 0;
  /** The last batch that ended did not fail; a mapping without any history is trusted. */
  #healthy = true;
  #cancelGrowth: Cancel | undefined;

  constructor(options: ConcurrencyOptions) {
    this.#time = options.time;
    this.#growthIntervalMs = options.growthIntervalMs;
    this.#onRoom = options.onRoom;
    this.#ceiling = options.ceiling;
    this.#start = Math.min(options.start, options.ceiling);
    this.#limit = this.#start;
  }

  /** Batches on their way. */
  get running(): number {
    return this.#running;
  }

  /** Batches that may be on their way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Takes a slot, if one is free: none is either while more run than a lowered limit allows. */
  tryTake(): boolean {
    if (this.#running >= this.#limit) return false;
    this.#running += 1;
    return true;
  }

  /** Gives a slot back. */
  giveBack(): void {
    this.#running -= 1;
  }

  /** Messages wait and no slot is free: growth may begin. */
  wanted(): void {
    if (this.#cancelGrowth !== undefined || !this.#healthy || this.#limit >= this.#ceiling) return;
    this.#cancelGrowth = this.#time.after(this.#growthIntervalMs, () => {
      this.#cancelGrowth = undefined;
      if (this.#running < this.#limit) return;
      this.#limit = Math.min(this.#limit + 1, this.#ceiling);
      this.#onRoom();
    });
  }

  /** A batch succeeded. */
  succeeded(): void {
    this.#healthy = true;
    if (this.#limit < this.#start) this.#limit += 1;
  }

  /** A batch failed, or was throttled. */
  backOff(): void {
    this.#healthy = false;
    this.#stopGrowth();
    this.#limit = Math.max(1, Math.floor(this.#limit / 2));
  }

  /** Nothing will succeed before somebody mends it: one batch at a time. */
  backOffHard(): void {
    this.backOff();
    this.#limit = 1;
  }

  /** Nothing waits: the growth so far is given up once nothing runs either. */
  idle(): void {
    if (this.#cancelGrowth !== undefined) this.#stopGrowth();
    if (this.#running === 0) this.#limit = Math.min(this.#limit, this.#start);
  }

  /** The mapping was changed. */
  retune(start: number, ceiling: number): void {
    this.#ceiling = ceiling;
    this.#start = Math.min(start, ceiling);
    this.#limit = Math.max(1, Math.min(Math.max(this.#limit, this.#start), ceiling));
  }

  close(): void {
    this.#stopGrowth();
  }

  #stopGrowth(): void {
    this.#cancelGrowth?.();
    this.#cancelGrowth = undefined;
  }
}
