/**
 * Runs client programs as processes of their own.
 *
 * @module
 */
import { spawn } from 'node:child_process';

export interface Command {
  readonly file: string;
  readonly parameters: readonly string[];
}

/** A program that runs until it is stopped. */
export interface RunningProgram {
  /** Rejects when the program ends before it was stopped, with what it said. */
  readonly failed: Promise<never>;
  /** Asks it to end and waits until it did. */
  stop(): Promise<void>;
}

/** Runs a program to its end and answers the JSON document that is the last line of its output. */
export async function runProgram(
  command: Command,
  environment: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const { output, ended } = spawnProgram(command, environment);
  const code = await ended;
  if (code !== 0) throw new Error(`${command.file} ended with ${code}:\n${output.all.join('')}`);
  return JSON.parse(output.standard.join('').trim().split('\n').at(-1) ?? '');
}

export function startProgram(command: Command, environment: Readonly<Record<string, string>>): RunningProgram {
  const { child, output, ended } = spawnProgram(command, environment);
  let stopping = false;
  const failed = new Promise<never>((_, reject) => {
    const end = (code: number | null): void => {
      if (!stopping) reject(new Error(`${command.file} ended with ${code}:\n${output.all.join('')}`));
    };
    ended.then(end, reject);
  });
  // Whoever waits for the program hears of it; if nobody does, the test fails by what did not happen.
  failed.catch(() => {});
  return {
    failed,
    async stop() {
      stopping = true;
      child.kill('SIGTERM');
      await ended;
    },
  };
}

function spawnProgram({ file, parameters }: Command, environment: Readonly<Record<string, string>>) {
  const child = spawn(file, parameters, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { standard: [] as string[], all: [] as string[] };
  child.stdout.on('data', (chunk) => {
    output.standard.push(String(chunk));
    output.all.push(String(chunk));
  });
  child.stderr.on('data', (chunk) => output.all.push(String(chunk)));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { child, output, ended };
}
