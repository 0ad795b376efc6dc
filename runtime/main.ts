/**
 * Builds the whole server, in order, and takes it down in reverse.
 *
 * The port opens first, so that whoever watches over the process sees that it lives: what takes long (a large
 * append-only file, a first discovery of a thousand mappings) comes behind it. `/readyz` says how far that is; queues
 * that are not known yet are answered with 503, which SDKs retry.
 *
 * Order matters at the end too. First the server says that it is not ready, and long polls are answered empty; then
 * open Invokes may finish, while requests are still served, because the functions that run in them may send messages
 * here; only then are connections closed, and last of all the store.
 *
 * @module
 */

import type { DiscoverySource } from './aws/discovery/discovery.ts';
import { createScopedInvoker, type Invoker } from './aws/invoke.ts';
import type { Mapping } from './aws/mapping.ts';
import type { RealQueues } from './aws/real-queues.ts';
import { placesOf } from './aws/scope.ts';
import { scheduleSyncs } from './aws/sync/schedule.ts';
import { type ApplyDiff, createSynchroniser, type SyncReport } from './aws/sync/synchroniser.ts';
import { createLogTails } from './consumer/delivery.ts';
import type { EventListener } from './consumer/events.ts';
import { createSupervisor, type Supervisor } from './consumer/supervisor.ts';
import { createAccess } from './http/access.ts';
import { createReserve } from './http/auth/shares.ts';
import type { SnsTrust } from './http/ingest/sns.ts';
import { createSources } from './http/ingest/sources.ts';
import { reachableHost } from './http/location.ts';
import { openDoor } from './http/server.ts';
import { createLog, type Log } from './log.ts';
import { logStoreLoss, recordEvents } from './ops/activity.ts';
import { createFunctionActions } from './ops/function-actions.ts';
import type { FunctionUrls } from './ops/functions.ts';
import { createHealth } from './ops/health.ts';

import type { QueueDirectory } from './queue/directory.ts';
import { createDirectory } from './queue/stored-directory.ts';
import { createMoveTasks } from './queue/stored-move-tasks.ts';
import { openFront } from './server/front.ts';
import {
  configuredAlerts,
  configuredRealQueues,
  configuredScopes,
  configuredSources,
  openConfiguredStore,
} from './server/parts.ts';
import { createReleasers, type Releasers, unlessGivenUp } from './server/releasers.ts';
import { type Config, ConfigError, readVersion } from './settings.ts';
import { createSqsApi } from './sqs/api.ts';
import type { Store } from './store/store.ts';
import { type Randomness, systemRandomness, systemTime, type Time, watchClocks } from './time.ts';
import { createForwarder, startForwarding } from './transfer/forwarding.ts';
import type { OnTransfer } from './transfer/transfer.ts';
import { createTransfers } from './transfer/transfers.ts';

/**
 * Parts that a caller brings instead of those that the configuration names. What is handed in here is not closed by
 * `stop`.
 */
export interface Overrides {
  readonly log?: Log;
  /** For what syncs find; default: `log`. */
  readonly syncLog?: Log;
  /** Takes the lines for CloudWatch; default: standard output. */
  readonly writeMetrics?: (lines: string) => void;
  readonly time?: Time;
  readonly randomness?: Randomness;
  readonly store?: Store;
  /** One, or one for each scope of AWS. */
  readonly source?: DiscoverySource | readonly DiscoverySource[];
  readonly invoker?: Invoker;
  readonly functionUrls?: FunctionUrls;
  /** The queues of SQS itself, to and from which messages move. */
  readonly realQueues?: RealQueues;
  /** The way to SNS, and the authorities that its certificates must lead to. */
  readonly sns?: SnsTrust;
  /**
   * Aborted: a start under way is given up, and what it built is taken down. Afterwards it does nothing: see
   * `Karin.stop`.
   */
  readonly signal?: AbortSignal;
}

/** A running server. */
export interface Karin {
  /** `http://<address>:<port>`, with the port that was bound. */
  readonly url: string;
  readonly config: Config;
  readonly log: Log;
  readonly store: Store;
  readonly directory: QueueDirectory;
  readonly supervisor: Supervisor;
  /** Every step of the consumer, until the returned function is called. */
  readonly events: { subscribe(listener: EventListener): () => void };
  /**
   * Reads the source of mappings now and applies what changed. Errors: `DiscoveryError`, `StoreUnavailableError`,
   * `ConfigError` (there is no source).
   */
  sync(options?: { readonly full?: boolean }): Promise<SyncReport>;
  /** Reads the files of keys and tokens again (SIGHUP). Errors: `ConfigError`; then everything stays as it was. */
  reloadCredentials(): void;
  /** Stops the server as the module comment describes. A second call waits for the first. */
  stop(): Promise<void>;
}

