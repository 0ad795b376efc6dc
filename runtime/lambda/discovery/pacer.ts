/**
 * Calls to the control plane of Lambda, paced: the whole account and region share 15 requests a second, for all its tools together, and the
 * quota cannot be raised. A deployment that fails because Karin reads its mappings would be a poor trade.
 *
 * Invariant: at most `parallel` calls are under way, and over any span of t seconds at most `burst + t * perSecond` begin. A throttled call
 * holds back every later one, because the quota is common to them all.
 *
 * @module
 */
import type { Time } from '../../time.ts';
import { isThrottled } from './aws-error.ts';

export interface PacerOptions {
  readonly time: Time;
  /** Calls under way at one time. */
  readonly parallel: number;
  readonly perSecond: number;
  /** Calls that may begin at once after a rest. */
  readonly burst: number;
}

export interface Pacer {
  /** Runs `call` when it is its turn; a throttled one is tried again, five times in all. Rejects with what the last try rejected with. */
  run<T>(call: () => Promise<T>): Promise<T>;
}

const TRIES = 5;
/** Pause of everybody after the first throttled call, milliseconds; doubled by each further one of the same call. */
const FIRST_PAUSE_MS = 1000;

export function createPacer({ time, parallel, perSecond, burst }: PacerOptions): Pacer {
  const waiting: (() => void)[] = [];
  let underWay = 0;
  let allowance = burst;
  let countedAt = time.monotonic();
  let pausedUntil = 0;
  let alarmSet = false;

  const admit = (): void => {
    const now = time.monotonic();
    allowance = Math.min(burst, allowance + ((now - countedAt) / 1000) * perSecond);
    countedAt = now;
    while (waiting.length > 0 && underWay < parallel && allowance >= 1 && now >= pausedUntil) {
      allowance -= 1;
      underWay += 1;
      waiting.shift()?.();
    }
    if (waiting.length === 0 || underWay >= parallel || alarmSet) return;
    alarmSet = true;
    const untilAllowed = ((1 - allowance) / perSecond) * 1000;
    time.after(Math.ceil(Math.max(untilAllowed, pausedUntil - now, 1)), () => {
      alarmSet = false;
      admit();
    });
  };

  const once = async <T>(call: () => Promise<T>): Promise<T> => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      admit();
    });
    try {
      return await call();
    } finally {
      underWay -= 1;
      admit();
    }
  };

  return {
    async run(call) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await once(call);
        } catch (error) {
          if (attempt === TRIES || !isThrottled(error)) throw error;
          pausedUntil = Math.max(pausedUntil, time.monotonic() + FIRST_PAUSE_MS * 2 ** (attempt - 1));
        }
      }
    },
  };
}
