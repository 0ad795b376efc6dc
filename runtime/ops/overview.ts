/**
 * Gathers what the overview shows: which queues, in which order, with what stands beside each.
 *
 * @module
 */

import type { SyncState } from '../aws/sync/synchroniser.ts';
import type { ConsumerSnapshot } from '../consumer/supervisor.ts';
import type { RefusedDelivery, SourceCount, Sources, TopicSubscription } from '../http/ingest/sources.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import { formatQueueArn, type QueueRef, queueKey } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import { type Depth, type QueueKey, type Store, type StoreHealth, StoreUnavailableError } from '../store/store.ts';
import { type Activity, type ActivityLog, nameOf } from './activity.ts';
import type { MappingCounts, MetricCounts } from './counts.ts';
import type { Depths, KnownDepth } from './depths.ts';
import type { Health } from './health.ts';
import { bars, type History, type QueueHistory } from './history.ts';
import { deadLetterSources, gatherNeeds, type Need } from './needs.ts';
import { stageOf } from './scopes.ts';

/** Queues on one page. */
export const QUEUES_PER_PAGE = 50;

export const FILTERS = ['all', 'busy', 'failing', 'held'] as const;
export const ORDERS = ['name', 'messages', 'waiting'] as const;

/** Which queues are to be shown, and in which order. */
export interface QueueQuery {
  /** Part of the name, the friendly name, a function's name or the ARN, whatever its case; empty: all. */
  readonly search: string;
  /**
   * `busy`: not empty. `failing`: a function fails on it, or it holds dead letters. `held`: not consumed on purpose.
   */
  readonly filter: (typeof FILTERS)[number];
  /** Value of the tag `stage`, or the name of a CloudFormation stack; empty: all. */
  readonly stage: string;
  /** `messages`, `waiting`: the largest first. */
  readonly order: (typeof ORDERS)[number];
  /** From 1. */
  readonly page: number;
}

/** Reads a query string; what it does not know is as if it were not there. */
export function readQueueQuery(query: (name: string) => string | undefined): QueueQuery {
  return {
    search: (query('q') ?? '').slice(0, 200),
    filter: FILTERS.find((filter) => filter === query('show')) ?? 'all',
    stage: (query('stage') ?? '').slice(0, 200),
    order: ORDERS.find((order) => order === query('sort')) ?? 'name',
    page: Math.max(1, Number.parseInt(query('page') ?? '1', 10) || 1),
  };
}

export interface QueueRow {
  readonly queue: Queue;
  /** What people call it: of its CloudFormation tags; absent: it has none. */
  readonly friendlyName?: string;
  /** Absent: the store could not be asked yet. */
  readonly depth?: KnownDepth;
  /** How long the first message has waited, ms; absent: none may be received. */
  readonly waitsMs?: number;
  /** Messages that still sit in the real queue. */
  readonly waitingInSqs: number;
  readonly held: boolean;
  /** Whether a mapping takes messages from it, now or once it may. */
  readonly consumed: boolean;
  /** Whether the server serves several accounts and regions, so that its name alone may not tell it apart. */
  readonly isOneOfScopes: boolean;
  /** Names of the functions that it is handed to. */
  readonly functions: readonly string[];
  /** What the last batch of a function failed with; absent: it did not fail. */
  readonly failure?: Activity;
  /** Names of the queues whose dead letters come here. */
  readonly deadLettersOf: readonly string[];
  /** The last hour in bars of three minutes, the oldest first; absent: not read. */
  readonly lastHour?: ReturnType<typeof bars>;
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
  readonly needs: readonly Need[];
  /** Sums over all queues, whatever is shown. */
  readonly totals: Depth;
  /** All queues there are. */
  readonly allQueues: number;
  readonly store: StoreHealth;
  readonly sync?: SyncState;
  readonly query: QueueQuery;
  readonly queues: readonly QueueRow[];
  /** Queues that fit the query, on all pages. */
  readonly queueCount: number;
  /** Stages and stacks to choose from. */
  readonly stages: readonly string[];
  /** Of the queues that fit the query. */
  readonly mappings: readonly MappingRow[];
  /** What all mappings of this server share. */
  readonly limits: Pick<ConsumerSnapshot, 'invokes' | 'bytesInMemory'>;
  /** Commands to Redis that looking cost in the last minute. */
  readonly commandsLately: number;
  /** Of the queues that fit the query, newest first. */
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
  readonly history: Pick<History, 'read'>;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly health: Health;
  readonly sources: Pick<Sources, 'counts' | 'subscriptions' | 'lastRefused'>;
}

