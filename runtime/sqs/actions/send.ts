import type { QueueDefinition } from '../../queue/definition.ts';
import {
  type MessageAttributes,
  md5OfAttributes,
  md5OfBody,
  md5OfSystemAttributes,
  NO_ATTRIBUTES,
  newMessageId,
  type OutgoingMessage,
  type SentMessage,
} from '../../queue/message.ts';
import type { Queue } from '../../queue/queue.ts';
import { type BatchEntry, checkBatch, partition } from '../batch.ts';
import { forbiddenCharacter, invalidParameter, missingParameter, SqsError } from '../errors.ts';
import { FIFO_ID, FORBIDDEN_CHARACTER, MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES } from '../limits.ts';
import { readMessageAttributes, readTraceHeader, sizeOfAttributes, withPlainNumbers } from '../message-attributes.ts';
import type { MessageInput, Output } from '../protocol/model.ts';
import { type Call, queueAction, takeShare } from './action.ts';

export const sendMessage = queueAction('SendMessage', 'send', async (queue, input, call) => {
  const accepted = acceptMessage(input, queue.definition, call);
  const taking = takeShare(call, queue, 1, accepted.size);
  if (taking !== undefined) await taking;
  const [sent] = await queue.send([accepted.message]);
  if (sent === undefined) throw new Error(`queue ${queue.key} answered a send of one message with none`);
  call.sent?.(queue.key, call.source, 1);
  return answerTo(accepted, sent);
});

const ENTRY = 'SendMessageBatchRequestEntry';

export const sendMessageBatch = queueAction('SendMessageBatch', 'send', async (queue, input, call) => {
  const entries = checkBatch(input.Entries, ENTRY);
  const total = checkTotal(entries);
  const { accepted, failed } = queue.definition.fifo
    ? { accepted: acceptAllOrNone(entries, queue, call), failed: [] }
    : partition(entries, (entry) => accept(entry, queue, call, 'One or more parameters cannot be validated.'));
  if (accepted.length > 0) await takeShare(call, queue, accepted.length, total);
  const sent = accepted.length === 0 ? [] : await queue.send(accepted.map(({ value }) => value.message));
  if (sent.length > 0) call.sent?.(queue.key, call.source, sent.length);
  const Successful = accepted.map(({ id, value }, index) => {
    const outcome = sent[index];
    if (outcome === undefined) throw new Error(`queue ${queue.key} answered a send of ${accepted.length} with fewer`);
    return { Id: id, ...answerTo(value, outcome) };
  });
  return { Successful, Failed: failed };
});

function checkTotal(entries: readonly BatchEntry<MessageInput>[]): number {
  const total = entries.reduce((sum, { entry: { MessageBody = '', MessageAttributes: attributes } }) => {
    return sum + Buffer.byteLength(MessageBody) + (attributes === undefined ? 0 : sizeOfAttributes(attributes));
  }, 0);
  if (total <= MAX_MESSAGE_BYTES) return total;
  throw new SqsError(
    'BatchRequestTooLong',
    `Batch requests cannot be longer than ${MAX_MESSAGE_BYTES} bytes. You have sent ${total} bytes.`,
  );
}

/** On a FIFO queue one bad entry refuses the batch: sending the others would change their order. */
function acceptAllOrNone(
  entries: readonly BatchEntry<MessageInput>[],
  queue: Queue,
  call: Call,
): readonly { readonly id: string; readonly value: AcceptedMessage }[] {
  return entries.map((entry) => {
    if (entry.entry.MessageBody && !entry.entry.MessageGroupId) {
      throw new SqsError('InvalidParameterValue', 'The request must contain the parameter MessageGroupId.');
    }
    return { id: entry.id, value: accept(entry, queue, call, 'One or more parameters are invalid.') };
  });
}

function accept(entry: BatchEntry<MessageInput>, queue: Queue, call: Call, oversized: string): AcceptedMessage {
  return acceptMessage(entry.entry, queue.definition, call, { body: `${ENTRY}.${entry.place}.MessageBody`, oversized });
}

/*
 * From what a sender gives to the message that is stored: all rules of SendMessage and of one entry of
 * SendMessageBatch.
 */

/** A message that passed every rule. */
interface AcceptedMessage {
  readonly message: OutgoingMessage;
  /**
   * As SQS counts it, bytes: the body, and names, types and values of attributes; system attributes do not count.
   */
  readonly size: number;
  /** What the sender gave, before it was made plain. */
  readonly attributes: MessageAttributes;
  readonly traceHeader: string | undefined;
}

/** How the two actions name the same faults. */
interface Wording {
  /** What a missing body is called. */
  readonly body: string;
  /** How the text about an oversized message begins. */
  readonly oversized: string;
}

const SINGLE_WORDING: Wording = { body: 'MessageBody', oversized: 'One or more parameters are invalid.' };

const NOT_FOR_THIS_TYPE = 'The request include parameter that is not valid for this queue type.';

