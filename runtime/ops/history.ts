/**
 * What happened on each queue in the last 24 hours, minute by minute, for charts and for those who come the day after.
 *
 * Where it is. One document for each queue, `history:<key>`, in the store, so that it survives a restart and all
 * servers write into the same. This process keeps only what is not written yet. A queue on which something happened is
 * written five minutes later, and at the end of the process; a queue on which nothing happens is never written. So an
 * idle server stays idle, a busy queue costs about five commands in five minutes, and a killed process loses five
 * minutes of a chart.
 *
 * A write reads the document, adds what happened since, drops what is older than a day, and puts it back only if nobody
 * changed it meanwhile; otherwise it tries again. Invariant: each event is added exactly once, because what was taken
 * for a write goes back to the unwritten if the write fails.
 *
 * What was done on the queue, in sentences, stands beside the counts: its own last 30, so that no other queue's noise
 * pushes them out.
 *
 * Size. Counts stand in minutes (up to 9 bytes for each minute in which something happened), durations in quarters of
 * an hour and buckets of a factor of 1.41. A document never exceeds 16 KB: beyond that the oldest minutes go.
 *
 * @module
 */
import * as z from 'zod/mini';
import type { EventBus } from '../consumer/events.ts';
import type { Log } from '../log.ts';
import type { Documents, QueueKey, Signal } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';

/** Messages of one minute, by what happened to them, in the order of a document. */
const COUNTS = ['sent', 'handled', 'failed', 'deadLettered', 'throttled'] as const;
type CountName = (typeof COUNTS)[number];
type Counts = Record<CountName, number>;

const MINUTE_MS = 60_000;
const KEPT_MINUTES = 1_440;
const QUARTER_MINUTES = 15;
/** From something happening on a queue to its document being written. */
const WRITE_MS = 300_000;
/** Documents are kept in memory for so long after the last look. */
const FORGET_MS = 120_000;
const LARGEST_DOCUMENT = 16_384;
/** Queues of which something unwritten is kept; beyond that the counts of further queues are not kept. */
const MOST_QUEUES = 10_000;
const KEPT_EVENTS = 30;
const LONGEST_TEXT = 200;
/** Attempts to write a document that others write at the same time. */
const ATTEMPTS = 5;
export const HISTORY_PREFIX = 'history:';

type Buckets = ReadonlyMap<number, ReadonlyMap<number, number>>;

/** Of one queue; minutes and quarters since the epoch, ascending, those without an event left out. */
export interface QueueHistory {
  readonly minutes: ReadonlyMap<number, Readonly<Counts>>;
  /** How long Invokes took: how many fell into each bucket, by quarter of an hour. */
  readonly durations: Buckets;
  /** How old messages were when a function was first shown them, likewise. */
  readonly ages: Buckets;
  /** The last things that happened, newest last. */
  readonly events: readonly HistoryEvent[];
}

/** A sentence about the queue; the same as in the activity of the server. */
export interface HistoryEvent {
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number;
  readonly level: 'info' | 'good' | 'bad';
  readonly text: string;
}

interface Unwritten {
  readonly minutes: Map<number, Counts>;
  readonly durations: Map<number, Map<number, number>>;
  readonly ages: Map<number, Map<number, number>>;
  readonly events: HistoryEvent[];
  readonly cancel: Cancel;
}

export interface History {
  /** Something happened that people read. */
  noted(queue: QueueKey, event: HistoryEvent): void;
  /**
   * Messages are being stored: `take` answers how many since it was last called. It is called at the end of the minute,
   * and whenever somebody looks.
   */
  sending(queue: QueueKey, take: () => number): void;
  /**
   * Of these queues, what is not written yet included. The first look reads all documents, later ones only those that
   * somebody wrote since. Errors: `StoreUnavailableError`.
   */
  read(queues: readonly QueueKey[]): Promise<ReadonlyMap<QueueKey, QueueHistory>>;
  /** To be called with every signal of the store. */
  heard(signal: Signal): void;
  /** The queue is gone, and its history with it. Never rejects. */
  forget(queue: QueueKey): Promise<void>;
  /** Writes what is unwritten. Never rejects. */
  close(): Promise<void>;
}

export interface HistoryParts {
  readonly documents: Documents;
  readonly bus: EventBus;
  readonly time: Time;
  readonly log: Log;
}

