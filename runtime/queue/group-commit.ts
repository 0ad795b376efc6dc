/**
 * Group commit: calls that wait together travel together.
 *
 * While a call for a queue is under way, what further callers bring gathers in a line. When the answer is there, as
 * much of the line as fits leaves as one call, and each caller is answered from its part. So the more callers there
 * are, the fewer calls each of them costs. A caller who finds nobody under way leaves at once, in the same turn of the
 * event loop: alone he loses nothing.
 *
 * Invariants. At most one call is under way. Each item that was brought is in exactly one place: in the line, in the
 * call under way, or answered. Items leave in the order in which they were brought, and those of one caller leave in
 * one call, so that what held for a call of his own (all or none, in order) still holds.
 *
 * Failures. If the outcome is unknown (`StoreUnavailableError`) every caller of the call is told so, as if he had
 * called alone. Any other error says that nothing was done and may be about one caller only, for example a store that
 * has no room for the largest of them. Then each caller is tried alone, in order, and told his own outcome.
 *
 * @module
 */
import { StoreUnavailableError } from '../store/store.ts';

interface GroupCommitOptions<Item, Answer> {
  /** Does the work for all items, and answers for each in order. */
  readonly call: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** Bytes that an item takes on its way. */
  readonly sizeOf: (item: Item) => number;
  /** Most items of one call; no caller brings more. */
  readonly mostItems: number;
  /** Most bytes of one call, unless one caller alone brings more. */
  readonly mostBytes: number;
}

interface Caller<Item, Answer> {
  readonly items: readonly Item[];
  readonly resolve: (answers: readonly Answer[]) => void;
  readonly reject: (error: unknown) => void;
}

export class GroupCommit<Item, Answer> {
  readonly #options: GroupCommitOptions<Item, Answer>;
  #line: Caller<Item, Answer>[] = [];
  #underWay = false;

  constructor(options: GroupCommitOptions<Item, Answer>) {
    this.#options = options;
  }

  /** Has the work done for `items`, 1 to `mostItems`; their answers in order. Errors: those of `call`. */
  commit(items: readonly Item[]): Promise<readonly Answer[]> {
    if (this.#underWay) {
      return new Promise((resolve, reject) => {
        this.#line.push({ items, resolve, reject });
      });
    }
    this.#underWay = true;
    const answers = this.#options.call(items);
    answers.then(this.#next, this.#next);
    return answers;
  }

  /** An arrow function, so that it can be handed to a promise without another one around it. */
  readonly #next = (): void => {
    if (this.#line.length === 0) {
      this.#underWay = false;
      return;
    }
    const callers = this.#take();
    const items = callers.flatMap((caller) => caller.items);
    this.#options
      .call(items)
      .then(
        (answers) => share(callers, answers),
        (error: unknown) => {
          if (callers.length > 1 && !(error instanceof StoreUnavailableError)) return this.#apart(callers);
          for (const { reject } of callers) reject(error);
          return undefined;
        },
      )
      .then(this.#next);
  };

  /** Takes from the front of the line what fits into one call. */
  #take(): readonly Caller<Item, Answer>[] {
    const { mostItems, mostBytes, sizeOf } = this.#options;
    let count = 0;
    let itemCount = 0;
    let bytes = 0;
    for (const { items } of this.#line) {
      itemCount += items.length;
      for (const item of items) bytes += sizeOf(item);
      if (count > 0 && (itemCount > mostItems || bytes > mostBytes)) break;
      count += 1;
    }
    if (count === this.#line.length) {
      const all = this.#line;
      this.#line = [];
      return all;
    }
    return this.#line.splice(0, count);
  }

  /** Tries each caller alone, in order. Never rejects. */
  async #apart(callers: readonly Caller<Item, Answer>[]): Promise<void> {
    for (const { items, resolve, reject } of callers) await this.#options.call(items).then(resolve, reject);
  }
}

/** Answers each caller from its part. */
function share<Item, Answer>(callers: readonly Caller<Item, Answer>[], answers: readonly Answer[]): void {
  let from = 0;
  for (const { items, resolve } of callers) {
    resolve(answers.slice(from, from + items.length));
    from += items.length;
  }
}
