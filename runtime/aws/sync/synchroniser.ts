/**
 * The synchroniser: asks the sources of mappings what is there, and makes the server fit, as a difference.
 *
 * There is one source, or one for each scope of AWS. All are read at one time, and each is served as soon as it was
 * read: none waits for another, and none fails with another.
 *
 * One discovery at a time. A sync that is asked for while one is under way waits for that one and then runs once for
 * all who asked meanwhile: whoever asks after a deployment must not get the answer of a list that was read before it.
 *
 * The last good discovery of each is stored, only when it differs. It lets a server start while its source is
 * unreachable, and it tells the other instances: they hear of the document and apply it without asking AWS. Applying is
 * serialised whatever its cause, so two discoveries never mix. Servers with different scopes may share the store while
 * scopes are rolled out: none of them takes a queue away that only another one knows (`readings.ts`).
 *
 * @module
 */

import type { Log } from '../../log.ts';
import type { DiscoveredQueue, QueueDirectory } from '../../queue/directory.ts';
import { formatQueueArn, parseQueueArn, type QueueArn, queueKey } from '../../queue/names.ts';
import type { Documents, QueueKey, Signal } from '../../store/store.ts';
import type { Cancel, Time } from '../../time.ts';
import {
  type Discovery,
  DiscoveryError,
  type DiscoveryProgress,
  type DiscoverySource,
} from '../discovery/discovery.ts';
import { unsettledOf } from '../discovery/mapping-state.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import { createHolds, type OnHold } from './holds.ts';
import {
  createReading,
  createServedScopes,
  mergedDiscovery,
  type Reading,
  type SourceFailure,
  type SourceState,
} from './readings.ts';

export interface SynchroniserParts {
  /** At least one; the first names the server where there is no other. */
  readonly sources: readonly DiscoverySource[];
  readonly documents: Documents;
  /** Id of this server, as in the `instances` signal of the store. */
  readonly instance: string;
  readonly directory: QueueDirectory;
  /** Serves these mappings from now on, and no others. */
  readonly serve: (mappings: readonly Mapping[]) => ApplyDiff;
  readonly time: Time;
  readonly log: Log;
  /** For the audit trail: told of each queue that a sync puts on hold, or whose hold it ends. */
  readonly onHold?: OnHold;
}

/**
 * What serving other mappings changed (`Supervisor.apply`). Each mapping that was given stands in exactly one of the
 * lists, or is counted as unchanged.
 */
export interface ApplyDiff {
  readonly added: readonly Mapping[];
  readonly changed: readonly Mapping[];
  /** No longer given, or left alone since. */
  readonly removed: readonly Mapping[];
  /** Given, but not to be served before somebody mends it. */
  readonly broken: readonly BrokenMapping[];
  /** Given, but not served by the operator's wish: a tag, or the name of its queue. */
  readonly leftAlone: readonly Mapping[];
  readonly unchanged: number;
  /** Every warning that holds for the mappings that are served now, one sentence each. */
  readonly warnings: readonly string[];
}

/** What is known about the syncs so far, for `/readyz` and the ops page. */
export interface SyncState {
  readonly source: string;
  /** Each source by itself, in order: one, or one for each scope of AWS. */
  readonly sources: readonly SourceState[];
  /** What is served now; absent: nothing was ever found. */
  readonly discovery?: Discovery;
  /** Wall clock, milliseconds since the epoch; absent: not since this process began. */
  readonly succeededAt?: number;
  /** What that sync changed; absent like `succeededAt`. */
  readonly report?: SyncReport;
  /** Why the last sync failed, of one source at least; absent: it did not. */
  readonly failure?: SourceFailure;
  readonly held: readonly QueueArn[];
  /** How far the discovery is that is under way; absent: none is. */
  readonly progress?: DiscoveryProgress;
}

