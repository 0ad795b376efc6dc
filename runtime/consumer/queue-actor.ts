/**
 * The actor of one queue: it decides when messages are leased, and for which of the queue's mappings.
 *
 * States.
 *
 *   held         the queue is not in mode `consume`, or no mapping of it is served here. Nothing is leased.
 *   idle         nothing is due, as far as the head-watch knows. The watch wakes the actor.
 *   deferring    something is due, but another instance is preferred for this queue. It gets two seconds; if something
 *                is still due then, this instance helps until a receive comes back empty, and if there was something
 *                indeed, it doubts that the other one is there. The preferred instance asks for help as soon as its
 *                process has no room; then the others help at once, and doubt nothing.
 *   leasing      one receive is under way. Never two: the answer of each tells whether there is more.
 *   waiting      something is due, but no mapping can take it now: no free slot, no room in the process, a pause.
 *                Whatever frees up wakes the actor.
 *   backing-off  the store failed, or gave nothing although it said that something was due. A timer wakes the actor, or
 *                the store becoming reachable.
 *   stopped      for good.
 *
 * Invariant. Unless held or stopped: if something is due, then a receive is under way, or one of these calls `#advance`
 * later: the watch, a worker that refused, the deference timer, the back-off timer. So the actor never polls, and no
 * message waits for a call that nobody makes.
 *
 * How it is kept. `#advance` looks at everything anew and never trusts what it saw before; all wakes end in it, in any
 * order and number. While a receive is under way it does nothing, because the loop looks at everything anew after each
 * receive. No state survives a wake but the timers and `#helping`.
 *
 * Several mappings of one queue are competing consumers, as in AWS: each message goes to one of them. They draw in
 * turn.
 *
 * @module
 */

import type { Queue } from '../queue/queue.ts';
import { backOff, type Pauses } from '../retry.ts';
import type { Cancel } from '../time.ts';
import { DEFERENCE_MS, type Rendezvous } from './instances.ts';
import { type Draw, MappingWorker, type WorkerSnapshot } from './mapping-worker.ts';
import type { ConsumerParts, ServedMapping } from './parts.ts';
import { warnOfStore } from './settlement.ts';

export type ActorState = 'held' | 'idle' | 'deferring' | 'leasing' | 'waiting' | 'backing-off' | 'stopped';

/** The state of a queue's consumption, for the operator. */
export interface ActorSnapshot {
  readonly queue: string;
  readonly state: ActorState;
  /** Whether this instance claims messages of the queue at once. */
  readonly preferred: boolean;
  readonly mappings: readonly WorkerSnapshot[];
}

/** Pauses after failures of the store, ms: doubling from the first to the last. */
const AFTER_FAILURES: Pauses = { firstMs: 100, longestMs: 30_000 };
/**
 * So many receives in a row without a message although something is still due mean that it cannot be had now (too many
 * messages in flight).
 */
const EMPTY_BEFORE_BACK_OFF = 3;
const AFTER_EMPTY: Pauses = { firstMs: 100, longestMs: 5_000 };
/** How often an instance without room asks the others for help with a queue, ms. Those who help go on by themselves. */
const ASK_AGAIN_MS = 1_000;

export class QueueActor {
  readonly queue: Queue;
  readonly #parts: ConsumerParts;
  readonly #rendezvous: Rendezvous;
  readonly #workers = new Map<string, MappingWorker>();
  readonly #unsubscribe: () => void;
  #state: ActorState = 'held';
  /** Workers draw in turn; this one drew last. */
  #drewLast: string | undefined;
  /** The receive loop, while it runs. */
  #loop: Promise<void> = Promise.resolve();
  /** `begun`: the first receive since the preferred instance had its two seconds is still to come. */
  #helping: 'no' | 'begun' | 'on' = 'no';
  #deference: Cancel | undefined;
  /** Monotonic, ms. */
  #askedAt = Number.NEGATIVE_INFINITY;
  #backOff: Cancel | undefined;
  #failures = 0;
  #emptyInARow = 0;
  #serving = false;
  /** Workers that were dropped and still have something on its way. */
  readonly #ending = new Set<Promise<void>>();

