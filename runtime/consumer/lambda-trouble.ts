/**
 * The trouble that a mapping has with Lambda: its Invokes do not get through, whatever the messages are. While it lasts
 * nothing is leased for the mapping, so that it uses up no receive counts and no commands of the store; other mappings
 * are untouched.
 *
 * States.
 *
 *   none      Invokes get through, as far as is known.
 *   pausing   an Invoke did not get through. A timer runs: a second, doubling with each try in a row up to the longest.
 *   over      the pause is over; nothing happens before messages wait, so that an idle queue costs no calls.
 *   probing   messages wait, and Lambda is asked whether the function could be invoked, which shows it to no function.
 *             Where the trouble is one that a probe cannot see (throttles, faults inside Lambda), this state is left
 *             out.
 *   trying    the probe found a way. One batch at a time is drawn; its outcome leads to `none`, or to a longer pause.
 *
 * Invariant. Unless in `none` or `trying`, nothing is drawn, and whoever was refused is called (`onReady`): by the end
 * of the pause, or by the answer of the probe.
 *
 * Several batches that were on their way at one time meet one trouble: only the first of them begins a pause.
 *
 * The longest pause is chosen so that messages are on their way within ten seconds after the way is open again; a
 * function that does not exist is asked for once a minute, because somebody has to deploy it.
 *
 * @module
 */

import type { ProbeOutcome } from '../aws/invoke.ts';
import { backOff } from '../retry.ts';
import type { Cancel, Randomness, Time } from '../time.ts';

/**
 * `no-way`: no connection, credentials refused, answers lost. `not-found`: no such function. `refused`: throttled, or
 * faults inside Lambda, for longer than a lease.
 */
export interface Trouble {
  readonly kind: 'no-way' | 'not-found' | 'refused';
  /** For the operator. */
  readonly detail: string;
}

export interface LambdaTroubleOptions {
  readonly time: Time;
  readonly randomness: Randomness;
  readonly probe: () => Promise<ProbeOutcome>;
  /** Called when the mapping may be able to draw again. */
  readonly onReady: () => void;
  /** Called when trouble begins, with what it is, and with `undefined` when it is over. */
  readonly onChange: (trouble: Trouble | undefined) => void;
}

const FIRST_PAUSE_MS = 1_000;
/** Before the next try, ms. With a probe on top, ten seconds are kept. */
const LONGEST_PAUSE_MS: Readonly<Record<Trouble['kind'], number>> = {
  'no-way': 7_000,
  'not-found': 60_000,
  refused: 7_000,
};

export class LambdaTrouble {
  readonly #options: LambdaTroubleOptions;
  /** Changed here alone. While it is `none`, `mayDraw` is true and `clear` does nothing. */
  state: 'none' | 'pausing' | 'over' | 'probing' | 'trying' = 'none';
  #trouble: Trouble | undefined;
  #inARow = 0;
  #cancel: Cancel | undefined;
  /** Answers of probes that began before the trouble was cleared mean nothing. */
  #probes = 0;

  constructor(options: LambdaTroubleOptions) {
    this.#options = options;
  }

  /** The trouble that lasts. */
  get current(): Trouble | undefined {
    return this.#trouble;
  }

  /** Whether a batch may be drawn now; to be asked only while messages wait, because it may begin a probe. */
  mayDraw(): boolean {
    if (this.state === 'over') {
      if (this.#trouble?.kind === 'refused') this.state = 'trying';
      else void this.#probe();
    }
    return this.state === 'none' || this.state === 'trying';
  }

  /** An Invoke did not get through. */
  met(trouble: Trouble): void {
    if (this.state === 'pausing' || this.state === 'over' || this.state === 'probing') return;
    const began = this.#trouble === undefined;
    this.#pause(trouble);
    if (began) this.#options.onChange(trouble);
  }

  /** An Invoke got through, or the mapping changed: the next pause is short again, one that runs is over. */
  clear(): void {
    if (this.state === 'none' && this.#trouble === undefined) return;
    this.close();
    if (this.#trouble === undefined) return;
    this.#trouble = undefined;
    this.#options.onChange(undefined);
  }

  /** No timer runs afterwards, and nobody is called. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.state = 'none';
    this.#inARow = 0;
    this.#probes += 1;
  }

  #pause(trouble: Trouble): void {
    const { time, randomness, onReady } = this.#options;
    const pauses = { firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS[trouble.kind] };
    const ms = backOff(pauses, this.#inARow, randomness);
    this.#trouble = trouble;
    this.#inARow += 1;
    this.state = 'pausing';
    this.#cancel = time.after(ms, () => {
      this.#cancel = undefined;
      this.state = 'over';
      onReady();
    });
  }

  async #probe(): Promise<void> {
    this.state = 'probing';
    this.#probes += 1;
    const mine = this.#probes;
    const outcome = await this.#options.probe();
    if (mine !== this.#probes) return;
    if (outcome.kind === 'unreached') {
      this.#pause({ kind: outcome.why, detail: outcome.message });
      return;
    }
    this.state = 'trying';
    this.#options.onReady();
  }
}
