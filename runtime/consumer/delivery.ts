/**
 * One flushed batch on its way: invoked, again if it was throttled and the lease still has room, and settled as the
 * decision table says.
 *
 * Invariants. A message is deleted only after a success is known. After an Invoke whose outcome is unknown
 * (`connection-lost`) the batch is never invoked again in this lease, because the function may be running. A batch that
 * was surely not shown to the function is given back uncounted, whatever the trouble was.
 *
 * @module
 */

import * as z from 'zod/mini';
import { TIMEOUT_MARGIN_MS } from '../aws/invoke.ts';
import type { InvokeOutcome } from '../aws/invoke-outcome.ts';
import { expectedRunSeconds, longestInvokeSeconds } from '../aws/mapping.ts';
import type { Failure } from '../queue/failure.ts';
import type { ReceivedMessage } from '../queue/message.ts';
import { repeat } from '../retry.ts';
import type { Documents, Signal } from '../store/store.ts';
import type { Time } from '../time.ts';
import { type HeldBatch, takeInvoke } from './batch.ts';
import { traceOfBatch } from './intake.ts';
import type { ConsumerParts, DeliveryParts } from './parts.ts';
import {
  type Failure as BatchFailure,
  type ConcurrencyEffect,
  decide,
  keepFailures,
  lastAttemptMargin,
  pastLease,
  settle,
  warnOfStore,
} from './settlement.ts';
import type { MappingSlots } from './slots.ts';

/** What is done between the attempts of one batch. */
export interface Retrying {
  /**
   * An attempt was throttled or unavailable: waits `inMs` milliseconds and for what the next one needs, which must
   * begin before `until` (monotonic ms). Errors: `StoreUnavailableError`.
   */
  nextAttempt(inMs: number, until: number): Promise<AfterPause>;
  /** The Invoke lasts longer than was expected of its function. Never rejects. Absent: nobody need know. */
  outlasting?(): Promise<void>;
}

/** Why messages are given back between two attempts. */
const GIVEN_BACK: Readonly<Record<Exclude<AfterPause, 'invoke' | 'past-lease'>, string>> = {
  stopping: 'the server stops before the function took the batch',
  starving: 'other queues had no memory left while the batch waited for its next attempt',
};

export interface DeliveryEnd {
  /** `undefined`: the function was not shown the batch, so nothing is known about it. */
  readonly effect: ConcurrencyEffect | undefined;
  /** The batch failed as a whole, and a function may have seen it. */
  readonly failed?: true;
  /**
   * No function saw the messages: they are to be given back uncounted, after the effect was taken, so that nobody draws
   * them again at once; why, for the operator.
   */
  readonly giveBack?: string;
  /**
   * Monotonic ms until which the mapping would have waited for its next attempt: so long its slot stays taken, or it
   * would be throttled again at once.
   */
  readonly restsUntil?: number;
  /** Monotonic ms until which the function may still be running, though the call is over. */
  readonly mayRunUntil?: number;
}

/**
 * Delivers a batch with at least one record.
 *
 * @param leaseEndsAt Monotonic ms.
 */
