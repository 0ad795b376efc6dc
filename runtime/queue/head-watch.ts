/**
 * The head-watch: one timer per queue, armed for the next due message the store told us about.
 *
 * Invariant. For every queue of a live process: the timer stands at or before the moment the earliest message of the
 * queue is due, or an operation is under way whose answer will arm it, or the head is *unknown* and somebody listens
 * and has been woken.
 *
 * States of the head, as far as this process knows:
 *
 *   unknown   nothing was asked yet, or a `gap` in the signals may have hidden a wake. Listeners are woken: they ask
 *             the store.
 *   empty     the store said there is nothing. No timer.
 *   due(t)    the store said the next message is due at t (monotonic ms). A timer runs until t; from t on listeners are
 *             woken.
 *
 * What moves it:
 *
 *   lowered(ms)        a send of this process lowered the head (the reply says so), or a wake came from another
 *                      instance. The head becomes the earlier of what it was and now + ms. A send that finds the head
 *                      of the store long past due says so too, with 0 ms.
 *   asking() .. answered(ms)
 *                      a receive, a peek, or the end or change of leases is under way, and its answer replaces the
 *                      head. Dirty rule: replies and wakes come over two connections and have no order, so a `lowered`
 *                      that arrives while an ask is under way is remembered and merged into that answer; without it a
 *                      message that arrived between the script and the reply would wait for the sweep.
 *   asking() .. failed()
 *                      the call may have leased messages whose ids never arrived, so the head is unknown. Listeners are
 *                      woken again only after a pause that doubles with every failure in a row: the caller has his own
 *                      way of trying again, but another listener must not be left asleep because of a call that was not
 *                      his.
 *   leased(id, ms)     this process leased a message; if it is not settled by then, it is due again. Kept apart from
 *                      the head, because the answer of a receive does not count what it leased. Said again, it replaces
 *                      the lease (a visibility change).
 *   settled(id)        the lease is over (deleted or released). The call that ended it is an ask like any other: as
 *                      long as the lease was the head, messages that others sent to be due later published no wake, so
 *                      only the store knows what is the head now. For the same reason a finished batch needs no further
 *                      call.
 *   forget()           back to unknown (signals were lost, or the wall clock, by which the store counts, went another
 *                      way than the monotonic one, by which the timers do), and listeners are woken.
 *   relearn() .. answered(ms)
 *                      the same for a caller who asks at once: nobody is woken before the answer.
 *
 * Answers given by asks that were under way when signals were lost are too old to raise the head: the store may have
 * read it before the message whose wake was lost. They can only lower it. Without a gap, several asks at a time are
 * safe in any order: whatever lowered the head after a script ran is remembered by that script's ask or arrives after
 * its answer, so an old answer can at worst name a head that is gone, which costs one call.
 *
 * Listeners are woken whenever something is due or unknown. A listener that then asks and finds nothing costs one call;
 * the answer re-arms the timer. A listener that cannot ask now (no free slot) simply does not; when its slot frees it
 * looks at `isDue()` again, because a head that is already visible wakes nobody. For the same reason a new listener
 * looks at `isDue()` after it subscribed.
 *
 * Every duration here counts from the moment of the call, which is never earlier than the moment the store measured
 * from: a timer is late by the travel time of the reply at most, and never so early that the store would have to be
 * asked twice.
 *
 * @module
 */
import { backOff, type Pauses } from '../retry.ts';
import type { Cancel, Randomness, Time } from '../time.ts';

/**
 * Under way between `asking` and `answered`; remembers what was lowered meanwhile. Exactly one of the two is called,
 * once.
 */
export interface Ask {
  /**
   * The store answered: milliseconds until the next due message that is not leased by this process's own call;
   * `undefined`: none.
   */
  answered(nextDueInMs: number | undefined): void;
  /** The call failed: the head is unknown, but nobody is woken for it at once; the caller decides when to try again. */
  failed(): void;
}

export interface HeadWatch {
  /** Whether a receive could return something now: the head is unknown, due, or a lease of this process ran out. */
  isDue(): boolean;
  /**
   * Milliseconds until `isDue` turns true by itself; 0: now; `undefined`: not before something is sent. Looks at every
   * lease.
   */
  dueInMs(): number | undefined;
  asking(): Ask;
  lowered(dueInMs: number): void;
  leased(id: string, leaseMs: number): void;
  settled(id: string): void;
  forget(): void;
  /** `forget` and `asking` in one step, for a caller who asks the store right now. */
  relearn(): Ask;
  /** Whether anybody would be woken. */
  hasListeners(): boolean;
  /**
   * Calls `listener` each time the queue becomes due (or is found due after an answer), until the returned function is
   * called. It must not throw.
   */
  subscribe(listener: () => void): () => void;
  /** Cancels the timer for good; nobody is woken any more, and `isDue` is false. */
  close(): void;
}

