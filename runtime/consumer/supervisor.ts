/**
 * Makes the consumer fit the mappings: an actor for each queue that has some, started, changed and ended as a
 * difference, so that an unchanged mapping never notices a sync.
 *
 * Mappings and queues come from two sides and in any order: a mapping whose queue does not exist yet is served as soon
 * as the directory reports it. One mapping that cannot be served (a filter or a tag that cannot be understood) is
 * reported as broken and harms no other.
 *
 * The end comes in three steps: nothing more is leased, and what was only collected is given back; open Invokes may
 * finish within the grace period; those that are left are given up, and their messages wait out their leases.
 *
 * @module
 */

import { setMaxListeners } from 'node:events';
import type { Invoker } from '../aws/invoke.ts';
import type { BrokenMapping, Mapping } from '../aws/mapping.ts';
import { stableJson } from '../aws/mapping.ts';
import type { ApplyDiff } from '../aws/sync/synchroniser.ts';
import type { DirectoryEvent, QueueDirectory } from '../queue/directory.ts';
import { type QueueRef, queueKey } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueKey, Signal, Store } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import type { EventSink } from './events.ts';
import { compileFilter } from './filter/filter.ts';
import { FilterError } from './filter/matchers.ts';
import { mappingOfSlotSet, Rendezvous } from './instances.ts';
import { type LimitOptions, ProcessLimits } from './limits.ts';
import { type ConsumerParts, type ConsumerSettings, DEFAULT_SETTINGS, type ServedMapping } from './parts.ts';
import { type ActorSnapshot, QueueActor } from './queue-actor.ts';
import { MappingWarnings, queueChooser, readTuning, TuningError } from './tuning.ts';

export interface SupervisorOptions {
  readonly directory: QueueDirectory;
  readonly store: Pick<Store, 'slots' | 'subscribe' | 'doubt' | 'askForHelp'>;
  readonly invoker: Invoker;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly events: EventSink;
  /** Functions whose logs an operator wants; default: none. */
  readonly logTails?: NonNullable<ConsumerParts['logTails']>;
  /** Invokes at one time and bytes in memory, of all mappings of this process together. */
  readonly limits: LimitOptions;
  /** Id of this instance, as it stands in the `instances` signal of the store. */
  readonly instance: string;
  /** Queue-name globs of the queues to consume, see `tuning.ts`; default: all. */
  readonly queueNames?: readonly string[];
  readonly settings?: Partial<ConsumerSettings>;
}

/** The state of the consumer, for the operator. */
export interface ConsumerSnapshot {
  readonly queues: readonly ActorSnapshot[];
  /** UUIDs of mappings whose queue does not exist here. */
  readonly withoutQueue: readonly string[];
  readonly broken: readonly BrokenMapping[];
  readonly invokes: { readonly running: number; readonly limit: number };
  readonly bytesInMemory: { readonly used: number; readonly limit: number };
}

export interface Supervisor {
  /** Serves these mappings and no others. */
  apply(mappings: readonly Mapping[]): ApplyDiff;
  /** Serves a mapping again that was paused for a probable loop; does nothing to others. */
  resume(uuid: string): void;
  snapshot(): ConsumerSnapshot;
  /** Ends everything; open Invokes have `graceMs` milliseconds to finish. A second call waits for the first. */
  stop(graceMs: number): Promise<void>;
}

/** A mapping as it is served, and what it was made from, to tell whether it changed. */
interface Serving {
  readonly served: ServedMapping;
  readonly fingerprint: string;
  readonly queue: QueueKey;
}

/** Creates the consumer; it serves nothing before the first `apply`. */
export function createSupervisor(options: SupervisorOptions): Supervisor {
  return new ActorSupervisor(options);
}

