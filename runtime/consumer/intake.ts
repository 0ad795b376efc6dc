/**
 * What one receive brought, sorted into what is delivered and what is dealt with at once: filtered out, too large, or
 * part of a loop.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { type ReceivedMessage, TURNS_MEMBER } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import type { Randomness, Time } from '../time.ts';
import { type BatchRecord, type Sorted, sortReceived } from './batch.ts';
import type { ConsumerParts, ServedMapping } from './parts.ts';
import { type BatchName, releaseMessages, settle, warnOfStore } from './settlement.ts';

/** So many messages without a single match, and the filters are probably not what their author meant. */
const SUSPICIOUSLY_MANY_DROPPED = 20;

export interface IntakeOptions {
  readonly queue: Queue;
  readonly parts: ConsumerParts;
  /** Keeps a settlement that goes on by itself from being forgotten when the server stops. */
  readonly track: (work: Promise<void>) => void;
  /** The mapping cannot go on; `why` is for the operator. */
  readonly stopMapping: (why: string) => void;
}

export class Intake {
  readonly #options: IntakeOptions;
  readonly #guard = new LoopGuard();
  #dropped = 0;
  #filtersJudged = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** The filters were changed: they are judged anew. */
  filtersChanged(): void {
    this.#dropped = 0;
    this.#filtersJudged = false;
  }

  /** The operator has the mapping served again that had been stopped. */
  resumed(): void {
    this.#guard.allowMore();
  }

  /** Takes what a receive brought; answers what is to be delivered, in order. */
  take(messages: readonly ReceivedMessage[], served: ServedMapping, name: BatchName): readonly BatchRecord[] {
    const { queue, parts, stopMapping } = this.#options;
    // Whatever has no trace header was sent by nobody whose turns are counted.
    let isTraced = false;
    for (const { traceHeader } of messages) isTraced ||= traceHeader !== undefined;
    const wanted = isTraced ? this.#withoutLoops(messages, served, name) : messages;
    let sorted: Sorted;
    try {
      sorted = sortReceived(wanted, served.mapping, served.filter, queue.definition.fifo);
    } catch (error) {
      // A filter that fails on a message must neither drop nor deliver: the mapping stops, the messages are given back.
      const why = `its filters cannot be computed: ${error instanceof Error ? error.message : String(error)}`;
      stopMapping(why);
      this.#track(releaseMessages(queue, wanted, name, why, parts));
      return [];
    }

    if (sorted.filteredOut.length > 0) this.#deleteFilteredOut(sorted.filteredOut, name);
    for (const { message, reason, detail } of sorted.undeliverable) {
      parts.events.emit({
        kind: 'failed',
        ...name,
        messageIds: [message.id],
        reason,
        detail,
        durationMs: 0,
      });
    }
    if (sorted.withheld.length > 0) {
      this.#track(
        releaseMessages(queue, sorted.withheld, name, 'an earlier message of the group cannot be delivered', parts),
      );
    }
    if (!this.#filtersJudged)
      this.#judgeFilters(wanted.length - sorted.filteredOut.length, sorted.filteredOut.length, name);
    return sorted.records;
  }

  #deleteFilteredOut(messages: readonly ReceivedMessage[], name: BatchName): void {
    const { queue, parts } = this.#options;
    const until = Math.min(...messages.map((message) => message.leaseEndsAt));
    const work = async (): Promise<void> => {
      const { ids: messageIds } = await settle('delete', queue, messages, name, until, parts);
      if (messageIds.length > 0) parts.events.emit({ kind: 'filtered-out', ...name, messageIds });
    };
    this.#track(work());
  }

  #judgeFilters(matched: number, dropped: number, name: BatchName): void {
    if (matched > 0) {
      this.#filtersJudged = true;
      return;
    }
    this.#dropped += dropped;
    if (this.#dropped < SUSPICIOUSLY_MANY_DROPPED) return;
    this.#filtersJudged = true;
    this.#options.parts.events.emit({
      kind: 'warning',
      what: 'filters-drop-everything',
      mapping: name.mapping,
      queue: name.queue,
      detail:
        `all ${this.#dropped} messages so far matched no filter and were deleted; ` +
        'a pattern for the content of a message needs the level "body": {"body": {"key": ["value"]}}',
    });
  }

  /**
   * Reports loops and, unless it is not wanted, takes their messages out: to the dead-letter queue, where they can be
   * looked at. Nothing is dropped.
   */
  #withoutLoops(
    messages: readonly ReceivedMessage[],
    served: ServedMapping,
    name: BatchName,
  ): readonly ReceivedMessage[] {
    const { queue, parts, stopMapping } = this.#options;
    const looping = new Set(this.#guard.looping(messages, served.mapping.functionArn));
    if (looping.size === 0) return messages;
    for (const root of this.#guard.unreported([...looping])) {
      parts.events.emit({
        kind: 'warning',
        what: 'probable-loop',
        mapping: name.mapping,
        queue: name.queue,
        detail:
          `messages of the trace ${root} went through ${served.mapping.functionArn} ${MOST_TURNS} times or more; ` +
          'does the function send to the queue it is invoked from? If that is meant, set the tag karin:stop-loops=false',
      });
    }
    if (!served.tuning.stopLoops) return messages;

    if (!queue.hasDeadLetterQueue()) {
      const why = 'a loop, and its queue has no dead-letter queue to which the messages could go';
      stopMapping(why);
      this.#track(releaseMessages(queue, messages, name, why, parts));
      return [];
    }
    this.#track(
      queue.moveToDeadLetterQueue([...looping]).catch((error: unknown) => {
        warnOfStore(name, 'messages of a loop could not be moved, and wait out their lease', error, parts);
      }),
    );
    return messages.filter((message) => !looping.has(message));
  }

  #track(work: Promise<void>): void {
    this.#options.track(work);
  }
}