export interface Synchroniser {
  /** Applies what was stored; answers whether there was anything. */
  restore(): Promise<boolean>;
  /**
   * `full`: read all details again. A source that fails is named in the report, and what it gave before is served on.
   * Errors, if every source fails: `DiscoveryError`, `StoreUnavailableError`.
   */
  sync(options?: { readonly full?: boolean }): Promise<SyncReport>;
  /** To be called with every signal of the store. */
  heard(signal: Signal): Promise<void>;
  state(): SyncState;
  /** What of the last result will not stay so (see `unsettledOf`); `undefined`: nothing. */
  unsettled(): string | undefined;
  /** Calls `listener` after every sync of this process that succeeded, until the returned function is called. */
  onSynced(listener: () => void): Cancel;
  /** Nothing is applied from now on: a discovery under way is given up when it is next heard of. */
  close(): void;
}

export function createSynchroniser(parts: SynchroniserParts): Synchroniser {
  const { documents, directory, serve, time, log } = parts;
  const readings = parts.sources.map((source) => createReading({ source, documents, time, log }));
  const description =
    readings.length === 1 ? (readings[0]?.source.description ?? '') : `${readings.length} scopes of AWS`;
  const scopes = createServedScopes(
    documents,
    parts.instance,
    readings.map(({ source }) => source.description),
  );
  const holds = createHolds(directory, documents, parts.onHold);
  /** All that was found, as one. */
  let found: Discovery | undefined;
  let held: readonly QueueArn[] = [];
  let succeededAt: number | undefined;
  let lastReport: SyncReport | undefined;
  let closed = false;
  const listeners = new Set<() => void>();

  let working: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = working.then(work, work);
    working = result;
    return result;
  };

  /**
   * Serves what these readings found, beside what the others have. Nothing is concluded about a region of which some
   * scope was never read, and while another server reads more than this one nothing about a queue that was never named
   * here: such queues stay as they are.
   */
  const apply = async (fresh: ReadonlyMap<Reading, Discovery>): Promise<ApplyDiff> => {
    const states = readings.map((reading) => {
      const discovery = fresh.get(reading) ?? reading.found;
      const { place } = reading.source;
      return { ...(place === undefined ? {} : { place }), ...(discovery === undefined ? {} : { discovery }) };
    });
    const all = mergedDiscovery(states);
    if (all === undefined) return NOTHING;
    const unread = new Set(states.flatMap(({ place, discovery }) => (discovery === undefined ? [place?.region] : [])));
    const named = (await scopes.areAll()) ? undefined : namedBy([...readings.map((reading) => reading.found), all]);
    const isRead = (arn: QueueArn): boolean => !unread.has(arn.region) && named?.has(queueKey(arn)) !== false;
    await directory.applyDiscovery(all.queues, isRead);
    // Before anything is served: a queue that AWS consumes must not be consumed here as well, not even for a moment.
    held = await holds.apply(all, isRead);
    const diff = serve(all.mappings);
    for (const [reading, discovery] of fresh) reading.found = discovery;
    found = all;
    return diff;
  };

  const discover = async (full: boolean): Promise<SyncReport> => {
    await scopes.announce();
    const diffs: ApplyDiff[] = [];
    let applying: Promise<unknown> = Promise.resolve();
    /** All are read at one time; what one gave is served as soon as it is there, one after the other. */
    const readAndApply = async (reading: Reading): Promise<void> => {
      try {
        const discovery = keepForeign(reading.found, await reading.read(full));
        const mine = applying.then(async () => {
          if (closed) throw new DiscoveryError('the server is stopping');
          diffs.push(await apply(new Map([[reading, discovery]])));
        });
        applying = mine.catch(() => undefined);
        await mine;
        reading.succeeded();
      } catch (error) {
        if (!closed) reading.failed(error);
        throw error;
      }
    };
    const outcomes = await Promise.allSettled(readings.map(readAndApply));
    const failures = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    if (found === undefined || diffs.length === 0) throw failures[0];
    const report = reportOf(description, found, mergedDiff(diffs), held, readings);
    succeededAt = time.now();
    lastReport = report;
    logReport(log, report);
    for (const listener of listeners) listener();
    const stored = await Promise.allSettled(readings.map((reading) => reading.store()));
    const unstored = stored.find((one) => one.status === 'rejected');
    if (unstored === undefined) return report;
    if (!closed) {
      log.error(
        { err: unstored.reason, source: description },
        'what was found is served, but could not be stored; other instances do not have it, and the next sync stores it',
      );
    }
    throw unstored.reason;
  };

  /** Takes over what the store has, of all readings or of one document; answers whether it has anything. */
  const load = async (only?: string): Promise<boolean> => {
    const wanted = readings.filter(({ document }) => only === undefined || document === only);
    const loaded = await Promise.all(wanted.map(async (reading) => [reading, await reading.load()] as const));
    const fresh = new Map(
      loaded.flatMap(([reading, discovery]): [Reading, Discovery][] =>
        discovery === undefined || discovery === 'same' ? [] : [[reading, discovery]],
      ),
    );
    const isAny = loaded.some(([, discovery]) => discovery !== undefined);
    if (fresh.size === 0) return isAny;
    const diff = await apply(fresh);
    if (found !== undefined) {
      log.info({ ...counts(reportOf(description, found, diff, held, [])) }, 'mappings taken from the store');
    }
    return isAny;
  };

  /** The store lost what it had: others that start meanwhile must find what is served. */
  const storeAgain = async (): Promise<void> => {
    await Promise.all(readings.map((reading) => reading.storeAgain()));
  };

  /** The run that has not begun, shared by all who ask before it does. */
  let next: { readonly promise: Promise<SyncReport>; full: boolean } | undefined;

  return {
    restore: () =>
      inTurn(async () => {
        await scopes.announce();
        return load();
      }),
    sync: (options = {}) => {
      if (next !== undefined) {
        next.full ||= options.full === true;
        return next.promise;
      }
      const begin = (): Promise<SyncReport> => {
        next = undefined;
        return discover(run.full);
      };
      const run = { promise: inTurn(begin), full: options.full === true };
      next = run;
      return run.promise;
    },
    heard: async (signal) => {
      scopes.heard(signal);
      if (signal.kind === 'emptied') await inTurn(storeAgain);
      if (signal.kind === 'gap') await inTurn(load);
      if (signal.kind === 'document' && readings.some(({ document }) => document === signal.name)) {
        await inTurn(() => load(signal.name));
      }
    },
    state: () => {
      const sources = readings.map((reading) => reading.state());
      const failure = sources.findLast((one) => one.failure !== undefined)?.failure;
      const progress = sources.find((one) => one.progress !== undefined)?.progress;
      return {
        source: description,
        sources,
        held,
        ...(found === undefined ? {} : { discovery: found }),
        ...(succeededAt === undefined ? {} : { succeededAt }),
        ...(lastReport === undefined ? {} : { report: lastReport }),
        ...(failure === undefined ? {} : { failure }),
        ...(progress === undefined ? {} : { progress }),
      };
    },
    unsettled: () => {
      const texts = readings.map(({ source, state }): readonly string[] => {
        const { discovery, failure } = state();
        // Of a failure no more than that: AWS puts ids of requests into its words, and what changes is looked at soon.
        const failed = failure === undefined || readings.length === 1 ? [] : [`${source.description} failed`];
        return [
          ...failed,
          ...[discovery === undefined ? undefined : unsettledOf(discovery)].flatMap((text) => text ?? []),
        ];
      });
      const all = texts.flat();
      return all.length === 0 ? undefined : all.join('\n');
    },
    onSynced: (listener) => {
      const own = (): void => listener();
      listeners.add(own);
      return () => {
        listeners.delete(own);
      };
    },
    close: () => {
      closed = true;
    },
  };
}

