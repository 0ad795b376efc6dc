/**
 * What is counted of every mapping and every queue since the process began, fed by the typed events of the consumer
 * alone. `metrics.ts` shows it.
 *
 * @module
 */
import { type EventBus, neverInvoked } from '../consumer/events.ts';
import { membersOf, traceIdOf } from '../consumer/intake.ts';
import type { QueueKey } from '../store/store.ts';
import type { Exemplar, Labels, Sample } from './exposition.ts';

/**
 * Messages of one mapping, under the names of AWS's own event source mapping metrics; each only grows.
 * Source: "Viewing metrics for Lambda functions", event source mapping metrics (`EventCount` group, dimension
 * `EventSourceMappingUUID`).
 */
export interface MappingCounts {
  /** Read from the queue, every receive counted. */
  readonly PolledEventCount: number;
  /** Deleted because no filter matched. */
  readonly FilteredOutEventCount: number;
  /** Shown to the function, or meant to be: every attempt counts, throttled ones included. */
  readonly InvokedEventCount: number;
  /** Of failed batches, and those that a function reported as failed. */
  readonly FailedInvokeEventCount: number;
  /** Deleted after success, filtered-out ones included. */
  readonly DeletedEventCount: number;
}

/** What is counted of the Invokes of one mapping; the histograms are large, and most mappings are idle. */
export class InvokeCounts {
  /** Batches that came to an end, and their time in ms. */
  batches = 0;
  milliseconds = 0;
  functionErrors = 0;
  throttles = 0;
  notReached = 0;
  readonly duration = new Histogram(INVOKE_BOUNDS);
  readonly lateness = new Histogram(LATENESS_BOUNDS);
  readonly age = new Histogram(AGE_BOUNDS);
}

/** Seconds: from a warm function to the longest timeout. */
const INVOKE_BOUNDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900];
/** Seconds: from a wake without load to a backlog or a batch window. */
const LATENESS_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300, 3600];
/** Seconds: a delay of a quarter of an hour counts, and so do messages that waited for days. */
const AGE_BOUNDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 900, 3600, 21_600, 86_400];

/** Reads the counters. Mappings and queues of which nothing was counted so far are absent. */
export interface MetricCounts {
  /** By UUID of the mapping. */
  byMapping(): ReadonlyMap<string, MappingCounts>;
  /** By UUID of the mapping. */
  invokes(): ReadonlyMap<string, InvokeCounts>;
  /** Messages that were moved to a dead-letter queue, by the queue they were in. */
  deadLettered(): ReadonlyMap<QueueKey, number>;
  /** Messages that were removed past the retention period. */
  expired(): ReadonlyMap<QueueKey, number>;
  /** UUIDs of the mappings whose invocations do not get through now. */
  troubled(): ReadonlySet<string>;
  /**
   * From now on observations leave exemplars. Until somebody reads them none is kept: a thousand mappings would keep
   * 40,000. `now`: wall clock, milliseconds since the epoch.
   */
  keepExemplars(now: () => number): void;
}

/** Removed mappings that are remembered; the oldest is forgotten. */
const REMEMBERED_REMOVED = 1_000;

/**
 * Counts the events of `bus` from now on. A mapping that is removed takes its counters with it; a batch of it may end
 * later, and its events are passed over, or they would bring the counters back. One that is started again counts from
 * then on.
 */
