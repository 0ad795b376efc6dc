/**
 * `karin start`: the server, until a signal ends it.
 *
 * @module
 */
import { ConfigError, readConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { type Karin, startKarin } from '../main.ts';
import type { CliContext } from './context.ts';

/** Starts the server and arranges for its end. The process lives on as long as the server does. Errors: those of `readConfig` and `startKarin`. */
export async function start({ env }: CliContext): Promise<Karin> {
  const config = readConfig(env, 'start');
  const log = createLog({ level: config.logLevel });
  const karin = await startKarin(config, { log });
  onSignals(karin);
  // The address stands in the text: scripts wait for these words, whatever the format of the log.
  log.info({ region: config.region }, `karin ready ${karin.url}`);
  return karin;
}

/** SIGTERM and SIGINT stop it gracefully, a second one at once; SIGHUP reads the files of keys and tokens again. */
export function onSignals(karin: Karin): void {
  const { log } = karin;
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) {
      log.warn({ signal }, 'stopping at once; messages that functions have now come again when their leases end');
      process.exit(1);
    }
    stopping = true;
    log.info({ signal, graceSeconds: karin.config.stopGraceSeconds }, 'stopping');
    karin.stop().then(
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
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', () => {
    try {
      karin.reloadCredentials();
      log.info('keys and tokens were read again');
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log.error({ problems: error.problems }, 'keys and tokens stay as they were');
    }
  });
}