/** Errors: `MissingParameter`, `InvalidMessageContents`, `InvalidParameterValue`, `UnsupportedOperation`. */
function acceptMessage(
  input: MessageInput,
  queue: QueueDefinition,
  call: Pick<Call, 'caller' | 'randomness' | 'maxDelaySeconds' | 'traceHeader'>,
  wording: Wording = SINGLE_WORDING,
): AcceptedMessage {
  const { MessageBody: body, MessageAttributes: given, MessageSystemAttributes: system } = input;
  if (body === undefined || body === '') throw missingParameter(wording.body);
  if (FORBIDDEN_CHARACTER.test(body)) {
    throw new SqsError('InvalidMessageContents', forbiddenCharacter(body, 'message body'));
  }
  // Most messages have a body and nothing else: each rule is asked only about what was given.
  const attributes = given === undefined ? NO_ATTRIBUTES : readMessageAttributes(given);
  const givenTrace = system === undefined ? undefined : readTraceHeader(system);
  const size = Buffer.byteLength(body) + (given === undefined ? 0 : sizeOfAttributes(given));
  if (size > queue.attributes.maximumMessageSizeBytes) throw tooLarge(queue, wording);
  const delaySeconds =
    input.DelaySeconds === undefined ? undefined : readDelay(input.DelaySeconds, queue, call.maxDelaySeconds);
  const isPlain = !queue.fifo && input.MessageGroupId === undefined && input.MessageDeduplicationId === undefined;
  const groupId = isPlain ? undefined : readGroup(input.MessageGroupId, queue);
  const deduplicationId = isPlain ? undefined : readDeduplicationId(input.MessageDeduplicationId, queue);
  const traceHeader = givenTrace ?? call.traceHeader;
  const message = {
    id: newMessageId(call.randomness),
    body,
    attributes: given === undefined ? NO_ATTRIBUTES : withPlainNumbers(attributes),
    senderId: call.caller.senderId,
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
    ...(delaySeconds === undefined ? {} : { delayMs: delaySeconds * 1000 }),
  };
  return { message, size, attributes, traceHeader: givenTrace };
}

/** The answer to the sender of a message. */
function answerTo({ message, attributes, traceHeader }: AcceptedMessage, sent: SentMessage): Output<'SendMessage'> {
  return {
    MD5OfMessageBody: md5OfBody(message.body),
    MD5OfMessageAttributes: attributes === NO_ATTRIBUTES ? undefined : md5OfAttributes(attributes),
    MD5OfMessageSystemAttributes: traceHeader === undefined ? undefined : md5OfSystemAttributes(traceHeader),
    MessageId: sent.id,
    SequenceNumber: sent.sequenceNumber,
  };
}

function tooLarge(queue: QueueDefinition, wording: Wording): SqsError {
  const most = queue.attributes.maximumMessageSizeBytes;
  return new SqsError(
    'InvalidParameterValue',
    `${wording.oversized} Reason: Message must be shorter than ${most} bytes.`,
  );
}

function readDelay(seconds: number, queue: QueueDefinition, maxDelaySeconds: number): number | undefined {
  if (queue.fifo) {
    if (seconds !== 0) throw invalidParameter('DelaySeconds', seconds, NOT_FOR_THIS_TYPE);
    return undefined;
  }
  // A longer delay than SQS knows would only expire in the queue if it went beyond the retention period.
  const retention = queue.attributes.messageRetentionPeriodSeconds;
  const most = Math.max(MAX_DELAY_SECONDS, Math.min(maxDelaySeconds, retention));
  if (seconds < 0 || seconds > most) {
    throw invalidParameter('DelaySeconds', seconds, `DelaySeconds must be >= 0 and <= ${most}.`);
  }
  return seconds;
}

function readGroup(groupId: string | undefined, queue: QueueDefinition): string | undefined {
  if (groupId === undefined) {
    if (queue.fifo) throw missingParameter('MessageGroupId');
    return undefined;
  }
  if (queue.fifo && groupId === '') throw missingParameter('MessageGroupId');
  return checkFifoId('MessageGroupId', groupId);
}

/** `undefined` where the queue itself derives it from the body. */
function readDeduplicationId(id: string | undefined, queue: QueueDefinition): string | undefined {
  if (!queue.fifo) {
    if (id !== undefined) throw invalidParameter('MessageDeduplicationId', id, NOT_FOR_THIS_TYPE);
    return undefined;
  }
  if (id !== undefined) return checkFifoId('MessageDeduplicationId', id);
  if (queue.attributes.contentBasedDeduplication) return undefined;
  throw new SqsError(
    'InvalidParameterValue',
    'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}

/** Errors: `InvalidParameterValue`, unless 1 to 128 letters, digits and punctuation. */
export function checkFifoId(parameter: string, id: string): string {
  if (FIFO_ID.test(id)) return id;
  throw invalidParameter(
    parameter,
    id,
    `${parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
  );
}