class ActorSupervisor implements Supervisor {
  readonly #options: SupervisorOptions;
  readonly #parts: ConsumerParts;
  readonly #rendezvous: Rendezvous;
  readonly #isChosen: (queue: QueueRef) => boolean;
  readonly #stopping = new AbortController();
  readonly #aborting = new AbortController();
  readonly #actors = new Map<QueueKey, QueueActor>();
  readonly #serving = new Map<string, Serving>();
  readonly #warnings: MappingWarnings;
  readonly #unsubscribe: readonly (() => void)[];
  /** Actors that serve nothing any more, until what they have on its way has ended. */
  readonly #ending = new Set<Promise<void>>();
  #broken: readonly BrokenMapping[] = [];
  /** What was given last, by UUID. */
  #given: ReadonlyMap<string, QueueKey> = new Map();
  #stopped: Promise<void> | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#rendezvous = new Rendezvous(options.instance);
    this.#warnings = new MappingWarnings(options.directory, options.events);
    this.#isChosen = queueChooser(options.queueNames ?? []);
    // Every open Invoke listens to these; Node would take so many listeners for a leak.
    setMaxListeners(0, this.#stopping.signal, this.#aborting.signal);
    this.#parts = {
      slots: options.store.slots,
      invoker: options.invoker,
      ...(options.logTails === undefined ? {} : { logTails: options.logTails }),
      time: options.time,
      randomness: options.randomness,
      events: options.events,
      limits: new ProcessLimits(options.limits),
      settings: { ...DEFAULT_SETTINGS, ...options.settings },
      stopping: this.#stopping.signal,
      aborting: this.#aborting.signal,
      doubt: (instance) => options.store.doubt(instance),
      askForHelp: (queue) => options.store.askForHelp(queue),
    };
    this.#unsubscribe = [
      options.directory.subscribe((event) => this.#directoryChanged(event)),
      options.store.subscribe((signal) => this.#heard(signal)),
    ];
  }

