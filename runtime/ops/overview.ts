/**
 * Gathers what the ops page shows.
 *
 * @module
 */

import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { ConsumerSnapshot } from '../consumer/supervisor.ts';
import type { RefusedDelivery, SourceCount, Sources, TopicSubscription } from '../http/ingest/sources.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { formatQueueArn, queueKey } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import { type QueueKey, type Store, type StoreHealth, StoreUnavailableError } from '../store/store.ts';
import { type Activity, type ActivityLog, nameOf } from './activity.ts';
import type { Depths, KnownDepth } from './depths.ts';
import type { Health, Readiness } from './health.ts';
import type { MappingCounts, MetricCounts } from './metrics.ts';

/** Queues on one page. */
export const QUEUES_PER_PAGE = 100;

export interface QueueRow {
  readonly queue: Queue;
  /** Absent: the store could not be asked yet. */
  readonly depth?: KnownDepth;
  /** How long the first message has waited, ms; absent: none may be received. */
  readonly waitsMs?: number;
  /** Messages that still sit in the real queue. */
  readonly waitingInSqs: number;
  readonly held: boolean;
  /** Whether a mapping takes messages from it, now or once it may. */
  readonly consumed: boolean;
  /** Names of the queues whose dead letters come here. */
  readonly deadLettersOf: readonly string[];
}

export interface MappingRow {
  readonly uuid: string;
  readonly queueKey: QueueKey;
  readonly queueName: string;
  readonly functionName: string;
  readonly functionArn: string;
  readonly batchSize: number;
  readonly batchWindowSeconds: number;
  readonly timeoutSeconds: number;
  readonly filters: number;
  readonly maximumConcurrency?: number;
  readonly running: number;
  /** Batches that it may have on their way now; absent: it is not served. */
  readonly concurrency?: number;
  /** Why it takes nothing now. */
  readonly paused?: string;
  /** Paused until somebody resumes it. */
  readonly resumable: boolean;
  readonly counts?: MappingCounts;
}

export interface Overview {
  readonly readiness: Readiness;
  readonly store: StoreHealth;
  readonly sync?: SyncState;
  readonly queues: readonly QueueRow[];
  /** Queues that fit the search, on all pages. */
  readonly queueCount: number;
  readonly page: number;
  readonly search: string;
  readonly mappings: readonly MappingRow[];
  /** What all mappings of this server share. */
  readonly limits: Pick<ConsumerSnapshot, 'invokes' | 'bytesInMemory'>;
  readonly broken: readonly { readonly name: string; readonly queueName: string; readonly reason: string }[];
  readonly problems: readonly string[];
  readonly warnings: readonly Activity[];
  readonly recent: readonly Activity[];
  /** Where messages come from, and deliveries that were refused. */
  readonly counts: readonly SourceCount[];
  readonly subscriptions: readonly TopicSubscription[];
  readonly refused: readonly RefusedDelivery[];
}

export interface OverviewParts {
  readonly store: Pick<Store, 'health'>;
  readonly directory: QueueDirectory;
  readonly depths: Depths;
  readonly consumer: () => ConsumerSnapshot;
  readonly syncState: () => SyncState | undefined;
  readonly counts: MetricCounts;
  readonly activity: ActivityLog;
  readonly health: Health;
  readonly sources: Pick<Sources, 'counts' | 'subscriptions' | 'lastRefused'>;
}

/** `page` counts from 1. */
export async function gatherOverview(parts: OverviewParts, search: string, page: number): Promise<Overview> {
  const sync = parts.syncState();
  const found = parts.directory.all().filter((queue) => queue.arn.name.includes(search));
  const shown = found.slice((page - 1) * QUEUES_PER_PAGE, page * QUEUES_PER_PAGE);
  const sources = deadLetterSources(parts.directory);
  const [store] = await Promise.all([parts.store.health(), refreshed(parts.depths)]);
  const queues = shown.map((queue) => queueRow(queue, parts.depths, sources, sync));
  const consumer = parts.consumer();
  return {
    readiness: parts.health.readiness(),
    store,
    ...(sync === undefined ? {} : { sync }),
    queues,
    queueCount: found.length,
    page,
    search,
    mappings: mappingRows(parts, consumer, sync),
    limits: consumer,
    broken: [...(sync?.discovery?.broken ?? []), ...consumer.broken].map((mapping) => ({
      name: nameOf(mapping.functionArn),
      queueName: mapping.queueArn.name,
      reason: mapping.reason,
    })),
    problems: (sync?.discovery?.problems ?? []).map((problem) => problem.text),
    warnings: parts.activity.warnings(),
    recent: parts.activity.recent(),
    counts: parts.sources.counts(),
    subscriptions: parts.sources.subscriptions(),
    refused: parts.sources.lastRefused(),
  };
}

