/**
 * The clock of the process, which a test can move ahead.
 *
 * @module
 */
import { type Cancel, systemTime, type Time } from '../../runtime/time.ts';

/** A timer as it was asked for: it can be armed anew when the clock moves. */
interface Armed {
  readonly dueAt: number;
  readonly run: () => void;
  cancel: Cancel;
}

/**
 * Where processes and sockets are part of a test, time cannot stand still; but nobody has to wait for a visibility
 * timeout. `skip` makes it pass at once: both clocks move ahead, and timers that are due by then fire.
 */
export class ForwardTime implements Time {
  readonly #armed = new Set<Armed>();
  readonly #behindMs: number;
  #skippedMs = 0;

  /** `behindMs`: how far the wall clock is behind that of the machine at first; skips bring it nearer. Default 0. */
  constructor(behindMs = 0) {
    this.#behindMs = behindMs;
  }

  now(): number {
    return systemTime.now() - this.#behindMs + this.#skippedMs;
  }

  monotonic(): number {
    return systemTime.monotonic() + this.#skippedMs;
  }

  after(delayMs: number, run: () => void): Cancel {
    const timer: Armed = { dueAt: this.monotonic() + delayMs, run, cancel: () => {} };
    this.#armed.add(timer);
    this.#arm(timer);
    return () => {
      timer.cancel();
      this.#armed.delete(timer);
    };
  }

  /** Moves the clock ahead by `ms`. */
  skip(ms: number): void {
    this.#skippedMs += ms;
    for (const timer of this.#armed) {
      timer.cancel();
      this.#arm(timer);
    }
  }

  #arm(timer: Armed): void {
    timer.cancel = systemTime.after(timer.dueAt - this.monotonic(), () => {
      this.#armed.delete(timer);
      timer.run();
    });
  }
}
