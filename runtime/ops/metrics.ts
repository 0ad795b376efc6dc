/**
 * What `/metrics` says. Counters of the consumer bear the names of AWS's own event source mapping metrics
 * (`PolledEventCount` is `karin_polled_event_count_total`), so that a dashboard can show both.
 *
 * The depths of queues cost commands to Redis (`depths.ts`), and Prometheus asks every few seconds: they come only with
 * `/metrics?depth=1`.
 *
 * @module
 */

import type { Mapping } from '../aws/mapping.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import { type ConsumerEvent, type EventBus, neverInvoked } from '../consumer/events.ts';
import { type Sources, SUBSCRIPTION_STATES } from '../http/ingest/sources.ts';
import type { Traffic } from '../http/server.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueKey } from '../store/store.ts';
import { nameOf } from './activity.ts';
import type { Depths } from './depths.ts';
import type { Health } from './health.ts';

export interface MetricsParts {
  readonly bus: EventBus;
  readonly counts: MetricCounts;
  readonly traffic: Traffic;
  readonly health: Health;
  readonly syncState: () => SyncState | undefined;
  readonly queues: () => readonly Queue[];
  readonly depths: Pick<Depths, 'refresh' | 'of'>;
  readonly sources: Pick<Sources, 'counts' | 'refusals' | 'subscriptions'>;
  /** Failed attempts to get in, since the process began. */
  readonly failedAttempts: () => number;
  readonly version: string;
}

/** Whether a reader may know of the queue of this name. */
type Sees = (queueName: string) => boolean;

export interface Metrics {
  /**
   * The page. `sees`: whether the reader may know of the queue of this name; absent: he may know everything, also of
   * the server itself.
   * Errors: `StoreUnavailableError`, only with `depth`.
   */
  page(options: { readonly depth: boolean; readonly sees?: Sees }): Promise<string>;
}

const HELP: Readonly<Record<MetricName, string>> = {
  PolledEventCount: 'Messages read from the queue, every receive counted',
  FilteredOutEventCount: 'Messages deleted because no filter matched',
  InvokedEventCount: 'Messages shown to the function, every attempt counted',
  FailedInvokeEventCount: 'Messages of failed batches, or reported as failed',
  DeletedEventCount: 'Messages deleted after success, filtered-out ones included',
};
// Object.keys widens to string[]; the record above has exactly these keys.
const METRIC_NAMES = Object.keys(HELP) as MetricName[];

