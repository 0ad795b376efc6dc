/**
 * Every call to Redis goes through here: scripts by their digest, faults as errors of the store, and an account of the
 * calls under way.
 *
 * @module
 */
import { createHash } from 'node:crypto';
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
   * then nothing is gained by waiting for others. Strings in the reply are Buffers.
   */
  async script(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    if (this.#refusal !== undefined) throw new StoreUnavailableError(this.#refusal);
    if (this.#underWay > 0) this.#connection.gather();
    this.#count += 1;
    this.#underWay += 1;
    const { digest, text } = this.#texts.get(script) ?? this.#textOf(script);
    const rest = [keys.length, ...keys, ...args, this.#clock?.() ?? ''];
    try {
      return await this.#connection.client.callBuffer('evalsha', [digest, ...rest]);
    } catch (error) {
      // The server was restarted or has dropped the script: it is sent again, and kept.
      if (!messageOf(error).startsWith('NOSCRIPT')) throw this.#failed(error);
      return await this.#connection.client.callBuffer('eval', [text, ...rest]).catch((again: unknown) => {
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
    if (isReadOnly(messageOf(error))) this.#onReadOnly();
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
export function storeError(error: unknown): Error {
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
