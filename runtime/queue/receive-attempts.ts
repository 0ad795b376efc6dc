/**
 * `ReceiveRequestAttemptId` of FIFO queues: a receive that is repeated within five minutes (its answer was lost) gets
 * the same messages and handles, with fresh leases, unless one of them was deleted, given back or received again since.
 * Source: ReceiveMessage, "ReceiveRequestAttemptId".
 *
 * An attempt is remembered by the instance that served it, with its messages, until one of them is deleted. A repeat
 * that reaches another instance receives as if it were new; the locked groups and the leases make that safe, only
 * slower. The same holds for attempts that are forgotten early because what is remembered became too large.
 *
 * @module
 */
import type { Time } from '../time.ts';
import type { ReceivedMessage } from './message.ts';

/** Five minutes. */
const REMEMBERED_MS = 300_000;
/** Attempts remembered per queue; the oldest goes first. */
const MOST_REMEMBERED = 1_000;
/**
 * What is remembered of all queues of a process, bytes by estimate: some of the largest receives, thousands of ordinary
 * ones.
 */
export const MOST_REMEMBERED_SIZE = 8 * 1_048_576;
/** What a message takes beside its body and attributes, bytes. */
const MESSAGE_OVERHEAD = 512;

/**
 * What the attempts of all queues of a process may take together: a caller with many queues could fill the memory by
 * each of them. Where it is too much, the oldest of all are forgotten.
 */
export class AttemptRoom {
  /** Oldest first. */
  readonly #holders = new Map<object, { readonly size: number; readonly forget: () => void }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** `forget` is called to make room; it must call `give`. */
  take(holder: object, size: number, forget: () => void): void {
    this.#holders.set(holder, { size, forget });
    this.#size += size;
    for (const oldest of this.#holders.values()) {
      if (this.#size <= MOST_REMEMBERED_SIZE) break;
      oldest.forget();
    }
  }

  give(holder: object): void {
    this.#size -= this.#holders.get(holder)?.size ?? 0;
    this.#holders.delete(holder);
  }
}

interface Attempt {
  readonly id: string;
  readonly begunAt: number;
  readonly messages: Promise<readonly ReceivedMessage[]>;
  /** Once its messages are there. */
  receiptHandles: readonly string[];
}

interface ReceiveAttemptsOptions {
  readonly time: Time;
  readonly room: AttemptRoom;
  /** Begins the leases of all these messages anew; `undefined` if that could not be done for every one of them. */
  readonly renew: (
    messages: readonly ReceivedMessage[],
    timeoutMs: number,
  ) => Promise<readonly ReceivedMessage[] | undefined>;
}

export class ReceiveAttempts {
  readonly #options: ReceiveAttemptsOptions;
  /** By id, oldest first. */
  readonly #attempts = new Map<string, Attempt>();
  readonly #byHandle = new Map<string, Attempt>();

  constructor(options: ReceiveAttemptsOptions) {
    this.#options = options;
  }

  /**
   * The messages of the attempt with this id if it is known and they are still leased, now for `timeoutMs`; else those
   * of `receive`.
   */
  async receive(
    attemptId: string,
    timeoutMs: number,
    receive: () => Promise<readonly ReceivedMessage[]>,
  ): Promise<readonly ReceivedMessage[]> {
    this.#forgetOld();
    const known = this.#attempts.get(attemptId);
    if (known !== undefined) {
      const messages = await known.messages;
      const renewed = messages.length === 0 ? undefined : await this.#options.renew(messages, timeoutMs);
      if (renewed !== undefined) return renewed;
      this.#forget(known);
    }
    return this.#begin(attemptId, receive);
  }

  /** This message was deleted, so an attempt that it belongs to cannot be repeated. */
  settled(receiptHandle: string): void {
    const attempt = this.#byHandle.get(receiptHandle);
    if (attempt !== undefined) this.#forget(attempt);
  }

  async #begin(id: string, receive: () => Promise<readonly ReceivedMessage[]>): Promise<readonly ReceivedMessage[]> {
    const begunAt = this.#options.time.monotonic();
    const attempt: Attempt = { id, begunAt, messages: receive(), receiptHandles: [] };
    this.#attempts.set(id, attempt);
    try {
      const messages = await attempt.messages;
      // Nothing to give again: the next attempt of this id is a new one.
      if (messages.length === 0) this.#forget(attempt);
      else this.#remember(attempt, messages);
      return messages;
    } catch (error) {
      this.#forget(attempt);
      throw error;
    }
  }

  #remember(attempt: Attempt, messages: readonly ReceivedMessage[]): void {
    if (this.#attempts.get(attempt.id) !== attempt) return;
    attempt.receiptHandles = messages.map(({ receiptHandle }) => receiptHandle);
    for (const handle of attempt.receiptHandles) this.#byHandle.set(handle, attempt);
    const size = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    this.#options.room.take(attempt, size, () => this.#forget(attempt));
  }

  #forget(attempt: Attempt): void {
    if (this.#attempts.get(attempt.id) !== attempt) return;
    this.#attempts.delete(attempt.id);
    this.#options.room.give(attempt);
    for (const handle of attempt.receiptHandles) this.#byHandle.delete(handle);
  }

  #forgetOld(): void {
    const oldest = this.#options.time.monotonic() - REMEMBERED_MS;
    for (const attempt of this.#attempts.values()) {
      if (attempt.begunAt > oldest && this.#attempts.size < MOST_REMEMBERED) break;
      this.#forget(attempt);
    }
  }
}

function sizeOf({ body, attributes }: ReceivedMessage): number {
  const values = Object.values(attributes).map((attribute) =>
    'stringValue' in attribute ? attribute.stringValue.length : attribute.binaryValue.byteLength,
  );
  return values.reduce((sum, length) => sum + length, MESSAGE_OVERHEAD + body.length);
}