/**
 * Starts a server and resolves once it serves requests of all the queues that it can know.
 *
 * Without a stored result of an earlier discovery it waits for the first one; meanwhile it serves what it knows. If the
 * discovery fails it says so in `/readyz` and tries again.
 *
 * Errors: `ConfigError`, `StoreUnavailableError`, `UnsuitableRedisError`; the reason of `overrides.signal`. What was
 * built by then is taken down again.
 */
export async function startKarin(config: Config, overrides: Overrides = {}): Promise<Karin> {
  const releasers = createReleasers();
  const log = overrides.log ?? createLog({ level: config.logLevel });
  try {
    return await build(config, overrides, releasers, log);
  } catch (error) {
    // Why it does not start matters more than what then fails beside it.
    await releasers.release().catch((failure: unknown) => {
      log.error({ err: failure }, 'what was built before the start failed was not all taken down');
    });
    throw error;
  }
}

async function build(config: Config, overrides: Overrides, releasers: Releasers, log: Log): Promise<Karin> {
  const { time = systemTime, randomness = systemRandomness, signal } = overrides;
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');
  const alertTargets = configuredAlerts(config, time);
  const scopes = configuredScopes(config, time);
  const places = placesOf(config, scopes);
  const instanceId = randomness.uuid();

  const door = await openDoor(config.host, config.port);
  releasers.add('the port', () => door.close());
  log.info({ host: config.host, port: door.port }, 'listening');
  const store =
    overrides.store ??
    (await openConfiguredStore(
      config,
      { time, randomness, log, instanceId, ...(signal === undefined ? {} : { signal }) },
      releasers,
    ));
  for (const warning of (await store.health()).warnings) log.warn({ warning }, 'store');
  const access = await createAccess(config, places, store.documents, time, log);
  releasers.add('the trail of actions', () => access.trail.close());
  releasers.add('last uses of credentials', () => access.lastUses.close());

  const { bus, notify, onTransfer, counts, activity, history } = recordEvents(store.documents, time, log);
  releasers.add('the history of queues', () => history.close());
  if (config.traces !== undefined) {
    const { openTraces } = await import('./ops/traces.ts');
    const traces = await openTraces({
      bus,
      to: config.traces,
      version: readVersion(),
      instance: instanceId,
      time,
      log,
    });
    releasers.add('traces', () => traces.close());
  }
  const realQueues = overrides.realQueues ?? configuredRealQueues(config, scopes, releasers);
  const directory = await createDirectory({
    store,
    time,
    randomness,
    notify,
    ...(realQueues === undefined ? {} : { forward: createForwarder(realQueues) }),
  });
  releasers.add('the directory of queues', () => directory.close());
  directory.subscribe((event) => {
    if (event.kind === 'removed') void history.forget(event.queue.key);
  });
  releasers.add(
    'comparing clocks',
    watchClocks(time, (byMs) => {
      log.warn(
        { byMs },
        'the wall clock jumped, or the machine slept; every queue is asked anew when messages are due',
      );
      directory.askAnew();
    }),
  );
  const transfers = realQueues === undefined ? undefined : createTransfers({ directory, realQueues, time, randomness });
  if (realQueues !== undefined && transfers !== undefined) {
    const onEvent: OnTransfer = (event) => {
      // A drain reports what helps it.
      if (!transfers.forwarded(event)) onTransfer(event);
    };
    const forwarding = startForwarding({ directory, realQueues, time, randomness, onEvent });
    releasers.add('moving messages to SQS', () => forwarding.close());
    releasers.add('transfers', () => transfers.close());
  }
  const moveTasks = await createMoveTasks({ store, directory, time, randomness, notify });
  releasers.add('message move tasks', () => moveTasks.close());

  const invoker = overrides.invoker ?? createScopedInvoker(scopes, time);
  if (overrides.invoker === undefined) releasers.add('the invoker', () => invoker.close());
  const logTails = await createLogTails(store.documents, time);
  const supervisor = createSupervisor({
    directory,
    store,
    invoker,
    logTails,
    time,
    randomness,
    events: bus,
    limits: { maxInvokes: config.maxConcurrency, maxBytes: config.maxBytesInFlight },
    instance: instanceId,
    queueNames: config.queueNames,
    settings: { stopLoops: config.stopLoops },
  });
  const graceMs = config.stopGraceSeconds * 1000;
  releasers.add('the consumer', () => supervisor.stop(graceMs));

  const discoverySources =
    overrides.source === undefined ? await configuredSources(config, scopes, time) : [overrides.source].flat();
  const serve = (mappings: readonly Mapping[]): ApplyDiff => supervisor.apply(mappings);
  const synchroniser =
    discoverySources.length === 0
      ? undefined
      : createSynchroniser({
          sources: discoverySources,
          documents: store.documents,
          instance: instanceId,
          directory,
          serve,
          time,
          log: overrides.syncLog ?? log,
          onHold: ({ name }, isHeld) =>
            access.audit({ what: isHeld ? 'hold' : 'hold-ended', who: 'sync', from: 'aws', to: { queue: name } }),
        });
  if (synchroniser !== undefined) releasers.add('syncs', () => synchroniser.close());
  const health = createHealth(
    synchroniser === undefined ? undefined : () => synchroniser.state(),
    () => counts.troubled().size,
    () => time.now(),
  );

  releasers.add(
    'listening to the store',
    store.subscribe((signal) => {
      health.heard(signal);
      history.heard(signal);
      if (signal.kind === 'reachable') {
        if (signal.reachable) log.info('the store of messages is reached again');
        else {
          const { refusal } = signal;
          const why = refusal === undefined ? {} : { refusal };
          log.warn(why, 'the store of messages is lost: requests are answered with 503 until it is reached again');
        }
      }
      logStoreLoss(log, signal);
      // What is written again from memory may be older than AWS. A failure is logged there.
      if (signal.kind === 'emptied') synchroniser?.sync({ full: true }).catch(() => undefined);
      Promise.all([access.heard(signal), logTails.heard(signal), synchroniser?.heard(signal)]).catch((error: unknown) =>
        log.warn(
          { err: error, signal: signal.kind },
          'what another instance changed could not be read; it is tried again',
        ),
      );
    }),
  );

  const sources = createSources(() => time.now(), history.sending);
  const api = createSqsApi({
    directory,
    moveTasks,
    documents: store.documents,
    time,
    randomness,
    maxDelaySeconds: config.maxDelaySeconds,
    maxQueues: config.maxQueues,
    hasRoom: createReserve(() => store.health(), time),
    sent: sources.sent,
    unknownQueues: (place) => health.unknownQueues(place),
    report: (error, request) => log.error({ err: error, ...request }, 'a request failed unexpectedly'),
    audited: ({ action, caller: { senderId, address }, queue, destination }) => {
      if (address === undefined) return;
      const to = { queue, ...(destination === undefined ? {} : { destination }) };
      access.audit({ what: action, who: senderId, from: address, to });
    },
  });

  signal?.throwIfAborted();
  const front = openFront({
    door,
    config,
    scopes,
    places,
    access,
    api,
    sources,
    sns: overrides.sns ?? {},
    store,
    directory,
    moveTasks,
    supervisor,
    functions: createFunctionActions({ invoker, logTails, syncState: () => synchroniser?.state(), time }),
    synchroniser,
    functionUrls: overrides.functionUrls,
    transfers,
    health,
    bus,
    counts,
    activity,
    history,
    alertTargets,
    instance: instanceId,
    onTransfer,
    time,
    randomness,
    writeMetrics: overrides.writeMetrics ?? ((lines) => void process.stdout.write(lines)),
    log,
  });
  releasers.add('the HTTP server', () => front.stop());

  if (synchroniser !== undefined) {
    const restored = await unlessGivenUp(synchroniser.restore(), signal);
    // Its failure is logged and stands in /readyz; the schedule tries again.
    if (!restored)
      await unlessGivenUp(
        synchroniser.sync().catch(() => undefined),
        signal,
      );
    const cancel = scheduleSyncs({
      time,
      randomness,
      intervalSeconds: config.syncIntervalSeconds,
      hasResult: () => synchroniser.state().discovery !== undefined,
      unsettled: () => synchroniser.unsettled(),
      onSynced: (listener) => synchroniser.onSynced(listener),
      sync: (options) => synchroniser.sync(options),
      first: restored ? 'now' : 'as-due',
    });
    releasers.add('the schedule of syncs', cancel);
  }

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    health.stopping();
    front.endWaits();
    // If it fails, the same failure comes out of its release below, and nothing else is skipped for it.
    await supervisor.stop(graceMs).catch(() => undefined);
    await releasers.release();
  };
  return {
    url: `http://${reachableHost(config.host)}:${front.port}`,
    config,
    log,
    store,
    directory,
    supervisor,
    events: bus,
    sync: async (options) => {
      if (synchroniser === undefined)
        throw new ConfigError(['this server has no source of mappings (KARIN_DISCOVERY=none)']);
      return synchroniser.sync(options);
    },
    reloadCredentials: access.reload,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
