/**
 * `karin dev`: the project in a folder, until Ctrl-C.
 *
 * @module
 */
import { type DevOptions, startDev } from '../dev/dev.ts';
import { endOnSignals, onStopSignals } from './context.ts';

/** The last: its terminal was closed. */
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Starts it. The process lives on as long as it does. Errors: those of `startDev`. */
export async function dev(options: DevOptions): Promise<void> {
  // The SDK warns of Node versions that its later releases will not support; the one that is used here supports this
  // one.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // Before it is ready there is nothing to finish; but commands of the project end with this process only if it exits.
  endOnSignals(STOP_SIGNALS);
  const running = await startDev(options);
  onStopSignals({ stop: () => running.stop(), log: running.karin.log }, STOP_SIGNALS);
}
