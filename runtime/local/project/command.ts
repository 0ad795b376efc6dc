/**
 * Runs the commands with which a project makes its template.
 *
 * @module
 */
import { spawn } from 'node:child_process';

export interface CommandOptions {
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export interface CommandResult {
  readonly succeeded: boolean;
  /** Standard output and standard error, as they came. */
  readonly output: string;
}

/** Runs a shell command to its end. */
export type CommandRunner = (command: string, options: CommandOptions) => Promise<CommandResult>;

/** What is kept of the output, characters: the end, where errors stand. */
const KEPT_OUTPUT = 100_000;

/** The runner of a process; `signal` ends what is under way. */
export function createCommandRunner(signal: AbortSignal): CommandRunner {
  return (command, { cwd, environment }) =>
    new Promise((resolve) => {
      let output = '';
      const child = spawn(command, {
        cwd,
        env: { ...environment },
        shell: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        signal,
      });
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8');
        stream.on('data', (text: string) => {
          output = (output + text).slice(-KEPT_OUTPUT);
        });
      }
      child.on('error', (error) => resolve({ succeeded: false, output: `${output}${error.message}` }));
      child.on('close', (code) => resolve({ succeeded: code === 0, output }));
    });
}
