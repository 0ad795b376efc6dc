/**
 * What one batch holds from before its lease until it is settled: a slot of its mapping, the mapping's slot in the store if its concurrency is limited,
 * an Invoke and bytes of the process. All of it is given back on every way a batch can end.
 *
 * @module
 */
import type { MappingConcurrency } from './concurrency.ts';
import type { ByteShare, ProcessLimits } from './process-limits.ts';
import type { SharedSlot } from './shared-slots.ts';

export class Holdings {
  readonly #concurrency: MappingConcurrency;
  readonly #limits: ProcessLimits;
  #bytes: ByteShare | undefined;
  #invoke: boolean;
  #shared: SharedSlot | undefined;
  #slot = true;

  /** Takes over a slot of `concurrency`, `bytes`, and with `invoke` an Invoke of `limits`, all taken already. */
  constructor(concurrency: MappingConcurrency, limits: ProcessLimits, bytes: ByteShare, invoke: boolean) {
    this.#concurrency = concurrency;
    this.#limits = limits;
    this.#bytes = bytes;
    this.#invoke = invoke;
  }

  tookInvoke(): void {
    this.#invoke = true;
  }

  /** Nothing of the batch is on its way for now. */
  giveBackInvoke(): void {
    if (this.#invoke) this.#limits.giveBackInvoke();
    this.#invoke = false;
  }

  tookShared(slot: SharedSlot): void {
    this.#shared = slot;
  }

  resizeBytes(bytes: number): void {
    this.#bytes?.resize(bytes);
  }

  /** Whether the concurrency of the mapping is limited over all instances. */
  get hasShared(): boolean {
    return this.#shared !== undefined;
  }

  /** Puts the deadline of the slot in the store off, if there is one; `false`: it is lost. Errors: `StoreUnavailableError`. */
  async renewShared(holdMs: number): Promise<boolean> {
    return (await this.#shared?.renew(holdMs)) ?? true;
  }

  /** The slot in the store stays taken until its deadline. */
  leaveShared(): void {
    this.#shared = undefined;
  }

  /** Gives back what belongs to the process: nothing of the batch is in memory or on its way any more. */
  giveBackProcess(): void {
    this.#bytes?.free();
    this.#bytes = undefined;
    this.giveBackInvoke();
  }

  /** Gives back everything. Rejects if the store cannot be reached; the slot there then ends by its deadline. */
  async giveBack(): Promise<void> {
    this.giveBackProcess();
    const shared = this.#shared;
    this.#shared = undefined;
    try {
      await shared?.free();
    } finally {
      if (this.#slot) this.#concurrency.giveBack();
      this.#slot = false;
    }
  }
}
