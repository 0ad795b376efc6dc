/**
 * Everything a batch of one mapping must have before it may lease messages, taken together or not at all: a slot of the
 * mapping, bytes and an Invoke of the process, and a slot in the store where the concurrency is limited over all
 * instances.
 *
 * Invariant. Whoever was refused is called (`onReady`) when that may have changed: by growth, by a slot that was given
 * back here or elsewhere, by room in the process, by the end of a pause. So nobody needs to ask twice.
 *
 * @module
 */
import { TIMEOUT_MARGIN_MS } from '../aws/invoke.ts';
import { expectedRunSeconds } from '../aws/mapping.ts';
import { type SharedSlot, SharedSlots } from './instances.ts';
import { LambdaTrouble, type Trouble } from './lambda-trouble.ts';
import { type ByteShare, MappingConcurrency, type MappingShare, type Need } from './limits.ts';
import { type ConsumerParts, LARGEST_MAPPING_CONCURRENCY, type ServedMapping } from './parts.ts';
import type { ConcurrencyEffect } from './settlement.ts';

/** Bytes that one message can have, its attributes and what the record adds included; less room than that is none. */
const LARGEST_MESSAGE_BYTES = 1_048_576 + 65_536;
/** What one receive reserves at most: one event. */
const LARGEST_DRAW_BYTES = 6_291_456;
/**
 * Added to the expected run of the function, ms, before a slot in the store frees itself. Only slots of instances that
 * died get so old: an Invoke that outlasts it renews its slot before.
 */
const SLOT_MARGIN_MS = TIMEOUT_MARGIN_MS + 5_000;

export class MappingSlots {
  readonly #parts: ConsumerParts;
  readonly #onReady: () => void;
  /** How many batches of the mapping hold a slot in this process, and how many may. */
  readonly concurrency: MappingConcurrency;
  readonly #trouble: LambdaTrouble;
  readonly #share: MappingShare;
  #served: ServedMapping;
  #shared: SharedSlots | undefined;
  /** Set while waiting for room in the process. */
  #withdraw: (() => void) | undefined;

