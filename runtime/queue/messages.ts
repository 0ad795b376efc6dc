/**
 * Single messages of a queue, as people look at them and act on them.
 *
 * Looking receives nothing: nothing is leased, counted or moved, so that looking at a dead letter does not change it.
 *
 * Acting never takes a message from a handler. A message in flight is left alone, unless its last delivery has failed:
 * then it only waits for the end of its lease, which is what a person wants to cut short. That a delivery has failed is
 * known from the failure kept with the message, whose attempt is the receive count. If the message is received again
 * meanwhile, its count is another one, and the store refuses. One failure is no proof: where the connection to Lambda
 * was lost the function may still be running, so such a message stays in flight.
 *
 * A move takes a lease first, stores the copy, and then deletes, so a server that dies on the way leaves two copies at
 * worst, never none.
 *
 * @module
 */
import type { FoundEntry, FreeMessage, Lease, MessageName, NamedOutcome, NamedReply } from '../store/store.ts';
import type { Randomness } from '../time.ts';
import { type FailureScan, groupFailures, type PastFailure, readFailure } from './failure.ts';
import { type Message, newMessageId, withoutTurns } from './message.ts';
import type {
  BrowsedMessage,
  DeadLetterTarget,
  FoundMessage,
  MovedMessage,
  QueueMessages,
  ScheduledMessages,
  SearchBounds,
  SearchHit,
  SearchReply,
} from './queue.ts';
import { decodeRecord, encodeRecord, RecordError } from './record.ts';
import type { WatchedStore } from './watched-store.ts';

/** Bytes of records that one look reads: a small machine holds them several times while a page is made of them. */
const MAX_BYTES = 2_097_152;
/** Messages that one call to the store names. */
const MOST_NAMES = 500;
/** Length of the lease of a move, ms. */
const MOVE_LEASE_MS = 30_000;

/** The first messages, at most `limit` (1 to 500) and `maxBytes` of records. Errors: `StoreUnavailableError`. */
export async function browse(
  store: WatchedStore,
  limit: number,
  maxBytes: number = MAX_BYTES,
): Promise<readonly BrowsedMessage[]> {
  const entries = await store.browse({ limit, maxBytes: Math.min(maxBytes, MAX_BYTES) });
  return withContent(store, entries);
}

/** Whether a message in flight only waits for the end of a lease whose delivery has failed. */
export function isGivenUp({ state, receiveCount, failure }: FoundMessage): boolean {
  return state === 'in-flight' && failure?.attempt === receiveCount && failure.errorType !== 'connection-lost';
}

interface StoredMessagesParts {
  readonly fifo: boolean;
  readonly store: WatchedStore;
  readonly randomness: Randomness;
  /** The queue with this ARN, if it exists here and is of the same type. */
  readonly findQueue: (arn: string) => DeadLetterTarget | undefined;
}

export class StoredMessages implements QueueMessages {
  readonly #parts: StoredMessagesParts;

  constructor(parts: StoredMessagesParts) {
    this.#parts = parts;
  }

