/**
 * What a message is: as a sender gives it, as a receiver gets it.
 *
 * @module
 */

/** A message attribute as SQS models it: a data type with an optional custom suffix, and either a string or bytes. */
export type MessageAttribute =
  | { readonly dataType: string; readonly stringValue: string }
  | { readonly dataType: string; readonly binaryValue: Uint8Array };

/** Message attributes by name; the order of the names carries no meaning. */
export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

/** What the store keeps of a message and never changes: the content of its record. */
export interface Message {
  /** UUID, assigned by Karin before the store is called, so that a repeated call cannot store the message twice. */
  readonly id: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  /** Who sent it, as ReceiveMessage reports `SenderId`. */
  readonly senderId: string;
  /** `AWSTraceHeader`, from the message system attribute or the `X-Amzn-Trace-Id` request header. */
  readonly traceHeader?: string;
  /** `MessageGroupId`: required on FIFO queues, optional on standard ones (fair queues). */
  readonly groupId?: string;
  /** `MessageDeduplicationId`, given or computed (SHA-256 hex of the body); FIFO only. */
  readonly deduplicationId?: string;
  /** `DeadLetterQueueSourceArn`: the queue this message was moved from, if it sits in a dead-letter queue. */
  readonly deadLetterSourceArn?: string;
}

/** A message to be sent. */
export interface OutgoingMessage extends Message {
  /** Milliseconds until it may first be received; `undefined`: the queue's own `DelaySeconds`. */
  readonly delayMs?: number;
}

/** The answer to a send of one message. */
export interface SentMessage {
  /** The id that the sender is told: that of the first message where this one was a duplicate. */
  readonly id: string;
  /** FIFO queues: 20 digits. */
  readonly sequenceNumber?: string;
  /** Whether a message with the same deduplication id was accepted in the last five minutes, so that this one was not stored. */
  readonly duplicate: boolean;
}

/** A message handed to a consumer, with the lease that this receive began. */
export interface ReceivedMessage extends Message {
  /** Opaque; new on every receive; valid for DeleteMessage and ChangeMessageVisibility of the SQS API. */
  readonly receiptHandle: string;
  /** `SentTimestamp`, milliseconds since the epoch by the store's clock. */
  readonly sentAt: number;
  /** `ApproximateReceiveCount`, this receive included: 1 or more. */
  readonly receiveCount: number;
  /** `ApproximateFirstReceiveTimestamp`, milliseconds since the epoch. */
  readonly firstReceivedAt: number;
  /** FIFO queues: 20 digits. */
  readonly sequenceNumber?: string;
  /** When the lease ends, on this process's monotonic clock (`Time.monotonic`), counted from before the call, so never too late. */
  readonly leaseEndsAt: number;
}
