/**
 * Runs the commands with which a project makes its template.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { type AddressInfo, createServer } from 'node:net';
import { endTree } from './platform.ts';

interface CommandOptions {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

interface CommandResult {
  readonly succeeded: boolean;
  /** Standard output and standard error, as they came. */
  readonly output: string;
}

/** Runs a shell command to its end. */
export type CommandRunner = (command: string, options: CommandOptions) => Promise<CommandResult>;

/** What is kept of the output, characters: the end, where errors stand. */
const KEPT_OUTPUT = 100_000;

/**
 * The runner of a process. `signal`, and the end of this process, end what is under way, with everything that it
 * started.
 */
export function createCommandRunner(signal: AbortSignal): CommandRunner {
  return (command, { cwd, environment }) =>
    new Promise((resolve) => {
      let output = '';
      const child = spawn(command, {
        cwd,
        env: { ...environment },
        shell: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        // A process group of its own: ending the shell alone would leave its programs behind.
        detached: process.platform !== 'win32',
        windowsHide: true,
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8');
        stream.on('data', (text: string) => {
          output = (output + text).slice(-KEPT_OUTPUT);
        });
      }
      const end = (): void => endTree(child);
      const finish = (result: CommandResult): void => {
        signal.removeEventListener('abort', end);
        process.off('exit', end);
        resolve(result);
      };
      signal.addEventListener('abort', end);
      process.once('exit', end);
      child.on('error', (error) => finish({ succeeded: false, output: `${output}${error.message}` }));
      child.on('close', (code) => finish({ succeeded: code === 0, output }));
    });
}

/*
 * Finds out whether a port can be had before anything else is done, because the address of the server stands in the
 * environment of functions.
 */

/**
 * The port that can be listened on: `port` itself, or a free one for 0. Errors: those of listening (`EADDRINUSE`,
 * `EACCES`, `EADDRNOTAVAIL`).
 */
export async function availablePort(host: string, port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // Listening on a TCP port: the address is never the name of a pipe.
  const { port: found } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return found;
}
