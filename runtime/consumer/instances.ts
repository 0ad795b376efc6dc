/**
 * MaximumConcurrency of one mapping, held by all instances together: slots in the store, taken before messages are
 * leased.
 *
 * A refused taker does not ask again by itself. It waits for one of three things: the `slot` signal of the store (sent
 * when a full set has room again), a `gap` in the signals (one may have been lost), or the moment at which the first of
 * the slots that are held now runs out, if its holder died: that is announced by nobody.
 *
 * Dirty rule, as for the head-watch: answers and signals have no order. A signal that arrives while a take is under way
 * is remembered, and a refusal that it may have overtaken does not make anyone wait.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import type { QueueKey, Slots } from '../store/store.ts';
import type { Cancel, Time } from '../time.ts';

/** A slot that is held. */
export interface SharedSlot {
  /**
   * Puts its deadline off, to `holdMs` from now; `false`: it had run out, and others have taken every slot since.
   * Errors: `StoreUnavailableError`.
   */
  renew(holdMs: number): Promise<boolean>;
  /** Gives it back. Errors of the store are left to the deadline of the slot. */
  free(): Promise<void>;
}

export interface SharedSlotsOptions {
  readonly slots: Slots;
  readonly time: Time;
  /** UUID of the mapping: slots follow the mapping, whatever queue or function it points to. */
  readonly mapping: string;
  /** Called when a slot may be had again. */
  readonly onRoom: () => void;
}

const PREFIX = 'mapping:';

/** The name of the slot set of a mapping, as it stands in `slot` signals. */
function slotSetName(mapping: string): string {
  return `${PREFIX}${mapping}`;
}

/** The mapping whose slot set has this name; `undefined`: it is another set. */
export function mappingOfSlotSet(name: string): string | undefined {
  return name.startsWith(PREFIX) ? name.slice(PREFIX.length) : undefined;
}

export class SharedSlots {
  readonly #slots: Slots;
  readonly #time: Time;
  readonly #name: string;
  readonly #onRoom: () => void;
  /** Counts the signals that said or may have said that there is room. */
  #signals = 0;
  #waiting: Cancel | undefined;

  constructor(options: SharedSlotsOptions) {
    this.#slots = options.slots;
    this.#time = options.time;
    this.#name = slotSetName(options.mapping);
    this.#onRoom = options.onRoom;
  }

  /** The last take was refused, and nothing has happened since that could have changed it. */
  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  /**
   * Takes a slot.
   *
   * @param holder Unique among all instances.
   * @param holdMs How long the slot lives if its holder dies, ms: longer than any batch of the mapping takes.
   * @returns `undefined` if all are taken. Errors: `StoreUnavailableError`.
   */
  async take(holder: string, limit: number, holdMs: number): Promise<SharedSlot | undefined> {
    const signalsBefore = this.#signals;
    const taken = await this.#slots.take(this.#name, holder, limit, holdMs);
    if (taken === 'taken') {
      return {
        // To take again what is held is to hold it anew.
        renew: async (anewMs) => (await this.#slots.take(this.#name, holder, limit, anewMs)) === 'taken',
        free: () => this.#slots.free(this.#name, holder, limit),
      };
    }
    if (this.#signals === signalsBefore) {
      this.#waiting?.();
      this.#waiting = this.#time.after(taken, () => this.roomPossible());
    }
    return undefined;
  }

  /** A `slot` signal of this set, or a gap in the signals. */
  roomPossible(): void {
    this.#signals += 1;
    this.close();
    this.#onRoom();
  }

  close(): void {
    this.#waiting?.();
    this.#waiting = undefined;
  }
}

/*
 * Which of several instances on one store claims the messages of a queue first.
 *
 * Every wake reaches all instances; without a preference most of them would ask the store in vain. The instance with
 * the highest hash of (instance, queue) claims at once, the others wait two seconds and then look whether anything is
 * left. No lease and no election: all instances compute the same order from the same list, a wrong list costs a
 * needless claim, a dead instance two seconds. Who finds messages that the preferred instance left lying for those two
 * seconds doubts it: the store asks it for a sign of life, so that a dead instance costs its two seconds only until
 * then, and a busy one keeps its place. One whose process has no room left asks the others for help, and they claim at
 * once.
 */

/** How long an instance that is not preferred leaves due messages to the one that is, ms. */
export const DEFERENCE_MS = 2_000;

export class Rendezvous {
  readonly #self: string;
  #instances: readonly string[];
  /** Whether no other instance is known; then this one is preferred for every queue. Changed by `update` alone. */
  alone = true;
  readonly #preferred = new Map<QueueKey, string>();

  /** @param self Id of this instance, as in the `instances` signal. Until the first signal it is alone. */
  constructor(self: string) {
    this.#self = self;
    this.#instances = [self];
  }

  /** The live instances; this one is one of them, listed or not. */
  update(instances: readonly string[]): void {
    this.#instances = instances.includes(this.#self) ? instances : [...instances, this.#self];
    this.alone = this.#instances.length === 1;
    this.#preferred.clear();
  }

  /** Whether this instance claims at once. */
  prefers(queue: QueueKey): boolean {
    return this.preferred(queue) === this.#self;
  }

  /** The instance that claims at once. */
  preferred(queue: QueueKey): string {
    let preferred = this.#preferred.get(queue);
    if (preferred === undefined) {
      preferred = highest(this.#instances, queue) ?? this.#self;
      this.#preferred.set(queue, preferred);
    }
    return preferred;
  }
}

/** The instance with the highest hash; the same for all who know the same instances, in whatever order. */
export function highest(instances: readonly string[], queue: QueueKey): string | undefined {
  let best: { readonly instance: string; readonly weight: string } | undefined;
  for (const instance of instances) {
    const weight = createHash('sha256').update(`${instance}\n${queue}`).digest('hex');
    if (best === undefined || weight > best.weight) best = { instance, weight };
  }
  return best?.instance;
}
