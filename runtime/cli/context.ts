/**
 * What a command needs of the world, handed down so that tests can watch it.
 *
 * @module
 */

import { constants } from 'node:os';
import type { Log } from '../log.ts';
import type { Karin } from '../main.ts';
import { ConfigError, type Environment } from '../settings.ts';

export interface CliContext {
  readonly env: Environment;
  /** Standard output. */
  readonly out: (text: string) => void;
  /** Resolves when standard output takes more; absent: it always does. */
  readonly drained?: () => Promise<void>;
  /** Standard error. */
  readonly err: (text: string) => void;
  /** Whether the output may have colours; default: not. */
  readonly colours?: boolean;
  /** Asks the person at the terminal; absent: nobody sits there. */
  readonly ask?: (question: string) => Promise<boolean>;
  /** Aborted: what goes on without an end is to end. */
  readonly signal?: AbortSignal;
}

/** Exit statuses of the commands that talk to a server. */
export const STATUS = { failed: 1, usage: 2, notFound: 3, refused: 4, unreachable: 5 } as const;

/** A mistake of the user or a refusal of a server; its message is shown as it is, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  /** Exit status of the command. */
  readonly status: number;

  constructor(message: string, status: number = STATUS.failed) {
    super(message);
    this.status = status;
  }
}

/** Goes on if `yes` was said, or the person says it. Errors: `CliError` (no; nobody to ask). */
export async function confirmed({ ask }: CliContext, question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (ask === undefined) throw new CliError(`${question} Say so with --yes.`, STATUS.usage);
  if (!(await ask(question))) throw new CliError('nothing was done', STATUS.refused);
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

/*
 * From signals to an orderly end.
 */

/**
 * From the first line of a command on: as process 1, as in a container, a signal that nobody listens to is lost, and
 * `docker stop` waits its whole grace. Nothing is begun yet, so the process ends at once, with the status that shells
 * give to a signal, until `onStopSignals` takes over.
 */
export function endOnSignals(signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT']): void {
  for (const signal of signals) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}

/**
 * These signals, by default SIGTERM and SIGINT, stop gracefully and end the process with status 0; a second one ends it
 * at once with status 1. Whoever listened to them before does so no longer.
 */
export function onStopSignals(
  running: { readonly stop: () => Promise<void>; readonly log: Log },
  signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT'],
): void {
  const { log } = running;
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      log.warn({ signal }, 'stopping at once; messages that functions have now come again when their leases end');
      process.exit(1);
    }
    stopping = true;
    log.info({ signal }, 'stopping');
    running.stop().then(
      () => {
        log.info('stopped');
        process.exit(0);
      },
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  };
  for (const signal of signals) {
    process.removeAllListeners(signal);
    process.on(signal, stop);
  }
}

/** SIGHUP reads the files of keys and tokens again. */
export function onReloadSignal({ log, reloadCredentials }: Pick<Karin, 'log' | 'reloadCredentials'>): void {
  process.on('SIGHUP', () => {
    try {
      reloadCredentials();
      log.info('keys and tokens were read again');
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log.error({ problems: error.problems }, 'keys and tokens stay as they were');
    }
  });
}
