/**
 * `ReceiveRequestAttemptId` of FIFO queues: a receive that is repeated within five minutes (its answer was lost) gets the same messages and handles, with fresh leases, unless
 * one of them was deleted, given back or received again since. Source: ReceiveMessage, "ReceiveRequestAttemptId".
 *
 * An attempt is remembered by the instance that served it. A repeat that reaches another instance receives as if it were new; the locked groups and the leases make
 * that safe, only slower.
 *
 * @module
 */
import type { Time } from '../time.ts';
import type { ReceivedMessage } from './message.ts';

/** Five minutes. */
const REMEMBERED_MS = 300_000;
/** Attempts remembered per queue; the oldest goes first. */
const MOST_REMEMBERED = 1_000;

interface Attempt {
  readonly begunAt: number;
  readonly messages: Promise<readonly ReceivedMessage[]>;
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
  readonly #attempts = new Map<string, Attempt>();

  constructor(options: ReceiveAttemptsOptions) {
    this.#options = options;
  }

  /** The messages of the attempt with this id if it is known and they are still leased, now for `timeoutMs`; else those of `receive`. */
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
      this.#attempts.delete(attemptId);
    }
    return this.#begin(attemptId, receive);
  }

  async #begin(
    attemptId: string,
    receive: () => Promise<readonly ReceivedMessage[]>,
  ): Promise<readonly ReceivedMessage[]> {
    const attempt: Attempt = { begunAt: this.#options.time.monotonic(), messages: receive() };
    this.#attempts.set(attemptId, attempt);
    try {
      const messages = await attempt.messages;
      // Nothing to give again: the next attempt of this id is a new one.
      if (messages.length === 0) this.#forget(attemptId, attempt);
      return messages;
    } catch (error) {
      this.#forget(attemptId, attempt);
      throw error;
    }
  }

  #forget(attemptId: string, attempt: Attempt): void {
    if (this.#attempts.get(attemptId) === attempt) this.#attempts.delete(attemptId);
  }

  #forgetOld(): void {
    const oldest = this.#options.time.monotonic() - REMEMBERED_MS;
    for (const [id, attempt] of this.#attempts) {
      if (attempt.begunAt > oldest && this.#attempts.size < MOST_REMEMBERED) break;
      this.#attempts.delete(id);
    }
  }
}
