import type { QueueDefinition } from '../../queue/definition.ts';
import {
  md5OfAttributes,
  md5OfBody,
  md5OfSystemAttributes,
  newMessageId,
  type OutgoingMessage,
  type SentMessage,
} from '../../queue/message.ts';
import type { Queue } from '../../queue/queue.ts';
import { type BatchEntry, checkBatch, partition } from '../batch.ts';
import { forbiddenCharacter, invalidParameter, missingParameter, SqsError } from '../errors.ts';
import { FIFO_ID, MAX_DELAY_SECONDS, MAX_MESSAGE_BYTES } from '../limits.ts';
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
  return accepted.answer(sent);
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
    return { Id: id, ...value.answer(outcome) };
  });
  return { Successful, Failed: failed };
});

function checkTotal(entries: readonly BatchEntry<MessageInput>[]): number {
  const total = entries.reduce((sum, { entry }) => sum + sizeOf(entry), 0);
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
export interface AcceptedMessage {
  readonly message: OutgoingMessage;
  /** As SQS counts it, bytes. */
  readonly size: number;
  /** The answer to its sender. */
  answer(sent: SentMessage): Output<'SendMessage'>;
}

/** How the two actions name the same faults. */
export interface Wording {
  /** What a missing body is called. */
  readonly body: string;
  /** How the text about an oversized message begins. */
  readonly oversized: string;
}

export const SINGLE_WORDING: Wording = { body: 'MessageBody', oversized: 'One or more parameters are invalid.' };

const NOT_FOR_THIS_TYPE = 'The request include parameter that is not valid for this queue type.';

/**
 * Size of a message as SQS counts it, bytes: its body, and names, types and values of its attributes; system attributes
 * do not count.
 */
export function sizeOf(input: MessageInput): number {
  return Buffer.byteLength(input.MessageBody ?? '') + sizeOfAttributes(input.MessageAttributes);
}

/** Errors: `MissingParameter`, `InvalidMessageContents`, `InvalidParameterValue`, `UnsupportedOperation`. */
export function acceptMessage(
  input: MessageInput,
  queue: QueueDefinition,
  call: Pick<Call, 'caller' | 'randomness' | 'maxDelaySeconds' | 'traceHeader'>,
  wording: Wording = SINGLE_WORDING,
): AcceptedMessage {
  const body = readBody(input.MessageBody, wording);
  const attributes = readMessageAttributes(input.MessageAttributes);
  const givenTrace = readTraceHeader(input.MessageSystemAttributes);
  const size = sizeOf(input);
  checkSize(size, queue, wording);
  const delaySeconds = readDelay(input.DelaySeconds, queue, call.maxDelaySeconds);
  const groupId = readGroup(input.MessageGroupId, queue);
  const deduplicationId = readDeduplicationId(input.MessageDeduplicationId, queue);
  const traceHeader = givenTrace ?? call.traceHeader;
  const message = {
    id: newMessageId(call.randomness),
    body,
    attributes: withPlainNumbers(attributes),
    senderId: call.caller.senderId,
    ...(traceHeader === undefined ? {} : { traceHeader }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
    ...(delaySeconds === undefined ? {} : { delayMs: delaySeconds * 1000 }),
  };
  return {
    message,
    size,
    answer: (sent) => ({
      MD5OfMessageBody: md5OfBody(body),
      MD5OfMessageAttributes: md5OfAttributes(attributes),
      MD5OfMessageSystemAttributes: md5OfSystemAttributes(givenTrace),
      MessageId: sent.id,
      SequenceNumber: sent.sequenceNumber,
    }),
  };
}

function readBody(body: string | undefined, wording: Wording): string {
  if (body === undefined || body === '') throw missingParameter(wording.body);
  const problem = forbiddenCharacter(body, 'message body');
  if (problem !== undefined) throw new SqsError('InvalidMessageContents', problem);
  return body;
}

function checkSize(size: number, queue: QueueDefinition, wording: Wording): void {
  const most = queue.attributes.maximumMessageSizeBytes;
  if (size <= most) return;
  throw new SqsError(
    'InvalidParameterValue',
    `${wording.oversized} Reason: Message must be shorter than ${most} bytes.`,
  );
}

function readDelay(seconds: number | undefined, queue: QueueDefinition, maxDelaySeconds: number): number | undefined {
  if (seconds === undefined) return undefined;
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