export function createMetrics(parts: MetricsParts): Metrics {
  const invokes = new Map<string, { count: number; seconds: number }>();
  const moved = { deadLettered: new Map<string, number>(), expired: new Map<string, number>() };
  const isLate = removedMappings();
  parts.bus.subscribe((event) => {
    if (event.kind === 'dead-lettered') add(moved.deadLettered, event.queue, event.messageIds.length);
    if (event.kind === 'expired') add(moved.expired, event.queue, event.count);
    if (isLate(event)) return;
    // A record too large for an event was never part of an Invoke.
    if (event.kind === 'succeeded' || (event.kind === 'failed' && !neverInvoked(event.reason))) {
      const sum = invokes.get(event.mapping) ?? { count: 0, seconds: 0 };
      invokes.set(event.mapping, { count: sum.count + 1, seconds: sum.seconds + event.durationMs / 1000 });
    }
    if (event.kind === 'mapping-removed') invokes.delete(event.mapping);
  });

  const mappingFamilies = (sees: Sees | undefined): readonly MetricFamily[] => {
    const mappings = new Map((parts.syncState()?.discovery?.mappings ?? []).map((mapping) => [mapping.uuid, mapping]));
    const isSeen = ([uuid]: readonly [string, unknown]): boolean => {
      const name = mappings.get(uuid)?.queueArn.name;
      return sees === undefined || (name !== undefined && sees(name));
    };
    const labels = (uuid: string): Labels => mappingLabels(uuid, mappings.get(uuid));
    const counts = [...parts.counts.byMapping()].filter(isSeen);
    const sums = [...invokes].filter(isSeen);
    return [
      ...METRIC_NAMES.map((name) => ({
        name: `karin_${snakeCase(name)}_total`,
        type: 'counter' as const,
        help: `${HELP[name]}.`,
        samples: counts.map(([uuid, count]) => ({ labels: labels(uuid), value: count[name] })),
      })),
      counter(
        'karin_invocations_total',
        'Invokes that came to an end, whatever the outcome.',
        sums,
        labels,
        (sum) => sum.count,
      ),
      gauge(
        'karin_mapping_trouble',
        '1 for each mapping whose invocations do not get through to Lambda now.',
        [...parts.counts.troubled()].map((uuid) => ({ labels: labels(uuid), value: 1 })),
      ),
      counter('karin_invocation_seconds_total', 'Seconds spent in them.', sums, labels, (sum) => sum.seconds),
    ];
  };

  const queueFamilies = (sees: Sees | undefined): readonly MetricFamily[] => {
    const isSeen = ([key]: readonly [QueueKey, unknown]): boolean => sees === undefined || sees(queueNameOf(key));
    const labels = (queue: string): Labels => ({ queue });
    return [
      counter(
        'karin_dead_lettered_messages_total',
        'Messages moved to a dead-letter queue.',
        [...moved.deadLettered].filter(isSeen),
        labels,
      ),
      counter(
        'karin_expired_messages_total',
        'Messages removed past the retention period.',
        [...moved.expired].filter(isSeen),
        labels,
      ),
      {
        name: 'karin_sent_messages_total',
        type: 'counter',
        help: 'Messages stored, by where they came from.',
        samples: parts.sources
          .counts()
          .filter(({ queue }) => isSeen([queue, undefined]))
          .map(({ queue, kind, name, messages }) => ({
            labels: { queue, source: kind, ...(name === undefined ? {} : { name }) },
            value: messages,
          })),
      },
    ];
  };

  const depthFamily = async (sees: Sees | undefined): Promise<MetricFamily> => {
    const queues = parts.queues().filter(({ arn }) => sees === undefined || sees(arn.name));
    await parts.depths.refresh();
    return gauge(
      'karin_queue_messages',
      'Messages in the queue, by state.',
      queues.flatMap(({ key }) => {
        const depth = parts.depths.of(key);
        if (depth === undefined) return [];
        const { visible, delayed, inFlight } = depth;
        return Object.entries({ visible, delayed, in_flight: inFlight }).map(([state, value]) => ({
          labels: { queue: key, state },
          value,
        }));
      }),
    );
  };

  const serverFamilies = (): readonly MetricFamily[] => {
    const readiness = parts.health.readiness();
    const state = parts.syncState();
    const discovery = state?.discovery;
    return [
      gauge('karin_info', 'Always 1; the version of the server.', [{ labels: { version: parts.version }, value: 1 }]),
      gauge('karin_ready', '1 if requests should be sent here.', [{ value: Number(readiness.ready) }]),
      gauge('karin_store_reachable', '1 if the store of messages can be reached.', [
        { value: Number(readiness.store.ok) },
      ]),
      gauge('karin_discovery_ok', '1 if the last sync succeeded.', [{ value: Number(readiness.discovery.ok) }]),
      gauge(
        'karin_discovery_timestamp_seconds',
        'When the last sync succeeded, seconds since the epoch.',
        state?.succeededAt === undefined ? [] : [{ value: state.succeededAt / 1000 }],
      ),
      gauge('karin_mappings', 'Event source mappings, by state.', [
        { labels: { state: 'served' }, value: discovery?.mappings.length ?? 0 },
        { labels: { state: 'broken' }, value: discovery?.broken.length ?? 0 },
      ]),
      gauge('karin_queues', 'Queues that exist.', [{ value: parts.queues().length }]),
      {
        name: 'karin_http_responses_total',
        type: 'counter',
        help: 'HTTP responses, by status.',
        samples: [...parts.traffic.byStatus()].map(([status, value]) => ({ labels: { status: `${status}` }, value })),
      },
      {
        name: 'karin_failed_attempts_total',
        type: 'counter',
        help: 'Requests with a wrong credential.',
        samples: [{ value: parts.failedAttempts() }],
      },
      {
        name: 'karin_refused_deliveries_total',
        type: 'counter',
        help: 'Deliveries to the ingest endpoint that were not taken, by reason.',
        samples: [...parts.sources.refusals()].map(([reason, value]) => ({ labels: { reason }, value })),
      },
      gauge(
        'karin_sns_subscriptions',
        'Subscriptions of SNS topics that this server was told of, by state.',
        SUBSCRIPTION_STATES.map((state) => ({
          labels: { state },
          value: parts.sources.subscriptions().filter((one) => one.state === state).length,
        })),
      ),
      gauge('process_resident_memory_bytes', 'Resident memory, bytes.', [{ value: process.memoryUsage.rss() }]),
      gauge('process_uptime_seconds', 'Seconds since the process began.', [{ value: process.uptime() }]),
    ];
  };

  return {
    page: async ({ depth, sees }) =>
      exposition([
        ...(sees === undefined ? serverFamilies() : []),
        ...mappingFamilies(sees),
        ...queueFamilies(sees),
        ...(depth ? [await depthFamily(sees)] : []),
      ]),
  };
}