export function createHistory({ documents, bus, time, log }: HistoryParts): History {
  const unwritten = new Map<QueueKey, Unwritten>();
  /** The documents, for those who look; `undefined`: nobody has looked for a while. */
  let seen: Map<QueueKey, string> | undefined;
  const stale = new Set<QueueKey>();
  let unseen: Cancel = () => {};

  const of = (queue: QueueKey): Unwritten | undefined => {
    const present = unwritten.get(queue);
    if (present !== undefined || unwritten.size >= MOST_QUEUES) return present;
    const begun = {
      ...{ minutes: new Map(), durations: new Map(), ages: new Map(), events: [] },
      cancel: time.after(WRITE_MS, () => void write(queue)),
    };
    unwritten.set(queue, begun);
    return begun;
  };
  const count = (
    queue: QueueKey,
    name: CountName,
    by: number,
    minute: number = Math.floor(time.now() / MINUTE_MS),
  ): void => {
    const counts = of(queue)?.minutes;
    if (counts === undefined || by === 0) return;
    const present = counts.get(minute) ?? nothing();
    present[name] += by;
    counts.set(minute, present);
  };
  /** Those of one minute that are still being counted, by queue. */
  const counting = new Map<QueueKey, { readonly collect: () => void; readonly cancel: Cancel }>();
  const collect = (queue: QueueKey): void => counting.get(queue)?.collect();
  const sending = (queue: QueueKey, take: () => number): void => {
    collect(queue);
    const now = time.now();
    const own = {
      collect: () => {
        own.cancel();
        counting.delete(queue);
        count(queue, 'sent', take(), Math.floor(now / MINUTE_MS));
      },
      cancel: time.after(MINUTE_MS - (now % MINUTE_MS), () => own.collect()),
    };
    counting.set(queue, own);
    // From now on it is written in time.
    of(queue);
  };
  const measured = (queue: QueueKey, what: 'durations' | 'ages', ms: number): void => {
    const quarters = of(queue)?.[what];
    if (quarters === undefined) return;
    const quarter = Math.floor(time.now() / MINUTE_MS / QUARTER_MINUTES);
    const buckets = quarters.get(quarter) ?? new Map<number, number>();
    // Two buckets for each doubling, from 1 ms on.
    const bucket = Math.round(2 * Math.log2(Math.max(1, ms)));
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
    quarters.set(quarter, buckets);
  };

  const unsubscribe = bus.subscribe((event) => {
    switch (event.kind) {
      case 'succeeded':
        count(event.queue, 'failed', event.failedIds.length);
        break;
      case 'failed':
        count(event.queue, 'failed', event.messageIds.length);
        break;
      case 'invoked':
        for (const ageMs of event.agesMs) measured(event.queue, 'ages', ageMs);
        break;
      case 'answered':
        measured(event.queue, 'durations', event.durationMs);
        break;
      case 'deleted':
        count(event.queue, 'handled', event.messageIds.length);
        break;
      case 'dead-lettered':
        count(event.queue, 'deadLettered', event.messageIds.length);
        break;
      case 'retrying':
        count(event.queue, 'throttled', event.messageIds.length);
        break;
    }
  });

  const write = async (queue: QueueKey): Promise<void> => {
    collect(queue);
    const taken = unwritten.get(queue);
    if (taken === undefined) return;
    taken.cancel();
    unwritten.delete(queue);
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const text = await documents.get(HISTORY_PREFIX + queue);
        const merged = merge(text === undefined ? NOTHING : readHistory(text), taken, time.now());
        if (await documents.put(HISTORY_PREFIX + queue, writeHistory(merged), text ?? null)) return;
      }
      throw new Error('other servers wrote it each time');
    } catch (error) {
      log.debug({ err: error, queue }, 'the history of a queue could not be written; it is tried again');
      const since = of(queue);
      if (since === undefined) return;
      for (const [minute, counts] of taken.minutes) since.minutes.set(minute, sum(since.minutes.get(minute), counts));
      for (const what of ['durations', 'ages'] as const) {
        for (const [at, buckets] of taken[what]) since[what].set(at, sumOf(since[what].get(at), buckets));
      }
      since.events.unshift(...taken.events);
      since.events.splice(0, since.events.length - KEPT_EVENTS);
    }
  };

  return {
    noted: (queue, { at, level, text }) => {
      const events = of(queue)?.events;
      if (events === undefined) return;
      events.push({ at, level, text: text.slice(0, LONGEST_TEXT) });
      if (events.length > KEPT_EVENTS) events.shift();
    },
    sending,
    read: async (queues) => {
      unseen();
      unseen = time.after(FORGET_MS, () => {
        seen = undefined;
      });
      if (seen === undefined) {
        stale.clear();
        const all = new Map<QueueKey, string>();
        for await (const [name, text] of documents.each(HISTORY_PREFIX)) {
          all.set(name.slice(HISTORY_PREFIX.length), text);
        }
        seen = all;
      }
      const known = seen;
      const renewed = queues.filter((queue) => stale.has(queue));
      await Promise.all(
        renewed.map(async (queue) => {
          stale.delete(queue);
          const text = await documents.get(HISTORY_PREFIX + queue);
          if (text === undefined) known.delete(queue);
          else known.set(queue, text);
        }),
      );
      return new Map(
        queues.map((queue) => {
          collect(queue);
          const text = known.get(queue);
          const written = text === undefined ? NOTHING : readHistory(text);
          return [queue, merge(written, unwritten.get(queue) ?? NOTHING, time.now())];
        }),
      );
    },
    heard: (signal) => {
      if (signal.kind === 'document' && signal.name.startsWith(HISTORY_PREFIX)) {
        stale.add(signal.name.slice(HISTORY_PREFIX.length));
      }
      if (signal.kind === 'gap' || signal.kind === 'emptied') seen = undefined;
    },
    forget: async (queue) => {
      collect(queue);
      unwritten.get(queue)?.cancel();
      unwritten.delete(queue);
      seen?.delete(queue);
      await documents.remove(HISTORY_PREFIX + queue).catch((error: unknown) => {
        log.debug({ err: error, queue }, 'the history of a removed queue could not be removed');
      });
    },
    close: async () => {
      unsubscribe();
      unseen();
      await Promise.all([...unwritten.keys()].map(write));
      for (const { cancel } of counting.values()) cancel();
      for (const { cancel } of unwritten.values()) cancel();
      unwritten.clear();
    },
  };
}