/*
 * Finds loops: a function that sends to the queue it is invoked from. Each turn of such a chain is counted, as Lambda
 * does; how fast messages come says nothing, because a producer may send many of one trace.
 *
 * How a chain is counted. The trace header of an Invoke reaches the function as `_X_AMZN_TRACE_ID`, and AWS SDKs inside
 * a function send it on with every request, so that it comes back here with the messages that the function sends. Karin
 * adds one member to it: `Karin=<function>:<turns>|...`, with eight hex digits for each function of the chain and how
 * often the chain has invoked it. Lambda's own member, `Lineage`, is carried on as well: where Lambda counts, it
 * refuses the seventeenth turn itself (`RecursiveInvocationException`).
 *
 * A batch has one Invoke and so one header. Its chain is as deep as that of its shallowest message: messages that are
 * sent anew never end as part of a loop because they came together with others. So a loop in a queue that is busy with
 * other messages is found later, or by Lambda. Messages of several traces begin a new one, which is sampled if one of
 * them is.
 *
 * Source: "Use Lambda recursive loop detection to prevent infinite loops"; the form of `Lineage` (`1:a793ea9a:0`,
 * formerly `a87bd80c:1|68fd508a:5`) is that of recorded headers.
 */

/** Turns after which a chain is a loop. Lambda: "approximately 16". */
export const MOST_TURNS = 16;
/** Functions of one chain that are counted; of more, those that were invoked last. */
const COUNTED_FUNCTIONS = 16;
/** Traces whose loops were reported; the oldest is forgotten. */
const REMEMBERED_ROOTS = 128;

export class LoopGuard {
  readonly #reported = new Set<string>();
  #mostTurns = MOST_TURNS;

  /** The messages that belong to loops through `functionArn`. */
  looping(messages: readonly ReceivedMessage[], functionArn: string): readonly ReceivedMessage[] {
    return messages.filter(({ traceHeader }) => {
      const members = membersOf(traceHeader);
      const turns = ownTurns(members).get(digestOf(functionArn)) ?? 0;
      return turns >= this.#mostTurns || lineageTurns(members.get('Lineage')) > this.#mostTurns;
    });
  }

