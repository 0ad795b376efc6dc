/**
 * Puts the HTTP side together: the SQS API, health, metrics, sync, tokens and the pages, on one port.
 *
 * @module
 */

import type { AwsScope, Places } from '../aws/scope.ts';
import type { Synchroniser } from '../aws/sync/synchroniser.ts';
import type { EventBus } from '../consumer/events.ts';
import type { Supervisor } from '../consumer/supervisor.ts';
import { queueChooser } from '../consumer/tuning.ts';
import type { Access } from '../http/access.ts';
import { createApp } from '../http/app.ts';
import { connectionLimits } from '../http/connections.ts';
import { createEdge } from '../http/edge.ts';
import { createIngestEndpoint } from '../http/ingest/endpoint.ts';
import { createSns, type SnsTrust } from '../http/ingest/sns.ts';
import type { Sources } from '../http/ingest/sources.ts';
import { publicAddress, reachableHost } from '../http/location.ts';
import { createTraffic, type Door } from '../http/server.ts';
import { createSqsEndpoint } from '../http/sqs-endpoint.ts';
import { transfersRoute } from '../http/transfers-route.ts';
import type { Log } from '../log.ts';
import { createApiClient } from '../ops/actions.ts';
import type { ActivityLog } from '../ops/activity.ts';
import type { AlertTarget } from '../ops/alert-targets.ts';
import { createAlerts } from '../ops/alerts.ts';
import { publishToCloudWatch } from '../ops/cloudwatch.ts';
import type { MetricCounts } from '../ops/counts.ts';
import { createDepths, type Depths } from '../ops/depths.ts';
import { EXPOSITION_TYPES } from '../ops/exposition.ts';
import type { FunctionActions } from '../ops/function-actions.ts';
import type { FunctionUrls } from '../ops/functions.ts';
import type { Health } from '../ops/health.ts';
import type { History } from '../ops/history.ts';
import { createMetrics } from '../ops/metrics.ts';
import { gatherNeeds } from '../ops/needs.ts';
import { needHref } from '../ops/pages/layout.tsx';
import { pagesRoute } from '../ops/routes.tsx';
import type { MoveTasks } from '../queue/move-task.ts';
import type { StoredDirectory } from '../queue/stored-directory.ts';
import { type Config, readVersion } from '../settings.ts';
import type { SqsApi } from '../sqs/api.ts';
import type { Store, StoreHealth } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import type { OnTransfer } from '../transfer/transfer.ts';
import type { Transfers } from '../transfer/transfers.ts';
import { accountOf, configuredFunctionUrls } from './parts.ts';

export interface FrontParts {
  /** The open port that all this is served on. */
  readonly door: Door;
  readonly config: Config;
  readonly scopes: readonly AwsScope[];
  readonly places: Places;
  readonly access: Access;
  readonly api: SqsApi;
  /** Where messages come from; told of sends by the API. */
  readonly sources: Sources;
  readonly sns: SnsTrust;
  readonly store: Store;
  readonly directory: StoredDirectory;
  readonly moveTasks: MoveTasks;
  readonly supervisor: Supervisor;
  readonly functions: FunctionActions;
  /** Absent: the server has no source of mappings. */
  readonly synchroniser: Synchroniser | undefined;
  /** Absent: those of AWS, if functions are there. */
  readonly functionUrls: FunctionUrls | undefined;
  /** Absent: the queues have no counterpart in AWS. */
  readonly transfers: Transfers | undefined;
  readonly health: Health;
  readonly bus: EventBus;
  readonly counts: MetricCounts;
  readonly activity: ActivityLog;
  readonly history: History;
  /** Whom alerts go to; empty: nobody looks for any. */
  readonly alertTargets: readonly AlertTarget[];
  /** Id of this instance in the store. */
  readonly instance: string;
  /** Told of every step of a transfer that is begun over HTTP. */
  readonly onTransfer: OnTransfer;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly log: Log;
  /** Takes the lines for CloudWatch. */
  readonly writeMetrics: (lines: string) => void;
}

export interface Front {
  readonly port: number;
  /** Answers long polls empty, now and from now on. */
  endWaits(): void;
  stop(): Promise<void>;
}

