/**
 * `karin start`: the server, until a signal ends it.
 *
 * @module
 */
import { createLog } from '../log.ts';
import { startKarin } from '../main.ts';
import { createIdleMemory, giveMemoryBack } from '../ops/idle-memory.ts';
import { configProblems } from '../server/parts.ts';
import { readConfig } from '../settings.ts';
import { systemTime } from '../time.ts';
import { type CliContext, onReloadSignal, onStopSignals } from './context.ts';

/**
 * Starts the server. The process lives on as long as it does; a signal during the start gives it up in order. Errors:
 * those of `readConfig` and `startKarin`.
 */
export async function start({ env }: CliContext): Promise<void> {
  const config = readConfig(env, 'start', configProblems);
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
