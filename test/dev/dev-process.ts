/**
 * `karin dev` as a child process, from the sources, as `npm run dev` starts it.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export interface DevProcess {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  /** Everything it printed so far. */
  readonly lines: readonly string[];
  /** Resolves with the first line, printed already or yet to come, that matches; of those after `after` lines. */
  line(pattern: RegExp, after?: number): Promise<string>;
  /** Ctrl-C, and waits for the end; resolves with the exit status. */
  stop(): Promise<number | null>;
  /** As `kill -9`, and waits for the end. */
  kill(): Promise<void>;
}

/**
 * Starts it for a project, on a free port; resolves when it says that it is ready, rejects with its output if it ends
 * before.
 */
export async function startDevProcess(
  project: string,
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<DevProcess> {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(ROOT, 'runtime', 'cli', 'karin.ts'), 'dev', '--project', project, ...args],
    { cwd: ROOT, env: { PATH, HOME, PORT: '0', ...environment }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const killWithUs = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', killWithUs);
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      for (const listener of listeners) listener();
    });
  }
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (status) => {
      process.removeListener('exit', killWithUs);
      resolve(status);
      for (const listener of listeners) listener();
    });
  });
  const line = (pattern: RegExp, after = 0): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = lines.slice(after).find((text) => pattern.test(text));
        if (found !== undefined) resolve(found);
        else if (child.exitCode !== null) reject(new Error(`karin dev ended:\n${lines.join('\n')}`));
        else return;
        listeners.delete(look);
      };
      listeners.add(look);
      look();
    });
  const ready = await line(/^karin ready http/);
  return {
    url: ready.replace('karin ready ', ''),
    lines,
    line,
    stop: () => {
      child.kill('SIGINT');
      return ended;
    },
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
