/**
 * `karin start`: the server, until a signal ends it.
 *
 * @module
 */

import { type DevOptions, startDev } from '../dev/dev.ts';
import { credentialProblems } from '../http/auth/credentials.ts';
import { createLog } from '../log.ts';
import { startKarin } from '../main.ts';
import { createIdleMemory, giveMemoryBack } from '../ops/idle-memory.ts';
import { readConfig } from '../settings.ts';
import { systemTime } from '../time.ts';
import { type CliContext, endOnSignals, onReloadSignal, onStopSignals } from './context.ts';

/** Starts the server. The process lives on as long as it does; a signal during the start gives it up in order. Errors: those of `readConfig` and `startKarin`. */
export async function start({ env }: CliContext): Promise<void> {
  const config = readConfig(env, 'start', credentialProblems);
  const log = createLog({ level: config.logLevel });
  const given = new AbortController();
  const starting = startKarin(config, { log, signal: given.signal });
  const stop = async (): Promise<void> => {
    given.abort(new Error('the start was given up'));
    // A start that is given up takes down what it built, and rejects.
    const karin = await starting.catch((error: unknown) => {
      if (error !== given.signal.reason) throw error;
    });
    await karin?.stop();
  };
  onStopSignals({ log, stop });
  const karin = await starting.catch((error: unknown) => {
    if (!given.signal.aborted) throw error;
  });
  // The signal ends the process.
  if (karin === undefined || given.signal.aborted) return;
  onReloadSignal(karin);
  karin.events.subscribe(createIdleMemory(systemTime, giveMemoryBack).happened);
  // The address stands in the text: scripts wait for these words, whatever the format of the log.
  log.info({ region: config.region }, `karin ready ${karin.url}`);
}

/*
 * `karin dev`: the project in a folder, until Ctrl-C.
 */

/** The last: its terminal was closed. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Starts it. The process lives on as long as it does. Errors: those of `startDev`. */
export async function dev(options: DevOptions): Promise<void> {
  // The SDK warns of Node versions that its later releases will not support; the one that is used here supports this one.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // Before it is ready there is nothing to finish; but commands of the project end with this process only if it exits.
  endOnSignals(STOP_SIGNALS);
  const running = await startDev(options);
  onStopSignals({ stop: () => running.stop(), log: running.karin.log }, STOP_SIGNALS);
}
