/**
 * The invariant of the head-watch, against a model of a store whose requests, replies and wakes take their time and
 * arrive in any order.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeadWatch, type HeadWatch } from '../../runtime/queue/head-watch.ts';
import { ManualTime } from '../support/manual-time.ts';

const RUNS = process.env['KARIN_TEST_SIZE'] === 'full' ? 5_000 : 400;
/** Requests, replies and wakes each travel up to this long, ms. */
const LONGEST_TRAVEL = 20;
const LEASE = 300;

/**
 * What happens at one moment: another instance or this one sends a message, signals get lost, or the listener cannot
 * ask for a while.
 */
type Event =
  | { readonly kind: 'foreign-send' | 'own-send'; readonly delay: number; readonly travel: number }
  | { readonly kind: 'gap' }
  | { readonly kind: 'busy'; readonly forMs: number };

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('foreign-send' as const, 'own-send' as const),
      delay: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 400 })),
      travel: fc.integer({ min: 0, max: LONGEST_TRAVEL }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('gap' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('busy' as const), forMs: fc.integer({ min: 1, max: 200 }) }),
  },
);

const history = fc.array(fc.record({ afterMs: fc.integer({ min: 0, max: 120 }), event }), { maxLength: 25 });

/** Endless choices for travel times, batch sizes and fates. */
const choices = fc.infiniteStream(fc.nat({ max: 1_000_000 }));

interface StoredMessage {
  readonly id: string;
  dueAt: number;
  /** Receives. */
  count: number;
}

/**
 * One store, and one process whose listener leases what is due and then deletes it, gives it back, or lets the lease
 * run out.
 *
 * Calls of the process travel on one connection: their scripts run, and their replies arrive, in the order of the
 * calls. Wakes travel on another, in no order with those.
 */
class Model {
  readonly time = new ManualTime();
  readonly watch: HeadWatch;
  readonly #messages = new Map<string, StoredMessage>();
  readonly #choose: (max: number) => number;
  readonly #lossy: boolean;
  readonly #asksAtOnce: number;
  #asksUnderWay = 0;
  #busyUntil = 0;
  #sent = 0;
  /** Wakes published before this moment and not yet delivered are lost. */
  #gapAt = -1;
  #lastScriptAt = 0;
  #lastReplyAt = 0;
  /** How often the store was asked. */
  asked = 0;
  /** The longest that a message waited after it was due, ms. */
  latest = 0;

  constructor(choose: (max: number) => number, options: { readonly lossy: boolean; readonly asksAtOnce: number }) {
    this.#choose = choose;
    this.#lossy = options.lossy;
    this.#asksAtOnce = options.asksAtOnce;
    this.watch = createHeadWatch({ time: this.time });
    this.watch.subscribe(() => this.#ask());
    this.#ask();
  }

  get stored(): number {
    return this.#messages.size;
  }

  happen(event: Event): void {
    if (event.kind === 'busy') {
      this.#busyUntil = Math.max(this.#busyUntil, this.time.monotonic() + event.forMs);
      this.time.after(event.forMs, () => this.#ask());
    } else if (event.kind === 'gap') {
      this.#gapAt = this.time.monotonic();
      this.watch.forget();
    } else if (event.kind === 'own-send') {
      this.#call(
        () => this.#store(event.delay),
        (loweredTo) => this.#lower(loweredTo),
      );
    } else {
      const loweredTo = this.#store(event.delay);
      if (loweredTo !== undefined) this.#wake(loweredTo, event.travel);
    }
  }

  #call<T>(script: () => T, reply: (result: T) => void): void {
    this.#lastScriptAt = Math.max(this.#lastScriptAt, this.time.monotonic() + this.#choose(LONGEST_TRAVEL));
    this.time.after(this.#lastScriptAt - this.time.monotonic(), () => {
      const result = script();
      this.#lastReplyAt = Math.max(this.#lastReplyAt, this.time.monotonic() + this.#choose(LONGEST_TRAVEL));
      this.time.after(this.#lastReplyAt - this.time.monotonic(), () => reply(result));
    });
  }

  #wake(dueInMs: number, travel: number): void {
    const publishedAt = this.time.monotonic();
    this.time.after(travel, () => {
      if (publishedAt > this.#gapAt) this.watch.lowered(dueInMs);
    });
  }

