/**
 * What a command needs of the world, handed down so that tests can watch it.
 *
 * @module
 */
import type { Environment } from '../environment.ts';

export interface CliContext {
  readonly env: Environment;
  /** Standard output. */
  readonly out: (text: string) => void;
  /** Standard error. */
  readonly err: (text: string) => void;
}

/** A mistake of the user or a refusal of a server; its message is shown as it is, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
}

/** Columns of text, aligned; numbers are better right-aligned by the caller. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
