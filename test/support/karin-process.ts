/**
 * `karin start` as a child process, from the sources.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface RunningServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** Everything it printed so far. */
  readonly said: readonly string[];
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
}

/** Starts the server on a free port with this environment and nothing else; resolves when it says that it is ready. */
export async function startServerProcess(env: Readonly<Record<string, string>>): Promise<RunningServer> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'runtime/cli.ts', 'start'], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killWithUs = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killWithUs);
  const ended = new Promise<void>((resolve) =>
    child.once('close', () => {
      process.removeListener('exit', killWithUs);
      resolve();
    }),
  );
  const said: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        const ready = /karin ready (http:\/\/[^"\s]+)/.exec(line)?.[1];
        if (ready !== undefined) resolve(ready);
      });
    }
    child.once('close', (status) =>
      reject(new Error(`karin start ended with status ${status}:\n${said.slice(-40).join('\n')}`)),
    );
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  return { url, pid: child.pid ?? 0, said, stop: () => end('SIGTERM'), kill: () => end('SIGKILL') };
}
