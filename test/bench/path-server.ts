/**
 * A server from its sources that counts which of its own functions run, for the figures of `path`.
 *
 * Run as a process of its own with an IPC channel: `reset` forgets what ran so far, `take` answers what ran since. V8
 * counts exactly (precise coverage), calls inside one turn of the event loop and across turns alike; a function that
 * runs ten times counts once.
 */
import { Session } from 'node:inspector/promises';
import { createLog } from '../../runtime/log.ts';
import { startKarin } from '../../runtime/main.ts';
import { readConfig } from '../../runtime/settings.ts';

/** What ran: each function as `<file>:<name>:<offset>`. */
export interface Executed {
  readonly functions: readonly string[];
}

const session = new Session();
session.connect();
await session.post('Profiler.enable');
await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });

const karin = await startKarin(readConfig(process.env, 'start'), { log: createLog({ level: 'error' }) });

process.on('message', async () => {
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const functions = result.flatMap(({ url, functions: found }) => {
    const file = /\/(runtime\/(?!node_modules).*\.tsx?)$/.exec(url)?.[1];
    if (file === undefined) return [];
    return (
      found
        // `__name` is put in by the compiler of the sources, not by Karin.
        .filter(({ functionName, ranges }) => (ranges[0]?.count ?? 0) > 0 && functionName !== '__name')
        .map(({ functionName, ranges }) => `${file}:${functionName}:${ranges[0]?.startOffset ?? 0}`)
    );
  });
  process.send?.({ functions } satisfies Executed);
});
process.once('SIGTERM', () => {
  session.disconnect();
  void karin.stop().then(() => process.exit(0));
});
console.log(`karin ready ${karin.url}`);
