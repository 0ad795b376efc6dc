/**
 * The events of a consumer, kept in order, to be awaited one by one.
 *
 * @module
 */

import type { ConsumerEvent, EventBus } from '../../runtime/consumer/events.ts';

type Kind = ConsumerEvent['kind'];
type Of<K extends Kind> = Extract<ConsumerEvent, { readonly kind: K }>;

export class RecordedEvents {
  /** All events so far. */
  readonly all: ConsumerEvent[] = [];
  readonly #bus: EventBus;
  readonly #given = new Set<ConsumerEvent>();
  readonly #listeners = new Set<() => void>();

  constructor(bus: EventBus) {
    this.#bus = bus;
    bus.subscribe((event) => {
      this.all.push(event);
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /** Calls `listener` with every later event, before anybody who awaits it goes on. */
  onEach(listener: (event: ConsumerEvent) => void): void {
    this.#bus.subscribe(listener);
  }

  /** The events of one kind so far. */
  of<K extends Kind>(kind: K): readonly Of<K>[] {
    return this.all.filter((event): event is Of<K> => event.kind === kind);
  }

  /** The first event of this kind that no earlier call gave, past or to come. */
  next<K extends Kind>(kind: K, where: (event: Of<K>) => boolean = () => true): Promise<Of<K>> {
    return this.until(() => {
      const found = this.of(kind).find((event) => !this.#given.has(event) && where(event));
      if (found !== undefined) this.#given.add(found);
      return found;
    });
  }

  /** What `look` finds first, asked now and after every event. */
  until<T>(look: () => T | undefined | false): Promise<T> {
    return new Promise((resolve) => {
      const check = (): boolean => {
        const found = look();
        if (found === undefined || found === false) return false;
        this.#listeners.delete(listen);
        resolve(found);
        return true;
      };
      const listen = (): void => void check();
      if (!check()) this.#listeners.add(listen);
    });
  }
}
