/**
 * Every call to Redis goes through here: scripts by their digest, faults as errors of the store, an account of the
 * calls under way, and how values travel to the scripts and back.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Cluster, Redis } from 'ioredis';
import { MESSAGE_ID_HEAD_BYTES, MESSAGE_ID_HEAD_CHARACTERS, messageIdOf } from '../steps.ts';
import { StoreFullError, StoreUnavailableError } from '../store.ts';
import type { RedisConnection } from './connection.ts';
import { type Script, scriptText } from './scripts/script.ts';
export type Argument = string | number | Buffer;

export class RedisCalls {
  readonly #connection: RedisConnection;
  readonly #clock: (() => number) | undefined;
  readonly #onReadOnly: () => void;
  readonly #onRefused: () => void;
  readonly #texts = new Map<Script, { readonly digest: string; readonly text: string }>();
  #underWay = 0;
  #drained: (() => void) | undefined;
  #shebang = true;
  #refusal: string | undefined = 'Redis has not been reached yet';
  #count = 0;

  /**
   * `clock`: milliseconds since the epoch to use instead of the server's time; for tests. `onReadOnly`: the server
   * refused a call because it takes no writes; `onRefused`: for any other reason but a full memory.
   */
  constructor(
    connection: RedisConnection,
    clock: (() => number) | undefined,
    onReadOnly: () => void,
    onRefused: () => void,
  ) {
    this.#connection = connection;
    this.#clock = clock;
    this.#onReadOnly = onReadOnly;
    this.#onRefused = onRefused;
  }

  /** How many calls were made; tells whether anything happened since one last looked. */
  get count(): number {
    return this.#count;
  }

  /** Why calls fail at once; `undefined`: they are made. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** From now on calls are made. `shebang`: whether the server knows the first line of scripts. */
  allow(shebang: boolean): void {
    if (shebang !== this.#shebang) this.#texts.clear();
    this.#shebang = shebang;
    this.#refusal = undefined;
  }

  /** From now on calls fail at once, for this reason. */
  refuse(reason: string): void {
    this.#refusal = reason;
  }

  /**
   * Runs a script, together with others of the same turn of the event loop; at once if no call is under way, because
   * then nothing is gained by waiting for others. Strings in the reply are Buffers. `node`: the one server that may run
   * it; in a cluster that has moved the keys the call fails, and the next one finds them.
   */
  async script(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    node: Redis | Cluster = this.#connection.client,
  ): Promise<unknown> {
    if (this.#refusal !== undefined) throw new StoreUnavailableError(this.#refusal);
    if (this.#underWay > 0) this.#connection.gather();
    this.#count += 1;
    this.#underWay += 1;
    const { digest, text } = this.#texts.get(script) ?? this.#textOf(script);
    const rest = [keys.length, ...keys, ...args, this.#clock?.() ?? ''];
    try {
      return await node.callBuffer('evalsha', [digest, ...rest]);
    } catch (error) {
      // The server was restarted or has dropped the script: it is sent again, and kept.
      if (!messageOf(error).startsWith('NOSCRIPT')) throw this.#failed(error);
      return await node.callBuffer('eval', [text, ...rest]).catch((again: unknown) => {
        throw this.#failed(again);
      });
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#drained?.();
    }
  }

  /** Runs one plain command. Strings in the reply are Buffers. */
  async command(name: string, ...args: readonly Argument[]): Promise<unknown> {
    if (this.#refusal !== undefined) throw new StoreUnavailableError(this.#refusal);
    this.#count += 1;
    this.#underWay += 1;
    try {
      return await this.#connection.client.callBuffer(name, [...args]);
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#drained?.();
    }
  }

  /** Resolves when no call is under way. To be called once, when no more calls are made. */
  drain(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#underWay === 0) resolve();
      else this.#drained = resolve;
    });
  }

  #failed(error: unknown): Error {
    if (messageOf(error).startsWith('MOVED ')) this.#connection.learnSlots();
    else if (isReadOnly(messageOf(error))) this.#onReadOnly();
    else if (isReply(error) && !isOutOfMemory(messageOf(error))) this.#onRefused();
    return storeError(error);
  }

  #textOf(script: Script): { readonly digest: string; readonly text: string } {
    const text = scriptText(script, this.#shebang);
    const entry = { text, digest: createHash('sha1').update(text).digest('hex') };
    this.#texts.set(script, entry);
    return entry;
  }
}

/** This server must not be used, or cannot: what is wrong with it and how to mend that. */
export class UnsuitableRedisError extends Error {
  override readonly name = 'UnsuitableRedisError';
}

/** The one place where what Redis and its driver say becomes an error of the store. */
function storeError(error: unknown): Error {
  if (error instanceof StoreFullError || error instanceof StoreUnavailableError || error instanceof RangeError) {
    return error;
  }
  const message = messageOf(error);
  if (isOutOfMemory(message)) {
    return new StoreFullError('Redis has reached its memory limit and takes no more messages', { cause: bare(error) });
  }
  return new StoreUnavailableError(`Redis cannot serve this call: ${message}`, { cause: bare(error) });
}

/**
 * The error without what the driver attaches: the arguments of the command, which are message bodies or a password and
 * must not reach a log.
 */
export function bare(error: unknown): Error {
  const copy = new Error(messageOf(error));
  if (error instanceof Error) {
    copy.name = error.name;
    if (error.stack !== undefined) copy.stack = error.stack;
  }
  return copy;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Whether the server is a replica, and so takes no writes: after a fail-over its address may soon lead to the new
 * master.
 */
export function isReadOnly(message: string): boolean {
  return /^(READONLY |ERR .*-READONLY )/.test(message);
}

/**
 * Whether the server refuses for a state that passes without its being another server: it loads, was demoted, lacks
 * replicas, cannot save.
 */
export function isPassing(message: string): boolean {
  return /^(LOADING|CLUSTERDOWN|MASTERDOWN|BUSY|TRYAGAIN|NOREPLICAS|MISCONF) /.test(message) || isReadOnly(message);
}

/**
 * Whether the plan of a hosted server is used up, in the words of their providers; the server refuses every call until
 * that changes.
 */
export function isQuota(message: string): boolean {
  return /\b(requests?|commands?|bandwidth|transfer) limit exceeded|max[a-z ]{0,40}bandwidth exceeded|quota (is )?exceeded|exceeded [a-z ]{0,40}quota/i.test(
    message.slice(0, 500),
  );
}

/** Whether the server itself answered so, rather than the driver. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What the server said, in one short line for people; what a used up plan is called by it may be anything. */
export function refusalOf(message: string): string {
  const line = message.replace(/\s+/g, ' ').slice(0, 200);
  if (isQuota(message)) return `the plan of the Redis provider is used up (${line})`;
  if (line.includes('max number of clients')) {
    return `it takes no more connections (${line}): raise its maxclients, or close clients that are not needed`;
  }
  return line;
}

/** What the server said, as the driver reports replies. */
export function replyError(words: string): Error {
  return Object.assign(new Error(words), { name: 'ReplyError' });
}

/** With the text of a script before it, where the server adds that. */
export function isOutOfMemory(message: string): boolean {
  return /^(-?OOM |ERR .*-OOM )/.test(message);
}

/*
 * How values travel to the scripts and back.
 */

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

/** The value that is stored of a message with its own time; the scripts write that of new ones. */
export function valueToStore({ sentAt, record }: { readonly sentAt: number; readonly record: Uint8Array }): Buffer {
  const value = Buffer.allocUnsafe(TIME_BYTES + record.length);
  value.writeUIntBE(sentAt, 0, TIME_BYTES);
  value.set(record, TIME_BYTES);
  return value;
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
