/**
 * What one receive brought, sorted into what is delivered and what is dealt with at once: filtered out, too large, or part of a loop.
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { type BatchRecord, sortReceived } from './batch.ts';
import { LoopGuard, MOST_TURNS } from './loop-guard.ts';
import type { ConsumerParts, ServedMapping } from './parts.ts';
import { type BatchName, deleteMessages, releaseMessages, warnOfStore } from './settlement.ts';

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
    const { queue, parts } = this.#options;
    const wanted = this.#withoutLoops(messages, served, name);
    const sorted = this.#sort(wanted, served, name);
    if (sorted === undefined) return [];

    this.#deleteFilteredOut(sorted.filteredOut, name);
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
    this.#judgeFilters(wanted.length - sorted.filteredOut.length, sorted.filteredOut.length, name);
    return sorted.records;
  }

  /** A filter that fails on a message must neither drop nor deliver: the mapping stops, the messages are given back. */
  #sort(messages: readonly ReceivedMessage[], served: ServedMapping, name: BatchName) {
    const { queue, parts, stopMapping } = this.#options;
    try {
      return sortReceived(messages, served.mapping, served.filter, queue.definition.fifo);
    } catch (error) {
      const why = `its filters cannot be computed: ${error instanceof Error ? error.message : String(error)}`;
      stopMapping(why);
      this.#track(releaseMessages(queue, messages, name, why, parts));
      return undefined;
    }
  }

  #deleteFilteredOut(messages: readonly ReceivedMessage[], name: BatchName): void {
    if (messages.length === 0) return;
    const { queue, parts } = this.#options;
    const until = Math.min(...messages.map((message) => message.leaseEndsAt));
    const work = async (): Promise<void> => {
      const messageIds = await deleteMessages(queue, messages, name, until, parts);
      if (messageIds.length > 0) parts.events.emit({ kind: 'filtered-out', ...name, messageIds });
    };
    this.#track(work());
  }

  #judgeFilters(matched: number, dropped: number, name: BatchName): void {
    if (this.#filtersJudged) return;
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

  /** Reports loops and, unless it is not wanted, takes their messages out: to the dead-letter queue, where they can be looked at. Nothing is dropped. */
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
