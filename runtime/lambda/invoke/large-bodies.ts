/**
 * Lets few large bodies be read at one time; those that wait stay with their sender, because a stream that is not read holds little.
 *
 * @module
 */
import type { Readable } from 'node:stream';

export class LargeBodies {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** `atOnce`: bodies that may be read at one time, 1 or more. */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /**
   * Waits for its turn, or until `body` is closed: a call that was given up must not wait behind others.
   *
   * @returns What gives the turn back; to be called once.
   */
  async turn(body: Readable): Promise<() => void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return () => this.#giveBack();
    }
    return new Promise((resolve) => {
      const enter = (): void => {
        body.off('close', leave);
        resolve(() => this.#giveBack());
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        resolve(() => {});
      };
      this.#waiting.push(enter);
      if (body.closed) leave();
      else body.once('close', leave);
    });
  }

  #giveBack(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}
