/**
 * Counters per mapping under the names of AWS's own event source mapping metrics, fed by the typed events alone.
 *
 * Source: "Viewing metrics for Lambda functions", event source mapping metrics (`EventCount` group, dimension `EventSourceMappingUUID`).
 *
 * @module
 */
import type { EventBus } from './event-bus.ts';
import { type ConsumerEvent, neverInvoked } from './events.ts';

/** Messages since the process began; each only grows. */
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

export type MetricName = keyof MappingCounts;

/** Reads the counters. */
export interface MetricCounts {
  /** By UUID of the mapping; mappings without an event so far are absent. */
  byMapping(): ReadonlyMap<string, MappingCounts>;
  /** UUIDs of the mappings whose invocations do not get through now. */
  troubled(): ReadonlySet<string>;
}

const ZERO: MappingCounts = {
  PolledEventCount: 0,
  FilteredOutEventCount: 0,
  InvokedEventCount: 0,
  FailedInvokeEventCount: 0,
  DeletedEventCount: 0,
};

/** Counts the events of `bus` from now on. */
export function countMetrics(bus: EventBus): MetricCounts {
  const counts = new Map<string, MappingCounts>();
  const troubled = new Set<string>();
  bus.subscribe((event) => {
    if (event.kind === 'lambda-trouble') troubled.add(event.mapping);
    if (event.kind === 'lambda-reached' || event.kind === 'mapping-stopped') troubled.delete(event.mapping);
    if (event.kind === 'mapping-removed') {
      counts.delete(event.mapping);
      troubled.delete(event.mapping);
    }
    for (const [mapping, name, by] of increments(event)) {
      const before = counts.get(mapping) ?? ZERO;
      counts.set(mapping, { ...before, [name]: before[name] + by });
    }
  });
  return { byMapping: () => counts, troubled: () => troubled };
}

/** What one event adds to which counters. */
function increments(event: ConsumerEvent): readonly (readonly [mapping: string, name: MetricName, by: number])[] {
  switch (event.kind) {
    case 'leased':
      return [[event.mapping, 'PolledEventCount', event.messageIds.length]];
    case 'filtered-out':
      return [
        [event.mapping, 'FilteredOutEventCount', event.messageIds.length],
        [event.mapping, 'DeletedEventCount', event.messageIds.length],
      ];
    case 'invoked':
      return [[event.mapping, 'InvokedEventCount', event.messageIds.length]];
    case 'succeeded':
      return event.failedIds.length === 0 ? [] : [[event.mapping, 'FailedInvokeEventCount', event.failedIds.length]];
    case 'failed':
      return neverInvoked(event.reason) ? [] : [[event.mapping, 'FailedInvokeEventCount', event.messageIds.length]];
    case 'deleted':
      return [[event.mapping, 'DeletedEventCount', event.messageIds.length]];
    default:
      return [];
  }
}
