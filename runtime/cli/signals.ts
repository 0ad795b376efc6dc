/**
 * From signals to an orderly end.
 *
 * @module
 */
import { constants } from 'node:os';
import { ConfigError } from '../config.ts';
import type { Log } from '../log.ts';
import type { Karin } from '../main.ts';

/**
 * From the first line of a command on: as process 1, as in a container, a signal that nobody listens to is lost, and `docker stop` waits its whole grace. Nothing is
 * begun yet, so the process ends at once, with the status that shells give to a signal, until `onStopSignals` takes over.
 */
export function endOnSignals(signals: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGINT']): void {
  for (const signal of signals) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}

/**
 * These signals, by default SIGTERM and SIGINT, stop gracefully and end the process with status 0; a second one ends it at once with status 1.
 * Whoever listened to them before does so no longer.
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
