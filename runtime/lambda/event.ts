/**
 * The event that a function receives: one JSON record per message, in the form of Lambda's own SQS trigger.
 *
 * Records are serialised one by one, so that a batch can be cut at the payload limit by adding up sizes; the event is only ever put together
 * from texts that exist already. Source: "Using Lambda with Amazon SQS", example event; the rules for empty and absent members are those of recorded events.
 *
 * @module
 */
import { formatQueueArn, type QueueArn } from '../queue/arn.ts';
import { md5OfAttributes, md5OfBody } from '../queue/digest.ts';
import type { MessageAttribute, ReceivedMessage } from '../queue/message.ts';

/** The largest payload of a synchronous Invoke, bytes of the serialised event. Source: Lambda quotas, "Invocation payload". */
export const MAX_EVENT_BYTES = 6_291_456;

const HEAD = '{"Records":[';
const TAIL = ']}';

/**
 * One record of the event, serialised.
 *
 * The body is escaped, never re-written: the function reads exactly what was sent. Lone surrogates travel as `\udXXX`, because UTF-8 cannot hold them.
 *
 * @param batchWindowSeconds `MaximumBatchingWindowInSeconds` of the mapping: with a window AWS writes `"md5OfMessageAttributes":null` for a message
 * without attributes, without one it leaves the member out.
 */
export function eventRecord(message: ReceivedMessage, queueArn: QueueArn, batchWindowSeconds: number): string {
  const attributesDigest = md5OfAttributes(message.attributes);
  return JSON.stringify({
    messageId: message.id,
    receiptHandle: message.receiptHandle,
    body: message.body,
    attributes: systemAttributes(message),
    messageAttributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, attribute]) => [name, attributeRecord(attribute)]),
    ),
    ...(attributesDigest !== undefined && { md5OfMessageAttributes: attributesDigest }),
    ...(attributesDigest === undefined && batchWindowSeconds > 0 && { md5OfMessageAttributes: null }),
    md5OfBody: md5OfBody(message.body),
    eventSource: 'aws:sqs',
    eventSourceARN: formatQueueArn(queueArn),
    awsRegion: queueArn.region,
  });
}

/** Bytes of one serialised record. */
export function recordBytes(record: string): number {
  return Buffer.byteLength(record, 'utf8');
}

/**
 * Bytes of the event with `recordCount` records of `totalRecordBytes` together (the sum of their {@link recordBytes}); equal to the length of {@link eventPayload}.
 */
export function eventBytes(totalRecordBytes: number, recordCount: number): number {
  return HEAD.length + totalRecordBytes + Math.max(0, recordCount - 1) + TAIL.length;
}

/** The event with these records, as it is sent to Lambda: UTF-8 JSON. At least one record is expected: Lambda never invokes with none. */
export function eventPayload(records: readonly string[]): Uint8Array {
  return Buffer.from(`${HEAD}${records.join(',')}${TAIL}`, 'utf8');
}

/** `attributes` of a record: all values are strings, what does not apply is absent. */
export function systemAttributes(message: ReceivedMessage): Record<string, string> {
  return {
    ApproximateReceiveCount: String(message.receiveCount),
    ...(message.traceHeader !== undefined && { AWSTraceHeader: message.traceHeader }),
    SentTimestamp: String(message.sentAt),
    ...(message.sequenceNumber !== undefined && { SequenceNumber: message.sequenceNumber }),
    ...(message.groupId !== undefined && { MessageGroupId: message.groupId }),
    SenderId: message.senderId,
    ...(message.deduplicationId !== undefined && { MessageDeduplicationId: message.deduplicationId }),
    ApproximateFirstReceiveTimestamp: String(message.firstReceivedAt),
    ...(message.deadLetterSourceArn !== undefined && { DeadLetterQueueSourceArn: message.deadLetterSourceArn }),
  };
}

/** A message attribute inside a record: both lists are always there and always empty, the scalar that does not apply is absent. */
export interface AttributeRecord {
  readonly stringValue?: string;
  /** Base64. */
  readonly binaryValue?: string;
  readonly stringListValues: readonly never[];
  readonly binaryListValues: readonly never[];
  readonly dataType: string;
}

/** One entry of `messageAttributes` of a record. */
export function attributeRecord(attribute: MessageAttribute): AttributeRecord {
  const scalar =
    'stringValue' in attribute
      ? { stringValue: attribute.stringValue }
      : { binaryValue: Buffer.from(attribute.binaryValue).toString('base64') };
  return { ...scalar, stringListValues: [], binaryListValues: [], dataType: attribute.dataType };
}