  /** `onTrouble`: called when the trouble with Lambda begins, and with `undefined` when it is over. */
  constructor(
    served: ServedMapping,
    parts: ConsumerParts,
    onReady: () => void,
    onTrouble: (trouble: Trouble | undefined) => void,
  ) {
    this.#served = served;
    this.#parts = parts;
    this.#onReady = onReady;
    this.#share = parts.limits.share();
    this.concurrency = new MappingConcurrency({
      time: parts.time,
      start: served.tuning.startConcurrency,
      ceiling: this.#ceiling(),
      growthIntervalMs: parts.settings.growthIntervalMs,
      onRoom: onReady,
    });
    this.#trouble = new LambdaTrouble({
      time: parts.time,
      randomness: parts.randomness,
      probe: () => parts.invoker.probe(this.#served.mapping.functionArn),
      onReady,
      onChange: onTrouble,
    });
    this.#shared = this.#createShared();
  }

  /** The process has no room for another batch: no Invoke, or no memory for its messages. */
  get lacksRoom(): boolean {
    return this.#withdraw !== undefined || this.concurrency.running >= this.#parts.limits.maxInvokes;
  }

  /** Why invocations do not get through now. */
  get trouble(): Trouble | undefined {
    return this.#trouble.current;
  }

  /**
   * Takes what a new batch needs here, with as many bytes as may be leased; `undefined`: not now. Only while messages
   * wait: a refusal may begin growth.
   */
  begin(): Holdings | undefined {
    if (this.#withdraw !== undefined || this.#shared?.waiting === true) return undefined;
    if (this.#trouble.state !== 'none' && !this.#trouble.mayDraw()) return undefined;
    if (!this.concurrency.tryTake()) {
      this.concurrency.wanted();
      return undefined;
    }
    const share = this.#share;
    const { batchSize, batchWindowSeconds } = this.#served.mapping;
    // With a window the Invoke is taken at the flush: batches that collect for minutes must not keep others from
    // invoking.
    const invokes = batchWindowSeconds === 0;
    const hasInvoke = invokes && share.tryTakeInvoke();
    const bytes = hasInvoke === invokes ? share.tryReserve(LARGEST_MESSAGE_BYTES, drawBytes(batchSize)) : undefined;
    if (bytes === undefined) {
      this.concurrency.giveBack();
      if (hasInvoke) share.giveBackInvoke();
      return this.#waitForRoom(invokes ? 'invoke-and-bytes' : 'bytes');
    }
    return new Holdings(this.concurrency, share, bytes, invokes);
  }

  /**
   * Takes what a batch of messages needs that are leased already and found no place in another batch; `undefined`: not
   * at once. With a limited concurrency never: the slot in the store would have to be awaited while the lease runs.
   */
  beginLeased(): Holdings | undefined {
    if (this.#shared !== undefined || !this.concurrency.tryTake()) return undefined;
    const invokes = this.#served.mapping.batchWindowSeconds === 0;
    if (invokes && !this.#share.tryTakeInvoke()) {
      this.concurrency.giveBack();
      return undefined;
    }
    // They are in memory already, so they are counted whether there is room or not.
    return new Holdings(this.concurrency, this.#share, this.#share.take(0), invokes);
  }

  /** Takes room for another receive of `messages` and `bytes` at most; `undefined`: not now. */
  headroom(messages: number, bytes: number): ByteShare | undefined {
    if (this.#withdraw !== undefined) return undefined;
    const most = Math.max(1, Math.min(drawBytes(messages), bytes));
    return this.#share.tryReserve(Math.min(LARGEST_MESSAGE_BYTES, most), most) ?? this.#waitForRoom('bytes');
  }

  /**
   * Takes the slot in the store, if the concurrency is limited; `false`: all are taken. Errors:
   * `StoreUnavailableError`.
   */
  async takeShared(holdings: Holdings, visibilityTimeoutMs: number): Promise<boolean> {
    const limit = this.#served.tuning.maximumConcurrency;
    if (this.#shared === undefined || limit === undefined) return true;
    const { batchWindowSeconds } = this.#served.mapping;
    // After its window a batch may have to wait for an Invoke, at most until its leases end.
    const beforeInvokeMs = batchWindowSeconds === 0 ? 0 : batchWindowSeconds * 1_000 + visibilityTimeoutMs;
    const slot = await this.#shared.take(this.#parts.randomness.uuid(), limit, beforeInvokeMs + this.#invokeMs());
    holdings.shared = slot;
    return slot !== undefined;
  }

  /**
   * The batch is invoked again, `inMs` milliseconds from now: its slot in the store must live that much longer.
   * `false`: it is lost. Errors: `StoreUnavailableError`.
   */
  retrying(holdings: Holdings, inMs: number): Promise<boolean> {
    return holdings.renewShared(inMs + this.#invokeMs());
  }

  /**
   * An Invoke of the mapping lasts longer than expected: its slot in the store must live on. `false`: it is lost.
   * Errors: `StoreUnavailableError`.
   */
  outlasting(holdings: Holdings): Promise<boolean> {
    return holdings.renewShared(this.#invokeMs());
  }

  /** A batch ended. `throttledBefore`: its back-off was taken when it was throttled. */
  ended(effect: ConcurrencyEffect, throttledBefore: boolean): void {
    if (typeof effect === 'object') {
      this.concurrency.backOffHard();
      this.#trouble.met(effect.pause);
      return;
    }
    if (this.#trouble.state !== 'none') this.#trouble.clear();
    if (effect === 'grow') this.concurrency.succeeded();
    else if (effect === 'back-off' && !throttledBefore) this.concurrency.backOff();
  }

  /** A slot may be free in the store. */
  sharedPossible(): void {
    this.#shared?.roomPossible();
  }

  /** The mapping changed. */
  retune(served: ServedMapping): void {
    const before = this.#served.tuning.maximumConcurrency;
    this.#served = served;
    this.concurrency.retune(served.tuning.startConcurrency, this.#ceiling());
    this.#trouble.clear();
    if (before !== served.tuning.maximumConcurrency) {
      this.#shared?.close();
      this.#shared = this.#createShared();
    }
  }

  /** Gives up waiting for room in the process. */
  stopWaiting(): void {
    this.#withdraw?.();
    this.#withdraw = undefined;
  }

  /** No timer runs afterwards. */
  close(): void {
    this.stopWaiting();
    this.concurrency.close();
    this.#shared?.close();
    this.#trouble.close();
  }

  #waitForRoom(need: Need): undefined {
    this.#withdraw = this.#share.wait(need, LARGEST_MESSAGE_BYTES, () => {
      this.#withdraw = undefined;
      this.#onReady();
    });
    return undefined;
  }

  #createShared(): SharedSlots | undefined {
    if (this.#served.tuning.maximumConcurrency === undefined) return undefined;
    const { slots, time } = this.#parts;
    return new SharedSlots({ slots, time, mapping: this.#served.mapping.uuid, onRoom: this.#onReady });
  }

  /** The longest that one Invoke and what follows it are expected to take. */
  #invokeMs(): number {
    return expectedRunSeconds(this.#served.mapping) * 1_000 + SLOT_MARGIN_MS;
  }

  #ceiling(): number {
    const own = this.#served.tuning.maximumConcurrency ?? LARGEST_MAPPING_CONCURRENCY;
    return Math.min(own, this.#parts.limits.maxInvokes);
  }
}

/** What a receive of so many messages reserves at most. */
function drawBytes(messages: number): number {
  return Math.min(messages * LARGEST_MESSAGE_BYTES, LARGEST_DRAW_BYTES);
}

/*
 * What one batch holds from before its lease until it is settled: a slot of its mapping, the mapping's slot in the
 * store if its concurrency is limited, an Invoke and bytes of the process. All of it is given back on every way a batch
 * can end.
 */

export class Holdings {
  readonly #concurrency: MappingConcurrency;
  readonly #share: MappingShare;
  /** Bytes of its messages in memory. */
  readonly bytes: ByteShare;
  /**
   * The slot in the store; `undefined`: the concurrency of the mapping is not limited over all instances, or the slot
   * stays taken until its deadline.
   */
  shared: SharedSlot | undefined;
  #invoke: boolean;
  #slot: boolean;

  /** Takes over a slot of `concurrency`, `bytes`, and with `invoke` an Invoke of `share`, all taken already. */
  constructor(concurrency: MappingConcurrency, share: MappingShare, bytes: ByteShare, invoke: boolean) {
    this.#concurrency = concurrency;
    this.#share = share;
    this.bytes = bytes;
    this.#invoke = invoke;
    this.#slot = true;
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
    if (!this.#invoke) return;
    this.#invoke = false;
    this.#share.giveBackInvoke();
  }

  /**
   * Puts the deadline of the slot in the store off, if there is one; `false`: it is lost. Errors:
   * `StoreUnavailableError`.
   */
  async renewShared(holdMs: number): Promise<boolean> {
    return (await this.shared?.renew(holdMs)) ?? true;
  }

  /** Gives back what belongs to the process: nothing of the batch is in memory or on its way any more. */
  giveBackProcess(): void {
    this.bytes.free();
    this.giveBackInvoke();
  }

  /** Gives back everything. Rejects if the store cannot be reached; the slot there then ends by its deadline. */
  async giveBack(): Promise<void> {
    this.giveBackProcess();
    const { shared } = this;
    this.shared = undefined;
    try {
      await shared?.free();
    } finally {
      if (this.#slot) this.#concurrency.giveBack();
      this.#slot = false;
    }
  }
}
