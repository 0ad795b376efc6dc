/**
 * Trying again what failed for a while: pauses that grow, with jitter, ended early by a signal. Whoever in Karin backs
 * off takes the lengths of its pauses from `backOff`.
 *
 * @module
 */
import type { Cancel, Randomness, Time } from './time.ts';

/** The pauses of something that fails again and again, ms. */
export interface Pauses {
  /** After the first failure. */
  readonly firstMs: number;
  readonly longestMs: number;
}

/**
 * How long to wait after a failure, ms: the first pause, doubled for each failure in a row before this one.
 * `randomness`: less up to a quarter, so that many who failed together do not come again together.
 */
export function backOff({ firstMs, longestMs }: Pauses, failuresBefore: number, randomness?: Randomness): number {
  const ms = Math.min(longestMs, firstMs * 2 ** failuresBefore);
  return randomness === undefined ? ms : ms * (1 - randomness.fraction() / 4);
}

const PAUSES: Pauses = { firstMs: 1_000, longestMs: 60_000 };

export interface AttemptsOptions {
  readonly time: Time;
  readonly randomness: Randomness;
  /** When aborted, an act under way is finished, and one that failed is not tried again. */
  readonly signal: AbortSignal;
  /** Called before each pause. */
  readonly onRetry: (inMs: number, reason: string) => void;
  /** Errors that are thrown on at once; default: none. */
  readonly isPermanent?: (error: unknown) => boolean;
}

/** The attempts of one transfer; its acts share the pauses, because they fail for the same causes. */
export class Attempts {
  readonly #options: AttemptsOptions;
  #failures = 0;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /**
   * Acts, and acts again after a pause (1 s, doubling to a minute, less up to a quarter) for as long as it fails.
   * `undefined`: ended by the signal without success.
   */
  async persist<T>(act: () => Promise<T>): Promise<T | undefined> {
    const { time, randomness, signal, onRetry, isPermanent } = this.#options;
    for (;;) {
      try {
        const result = await act();
        this.#failures = 0;
        return result;
      } catch (error) {
        if (isPermanent?.(error)) throw error;
        if (signal.aborted) return undefined;
        const inMs = Math.round(backOff(PAUSES, this.#failures, randomness));
        this.#failures += 1;
        onRetry(inMs, error instanceof Error ? error.message : String(error));
        if (!(await pause(time, inMs, signal))) return undefined;
      }
    }
  }
}

/*
 * Waiting that a signal can end, and doing something again and again.
 */

/** Waits `ms` milliseconds, or until `signal` is aborted; answers whether the whole time passed. */
export function pause(time: Time, ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onAbort = (): void => {
      cancel();
      resolve(false);
    };
    const cancel = time.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve(true);
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** Calls `run` every `ms` milliseconds until the returned function is called. */
export function repeat(time: Time, ms: number, run: () => void): Cancel {
  let cancel = time.after(ms, tick);
  function tick(): void {
    cancel = time.after(ms, tick);
    run();
  }
  return () => cancel();
}
