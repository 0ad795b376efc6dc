/**
 * What was promised to producers and what functions were given, of every message of a run: its verdict is a row of
 * `docs/chaos.md`.
 *
 * A message is *lost* if its producer was told that it is stored and no function was ever given it. It came *twice* if
 * functions succeeded with it more than once: because its producer had no answer and sent it again (two messages), or
 * because one message was delivered again. The order of a message group is *broken* if a message is handled for the
 * first time after one that was sent later; to be given an old message again breaks nothing.
 *
 * @module
 */
import type { InvokeEvent } from '../../support/aws-endpoint.ts';

/** A message as its producer made it. */
export interface Sent {
  readonly body: string;
  readonly queue: string;
  /** Of FIFO queues. */
  readonly group?: string;
  /** Position in its group, from 0. */
  readonly position: number;
}

interface Known extends Sent {
  /** Its producer was told that it is stored. */
  accepted: boolean;
  /** When its producer last began to send it, `performance.now()`. */
  begunAt: number;
  /** The ids under which functions succeeded with it, each as often as they did. */
  readonly handledAs: string[];
}

export interface Verdict {
  readonly accepted: number;
  /** Bodies. */
  readonly lost: readonly string[];
  /** Messages more than one of which was handled: their producers sent them again. */
  readonly sentTwice: number;
  /** Messages that a function was given again after it had succeeded with them. */
  readonly deliveredTwice: number;
  /** Messages that were handled after a later one of their group. */
  readonly outOfOrder: readonly string[];
}

/** How long it took from a moment until something went through again, ms. */
export interface Recovery {
  readonly sendsMs: number;
  readonly deliveriesMs: number;
}

export class Ledger {
  readonly #messages = new Map<string, Known>();
  /** The position up to which each group was handled. */
  readonly #reached = new Map<string, number>();
  readonly #outOfOrder: string[] = [];
  #accepted = 0;
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  #watch: { since: number; sendsMs?: number; deliveriesMs?: number; resolve: (recovery: Recovery) => void } | undefined;

  /** A producer begins to send it, for the first time or again. */
  begin(sent: Sent): void {
    const known = this.#messages.get(sent.body);
    if (known !== undefined) known.begunAt = performance.now();
    else this.#messages.set(sent.body, { ...sent, accepted: false, begunAt: performance.now(), handledAs: [] });
  }

  /** Its producer was told that it is stored. */
  accept({ body }: Sent): void {
    const known = this.#messages.get(body);
    if (known === undefined || known.accepted) return;
    known.accepted = true;
    this.#accepted += 1;
    for (const { count, resolve } of this.#waiting) if (this.#accepted === count) resolve();
    const watch = this.#watch;
    if (watch === undefined || known.begunAt < watch.since) return;
    watch.sendsMs ??= performance.now() - watch.since;
    this.#look();
  }

  /** A function was given these and succeeds. */
  handle({ Records }: InvokeEvent): void {
    for (const { body, messageId } of Records) {
      const known = this.#messages.get(body);
      if (known === undefined) throw new Error(`a function was given ${body}, which nobody sent`);
      if (known.handledAs.length === 0) this.#checkOrder(known);
      known.handledAs.push(messageId);
      const watch = this.#watch;
      if (watch === undefined || known.begunAt < watch.since) continue;
      watch.deliveriesMs ??= performance.now() - watch.since;
      this.#look();
    }
  }

  /** Resolves when producers were told of so many messages that they are stored. */
  acceptedAre(count: number): Promise<void> {
    return this.#accepted >= count
      ? Promise.resolve()
      : new Promise((resolve) => void this.#waiting.push({ count, resolve }));
  }

  /**
   * Resolves when a send that begins from now on was answered, and a message that is sent from now on was delivered.
   * One at a time.
   */
  goesOn(): Promise<Recovery> {
    return new Promise((resolve) => {
      this.#watch = { since: performance.now(), resolve };
    });
  }

  verdict(): Verdict {
    const known = [...this.#messages.values()];
    return {
      accepted: this.#accepted,
      lost: known.filter(({ accepted, handledAs }) => accepted && handledAs.length === 0).map(({ body }) => body),
      sentTwice: known.filter(({ handledAs }) => new Set(handledAs).size > 1).length,
      deliveredTwice: known.filter(({ handledAs }) => new Set(handledAs).size < handledAs.length).length,
      outOfOrder: this.#outOfOrder,
    };
  }

  #checkOrder({ body, queue, group, position }: Known): void {
    if (group === undefined) return;
    const key = `${queue} ${group}`;
    const reached = this.#reached.get(key) ?? -1;
    if (position < reached) this.#outOfOrder.push(body);
    else this.#reached.set(key, position);
  }

  #look(): void {
    const { sendsMs, deliveriesMs, resolve } = this.#watch ?? {};
    if (resolve === undefined || sendsMs === undefined || deliveriesMs === undefined) return;
    this.#watch = undefined;
    resolve({ sendsMs, deliveriesMs });
  }
}
