/**
 * The pause of a mapping whose invocations Lambda rejects (function or alias gone, no permission): until somebody mends it each batch would only use up receive
 * counts. It is tried again after a second, then two, up to a minute between tries.
 *
 * @module
 */
import type { Cancel, Time } from '../time.ts';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

export class RejectionPause {
  readonly #time: Time;
  readonly #onEnd: () => void;
  #inARow = 0;
  #cancel: Cancel | undefined;

  constructor(time: Time, onEnd: () => void) {
    this.#time = time;
    this.#onEnd = onEnd;
  }

  get active(): boolean {
    return this.#cancel !== undefined;
  }

  /** An invocation was rejected. */
  rejected(): void {
    const ms = Math.min(FIRST_PAUSE_MS * 2 ** this.#inARow, LONGEST_PAUSE_MS);
    this.#inARow += 1;
    this.#cancel?.();
    this.#cancel = this.#time.after(ms, () => {
      this.#cancel = undefined;
      this.#onEnd();
    });
  }

  /** An invocation was not rejected, or the mapping changed: the next pause is short again, one that runs is over. */
  clear(): void {
    this.#inARow = 0;
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
