/**
 * The real SQS queues, as a transfer needs them.
 *
 * @module
 */
import type { QueueArn } from '../queue/arn.ts';
import type { Message, MessageAttributes } from '../queue/message.ts';

/** A message for a real queue. */
export interface RealEntry {
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly traceHeader?: string;
  readonly groupId?: string;
  /** FIFO queues only. */
  readonly deduplicationId?: string;
  /** 0 to 900 s; standard queues only, SQS knows no delay of a single FIFO message. Absent: the queue's own. */
  readonly delaySeconds?: number;
}

/** What became of one entry of a send. */
export type RealSendOutcome =
  | { readonly kind: 'sent'; readonly messageId: string; readonly sequenceNumber?: string }
  /** Not accepted now; the same entry may be accepted later. */
  | { readonly kind: 'failed'; readonly reason: string }
  /** Never accepted as it is. */
  | { readonly kind: 'refused'; readonly reason: string };

/** A message received from a real queue; `id` is the one SQS gave it. */
export interface RealMessage extends Message {
  readonly receiptHandle: string;
  /** Epoch ms by the clock of SQS. */
  readonly sentAt: number;
  /** This receive included. */
  readonly receiveCount: number;
  readonly firstReceivedAt: number;
}

export interface RealReceive {
  /** 1 to 10. */
  readonly maxMessages: number;
  /** Long polling, 0 to 20 s. */
  readonly waitSeconds: number;
  readonly visibilityTimeoutSeconds: number;
  readonly signal?: AbortSignal;
}

/** The approximate counts of a real queue. */
export interface RealDepth {
  readonly visible: number;
  readonly delayed: number;
  readonly inFlight: number;
}

/** All calls reject with `TransferError` when trying again changes nothing, and with any other error when it may help. */
export interface RealQueues {
  /** Sends 1 to 10 messages of at most 1,048,576 bytes together; an outcome for each, in order. */
  send(queue: QueueArn, entries: readonly RealEntry[]): Promise<readonly RealSendOutcome[]>;
  receive(queue: QueueArn, request: RealReceive): Promise<readonly RealMessage[]>;
  /** Deletes 1 to 10 messages; whether each is gone. */
  delete(queue: QueueArn, receiptHandles: readonly string[]): Promise<readonly boolean[]>;
  depth(queue: QueueArn): Promise<RealDepth>;
  close(): void;
}

/** Messages in one call of SQS. */
export const MAX_BATCH_ENTRIES = 10;
/** Bytes of all messages of one call of SQS together: bodies, and names, types and values of attributes. Source: SQS quotas, "Message size". */
export const MAX_BATCH_BYTES = 1_048_576;

/** Cuts messages into batches that SQS takes in one call, keeping their order. */
export function batchesOf<M extends Pick<Message, 'body' | 'attributes'>>(messages: readonly M[]): readonly M[][] {
  const batches: M[][] = [];
  let batch: M[] = [];
  let bytes = 0;
  for (const message of messages) {
    const size = messageBytes(message);
    if (batch.length === MAX_BATCH_ENTRIES || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(message);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function messageBytes({ body, attributes }: Pick<Message, 'body' | 'attributes'>): number {
  let bytes = Buffer.byteLength(body);
  for (const [name, attribute] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(attribute.dataType);
    bytes += 'stringValue' in attribute ? Buffer.byteLength(attribute.stringValue) : attribute.binaryValue.byteLength;
  }
  return bytes;
}
