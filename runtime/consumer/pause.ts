/**
 * Waiting that a signal can end, and doing something again and again.
 *
 * @module
 */
import type { Cancel, Time } from '../time.ts';

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
