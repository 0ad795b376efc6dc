/**
 * From what a sender gives to the message that is stored: all rules of SendMessage and of one entry of SendMessageBatch.
 *
 * @module
 */
import { md5OfAttributes, md5OfBody, md5OfSystemAttributes } from '../queue/digest.ts';
import type { OutgoingMessage, SentMessage } from '../queue/message.ts';
import { newMessageId } from '../queue/message-id.ts';
import type { QueueDefinition } from '../queue/queue-definition.ts';
import type { Call } from './actions/action.ts';
import { forbiddenCharacter, invalidParameter, missingParameter, SqsError } from './errors.ts';
import { FIFO_ID, MAX_DELAY_SECONDS } from './limits.ts';
import { readMessageAttributes, readTraceHeader, sizeOfAttributes, withPlainNumbers } from './message-attributes.ts';
import type { MessageInput, Output } from './protocol/model.ts';

/** A message that passed every rule. */
export interface AcceptedMessage {
  readonly message: OutgoingMessage;
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

/** Size of a message as SQS counts it, bytes: its body, and names, types and values of its attributes; system attributes do not count. */
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
  checkSize(sizeOf(input), queue, wording);
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