  #lower(loweredTo: number | undefined): void {
    if (loweredTo !== undefined) this.watch.lowered(loweredTo);
  }

  #head(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...[...this.#messages.values()].map((message) => message.dueAt));
  }

  #headInMs(): number | undefined {
    return this.#messages.size === 0 ? undefined : Math.max(0, this.#head() - this.time.monotonic());
  }

  #store(delay: number): number | undefined {
    const now = this.time.monotonic();
    const before = this.#head();
    this.#sent += 1;
    const id = `m${this.#sent}`;
    this.#messages.set(id, { id, dueAt: now + delay, count: 0 });
    return now + delay < before ? delay : undefined;
  }

  #ask(): void {
    while (this.#asksUnderWay < this.#asksAtOnce && this.time.monotonic() >= this.#busyUntil && this.watch.isDue()) {
      this.#asksUnderWay += 1;
      this.asked += 1;
      const ask = this.watch.asking();
      const fails = this.#lossy && this.#choose(9) === 0;
      this.#call(
        () => this.#lease(),
        ({ leased, nextDueInMs }) => {
          this.#asksUnderWay -= 1;
          if (fails) {
            ask.failed();
            return;
          }
          for (const { id, count } of leased) {
            this.watch.leased(id, LEASE);
            this.#workOn(id, count);
          }
          ask.answered(nextDueInMs);
          this.#ask();
        },
      );
    }
  }

  #lease() {
    const now = this.time.monotonic();
    const due = [...this.#messages.values()].filter((message) => message.dueAt <= now);
    const others = [...this.#messages.values()].filter((message) => message.dueAt > now);
    for (const message of due) {
      this.latest = Math.max(this.latest, now - message.dueAt);
      message.dueAt = now + LEASE;
      message.count += 1;
    }
    const next = Math.min(...others.map((message) => message.dueAt));
    return {
      leased: due.map(({ id, count }) => ({ id, count })),
      nextDueInMs: others.length === 0 ? undefined : next - now,
    };
  }

  /**
   * Deletes the message after a while, gives it back, hides it for longer, or forgets it, so that the lease runs out.
   */
  #workOn(id: string, count: number): void {
    const fate = this.#choose(9);
    if (fate === 0) return;
    this.time.after(this.#choose(LEASE), () => {
      const ask = this.watch.asking();
      this.#call(
        () => ({ done: this.#settle(id, count, fate), head: this.#headInMs() }),
        ({ done, head }) => {
          if (done && fate === 2) this.watch.leased(id, 2 * LEASE);
          else if (done) this.watch.settled(id);
          ask.answered(head);
        },
      );
    });
  }

  /** Whether the lease held. */
  #settle(id: string, count: number, fate: number): boolean {
    const message = this.#messages.get(id);
    if (message?.count !== count) return false;
    if (fate === 1) message.dueAt = this.time.monotonic();
    else if (fate === 2) message.dueAt = this.time.monotonic() + 2 * LEASE;
    else this.#messages.delete(id);
    return true;
  }
}

function chooser(stream: Iterator<number>): (max: number) => number {
  return (max) => Number(stream.next().value) % (max + 1);
}

function play(model: Model, events: readonly { readonly afterMs: number; readonly event: Event }[]): void {
  for (const { afterMs, event } of events) {
    model.time.advance(afterMs);
    model.happen(event);
  }
}

describe('the head-watch under random delays and orders', () => {
  it('never leaves a message behind, whatever is lost, late, busy or failed', () => {
    fc.assert(
      fc.property(history, choices, fc.constantFrom(1, 3), (events, stream, asksAtOnce) => {
        const model = new Model(chooser(stream[Symbol.iterator]()), { lossy: true, asksAtOnce });
        play(model, events);
        model.time.advance(3_600_000);
        expect(model.stored).toBe(0);
      }),
      { numRuns: RUNS },
    );
  });

  it('has every message asked for within the travel times of its being due', () => {
    const prompt = history.map((events) => events.filter(({ event }) => event.kind !== 'busy' && event.kind !== 'gap'));
    fc.assert(
      fc.property(prompt, choices, (events, stream) => {
        const model = new Model(chooser(stream[Symbol.iterator]()), { lossy: false, asksAtOnce: 1 });
        play(model, events);
        model.time.advance(3_600_000);
        // The news of it (a wake or a reply), an ask under way (there and back), and the ask that finds it.
        expect(model.latest).toBeLessThanOrEqual(4 * LONGEST_TRAVEL);
        expect(model.stored).toBe(0);
      }),
      { numRuns: RUNS },
    );
  });

  it('asks nothing more and holds no timer once everything is settled', () => {
    fc.assert(
      fc.property(history, choices, fc.constantFrom(1, 3), (events, stream, asksAtOnce) => {
        const model = new Model(chooser(stream[Symbol.iterator]()), { lossy: true, asksAtOnce });
        play(model, events);
        model.time.advance(3_600_000);
        const asked = model.asked;
        expect(model.time.pending).toBe(0);
        model.time.advance(86_400_000);
        expect(model.asked).toBe(asked);
      }),
      { numRuns: RUNS },
    );
  });
});
