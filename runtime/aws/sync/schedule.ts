/**
 * When to sync by itself: at the interval, with jitter so that instances do not ask AWS at one moment; after a failure
 * sooner, then ever later.
 *
 * A sync that finds something that will not stay so (a mapping in a passing state, one that cannot be served, details
 * that could not be read) is followed by a second look within seconds, whoever asked for the sync; then by others, each
 * after twice the time, until the interval is reached. What changes meanwhile begins again with a short wait. So what
 * is disabled is consumed within seconds, what was mended is noticed, and what stays broken costs about ten looks and
 * then those of the interval. Without an interval the looks end after some ten minutes.
 *
 * The first sync of a server that goes on with a stored result reads all details again: nobody knows what was deployed
 * while it was down.
 *
 * @module
 */
import { backOff, type Pauses } from '../../retry.ts';
import type { Cancel, Randomness, Time } from '../../time.ts';

const RETRIES: Pauses = { firstMs: 15_000, longestMs: 600_000 };
/** The interval bounds them; without one, looks that would come later than the latest retry are not made. */
const LOOKS: Pauses = { firstMs: 2_000, longestMs: Number.POSITIVE_INFINITY };
/** Part of the interval by which a sync comes earlier or later. */
const JITTER = 0.1;

export interface ScheduleParts {
  readonly time: Time;
  readonly randomness: Randomness;
  /** Seconds between syncs; 0: none but retries of a server that never had a result, and second looks. */
  readonly intervalSeconds: number;
  /** Whether there is a result to go on with. */
  readonly hasResult: () => boolean;
  /** What of the last result will not stay so, as a text that changes when any of it does; `undefined`: nothing. */
  readonly unsettled: () => string | undefined;
  /** Calls the listener after every sync that succeeded, whoever asked for it. */
  readonly onSynced: (listener: () => void) => Cancel;
  /** `full`: read all details again. Rejects if the sync failed; that it did is already logged. */
  readonly sync: (options: { readonly full: boolean }) => Promise<unknown>;
  /** `now`: what is served comes from the store and may be old. `as-due`: a sync was just tried. */
  readonly first: 'now' | 'as-due';
}

/** Begins; the returned function ends it. */
export function scheduleSyncs(parts: ScheduleParts): Cancel {
  const { time, randomness, hasResult, unsettled, sync } = parts;
  const intervalMs = parts.intervalSeconds * 1000;
  let cancel: Cancel = () => {};
  let stopped = false;
  let full = parts.first === 'now';
  let retries = 0;
  /** What the last look found, and how many found the same before. */
  let seen: string | undefined;
  let looks = 0;

  const runIn = (delayMs: number): void => {
    cancel();
    const jittered = delayMs * (1 + JITTER * (2 * randomness.fraction() - 1));
    cancel = time.after(jittered, run);
  };
  const planNext = (): void => {
    if (stopped) return;
    cancel();
    const now = unsettled();
    if (now !== seen) looks = 0;
    seen = now;
    const lookMs = backOff(LOOKS, looks);
    if (now !== undefined && (intervalMs > 0 || lookMs <= RETRIES.longestMs)) {
      runIn(intervalMs > 0 ? Math.min(lookMs, intervalMs) : lookMs);
      looks += 1;
    } else if (intervalMs > 0) {
      runIn(intervalMs);
    }
  };
  const planRetry = (): void => {
    if (stopped || (intervalMs === 0 && hasResult())) return;
    const retryMs = backOff(RETRIES, retries);
    runIn(intervalMs > 0 ? Math.min(retryMs, intervalMs) : retryMs);
    retries += 1;
  };
  const run = (): void => {
    sync({ full }).then(() => {
      full = false;
    }, planRetry);
  };

  const unsubscribe = parts.onSynced(() => {
    retries = 0;
    planNext();
  });
  if (parts.first === 'now') run();
  else if (hasResult()) planNext();
  else planRetry();
  return () => {
    stopped = true;
    unsubscribe();
    cancel();
  };
}