const NOTHING: QueueHistory = { minutes: new Map(), durations: new Map(), ages: new Map(), events: [] };

/** The newest of them, in the order in which they happened. */
function lastOf(events: readonly HistoryEvent[]): readonly HistoryEvent[] {
  return events.toSorted((a, b) => a.at - b.at).slice(-KEPT_EVENTS);
}

function nothing(): Counts {
  return { sent: 0, handled: 0, failed: 0, deadLettered: 0, throttled: 0 };
}

function sum(a: Readonly<Counts> | undefined, b: Readonly<Counts>): Counts {
  const both = nothing();
  for (const name of COUNTS) both[name] = (a?.[name] ?? 0) + b[name];
  return both;
}

function sumOf(a: ReadonlyMap<number, number> | undefined, b: ReadonlyMap<number, number>): Map<number, number> {
  const both = new Map(a);
  for (const [bucket, many] of b) both.set(bucket, (both.get(bucket) ?? 0) + many);
  return both;
}

/** Both together, without what is older than a day. */
function merge(a: QueueHistory, b: QueueHistory, now: number): QueueHistory {
  const oldest = Math.floor(now / MINUTE_MS) - KEPT_MINUTES;
  const minutes = new Map<number, Counts>();
  for (const [minute, counts] of [...a.minutes, ...b.minutes]) {
    if (minute > oldest) minutes.set(minute, sum(minutes.get(minute), counts));
  }
  const both = (what: 'durations' | 'ages'): Buckets => {
    const quarters = new Map<number, Map<number, number>>();
    for (const [quarter, buckets] of [...a[what], ...b[what]]) {
      if ((quarter + 1) * QUARTER_MINUTES > oldest) quarters.set(quarter, sumOf(quarters.get(quarter), buckets));
    }
    return quarters;
  };
  return { minutes, durations: both('durations'), ages: both('ages'), events: lastOf([...a.events, ...b.events]) };
}

/** The time, ms, below which a share of what was measured stayed; `undefined`: nothing was. Exact to a fifth. */
export function percentile(measured: Buckets, share: number): number | undefined {
  let all: ReadonlyMap<number, number> = new Map();
  for (const buckets of measured.values()) all = sumOf(all, buckets);
  const total = [...all.values()].reduce((sum, many) => sum + many, 0);
  let below = 0;
  for (const [bucket, many] of [...all].sort(([a], [b]) => a - b)) {
    below += many;
    if (below >= share * total) return 2 ** (bucket / 2);
  }
  return undefined;
}

