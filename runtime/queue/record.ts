/**
 * The record: the bytes that the store keeps of a message and never opens.
 *
 * One msgpack array whose first element is the version, so that the version is a byte of its own. Fields stand in a fixed order and trailing absent ones are left out: a plain message costs
 * eight bytes beside its body and sender. What the store keeps itself (id, sent time, receive count, sequence number) is not repeated here.
 *
 * A server that meets a version it does not know (a rolling deploy) leaves the message alone; `RecordError` says so.
 *
 * @module
 */
import { decode, encode } from '@msgpack/msgpack';
import type { Message, MessageAttribute, MessageAttributes } from './message.ts';

/** The content of a record: a message without its id, and what a move between queues has to remember. */
export interface RecordContent {
  readonly message: Message;
  /** How often the message had been received when it came into this queue from another one; `maxReceiveCount` counts from there. 0 unless it was moved. */
  readonly receivedBefore: number;
}

/** The bytes are not a record that this version of Karin can read. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

const VERSION = 1;

/** Writes the record of a message. */
export function encodeRecord(message: Message, receivedBefore = 0): Uint8Array {
  const fields: unknown[] = [
    VERSION,
    message.body,
    message.senderId,
    packAttributes(message.attributes),
    message.groupId ?? null,
    message.deduplicationId ?? null,
    message.traceHeader ?? null,
    message.deadLetterSourceArn ?? null,
    receivedBefore === 0 ? null : receivedBefore,
  ];
  while (fields.at(-1) === null) fields.pop();
  return encode(fields);
}

/** Reads a record back; `id` is the store's. Errors: `RecordError`. */
export function decodeRecord(id: string, record: Uint8Array): RecordContent {
  const fields = decodeArray(id, record);
  const [version, body, senderId, attributes, groupId, deduplicationId, traceHeader, deadLetterSourceArn, before] =
    fields;
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
      attributes: unpackAttributes(id, attributes),
      ...(typeof groupId === 'string' ? { groupId } : {}),
      ...(typeof deduplicationId === 'string' ? { deduplicationId } : {}),
      ...(typeof traceHeader === 'string' ? { traceHeader } : {}),
      ...(typeof deadLetterSourceArn === 'string' ? { deadLetterSourceArn } : {}),
    },
    receivedBefore: typeof before === 'number' ? before : 0,
  };
}

function decodeArray(id: string, record: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    // A plain view: from a Buffer the bytes inside would come out as Buffers.
    value = decode(new Uint8Array(record.buffer, record.byteOffset, record.byteLength));
  } catch (cause) {
    throw new RecordError(`the record of message ${id} is not msgpack`, { cause });
  }
  if (!Array.isArray(value)) throw new RecordError(`the record of message ${id} is not an array`);
  return value;
}

/** Name, data type, value, name, data type, value, ...; `null` for none. Strings and bytes tell themselves apart. */
function packAttributes(attributes: MessageAttributes): unknown[] | null {
  const flat = Object.entries(attributes).flatMap(([name, attribute]) => [
    name,
    attribute.dataType,
    'stringValue' in attribute ? attribute.stringValue : attribute.binaryValue,
  ]);
  return flat.length === 0 ? null : flat;
}

function unpackAttributes(id: string, flat: unknown): MessageAttributes {
  // No prototype: `__proto__` is a legal attribute name.
  const attributes: Record<string, MessageAttribute> = Object.create(null);
  if (flat === null || flat === undefined) return attributes;
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
