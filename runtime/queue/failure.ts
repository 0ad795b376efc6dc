/**
 * Why a message failed last: kept beside the message, for people. The handler never gets it, and no log says it,
 * because what a function says of its failure may quote a body.
 *
 * It moves into the dead-letter queue with its message. A redrive begins a new life, without it.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { KeptFailure, NewFailure } from '../store/store.ts';

/** The last failed delivery of a message. */
export interface Failure {
  /** As the runtime of the function names it; or `Function.TimedOut`, `ReportedFailure`, the outcome in other cases. */
  readonly errorType: string;
  readonly message: string;
  /** First lines of the function's trace. */
  readonly trace?: string;
  /** The end of the function's log of this run, where it was asked for. */
  readonly logTail?: string;
  readonly functionArn: string;
  /** Of the Invoke, as CloudWatch Logs has it; absent: Lambda did not answer with one. */
  readonly requestId?: string;
  readonly durationMs: number;
  /** The receive count with which the message was delivered. */
  readonly attempt: number;
}

/** A failure as it is read: with its time, epoch ms by the store's clock. */
export type PastFailure = Failure & { readonly at: number };

/** Most bytes of a failure in the store, without the end of a log and with it. */
export const MOST_FAILURE_BYTES = 2_048;
export const MOST_WITH_LOG_BYTES = 4_096;

/** Short names, as each may be kept a thousand times for a queue. */
const Stored = z.object({
  t: z.string(),
  m: z.string(),
  s: z.optional(z.string()),
  l: z.optional(z.string()),
  f: z.string(),
  r: z.optional(z.string()),
  d: z.number(),
  n: z.number(),
});

/** Most characters of each part before the whole is measured. */
const MOST = { t: 200, m: 600, s: 1_000, f: 300, r: 100 } as const;

/**
 * What is stored of a failure, at most `MOST_FAILURE_BYTES`, or `MOST_WITH_LOG_BYTES` with the end of a log: the
 * longest of its texts is cut until it fits, and a log loses its beginning. Each round makes one of them shorter, so it
 * ends.
 */
export function newFailure(id: string, failure: Failure): NewFailure {
  const stored = fitting({
    t: failure.errorType.slice(0, MOST.t),
    m: failure.message.slice(0, MOST.m),
    s: failure.trace?.slice(0, MOST.s),
    f: failure.functionArn.slice(0, MOST.f),
    r: failure.requestId?.slice(0, MOST.r),
    d: Math.round(failure.durationMs),
    n: failure.attempt,
  });
  for (let log = failure.logTail?.slice(-MOST_WITH_LOG_BYTES) ?? ''; log !== ''; log = log.slice(shorter(log))) {
    const text = JSON.stringify({ ...stored, l: log });
    if (Buffer.byteLength(text) <= MOST_WITH_LOG_BYTES) return { id, text };
  }
  return { id, text: JSON.stringify(stored) };
}

type StoredFailure = z.infer<typeof Stored>;

function fitting(whole: StoredFailure): StoredFailure {
  const stored = { ...whole };
  for (;;) {
    if (Buffer.byteLength(JSON.stringify(stored)) <= MOST_FAILURE_BYTES) return stored;
    const { m, s = '' } = stored;
    // A quarter at once, so that few rounds are needed.
    if (s.length > 0 && s.length >= m.length) stored.s = s.slice(0, Math.floor((s.length * 3) / 4));
    else if (m.length > 0) stored.m = m.slice(0, Math.floor((m.length * 3) / 4));
    else return { ...stored, t: '', f: '', r: undefined };
  }
}

/** Characters to take off the beginning of a log: an eighth of it, and one at least. */
function shorter(log: string): number {
  return Math.ceil(log.length / 8);
}

/** `undefined`: another version of Karin wrote it, and this one cannot read it. */
export function readFailure({ at, text }: KeptFailure): PastFailure | undefined {
  const parsed = Stored.safeParse(json(text));
  if (!parsed.success) return undefined;
  const { t, m, s, l, f, r, d, n } = parsed.data;
  return {
    at,
    errorType: t,
    message: m,
    ...(s === undefined ? {} : { trace: s }),
    ...(l === undefined ? {} : { logTail: l }),
    functionArn: f,
    ...(r === undefined ? {} : { requestId: r }),
    durationMs: d,
    attempt: n,
  };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