/**
 * Pause before listeners are woken again after a failed ask; doubles up to the longest, with every failure in a row.
 */
const RETRIES: Pauses = { firstMs: 1_000, longestMs: 30_000 };

/** On the monotonic clock, or nothing known, or nothing there. */
type Head = number | 'unknown' | 'empty';

interface AskState {
  /** Earliest moment that `lowered` named while this ask was under way. */
  lowered: number;
  /** Signals were lost since it began. */
  outdated: boolean;
}

const NEVER = Number.POSITIVE_INFINITY;

/** A head-watch whose head is unknown. It costs nothing until somebody subscribes or asks. */
export function createHeadWatch(options: { readonly time: Time }): HeadWatch {
  return new TimedHeadWatch(options.time);
}

class TimedHeadWatch implements HeadWatch {
  readonly #time: Time;
  /** An object for each, so that one function subscribed twice is two subscriptions. */
  readonly #listeners = new Set<{ readonly listener: () => void }>();
  readonly #asks = new Set<AskState>();
  /** End of each unsettled lease of this process, on the monotonic clock. */
  readonly #leases = new Map<string, number>();
  /**
   * At or before the earliest of `#leases`. May be too early after a lease was settled: then the timer looks, finds
   * nothing and re-arms.
   */
  #leaseAlarm = NEVER;
  #head: Head = 'unknown';
  #failuresInARow = 0;
  #timer: Cancel | undefined;
  #timerAt = NEVER;
  #closed = false;

  constructor(time: Time) {
    this.#time = time;
  }