  async find(names: readonly MessageName[]): Promise<readonly FoundMessage[]> {
    return names.length === 0 ? [] : (await this.#look(names.slice(0, MOST_NAMES))).found;
  }

  delete(names: readonly MessageName[]): Promise<readonly NamedOutcome[]> {
    return this.#act(names, (free) => this.#parts.store.named.delete(free));
  }

  retryNow(names: readonly MessageName[]): Promise<readonly NamedOutcome[]> {
    return this.#act(names, (free) => this.#parts.store.named.makeDue(free));
  }

  async move(names: readonly MessageName[], targetArn: string): Promise<readonly MovedMessage[] | 'no-such-queue'> {
    const target = this.#parts.findQueue(targetArn);
    if (target === undefined) return 'no-such-queue';
    const moved = new Map<string, MovedMessage>();
    for await (const found of this.#inParts(names)) {
      for (const [id, outcome] of await this.#movePart(found, target)) moved.set(id, outcome);
    }
    return names.map(({ id }) => moved.get(id) ?? { outcome: 'missing' });
  }

  groups(): Promise<FailureScan> {
    return groupFailures(this.#parts.store);
  }

  async scheduled(from: number, count: number): Promise<ScheduledMessages> {
    const { scheduled, total } = await this.#parts.store.named.scheduled(from, count);
    const found = new Map((await this.find(scheduled)).map((message) => [message.id, message]));
    const messages = scheduled.map((one) => {
      const message = found.get(one.id);
      return message === undefined ? one : { ...one, found: message };
    });
    return { messages, total };
  }

  search(text: string, bounds: SearchBounds, cursor?: string): Promise<SearchReply> {
    return search(this.#parts.store, text, bounds, cursor);
  }

  async #act(
    names: readonly MessageName[],
    call: (free: readonly FreeMessage[]) => Promise<NamedReply>,
  ): Promise<readonly NamedOutcome[]> {
    const outcomes = new Map<string, NamedOutcome>();
    for await (const found of this.#inParts(names)) {
      const free = found.map(freeMessage);
      const reply = await call(free);
      for (const [at, { id }] of free.entries()) outcomes.set(id, reply.outcomes[at] ?? 'missing');
    }
    return names.map(({ id }) => outcomes.get(id) ?? 'missing');
  }

  /** Those that are there, with their places, as many at a time as one look reads. */
  async *#inParts(names: readonly MessageName[]): AsyncIterable<readonly FoundMessage[]> {
    for (let rest = names; rest.length > 0; ) {
      const { found, looked } = await this.#look(rest.slice(0, MOST_NAMES));
      if (found.length > 0) yield found;
      rest = rest.slice(looked);
    }
  }

  /** A message whose group was not named is looked up once more, with the group that its record tells. */
  async #look(names: readonly MessageName[]) {
    const { store } = this.#parts;
    const { found, looked } = await store.named.lookUp(names, MAX_BYTES);
    const grouped = found.flatMap((entry): MessageName[] => {
      const group = entry.state === undefined ? contentOf(entry)?.groupId : undefined;
      return group === undefined ? [] : [{ id: entry.id, group }];
    });
    const placed = new Map<string, FoundEntry>();
    if (grouped.length > 0) {
      for (const entry of (await store.named.lookUp(grouped, MAX_BYTES)).found) placed.set(entry.id, entry);
    }
    const entries = found.map((entry) => placed.get(entry.id) ?? entry);
    return { found: await withContent(store, entries), looked };
  }

  async #movePart(
    found: readonly FoundMessage[],
    target: DeadLetterTarget,
  ): Promise<readonly (readonly [id: string, MovedMessage])[]> {
    const { store, fifo, randomness } = this.#parts;
    const readable = found.filter(({ message }) => message !== undefined);
    const unreadable = found.filter(({ message }) => message === undefined);
    const outcomes: (readonly [string, MovedMessage])[] = unreadable.map(({ id }) => [id, { outcome: 'unreadable' }]);
    if (readable.length === 0) return outcomes;
    const taken = await store.named.take(readable.map(freeMessage), MOVE_LEASE_MS);
    const copies: { readonly of: FoundMessage; readonly message: Message }[] = [];
    for (const [at, one] of readable.entries()) {
      const outcome = taken.outcomes[at] ?? 'missing';
      if (outcome === 'done' && one.message !== undefined)
        copies.push({ of: one, message: fresh(one.message, randomness) });
      else outcomes.push([one.id, { outcome }]);
    }
    if (copies.length === 0) return outcomes;
    try {
      await target.store.send(
        copies.map(({ of, message }) => ({
          id: message.id,
          record: encodeRecord(message),
          // What was to come later comes then in the other queue, too.
          delayMs: of.state === 'delayed' ? (of.dueInMs ?? 0) : 0,
          ...(message.groupId === undefined ? {} : { group: message.groupId }),
          ...(fifo ? { deduplicationKey: message.id } : {}),
        })),
      );
    } catch (error) {
      await this.#giveBack(readable, taken.leases);
      throw error;
    }
    await store.delete(taken.leases);
    for (const { of, message } of copies) outcomes.push([of.id, { outcome: 'done', newId: message.id }]);
    return outcomes;
  }

  /** Undoes what a move took: those that were to wait go on waiting for what is left of that. */
  async #giveBack(found: readonly FoundMessage[], leases: readonly Lease[]): Promise<void> {
    const { store } = this.#parts;
    const waits = new Map(found.map(({ id, dueInMs = 0 }) => [id, dueInMs]));
    const waited = leases.filter(({ id }) => (waits.get(id) ?? 0) > 0);
    await store.release(leases.filter((lease) => !waited.includes(lease)));
    await store.changeVisibility(waited.map((lease) => ({ ...lease, leaseMs: waits.get(lease.id) ?? 0 })));
  }
}

function freeMessage(found: FoundMessage): FreeMessage {
  const { id, sequenceNumber, receiveCount } = found;
  const group = found.group ?? found.message?.groupId;
  return {
    id,
    ...(group === undefined ? {} : { group }),
    ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    ...(isGivenUp(found) ? { givenUp: receiveCount } : {}),
  };
}

