/**
 * What follows from the outcome of one Invoke: the decision table of Lambda's SQS trigger, as a pure function.
 *
 * | outcome                                      | messages                                                 | concurrency of the mapping        |
 * |----------------------------------------------|----------------------------------------------------------|-----------------------------------|
 * | success, no failure report asked for         | all deleted, whatever was answered                       | grows                             |
 * | success, valid report                        | all but the reported ones deleted                        | grows                             |
 * | success, malformed report                    | none deleted                                             | as it was                         |
 * | function error, timeout, out of memory       | none deleted                                             | halved; as it was with reports on |
 * | throttled                                    | kept; invoked again inside the lease, else given back    | halved; one and a pause past it   |
 * | unavailable (5xx, 409, 408 of Lambda)        | kept; invoked again inside the lease, else given back    | halved; one and a pause past it   |
 * | unreached (no connection, not sent, 403, 404, any other 4xx) | given back                               | one, after a pause and a probe    |
 * | rejected for this event (413, 415, recursion, content) | none deleted                                   | halved                            |
 * | connection lost                              | none deleted, never invoked again in this lease          | one, after a pause and a probe    |
 *
 * The rule behind the column of the messages: a receive counts only if a function may have seen the message, or if the
 * message itself was refused. What is given back is due at once, and its receive is undone, so that no trouble between
 * Karin and Lambda moves a message to a dead-letter queue. This differs from Lambda for throttles that outlast a lease:
 * there the next receive counts.
 *
 * A message that is neither deleted nor given back comes back when its lease runs out. Nobody shortens that lease: a
 * function may have moved it by ChangeMessageVisibility.
 *
 * Sources: "Using Lambda with Amazon SQS", sections on errors, scaling and partial batch responses. AWS does not
 * document its back-off; the figures here are Karin's.
 *
 * @module
 */

import type { InvokeOutcome } from '../aws/invoke-outcome.ts';
import type { Failure as KeptFailure } from '../queue/failure.ts';
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { backOff, type Pauses, pause } from '../retry.ts';
import { StoreFullError } from '../store/store.ts';
import { failedIds } from './event.ts';
import type { EventSink, FailureReason } from './events.ts';
import type { Trouble } from './lambda-trouble.ts';
import type { SettlementParts } from './parts.ts';

/** What the outcome of a batch does to the concurrency of its mapping; `pause`: see `lambda-trouble.ts`. */
export type ConcurrencyEffect = 'grow' | 'keep' | 'back-off' | { readonly pause: Trouble };

export type Decision =
  /** Delete every message of the batch but these. */
  | { readonly kind: 'handled'; readonly failed: ReadonlySet<string>; readonly effect: ConcurrencyEffect }
  /** Invoke the same batch again, `inMs` milliseconds from now; `pastLease`: what it failed of if that cannot be. */
  | {
      readonly kind: 'retry';
      readonly inMs: number;
      readonly reason: string;
      readonly pastLease: 'throttled-past-lease' | 'unavailable';
    }
  | Failure;

/** Delete nothing. `uncounted`: give the messages back; else let the lease run out. */
export interface Failure {
  readonly kind: 'failed';
  readonly reason: FailureReason;
  readonly detail: string;
  readonly effect: ConcurrencyEffect;
  readonly uncounted: boolean;
}

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
const RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
/** Up to this share of a pause is added at random, so that throttled batches do not return as one. */
const JITTER = 0.25;
/** An attempt at the very end of the room must be worth it: at least this long after the one before, ms. */
const SHORTEST_PAUSE_MS = 250;

const NONE: ReadonlySet<string> = new Set();

/**
 * How long before the end of a lease the last attempt may begin, ms: the function's own timeout, so that it can finish
 * while the messages are still hidden from others; but never more than half of the lease, so that a queue with a short
 * visibility timeout gets second attempts at all.
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
        uncounted: false,
      };
    case 'throttled':
      return retryOrFail('throttled-past-lease', outcome.message, outcome.retryAfterMs, context);
    case 'unavailable':
      return retryOrFail('unavailable', outcome.message, undefined, context);
    case 'unreached': {
      const detail = outcome.message;
      return {
        kind: 'failed',
        reason: 'unreached',
        detail,
        effect: { pause: { kind: outcome.why, detail } },
        uncounted: true,
      };
    }
    case 'rejected':
      return {
        kind: 'failed',
        reason: 'rejected',
        detail: `${outcome.status}: ${outcome.message}`,
        effect: 'back-off',
        uncounted: false,
      };
    case 'connection-lost': {
      const detail = outcome.message;
      return {
        kind: 'failed',
        reason: 'connection-lost',
        detail,
        effect: { pause: { kind: 'no-way', detail } },
        uncounted: false,
      };
    }
  }
}

/** What follows where no further attempt begins inside the lease, although no function saw the batch. */
export function pastLease(reason: 'throttled-past-lease' | 'unavailable', detail: string): Failure {
  return { kind: 'failed', reason, detail, effect: { pause: { kind: 'refused', detail } }, uncounted: true };
}

function decideReport(response: Uint8Array, sentIds: ReadonlySet<string>): Decision {
  const report = failedIds(response, sentIds);
  switch (report.kind) {
    case 'success':
      return { kind: 'handled', failed: NONE, effect: 'grow' };
    case 'partial':
      return { kind: 'handled', failed: report.failed, effect: 'grow' };
    case 'malformed':
      return { kind: 'failed', reason: 'malformed-report', detail: report.detail, effect: 'keep', uncounted: false };
  }
}

function retryOrFail(
  reason: 'throttled-past-lease' | 'unavailable',
  message: string,
  retryAfterMs: number | undefined,
  context: AttemptContext,
): Decision {
  const inMs = retryDelay(context, retryAfterMs ?? 0);
  return inMs === undefined ? pastLease(reason, message) : { kind: 'retry', inMs, reason: message, pastLease: reason };
}

