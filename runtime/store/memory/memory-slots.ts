import type { Time } from '../../time.ts';
import type { Signal, Slots } from '../store.ts';

export class MemorySlots implements Slots {
  /** For each set, when the slot of each holder frees itself. */
  readonly #sets = new Map<string, Map<string, number>>();
  readonly #time: Time;
  readonly #signal: (signal: Signal) => void;

  constructor(time: Time, signal: (signal: Signal) => void) {
    this.#time = time;
    this.#signal = signal;
  }

  async take(name: string, holder: string, limit: number, holdMs: number): Promise<'taken' | number> {
    const holders = this.#holders(name);
    if (!holders.has(holder) && holders.size >= limit) return Math.min(...holders.values()) - this.#time.now();
    holders.set(holder, this.#time.now() + holdMs);
    return 'taken';
  }

  async free(name: string, holder: string, limit: number): Promise<void> {
    const holders = this.#holders(name);
    const wasFull = holders.size >= limit;
    if (holders.delete(holder) && wasFull) this.#signal({ kind: 'slot', name });
  }

  #holders(name: string): Map<string, number> {
    let holders = this.#sets.get(name);
    if (holders === undefined) {
      holders = new Map();
      this.#sets.set(name, holders);
    }
    for (const [holder, until] of holders) if (until <= this.#time.now()) holders.delete(holder);
    return holders;
  }
}