export async function deliver(
  batch: HeldBatch,
  leaseEndsAt: number,
  parts: DeliveryParts,
  retrying: Retrying,
): Promise<DeliveryEnd> {
  const { time, events } = parts;
  const { name, queue, mapping, messageIds } = batch;
  const payload = batch.takePayload();
  const messages: ReceivedMessage[] = [];
  const traceHeaders: (string | undefined)[] = [];
  /** One of them came back before: if this fails again, somebody will ask why. */
  let mayBeLookedAt = false;
  for (const { message } of batch.records) {
    messages.push(message);
    traceHeaders.push(message.traceHeader);
    mayBeLookedAt ||= message.receiveCount > 1;
  }
  const sentIds = new Set(messageIds);
  const runMs = expectedRunSeconds(mapping) * 1_000;
  const lastAttemptAt = leaseEndsAt - lastAttemptMargin(runMs, leaseEndsAt - time.monotonic());

  for (let attempt = 1; ; attempt += 1) {
    const startedAt = time.monotonic();
    const traceHeader = traceOfBatch(traceHeaders, mapping.functionArn, parts);
    const lateMs: number[] = [];
    const agesMs: number[] = [];
    for (const { dueAt, bornAt, receiveCount } of attempt === 1 ? messages : []) {
      lateMs.push(startedAt - dueAt);
      if (receiveCount === 1) agesMs.push(startedAt - bornAt);
    }
    events.emit({
      kind: 'invoked',
      ...name,
      messageIds,
      attempt,
      functionArn: mapping.functionArn,
      payloadBytes: payload.byteLength,
      traceHeader,
      traceHeaders,
      lateMs,
      agesMs,
    });
    const endOutlasting =
      retrying.outlasting && repeat(time, runMs + TIMEOUT_MARGIN_MS, () => void retrying.outlasting?.());
    let outcome: InvokeOutcome;
    try {
      outcome = await parts.invoker.invoke({
        functionArn: mapping.functionArn,
        payload,
        longestSeconds: longestInvokeSeconds(mapping),
        traceHeader,
        logTail: mayBeLookedAt || parts.logTails?.wanted(mapping.functionArn) === true,
        signal: parts.aborting,
      });
    } catch (error) {
      // An invoker answers with outcomes; whatever it throws is unknown, and the unknown must not be invoked again.
      outcome = { kind: 'connection-lost', message: error instanceof Error ? error.message : String(error) };
    }
    endOutlasting?.();
    const endedAt = time.monotonic();
    const durationMs = endedAt - startedAt;
    events.emit({ kind: 'answered', ...name, messageIds, attempt, outcome: outcome.kind, durationMs, traceHeader });
    const decision = decide(outcome, {
      attempt,
      sentIds,
      reportBatchItemFailures: mapping.reportBatchItemFailures,
      roomMs: lastAttemptAt - endedAt,
      fraction: parts.randomness.fraction(),
    });
    const failed = ({ reason, detail, effect, uncounted }: BatchFailure, durationMs: number): DeliveryEnd => {
      events.emit({ kind: 'failed', ...name, messageIds, reason, detail, durationMs });
      return {
        effect,
        ...(!uncounted && { failed: true }),
        ...(uncounted && { giveBack: `no function saw them: ${detail}` }),
        ...(outcome.kind === 'connection-lost' && { mayRunUntil: startedAt + runMs }),
      };
    };

    if (decision.kind === 'retry') {
      const { inMs, reason } = decision;
      events.emit({ kind: 'retrying', ...name, messageIds, attempt: attempt + 1, inMs, reason });
      const then = await retrying.nextAttempt(inMs, lastAttemptAt);
      if (then === 'invoke') continue;
      if (then === 'past-lease') {
        return failed(pastLease(decision.pastLease, `${reason}; there was no room for another attempt`), 0);
      }
      return {
        effect: undefined,
        giveBack: GIVEN_BACK[then],
        ...(then === 'starving' && { restsUntil: endedAt + inMs }),
      };
    }
    const keep = (of: readonly ReceivedMessage[], what: Told): Promise<void> =>
      keepFailures(queue, of, { ...what, functionArn: mapping.functionArn, durationMs }, name, parts);
    if (decision.kind === 'failed') {
      // One that no function saw says nothing of the message.
      if (!decision.uncounted) await keep(messages, toldOf(outcome, decision));
      return failed(decision, durationMs);
    }

    const { failed: reported, effect } = decision;
    events.emit({ kind: 'succeeded', ...name, messageIds, failedIds: [...reported], durationMs });
    const handled = reported.size === 0 ? messages : messages.filter((message) => !reported.has(message.id));
    if (handled.length > 0) {
      const { ids, tookMs } = await settle('delete', queue, handled, name, leaseEndsAt, parts);
      if (ids.length > 0) events.emit({ kind: 'deleted', ...name, messageIds: ids, tookMs });
    }
    if (reported.size > 0) {
      const returned = messages.filter((message) => reported.has(message.id));
      await keep(returned, { ...REPORTED, ...runOf(outcome) });
    }
    return { effect };
  }
}

/** What an outcome tells of a failure. */
type Told = Pick<Failure, 'errorType' | 'message' | 'trace' | 'requestId' | 'logTail'>;

const REPORTED: Told = {
  errorType: 'ReportedFailure',
  message: 'the function named this message in batchItemFailures; its own log says why',
};

function toldOf(outcome: InvokeOutcome, { reason, detail }: BatchFailure): Told {
  if (outcome.kind !== 'function-error') return { errorType: reason, message: detail, ...runOf(outcome) };
  const { errorType, message, trace } = outcome;
  return { errorType, message, ...(trace !== undefined && { trace }), ...runOf(outcome) };
}

/** What Lambda says of the run, whatever came of it. */
function runOf(outcome: InvokeOutcome): Pick<Failure, 'requestId' | 'logTail'> {
  if (outcome.kind !== 'success' && outcome.kind !== 'function-error') return {};
  const { requestId, logTail } = outcome;
  return { ...(requestId === undefined ? {} : { requestId }), ...(logTail === undefined ? {} : { logTail }) };
}

/*
 * What lies between two attempts to invoke one batch: a pause, in which the batch keeps its leases, its slot and its
 * place in memory, but no Invoke; then another Invoke.
 *
 * A function can be throttled for as long as a lease lasts. So that its batches harm no others meanwhile, one of them
 * is given back, uncounted, when other queues have no memory left.
 */

