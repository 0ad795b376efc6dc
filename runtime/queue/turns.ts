/**
 * Things that must be done one after another, per name.
 *
 * @module
 */

export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether something of this name is under way. */
  has(name: string): boolean {
    return this.#last.has(name);
  }

  /** Runs `act` when everything begun before under this name is over, whatever came of it. */
  take<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const turn = before.then(act, act);
    this.#last.set(name, turn);
    const over = (): void => {
      if (this.#last.get(name) === turn) this.#last.delete(name);
    };
    turn.then(over, over);
    return turn;
  }
}
