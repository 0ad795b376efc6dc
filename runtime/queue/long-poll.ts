/**
 * Long polling: receives that wait for a first message, in the order they came, at no cost to the store.
 *
 * Waiters stand in a line and listen to the head-watch together. When something is due the first is served, by one call
 * to the store; if that gave messages and more are due, the next two are served at once, then four, so that a single
 * message costs a single call and a burst is not held up by the line. An answer that gives nothing puts the width back
 * to one.
 *
 * A waiter leaves the line with messages, or empty when its time is over, its caller is gone, or the queue closes, or
 * with the error of its own call. While its call is under way it stays: the call may lease messages for it. If the
 * caller is gone by then, they are released, and the next in line gets them uncounted.
 *
 * @module
 */
import type { Cancel, Time } from '../time.ts';
import type { HeadWatch } from './head-watch.ts';
import type { ReceivedMessage } from './message.ts';
import type { ReceiveRequest } from './queue.ts';

/**
 * Most calls to the store at one time for those who would wait on one queue: thousands that come at once must not ask
 * one by one what the first few learn.
 */
export const WIDEST = 16;
/**
 * So many empty answers in a row although the head is due mean that asking at once again is no use: what is due cannot
 * be had now.
 */
const EMPTY_ANSWERS_BEFORE_PAUSE = 5;
const PAUSE_MS = 1_000;

interface LongPollOptions {
  readonly time: Time;
  readonly watch: HeadWatch;
  /** One receive; `at-limit`: nothing may be received before messages in flight are deleted. */
  readonly receive: (request: ReceiveRequest) => Promise<readonly ReceivedMessage[] | 'at-limit'>;
  readonly release: (messages: readonly ReceivedMessage[]) => Promise<void>;
}

interface Waiter {
  readonly request: ReceiveRequest;
  readonly leave: (outcome: readonly ReceivedMessage[] | Error) => void;
  /** Its call to the store is under way. */
  served: boolean;
  /** Why it must not wait any longer. */
  ended: 'no' | 'time-over' | 'caller-gone';
}

export class LongPoll {
  readonly #options: LongPollOptions;
  readonly #line = new Set<Waiter>();
  #unsubscribe: (() => void) | undefined;
  #serving = false;
  #pause: Cancel | undefined;
  #closed = false;

  constructor(options: LongPollOptions) {
    this.#options = options;
  }

  /** Whether somebody waits; a newcomer then stands behind. */
  get busy(): boolean {
    return this.#line.size > 0;
  }

  /** Waits up to `waitMs` for messages. Errors: those of the receive. */
  wait(request: ReceiveRequest, waitMs: number): Promise<readonly ReceivedMessage[]> {
    if (this.#closed || request.signal?.aborted === true) return Promise.resolve([]);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => this.#end(waiter, 'caller-gone');
      const cancelTimer = this.#options.time.after(waitMs, () => this.#end(waiter, 'time-over'));
      const waiter: Waiter = {
        request,
        served: false,
        ended: 'no',
        leave: (outcome) => {
          cancelTimer();
          request.signal?.removeEventListener('abort', onAbort);
          this.#line.delete(waiter);
          if (this.#line.size === 0) this.#rest();
          if (outcome instanceof Error) reject(outcome);
          else resolve(outcome);
        },
      };
      request.signal?.addEventListener('abort', onAbort);
      this.#line.add(waiter);
      this.#unsubscribe ??= this.#options.watch.subscribe(() => void this.#serve());
      void this.#serve();
    });
  }

  /** Sends everybody away empty. */
  close(): void {
    this.#closed = true;
    for (const waiter of this.#line) this.#end(waiter, 'time-over');
  }

  #end(waiter: Waiter, why: 'time-over' | 'caller-gone'): void {
    waiter.ended = why;
    if (!waiter.served) waiter.leave([]);
  }

  /** Nobody waits: the watch need not wake us. */
  #rest(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#pause?.();
    this.#pause = undefined;
  }

  /**
   * Serves the line as long as something is due. Runs once at a time; a wake meanwhile shows in `isDue`. Never rejects:
   * errors go to the waiters.
   */
  async #serve(): Promise<void> {
    if (this.#serving || this.#pause !== undefined) return;
    this.#serving = true;
    let width = 1;
    let emptyInARow = 0;
    while (this.#line.size > 0 && this.#options.watch.isDue()) {
      const round = [...this.#line].slice(0, width);
      const outcomes = await Promise.all(round.map((waiter) => this.#serveOne(waiter)));
      const gotSome = outcomes.every((outcome) => outcome === 'some');
      width = gotSome ? Math.min(WIDEST, width * 2) : 1;
      emptyInARow = gotSome ? 0 : emptyInARow + 1;
      if (outcomes.includes('at-limit') || emptyInARow >= EMPTY_ANSWERS_BEFORE_PAUSE) {
        this.#pauseServing();
        break;
      }
    }
    this.#serving = false;
  }

  #pauseServing(): void {
    if (this.#line.size === 0) return;
    this.#pause = this.#options.time.after(PAUSE_MS, () => {
      this.#pause = undefined;
      void this.#serve();
    });
  }

  async #serveOne(waiter: Waiter): Promise<'some' | 'none' | 'at-limit'> {
    waiter.served = true;
    try {
      const messages = await this.#options.receive(waiter.request);
      waiter.served = false;
      if (messages === 'at-limit' || messages.length === 0) {
        if (waiter.ended !== 'no') waiter.leave([]);
        return messages === 'at-limit' ? 'at-limit' : 'none';
      }
      if (waiter.ended !== 'caller-gone') {
        waiter.leave(messages);
        return 'some';
      }
      waiter.leave([]);
      await this.#options.release(messages);
      return 'some';
    } catch (error) {
      waiter.leave(error instanceof Error ? error : new Error(String(error)));
      return 'none';
    }
  }
}
