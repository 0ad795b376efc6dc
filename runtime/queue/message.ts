/**
 * What a message is: as a sender gives it, as a receiver gets it.
 *
 * @module
 */

import { createHash, type Hash, hash } from 'node:crypto';
import { MESSAGE_ID_HEAD_CHARACTERS, messageIdOf } from '../store/steps.ts';
import type { Lease } from '../store/store.ts';
import type { Randomness } from '../time.ts';

/** A message attribute as SQS models it: a data type with an optional custom suffix, and either a string or bytes. */
export type MessageAttribute =
  | { readonly dataType: string; readonly stringValue: string }
  | { readonly dataType: string; readonly binaryValue: Uint8Array };

/** Message attributes by name; the order of the names carries no meaning. */
export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

/** Most messages have none. No prototype: `__proto__` is a legal attribute name. */
export const NO_ATTRIBUTES: MessageAttributes = Object.freeze(Object.create(null));

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
  /**
   * Whether a message with the same deduplication id was accepted in the last five minutes, so that this one was not
   * stored.
   */
  readonly duplicate: boolean;
}

/** A message handed to a consumer, with the lease that this receive began. */
export interface ReceivedMessage extends Message {
  /** By which whoever received it in this process settles it. */
  readonly lease: Lease;
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
  /**
   * When the lease ends, on this process's monotonic clock (`Time.monotonic`), counted from before the call, so never
   * too late.
   */
  readonly leaseEndsAt: number;
  /** When it was sent, on the same clock; how long ago that is comes from the store's clock. */
  readonly bornAt: number;
  /** When it was due: sent, its delay over, or its last lease ended; on the same clock. */
  readonly dueAt: number;
}

/** A new id for a message. */
export function newMessageId(randomness: Pick<Randomness, 'uuid'>): string {
  return messageIdOf(randomness.uuid().slice(0, MESSAGE_ID_HEAD_CHARACTERS));
}

/*
 * The MD5 digests of SQS. SDKs verify them, so a wrong one makes the server unusable.
 * Source: "Calculating the MD5 message digest for message attributes", SQS Developer Guide.
 */

/** Transport types of the algorithm: how the value is encoded in the digested bytes. */
const STRING_VALUE = 1;
const BINARY_VALUE = 2;

/** `MD5OfMessageBody` and `MD5OfBody`: lower-case hex. */
export function md5OfBody(body: string): string {
  return hash('md5', body, 'hex');
}

/**
 * `MD5OfMessageAttributes`: lower-case hex over the given attributes; `undefined` if there are none (the member is then
 * left out of the answer).
 */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  if (hasNone(attributes)) return undefined;
  const entries = Object.entries(attributes).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const digest = createHash('md5');
  for (const [name, attribute] of entries) digestAttribute(digest, name, attribute);
  return digest.digest('hex');
}

/** Most messages have no attributes. */
export function hasNone(attributes: MessageAttributes): boolean {
  for (const _ in attributes) return false;
  return true;
}

/**
 * `MD5OfMessageSystemAttributes`: the same algorithm over the only system attribute a sender may give; `undefined`
 * without one.
 */
export function md5OfSystemAttributes(traceHeader: string | undefined): string | undefined {
  if (traceHeader === undefined) return undefined;
  return md5OfAttributes({ AWSTraceHeader: { dataType: 'String', stringValue: traceHeader } });
}

/** The member of a trace header by which the consumer counts how often a chain of messages went through a function. */
export const TURNS_MEMBER = 'Karin';

/** The trace header without the counted turns; `undefined`: nothing else is in it. */
export function withoutTurns(traceHeader: string): string | undefined {
  const kept = traceHeader.split(';').filter((member) => !member.trimStart().startsWith(`${TURNS_MEMBER}=`));
  return kept.length === 0 ? undefined : kept.join(';');
}

function digestAttribute(digest: Hash, name: string, attribute: MessageAttribute): void {
  digestWithLength(digest, Buffer.from(name));
  digestWithLength(digest, Buffer.from(attribute.dataType));
  if ('stringValue' in attribute) {
    digest.update(Uint8Array.of(STRING_VALUE));
    digestWithLength(digest, Buffer.from(attribute.stringValue));
  } else {
    digest.update(Uint8Array.of(BINARY_VALUE));
    digestWithLength(digest, attribute.binaryValue);
  }
}

function digestWithLength(digest: Hash, bytes: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.byteLength);
  digest.update(length).update(bytes);
}
