/**
 * A `Time` that stands still until a test advances it.
 *
 * @module
 */
import type { Cancel, Time } from '../../runtime/time.ts';

interface PendingTimer {
  readonly dueAt: number;
  readonly run: () => void;
}

/** 2025-01-01T00:00:00Z: a plausible epoch, so that tests see timestamps of the usual length. */
const DEFAULT_START_MS = 1_735_689_600_000;

export class ManualTime implements Time {
  readonly #origin: number;
  #wallOffset: number;
  #elapsed = 0;
  /** Insertion-ordered: among timers of one due time, the one armed first fires first. */
  readonly #timers = new Set<PendingTimer>();

  /** `startMs`: what `now()` says before the first advance, milliseconds since the epoch. */
  constructor(startMs: number = DEFAULT_START_MS) {
    this.#origin = startMs;
    this.#wallOffset = 0;
  }

  now(): number {
    return this.#origin + this.#wallOffset + this.#elapsed;
  }

  monotonic(): number {
    return this.#elapsed;
  }

  after(delayMs: number, run: () => void): Cancel {
    const timer: PendingTimer = { dueAt: this.#elapsed + Math.max(0, delayMs), run };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** How many timers are armed. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Milliseconds until the earliest armed timer fires; `undefined`: none is armed. */
  nextInMs(): number | undefined {
    const next = this.#earliest();
    return next === undefined ? undefined : next.dueAt - this.#elapsed;
  }

  /**
   * Moves both clocks forward by `ms` and runs every timer that falls due, in order of due time, each at its own
   * moment; timers armed by those run too if they fall within `ms`. `advance(0)` runs what is due now.
   */
  advance(ms: number): void {
    const end = this.#elapsed + ms;
    for (let next = this.#earliest(); next !== undefined && next.dueAt <= end; next = this.#earliest()) {
      this.#fire(next);
    }
    this.#elapsed = end;
  }

  /** As `advance`, but lets promises that a timer settled run on before the next timer fires. */
  async advanceAsync(ms: number): Promise<void> {
    const end = this.#elapsed + ms;
    await settle();
    for (let next = this.#earliest(); next !== undefined && next.dueAt <= end; next = this.#earliest()) {
      this.#fire(next);
      await settle();
    }
    this.#elapsed = end;
    await settle();
  }

  /** Lets the wall clock jump (as NTP does) without any monotonic time passing. */
  jumpWallClock(ms: number): void {
    this.#wallOffset += ms;
  }

  #fire(timer: PendingTimer): void {
    this.#timers.delete(timer);
    this.#elapsed = Math.max(this.#elapsed, timer.dueAt);
    timer.run();
  }

  #earliest(): PendingTimer | undefined {
    let earliest: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (earliest === undefined || timer.dueAt < earliest.dueAt) earliest = timer;
    }
    return earliest;
  }
}

/** One turn of the event loop: every promise chain that waits for no input or output has run to its end. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
