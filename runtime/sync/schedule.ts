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
  /** `now`: what is served comes from the store and may be old. `as-due`: a sync was just tried. */
  readonly first: 'now' | 'as-due';
}

/** Begins; the returned function ends it. */
export function scheduleSyncs(parts: ScheduleParts): Cancel {
  const { time, randomness, intervalSeconds, hasResult, sync } = parts;
  const intervalMs = intervalSeconds * 1000;
  let cancel: Cancel = () => {};
  let stopped = false;

  const jittered = (ms: number): number => ms * (1 + JITTER * (2 * randomness.fraction() - 1));

  const waitForNext = (): void => {
    if (!stopped && intervalMs > 0) cancel = time.after(jittered(intervalMs), () => run(FIRST_RETRY_MS));
  };
  const retry = (afterMs: number): void => {
    if (stopped || (intervalMs === 0 && hasResult())) return;
    const delayMs = intervalMs > 0 ? Math.min(afterMs, intervalMs) : afterMs;
    cancel = time.after(jittered(delayMs), () => run(Math.min(afterMs * 2, LATEST_RETRY_MS)));
  };
  const run = (retryMs: number): void => {
    sync().then(waitForNext, () => retry(retryMs));
  };

  if (parts.first === 'now') run(FIRST_RETRY_MS);
  else if (hasResult()) waitForNext();
  else retry(FIRST_RETRY_MS);
  return () => {
    stopped = true;
    cancel();
  };
}
