/**
 * Runs a command of `karin` in the process of the test.
 *
 * @module
 */
import { CommanderError } from 'commander';
import type { CliContext } from '../../runtime/cli/context.ts';
import { createProgram } from '../../runtime/cli/program.ts';

export interface CliRun {
  readonly out: string;
  readonly err: string;
  readonly status: number;
}

/** Errors: those of the command, except commander's own. */
export async function runCli(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliRun> {
  let out = '';
  let err = '';
  let status = 0;
  const context: CliContext = {
    env,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
  };
  const program = createProgram(context, (finished) => {
    status = finished;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    status = error.exitCode;
  }
  return { out, err, status };
}