/** Serves from now on. */
export function openFront(parts: FrontParts): Front {
  const { config, places, access, api, sources, store, directory, supervisor, health, counts, activity, time, log } =
    parts;
  const { region, host } = config;
  const uuid = parts.randomness.uuid.bind(parts.randomness);
  const syncState = () => parts.synchroniser?.state();
  const account = (): string => accountOf(config, parts.scopes, syncState());
  const synchroniser = parts.synchroniser === undefined ? {} : { synchroniser: parts.synchroniser };
  const functionUrls = parts.functionUrls ?? configuredFunctionUrls(config, parts.scopes, time, log);
  const version = readVersion();
  const traffic = createTraffic();
  const { port } = parts.door;

  const edge = createEdge({
    authenticator: access.authenticator,
    operatorProof: access.operatorProof,
    address: publicAddress(config.publicUrl),
    trustedProxies: config.trustedProxies,
    onFly: config.onFly,
    fallbackHost: () => `${reachableHost(host)}:${port}`,
    limits: connectionLimits(config),
    time,
  });
  const oldest = config.alertAgeSeconds === 0 ? {} : { oldestMs: config.alertAgeSeconds * 1000 };
  const depths = createDepths({ store, directory, time });
  let instances: readonly string[] = [];
  const unsubscribe = store.subscribe((signal) => {
    if (signal.kind === 'instances') instances = signal.ids;
  });
  const endCloudWatch =
    config.cloudWatchQueues.length === 0
      ? () => {}
      : publishToCloudWatch({
          queues: () => directory.all(),
          isChosen: queueChooser(config.cloudWatchQueues),
          depths,
          sources,
          time,
          write: parts.writeMetrics,
        });
  const { onTransfer } = parts;
  const transfers = parts.transfers === undefined ? {} : { transfers: parts.transfers };
  const pages = pagesRoute({
    edge,
    sessions: access.sessions,
    endSession: access.endSession,
    attempts: access.attempts,
    audit: access.audit,
    trail: access.trail,
    operators: access.operators,
    passwords: access.passwords,
    lastUses: access.lastUses,
    api: createApiClient({ api, region, uuid }),
    moveTasks: parts.moveTasks,
    supervisor,
    functions: parts.functions,
    consumer: () => supervisor.snapshot(),
    ...synchroniser,
    ...(functionUrls === undefined ? {} : { functionUrls }),
    store,
    directory,
    syncState,
    counts,
    activity,
    history: parts.history,
    system: {
      config,
      version,
      store,
      directory,
      instances: () => instances,
      syncState,
      tokens: () => access.tokens.list(),
      credentials: access.credentials,
      lastUse: access.lastUses.of,
      commandsLately: () => depths.commandsLately(),
    },
    exports: { directory, tokens: access.tokens },
    now: () => time.now(),
    ...oldest,
    depths,
    health,
    sources,
    region,
    version,
    ...transfers,
    onTransfer,
    maxDelaySeconds: config.maxDelaySeconds,
    uuid,
    time,
    log,
  });
  const metrics = createMetrics({
    counts,
    traffic,
    health,
    syncState,
    queues: () => directory.all(),
    depths,
    sources,
    failedAttempts: () => access.attempts.failures,
    version,
    now: () => time.now(),
  });
  const app = createApp({
    edge,
    readiness: () => health.readiness(),
    metrics: {
      types: EXPOSITION_TYPES,
      page: (depth, sees, format) => metrics.page({ depth, format, ...(sees === undefined ? {} : { sees }) }),
    },
    sync: parts.synchroniser === undefined ? undefined : () => parts.synchroniser?.sync({ full: true }),
    tokens: access.tokens,
    lastUse: access.lastUses.of,
    transfers: transfersRoute({ edge, ...transfers, onEvent: onTransfer, audit: access.audit, time, log }),
    pages,
    now: () => time.now(),
    audit: access.audit,
    log,
  });
  const sqs = createSqsEndpoint({ api, edge, account, places, uuid, log });
  const endpoint = config.snsEndpoint === undefined ? {} : { endpoint: new URL(config.snsEndpoint) };
  const sns = createSns({ trust: parts.sns, ...endpoint, sources, time, log });
  const ingest = createIngestEndpoint({ api, edge, sns, sources, places, uuid, audit: access.audit, log });
  const { corsOrigins } = config;
  const answered = traffic.answered;
  const server = parts.door.serve({ edge, access, sqs, ingest, app, answered, corsOrigins, time, log });
  const endAlerts = openAlerts(parts, depths, oldest, `${reachableHost(host)}:${port}`);
  const endWaits = (): void => {
    // That a server stops is no news.
    void endAlerts();
    edge.endAll();
  };
  const stop = async (): Promise<void> => {
    try {
      unsubscribe();
      endCloudWatch();
      await endAlerts();
      depths.close();
    } finally {
      await server.stop();
    }
  };
  return { port, endWaits, stop };
}

/** How long alerts go by what the store said of itself while nothing happens. */
const CALM_HEALTH_MS = 3_600_000;

/** Tells what needs somebody from now on; gives what ends it. */
function openAlerts(
  parts: FrontParts,
  depths: Depths,
  oldest: { readonly oldestMs?: number },
  address: string,
): () => Promise<void> {
  const { alertTargets, config, store, supervisor, synchroniser, activity, health, bus } = parts;
  if (alertTargets.length === 0) return async () => {};
  const { publicUrl } = config;
  const needsParts = {
    ...parts,
    depths,
    syncState: () => synchroniser?.state(),
    consumer: () => supervisor.snapshot(),
    ...oldest,
  };
  let known: { readonly at: number; readonly health: StoreHealth } | undefined;
  /** While nothing happens a store changes slowly, and asking it how it is would be all that an idle server asks. */
  const storeHealth = async (calm: boolean): Promise<StoreHealth> => {
    const at = parts.time.monotonic();
    if (!calm || known === undefined || at - known.at >= CALM_HEALTH_MS) known = { at, health: await store.health() };
    return known.health;
  };
  const alerts = createAlerts({
    ...{ targets: alertTargets, depths, bus, documents: store.documents, directory: parts.directory },
    ...{ instance: parts.instance, time: parts.time, randomness: parts.randomness, log: parts.log },
    needs: async (calm) => gatherNeeds(needsParts, await storeHealth(calm)),
    isStarting: () => health.unknownQueues() !== undefined,
    server: () => publicUrl ?? address,
    link: (queue, kind) => (publicUrl === undefined ? undefined : needHref(publicUrl, queue, kind)),
  });
  const cancels = [
    store.subscribe(alerts.heard),
    activity.onChange(({ kind }) => {
      if (kind === 'queue-warning') alerts.happened();
    }),
    ...(synchroniser === undefined ? [] : [synchroniser.onSynced(alerts.happened)]),
  ];
  return () => {
    for (const cancel of cancels) cancel();
    return alerts.close();
  };
}
