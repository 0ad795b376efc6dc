import type { QueueDefinition } from '../../queue/definition.ts';
import { type MessageAttributes, md5OfAttributes, md5OfBody, type ReceivedMessage } from '../../queue/message.ts';
import { invalidParameter } from '../errors.ts';
import { MAX_RECEIVED_MESSAGES, MAX_VISIBILITY_TIMEOUT_SECONDS, MAX_WAIT_SECONDS } from '../limits.ts';
import type { AttributeValue, Input, ReceivedEntry } from '../protocol/model.ts';
import { queueAction } from './action.ts';
import { checkFifoId } from './send.ts';

const EVERY_ATTRIBUTE: ReadonlySet<string> = new Set(['All', '*', '.*']);

/**
 * Bytes of messages in one answer. SQS may answer with fewer messages than were asked for at any time; ten of the
 * largest would take the server some 30 MB until they are read. One message is always given.
 */
const MOST_RECEIVED_BYTES = 2 * 1_048_576;

export const receiveMessage = queueAction('ReceiveMessage', 'consume', async (queue, input, call) => {
  const { definition } = queue;
  const request = readRequest(input, definition);
  const messages = await queue.receive({
    ...request,
    maxBytes: MOST_RECEIVED_BYTES,
    inRoom: true,
    signal: call.signal,
  });
  if (messages.length === 0) return {};
  const systemNames = new Set([...(input.AttributeNames ?? []), ...(input.MessageSystemAttributeNames ?? [])]);
  const selects = attributeFilter(input.MessageAttributeNames ?? []);
  return { Messages: messages.map((message) => answer(message, systemNames, selects)) };
});

function readRequest(input: Input<'ReceiveMessage'>, queue: QueueDefinition) {
  const maxMessages = input.MaxNumberOfMessages ?? 1;
  if (maxMessages < 1 || maxMessages > MAX_RECEIVED_MESSAGES) {
    const reason = `Must be between 1 and ${MAX_RECEIVED_MESSAGES}, if provided.`;
    throw invalidParameter('MaxNumberOfMessages', maxMessages, reason);
  }
  const waitSeconds = input.WaitTimeSeconds ?? queue.attributes.receiveMessageWaitTimeSeconds;
  if (waitSeconds < 0 || waitSeconds > MAX_WAIT_SECONDS) {
    const reason = `Must be >= 0 and <= ${MAX_WAIT_SECONDS}, if provided.`;
    throw invalidParameter('WaitTimeSeconds', waitSeconds, reason);
  }
  const visibility = input.VisibilityTimeout;
  if (visibility !== undefined && (visibility < 0 || visibility > MAX_VISIBILITY_TIMEOUT_SECONDS)) {
    const reason = `Must be >= 0 and <= ${MAX_VISIBILITY_TIMEOUT_SECONDS}, if provided.`;
    throw invalidParameter('VisibilityTimeout', visibility, reason);
  }
  // Standard queues have no use for an attempt id, but frameworks send one with every receive.
  const attemptId =
    queue.fifo && input.ReceiveRequestAttemptId !== undefined
      ? checkFifoId('ReceiveRequestAttemptId', input.ReceiveRequestAttemptId)
      : undefined;
  return {
    maxMessages,
    waitMs: waitSeconds * 1000,
    ...(visibility === undefined ? {} : { visibilityTimeoutMs: visibility * 1000 }),
    ...(attemptId === undefined ? {} : { attemptId }),
  };
}

/**
 * Which message attributes are returned: names, `prefix.*` (all that begin with the text before `.*`), and `All`, `*`
 * and `.*` for every one. Unknown names select nothing. Source: SQS API reference, ReceiveMessage; `*` as recorded from
 * SQS.
 */
function attributeFilter(names: readonly string[]): (name: string) => boolean {
  if (names.some((name) => EVERY_ATTRIBUTE.has(name))) return () => true;
  const exact = new Set(names);
  const prefixes = names.filter((name) => name.endsWith('.*')).map((name) => name.slice(0, -2));
  return (name) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix));
}

function answer(
  message: ReceivedMessage,
  systemNames: ReadonlySet<string>,
  selects: (name: string) => boolean,
): ReceivedEntry {
  const attributes = Object.entries(message.attributes).filter(([name]) => selects(name));
  const system = systemAttributes(message).filter(([name]) => systemNames.has('All') || systemNames.has(name));
  return {
    MessageId: message.id,
    ReceiptHandle: message.receiptHandle,
    MD5OfBody: md5OfBody(message.body),
    Body: message.body,
    Attributes: new Map(system),
    // Over the returned attributes alone: that is what clients can check.
    MD5OfMessageAttributes: md5OfAttributes(Object.fromEntries(attributes)),
    MessageAttributes: wireAttributes(attributes),
  };
}

function systemAttributes(message: ReceivedMessage): readonly (readonly [string, string])[] {
  const all: readonly (readonly [string, string | undefined])[] = [
    ['SenderId', message.senderId],
    ['SentTimestamp', String(message.sentAt)],
    ['ApproximateReceiveCount', String(message.receiveCount)],
    ['ApproximateFirstReceiveTimestamp', String(message.firstReceivedAt)],
    ['SequenceNumber', message.sequenceNumber],
    ['MessageDeduplicationId', message.deduplicationId],
    ['MessageGroupId', message.groupId],
    ['AWSTraceHeader', message.traceHeader],
    ['DeadLetterQueueSourceArn', message.deadLetterSourceArn],
  ];
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

function wireAttributes(attributes: readonly (readonly [string, MessageAttributes[string]])[]) {
  return new Map(
    attributes.map(([name, attribute]): [string, AttributeValue] => [
      name,
      'stringValue' in attribute
        ? { StringValue: attribute.stringValue, DataType: attribute.dataType }
        : { BinaryValue: attribute.binaryValue, DataType: attribute.dataType },
    ]),
  );
}