/**
 * The pause before the next attempt, never shorter than asked for by `Retry-After`; `undefined`: it would begin too
 * late in the lease.
 */
function retryDelay(context: AttemptContext, retryAfterMs: number): number | undefined {
  const step = RETRY_DELAYS_MS[Math.min(context.attempt, RETRY_DELAYS_MS.length) - 1] ?? 0;
  const pause = Math.max(step * (1 + JITTER * context.fraction), retryAfterMs);
  if (pause <= context.roomMs) return pause;
  return Math.max(SHORTEST_PAUSE_MS, retryAfterMs) <= context.roomMs ? context.roomMs : undefined;
}

function isTimeout(errorType: string, message: string): boolean {
  return errorType === 'Sandbox.Timedout' || /\bTask timed out after\b/.test(message);
}

/*
 * The ends of leases that the consumer brings about itself: deleting what was handled, giving back what nobody was
 * shown.
 *
 * Both are safe to repeat, and are repeated while the store fails them, whether or not it carried out what it did not
 * answer. The fence of a lease is its number, which no later lease of the message has (`HISTORY` in
 * `store/redis/scripts/script.ts`). So what was received again meanwhile is left alone, and a release that was carried
 * out finds itself done. A message that is not deleted would be handled twice; one that is not given back would wait
 * out its lease and count a receive that no function saw. A store that fails for longer than the leases loses nothing
 * either way.
 */

/** Whose messages they are, as every event names them. */
export interface BatchName {
  readonly mapping: string;
  readonly queue: string;
  readonly batch: number;
}

/** Pauses between tries, ms: doubling from the first to the last. */
const PAUSES: Pauses = { firstMs: 100, longestMs: 5_000 };
/**
 * Tries are made for this long at least, ms, even if the lease ends before: after it, the fence still decides rightly.
 */
const LEAST_PATIENCE_MS = 10_000;

/**
 * Gives back messages that no function was shown: due at once, the receive not counted. While the store cannot be
 * reached it is tried again until the leases end.
 */
export async function releaseMessages(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  name: BatchName,
  why: string,
  parts: SettlementParts,
): Promise<void> {
  if (messages.length === 0) return;
  const until = Math.max(...messages.map((message) => message.leaseEndsAt));
  const { ids: messageIds, tookMs } = await settle('release', queue, messages, name, until, parts);
  if (messageIds.length > 0) parts.events.emit({ kind: 'released', ...name, messageIds, why, tookMs });
}

/** What the operator is told of a try that failed, and of the last one. */
const UNSETTLED = {
  delete: {
    yet: 'messages that were handled could not be deleted yet',
    last: 'messages that were handled could not be deleted, and come back when their lease ends',
  },
  release: {
    yet: 'messages could not be given back yet',
    last: 'messages could not be given back, and wait out their lease',
  },
} as const;

/**
 * Deletes messages or gives them back, and again after a pause while the store fails that: each handled message that
 * stays is one that the function handles twice.
 *
 * @param until Monotonic ms: the end of the lease, after which others may have the messages anyway.
 * @returns `ids`: the messages with which it was done, none if it was given up; not those that the function itself
 *   deleted before, nor those received again since. `tookMs`: how long the last try took.
 */
export async function settle(
  how: 'delete' | 'release',
  queue: Queue,
  messages: readonly ReceivedMessage[],
  name: BatchName,
  until: number,
  parts: SettlementParts,
): Promise<{ readonly ids: readonly string[]; readonly tookMs: number }> {
  const { time, randomness, aborting } = parts;
  const giveUpAt = Math.max(until, time.monotonic() + LEAST_PATIENCE_MS);
  const leases = messages.map(({ lease }) => lease);
  const ids: string[] = [];
  for (let failures = 0; ; failures += 1) {
    const begunAt = time.monotonic();
    try {
      const outcomes = await queue[how](leases);
      for (const [at, { id }] of leases.entries()) if (outcomes[at] === 'done') ids.push(id);
      return { ids, tookMs: time.monotonic() - begunAt };
    } catch (error) {
      const waitMs = backOff(PAUSES, failures, randomness);
      const again = time.monotonic() + waitMs <= giveUpAt && !aborting.aborted;
      warnOfStore(name, UNSETTLED[how][again ? 'yet' : 'last'], error, parts);
      if (!again || !(await pause(time, waitMs, aborting))) return { ids, tookMs: time.monotonic() - begunAt };
    }
  }
}

/**
 * Keeps with messages why they failed, in one command for the batch. What cannot be kept is missed by people only; so a
 * full store is no news here, and nothing is tried again.
 */
export async function keepFailures(
  queue: Queue,
  messages: readonly ReceivedMessage[],
  failure: Omit<KeptFailure, 'attempt'>,
  name: BatchName,
  parts: SettlementParts,
): Promise<void> {
  const failures = messages.map(({ id, receiveCount }) => [id, { ...failure, attempt: receiveCount }] as const);
  try {
    if (failures.length > 0) await queue.keepFailures(new Map(failures));
  } catch (error) {
    if (!(error instanceof StoreFullError)) warnOfStore(name, 'why messages failed could not be kept', error, parts);
  }
}

/** Tells the operator that the store failed an operation of the consumer. */
export function warnOfStore(
  name: { readonly mapping: string; readonly queue: string },
  what: string,
  error: unknown,
  parts: { readonly events: EventSink },
): void {
  parts.events.emit({
    kind: 'warning',
    what: 'store-error',
    mapping: name.mapping,
    queue: name.queue,
    detail: `${what}: ${error instanceof Error ? error.message : String(error)}`,
  });
}
