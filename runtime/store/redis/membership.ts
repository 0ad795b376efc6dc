import type { Cancel, Time } from '../../time.ts';

/** Which instances are alive, as far as their pings tell. This one always is. */
export class Membership {
  readonly #self: string;
  readonly #time: Time;
  readonly #silenceMs: number;
  readonly #changed: (ids: readonly string[]) => void;
  readonly #others = new Map<string, Cancel>();

  /** `silenceMs`: an instance that was not heard for this long is gone. `changed` is called with all ids after each change. */
  constructor(self: string, time: Time, silenceMs: number, changed: (ids: readonly string[]) => void) {
    this.#self = self;
    this.#time = time;
    this.#silenceMs = silenceMs;
    this.#changed = changed;
  }

  /** All ids in order. */
  get ids(): readonly string[] {
    return [this.#self, ...this.#others.keys()].sort();
  }

  /** Answers whether the instance was not known before. */
  heard(id: string): boolean {
    if (id === this.#self) return false;
    const known = this.#others.get(id);
    known?.();
    this.#others.set(
      id,
      this.#time.after(this.#silenceMs, () => this.left(id)),
    );
    if (known === undefined) this.#changed(this.ids);
    return known === undefined;
  }

  left(id: string): void {
    const cancel = this.#others.get(id);
    if (cancel === undefined) return;
    cancel();
    this.#others.delete(id);
    this.#changed(this.ids);
  }

  /** Forgets the others without telling anybody. */
  close(): void {
    for (const cancel of this.#others.values()) cancel();
    this.#others.clear();
  }
}
