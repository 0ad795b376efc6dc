/**
 * Searches for messages: by id over all queues, and by a text in bodies.
 *
 * A search is bounded, whatever there is. An id is asked for in queues that are known to hold messages first, then in
 * the others, since another process may have sent to one a moment ago; never in more than `MOST_QUEUES`. A text is
 * looked for in steps of `STEP`: each says what it read, and a person decides whether it goes on.
 *
 * @module
 */
import type { FoundMessage, Queue, SearchBounds, SearchHit } from '../queue/queue.ts';
import type { QueueKey, Store } from '../store/store.ts';
import type { Reach } from './find-queue.ts';
import { type OverviewParts, refreshed } from './overview.ts';

/** What one step of a search reads and finds at most. */
export const STEP: SearchBounds & { readonly queues: number } = {
  messages: 2_000,
  bytes: 4 * 1_048_576,
  hits: 50,
  queues: 100,
};
/** Queues that are asked for an id; each costs a command. */
const MOST_QUEUES = 2_000;
/** Queues with one id, of which the messages are read: more than one has it only after a move was interrupted. */
const MOST_FOUND = 10;
const LONGEST_TEXT = 200;

export interface SearchParts extends Pick<OverviewParts, 'directory' | 'depths'> {
  readonly store: Pick<Store, 'named'>;
}

/** The id that a text is, in lower case; `undefined`: it is none. */
export function messageIdIn(text: string): string | undefined {
  const id = text.trim().toLowerCase();
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : undefined;
}

export interface FoundInQueue {
  readonly queue: Queue;
  readonly found: FoundMessage;
}

export interface IdSearch {
  readonly found: readonly FoundInQueue[];
  /** Queues that were asked, of all that the reader may know. */
  readonly asked: number;
  readonly queues: number;
}

/** Errors: `StoreUnavailableError`. */
export async function searchId(parts: SearchParts, id: string, reaches: Reach = () => true): Promise<IdSearch> {
  await refreshed(parts.depths);
  const all = parts.directory.all().filter(({ arn }) => reaches(arn));
  const likely = all.filter((queue) => mayHold(parts, queue));
  const rest = all.filter((queue) => !likely.includes(queue)).slice(0, Math.max(0, MOST_QUEUES - likely.length));
  let asked = 0;
  for (const some of [likely.slice(0, MOST_QUEUES), rest]) {
    if (some.length === 0) continue;
    const { holders } = await parts.store.named.holders(some.map(addressOf), id);
    asked += some.length;
    const found = await Promise.all(
      holders.slice(0, MOST_FOUND).map(async (key): Promise<readonly FoundInQueue[]> => {
        const queue = parts.directory.byKey(key);
        const messages = (await queue?.messages.find([{ id }])) ?? [];
        return queue === undefined ? [] : messages.map((one) => ({ queue, found: one }));
      }),
    );
    if (holders.length > 0) return { found: found.flat(), asked, queues: all.length };
  }
  return { found: [], asked, queues: all.length };
}

/** What a person asks for. */
export interface TextSearch {
  readonly text: string;
  /** One queue only. */
  readonly queue?: QueueKey;
  /** Where to go on: `START`, or what the step before answered; absent: only to be announced. */
  readonly from?: string;
}

export const START = 'start';

export function readSearchQuery(query: (name: string) => string | undefined): TextSearch {
  const [queue, from] = [query('queue'), query('from')];
  return {
    text: (query('q') ?? '').slice(0, LONGEST_TEXT).trim(),
    ...(queue === undefined || queue === '' ? {} : { queue }),
    ...(from === undefined || from === '' ? {} : { from }),
  };
}

/** The queues that a search reads, by key, and how many messages they hold as far as is known. */
export function toBeSearched(
  parts: SearchParts,
  { queue: only }: TextSearch,
  reaches: Reach = () => true,
): { readonly queues: readonly Queue[]; readonly messages: number } {
  const queues = parts.directory
    .all()
    .filter((queue) => reaches(queue.arn) && (only === undefined ? mayHold(parts, queue) : queue.key === only))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return { queues, messages: queues.reduce((sum, queue) => sum + (heldIn(parts, queue) ?? 0), 0) };
}

export interface SearchStep {
  readonly hits: readonly { readonly queue: Queue; readonly hit: SearchHit }[];
  /** What was read. */
  readonly messages: number;
  readonly bytes: number;
  /** Of the next step; absent: all was read. */
  readonly next?: string;
}

/** One step. Errors: `StoreUnavailableError`. */
export async function searchBodies(parts: SearchParts, search: TextSearch, reaches?: Reach): Promise<SearchStep> {
  await refreshed(parts.depths);
  const { queues } = toBeSearched(parts, search, reaches);
  const [startKey = '', startCursor] = search.from === START ? [] : (search.from ?? '').split(' ');
  const hits: { readonly queue: Queue; readonly hit: SearchHit }[] = [];
  let [messages, bytes, read] = [0, 0, 0];
  for (const queue of queues.filter(({ key }) => key >= startKey)) {
    const left = { messages: STEP.messages - messages, bytes: STEP.bytes - bytes, hits: STEP.hits - hits.length };
    if (read === STEP.queues || left.messages <= 0 || left.bytes <= 0 || left.hits <= 0) {
      return { hits, messages, bytes, next: `${queue.key} 0` };
    }
    const cursor = queue.key === startKey ? startCursor : undefined;
    const reply = await queue.messages.search(search.text, left, cursor);
    read += 1;
    messages += reply.messages;
    bytes += reply.bytes;
    hits.push(...reply.hits.map((hit) => ({ queue, hit })));
    if (reply.cursor !== undefined) return { hits, messages, bytes, next: `${queue.key} ${reply.cursor}` };
  }
  return { hits, messages, bytes };
}

function addressOf({ key, definition }: Queue) {
  return { key, fifo: definition.fifo };
}

/** Messages in a queue, when it was last read; `undefined`: it was not. */
function heldIn({ depths }: SearchParts, { key }: Queue): number | undefined {
  const depth = depths.of(key);
  return depth === undefined ? undefined : depth.visible + depth.delayed + depth.inFlight;
}

function mayHold(parts: SearchParts, queue: Queue): boolean {
  return heldIn(parts, queue) !== 0;
}
