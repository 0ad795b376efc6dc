/**
 * `karin start` as a child process, from the sources.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface RunningServer {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly pid: number;
  /** Everything it printed so far. */
  readonly said: readonly string[];
  /**
   * Resolves with the first line, past or to come, that matches; `from`: how many past lines not to look at, default 0.
   */
  saying(pattern: RegExp, from?: number): Promise<string>;
  /** Sends any other signal. */
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and waits for the end; gives the exit status, `null` if a signal ended it. */
  stop(): Promise<number | null>;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<number | null>;
}

/**
 * Starts the server on a free port with this environment and nothing else; resolves when it says that it is ready.
 * `through`: a command that runs it as its only child, such as `unshare`; signals go to the server itself. `folder`:
 * the repository to run it from, default: this one. `script`: the command of Karin, default: its sources.
 */
export async function startServerProcess(
  env: Readonly<Record<string, string>>,
  through: readonly string[] = [],
  folder: string = process.cwd(),
  script: readonly string[] = ['--import', 'tsx', 'runtime/cli/karin.ts'],
): Promise<RunningServer> {
  const [command = '', ...args] = [...through, process.execPath, ...script, 'start'];
  const child = spawn(command, args, {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', HOST: '127.0.0.1', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const killWithUs = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killWithUs);
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (status) => {
      process.removeListener('exit', killWithUs);
      resolve(status);
    }),
  );
  const said: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        for (const listener of [...listeners]) listener(line);
        const ready = /karin ready (http:\/\/[^"\s]+)/.exec(line)?.[1];
        if (ready !== undefined) resolve(ready);
      });
    }
    child.once('close', (status) =>
      reject(new Error(`karin start ended with status ${status}:\n${said.slice(-40).join('\n')}`)),
    );
  });
  const started = child.pid ?? 0;
  const pid =
    through.length === 0 ? started : Number(readFileSync(`/proc/${started}/task/${started}/children`, 'utf8').trim());
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const saying = (pattern: RegExp, from = 0): Promise<string> => {
    const past = said.slice(from).find((line) => pattern.test(line));
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      const listener = (line: string): void => {
        if (!pattern.test(line)) return;
        listeners.delete(listener);
        resolve(line);
      };
      listeners.add(listener);
    });
  };
  return {
    url,
    pid,
    said,
    saying,
    signal: (signal) => void process.kill(pid, signal),
    stop: () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(pid, 'SIGTERM');
      return ended;
    },
    kill: () => {
      if (child.exitCode === null && child.signalCode === null) process.kill(pid, 'SIGKILL');
      // What it leaves behind, such as its Redis, may hold its output open.
      return exited;
    },
  };
}
