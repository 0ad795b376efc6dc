/**
 * What one batch holds from before its lease until it is settled: a slot of its mapping, the mapping's slot in the store if its concurrency is limited,
 * an Invoke and bytes of the process. All of it is given back on every way a batch can end.
 *
 * @module
 */
import type { MappingConcurrency } from './concurrency.ts';
import type { ByteShare, MappingShare } from './process-limits.ts';
import type { SharedSlot } from './shared-slots.ts';

export class Holdings {
  readonly #concurrency: MappingConcurrency;
  readonly #share: MappingShare;
  #bytes: ByteShare | undefined;
  #invoke: boolean;
  #shared: SharedSlot | undefined;
  #slot = true;

  /** Takes over a slot of `concurrency`, `bytes`, and with `invoke` an Invoke of `share`, all taken already. */
  constructor(concurrency: MappingConcurrency, share: MappingShare, bytes: ByteShare, invoke: boolean) {
    this.#concurrency = concurrency;
    this.#share = share;
    this.#bytes = bytes;
    this.#invoke = invoke;
  }

  /** Takes an Invoke, if one may be had now. */
  tryTakeInvoke(): boolean {
    this.#invoke ||= this.#share.tryTakeInvoke();
    return this.#invoke;
  }

  /** Calls `run` once, when an Invoke may be had, before all who hold no lease yet; the returned function withdraws. */
  waitForInvoke(run: () => void): () => void {
    return this.#share.wait('invoke', 0, run, true);
  }

  /** Nothing of the batch is on its way for now. */
  giveBackInvoke(): void {
    const had = this.#invoke;
    this.#invoke = false;
    if (had) this.#share.giveBackInvoke();
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
