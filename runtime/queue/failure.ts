/**
 * Why a message failed last: kept beside the message, for people. The handler never gets it, and no log says it,
 * because what a function says of its failure may quote a body.
 *
 * It moves into the dead-letter queue with its message. A redrive begins a new life, without it.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import type { KeptFailure, MessageName, NewFailure } from '../store/store.ts';
import type { WatchedStore } from './watched-store.ts';

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

/*
 * Dead letters by why they failed: a thousand messages are usually a few errors.
 *
 * Two failures are of one group if their error types are equal, and their messages once what differs from message to
 * message is left out: ids, numbers, times, addresses. Messages of which no failure is kept are one group of their own:
 * they were received through the SQS API, or their failures were pushed out by later ones.
 *
 * The scan reads names and kept failures, never a record, so that it is cheap whatever the messages are like: a few
 * commands for a thousand. It ends after a bound of messages and says so.
 */

/** Messages that one scan looks at. */
const MOST_SCANNED = 10_000;
/** Names for which one call asks. */
const PART = 500;
/** Calls for names that one scan makes at most: parts may be empty. */
const MOST_PARTS = 200;
/** Characters of a message that tell groups apart. */
const LONGEST_MESSAGE = 200;
/** The group of messages without a kept failure. */
export const NO_FAILURE = 'none';

interface FailureGroup {
  /** The same for the same error, in every queue: 10 hexadecimal digits, or `NO_FAILURE`. */
  readonly id: string;
  /** What its failures have in common; absent: none is kept. */
  readonly error?: { readonly type: string; readonly message: string };
  /** Those that failed last come first. */
  readonly messages: readonly MessageName[];
  readonly functionArns: readonly string[];
  /** When its failures were kept, epoch ms by the store's clock; absent: none is. */
  readonly firstAt?: number;
  readonly lastAt?: number;
}

export interface FailureScan {
  /** The largest first; the one without failures last. */
  readonly groups: readonly FailureGroup[];
  /** Messages that were looked at. */
  readonly looked: number;
  /** There are more messages than were looked at. */
  readonly more: boolean;
}

/** Errors: `StoreUnavailableError`. */
export async function groupFailures(store: WatchedStore, most: number = MOST_SCANNED): Promise<FailureScan> {
  const names = new Map<string, MessageName>();
  const failures = new Map<string, PastFailure>();
  let cursor: string | undefined;
  let parts = 0;
  let cut = false;
  do {
    const part = await store.named.names(PART, cursor);
    const unseen = part.names.filter(({ id }) => !names.has(id));
    const fresh = unseen.slice(0, most - names.size);
    cut = fresh.length < unseen.length;
    for (const name of fresh) names.set(name.id, name);
    // A part may be larger than was asked for.
    for (let from = 0; from < fresh.length; from += PART) {
      const ids = fresh.slice(from, from + PART).map(({ id }) => id);
      for (const [id, kept] of await store.failures(ids)) {
        const failure = readFailure(kept);
        if (failure !== undefined) failures.set(id, failure);
      }
    }
    cursor = part.cursor;
    parts += 1;
  } while (cursor !== undefined && names.size < most && parts < MOST_PARTS);
  return { groups: grouped([...names.values()], failures), looked: names.size, more: cut || cursor !== undefined };
}

function grouped(names: readonly MessageName[], failures: ReadonlyMap<string, PastFailure>): readonly FailureGroup[] {
  const byId = new Map<string, MessageName[]>();
  const groupOf = new Map<string, string>();
  for (const { errorType, message } of failures.values()) {
    const text = keyText(errorType, message);
    if (!groupOf.has(text)) groupOf.set(text, createHash('sha256').update(text).digest('hex').slice(0, 10));
  }
  const failedAt = ({ id }: MessageName): number => failures.get(id)?.at ?? 0;
  for (const name of [...names].sort((a, b) => failedAt(b) - failedAt(a) || (a.id < b.id ? -1 : 1))) {
    const failure = failures.get(name.id);
    const text = failure === undefined ? undefined : keyText(failure.errorType, failure.message);
    const id = (text === undefined ? undefined : groupOf.get(text)) ?? NO_FAILURE;
    const members = byId.get(id) ?? [];
    members.push(name);
    byId.set(id, members);
  }
  const groups = [...byId].map(([id, messages]) => describe(id, messages, failures));
  const weight = ({ id, messages }: FailureGroup): number => (id === NO_FAILURE ? 0 : messages.length);
  return groups.sort((a, b) => weight(b) - weight(a) || (a.id < b.id ? -1 : 1));
}

/** `messages`: the latest first. */
function describe(
  id: string,
  messages: readonly MessageName[],
  failures: ReadonlyMap<string, PastFailure>,
): FailureGroup {
  const [last, first] = [messages[0], messages.at(-1)].map((name) => failures.get(name?.id ?? ''));
  if (last === undefined || first === undefined) return { id, messages, functionArns: [] };
  const functionArns = new Set(messages.flatMap((name) => failures.get(name.id)?.functionArn ?? []));
  return {
    ...{ id, messages, functionArns: [...functionArns] },
    error: { type: last.errorType, message: normalised(last.message) },
    ...{ firstAt: first.at, lastAt: last.at },
  };
}

function keyText(errorType: string, message: string): string {
  return `${errorType}\n${normalised(message)}`;
}

/**
 * What differs from message to message, in the order in which it is looked for: a time contains numbers, and an id may
 * look like one.
 */
const VARYING: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?/g, '<time>'],
  [/[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}/g, '<address>'],
  // A word of letters and digits is an id if it is long or has several digits; `utf8`, `v2` and `Http404` are names.
  [/\b(?=[a-z_-]*\d)[\w-]{16,}\b/gi, '<id>'],
  [/\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b/gi, '<id>'],
  [/(?<![\w.])-?\d+(?:[.,:]\d+)*/g, '<n>'],
  [/(?<=_)\d+\b/g, '<n>'],
];

/** A message of an error without what differs from message to message, on one line. */
export function normalised(message: string): string {
  const line = message.replaceAll(/\s+/g, ' ').trim();
  return VARYING.reduce((text, [what, sign]) => text.replaceAll(what, sign), line).slice(0, LONGEST_MESSAGE);
}
