/**
 * What is counted of the Invokes of each mapping, fed by the typed events alone.
 *
 * @module
 */
import { type ConsumerEvent, type EventBus, neverInvoked } from '../consumer/events.ts';
import { membersOf, traceIdOf } from '../consumer/intake.ts';
import { type Exemplar, Histogram } from './exposition.ts';

/** What is counted of the Invokes of one mapping, since it began to be served. */
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

/** What an exemplar of an observation says beside its value; `undefined`: the observation leaves none. */
type Trace = Pick<Exemplar, 'traceId' | 'at'> | undefined;

export interface Exemplars {
  /** Whether somebody reads them: until then none is kept, as a thousand mappings would keep 40,000. */
  wanted: boolean;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
}

/** Counts the events of `bus` from now on, by UUID of the mapping; mappings without an Invoke so far are absent. */
export function countInvokes(bus: EventBus, exemplars: Exemplars): ReadonlyMap<string, InvokeCounts> {
  const invokes = new Map<string, InvokeCounts>();
  const isLate = removedMappings();
  const countsOf = (mapping: string): InvokeCounts => {
    const counts = invokes.get(mapping) ?? new InvokeCounts();
    invokes.set(mapping, counts);
    return counts;
  };
  /** Of what X-Ray does not sample nobody finds the trace. */
  const traceOf = (header: string): Trace => {
    if (!exemplars.wanted || membersOf(header).get('Sampled') === '0') return undefined;
    const traceId = traceIdOf(header);
    return traceId === undefined ? undefined : { traceId, at: exemplars.now() };
  };
  bus.subscribe((event) => {
    if (isLate(event)) return;
    if (event.kind === 'mapping-removed') invokes.delete(event.mapping);
    if (event.kind === 'invoked' || event.kind === 'answered') {
      countAttempt(countsOf(event.mapping), event, traceOf(event.traceHeader));
    }
    // A record too large for an event was never part of an Invoke.
    if (event.kind === 'succeeded' || (event.kind === 'failed' && !neverInvoked(event.reason))) {
      const counts = countsOf(event.mapping);
      counts.batches += 1;
      counts.milliseconds += event.durationMs;
    }
  });
  return invokes;
}

/** What an attempt to invoke adds. */
function countAttempt(
  counts: InvokeCounts,
  event: ConsumerEvent & { readonly kind: 'invoked' | 'answered' },
  trace: Trace,
): void {
  if (event.kind === 'invoked') {
    for (const ms of event.lateMs) counts.lateness.observe(Math.max(0, ms) / 1000, trace);
    for (const ms of event.agesMs) counts.age.observe(Math.max(0, ms) / 1000, trace);
    return;
  }
  switch (event.outcome) {
    case 'success':
      counts.duration.observe(event.durationMs / 1000, trace);
      break;
    case 'function-error':
      counts.functionErrors += 1;
      counts.duration.observe(event.durationMs / 1000, trace);
      break;
    case 'throttled':
      counts.throttles += 1;
      break;
    default:
      counts.notReached += 1;
  }
}

/** Removed mappings that are remembered; the oldest is forgotten. */
const REMEMBERED_REMOVED = 1_000;

/**
 * Tells whether an event is one of a mapping that was removed before: a batch may end after its mapping is removed, and
 * its events would bring the counters back. A mapping that is started again counts from then on. Wants every event
 * once.
 */
export function removedMappings(): (event: ConsumerEvent) => boolean {
  const removed = new Set<string>();
  return (event) => {
    if (event.kind === 'mapping-started') removed.delete(event.mapping);
    if (event.kind === 'mapping-removed') {
      removed.delete(event.mapping);
      removed.add(event.mapping);
      for (const oldest of removed) {
        if (removed.size <= REMEMBERED_REMOVED) break;
        removed.delete(oldest);
      }
      return false;
    }
    return 'mapping' in event && event.mapping !== undefined && removed.has(event.mapping);
  };
}
