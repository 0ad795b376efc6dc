/**
 * Time and randomness as things that are handed down, so that a test can hold them still.
 *
 * @module
 */

import { randomUUID } from 'node:crypto';

/** Stops a pending timer. Calling it twice, or after the timer ran, does nothing. */
export type Cancel = () => void;

/** The clock and the timers of one process. */
export interface Time {
  /**
   * Wall-clock milliseconds since the epoch; may jump. Never used to decide when a message is due: the store's clock
   * does that.
   */
  now(): number;
  /** Milliseconds that only ever grow, from an arbitrary origin. */
  monotonic(): number;
  /**
   * Calls `run` once, `delayMs` milliseconds from now (0 or less: as soon as possible).
   * Delays beyond 2^31-1 ms (24.8 days, the limit of a Node timer) run no earlier than asked.
   */
  after(delayMs: number, run: () => void): Cancel;
}

/** Sources of randomness. */
export interface Randomness {
  /** A random (version 4) UUID, the form of every SQS message id and request id. */
  uuid(): string;
  /** A number in [0, 1), for jitter. */
  fraction(): number;
}

/** The longest delay that a Node timer takes; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** How often the two clocks are compared, ms. It costs nothing but a timer. */
const COMPARE_CLOCKS_MS = 5_000;
/** NTP moves the wall clock by less than this at a time, ms, unless it was wrong. */
const JUMP_MS = 2_000;

/**
 * Calls `jumped` when the wall clock went another way than the monotonic one since they were last compared: it was set,
 * or the machine slept, in which the monotonic clock of Linux stands still. `byMs`: how far, negative for backwards.
 */
export function watchClocks(time: Time, jumped: (byMs: number) => void): Cancel {
  let cancel: Cancel = () => {};
  const arm = (): void => {
    const wall = time.now();
    const monotonic = time.monotonic();
    cancel = time.after(COMPARE_CLOCKS_MS, () => {
      const byMs = Math.round(time.now() - wall - (time.monotonic() - monotonic));
      arm();
      if (Math.abs(byMs) >= JUMP_MS) jumped(byMs);
    });
  };
  arm();
  return () => cancel();
}

/** The process's own clock. */
export const systemTime: Time = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (delayMs, run) => {
    const started = performance.now();
    let timer: NodeJS.Timeout;
    const look = (): void => {
      const left = delayMs - (performance.now() - started);
      if (left >= 1) timer = setTimeout(look, Math.min(left, LONGEST_TIMER_MS));
      else run();
    };
    timer = setTimeout(look, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
};

/** The process's own randomness. */
export const systemRandomness: Randomness = {
  uuid: () => randomUUID(),
  fraction: () => Math.random(),
};