/** Sums of the last `minutes` minutes in `bars` bars, the oldest first. */
export function bars(history: QueueHistory, now: number, minutes: number, bars: number): readonly Readonly<Counts>[] {
  const end = Math.floor(now / MINUTE_MS) + 1;
  const perBar = minutes / bars;
  const sums = Array.from({ length: bars }, nothing);
  for (const [minute, counts] of history.minutes) {
    const bar = Math.floor((minute - (end - minutes)) / perBar);
    const present = sums[bar];
    if (present !== undefined) sums[bar] = sum(present, counts);
  }
  return sums;
}

/*
 * The document: JSON with two series of variable-length numbers in base64. Each entry begins with its distance from the
 * one before.
 */

const document = z.object({
  v: z.literal(1),
  minutes: z.string(),
  durations: z.string(),
  ages: z.string(),
  events: z.array(z.object({ at: z.number(), level: z.enum(['info', 'good', 'bad']), text: z.string() })),
});

/** Errors: `SyntaxError`, `TypeError` if it is none. */
export function readHistory(text: string): QueueHistory {
  const { minutes: minuteText, durations, ages, events } = document.parse(JSON.parse(text));
  const minutes = new Map<number, Counts>();
  const numbers = readNumbers(minuteText);
  let at = 0;
  for (let next = numbers(); next !== undefined; next = numbers()) {
    at += next;
    const counts = nothing();
    for (const name of COUNTS) counts[name] = numbers() ?? 0;
    minutes.set(at, counts);
  }
  return { minutes, durations: readBuckets(durations), ages: readBuckets(ages), events };
}

function readBuckets(text: string): Buckets {
  const quarters = new Map<number, Map<number, number>>();
  const numbers = readNumbers(text);
  let at = 0;
  for (let next = numbers(); next !== undefined; next = numbers()) {
    at += next;
    const buckets = new Map<number, number>();
    for (let left = numbers() ?? 0; left > 0; left -= 1) buckets.set(numbers() ?? 0, numbers() ?? 0);
    quarters.set(at, buckets);
  }
  return quarters;
}

function writeBuckets(measured: Buckets): string {
  let before = 0;
  const quarters = [...measured].sort(([a], [b]) => a - b);
  return writeNumbers(
    quarters.flatMap(([quarter, buckets]) => {
      const distance = quarter - before;
      before = quarter;
      return [distance, buckets.size, ...[...buckets].flat()];
    }),
  );
}

function writeHistory(history: QueueHistory): string {
  let minutes = [...history.minutes].sort(([a], [b]) => a - b);
  for (;;) {
    let before = 0;
    const minuteNumbers = minutes.flatMap(([minute, counts]) => {
      const distance = minute - before;
      before = minute;
      return [distance, ...COUNTS.map((name) => counts[name])];
    });
    const text = JSON.stringify({
      v: 1,
      minutes: writeNumbers(minuteNumbers),
      durations: writeBuckets(history.durations),
      ages: writeBuckets(history.ages),
      events: history.events,
    });
    if (text.length <= LARGEST_DOCUMENT || minutes.length === 0) return text;
    minutes = minutes.slice(Math.ceil(minutes.length / 10));
  }
}

/** Seven bits in each byte, the lowest first; the highest bit says that more follow. */
function writeNumbers(numbers: readonly number[]): string {
  const bytes: number[] = [];
  for (const number of numbers) {
    let left = number;
    while (left > 127) {
      bytes.push((left % 128) + 128);
      left = Math.floor(left / 128);
    }
    bytes.push(left);
  }
  return Buffer.from(bytes).toString('base64');
}

/** Gives one number at each call, and then `undefined`. */
function readNumbers(text: string): () => number | undefined {
  const bytes = Buffer.from(text, 'base64');
  let at = 0;
  return () => {
    if (at >= bytes.length) return undefined;
    let number = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++] ?? 0;
      number += (byte % 128) * factor;
      if (byte < 128) return number;
      if (factor > 2 ** 42) throw new TypeError('it holds a number that is too large');
    }
  };
}
