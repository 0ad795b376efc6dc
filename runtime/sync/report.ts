/**
 * What a sync changed, for `POST /sync`, the command line, the ops page and the log.
 *
 * @module
 */
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
  /** How many mappings are served as before. */
  readonly unchanged: number;
  /** ARNs of queues on hold, because a mapping of theirs is not disabled: AWS itself consumes them. */
  readonly held: readonly string[];
  /** Messages that still sit in the real queue, by queue ARN; only those with at least one. */
  readonly waitingInSqs: Readonly<Record<string, number>>;
  /** Other things the operator should know. */
  readonly problems: readonly string[];
}

/** The difference between two discoveries; `before` absent: everything is new. */
export function reportOf(
  source: string,
  before: Discovery | undefined,
  after: Discovery,
  held: readonly QueueArn[],
): SyncReport {
  const old = new Map((before?.mappings ?? []).map((mapping) => [mapping.uuid, mapping]));
  const present = new Set(after.mappings.map((mapping) => mapping.uuid));
  const added = after.mappings.filter((mapping) => !old.has(mapping.uuid));
  const changed = after.mappings.filter((mapping) => {
    const previous = old.get(mapping.uuid);
    return previous !== undefined && !servedAlike(previous, mapping);
  });
  return {
    source,
    added: added.map(reported),
    changed: changed.map(reported),
    removed: [...old.values()].filter((mapping) => !present.has(mapping.uuid)).map(reported),
    broken: after.broken.map((mapping) => ({ ...reported(mapping), reason: mapping.reason })),
    unchanged: after.mappings.length - added.length - changed.length,
    held: held.map(formatQueueArn),
    waitingInSqs: Object.fromEntries(Object.entries(after.waitingInSqs).filter(([, count]) => count > 0)),
    problems: (after.problems ?? []).map((problem) => problem.text),
  };
}

function reported(mapping: Pick<Mapping, 'uuid' | 'queueArn' | 'functionArn'>): ReportedMapping {
  return { mapping: mapping.uuid, queueArn: formatQueueArn(mapping.queueArn), functionArn: mapping.functionArn };
}

/** Whether nothing changed that a consumer would notice; AWS touches `LastModified` for other reasons too. */
function servedAlike(a: Mapping, b: Mapping): boolean {
  const { lastModified: _a, ...old } = a;
  const { lastModified: _b, ...now } = b;
  return stableJson(old) === stableJson(now);
}

/** JSON with members in order of their names, at every depth. */
export function stableJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}