/**
 * `invoke`: the next attempt begins now. `past-lease`: it would come too late. The other two: give the messages back.
 */
export type AfterPause = 'invoke' | 'past-lease' | 'stopping' | 'starving';

/**
 * Waits `inMs` milliseconds, and then for an Invoke, at the latest until `until` (monotonic ms).
 * Errors: `StoreUnavailableError`, if the slot in the store would have to be prolonged once more.
 */
export async function awaitNextAttempt(
  { holdings, name }: HeldBatch,
  slots: MappingSlots,
  parts: ConsumerParts,
  inMs: number,
  until: number,
): Promise<AfterPause> {
  holdings.giveBackInvoke();
  slots.retrying(holdings, inMs).catch((error: unknown) => {
    warnOfStore(name, 'a slot could not be prolonged, and may end before its batch', error, parts);
  });
  const end = await pauseUnlessStarving(inMs, parts);
  if (end !== 'over') return end;

  const atOnce = holdings.tryTakeInvoke();
  if (!atOnce && !(await takeInvoke(holdings, until, parts))) return parts.stopping.aborted ? 'stopping' : 'past-lease';
  // The slot in the store was prolonged for the pause, but not for a wait after it.
  return atOnce || (await slots.retrying(holdings, 0)) ? 'invoke' : 'past-lease';
}

function pauseUnlessStarving(
  ms: number,
  { time, stopping, limits }: ConsumerParts,
): Promise<'over' | 'stopping' | 'starving'> {
  if (stopping.aborted) return Promise.resolve('stopping');
  return new Promise((resolve) => {
    const end = (why: 'over' | 'stopping' | 'starving'): void => {
      cancelTimer();
      endIdling();
      stopping.removeEventListener('abort', onStopping);
      resolve(why);
    };
    const onStopping = (): void => end('stopping');
    const cancelTimer = time.after(ms, () => end('over'));
    stopping.addEventListener('abort', onStopping, { once: true });
    let endIdling = (): void => {};
    endIdling = limits.idling(() => end('starving'));
  });
}

/*
 * Functions whose next runs are to tell the end of their log, whether a message was received before or not: an operator
 * asked for it, for ten minutes.
 *
 * One document of the store names them with the time when it is over, so every server on it does the same. Each keeps
 * it in memory and reads it again when it changed, so an Invoke asks nothing of the store.
 */

const DOCUMENT = 'log-tails';
const KEPT_MS = 600_000;
/** Functions at one time; the one whose time is over first makes room. */
const MOST_FUNCTIONS = 100;

const untilByArn = z.record(z.string(), z.number());

export interface LogTails {
  wanted(functionArn: string): boolean;
  /** When it is over, epoch ms; `undefined`: it is not under way. */
  until(functionArn: string): number | undefined;
  /** Asks for the logs of a function from now on; gives the time when it is over. Errors: `StoreUnavailableError`. */
  keep(functionArn: string): Promise<number>;
  /** To be called with every signal of the store. */
  heard(signal: Signal): Promise<void>;
}

/** Errors: `StoreUnavailableError`. */
export async function createLogTails(documents: Pick<Documents, 'get' | 'put'>, time: Time): Promise<LogTails> {
  let kept: ReadonlyMap<string, number> = new Map();
  const read = async (): Promise<string | undefined> => {
    const text = await documents.get(DOCUMENT);
    kept = new Map(Object.entries(parsed(text)));
    return text;
  };
  await read();
  const until = (functionArn: string): number | undefined => {
    const over = kept.get(functionArn);
    return over !== undefined && time.now() < over ? over : undefined;
  };
  return {
    wanted: (functionArn) => kept.size > 0 && until(functionArn) !== undefined,
    until,
    keep: async (functionArn) => {
      for (;;) {
        const text = await read();
        const [now, over] = [time.now(), time.now() + KEPT_MS];
        const others = [...kept].filter(([arn, end]) => arn !== functionArn && end > now);
        const next = [
          ...others.sort(([, a], [, b]) => b - a).slice(0, MOST_FUNCTIONS - 1),
          [functionArn, over] as const,
        ];
        // Another server may write at the same time.
        if (!(await documents.put(DOCUMENT, JSON.stringify(Object.fromEntries(next)), text ?? null))) continue;
        kept = new Map(next);
        return over;
      }
    },
    heard: async (signal) => {
      if (signal.kind === 'gap' || (signal.kind === 'document' && signal.name === DOCUMENT)) await read();
    },
  };
}

/** What another version wrote asks for nothing. */
function parsed(text: string | undefined): Readonly<Record<string, number>> {
  try {
    return untilByArn.parse(JSON.parse(text ?? '{}'));
  } catch {
    return {};
  }
}
