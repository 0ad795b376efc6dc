import type { Cancel, Time } from '../../time.ts';

interface Other {
  /** Somebody asked whether it is there, and it was not heard since. */
  readonly doubted: boolean;
  /** Keeps it from counting as gone. */
  readonly cancel: Cancel;
}

/** Which instances are alive, as far as their pings tell. This one always is. */
export class Membership {
  readonly #self: string;
  readonly #time: Time;
  readonly #silenceMs: number;
  readonly #changed: (ids: readonly string[]) => void;
  readonly #others = new Map<string, Other>();

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
    this.#expect(id, this.#silenceMs, false);
    if (known === undefined) this.#changed(this.ids);
    return known === undefined;
  }

  /** Somebody asked whether the instance is there: unless it is heard within `answerMs`, it is gone. More who ask do not give it more time. */
  doubted(id: string, answerMs: number): void {
    if (this.#others.get(id)?.doubted === false) this.#expect(id, answerMs, true);
  }

  /** Whether the instance counts as there, and nobody has asked since it was last heard. */
  trusts(id: string): boolean {
    return this.#others.get(id)?.doubted === false;
  }

  left(id: string): void {
    const other = this.#others.get(id);
    if (other === undefined) return;
    other.cancel();
    this.#others.delete(id);
    this.#changed(this.ids);
  }

  /** Forgets the others without telling anybody. */
  close(): void {
    for (const { cancel } of this.#others.values()) cancel();
    this.#others.clear();
  }

  /** Counts it as gone unless it is heard in time. */
  #expect(id: string, ms: number, doubted: boolean): void {
    this.#others.get(id)?.cancel();
    this.#others.set(id, { doubted, cancel: this.#time.after(ms, () => this.left(id)) });
  }
}
