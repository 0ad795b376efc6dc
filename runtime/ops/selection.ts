/**
 * What people do to several messages of a queue at once, on the pages and over `/api/v1`: to those that they chose, to
 * all of one error, or to all.
 *
 * A selection is bounded (`MOST_SELECTED`); what is left of a larger error is told, and the same action takes it next.
 *
 * @module
 */
import * as z from 'zod/mini';
import { MOST_SELECTED, type MoveTask, MoveTaskError, type MoveTasks } from '../queue/move-task.ts';
import { formatQueueArn, parseQueueArn } from '../queue/names.ts';
import type { FoundMessage, Queue } from '../queue/queue.ts';
import { type MessageName, type NamedOutcome, StoreUnavailableError } from '../store/store.ts';
import { findQueue, type Reach } from './find-queue.ts';
import type { OverviewParts } from './overview.ts';

/** Most messages a second that a redrive moves if it is told a speed. Source: StartMessageMoveTask. */
const FASTEST = 500;
/** Names that one look is asked for. */
const PART = 500;

export interface SelectionParts extends OverviewParts {
  readonly moveTasks: MoveTasks;
  /** The queues that the caller may know of; default: all. */
  readonly reaches?: Reach | undefined;
}

/** What is asked for, as the body of a call has it; the form of a page is turned into it. */
const asked = z.strictObject({
  /** A queue; default: where each message came from. */
  to: z.optional(z.string().check(z.maxLength(2_000))),
  /** Messages a second; default: as fast as the store takes them. */
  speed: z.optional(z.number().check(z.int(), z.minimum(1), z.maximum(FASTEST))),
  /** All messages of this error, by the id of its group. */
  error: z.optional(z.string().check(z.regex(/^(?:[0-9a-f]{10}|none)$/))),
  /** Ids, with the sequence number behind a space where it is known. */
  messages: z.optional(
    z
      .array(z.string().check(z.regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?: \d{20})?$/)))
      .check(z.minLength(1), z.maxLength(MOST_SELECTED)),
  ),
});
export type Asked = z.infer<typeof asked>;

/** What is wrong with a field, by its name. */
const MISTAKES: Readonly<Record<string, string>> = {
  to: 'to must be the name of a queue',
  speed: `the speed must be 1 to ${FASTEST} messages a second`,
  error: 'error must be the id of a group of errors',
  messages: `1 to ${MOST_SELECTED} messages must be selected, by their ids`,
};

/** A text says what is wrong. */
export function readAsked(input: unknown): Asked | string {
  const result = asked.safeParse(input === undefined ? {} : input);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  return (
    MISTAKES[String(issue?.path[0])] ?? 'the body must be a JSON object with some of to, speed, error and messages'
  );
}

/** What the audit trail keeps of it. */
export function audited({ to, speed, error, messages }: Asked): Readonly<Record<string, unknown>> {
  const chosen = { ...(to === undefined ? {} : { to }), ...(speed === undefined ? {} : { speed }) };
  if (messages === undefined) return error === undefined ? chosen : { ...chosen, error };
  return { ...chosen, messages: messages.length, firstMessage: messages[0]?.slice(0, 36) };
}

/** What became of one message. `due`: its delay is over, so it is not scheduled any more, and nothing was done. */
type MessageResult = NamedOutcome | 'due';

export type SelectionOutcome =
  | {
      readonly ok: true;
      /** Absent: a redrive began, or ended. */
      readonly messages?: readonly { readonly id: string; readonly outcome: MessageResult }[];
      readonly redrive?: MoveTask;
      /** Messages of the same error beyond the bound of a selection; nothing was done to them. */
      readonly beyond?: number;
    }
  | { readonly ok: false; readonly status: 400 | 404 | 409 | 503; readonly message: string };

export interface SelectionAction {
  /** To be answered with yes on a page before it runs; `undefined`: there is no need. */
  readonly question: (name: string, what: Asked) => string | undefined;
  readonly run: (queue: Queue, what: Asked, parts: SelectionParts) => Promise<SelectionOutcome>;
}