/** Keys of all queues in these discoveries. */
function namedBy(discoveries: readonly (Discovery | undefined)[]): ReadonlySet<QueueKey> {
  return new Set(discoveries.flatMap((one) => one?.queues ?? []).map(({ arn }) => queueKey(arn)));
}

/** What several steps of one sync changed together. */
function mergedDiff(diffs: readonly ApplyDiff[]): ApplyDiff {
  const last = diffs.at(-1);
  const [first] = diffs;
  if (first === undefined || last === undefined || diffs.length === 1) return first ?? NOTHING;
  const distinct = (all: readonly Mapping[]): readonly Mapping[] => [
    ...new Map(all.map((mapping) => [mapping.uuid, mapping])).values(),
  ];
  const added = distinct(diffs.flatMap((diff) => diff.added));
  const isAdded = new Set(added.map(({ uuid }) => uuid));
  const changed = distinct(diffs.flatMap((diff) => diff.changed)).filter(({ uuid }) => !isAdded.has(uuid));
  const served = last.added.length + last.changed.length + last.unchanged;
  return {
    ...last,
    added,
    changed,
    removed: distinct(diffs.flatMap((diff) => diff.removed)),
    unchanged: Math.max(0, served - added.length - changed.length),
  };
}

const NOTHING: ApplyDiff = {
  added: [],
  changed: [],
  removed: [],
  broken: [],
  leftAlone: [],
  unchanged: 0,
  warnings: [],
};