  isDue(): boolean {
    if (this.#closed) return false;
    const now = this.#time.monotonic();
    if (this.#leaseAlarm <= now) this.#collectExpiredLeases(now);
    if (this.#head === 'unknown') return true;
    return this.#head !== 'empty' && this.#head <= now;
  }

  dueInMs(): number | undefined {
    if (this.#closed) return undefined;
    if (this.isDue()) return 0;
    this.#leaseAlarm = this.#earliestLease();
    const at = this.#alarm();
    return at === NEVER ? undefined : at - this.#time.monotonic();
  }

  asking(): Ask {
    const ask: AskState = { lowered: NEVER, outdated: false };
    this.#asks.add(ask);
    return {
      answered: (nextDueInMs) => {
        if (!this.#asks.delete(ask)) return;
        this.#failuresInARow = 0;
        const answer = nextDueInMs === undefined ? NEVER : this.#time.monotonic() + Math.max(0, nextDueInMs);
        const at = Math.min(answer, ask.lowered);
        if (ask.outdated) this.#lower(at);
        else this.#head = at === NEVER ? 'empty' : at;
        this.#settle();
      },
      failed: () => {
        if (this.#asks.delete(ask)) this.#retryLater();
      },
    };
  }

  lowered(dueInMs: number): void {
    const at = this.#time.monotonic() + Math.max(0, dueInMs);
    for (const ask of this.#asks) ask.lowered = Math.min(ask.lowered, at);
    // A head that is due already has woken everybody, and an unknown one cannot become more so.
    const dueBefore = this.#head !== 'unknown' && this.isDue();
    this.#lower(at);
    if (!dueBefore) this.#settle();
  }

  leased(id: string, leaseMs: number): void {
    const end = this.#time.monotonic() + Math.max(0, leaseMs);
    // Usually called between a receive and its `answered`, while the head is still the one that led to the receive:
    // that head has woken everybody already.
    const dueBefore = this.isDue();
    this.#leases.set(id, end);
    this.#leaseAlarm = Math.min(this.#leaseAlarm, end);
    if (!dueBefore) this.#settle();
  }

  settled(id: string): void {
    this.#leases.delete(id);
    if (this.#leases.size === 0) this.#leaseAlarm = NEVER;
  }

  forget(): void {
    this.#unlearn();
    this.#settle();
  }

  relearn(): Ask {
    this.#unlearn();
    return this.asking();
  }

  hasListeners(): boolean {
    return this.#listeners.size > 0;
  }

  subscribe(listener: () => void): () => void {
    const entry = { listener };
    this.#listeners.add(entry);
    return () => {
      this.#listeners.delete(entry);
    };
  }

  close(): void {
    this.#closed = true;
    this.#listeners.clear();
    this.#leases.clear();
    this.#disarm();
  }

  #retryLater(): void {
    // A pause that runs already is not made longer: calls that go on failing must not put off the next attempt without
    // end.
    if (this.#head === 'unknown' && this.#timer !== undefined) return;
    const pause = backOff(RETRIES, this.#failuresInARow);
    this.#failuresInARow += 1;
    this.#head = 'unknown';
    this.#arm(this.#time.monotonic() + pause);
  }

  #unlearn(): void {
    for (const ask of this.#asks) ask.outdated = true;
    this.#head = 'unknown';
  }

  #lower(at: number): void {
    if (this.#head === 'unknown') return;
    this.#head = this.#head === 'empty' ? at : Math.min(this.#head, at);
  }

  /** A lease that ran out makes its message the head, due now. */
  #collectExpiredLeases(now: number): void {
    for (const [id, end] of this.#leases) {
      if (end > now) continue;
      this.#leases.delete(id);
      this.#lower(end);
    }
    this.#leaseAlarm = this.#earliestLease();
  }

  #earliestLease(): number {
    let earliest = NEVER;
    for (const end of this.#leases.values()) earliest = Math.min(earliest, end);
    return earliest;
  }

  #alarm(): number {
    return Math.min(typeof this.#head === 'number' ? this.#head : NEVER, this.#leaseAlarm);
  }

  /**
   * After every change: wakes the listeners if something is due, else stands the timer at the next moment something is.
   */
  #settle(): void {
    if (this.#closed) return;
    if (this.isDue()) {
      if (this.#timer !== undefined) this.#disarm();
      // A copy: a listener may subscribe, unsubscribe or ask (and so come back here) while it is called.
      for (const entry of [...this.#listeners]) if (this.#listeners.has(entry)) entry.listener();
    } else {
      this.#arm(this.#alarm());
    }
  }

  #arm(at: number): void {
    if (this.#closed || (this.#timer !== undefined && this.#timerAt === at)) return;
    if (this.#timer !== undefined) this.#disarm();
    if (at === NEVER) return;
    this.#timerAt = at;
    this.#timer = this.#time.after(at - this.#time.monotonic(), () => {
      this.#timer = undefined;
      this.#timerAt = NEVER;
      this.#settle();
    });
  }

  #disarm(): void {
    this.#timer?.();
    this.#timer = undefined;
    this.#timerAt = NEVER;
  }
}

/*
 * The safety sweep of one queue: a look at the store although nothing says there is anything to see, in case a wake was
 * lost without anybody noticing.
 *
 * It runs one minute after the last activity, then at doubling intervals up to six hours, each varied by a quarter so
 * that queues and instances do not sweep in step. A queue that was never active in this process begins at six hours.
 * While a queue is active its own calls learn all that a sweep would; only upkeep is offered then.
 */

const FIRST_INTERVAL_MS = 60_000;
const LONGEST_INTERVAL_MS = 6 * 3_600_000;
/** Intervals run from 75 % to 125 % of their nominal length. */
const SPREAD = 0.5;

interface SafetySweepOptions {
  readonly time: Time;
  readonly randomness: Randomness;
  /** Called at each sweep. `idle`: nothing happened for the whole interval. It must not throw. */
  readonly sweep: (idle: boolean) => void;
}

export class SafetySweep {
  readonly #options: SafetySweepOptions;
  #intervalMs = LONGEST_INTERVAL_MS;
  #lastActivityAt: number | undefined;
  #timer: Cancel | undefined;
  #closed = false;
  #uses = 0;

  constructor(options: SafetySweepOptions) {
    this.#options = options;
    this.#arm(this.#spread(LONGEST_INTERVAL_MS));
  }

  /** How often `active` was called. */
  get uses(): number {
    return this.#uses;
  }

  /**
   * The queue was used, or another instance woke it. Cheap: it arms a timer only if the present one stands for a longer
   * interval.
   */
  active(): void {
    this.#uses += 1;
    if (this.#closed) return;
    this.#lastActivityAt = this.#options.time.monotonic();
    if (this.#intervalMs === FIRST_INTERVAL_MS) return;
    this.#intervalMs = FIRST_INTERVAL_MS;
    this.#arm(this.#spread(FIRST_INTERVAL_MS));
  }

  close(): void {
    this.#closed = true;
    this.#timer?.();
  }

  #run(): void {
    const idleMs = this.#options.time.monotonic() - (this.#lastActivityAt ?? Number.NEGATIVE_INFINITY);
    const idle = idleMs >= this.#intervalMs * (1 - SPREAD / 2);
    if (idle) {
      this.#intervalMs = Math.min(LONGEST_INTERVAL_MS, this.#intervalMs * 2);
      this.#arm(this.#spread(this.#intervalMs));
    } else {
      this.#arm(this.#spread(FIRST_INTERVAL_MS));
    }
    this.#options.sweep(idle);
  }

  #spread(ms: number): number {
    return ms * (1 - SPREAD / 2 + SPREAD * this.#options.randomness.fraction());
  }

  #arm(ms: number): void {
    this.#timer?.();
    this.#timer = this.#options.time.after(ms, () => this.#run());
  }
}