export function countMetrics(bus: EventBus): MetricCounts {
  const messages = new Map<string, Growing>();
  const invokes = new Map<string, InvokeCounts>();
  const deadLettered = new Map<QueueKey, number>();
  const expired = new Map<QueueKey, number>();
  const troubled = new Set<string>();
  const removed = new Set<string>();
  let exemplarsAt: (() => number) | undefined;

  const messagesOf = (mapping: string): Growing => {
    const known = messages.get(mapping);
    if (known !== undefined) return known;
    const begun = { ...NONE };
    messages.set(mapping, begun);
    return begun;
  };
  const invokesOf = (mapping: string): InvokeCounts => {
    const known = invokes.get(mapping);
    if (known !== undefined) return known;
    const begun = new InvokeCounts();
    invokes.set(mapping, begun);
    return begun;
  };

  bus.subscribe((event) => {
    if ('mapping' in event && removed.has(event.mapping) && event.kind !== 'mapping-started') return;
    switch (event.kind) {
      case 'leased':
        messagesOf(event.mapping).PolledEventCount += event.messageIds.length;
        break;
      case 'filtered-out': {
        const of = messagesOf(event.mapping);
        of.FilteredOutEventCount += event.messageIds.length;
        of.DeletedEventCount += event.messageIds.length;
        break;
      }
      case 'invoked': {
        messagesOf(event.mapping).InvokedEventCount += event.messageIds.length;
        const { lateness, age } = invokesOf(event.mapping);
        const trace = exemplarsAt && traceOf(event.traceHeader, exemplarsAt());
        for (const ms of event.lateMs) lateness.observe(Math.max(0, ms) / 1000, trace);
        for (const ms of event.agesMs) age.observe(Math.max(0, ms) / 1000, trace);
        break;
      }
      case 'answered': {
        const of = invokesOf(event.mapping);
        if (event.outcome === 'success' || event.outcome === 'function-error') {
          of.duration.observe(event.durationMs / 1000, exemplarsAt && traceOf(event.traceHeader, exemplarsAt()));
          if (event.outcome === 'function-error') of.functionErrors += 1;
        } else if (event.outcome === 'throttled') of.throttles += 1;
        else of.notReached += 1;
        break;
      }
      case 'succeeded':
      case 'failed': {
        // A record too large for an event was never part of an Invoke.
        if (event.kind === 'failed' && neverInvoked(event.reason)) break;
        const failed = event.kind === 'failed' ? event.messageIds : event.failedIds;
        if (failed.length > 0) messagesOf(event.mapping).FailedInvokeEventCount += failed.length;
        const of = invokesOf(event.mapping);
        of.batches += 1;
        of.milliseconds += event.durationMs;
        break;
      }
      case 'deleted':
        messagesOf(event.mapping).DeletedEventCount += event.messageIds.length;
        break;
      case 'dead-lettered':
        deadLettered.set(event.queue, (deadLettered.get(event.queue) ?? 0) + event.messageIds.length);
        break;
      case 'expired':
        expired.set(event.queue, (expired.get(event.queue) ?? 0) + event.count);
        break;
      case 'lambda-trouble':
        troubled.add(event.mapping);
        break;
      case 'lambda-reached':
      case 'mapping-stopped':
        troubled.delete(event.mapping);
        break;
      case 'mapping-started':
        removed.delete(event.mapping);
        break;
      case 'mapping-removed':
        messages.delete(event.mapping);
        invokes.delete(event.mapping);
        troubled.delete(event.mapping);
        removed.add(event.mapping);
        for (const oldest of removed) {
          if (removed.size <= REMEMBERED_REMOVED) break;
          removed.delete(oldest);
        }
        break;
    }
  });
  return {
    byMapping: () => messages,
    invokes: () => invokes,
    deadLettered: () => deadLettered,
    expired: () => expired,
    troubled: () => troubled,
    keepExemplars: (now) => {
      exemplarsAt = now;
    },
  };
}

/** The same while it is counted. */
type Growing = { -readonly [name in keyof MappingCounts]: number };

const NONE: MappingCounts = {
  PolledEventCount: 0,
  FilteredOutEventCount: 0,
  InvokedEventCount: 0,
  FailedInvokeEventCount: 0,
  DeletedEventCount: 0,
};

/** What an exemplar of an observation says beside its value. Of what X-Ray does not sample nobody finds the trace. */
function traceOf(header: string, at: number): Trace | undefined {
  if (membersOf(header).get('Sampled') === '0') return undefined;
  const traceId = traceIdOf(header);
  return traceId === undefined ? undefined : { traceId, at };
}

type Trace = Pick<Exemplar, 'traceId' | 'at'>;

/** Counts observations by their size. */
export class Histogram {
  readonly #bounds: readonly number[];
  /** By the first bound that the observation does not exceed; the last count: those beyond all bounds. */
  readonly #counts: number[];
  /** By the same place; made with the first. */
  #exemplars: (Exemplar | undefined)[] | undefined;
  #sum = 0;

  /** `bounds`: in seconds, ascending, without infinity. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
  }

  /** `trace`: of the observation, where somebody reads exemplars. */
  observe(seconds: number, trace: Trace | undefined): void {
    let at = 0;
    while (at < this.#bounds.length && seconds > (this.#bounds[at] ?? 0)) at += 1;
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#sum += seconds;
    if (trace === undefined) return;
    this.#exemplars ??= [];
    this.#exemplars[at] = { ...trace, value: seconds };
  }

  /** As Prometheus wants them: each bucket with all smaller ones, then the sum and the count. */
  samples(labels: Labels): readonly Sample[] {
    let count = 0;
    const buckets = this.#counts.map((within, at) => {
      count += within;
      const exemplar = this.#exemplars?.[at];
      return {
        ...{ labels, le: `${this.#bounds[at] ?? '+Inf'}`, suffix: '_bucket', value: count },
        ...(exemplar === undefined ? {} : { exemplar }),
      };
    });
    return [...buckets, { labels, suffix: '_sum', value: this.#sum }, { labels, suffix: '_count', value: count }];
  }
}
