/**
 * Which of several instances on one store claims the messages of a queue first.
 *
 * Every wake reaches all instances; without a preference most of them would ask the store in vain. The instance with the highest hash of (instance, queue)
 * claims at once, the others wait two seconds and then look whether anything is left. No lease and no election: all instances compute the same order from the same
 * list, a wrong list costs a needless claim, a dead instance two seconds. Who finds messages that the preferred instance left lying for those two seconds doubts it: the store asks it for
 * a sign of life, so that a dead instance costs its two seconds only until then, and a busy one keeps its place.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { QueueKey } from '../queue/arn.ts';

/** How long an instance that is not preferred leaves due messages to the one that is, ms. */
export const DEFERENCE_MS = 2_000;

export class Rendezvous {
  readonly #self: string;
  #instances: readonly string[];
  readonly #preferred = new Map<QueueKey, string>();

  /** @param self Id of this instance, as in the `instances` signal. Until the first signal it is alone. */
  constructor(self: string) {
    this.#self = self;
    this.#instances = [self];
  }

  /** The live instances; this one is one of them, listed or not. */
  update(instances: readonly string[]): void {
    this.#instances = instances.includes(this.#self) ? instances : [...instances, this.#self];
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
