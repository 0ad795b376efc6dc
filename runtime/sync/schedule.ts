/**
 * When to sync by itself: at the interval, with jitter so that instances do not ask AWS at one moment; after a failure sooner, then ever later.
 *
 * @module
 */
import type { Cancel, Randomness, Time } from '../time.ts';

const FIRST_RETRY_MS = 15_000;
const LATEST_RETRY_MS = 600_000;
/** Part of the interval by which a sync comes earlier or later. */
const JITTER = 0.1;

export interface ScheduleParts {
  readonly time: Time;
  readonly randomness: Randomness;
  /** Seconds between syncs; 0: none but retries of a server that never had a result. */
  readonly intervalSeconds: number;
  /** Whether there is a result to go on with. */
  readonly hasResult: () => boolean;
  /** Rejects if the sync failed; that it did is already logged. */
  readonly sync: () => Promise<unknown>;
}

/** Begins with a sync at once if `syncNow`; otherwise with the first interval. The returned function ends it. */
export function scheduleSyncs(parts: ScheduleParts, syncNow: boolean): Cancel {
  const { time, randomness, intervalSeconds, hasResult, sync } = parts;
  const intervalMs = intervalSeconds * 1000;
  let cancel: Cancel = () => {};
  let stopped = false;

  const jittered = (ms: number): number => ms * (1 + JITTER * (2 * randomness.fraction() - 1));

  const waitForNext = (): void => {
    if (!stopped && intervalMs > 0) cancel = time.after(jittered(intervalMs), () => run(FIRST_RETRY_MS));
  };
  const run = (retryMs: number): void => {
    sync().then(waitForNext, () => {
      if (stopped) return;
      const soon = jittered(intervalMs > 0 ? Math.min(retryMs, intervalMs) : retryMs);
      if (intervalMs === 0 && hasResult()) return;
      cancel = time.after(soon, () => run(Math.min(retryMs * 2, LATEST_RETRY_MS)));
    });
  };

  if (syncNow) run(FIRST_RETRY_MS);
  else waitForNext();
  return () => {
    stopped = true;
    cancel();
  };
}
