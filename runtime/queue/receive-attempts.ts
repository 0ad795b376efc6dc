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
 * Bodies and attributes remembered per queue, characters and bytes: some of the largest receives, thousands of ordinary
 * ones.
 */
export const MOST_REMEMBERED_SIZE = 8 * 1_048_576;

interface Attempt {
  readonly id: string;
  readonly begunAt: number;
  readonly messages: Promise<readonly ReceivedMessage[]>;
  /** Once its messages are there. */
  receiptHandles: readonly string[];
  size: number;
}

interface ReceiveAttemptsOptions {
  readonly time: Time;
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
  #size = 0;

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

  /** These messages were deleted, so an attempt that one of them belongs to cannot be repeated. */
  settled(receiptHandles: readonly string[]): void {
    for (const handle of receiptHandles) {
      const attempt = this.#byHandle.get(handle);
      if (attempt !== undefined) this.#forget(attempt);
    }
  }

  async #begin(id: string, receive: () => Promise<readonly ReceivedMessage[]>): Promise<readonly ReceivedMessage[]> {
    const begunAt = this.#options.time.monotonic();
    const attempt: Attempt = { id, begunAt, messages: receive(), receiptHandles: [], size: 0 };
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
    attempt.size = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    this.#size += attempt.size;
    for (const handle of attempt.receiptHandles) this.#byHandle.set(handle, attempt);
    for (const oldest of this.#attempts.values()) {
      if (this.#size <= MOST_REMEMBERED_SIZE) break;
      this.#forget(oldest);
    }
  }

  #forget(attempt: Attempt): void {
    if (this.#attempts.get(attempt.id) !== attempt) return;
    this.#attempts.delete(attempt.id);
    this.#size -= attempt.size;
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
  return values.reduce((sum, length) => sum + length, body.length);
}