const ACTIONS = {
  redrive: {
    question: (name, { to, error, messages }) =>
      error === undefined && messages === undefined
        ? `Move all messages of ${name} ${to === undefined ? 'back to where they came from' : `to ${to}`}?`
        : undefined,
    run: redrive,
  },
  'cancel-redrive': { question: () => undefined, run: cancelRedrive },
  delete: {
    question: (_, { messages }) =>
      `Delete ${messages === undefined ? 'all messages of this error' : counted(messages.length)}? They cannot be brought back.`,
    run: (queue, what) => toEach(queue, what, (names) => queue.messages.delete(names)),
  },
  cancel: {
    question: (_, { messages = [] }) =>
      `Cancel ${counted(messages.length)}? They are deleted before they are due, and cannot be brought back.`,
    run: (queue, what) => toEach(queue, what, (names) => cancel(queue, names)),
  },
  'run-now': {
    question: () => undefined,
    run: (queue, what) => toEach(queue, what, (names) => queue.messages.retryNow(names)),
  },
} satisfies Record<string, SelectionAction>;

/** By the last segment of the path. */
export const SELECTION_ACTIONS: ReadonlyMap<string, SelectionAction> = new Map(Object.entries(ACTIONS));

/** Runs an action; a store that cannot be reached is an answer, too. */
export async function actOnSelection(
  action: SelectionAction,
  ...what: Parameters<SelectionAction['run']>
): Promise<SelectionOutcome> {
  try {
    return await action.run(...what);
  } catch (error) {
    if (error instanceof MoveTaskError) return { ok: false, status: 409, message: error.message };
    if (!(error instanceof StoreUnavailableError)) throw error;
    return { ok: false, status: 503, message: 'The store of messages cannot be reached. Try again.' };
  }
}

async function redrive(queue: Queue, what: Asked, parts: SelectionParts): Promise<SelectionOutcome> {
  const { to, speed } = what;
  const target = to === undefined || to.trim() === '' ? undefined : findQueue(parts, to.trim(), parts.reaches);
  if (target !== undefined && 'message' in target) return { ok: false, ...target };
  const isChosen = what.error !== undefined || what.messages !== undefined;
  const chosen = isChosen ? await choose(queue, what) : undefined;
  if (chosen?.names.length === 0) return NOTHING_LEFT;
  const task = await parts.moveTasks.start(queue, {
    ...{ destination: target, maxPerSecond: speed },
    sources: target === undefined ? sourcesWithin(queue, parts) : undefined,
    messages: chosen === undefined ? undefined : await inOrder(queue, chosen.names),
  });
  return { ok: true, redrive: task, ...beyond(chosen?.beyond) };
}

/** Ends the redrive that runs. */
async function cancelRedrive(queue: Queue, _: Asked, parts: SelectionParts): Promise<SelectionOutcome> {
  const [newest] = await parts.moveTasks.list(queue);
  if (newest?.status !== 'RUNNING' || !isKnown(newest, parts.reaches)) {
    return { ok: false, status: 409, message: 'No redrive of this queue is running.' };
  }
  return { ok: true, redrive: await parts.moveTasks.cancel(newest.handle) };
}

/** Whether a caller may hear of a redrive: one to a queue that he does not reach is none for him. */
export function isKnown({ destinationArn }: MoveTask, reaches: Reach = () => true): boolean {
  const arn = destinationArn === undefined ? undefined : parseQueueArn(destinationArn);
  return arn === undefined || reaches(arn);
}

const NOTHING_LEFT: SelectionOutcome = {
  ok: false,
  status: 404,
  message: 'No message of this error is in the queue any more.',
};

async function toEach(
  queue: Queue,
  what: Asked,
  act: (names: readonly MessageName[]) => Promise<readonly MessageResult[]>,
): Promise<SelectionOutcome> {
  if (what.messages === undefined && what.error === undefined) {
    return { ok: false, status: 400, message: 'No message is selected.' };
  }
  const chosen = await choose(queue, what);
  if (chosen.names.length === 0) return NOTHING_LEFT;
  const outcomes = await act(chosen.names);
  const messages = chosen.names.map(({ id }, at) => ({ id, outcome: outcomes[at] ?? 'missing' }));
  return { ok: true, messages, ...beyond(chosen.beyond) };
}

/** The names that are meant: each once, and no more than a selection may have. */
async function choose(queue: Queue, { error, messages }: Asked) {
  if (messages !== undefined) {
    const named = messages.map((text): MessageName => {
      const [id = '', sequenceNumber] = text.split(' ');
      return sequenceNumber === undefined ? { id } : { id, sequenceNumber };
    });
    return { names: [...new Map(named.map((name) => [name.id, name])).values()], beyond: 0 };
  }
  const { groups } = await queue.messages.groups();
  const all = groups.find(({ id }) => id === error)?.messages ?? [];
  return { names: all.slice(0, MOST_SELECTED), beyond: Math.max(0, all.length - MOST_SELECTED) };
}

