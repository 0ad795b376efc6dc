/**
 * The synchroniser: asks the source of mappings what is there, and makes the server fit, as a difference.
 *
 * One discovery at a time. A sync that is asked for while one is under way waits for that one and then runs once for
 * all who asked meanwhile: whoever asks after a deployment must not get the answer of a list that was read before it.
 *
 * The last good discovery is stored, only when it differs. It lets a server start while its source is unreachable, and
 * it tells the other instances: they hear of the document and apply it without asking AWS. Applying is serialised
 * whatever its cause, so two discoveries never mix.
 *
 * @module
 */

import { createHash } from 'node:crypto';
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
  readDiscovery,
} from '../discovery/discovery.ts';
import { unsettledOf } from '../discovery/mapping-state.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import { stableJson } from '../mapping.ts';
import { createHolds, type OnHold } from './holds.ts';

const DOCUMENT = 'discovery';
/** Details are read once a day all the same: a queue or an alias can change, and no list tells. */
const DETAILS_MS = 86_400_000;
/** Between two lines of the log about one discovery. */
const PROGRESS_MS = 5_000;

export interface SynchroniserParts {
  readonly source: DiscoverySource;
  readonly documents: Documents;
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
  /** What is served now; absent: nothing was ever found. */
  readonly discovery?: Discovery;
  /** Wall clock, milliseconds since the epoch; absent: not since this process began. */
  readonly succeededAt?: number;
  /** What that sync changed; absent like `succeededAt`. */
  readonly report?: SyncReport;
  /** Why the last sync failed; absent: it did not. */
  readonly failure?: { readonly message: string; readonly at: number };
  readonly held: readonly QueueArn[];
  /** How far the discovery is that is under way; absent: none is. */
  readonly progress?: DiscoveryProgress;
}

export interface Synchroniser {
  /** Applies what was stored; answers whether there was anything. */
  restore(): Promise<boolean>;
  /**
   * `full`: read all details again. Errors: `DiscoveryError`, `StoreUnavailableError`; what was served before is served
   * on.
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
  const { source, documents, directory, serve, time, log } = parts;
  const holds = createHolds(directory, documents, parts.onHold);
  let found: Discovery | undefined;
  /** Of the document as last read or written. The text itself is large: a kilobyte for each mapping. */
  let storedDigest: string | undefined;
  let held: readonly QueueArn[] = [];
  let succeededAt: number | undefined;
  let lastReport: SyncReport | undefined;
  let failure: SyncState['failure'];
  let progress: DiscoveryProgress | undefined;
  let closed = false;
  const listeners = new Set<() => void>();

  let working: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const result = working.then(work, work);
    working = result;
    return result;
  };

  const apply = async (discovery: Discovery): Promise<SyncReport> => {
    await directory.applyDiscovery(discovery.queues);
    // Before anything is served: a queue that AWS consumes must not be consumed here as well, not even for a moment.
    held = await holds.apply(discovery);
    const diff = serve(discovery.mappings);
    found = discovery;
    return reportOf(source.description, discovery, diff, held);
  };

  const discover = async (full: boolean): Promise<SyncReport> => {
    let applied = false;
    const overdue = found !== undefined && time.now() - found.detailsReadAt >= DETAILS_MS;
    try {
      const discovery = keepForeign(found, await source.discover(found, full || overdue, progressLog()));
      if (closed) throw new DiscoveryError('the server is stopping');
      const report = await apply(discovery);
      succeededAt = time.now();
      lastReport = report;
      failure = undefined;
      logReport(log, report);
      for (const listener of listeners) listener();
      applied = true;
      const text = stableJson(discovery);
      const digest = digestOf(text);
      if (digest !== storedDigest) {
        await documents.put(DOCUMENT, text);
        storedDigest = digest;
      }
      return report;
    } catch (error) {
      if (closed) throw error;
      if (applied) {
        log.error(
          { err: error, source: source.description },
          'what was found is served, but could not be stored; other instances do not have it, and the next sync stores it',
        );
        throw error;
      }
      failure = { message: messageOf(error), at: time.now() };
      log.error({ err: error, source: source.description }, 'sync failed; what was found last is served on');
      throw error;
    } finally {
      progress = undefined;
    }
  };

  /**
   * Keeps the progress of one discovery, and says it now and then: a long one must not look like a server that hangs.
   */
  const progressLog = (): ((now: DiscoveryProgress) => void) => {
    let saidAt = time.monotonic();
    return (now) => {
      progress = now;
      if (time.monotonic() - saidAt < PROGRESS_MS) return;
      saidAt = time.monotonic();
      log.info({ source: source.description, ...now }, 'discovery is under way');
    };
  };

  const load = async (): Promise<boolean> => {
    const text = await documents.get(DOCUMENT);
    if (text === undefined) return false;
    const digest = digestOf(text);
    if (digest === storedDigest) return true;
    let discovery: Discovery;
    try {
      discovery = readDiscovery(text);
    } catch (error) {
      log.warn({ err: error }, 'the stored result of an earlier discovery cannot be read; the source is asked anew');
      return false;
    }
    storedDigest = digest;
    const report = await apply(discovery);
    log.info({ ...counts(report) }, 'mappings taken from the store');
    return true;
  };

  /** The store lost what it had: others that start meanwhile must find what is served. */
  const storeAgain = async (): Promise<void> => {
    if (found !== undefined) await documents.put(DOCUMENT, stableJson(found), null);
  };

  /** The run that has not begun, shared by all who ask before it does. */
  let next: { readonly promise: Promise<SyncReport>; full: boolean } | undefined;

  return {
    restore: () => inTurn(load),
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
      if (signal.kind === 'emptied') await inTurn(storeAgain);
      if (signal.kind === 'gap' || (signal.kind === 'document' && signal.name === DOCUMENT)) await inTurn(load);
    },
    state: () => ({
      source: source.description,
      held,
      ...(found === undefined ? {} : { discovery: found }),
      ...(succeededAt === undefined ? {} : { succeededAt }),
      ...(lastReport === undefined ? {} : { report: lastReport }),
      ...(failure === undefined ? {} : { failure }),
      ...(progress === undefined ? {} : { progress }),
    }),
    unsettled: () => (found === undefined ? undefined : unsettledOf(found)),
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

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

function messageOf(error: unknown): string {
  // Other errors may carry addresses or worse; their text stays in the log.
  return error instanceof DiscoveryError ? error.message : 'an unexpected error; see the log';
}

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
}

/** `diff`: what the consumer made of the discovery; `held`: the queues that were put on hold. */
function reportOf(source: string, discovery: Discovery, diff: ApplyDiff, held: readonly QueueArn[]): SyncReport {
  return {
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
export function reportFor(report: SyncReport, reaches: (queueName: string) => boolean): SyncReport {
  const isReached = (arn: string): boolean => reaches(arn.slice(arn.lastIndexOf(':') + 1));
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
