/**
 * What a sync changed, for `POST /sync`, the command line, the ops page and the log.
 *
 * @module
 */
import type { ApplyDiff } from '../consumer/supervisor.ts';
import type { Discovery } from '../lambda/discovery/source.ts';
import type { Mapping } from '../lambda/mapping.ts';
import { formatQueueArn, type QueueArn } from '../queue/arn.ts';

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
export function reportOf(source: string, discovery: Discovery, diff: ApplyDiff, held: readonly QueueArn[]): SyncReport {
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
