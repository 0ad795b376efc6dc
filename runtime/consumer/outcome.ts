/**
 * What follows from the outcome of one Invoke: the decision table of Lambda's SQS trigger, as a pure function.
 *
 * | outcome                                   | messages                                          | concurrency of the mapping        |
 * |-------------------------------------------|---------------------------------------------------|-----------------------------------|
 * | success, no failure report asked for      | all deleted, whatever was answered                | grows                             |
 * | success, valid report                     | all but the reported ones deleted                 | grows                             |
 * | success, malformed report                 | none deleted                                      | as it was                         |
 * | function error, timeout, out of memory    | none deleted                                      | halved; as it was with reports on |
 * | throttled                                 | kept; invoked again inside the lease, else none deleted | halved                      |
 * | unavailable (5xx, 409, 408, refused)      | kept; invoked again inside the lease, else none deleted | halved                      |
 * | rejected with 400                         | none deleted                                      | halved                            |
 * | rejected with 403, 404, 413, 415          | none deleted                                      | one, after a pause                |
 * | connection lost                           | none deleted, never invoked again in this lease   | halved                            |
 *
 * A message that is not deleted comes back when its lease runs out. Nobody shortens that lease: a function may have moved it by ChangeMessageVisibility.
 *
 * Sources: "Using Lambda with Amazon SQS", sections on errors, scaling and partial batch responses. AWS does not document its back-off; the figures here are Karin's.
 *
 * @module
 */
import { failedIds } from '../lambda/batch-response.ts';
import type { InvokeOutcome } from '../lambda/invoker.ts';
import type { FailureReason } from './events.ts';

/** What the outcome of a batch does to the concurrency of its mapping. */
export type ConcurrencyEffect = 'grow' | 'keep' | 'back-off' | 'pause';

export type Decision =
  /** Delete every message of the batch but these. */
  | { readonly kind: 'handled'; readonly failed: ReadonlySet<string>; readonly effect: ConcurrencyEffect }
  /** Invoke the same batch again, `inMs` milliseconds from now; `pastLease`: what it failed of if that cannot be. */
  | { readonly kind: 'retry'; readonly inMs: number; readonly reason: string; readonly pastLease: FailureReason }
  /** Delete nothing and let the lease run out. */
  | {
      readonly kind: 'failed';
      readonly reason: FailureReason;
      readonly detail: string;
      readonly effect: ConcurrencyEffect;
    };

/** What the decision depends on besides the outcome. */
export interface AttemptContext {
  /** Counts from 1 within the lease. */
  readonly attempt: number;
  /** Ids of the messages in this very invocation. */
  readonly sentIds: ReadonlySet<string>;
  readonly reportBatchItemFailures: boolean;
  /** Milliseconds in which another attempt may still begin (see {@link lastAttemptMargin}); 0 or less: none. */
  readonly roomMs: number;
  /** In [0, 1), for jitter. */
  readonly fraction: number;
}

/** Pauses before the second, third, ... attempt within a lease, ms; the last one repeats. */
export const RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
/** Up to this share of a pause is added at random, so that throttled batches do not return as one. */
const JITTER = 0.25;
/** An attempt at the very end of the room must be worth it: at least this long after the one before, ms. */
const SHORTEST_PAUSE_MS = 250;

const NONE: ReadonlySet<string> = new Set();

/**
 * How long before the end of a lease the last attempt may begin, ms: the function's own timeout, so that it can finish while the messages are still hidden
 * from others; but never more than half of the lease, so that a queue with a short visibility timeout gets second attempts at all.
 */
export function lastAttemptMargin(functionTimeoutMs: number, leaseMs: number): number {
  return Math.min(functionTimeoutMs, leaseMs / 2);
}

/** Decides what an outcome means for its batch. */
export function decide(outcome: InvokeOutcome, context: AttemptContext): Decision {
  switch (outcome.kind) {
    case 'success':
      return context.reportBatchItemFailures
        ? decideReport(outcome.response, context.sentIds)
        : { kind: 'handled', failed: NONE, effect: 'grow' };
    case 'function-error':
      return {
        kind: 'failed',
        reason: isTimeout(outcome.errorType, outcome.message) ? 'timeout' : 'function-error',
        detail: outcome.errorType === '' ? outcome.message : `${outcome.errorType}: ${outcome.message}`,
        effect: context.reportBatchItemFailures ? 'keep' : 'back-off',
      };
    case 'throttled':
      return retryOrFail('throttled-past-lease', outcome.message, outcome.retryAfterMs, context);
    case 'unavailable':
      return retryOrFail('unavailable', outcome.message, undefined, context);
    case 'rejected':
      return {
        kind: 'failed',
        reason: 'rejected',
        detail: `${outcome.status}: ${outcome.message}`,
        // 400 may be about this one event (recursion, content); the others hold for every batch until somebody mends the function.
        effect: outcome.status === 400 ? 'back-off' : 'pause',
      };
    case 'connection-lost':
      return { kind: 'failed', reason: 'connection-lost', detail: outcome.message, effect: 'back-off' };
  }
}

function decideReport(response: Uint8Array, sentIds: ReadonlySet<string>): Decision {
  const report = failedIds(response, sentIds);
  switch (report.kind) {
    case 'success':
      return { kind: 'handled', failed: NONE, effect: 'grow' };
    case 'partial':
      return { kind: 'handled', failed: report.failed, effect: 'grow' };
    case 'malformed':
      return { kind: 'failed', reason: 'malformed-report', detail: report.detail, effect: 'keep' };
  }
}

function retryOrFail(
  reason: 'throttled-past-lease' | 'unavailable',
  message: string,
  retryAfterMs: number | undefined,
  context: AttemptContext,
): Decision {
  const inMs = retryDelay(context, retryAfterMs ?? 0);
  return inMs === undefined
    ? { kind: 'failed', reason, detail: message, effect: 'back-off' }
    : { kind: 'retry', inMs, reason: message, pastLease: reason };
}

/** The pause before the next attempt, never shorter than asked for by `Retry-After`; `undefined`: it would begin too late in the lease. */
function retryDelay(context: AttemptContext, retryAfterMs: number): number | undefined {
  const step = RETRY_DELAYS_MS[Math.min(context.attempt, RETRY_DELAYS_MS.length) - 1] ?? 0;
  const pause = Math.max(step * (1 + JITTER * context.fraction), retryAfterMs);
  if (pause <= context.roomMs) return pause;
  return Math.max(SHORTEST_PAUSE_MS, retryAfterMs) <= context.roomMs ? context.roomMs : undefined;
}

function isTimeout(errorType: string, message: string): boolean {
  return errorType === 'Sandbox.Timedout' || /\bTask timed out after\b/.test(message);
}
