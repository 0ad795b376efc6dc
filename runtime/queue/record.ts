/**
 * The record: the bytes that the store keeps of a message and never opens.
 *
 * One msgpack array whose first element is the version, so that the version is a byte of its own. Fields stand in a
 * fixed order and trailing absent ones are left out: a plain message costs eight bytes beside its body and sender. What
 * the store keeps itself (id, sent time, receive count, sequence number) is not repeated here.
 *
 * A server that meets a version it does not know (a rolling deploy) leaves the message alone; `RecordError` says so.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { decode, encode } from '@msgpack/msgpack';
import type { NewEntry } from '../store/store.ts';
import type { QueueAttributes, QueueDefinition } from './definition.ts';
import {
  type Message,
  type MessageAttribute,
  type MessageAttributes,
  NO_ATTRIBUTES,
  type OutgoingMessage,
} from './message.ts';

/** The content of a record: a message without its id, and what a move between queues has to remember. */
export interface RecordContent {
  readonly message: Message;
  /**
   * How often the message had been received when it came into this queue from another one; `maxReceiveCount` counts
   * from there. 0 unless it was moved.
   */
  readonly receivedBefore: number;
}

/** The bytes are not a record that this version of Karin can read. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

const VERSION = 1;

/** Writes the record of a message. */
export function encodeRecord(message: Message, receivedBefore = 0): Uint8Array {
  const fields: Field[] = [
    VERSION,
    message.body,
    message.senderId,
    message.attributes === NO_ATTRIBUTES ? null : packAttributes(message.attributes),
    message.groupId ?? null,
    message.deduplicationId ?? null,
    message.traceHeader ?? null,
    message.deadLetterSourceArn ?? null,
    receivedBefore === 0 ? null : receivedBefore,
  ];
  while (fields[fields.length - 1] === null) fields.pop();
  const most = mostBytesOf(fields);
  // Half a surrogate pair has no UTF-8; the library writes it so that it is read back as it was.
  if (Number.isNaN(most)) return encode(fields);
  const bytes = Buffer.allocUnsafe(most);
  return bytes.subarray(0, writeField(bytes, 0, fields));
}

/** Reads a record back; `id` is the store's. Errors: `RecordError`. */
export function decodeRecord(id: string, record: Uint8Array): RecordContent {
  let fields: unknown;
  try {
    // A plain view: from a Buffer the bytes inside would come out as Buffers.
    fields = decode(new Uint8Array(record.buffer, record.byteOffset, record.byteLength));
  } catch (cause) {
    throw new RecordError(`the record of message ${id} is not msgpack`, { cause });
  }
  if (!Array.isArray(fields)) throw new RecordError(`the record of message ${id} is not an array`);
  const [version, body, senderId, attributes, groupId, deduplicationId, traceHeader, deadLetterSourceArn, before] =
    fields as readonly unknown[];
  if (version !== VERSION) {
    throw new RecordError(
      `message ${id} was stored with record version ${String(version)}; this server reads ${VERSION}`,
    );
  }
  if (typeof body !== 'string' || typeof senderId !== 'string') {
    throw new RecordError(`the record of message ${id} has no body or no sender`);
  }
  return {
    message: {
      id,
      body,
      senderId,
      attributes: attributes === null || attributes === undefined ? NO_ATTRIBUTES : unpackAttributes(id, attributes),
      ...(typeof groupId === 'string' ? { groupId } : {}),
      ...(typeof deduplicationId === 'string' ? { deduplicationId } : {}),
      ...(typeof traceHeader === 'string' ? { traceHeader } : {}),
      ...(typeof deadLetterSourceArn === 'string' ? { deadLetterSourceArn } : {}),
    },
    receivedBefore: typeof before === 'number' ? before : 0,
  };
}

/** Name, data type, value, name, data type, value, ...; `null` for none. Strings and bytes tell themselves apart. */
function packAttributes(attributes: MessageAttributes): Field[] | null {
  const flat: Field[] = [];
  for (const name in attributes) {
    const attribute = attributes[name];
    if (attribute === undefined) continue;
    flat.push(name, attribute.dataType, 'stringValue' in attribute ? attribute.stringValue : attribute.binaryValue);
  }
  return flat.length === 0 ? null : flat;
}

function unpackAttributes(id: string, flat: unknown): MessageAttributes {
  // No prototype: `__proto__` is a legal attribute name.
  const attributes: Record<string, MessageAttribute> = Object.create(null);
  if (!Array.isArray(flat)) throw new RecordError(`the attributes of message ${id} are not an array`);
  for (let at = 0; at < flat.length; at += 3) {
    const [name, dataType, value] = flat.slice(at, at + 3) as readonly unknown[];
    if (typeof name !== 'string' || typeof dataType !== 'string') {
      throw new RecordError(`attribute ${at / 3} of message ${id} has no name or no data type`);
    }
    if (typeof value === 'string') attributes[name] = { dataType, stringValue: value };
    else if (value instanceof Uint8Array) attributes[name] = { dataType, binaryValue: value };
    else throw new RecordError(`attribute ${name} of message ${id} has neither a text nor bytes`);
  }
  return attributes;
}

