/**
 * What both stores share: long calls in steps of a size that they can handle at once, what they demand of their
 * callers, and the ids of messages.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type {
  DelaySpan,
  DeleteReply,
  Depth,
  LeasedEntry,
  MessageName,
  NewEntry,
  ReceiveOptions,
  ReceiveReply,
  Restoration,
  StoredQueue,
} from './store.ts';
/**
 * One step of a receive. `takeFirst`: whether the first record is taken whatever its size; `maxMessages` is at most
 * `STEP`.
 */
export type ReceiveStep = (options: ReceiveOptions, takeFirst: boolean) => Promise<ReceiveReply>;

/**
 * Receives in as many steps as are worth while: a further one follows only a full one that left something due. There is
 * only one step if the messages are due again at once: a further step would receive them again.
 *
 * After several steps `nextDueInMs` may be the end of a lease of an earlier step; whoever wakes then finds out at the
 * cost of one call.
 */
export async function receiveInSteps(options: ReceiveOptions, step: ReceiveStep): Promise<ReceiveReply> {
  const first = await step({ ...options, maxMessages: Math.min(options.maxMessages, STEP) }, true);
  const leased: LeasedEntry[] = [...first.leased];
  let last = first;
  let bytesLeft = options.maxBytes - sizeOf(first.leased);
  while (
    options.leaseMs > 0 &&
    last.leased.length === STEP &&
    last.nextDueInMs === 0 &&
    leased.length < options.maxMessages &&
    bytesLeft > 0
  ) {
    const maxMessages = Math.min(options.maxMessages - leased.length, STEP);
    try {
      last = await step({ ...options, maxMessages, maxBytes: bytesLeft }, false);
    } catch {
      // What the earlier steps leased must not be lost; the next call meets the same fault and reports it.
      break;
    }
    leased.push(...last.leased);
    bytesLeft -= sizeOf(last.leased);
  }
  return { ...last, leased, total: first.total };
}

function sizeOf(entries: readonly LeasedEntry[]): number {
  return entries.reduce((sum, entry) => sum + entry.record.length, 0);
}

/** Settles leases `STEP` at a time; the outcomes are in the order of `items`. */
export async function settleInSteps<T>(
  items: readonly T[],
  step: (items: readonly T[]) => Promise<DeleteReply>,
): Promise<DeleteReply> {
  const outcomes: DeleteReply['outcomes'][number][] = [];
  let headLoweredToMs: number | undefined;
  let nextDueInMs: number | undefined;
  for (let from = 0; from < items.length; from += STEP) {
    const reply = await step(items.slice(from, from + STEP));
    outcomes.push(...reply.outcomes);
    nextDueInMs = reply.nextDueInMs;
    if (reply.headLoweredToMs !== undefined) {
      headLoweredToMs = Math.min(reply.headLoweredToMs, headLoweredToMs ?? Number.POSITIVE_INFINITY);
    }
  }
  return {
    outcomes,
    ...(headLoweredToMs === undefined ? {} : { headLoweredToMs }),
    ...(nextDueInMs === undefined ? {} : { nextDueInMs }),
  };
}

/*
 * What both stores demand of their callers. A breach is a fault of Karin's own code, not of a user: `RangeError`.
 */

/**
 * As many messages as one script handles at once: Lua passes on a few thousand values at most, and Redis serves nobody
 * else meanwhile.
 */
export const STEP = 500;

/** How many due messages of a standard queue are looked at to give message groups their turns. */
export const FAIR_LOOK_AHEAD = 200;

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Throws unless `entries` can be sent to `queue`. */
export function checkEntries(queue: StoredQueue, entries: readonly NewEntry[]): void {
  if (entries.length < 1 || entries.length > STEP) {
    throw new RangeError(`send takes 1 to ${STEP} messages, not ${entries.length}`);
  }
  for (const { id, group } of entries) {
    if (!UUID.test(id)) throw new RangeError(`a message id must be a UUID in lower case, not ${JSON.stringify(id)}`);
    if (queue.fifo && group === undefined)
      throw new RangeError(`a message for the FIFO queue ${queue.key} needs a group`);
    if (group === '' || group?.includes('\0') === true) {
      throw new RangeError('a message group must not be empty or contain a zero character');
    }
  }
}

/** Throws unless `maxMessages` is 1 or more. */
export function checkMaxMessages(maxMessages: number): void {
  if (!(maxMessages >= 1)) throw new RangeError(`receive takes 1 message or more, not ${maxMessages}`);
}

