/**
 * Dead letters by why they failed: a thousand messages are usually a few errors.
 *
 * Two failures are of one group if their error types are equal, and their messages once what differs from message to
 * message is left out: ids, numbers, times, addresses. Messages of which no failure is kept are one group of their own:
 * they were received through the SQS API, or their failures were pushed out by later ones.
 *
 * The scan reads names and kept failures, never a record, so that it is cheap whatever the messages are like: a few
 * commands for a thousand. It ends after a bound of messages and says so.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { MessageName } from '../store/store.ts';
import { type PastFailure, readFailure } from './failure.ts';
import type { WatchedStore } from './watched-store.ts';

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
