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

/** Runs a program to its end and answers the JSON document that is the last line of its output. */
export async function runProgram(
  { file, parameters }: Command,
  environment: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const child = spawn(file, parameters, { env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  const complaints: string[] = [];
  child.stdout.on('data', (chunk) => output.push(String(chunk)));
  child.stderr.on('data', (chunk) => complaints.push(String(chunk)));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const last = output.join('').trim().split('\n').at(-1) ?? '';
  if (code !== 0) throw new Error(`${file} ended with ${code}:\n${output.join('')}${complaints.join('')}`);
  return JSON.parse(last);
}
