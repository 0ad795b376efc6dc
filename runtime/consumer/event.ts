/**
 * The event that a function receives: one JSON record per message, in the form of Lambda's own SQS trigger.
 *
 * Records are serialised one by one, so that a batch can be cut at the payload limit by adding up sizes; the event is
 * only ever put together from texts that exist already. Source: "Using Lambda with Amazon SQS", example event; the
 * rules for empty and absent members are those of recorded events.
 *
 * @module
 */

import {
  type MessageAttribute,
  md5OfAttributes,
  md5OfBody,
  NO_ATTRIBUTES,
  type ReceivedMessage,
} from '../queue/message.ts';
import { formatQueueArn, type QueueArn } from '../queue/names.ts';
/**
 * The largest payload of a synchronous Invoke, bytes of the serialised event. Source: Lambda quotas, "Invocation
 * payload".
 */
export const MAX_EVENT_BYTES = 6_291_456;

const HEAD = '{"Records":[';
const TAIL = ']}';

/**
 * One record of the event, serialised.
 *
 * The body is escaped, never re-written: the function reads exactly what was sent. Lone surrogates travel as `\udXXX`,
 * because UTF-8 cannot hold them.
 *
 * @param batchWindowSeconds `MaximumBatchingWindowInSeconds` of the mapping: with a window AWS writes
 *   `"md5OfMessageAttributes":null` for a message
 * without attributes, without one it leaves the member out.
 */
export function eventRecord(message: ReceivedMessage, queueArn: QueueArn, batchWindowSeconds: number): string {
  const attributesDigest = message.attributes === NO_ATTRIBUTES ? undefined : md5OfAttributes(message.attributes);
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
 * Bytes of the event with `recordCount` records of `totalRecordBytes` together (the sum of their {@link recordBytes});
 * equal to the length of {@link eventPayload}.
 */
export function eventBytes(totalRecordBytes: number, recordCount: number): number {
  return HEAD.length + totalRecordBytes + Math.max(0, recordCount - 1) + TAIL.length;
}

/**
 * The event with these records, as it is sent to Lambda: UTF-8 JSON. At least one record is expected: Lambda never
 * invokes with none.
 */
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

/**
 * A message attribute inside a record: both lists are always there and always empty, the scalar that does not apply is
 * absent.
 */
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

/*
 * The partial batch response: which messages of a batch a function reports as failed.
 *
 * A report that is not entirely understood fails the whole batch: its messages are seen again, none is lost. Source:
 * "Handling errors for an SQS event source in Lambda", "Success and failure conditions". One row differs from what was
 * once recorded on AWS: a failure entry without `itemIdentifier` (`[{}]`) is malformed here, where AWS has been seen to
 * delete the batch.
 */

/** What a response of a function with `ReportBatchItemFailures` means for its batch. */
export type BatchResponse =
  /** Everything was handled: delete all. */
  | { readonly kind: 'success' }
  /** Delete all but these. */
  | { readonly kind: 'partial'; readonly failed: ReadonlySet<string> }
  /** Delete nothing; `detail` says what is wrong with the report, for the operator. */
  | { readonly kind: 'malformed'; readonly detail: string };

const SUCCESS: BatchResponse = { kind: 'success' };

/** Bytes of an answer that may be quoted in a log line. */
const QUOTE_LIMIT = 80;

/**
 * Reads the response of a successful Invoke.
 *
 * @param sentIds The message ids of this very invocation: an id of another batch, or of a message that a filter
 *   removed, makes the report malformed.
 * Compared exactly, without trimming or folding of case.
 */
export function failedIds(response: Uint8Array, sentIds: ReadonlySet<string>): BatchResponse {
  if (response.byteLength === 0) return SUCCESS;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { ignoreBOM: true }).decode(response));
  } catch {
    return malformed('the response is not valid JSON');
  }
  if (value === null) return SUCCESS;
  if (typeof value !== 'object' || Array.isArray(value)) {
    return malformed(`the response is ${kindOf(value)} where an object or null is expected`);
  }
  const failures: unknown = 'batchItemFailures' in value ? value.batchItemFailures : null;
  if (failures === null) return SUCCESS;
  if (!Array.isArray(failures)) return malformed(`batchItemFailures is ${kindOf(failures)} where an array is expected`);
  if (failures.length === 0) return SUCCESS;

  const failed = new Set<string>();
  for (const [index, entry] of failures.entries()) {
    const where = `batchItemFailures[${index}]`;
    if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
      return malformed(`${where} is ${kindOf(entry)} where an object with itemIdentifier is expected`);
    }
    const id: unknown = Object.hasOwn(entry, 'itemIdentifier') ? entry.itemIdentifier : undefined;
    if (typeof id !== 'string') return malformed(`${where}.itemIdentifier is ${kindOf(id)} where a string is expected`);
    if (id === '') return malformed(`${where}.itemIdentifier is empty`);
    if (!sentIds.has(id)) {
      return malformed(
        `${where}.itemIdentifier ${JSON.stringify(id.slice(0, QUOTE_LIMIT))} is no message of this batch`,
      );
    }
    failed.add(id);
  }
  return { kind: 'partial', failed };
}

function malformed(detail: string): BatchResponse {
  return { kind: 'malformed', detail };
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