function add(counts: Map<string, number>, name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by);
}

function gauge(name: string, help: string, samples: MetricFamily['samples']): MetricFamily {
  return { name, type: 'gauge', help, samples };
}

function counter<T>(
  name: string,
  help: string,
  entries: readonly (readonly [string, T])[],
  labels: (key: string) => Labels,
  value: (entry: T) => number = Number,
): MetricFamily {
  return {
    name,
    type: 'counter',
    help,
    samples: entries.map(([key, entry]) => ({ labels: labels(key), value: value(entry) })),
  };
}

function mappingLabels(uuid: string, mapping: Mapping | undefined): Labels {
  if (mapping === undefined) return { mapping: uuid };
  return { mapping: uuid, queue: mapping.queueArn.name, function: nameOf(mapping.functionArn) };
}

/** The name in `region:account:name`. */
function queueNameOf(key: QueueKey): string {
  return key.slice(key.lastIndexOf(':') + 1);
}

function snakeCase(name: string): string {
  return name.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}

/*
 * The text format of Prometheus, version 0.0.4.
 */

type Labels = Readonly<Record<string, string>>;

export interface MetricFamily {
  /** In `snake_case`; counters end in `_total`. */
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  /** One sentence with the unit. */
  readonly help: string;
  readonly samples: readonly { readonly labels?: Labels; readonly value: number }[];
}

export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Families without samples are left out. */
export function exposition(families: readonly MetricFamily[]): string {
  return families
    .filter((family) => family.samples.length > 0)
    .map(
      ({ name, type, help, samples }) =>
        `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}\n${samples
          .map(({ labels, value }) => `${name}${labelText(labels)} ${value}\n`)
          .join('')}`,
    )
    .join('');
}

function labelText(labels: Labels | undefined): string {
  const pairs = Object.entries(labels ?? {});
  return pairs.length === 0 ? '' : `{${pairs.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
}

/*
 * Counters per mapping under the names of AWS's own event source mapping metrics, fed by the typed events alone.
 *
 * Source: "Viewing metrics for Lambda functions", event source mapping metrics (`EventCount` group, dimension
 * `EventSourceMappingUUID`).
 */

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

type MetricName = keyof MappingCounts;

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

/** Removed mappings that are remembered; the oldest is forgotten. */
const REMEMBERED_REMOVED = 1_000;

/**
 * Tells whether an event is one of a mapping that was removed before: a batch may end after its mapping is removed, and
 * its events would bring the counters back. A mapping that is started again counts from then on. Wants every event
 * once.
 */
function removedMappings(): (event: ConsumerEvent) => boolean {
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

/** Counts the events of `bus` from now on. */
export function countMetrics(bus: EventBus): MetricCounts {
  const counts = new Map<string, MappingCounts>();
  const troubled = new Set<string>();
  const isLate = removedMappings();
  bus.subscribe((event) => {
    if (isLate(event)) return;
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
