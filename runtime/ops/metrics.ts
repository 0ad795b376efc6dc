/**
 * What `/metrics` says. Counters of the consumer bear the names of AWS's own event source mapping metrics
 * (`PolledEventCount` is `karin_polled_event_count_total`), so that a dashboard can show both.
 *
 * Labels. A series of a queue has `queue`, `account` and `region`; a series of a mapping has also `function` and
 * `mapping`, its UUID, because one queue may have several mappings to one function. Nothing else tells of them.
 *
 * Counters of every mapping and every queue, and the usual ones of the server, are there from the start, at 0, so that
 * the first increase is one that Prometheus sees. Histograms come with their first observation: each has a dozen
 * series, and most mappings are idle.
 *
 * The depths of queues cost commands to Redis (`depths.ts`), and Prometheus asks every few seconds: they come only with
 * `/metrics?depth=1`.
 *
 * @module
 */

import type { Mapping } from '../aws/mapping.ts';
import type { SyncState } from '../aws/sync/synchroniser.ts';
import { type SourceCount, type Sources, SUBSCRIPTION_STATES } from '../http/ingest/sources.ts';
import type { Traffic } from '../http/server.ts';
import type { QueueArn, QueueRef } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueKey } from '../store/store.ts';
import { nameOf } from './activity.ts';
import type { Histogram, InvokeCounts, MappingCounts, MetricCounts } from './counts.ts';
import type { Depths } from './depths.ts';
import { exposition, type Format, type Labels, type MetricFamily } from './exposition.ts';
import type { Health } from './health.ts';
import { scopeRows } from './scopes.ts';

export interface MetricsParts {
  readonly counts: MetricCounts;
  readonly traffic: Traffic;
  readonly health: Health;
  readonly syncState: () => SyncState | undefined;
  readonly queues: () => readonly Pick<Queue, 'key' | 'arn'>[];
  readonly depths: Pick<Depths, 'refresh' | 'of'>;
  readonly sources: Pick<Sources, 'counts' | 'refusals' | 'subscriptions'>;
  /** Failed attempts to get in, since the process began. */
  readonly failedAttempts: () => number;
  readonly version: string;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
}

/** Whether a reader may know of the queue of this name. */
type Sees = (queue: QueueRef) => boolean;

export interface Metrics {
  /**
   * The page. `format`: default `prometheus`; the first page of `openmetrics` has no exemplars yet, because they are
   * kept from then on. `sees`: whether the reader may know of the queue of this name; absent: he may know everything,
   * also of the server itself.
   * Errors: `StoreUnavailableError`, only with `depth`.
   */
  page(options: { readonly depth: boolean; readonly sees?: Sees; readonly format?: Format }): Promise<string>;
}