/** Names of the queues whose dead letters go to a queue, by the ARN of that queue; made once for all rows of a page. */
export function deadLetterSources(directory: Pick<QueueDirectory, 'all'>): ReadonlyMap<string, readonly string[]> {
  const sources = new Map<string, string[]>();
  for (const { arn, definition } of directory.all()) {
    const target = definition.attributes.redrivePolicy?.deadLetterTargetArn;
    if (target === undefined) continue;
    const names = sources.get(target);
    if (names === undefined) sources.set(target, [arn.name]);
    else names.push(arn.name);
  }
  return sources;
}

/** Reads what changed; a page with older numbers is better than none. */
export async function refreshed(depths: Depths): Promise<void> {
  await depths.refresh().catch((error: unknown) => {
    if (!(error instanceof StoreUnavailableError)) throw error;
  });
}

/** One queue with its depth. */
export function queueRow(
  queue: Queue,
  depths: Depths,
  sources: ReadonlyMap<string, readonly string[]>,
  sync: SyncState | undefined,
): QueueRow {
  const arn = formatQueueArn(queue.arn);
  const depth = depths.of(queue.key);
  const waitsMs = depths.waitsMs(queue.key);
  return {
    queue,
    ...(depth === undefined ? {} : { depth }),
    ...(waitsMs === undefined ? {} : { waitsMs }),
    waitingInSqs: sync?.discovery?.waitingInSqs[arn] ?? 0,
    held: sync?.held.some((held) => queueKey(held) === queue.key) ?? false,
    consumed: sync?.discovery?.mappings.some((mapping) => queueKey(mapping.queueArn) === queue.key) ?? false,
    deadLettersOf: sources.get(arn) ?? [],
  };
}

/** Mappings in the order of their queues, with what the consumer makes of them. */
export function mappingRows(
  parts: Pick<OverviewParts, 'counts'>,
  consumer: ConsumerSnapshot,
  sync: SyncState | undefined,
): readonly MappingRow[] {
  const workers = new Map(
    consumer.queues.flatMap((actor) => actor.mappings.map((worker) => [worker.uuid, worker] as const)),
  );
  const counts = parts.counts.byMapping();
  return (sync?.discovery?.mappings ?? [])
    .map((mapping) => {
      const worker = workers.get(mapping.uuid);
      const paused =
        worker?.paused ?? (consumer.withoutQueue.includes(mapping.uuid) ? 'its queue is missing' : undefined);
      const count = counts.get(mapping.uuid);
      const row: MappingRow = {
        uuid: mapping.uuid,
        queueKey: queueKey(mapping.queueArn),
        queueName: mapping.queueArn.name,
        functionName: nameOf(mapping.functionArn),
        functionArn: mapping.functionArn,
        batchSize: mapping.batchSize,
        batchWindowSeconds: mapping.batchWindowSeconds,
        timeoutSeconds: mapping.functionTimeoutSeconds,
        filters: mapping.filterPatterns.length,
        ...(mapping.maximumConcurrency === undefined ? {} : { maximumConcurrency: mapping.maximumConcurrency }),
        running: worker?.running ?? 0,
        ...(worker === undefined ? {} : { concurrency: worker.concurrency }),
        resumable: worker?.resumable === true,
        ...(paused === undefined ? {} : { paused }),
        ...(count === undefined ? {} : { counts: count }),
      };
      return row;
    })
    .sort((a, b) => compare(a.queueName, b.queueName) || compare(a.functionName, b.functionName));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
