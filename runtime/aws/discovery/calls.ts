/**
 * Calls to the control plane of AWS, paced by what AWS grants: Lambda gives 15 requests a second to the whole account
 * and region, for all its tools together (GetFunction and GetPolicy apart), and the quota cannot be raised. A
 * deployment that fails because Karin reads its mappings would be a poor trade.
 *
 * The rate adapts, as TCP does: each answer raises it a little, up to `mostPerSecond`, and a throttled call halves it,
 * at most once a second. What is left of the quota by other tools is found that way.
 *
 * Invariant: at most `parallel` calls are under way, and over any span of t seconds at most `burst + t * mostPerSecond`
 * begin. A throttled call holds back every later one, because the quota is common to them all.
 *
 * @module
 */
import { backOff, type Pauses } from '../../retry.ts';
import type { Time } from '../../time.ts';

export interface PacerOptions {
  readonly time: Time;
  /** Calls under way at one time. */
  readonly parallel: number;
  /** With which rate it begins. */
  readonly perSecond: number;
  /** The highest rate; default: the one it begins with. */
  readonly mostPerSecond?: number;
  /** Calls that may begin at once after a rest. */
  readonly burst: number;
}

export interface Pacer {
  /**
   * Runs `call` when it is its turn; a throttled one is tried again, five times in all. Rejects with what the last try
   * rejected with, or with `OutOfTimeError` if its turn did not come before `until` on the monotonic clock.
   */
  run<T>(call: () => Promise<T>, until?: number): Promise<T>;
}

/** The turn of a call did not come in time: AWS was not asked. */
export class OutOfTimeError extends Error {
  override readonly name = 'OutOfTimeError';
}

const TRIES = 5;
/** Pause of everybody after the first throttled call, milliseconds; doubled by each further one of the same call. */
const PAUSES: Pauses = { firstMs: 1_000, longestMs: 60_000 };
const LEAST_PER_SECOND = 1;
/** Calls per second by which the rate grows in a second without a throttled call. */
const GROWTH = 1;

interface Waiting {
  readonly until: number;
  readonly begin: () => void;
  readonly giveUp: () => void;
}

export function createPacer(options: PacerOptions): Pacer {
  const { time, parallel, burst, mostPerSecond = options.perSecond } = options;
  let perSecond = options.perSecond;
  let waiting: Waiting[] = [];
  let underWay = 0;
  let allowance = burst;
  let countedAt = time.monotonic();
  let pausedUntil = 0;
  let slowedAt = -Infinity;
  let alarmSet = false;

  const admit = (): void => {
    const now = time.monotonic();
    allowance = Math.min(burst, allowance + ((now - countedAt) / 1000) * perSecond);
    countedAt = now;
    while (waiting.length > 0 && underWay < parallel && allowance >= 1 && now >= pausedUntil) {
      const next = waiting.shift();
      if (next === undefined || next.until <= now) {
        next?.giveUp();
        continue;
      }
      allowance -= 1;
      underWay += 1;
      next.begin();
    }
    if (waiting.length === 0 || underWay >= parallel || alarmSet) return;
    alarmSet = true;
    const untilAllowed = ((1 - allowance) / perSecond) * 1000;
    const untilTurn = Math.max(untilAllowed, pausedUntil - now, 1);
    const untilLate = Math.max(1, Math.min(...waiting.map(({ until }) => until)) - now);
    time.after(Math.ceil(Math.min(untilTurn, untilLate)), () => {
      alarmSet = false;
      dropLate();
      admit();
    });
  };

  const dropLate = (): void => {
    const now = time.monotonic();
    const late = waiting.filter(({ until }) => until <= now);
    waiting = waiting.filter(({ until }) => until > now);
    for (const { giveUp } of late) giveUp();
  };

  const once = async <T>(call: () => Promise<T>, until: number): Promise<T> => {
    await new Promise<void>((resolve, reject) => {
      const giveUp = (): void => reject(new OutOfTimeError('the rate that AWS grants left no time for it'));
      waiting.push({ until, begin: resolve, giveUp });
      admit();
    });
    try {
      const answer = await call();
      perSecond = Math.min(mostPerSecond, perSecond + GROWTH / perSecond);
      return answer;
    } finally {
      underWay -= 1;
      admit();
    }
  };

  const slowDown = (attempt: number): void => {
    const now = time.monotonic();
    pausedUntil = Math.max(pausedUntil, now + backOff(PAUSES, attempt - 1));
    if (now - slowedAt < 1000) return;
    slowedAt = now;
    perSecond = Math.max(LEAST_PER_SECOND, perSecond / 2);
  };

  return {
    async run(call, until = Infinity) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await once(call, until);
        } catch (error) {
          if (attempt === TRIES || !isThrottled(error)) throw error;
          slowDown(attempt);
        }
      }
    },
  };
}

/*
 * What an error of an AWS call means for a discovery.
 */

interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/**
 * `not-found`: what was asked for is gone. `refused`: AWS says no, mostly for want of a permission. `transient`: the
 * same call may succeed at the next sync.
 */
export type AwsFailure = 'not-found' | 'refused' | 'transient';

const NOT_FOUND = new Set([
  'ResourceNotFoundException',
  'QueueDoesNotExist',
  'AWS.SimpleQueueService.NonExistentQueue',
  'NonExistentQueue',
]);
/** Temporary credentials that ran out during a discovery: by the next sync the SDK has fetched others. */
const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'RequestExpired']);
const THROTTLED = new Set(['TooManyRequestsException', 'ThrottlingException', 'Throttling', 'RequestThrottled']);

/** Sorts what an AWS SDK call rejected with. */
export function awsFailure(error: unknown): AwsFailure {
  if (!isServiceError(error)) return 'transient';
  if (NOT_FOUND.has(error.name)) return 'not-found';
  const status = error.$metadata?.httpStatusCode;
  if (isThrottled(error) || EXPIRED.has(error.name) || status === undefined || status >= 500) return 'transient';
  return status === 404 ? 'not-found' : 'refused';
}

/** Whether AWS refused the call for its rate alone. */
function isThrottled(error: unknown): boolean {
  return isServiceError(error) && (THROTTLED.has(error.name) || error.$metadata?.httpStatusCode === 429);
}

/** `Name: message`, for operators. */
export function describeAwsError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message === '' ? 'no further detail' : error.message;
  return `${error.name}: ${message}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error;
}