type MetricName = keyof MappingCounts;

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
  const mappingFamilies = (sees: Sees | undefined): readonly MetricFamily[] => {
    const mappings = new Map((parts.syncState()?.discovery?.mappings ?? []).map((mapping) => [mapping.uuid, mapping]));
    const counts = parts.counts.byMapping();
    const invokes = parts.counts.invokes();
    const shown = [...new Set([...mappings.keys(), ...counts.keys(), ...invokes.keys()])]
      .filter((uuid) => {
        const arn = mappings.get(uuid)?.queueArn;
        return sees === undefined || (arn !== undefined && sees(arn));
      })
      .map((uuid) => ({ uuid, labels: mappingLabels(uuid, mappings.get(uuid)) }));
    const counter = (name: string, help: string, value: (uuid: string) => number): MetricFamily => ({
      name,
      type: 'counter',
      help,
      samples: shown.map(({ uuid, labels }) => ({ labels, value: value(uuid) })),
    });
    const histogram = (name: string, help: string, of: (counts: InvokeCounts) => Histogram): MetricFamily => ({
      name,
      type: 'histogram',
      help,
      samples: shown.flatMap(({ uuid, labels }) => {
        const found = invokes.get(uuid);
        return found === undefined ? [] : of(found).samples(labels);
      }),
    });
    const troubled = parts.counts.troubled();
    return [
      ...METRIC_NAMES.map((name) =>
        counter(`karin_${snakeCase(name)}_total`, `${HELP[name]}.`, (uuid) => counts.get(uuid)?.[name] ?? 0),
      ),
      counter(
        'karin_invocations_total',
        'Batches whose Invokes came to an end, whatever the outcome.',
        (uuid) => invokes.get(uuid)?.batches ?? 0,
      ),
      counter(
        'karin_invocation_seconds_total',
        'Seconds spent in the last Invoke of each.',
        (uuid) => (invokes.get(uuid)?.milliseconds ?? 0) / 1000,
      ),
      counter(
        'karin_function_errors_total',
        'Invokes that the function failed, its time-outs included.',
        (uuid) => invokes.get(uuid)?.functionErrors ?? 0,
      ),
      counter(
        'karin_throttles_total',
        'Invokes that Lambda throttled (429), every attempt counted.',
        (uuid) => invokes.get(uuid)?.throttles ?? 0,
      ),
      counter(
        'karin_invoke_failures_total',
        'Invokes that were refused, lost or did not get through to Lambda, throttles not counted.',
        (uuid) => invokes.get(uuid)?.notReached ?? 0,
      ),
      gauge(
        'karin_mapping_trouble',
        '1 for each mapping whose invocations do not get through to Lambda now.',
        shown.map(({ uuid, labels }) => ({ labels, value: Number(troubled.has(uuid)) })),
      ),
      histogram(
        'karin_invoke_duration_seconds',
        'How long functions took to answer, errors of theirs included.',
        ({ duration }) => duration,
      ),
      histogram(
        'karin_wake_latency_seconds',
        'How late messages were shown to the function after they were due, batch windows included.',
        ({ lateness }) => lateness,
      ),
      histogram(
        'karin_message_age_seconds',
        'Age of messages when they were shown to the function for the first time, delays included.',
        ({ age }) => age,
      ),
    ];
  };

  const queueFamilies = (sees: Sees | undefined): readonly MetricFamily[] => {
    const queues = parts.queues().filter(({ arn }) => sees === undefined || sees(arn));
    const labels = new Map(queues.map(({ key, arn }) => [key, queueLabels(arn)]));
    const counter = (name: string, help: string, counts: ReadonlyMap<QueueKey, number>): MetricFamily => ({
      name,
      type: 'counter',
      help,
      samples: [...labels].map(([key, of]) => ({ labels: of, value: counts.get(key) ?? 0 })),
    });
    return [
      counter(
        'karin_dead_lettered_messages_total',
        'Messages moved to a dead-letter queue.',
        parts.counts.deadLettered(),
      ),
      counter('karin_expired_messages_total', 'Messages removed past the retention period.', parts.counts.expired()),
      {
        name: 'karin_sent_messages_total',
        type: 'counter',
        help: 'Messages stored, by where they came from.',
        samples: sentSamples(labels, parts.sources.counts()),
      },
    ];
  };

  const depthFamily = async (sees: Sees | undefined): Promise<MetricFamily> => {
    const queues = parts.queues().filter(({ arn }) => sees === undefined || sees(arn));
    await parts.depths.refresh();
    return gauge(
      'karin_queue_messages',
      'Messages in the queue, by state.',
      queues.flatMap(({ key, arn }) => {
        const depth = parts.depths.of(key);
        if (depth === undefined) return [];
        const { visible, delayed, inFlight } = depth;
        return Object.entries({ visible, delayed, in_flight: inFlight }).map(([state, value]) => ({
          labels: { ...queueLabels(arn), state },
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
      gauge(
        'karin_scope_ok',
        '1 if the last sync of this account and region succeeded.',
        scopeRows(state).map(({ account = 'own', region, failure }) => ({
          labels: { account, region },
          value: Number(failure === undefined),
        })),
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
        samples: [...new Map([...USUAL_REFUSALS, ...parts.sources.refusals()])].map(([reason, value]) => ({
          labels: { reason },
          value,
        })),
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
    page: async ({ depth, sees, format }) => {
      if (format === 'openmetrics') parts.counts.keepExemplars(parts.now);
      const families = [
        ...(sees === undefined ? serverFamilies() : []),
        ...mappingFamilies(sees),
        ...queueFamilies(sees),
        ...(depth ? [await depthFamily(sees)] : []),
      ];
      return exposition(families, format);
    },
  };
}

/** Why deliveries are refused mostly; the rest come with their first. */
const USUAL_REFUSALS = ['AccessDenied', 'OverLimit', 'QueueDoesNotExist', 'RequestThrottled', 'ServiceUnavailable'].map(
  (reason): [string, number] => [reason, 0],
);

function gauge(name: string, help: string, samples: MetricFamily['samples']): MetricFamily {
  return { name, type: 'gauge', help, samples };
}

function sentSamples(labels: ReadonlyMap<QueueKey, Labels>, counts: readonly SourceCount[]): MetricFamily['samples'] {
  const fromApi = new Set(
    counts.flatMap(({ queue, kind, name }) => (kind === 'sdk' && name === undefined ? [queue] : [])),
  );
  const zeros = [...labels].flatMap(([key, of]) =>
    fromApi.has(key) ? [] : [{ labels: { ...of, source: 'sdk' }, value: 0 }],
  );
  const counted = counts.flatMap(({ queue, kind, name, messages }) => {
    const of = labels.get(queue);
    if (of === undefined) return [];
    return [{ labels: { ...of, source: kind, ...(name === undefined ? {} : { name }) }, value: messages }];
  });
  return [...zeros, ...counted];
}

function queueLabels({ name, account, region }: QueueArn): Labels {
  return { queue: name, account, region };
}

function mappingLabels(uuid: string, mapping: Mapping | undefined): Labels {
  if (mapping === undefined) return { mapping: uuid };
  return { ...queueLabels(mapping.queueArn), function: nameOf(mapping.functionArn), mapping: uuid };
}

function snakeCase(name: string): string {
  return name.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