function counts(report: SyncReport) {
  const { added, changed, removed, broken, leftAlone, unchanged, held } = report;
  return {
    source: report.source,
    added: added.length,
    changed: changed.length,
    removed: removed.length,
    broken: broken.length,
    leftAlone: leftAlone.length,
    unchanged,
    held: held.length,
  };
}

function logReport(log: Log, report: SyncReport): void {
  log.info(counts(report), 'synced');
  for (const mapping of report.broken) log.warn(mapping, 'a mapping cannot be served');
  for (const queueArn of report.held)
    log.warn({ queueArn }, 'a queue is on hold: AWS consumes it, because a mapping of it is not disabled');
  for (const [queueArn, messages] of Object.entries(report.waitingInSqs)) {
    log.warn(
      { queueArn, messages },
      'messages wait in the real queue, where nobody takes them; karin pull brings them here',
    );
  }
  for (const problem of report.problems) log.warn({ problem }, 'discovery');
}

/*
 * Queues whose mapping was enabled, or is being changed: Karin does not consume them now, but callers may still send to
 * them here.
 */

/**
 * `after`, with queues of `before` whose mapping AWS consumes by now, or nobody for a moment. Callers still send to
 * them, and what they hold must not be lost, so they exist until their mapping is gone or disabled again.
 */
function keepForeign(before: Discovery | undefined, after: Discovery): Discovery {
  const known = new Set(after.queues.map((queue) => queueKey(queue.arn)));
  const listed = [...after.foreign, ...(after.settling ?? [])];
  const sources = listed.map((mapping) => queueKey(mapping.queueArn)).filter((key) => !known.has(key));
  const kept = withTargets(before?.queues ?? [], sources).filter((queue) => !known.has(queueKey(queue.arn)));
  return kept.length === 0 ? after : { ...after, queues: [...after.queues, ...kept] };
}

/** The queues with these keys and their redrive targets, transitively. */
function withTargets(queues: readonly DiscoveredQueue[], keys: readonly QueueKey[]): readonly DiscoveredQueue[] {
  const byKey = new Map(queues.map((queue) => [queueKey(queue.arn), queue]));
  const wanted = new Set<DiscoveredQueue>();
  const open = [...keys];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const queue = byKey.get(key);
    if (queue === undefined || wanted.has(queue)) continue;
    wanted.add(queue);
    const target = parseQueueArn(queue.attributes.redrivePolicy?.deadLetterTargetArn ?? '');
    if (target !== undefined) open.push(queueKey(target));
  }
  return queues.filter((queue) => wanted.has(queue));
}

/*
 * What a sync changed, for `POST /sync`, the command line, the ops page and the log.
 */

