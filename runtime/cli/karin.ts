#!/usr/bin/env node
/**
 * The command `karin`.
 *
 * @module
 */
import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { CommanderError } from 'commander';
import { DiscoveryError } from '../aws/discovery/discovery.ts';
import { ConfigError } from '../settings.ts';
import { StoreUnavailableError } from '../store/store.ts';
import { type CliContext, CliError, endOnSignals, STATUS } from './context.ts';
import { createProgram } from './program.ts';

endOnSignals();

// The SDK warns that its later releases need a newer Node. This release does not, and an operator cannot change it.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// Whoever reads the output has read enough (`| head`): nothing more is to be done, and nothing to be said.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(STATUS.failed);
  throw error;
});

const context: CliContext = {
  env: process.env,
  out: (text) => void process.stdout.write(text),
  drained: async () => {
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
  },
  err: (text) => void process.stderr.write(text),
  colours: process.stdout.isTTY === true && (process.env['NO_COLOR'] ?? '') === '',
  ...(process.stdin.isTTY === true && process.stderr.isTTY === true ? { ask } : {}),
};

/** Errors of parts that are loaded only by the commands that need them. */
const EXPECTED_NAMES: ReadonlySet<string> = new Set([
  'UnsuitableRedisError',
  'TransferError',
  'DevError',
  'ProjectError',
]);

try {
  await createProgram(context, (status) => {
    process.exitCode = status;
  }).parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** Shows what went wrong, to people; answers the exit status. */
function report(error: unknown): number {
  // Commander has already written its message, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : STATUS.usage;
  if (isExpected(error)) {
    context.err(`karin: ${error.message}\n`);
    return error instanceof CliError ? error.status : STATUS.failed;
  }
  context.err(`karin failed unexpectedly:\n${error instanceof Error ? error.stack : error}\n`);
  return 70;
}

/** Whether the message says it all. */
function isExpected(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  const known = [CliError, ConfigError, DiscoveryError, StoreUnavailableError];
  return known.some((kind) => error instanceof kind) || isOfSystem(error) || EXPECTED_NAMES.has(error.name);
}

/**
 * What the operating system or the network refused, such as a file that is not there. Errors of Node itself have a
 * code, too; they come from mistakes in Karin.
 */
function isOfSystem(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && 'syscall' in error && 'errno' in error;
}