  apply(mappings: readonly Mapping[]): ApplyDiff {
    const added: Mapping[] = [];
    const changed: Mapping[] = [];
    const broken: BrokenMapping[] = [];
    const leftAlone: Mapping[] = [];
    let unchanged = 0;

    const before = new Map(this.#serving);
    for (const mapping of this.#stopped === undefined ? mappings : []) {
      const present = before.get(mapping.uuid);
      const fingerprint = fingerprintOf(mapping);
      if (present?.fingerprint === fingerprint) {
        before.delete(mapping.uuid);
        unchanged += 1;
        continue;
      }
      const served = this.#prepare(mapping);
      if (served === 'left-alone') leftAlone.push(mapping);
      else if ('reason' in served) broken.push(served);
      else {
        before.delete(mapping.uuid);
        this.#serve(served, fingerprint, present);
        (present === undefined ? added : changed).push(mapping);
      }
    }

    const brokenIds = new Set(broken.map(({ uuid }) => uuid));
    const removed: Mapping[] = [];
    for (const [uuid, serving] of before) {
      if (!brokenIds.has(uuid)) removed.push(serving.served.mapping);
      this.#drop(
        uuid,
        serving,
        brokenIds.has(uuid) ? 'it cannot be served as it is now' : 'it is not to be served any more',
      );
    }
    this.#broken = broken;
    const given = new Map(mappings.map(({ uuid, queueArn }) => [uuid, queueKey(queueArn)]));
    for (const [mapping, queue] of this.#given) {
      if (!given.has(mapping)) this.#parts.events.emit({ kind: 'mapping-removed', mapping, queue });
    }
    this.#given = given;
    return { added, changed, removed, broken, leftAlone, unchanged, warnings: this.#checkMappings() };
  }

  resume(uuid: string): void {
    const serving = this.#serving.get(uuid);
    if (serving !== undefined) this.#actors.get(serving.queue)?.resume(uuid);
  }

  snapshot(): ConsumerSnapshot {
    const { limits } = this.#parts;
    return {
      queues: [...this.#actors.values()].map((actor) => actor.snapshot),
      withoutQueue: [...this.#serving].filter(([, { queue }]) => !this.#actors.has(queue)).map(([uuid]) => uuid),
      broken: this.#broken,
      invokes: { running: limits.invokes, limit: limits.maxInvokes },
      bytesInMemory: { used: limits.bytes, limit: limits.maxBytes },
    };
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    // All at once and each waited for: what fails must not keep an actor from giving back what it has leased.
    const ended = Promise.allSettled([
      ...this.#unsubscribe.map(async (unsubscribe) => unsubscribe()),
      ...this.#stopActors(),
      ...this.#ending,
    ]);
    if (graceMs <= 0) this.#aborting.abort();
    const cancelGrace = this.#parts.time.after(graceMs, () => this.#aborting.abort());
    const failures = (await ended).flatMap<unknown>((end) => (end.status === 'rejected' ? [end.reason] : []));
    cancelGrace();
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '));
  }

  #stopActors(): readonly Promise<void>[] {
    this.#stopping.abort();
    return [...this.#actors.values()].map((actor) => actor.stop('the server stops'));
  }

  #checkMappings(): readonly string[] {
    return this.#warnings.check([...this.#serving.values()].map(({ served }) => served.mapping));
  }

  /** Makes a mapping ready to be served, or says why not. */
  #prepare(mapping: Mapping): ServedMapping | BrokenMapping | 'left-alone' {
    try {
      const tuning = readTuning(mapping, this.#parts.settings);
      if (!tuning.consume || !this.#isChosen(mapping.queueArn)) return 'left-alone';
      const filter = mapping.filterPatterns.length === 0 ? undefined : compileFilter(mapping.filterPatterns);
      return { mapping, tuning, filter };
    } catch (error) {
      if (!(error instanceof TuningError || error instanceof FilterError)) throw error;
      const { uuid, queueArn, functionArn } = mapping;
      return { uuid, queueArn, functionArn, reason: error.message };
    }
  }

  #serve(served: ServedMapping, fingerprint: string, present: Serving | undefined): void {
    const { uuid, queueArn } = served.mapping;
    const key = queueKey(queueArn);
    if (present !== undefined && present.queue !== key) this.#drop(uuid, present, 'it belongs to another queue now');
    this.#serving.set(uuid, { served, fingerprint, queue: key });
    const queue = this.#options.directory.byKey(key);
    if (queue !== undefined) this.#actorOf(queue).serve(served);
  }

  #drop(uuid: string, { queue }: Serving, why: string): void {
    this.#serving.delete(uuid);
    const actor = this.#actors.get(queue);
    actor?.drop(uuid, why);
    if (actor !== undefined && !actor.hasWorkers) this.#end(actor, why);
  }

  #actorOf(queue: Queue): QueueActor {
    const present = this.#actors.get(queue.key);
    if (present !== undefined) return present;
    const actor = new QueueActor(queue, this.#parts, this.#rendezvous);
    this.#actors.set(queue.key, actor);
    return actor;
  }

  #end(actor: QueueActor, why: string): void {
    this.#actors.delete(actor.queue.key);
    const ending = actor.stop(why).finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #directoryChanged({ kind, queue }: DirectoryEvent): void {
    const actor = this.#actors.get(queue.key);
    if (kind === 'removed') {
      if (actor !== undefined) this.#end(actor, 'its queue was deleted');
      return;
    }
    if (actor?.queue === queue) actor.queueChanged();
    else {
      if (actor !== undefined) this.#end(actor, 'its queue was created anew');
      for (const { served, queue: key } of this.#serving.values()) {
        if (key === queue.key) this.#actorOf(queue).serve(served);
      }
    }
    this.#checkMappings();
  }

  #heard(signal: Signal): void {
    switch (signal.kind) {
      case 'instances':
        this.#rendezvous.update(signal.ids);
        for (const actor of this.#actors.values()) actor.instancesChanged();
        return;
      case 'slot': {
        const uuid = mappingOfSlotSet(signal.name);
        const serving = uuid === undefined ? undefined : this.#serving.get(uuid);
        if (serving !== undefined) this.#actors.get(serving.queue)?.sharedSlotPossible(uuid);
        return;
      }
      case 'help':
        this.#actors.get(signal.queue)?.helpWanted();
        return;
      case 'gap':
        for (const actor of this.#actors.values()) actor.sharedSlotPossible(undefined);
        return;
      case 'reachable':
        if (signal.reachable) for (const actor of this.#actors.values()) actor.storeReachable();
        return;
      default:
        return;
    }
  }
}

/**
 * Everything of a mapping that matters to serving it. Its members come in one order from the source and in another from
 * the store.
 */
function fingerprintOf(mapping: Mapping): string {
  const { mappingArn: _arn, lastModified: _at, ...relevant } = mapping;
  return stableJson(relevant);
}