/** One mapping in a report. */
export interface ReportedMapping {
  /** UUID of the event source mapping. */
  readonly mapping: string;
  readonly queueArn: string;
  readonly functionArn: string;
}

/** The answer of `POST /sync`. */
export interface SyncReport {
  /** Which source was read, for example `AWS (us-east-1)`. */
  readonly source: string;
  readonly added: readonly ReportedMapping[];
  readonly changed: readonly ReportedMapping[];
  readonly removed: readonly ReportedMapping[];
  /** Disabled mappings that cannot be served, and why. */
  readonly broken: readonly (ReportedMapping & { readonly reason: string })[];
  /** Not served by the operator's wish: a tag of the mapping, or the name of its queue. */
  readonly leftAlone: readonly ReportedMapping[];
  /** How many mappings are served as before. */
  readonly unchanged: number;
  /** ARNs of queues on hold, because a mapping of theirs is not disabled: AWS itself consumes them. */
  readonly held: readonly string[];
  /** Messages that still sit in the real queue, by queue ARN; only those with at least one. */
  readonly waitingInSqs: Readonly<Record<string, number>>;
  /** Other things the operator should know. */
  readonly problems: readonly string[];
  /** Of mappings that are served, though likely not as somebody meant it. */
  readonly warnings: readonly string[];
  /** Scopes of AWS that could not be read, and why; what was found there before is served on. Absent: none. */
  readonly failed?: readonly FailedSource[];
}

interface FailedSource {
  /** For example `AWS (111122223333, eu-west-1)`. */
  readonly source: string;
  readonly reason: string;
}

/** `diff`: what the consumer made of the discovery; `held`: the queues that were put on hold. */
function reportOf(
  source: string,
  discovery: Discovery,
  diff: ApplyDiff,
  held: readonly QueueArn[],
  readings: readonly Reading[],
): SyncReport {
  const failed = readings
    .map((reading) => reading.state())
    .flatMap(({ source: name, failure }) => (failure === undefined ? [] : [{ source: name, reason: failure.message }]));
  return {
    ...(failed.length === 0 ? {} : { failed }),
    source,
    added: diff.added.map(reported),
    changed: diff.changed.map(reported),
    removed: diff.removed.map(reported),
    broken: [...discovery.broken, ...diff.broken].map((mapping) => ({ ...reported(mapping), reason: mapping.reason })),
    leftAlone: diff.leftAlone.map(reported),
    unchanged: diff.unchanged,
    held: held.map(formatQueueArn),
    waitingInSqs: Object.fromEntries(Object.entries(discovery.waitingInSqs).filter(([, count]) => count > 0)),
    problems: (discovery.problems ?? []).map((problem) => problem.text),
    warnings: diff.warnings,
  };
}

/** What a reader may know who reaches only some queues: nothing of others, and no text that may name them. */
export function reportFor(report: SyncReport, reaches: (queue: QueueArn) => boolean): SyncReport {
  const isReached = (text: string): boolean => {
    const arn = parseQueueArn(text);
    return arn !== undefined && reaches(arn);
  };
  const only = <T extends ReportedMapping>(mappings: readonly T[]): readonly T[] =>
    mappings.filter(({ queueArn }) => isReached(queueArn));
  return {
    source: 'the source of mappings',
    added: only(report.added),
    changed: only(report.changed),
    removed: only(report.removed),
    broken: only(report.broken),
    leftAlone: only(report.leftAlone),
    unchanged: 0,
    held: report.held.filter(isReached),
    waitingInSqs: Object.fromEntries(Object.entries(report.waitingInSqs).filter(([arn]) => isReached(arn))),
    problems: [],
    warnings: [],
  };
}

function reported(mapping: Pick<Mapping, 'uuid' | 'queueArn' | 'functionArn'>): ReportedMapping {
  return { mapping: mapping.uuid, queueArn: formatQueueArn(mapping.queueArn), functionArn: mapping.functionArn };
}
