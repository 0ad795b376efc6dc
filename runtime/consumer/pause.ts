/**
 * Waiting that a signal can end.
 *
 * @module
 */
import type { Time } from '../time.ts';

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