  /** The traces of these messages, each once as long as it is remembered. */
  unreported(messages: readonly ReceivedMessage[]): readonly string[] {
    const found: string[] = [];
    for (const { traceHeader } of messages) {
      const root = membersOf(traceHeader).get('Root');
      if (root === undefined || this.#reported.has(root)) continue;
      this.#reported.add(root);
      found.push(root);
      for (const oldest of this.#reported) {
        if (this.#reported.size <= REMEMBERED_ROOTS) break;
        this.#reported.delete(oldest);
      }
    }
    return found;
  }

  /** The operator looked at it, and wants the messages delivered: chains may go on for as many turns again. */
  allowMore(): void {
    this.#mostTurns += MOST_TURNS;
  }
}

/** The trace header with which a batch of these messages is invoked. */
export function traceOfBatch(
  headers: readonly (string | undefined)[],
  functionArn: string,
  { time, randomness }: { readonly time: Time; readonly randomness: Randomness },
): string {
  if (headers.every((header) => header === undefined)) {
    return `Root=${newRoot(time, randomness)};${TURNS_MEMBER}=${digestOf(functionArn)}:1`;
  }
  const all = headers.map(membersOf);
  const traced = all.filter((members) => members.has('Root'));
  const roots = new Set(traced.map((members) => members.get('Root')));
  const first = roots.size === 1 ? traced[0] : undefined;
  const parent = first?.get('Parent');
  const sampled = first?.get('Sampled') ?? sampledOf(traced);
  const shallowest = all.reduce((least, members) =>
    lineageTurns(members.get('Lineage')) < lineageTurns(least.get('Lineage')) ? members : least,
  );
  const lineage = shallowest.get('Lineage');
  return [
    `Root=${first?.get('Root') ?? newRoot(time, randomness)}`,
    ...(parent === undefined ? [] : [`Parent=${parent}`]),
    ...(sampled === undefined ? [] : [`Sampled=${sampled}`]),
    ...(lineage === undefined ? [] : [`Lineage=${lineage}`]),
    `${TURNS_MEMBER}=${nextTurn(all.map(ownTurns), digestOf(functionArn))}`,
  ].join(';');
}

/** The counts of the shallowest message, with one turn more for the function. */
function nextTurn(counts: readonly ReadonlyMap<string, number>[], fn: string): string {
  const [first = new Map<string, number>(), ...rest] = counts;
  const turns = [...first].flatMap(([other, count]): [string, number][] => {
    const least = rest.reduce((lowest, each) => Math.min(lowest, each.get(other) ?? 0), count);
    return least === 0 || other === fn ? [] : [[other, least]];
  });
  const own = Math.min(...counts.map((each) => each.get(fn) ?? 0)) + 1;
  const kept: [string, number][] = [[fn, own], ...turns.slice(0, COUNTED_FUNCTIONS - 1)];
  return kept.map(([each, count]) => `${each}:${count}`).join('|');
}

/** What the messages of several traces say together; `undefined`: nothing, so that Lambda decides. */
function sampledOf(traced: readonly ReadonlyMap<string, string>[]): string | undefined {
  if (traced.some((members) => members.get('Sampled') === '1')) return '1';
  return traced.length > 0 && traced.every((members) => members.get('Sampled') === '0') ? '0' : undefined;
}

/** The members of a trace header; what is no name and value of a sensible length is left out. */
export function membersOf(header: string | undefined): ReadonlyMap<string, string> {
  const members = new Map<string, string>();
  for (const part of header?.split(';', 32) ?? []) {
    const [, name, value] = /^\s*([A-Za-z]{1,16})=([\x21-\x3a\x3c-\x7e]{1,256})\s*$/.exec(part) ?? [];
    if (name !== undefined && value !== undefined) members.set(name, value);
  }
  return members;
}

/**
 * The id of a trace as OpenTelemetry writes it, of a header of X-Ray: `1-5759e988-bd862e3fe1be46a994272793` is
 * `5759e988bd862e3fe1be46a994272793`. Source: X-Ray, "Trace ID".
 */
export function traceIdOf(header: string | undefined): string | undefined {
  const [, seconds, rest] = /^1-([0-9a-f]{8})-([0-9a-f]{24})$/i.exec(membersOf(header).get('Root') ?? '') ?? [];
  const id = `${seconds}${rest}`.toLowerCase();
  return seconds === undefined || /^0+$/.test(id) ? undefined : id;
}

function ownTurns(members: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const turns = new Map<string, number>();
  for (const entry of members.get(TURNS_MEMBER)?.split('|', COUNTED_FUNCTIONS) ?? []) {
    const [, fn, count] = /^([0-9a-f]{8}):(\d{1,4})$/.exec(entry) ?? [];
    if (fn !== undefined) turns.set(fn, Number(count));
  }
  return turns;
}

/** The highest count of a `Lineage`, which is the last number of each of its entries; 0: there is none. */
function lineageTurns(lineage: string | undefined): number {
  const counts = lineage?.split('|').map((entry) => Number(/:(\d{1,6})$/.exec(entry)?.[1] ?? 0)) ?? [];
  return Math.max(0, ...counts);
}

/** Aliases and versions of a function are one function. */
function digestOf(functionArn: string): string {
  const unqualified = functionArn.split(':').slice(0, 7).join(':');
  return createHash('sha256').update(unqualified).digest('hex').slice(0, 8);
}

/** `1-<seconds, hex>-<96 random bits, hex>`. Source: X-Ray, "Trace ID". */
function newRoot(time: Time, randomness: Randomness): string {
  const seconds = Math.floor(time.now() / 1_000).toString(16);
  return `1-${seconds.padStart(8, '0')}-${randomness.uuid().replaceAll('-', '').slice(0, 24)}`;
}