/*
 * Writing msgpack. Every send writes one record, and the general encoder of the library took a twelfth of the time of a
 * send: it walks each text twice in JavaScript, where Node measures and writes it natively. What a record holds is
 * little: null, whole numbers from 0 on, texts, bytes, and a list of these.
 * Source of the format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */

/** Half a surrogate pair. */
const HALF_PAIR = /\p{Surrogate}/u;
/** Most bytes before a text, bytes or a list, and of a number. */
const HEAD_BYTES = 5;

type Field = null | number | string | Uint8Array | readonly Field[];

/** Bytes that a list takes at most; NaN where it has half a surrogate pair. */
function mostBytesOf(list: readonly Field[]): number {
  let most = HEAD_BYTES;
  for (const field of list) {
    most += HEAD_BYTES;
    if (field === null || typeof field === 'number') continue;
    if (typeof field === 'string') most += HALF_PAIR.test(field) ? Number.NaN : Buffer.byteLength(field);
    else most += field instanceof Uint8Array ? field.byteLength : mostBytesOf(field);
  }
  return most;
}

/** Writes a field at `at`; answers where the next one begins. */
function writeField(bytes: Buffer, at: number, field: Field): number {
  if (field === null) return bytes.writeUInt8(0xc0, at);
  if (typeof field === 'number') return field < 128 ? bytes.writeUInt8(field, at) : writeLength(bytes, at, 0xcc, field);
  if (typeof field === 'string') {
    const length = Buffer.byteLength(field);
    const start = length < 32 ? bytes.writeUInt8(0xa0 + length, at) : writeLength(bytes, at, 0xd9, length);
    return start + bytes.write(field, start);
  }
  if (field instanceof Uint8Array) {
    const start = writeLength(bytes, at, 0xc4, field.byteLength);
    bytes.set(field, start);
    return start + field.byteLength;
  }
  let next = field.length < 16 ? bytes.writeUInt8(0x90 + field.length, at) : writeCount(bytes, at, field.length);
  for (const item of field) next = writeField(bytes, next, item);
  return next;
}

/**
 * A number below 2^32 in 1, 2 or 4 bytes, after the type that stands for so many: `type`, the next, or the one after
 * it.
 */
function writeLength(bytes: Buffer, at: number, type: number, length: number): number {
  if (length < 256) return bytes.writeUInt8(length, bytes.writeUInt8(type, at));
  if (length < 65_536) return bytes.writeUInt16BE(length, bytes.writeUInt8(type + 1, at));
  return bytes.writeUInt32BE(length, bytes.writeUInt8(type + 2, at));
}

/** The head of a list of 16 items or more. */
function writeCount(bytes: Buffer, at: number, count: number): number {
  if (count < 65_536) return bytes.writeUInt16BE(count, bytes.writeUInt8(0xdc, at));
  return bytes.writeUInt32BE(count, bytes.writeUInt8(0xdd, at));
}

/*
 * A message as the store is given it.
 */

/** Errors: `MissingDeduplicationIdError`. */
export function newEntry(outgoing: OutgoingMessage, { attributes, fifo }: QueueDefinition): NewEntry {
  const { id, groupId, delayMs = attributes.delaySeconds * 1000 } = outgoing;
  if (!fifo || groupId === undefined) {
    return { id, record: encodeRecord(outgoing), delayMs, ...(groupId === undefined ? {} : { group: groupId }) };
  }
  const uniqueId = deduplicationId(outgoing, attributes);
  return {
    id,
    record: encodeRecord({ ...outgoing, deduplicationId: uniqueId }),
    delayMs,
    group: groupId,
    deduplicationKey: deduplicationKeyOf(uniqueId, groupId, attributes),
  };
}

/*
 * Deduplication of FIFO queues: which id a message has, and within what it must be unique.
 * Source: "Exactly-once processing in Amazon SQS" and `DeduplicationScope` of SetQueueAttributes.
 */

/**
 * A FIFO queue without content-based deduplication was given a message without an id. The SQS API refuses such a
 * request before it comes here.
 */
export class MissingDeduplicationIdError extends Error {
  override readonly name = 'MissingDeduplicationIdError';
}

/**
 * The given id, or SHA-256 of the body as lower-case hex (attributes do not count) where the queue is content-based.
 * Errors: `MissingDeduplicationIdError`.
 */
function deduplicationId(message: OutgoingMessage, attributes: QueueAttributes): string {
  if (message.deduplicationId !== undefined) return message.deduplicationId;
  if (attributes.contentBasedDeduplication) return createHash('sha256').update(message.body, 'utf8').digest('hex');
  throw new MissingDeduplicationIdError(
    'the queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}

/** What must be unique for five minutes: the id in the whole queue, or per group with the scope `messageGroup`. */
export function deduplicationKeyOf(id: string, group: string, attributes: QueueAttributes): string {
  // A group id has no spaces (alphanumeric and punctuation only), so no two pairs give one key.
  return attributes.deduplicationScope === 'messageGroup' ? `${group} ${id}` : id;
}
