/**
 * What the buttons on the page of one message do, and the same calls of `/api/v1`.
 *
 * @module
 */

import type { Message, MessageAttribute } from '../queue/message.ts';
import { formatQueueArn } from '../queue/names.ts';
import type { FoundMessage, MovedMessage, Queue } from '../queue/queue.ts';
import { StoreFullError, StoreUnavailableError } from '../store/store.ts';
import { type ActionParts, type FormFields, field, urlOf } from './actions.ts';
import { findQueue, type Reach } from './find-queue.ts';
import type { OverviewParts } from './overview.ts';

export interface MessageActionParts extends ActionParts, OverviewParts {
  /** The queues that whoever acts may name; default: all. */
  readonly reaches?: Reach | undefined;
}

/** Where what was done can be seen: a queue, and in it the message. */
interface Place {
  readonly queue: Queue;
  readonly id?: string;
}

export type MessageOutcome =
  /** `but`: a part that was not done. */
  | { readonly ok: true; readonly place: Place; readonly but?: string }
  | { readonly ok: false; readonly message: string };

export interface MessageAction {
  /** To be answered with yes before it runs. */
  readonly question?: string;
  /** What the audit trail calls it. */
  readonly audited: string;
  run(queue: Queue, found: FoundMessage, parts: MessageActionParts, form: FormFields): Promise<MessageOutcome>;
}

/** Why nothing was done to a message. */
const REFUSALS: Readonly<Record<Exclude<MovedMessage['outcome'], 'done'>, string>> = {
  'in-flight':
    'Nothing was done: the message was received, and whoever has it may handle it right now. It comes back when its lease ends.',
  missing: 'Nothing was done: the message is not in this queue any more.',
  behind: 'Nothing was done: a message before it in its group must go first, or the order of the group would break.',
  'out-of-reach':
    'Nothing was done: more than 10,000 messages of its group stand before it, so its place was not found. Open it from a list of messages, which tells its sequence number.',
  unreadable: 'Nothing was done: another version of Karin stored this message, and this one cannot read it.',
};

/** Longest body that can be edited on a page, characters; a form makes it up to three times as long. */
export const LONGEST_EDITED = 262_144;

const ACTIONS = {
  retry: {
    audited: 'retry-message',
    run: async (queue, found) => outcomeOf(await queue.messages.retryNow([found]), { queue, id: found.id }),
  },
  delete: {
    question: 'Delete this message? It cannot be brought back.',
    audited: 'delete-message',
    run: async (queue, found) => outcomeOf(await queue.messages.delete([found]), { queue }),
  },
  move: {
    question: 'Move this message to the other queue? It is a new one there, with a new id and no receives.',
    audited: 'move-message',
    run: async (queue, found, parts, form) => {
      const target = findTarget(parts, queue, field(form, 'to'));
      if (typeof target === 'string') return { ok: false, message: target };
      const moved = await queue.messages.move([found], formatQueueArn(target.arn));
      const [one] = moved === 'no-such-queue' ? [] : moved;
      if (one === undefined) return { ok: false, message: 'Nothing was done: the other queue is gone.' };
      if (one.outcome !== 'done') return { ok: false, message: REFUSALS[one.outcome] };
      return { ok: true, place: { queue: target, ...(one.newId === undefined ? {} : { id: one.newId }) } };
    },
  },
  again: {
    audited: 'send-message-again',
    run: sendAgain,
  },
} satisfies Record<string, MessageAction>;

export type MessageActionName = keyof typeof ACTIONS;

/** By the last segment of the path. */
export const MESSAGE_ACTIONS: ReadonlyMap<string, MessageAction> = new Map(Object.entries(ACTIONS));

/** Runs an action; a store that cannot do it is an answer, too. */
export async function actOnMessage(
  action: MessageAction,
  ...what: Parameters<MessageAction['run']>
): Promise<MessageOutcome> {
  try {
    return await action.run(...what);
  } catch (error) {
    if (error instanceof StoreFullError) return { ok: false, message: 'The store is full; nothing was moved.' };
    if (!(error instanceof StoreUnavailableError)) throw error;
    return { ok: false, message: 'The store of messages cannot be reached. Try again.' };
  }
}

/**
 * Sends the message with another body: first the new one, then the old one goes, if that was asked for. What was typed
 * reaches the server with the line ends of the web; those of the old body come back.
 */
async function sendAgain(
  queue: Queue,
  found: FoundMessage,
  parts: MessageActionParts,
  form: FormFields,
): Promise<MessageOutcome> {
  const { message } = found;
  if (message === undefined) return { ok: false, message: REFUSALS.unreadable };
  const target = findTarget(parts, queue, field(form, 'to'), true);
  if (typeof target === 'string') return { ok: false, message: target };
  const { fifo, attributes } = target.definition;
  const delay = field(form, 'delay');
  const typed = field(form, 'body') ?? '';
  const outcome = await parts.api.call('SendMessage', {
    QueueUrl: urlOf(target),
    MessageBody: message.body.includes('\r') ? typed : typed.replaceAll('\r\n', '\n'),
    ...(Object.keys(message.attributes).length === 0 ? {} : { MessageAttributes: attributesOf(message) }),
    ...(delay === undefined || fifo ? {} : { DelaySeconds: Number(delay) }),
    ...(fifo ? { MessageGroupId: field(form, 'group') ?? message.groupId ?? '' } : {}),
    ...(fifo && !attributes.contentBasedDeduplication ? { MessageDeduplicationId: parts.uuid() } : {}),
    ...(!fifo && message.groupId !== undefined ? { MessageGroupId: message.groupId } : {}),
  });
  if (!outcome.ok) return outcome;
  const place = { queue: target, ...(outcome.messageId === undefined ? {} : { id: outcome.messageId }) };
  if (field(form, 'replace') === undefined) return { ok: true, place };
  const [deleted = 'missing'] = await queue.messages.delete([found]);
  return deleted === 'done'
    ? { ok: true, place }
    : {
        ok: true,
        place,
        but: 'It was sent, and the old message is still there: whoever received it may handle it now.',
      };
}

function attributesOf({ attributes }: Message): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, attribute]) => [name, attributeValue(attribute)] as const),
  );
}

/** As in the SQS API, binary values in base64. */
export function attributeValue(attribute: MessageAttribute): Readonly<Record<string, string>> {
  const { dataType: DataType } = attribute;
  if ('stringValue' in attribute) return { DataType, StringValue: attribute.stringValue };
  return { DataType, BinaryValue: Buffer.from(attribute.binaryValue).toString('base64') };
}

/** The queue that a person named, or why there is none. `mayBeSame`: a copy may go anywhere, a move may not. */
function findTarget(
  parts: MessageActionParts,
  from: Queue,
  wanted: string | undefined,
  mayBeSame = false,
): Queue | string {
  const text = wanted?.trim() ?? '';
  if (text === '' && mayBeSame) return from;
  const target = findQueue(parts, text, parts.reaches);
  if ('message' in target) return `Nothing was done: ${target.message}.`;
  if (mayBeSame) return target;
  if (target.key === from.key) return 'Nothing was done: the message is in that queue already.';
  if (target.definition.fifo !== from.definition.fifo) {
    return 'Nothing was done: a message moves only between queues of one type, standard or FIFO.';
  }
  return target;
}

function outcomeOf(outcomes: readonly MovedMessage['outcome'][], place: Place): MessageOutcome {
  const [outcome = 'missing'] = outcomes;
  return outcome === 'done' ? { ok: true, place } : { ok: false, message: REFUSALS[outcome] };
}
