/**
 * How values travel to the scripts and back.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import { MESSAGE_ID_HEAD_BYTES, MESSAGE_ID_HEAD_CHARACTERS, messageIdOf } from '../../queue/message.ts';
import { StoreUnavailableError } from '../store.ts';

const TIME_BYTES = 6;

/** The 16 bytes of a UUID, or those of its beginning. */
export function idBytes(id: string): Buffer {
  return Buffer.from(id.replaceAll('-', ''), 'hex');
}

/**
 * The bytes that stand for a message id in the keys of a standard queue: the first 12 where the others follow from
 * them, as in every id that Karin gave, and else all 16. Each message has its id in a sorted set and a hash, and
 * another hash once it is received; docs/decisions/short-message-ids.md counts what that saves.
 */
export function shortIdBytes(id: string): Buffer {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
  const isOwn = crc32(id.slice(0, MESSAGE_ID_HEAD_CHARACTERS)) === bytes.readUInt32BE(MESSAGE_ID_HEAD_BYTES);
  return isOwn ? bytes.subarray(0, MESSAGE_ID_HEAD_BYTES) : bytes;
}

/** The UUID of its 16 bytes, or of those of `shortIdBytes`. */
export function idText(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  const text = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return bytes.length === MESSAGE_ID_HEAD_BYTES ? messageIdOf(text) : text;
}

/** Splits a stored value into the time it was sent and the record. */
export function storedValue(value: Buffer): { readonly sentAt: number; readonly record: Buffer } {
  return { sentAt: value.readUIntBE(0, TIME_BYTES), record: value.subarray(TIME_BYTES) };
}

/** Twenty digits, as SQS writes sequence numbers. */
export function sequenceText(sequence: number): string {
  return String(sequence).padStart(20, '0');
}

/** Bytes for the driver, which takes only Buffers. */
export function buffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads the flat reply of a script value by value, and says so if it is not what the script should answer. */
export class ReplyReader {
  readonly #values: readonly unknown[];
  #next = 0;

  constructor(reply: unknown) {
    if (!Array.isArray(reply)) throw unexpected(reply);
    this.#values = reply;
  }

  get done(): boolean {
    return this.#next >= this.#values.length;
  }

  integer(): number {
    const value = this.#values[this.#next++];
    if (typeof value !== 'number') throw unexpected(value);
    return value;
  }

  bytes(): Buffer {
    const value = this.#values[this.#next++];
    if (!Buffer.isBuffer(value)) throw unexpected(value);
    return value;
  }

  text(): string {
    return this.bytes().toString();
  }

  /** A number of milliseconds, where -1 stands for none. */
  optionalMs(): number | undefined {
    const value = this.integer();
    return value === -1 ? undefined : value;
  }
}

/** A reply that is a list of numbers. */
export function integersIn(reply: unknown): readonly number[] {
  if (!Array.isArray(reply)) throw unexpected(reply);
  for (const value of reply) if (typeof value !== 'number') throw unexpected(value);
  return reply;
}

/** A reply that is one number. */
export function integerReply(reply: unknown): number {
  return new ReplyReader([reply]).integer();
}

function unexpected(value: unknown): StoreUnavailableError {
  return new StoreUnavailableError(`Redis answered a script with an unexpected ${typeof value}`);
}
