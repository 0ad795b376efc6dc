/**
 * A process that fails and dies where a test says: every call of what it was given to use is one step.
 *
 * @module
 */
import { StoreUnavailableError } from '../../../runtime/store/store.ts';

/**
 * `ok`; the call fails before or after it took effect (its answer is lost); the process dies before or after the call
 * took effect: nothing of it ever goes on.
 */
export type Fate = 'ok' | 'fail-before' | 'fail-after' | 'die-before' | 'die-after';

export class Mortal {
  readonly died: Promise<'died'>;
  #die: () => void = () => {};
  readonly #fates: Fate[];
  #dead = false;

  /** The fates of its calls, in order; when they run out every call succeeds. They are taken out of the list. */
  constructor(fates: Fate[]) {
    this.#fates = fates;
    this.died = new Promise((resolve) => {
      this.#die = () => resolve('died');
    });
  }

  /** `target`, whose methods of these names are its calls. */
  using<T extends object>(target: T, methods: readonly (keyof T)[]): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name, object);
        if (typeof value !== 'function') return value;
        // The methods that are guarded are asynchronous; the others are left as they are.
        const bound = value.bind(object) as (...args: readonly unknown[]) => Promise<unknown>;
        return methods.some((method) => method === name)
          ? (...args: readonly unknown[]) => this.#step(() => bound(...args))
          : bound;
      },
    });
  }

  async #step(call: () => Promise<unknown>): Promise<unknown> {
    const fate = this.#dead ? 'die-before' : (this.#fates.shift() ?? 'ok');
    if (fate === 'die-before' || fate === 'die-after') {
      this.#dead = true;
      if (fate === 'die-after') await call();
      this.#die();
      return new Promise(() => {});
    }
    if (fate === 'fail-before') throw new StoreUnavailableError('the test broke the connection before the call');
    const result = await call();
    if (this.#dead) return new Promise(() => {});
    if (fate === 'fail-after') throw new StoreUnavailableError('the test broke the connection after the call');
    return result;
  }
}