  constructor(queue: Queue, parts: ConsumerParts, rendezvous: Rendezvous) {
    this.queue = queue;
    this.#parts = parts;
    this.#rendezvous = rendezvous;
    this.#unsubscribe = queue.watch.subscribe(this.#advance);
  }

  get snapshot(): ActorSnapshot {
    return {
      queue: this.queue.key,
      state: this.#state,
      preferred: this.#rendezvous.prefers(this.queue.key),
      mappings: [...this.#workers.values()].map((worker) => worker.snapshot),
    };
  }

  /** Whether some mapping is served, or ends. */
  get hasWorkers(): boolean {
    return this.#workers.size > 0;
  }

  /** Begins to serve a mapping, or changes how it is served. Others are untouched. */
  serve(served: ServedMapping): void {
    const { uuid } = served.mapping;
    const present = this.#workers.get(uuid);
    if (present !== undefined) present.retune(served);
    else {
      const worker = new MappingWorker({
        served,
        queue: this.queue,
        parts: this.#parts,
        onReady: this.#advance,
        onStopped: (why) => this.#emitStopped(uuid, why),
      });
      this.#workers.set(uuid, worker);
      if (this.#serving) this.#emitStarted(uuid);
      else worker.withhold('queue', this.#notServing());
    }
    this.queueChanged();
  }

  /** Ends to serve a mapping: nothing more is leased for it, what is on its way goes on. Others are untouched. */
  drop(uuid: string, why: string): void {
    const worker = this.#workers.get(uuid);
    if (worker === undefined) return;
    this.#workers.delete(uuid);
    if (this.#serving) this.#emitStopped(uuid, why);
    worker.withhold('queue', why);
    // Its draw, if it has one, must have ended before it can.
    const ending = this.#loop.then(() => worker.stop(why)).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    this.queueChanged();
  }

  /** Serves a mapping again that withheld itself. */
  resume(uuid: string): void {
    this.#workers.get(uuid)?.resume('mapping');
  }

  /** The definition of the queue changed; its mode matters here. */
  queueChanged(): void {
    const serving = this.#state !== 'stopped' && this.queue.definition.mode === 'consume' && this.hasWorkers;
    if (serving !== this.#serving) {
      this.#serving = serving;
      for (const [uuid, worker] of this.#workers) {
        if (serving) {
          worker.resume('queue');
          this.#emitStarted(uuid);
        } else {
          worker.withhold('queue', this.#notServing());
          this.#emitStopped(uuid, this.#notServing());
        }
      }
    }
    this.#advance();
  }

  /** A slot of this mapping may be free in the store; `undefined`: of any. */
  sharedSlotPossible(uuid: string | undefined): void {
    if (uuid !== undefined) this.#workers.get(uuid)?.sharedPossible();
    else for (const worker of this.#workers.values()) worker.sharedPossible();
  }

  /** The preferred instance has no room for what is due. */
  helpWanted(): void {
    if (this.#helping === 'no') this.#helping = 'on';
    this.#endDeference();
    this.#advance();
  }

  /** Other instances came or went. */
  instancesChanged(): void {
    this.#endDeference();
    this.#advance();
  }

  /** The store can be reached again. */
  storeReachable(): void {
    this.#endBackOff();
    this.#advance();
  }

  /** Leases nothing more, gives back what is only collected, and waits until everything on its way has ended. */
  async stop(why: string): Promise<void> {
    if (this.#state !== 'stopped') {
      this.#unsubscribe();
      this.#state = 'stopped';
      this.#endDeference();
      this.#endBackOff();
      for (const [uuid, worker] of this.#workers) {
        worker.withhold('queue', why);
        if (this.#serving) this.#emitStopped(uuid, why);
      }
      this.#serving = false;
    }
    await this.#loop;
    await Promise.all([...this.#workers.values()].map((worker) => worker.stop(why)));
    await Promise.all(this.#ending);
  }

  /** Looks at everything anew. Anyone may call it, at any time; a field, so that it can be handed to those who do. */
  readonly #advance = (): void => {
    if (this.#state === 'leasing' || this.#state === 'stopped') return;
    const draw = this.#next();
    if (draw !== undefined) this.#loop = this.#run(draw);
  };

  /** Receives as long as there is something to receive and somebody to take it. Never rejects. */
  async #run(first: Draw): Promise<void> {
    for (let draw: Draw | undefined = first; draw !== undefined; draw = this.#next()) {
      try {
        const end = await draw();
        this.#failures = 0;
        if (end === 'received') this.#emptyInARow = 0;
        if (end === 'received' && this.#helping === 'begun') {
          this.#helping = 'on';
          this.#parts.doubt(this.#rendezvous.preferred(this.queue.key));
        }
        if (end === 'empty') this.#foundNothing();
      } catch (error) {
        this.#failed(error);
      }
      if (this.#state === 'stopped') return;
    }
  }

  /** The next receive, or `undefined` and the state in which the actor rests. */
  #next(): Draw | undefined {
    const { watch } = this.queue;
    if (!this.#serving) return this.#rest('held');
    if (this.#backOff !== undefined) return this.#rest('backing-off');
    if (!watch.isDue()) {
      this.#helping = 'no';
      this.#emptyInARow = 0;
      if (this.#deference !== undefined) this.#endDeference();
      for (const worker of this.#workers.values()) worker.idle();
      return this.#rest('idle');
    }
    if (this.#helping === 'no' && !this.#rendezvous.alone && !this.#rendezvous.prefers(this.queue.key)) {
      this.#defer();
      return this.#rest('deferring');
    }
    for (const [uuid, worker] of this.#workers.size === 1 ? this.#workers : this.#inTurn()) {
      const draw = worker.begin();
      if (draw === undefined) continue;
      this.#drewLast = uuid;
      this.#state = 'leasing';
      return draw;
    }
    if (!this.#rendezvous.alone) this.#askForHelp();
    return this.#rest('waiting');
  }

  #rest(state: ActorState): undefined {
    this.#state = state;
    return undefined;
  }

  /** Workers, beginning after the one that drew last. */
  #inTurn(): readonly (readonly [string, MappingWorker])[] {
    const all = [...this.#workers];
    const after = all.findIndex(([uuid]) => uuid === this.#drewLast) + 1;
    return [...all.slice(after), ...all.slice(0, after)];
  }

  #defer(): void {
    this.#deference ??= this.#parts.time.after(DEFERENCE_MS, () => {
      this.#deference = undefined;
      this.#helping = 'begun';
      this.#advance();
    });
  }

  /** Only for want of room in this process: what else makes the mappings wait makes them wait everywhere. */
  #askForHelp(): void {
    const now = this.#parts.time.monotonic();
    if (now - this.#askedAt < ASK_AGAIN_MS || !this.#rendezvous.prefers(this.queue.key)) return;
    if (![...this.#workers.values()].some((worker) => worker.lacksRoom)) return;
    this.#askedAt = now;
    this.#parts.askForHelp(this.queue.key);
  }

  #foundNothing(): void {
    this.#helping = 'no';
    this.#emptyInARow += 1;
    if (this.#emptyInARow >= EMPTY_BEFORE_BACK_OFF) {
      this.#backOffFor(AFTER_EMPTY, this.#emptyInARow - EMPTY_BEFORE_BACK_OFF);
    }
  }

  #failed(error: unknown): void {
    const worker = this.#drewLast ?? '';
    // Once per outage, not once per try.
    if (this.#failures === 0) {
      warnOfStore({ mapping: worker, queue: this.queue.key }, 'messages could not be received', error, this.#parts);
    }
    this.#backOffFor(AFTER_FAILURES, this.#failures);
    this.#failures += 1;
  }

  #backOffFor(pauses: Pauses, before: number): void {
    if (this.#state === 'stopped') return;
    const ms = backOff(pauses, before, this.#parts.randomness);
    this.#backOff ??= this.#parts.time.after(ms, () => {
      this.#backOff = undefined;
      this.#advance();
    });
  }

  #endBackOff(): void {
    this.#backOff?.();
    this.#backOff = undefined;
  }

  #endDeference(): void {
    this.#deference?.();
    this.#deference = undefined;
  }

  #notServing(): string {
    return `the queue is in mode ${this.queue.definition.mode}`;
  }

  #emitStarted(mapping: string): void {
    this.#parts.events.emit({ kind: 'mapping-started', mapping, queue: this.queue.key });
  }

  #emitStopped(mapping: string, why: string): void {
    this.#parts.events.emit({ kind: 'mapping-stopped', mapping, queue: this.queue.key, why });
  }
}