/** The content of a message as a new one: a person decided, so it begins a new life, as after a redrive. */
function fresh(message: Message, randomness: Randomness): Message {
  const { deadLetterSourceArn: _, traceHeader, ...content } = message;
  const trace = traceHeader === undefined ? undefined : withoutTurns(traceHeader);
  return { ...content, ...(trace === undefined ? {} : { traceHeader: trace }), id: newMessageId(randomness) };
}

/** Entries with what is in their records and why their last deliveries failed; one command more if any was received. */
async function withContent<T extends FoundEntry>(
  store: WatchedStore,
  entries: readonly T[],
): Promise<readonly (Omit<T, 'record'> & { readonly message?: Message; readonly failure?: PastFailure })[]> {
  const received = entries.filter(({ receiveCount }) => receiveCount > 0);
  const failures = await store.failures(received.map(({ id }) => id));
  return entries.map((entry) => {
    const { record: _, ...seen } = entry;
    const kept = failures.get(entry.id);
    const failure = kept === undefined ? undefined : readFailure(kept);
    const message = contentOf(entry);
    return {
      ...seen,
      ...(failure === undefined ? {} : { failure }),
      ...(message === undefined ? {} : { message }),
    };
  });
}

/** `undefined`: this version of Karin cannot read it. */
function contentOf({ id, record }: Pick<FoundEntry, 'id' | 'record'>): Message | undefined {
  try {
    return decodeRecord(id, record).message;
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

/*
 * The search for a text in bodies. It reads names and then records, part by part, and keeps of each hit a line only, so
 * its memory and each of its calls are bounded whatever is in the queue. Where it stops, a cursor leads on.
 *
 * A cursor is that of the store, with the last id that was looked at in its part; a part is looked at in the order of
 * ids. So a part that is asked for again goes on behind that id. A message that is there all the time is missed only if
 * the store makes its parts larger just then, which Redis does after most of a queue is gone.
 */

/** Names that one call asks for, and bytes of records that one call reads. */
const PART_NAMES = 100;
const PART_BYTES = 524_288;
/** Calls for names that one search makes at most: parts may be empty. */
const MOST_PARTS = 200;
/** Characters before and after a hit that its line shows. */
const AROUND = 60;
const CURSOR = /^(\d{1,19})(?:~([0-9a-f-]{36}))?$/;

async function search(store: WatchedStore, text: string, bounds: SearchBounds, cursor = '0'): Promise<SearchReply> {
  const wanted = text.toLowerCase();
  const [, start = '0', startAfter] = CURSOR.exec(cursor) ?? [];
  const hits: SearchHit[] = [];
  let [at, after, messages, bytes] = [start, startAfter, 0, 0];
  for (let part = 0; part < MOST_PARTS; part += 1) {
    const page = await store.named.names(PART_NAMES, at);
    let rest = page.names.filter(({ id }) => after === undefined || id > after).sort((a, b) => (a.id < b.id ? -1 : 1));
    while (rest.length > 0) {
      if (messages >= bounds.messages || bytes >= bounds.bytes || hits.length >= bounds.hits) {
        return { hits, messages, bytes, cursor: after === undefined ? at : `${at}~${after}` };
      }
      const some = rest.slice(0, Math.min(PART_NAMES, bounds.messages - messages));
      const { records, looked } = await store.named.records(
        some.map(({ id }) => id),
        PART_BYTES,
      );
      for (const name of some.slice(0, looked)) {
        const record = records.get(name.id);
        messages += 1;
        bytes += record?.length ?? 0;
        const hit = record === undefined ? undefined : hitIn(name, record, wanted);
        if (hit !== undefined) hits.push(hit);
      }
      after = some[looked - 1]?.id;
      rest = rest.slice(looked);
    }
    if (page.cursor === undefined) return { hits, messages, bytes };
    at = page.cursor;
    after = undefined;
  }
  return { hits, messages, bytes, cursor: at };
}

function hitIn(name: MessageName, record: Uint8Array, wanted: string): SearchHit | undefined {
  const message = contentOf({ id: name.id, record });
  const place = message?.body.toLowerCase().indexOf(wanted) ?? -1;
  if (message === undefined || place === -1) return undefined;
  const from = Math.max(0, place - AROUND);
  return { ...name, bytes: record.length, line: message.body.slice(from, place + wanted.length + AROUND), from };
}