/** `sees`: whether the reader may know of the queue; default: of each. */
export async function gatherOverview(
  parts: OverviewParts,
  query: QueueQuery,
  sees: (queue: QueueRef) => boolean = () => true,
): Promise<Overview> {
  const [store] = await Promise.all([parts.store.health(), refreshed(parts.depths)]);
  const sync = parts.syncState();
  const consumer = parts.consumer();
  const all = queueRows(parts).filter(({ queue }) => sees(queue.arn));
  const found = sortRows(
    all.filter((row) => fits(row, query)),
    query.order,
  );
  const keys = new Set(found.map(({ queue }) => queue.key));
  const first = (query.page - 1) * QUEUES_PER_PAGE;
  const isNarrowed = found.length < all.length;
  const shown = found.slice(first, first + QUEUES_PER_PAGE);
  const histories = await historiesOf(
    parts.history,
    shown.map(({ queue }) => queue.key),
  );
  return {
    needs: gatherNeeds(parts, store),
    totals: parts.depths.totals(),
    allQueues: all.length,
    store,
    ...(sync === undefined ? {} : { sync }),
    query,
    queues: shown.map((row) => {
      const history = histories.get(row.queue.key);
      return history === undefined ? row : { ...row, lastHour: bars(history, parts.now(), 60, 20) };
    }),
    queueCount: found.length,
    stages: [...new Set(all.flatMap(({ queue }) => stageOf(queue) ?? []))].sort(),
    mappings: mappingRows(parts, consumer, sync).filter((mapping) => keys.has(mapping.queueKey)),
    limits: consumer,
    commandsLately: parts.depths.commandsLately(),
    recent: parts.activity.recent().filter(({ queue }) => !isNarrowed || keys.has(queue)),
    counts: parts.sources.counts().filter(({ queue }) => !isNarrowed || keys.has(queue)),
    subscriptions: parts.sources.subscriptions(),
    refused: parts.sources.lastRefused(),
  };
}

/** Reads what changed; a page with older numbers is better than none. */
export async function refreshed(depths: Depths): Promise<void> {
  await depths.refresh().catch((error: unknown) => {
    if (!(error instanceof StoreUnavailableError)) throw error;
  });
}

/** What happened on queues; a page without it is better than none. */
export async function historiesOf(
  history: Pick<History, 'read'>,
  queues: readonly QueueKey[],
): Promise<ReadonlyMap<QueueKey, QueueHistory>> {
  return history.read(queues).catch((error: unknown) => {
    if (!(error instanceof StoreUnavailableError)) throw error;
    return new Map();
  });
}

/** All queues by name, from memory alone. */
export function queueRows(
  parts: Pick<OverviewParts, 'directory' | 'depths' | 'syncState' | 'activity'>,
): readonly QueueRow[] {
  const sync = parts.syncState();
  const queues = parts.directory.all();
  const sources = deadLetterSources(queues);
  const held = new Set(sync?.held.map(queueKey));
  const functions = new Map<QueueKey, string[]>();
  for (const { queueArn, functionArn } of sync?.discovery?.mappings ?? []) {
    const names = functions.get(queueKey(queueArn));
    if (names === undefined) functions.set(queueKey(queueArn), [nameOf(functionArn)]);
    else names.push(nameOf(functionArn));
  }
  const failures = new Map([...parts.activity.failing().values()].map((failure) => [failure.queue, failure]));
  return queues.map((queue): QueueRow => {
    const { key } = queue;
    const arn = formatQueueArn(queue.arn);
    const depth = parts.depths.of(key);
    const waitsMs = parts.depths.waitsMs(key);
    const failure = failures.get(key);
    const friendlyName = friendlyNameOf(queue);
    return {
      queue,
      ...(friendlyName === undefined ? {} : { friendlyName }),
      ...(depth === undefined ? {} : { depth }),
      ...(waitsMs === undefined ? {} : { waitsMs }),
      waitingInSqs: sync?.discovery?.waitingInSqs[arn] ?? 0,
      held: held.has(key),
      consumed: functions.has(key),
      isOneOfScopes: (sync?.sources.length ?? 0) > 1,
      functions: functions.get(key) ?? [],
      ...(failure === undefined ? {} : { failure }),
      deadLettersOf: sources.get(arn) ?? [],
    };
  });
}

/** One queue; `undefined`: it is not there any more. */
export function queueRow(parts: Parameters<typeof queueRows>[0], key: QueueKey): QueueRow | undefined {
  return queueRows(parts).find(({ queue }) => queue.key === key);
}

/**
 * Stack and logical id, without the hash that the CDK puts behind it: `shop-prod / Jobs`. CloudFormation sets both tags
 * on every queue that it makes.
 */
function friendlyNameOf({ definition }: Queue): string | undefined {
  const stack = definition.tags['aws:cloudformation:stack-name'];
  const id = definition.tags['aws:cloudformation:logical-id'];
  return stack === undefined || id === undefined ? undefined : `${stack} / ${id.replace(/(?<=.)[0-9A-F]{8}$/, '')}`;
}

function fits(row: QueueRow, { search, filter, stage }: QueueQuery): boolean {
  if (stage !== '' && stageOf(row.queue) !== stage) return false;
  if (filter === 'busy' && messagesIn(row) === 0) return false;
  if (filter === 'held' && row.queue.definition.mode === 'consume') return false;
  if (filter === 'failing') {
    const deadLetters = row.deadLettersOf.length > 0 && (row.depth?.visible ?? 0) > 0;
    if (row.failure === undefined && !deadLetters) return false;
  }
  const wanted = search.trim().toLowerCase();
  if (wanted === '') return true;
  const texts = [formatQueueArn(row.queue.arn), row.friendlyName ?? '', ...row.functions];
  return texts.some((text) => text.toLowerCase().includes(wanted));
}

function messagesIn({ depth }: QueueRow): number {
  return depth === undefined ? 0 : depth.visible + depth.delayed + depth.inFlight;
}

function sortRows(rows: readonly QueueRow[], order: QueueQuery['order']): readonly QueueRow[] {
  const byName = rows.toSorted((a, b) => compare(a.queue.arn.name, b.queue.arn.name));
  if (order === 'name') return byName;
  const value = order === 'messages' ? messagesIn : ({ waitsMs }: QueueRow): number => waitsMs ?? -1;
  return byName.sort((a, b) => value(b) - value(a));
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