function beyond(count = 0): { readonly beyond?: number } {
  return count === 0 ? {} : { beyond: count };
}

/** On a FIFO queue in the order in which messages were sent: one is moved only after those before it in its group. */
async function inOrder(queue: Queue, names: readonly MessageName[]): Promise<readonly MessageName[]> {
  if (!queue.definition.fifo) return names;
  const unplaced = names.filter(({ sequenceNumber }) => sequenceNumber === undefined);
  const found = await findAll(queue, unplaced);
  const placed = names.map((name) => ({ ...found.get(name.id), ...name }));
  return placed
    .map(({ id, sequenceNumber }) => ({ id, ...(sequenceNumber === undefined ? {} : { sequenceNumber }) }))
    .sort((a, b) => ((a.sequenceNumber ?? '') < (b.sequenceNumber ?? '') ? -1 : 1));
}

/** Deletes those whose delay still runs. */
async function cancel(queue: Queue, names: readonly MessageName[]): Promise<readonly MessageResult[]> {
  const found = await findAll(queue, names);
  const delayed = names.filter(({ id }) => found.get(id)?.state === 'delayed');
  const deleted = delayed.length === 0 ? [] : await queue.messages.delete(delayed);
  const outcomes = new Map(delayed.map(({ id }, at) => [id, deleted[at] ?? 'missing']));
  return names.map(({ id }): MessageResult => {
    const state = found.get(id)?.state;
    return outcomes.get(id) ?? (state === 'visible' ? 'due' : state === 'in-flight' ? 'in-flight' : 'missing');
  });
}

/** One look reads a few megabytes, so what it did not come to is looked for again. */
async function findAll(queue: Queue, names: readonly MessageName[]): Promise<ReadonlyMap<string, FoundMessage>> {
  const found = new Map<string, FoundMessage>();
  for (let rest = names; rest.length > 0; ) {
    const part = await queue.messages.find(rest.slice(0, PART));
    for (const message of part) found.set(message.id, message);
    rest = part.length === 0 ? rest.slice(PART) : rest.filter(({ id }) => !found.has(id));
  }
  return found;
}

/** ARNs of the queues to which messages may go back, for a caller who reaches some queues only. */
function sourcesWithin(queue: Queue, { directory, reaches }: SelectionParts): readonly string[] | undefined {
  if (reaches === undefined) return undefined;
  const arn = formatQueueArn(queue.arn);
  return directory
    .all()
    .filter(({ definition }) => definition.attributes.redrivePolicy?.deadLetterTargetArn === arn)
    .filter((source) => reaches(source.arn))
    .map((source) => formatQueueArn(source.arn));
}

function counted(count: number): string {
  return count === 1 ? '1 message' : `${count.toLocaleString('en-US')} messages`;
}

/*
 * What was done, in words.
 */

const RESULTS: Readonly<Record<Exclude<MessageResult, 'done'>, string>> = {
  'in-flight': 'in flight, and left alone',
  missing: 'gone already',
  behind: 'left alone, because a message before it in its group must go first',
  'out-of-reach': 'left alone, because too many messages of its group stand before it',
  due: 'due already, and left alone',
};
const DONE: Readonly<Record<string, string>> = { delete: 'deleted', cancel: 'cancelled', 'run-now': 'due now' };

/** How often each result came about, as a word without spaces: `done=3,in-flight=1`. It may stand in a cookie. */
export function tally(outcome: SelectionOutcome & { readonly ok: true }): string {
  const counts = new Map<string, number>();
  for (const { outcome: result } of outcome.messages ?? []) counts.set(result, (counts.get(result) ?? 0) + 1);
  if (outcome.beyond !== undefined) counts.set('beyond', outcome.beyond);
  return [...counts].map(([result, count]) => `${result}=${count}`).join(',');
}

/** The sentence that such a word stands for; what is no such word says nothing. */
export function told(action: string, word: string): string {
  const parts = word.split(',').flatMap((text) => {
    const [, result = '', digits = ''] = /^([a-z-]{1,20})=(\d{1,9})$/.exec(text) ?? [];
    const what =
      result === 'done'
        ? DONE[action]
        : result === 'beyond'
          ? 'more of the same error are left; do it again for them'
          : Object.entries(RESULTS).find(([name]) => name === result)?.[1];
    return what === undefined ? [] : [`${Number(digits).toLocaleString('en-US')} ${what}`];
  });
  return parts.length === 0 ? '' : `${parts.join('; ')}.`;
}
