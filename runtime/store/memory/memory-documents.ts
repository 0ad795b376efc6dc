import type { Documents, Signal } from '../store.ts';
import { compareText } from './memory-queue.ts';

export class MemoryDocuments implements Documents {
  readonly #values = new Map<string, string>();
  readonly #signal: (signal: Signal) => void;

  constructor(signal: (signal: Signal) => void) {
    this.#signal = signal;
  }

  async get(name: string): Promise<string | undefined> {
    return this.#values.get(name);
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    return new Map([...this.#values].filter(([name]) => name.startsWith(prefix)).sort(([a], [b]) => compareText(a, b)));
  }

  async put(name: string, value: string, expected?: string | null): Promise<boolean> {
    const present = this.#values.get(name);
    if (expected !== undefined && present !== (expected ?? undefined)) return false;
    this.#values.set(name, value);
    this.#signal({ kind: 'document', name });
    return true;
  }

  async remove(name: string, expected?: string): Promise<boolean> {
    const present = this.#values.get(name);
    if (present === undefined || (expected !== undefined && present !== expected)) return false;
    this.#values.delete(name);
    this.#signal({ kind: 'document', name });
    return true;
  }
}
