/**
 * Trying again what failed for a while: pauses that grow, with jitter, ended early by a signal.
 *
 * @module
 */
import type { Cancel, Randomness, Time } from './time.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

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
  #nextMs = FIRST_PAUSE_MS;

  constructor(options: AttemptsOptions) {
    this.#options = options;
  }

  /**
   * Acts, and acts again after a pause (1 s, doubling to a minute, less up to a quarter) for as long as it fails.
   * `undefined`: ended by the signal without success.
   */
  async persist<T>(act: () => Promise<T>): Promise<T | undefined> {
    const { signal, onRetry, isPermanent } = this.#options;
    for (;;) {
      try {
        const result = await act();
        this.#nextMs = FIRST_PAUSE_MS;
        return result;
      } catch (error) {
        if (isPermanent?.(error)) throw error;
        if (signal.aborted) return undefined;
        const inMs = this.#lengthen();
        onRetry(inMs, error instanceof Error ? error.message : String(error));
        await this.#pause(inMs);
        if (signal.aborted) return undefined;
      }
    }
  }

  #lengthen(): number {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(LONGEST_PAUSE_MS, 2 * ms);
    return Math.round(ms * (1 - this.#options.randomness.fraction() / 4));
  }

  #pause(ms: number): Promise<void> {
    const { time, signal } = this.#options;
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = time.after(ms, done);
      signal.addEventListener('abort', done, { once: true });
    });
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
