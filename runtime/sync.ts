/**
 * The synchroniser: asks the source of mappings what is there, and makes the server fit, as a difference.
 *
 * @module
 */

/** One mapping in a report, with the names an operator knows. */
export interface SyncedMapping {
  readonly uuid: string;
  readonly queueArn: string;
  readonly functionArn: string;
}

/** What a sync changed; the answer of `POST /sync`. */
export interface SyncReport {
  readonly source: string;
  readonly added: readonly SyncedMapping[];
  readonly changed: readonly SyncedMapping[];
  readonly removed: readonly SyncedMapping[];
  /** Disabled mappings that cannot be served, and why. */
  readonly broken: readonly (SyncedMapping & { readonly reason: string })[];
  /** How many mappings are served as before. */
  readonly unchanged: number;
  /** Queues on hold, because AWS itself consumes them: a mapping of theirs is not disabled. */
  readonly held: readonly string[];
  /** Messages that still sit in the real queue, by queue ARN; only those with at least one. */
  readonly waitingInSqs: Readonly<Record<string, number>>;
}