/** Throws unless `count` messages, whose failures are kept or read, are 1 to 500. */
export function checkFailures(count: number): void {
  if (count < 1 || count > STEP) throw new RangeError(`1 to ${STEP} failures can be named, not ${count}`);
}

/** Throws unless 1 to 500 messages are named, each once and by a UUID. */
export function checkNames(names: readonly MessageName[]): void {
  if (names.length < 1 || names.length > STEP) {
    throw new RangeError(`1 to ${STEP} messages can be named, not ${names.length}`);
  }
  if (new Set(names.map(({ id }) => id)).size < names.length) throw new RangeError('a message is named twice');
  for (const { id } of names) {
    if (!UUID.test(id)) throw new RangeError(`a message id must be a UUID in lower case, not ${JSON.stringify(id)}`);
  }
}

/** Throws unless `from` is 0 or more and `count` 1 to 500. */
export function checkScheduled(from: number, count: number): void {
  if (!(Number.isSafeInteger(from) && from >= 0)) throw new RangeError(`a place is 0 or more, not ${from}`);
  checkBrowse(count);
}

/** Throws unless `limit` is 1 to 500. */
export function checkBrowse(limit: number): void {
  if (!(limit >= 1 && limit <= STEP)) throw new RangeError(`1 to ${STEP} messages can be looked at, not ${limit}`);
}

/** Throws unless the messages can be put back into `queue`. */
export function checkRestoration(queue: StoredQueue, { source, entries }: Restoration): void {
  if (source === '') throw new RangeError('messages that are put back come from somewhere');
  if (entries.length === 0) return;
  checkEntries(
    queue,
    entries.map(({ id, record, group }) => ({ id, record, delayMs: 0, ...(group === undefined ? {} : { group }) })),
  );
  let before = 0;
  for (const { position, sequenceNumber } of entries) {
    if (!(Number.isSafeInteger(position) && position > before)) {
      throw new RangeError(`positions must grow from 1 on: ${position} comes after ${before}`);
    }
    before = position;
    if (queue.fifo && !/^\d{20}$/.test(sequenceNumber ?? '')) {
      throw new RangeError(`a message for the FIFO queue ${queue.key} needs its sequence number`);
    }
  }
}

/**
 * Throws unless a call about running delays makes sense: only those of standard queues are looked at one by one.
 * `count`: messages asked for or named.
 */
export function checkDelayed(queue: StoredQueue, count: number, span?: DelaySpan): void {
  if (queue.fifo) throw new RangeError(`the delays of the FIFO queue ${queue.key} are not looked at one by one`);
  if (count < 1 || count > STEP) throw new RangeError(`1 to ${STEP} delayed messages can be named, not ${count}`);
  if (span !== undefined && !(span.fromMs <= span.toMs)) {
    throw new RangeError(`a span of time must not end (${span.toMs} ms) before it begins (${span.fromMs} ms)`);
  }
}

/** Due times are whole milliseconds; a part of one counts as a whole, so that nothing comes early. */
export function wholeMs(ms: number): number {
  if (!(ms >= 0)) throw new RangeError(`a time from now must be 0 ms or more, not ${ms}`);
  return Math.ceil(ms);
}

/** A depth without the times around it. */
export function bareDepth({ visible, delayed, inFlight }: Depth): Depth {
  return { visible, delayed, inFlight };
}

/*
 * The ids that Karin gives to messages.
 *
 * To a caller they are random (version 4) UUIDs, as those of SQS. Their last eight digits are a checksum of the text
 * before, so that a store may keep twelve bytes and knows the rest. The 90 random bits that remain make two equal ids
 * among a million messages less likely than one in 10^15.
 */

/** The bytes of an id from which the others follow. */
export const MESSAGE_ID_HEAD_BYTES = 12;

/** The characters of an id from which the others follow. */
export const MESSAGE_ID_HEAD_CHARACTERS = 28;

/** The whole id that begins with these 28 characters. */
export function messageIdOf(head: string): string {
  return head + crc32(head).toString(16).padStart(8, '0');
}

/** Whether the end of an id follows from its beginning. */
export function isOwnMessageId(id: string): boolean {
  return crc32(id.slice(0, MESSAGE_ID_HEAD_CHARACTERS)) === Number.parseInt(id.slice(MESSAGE_ID_HEAD_CHARACTERS), 16);
}
