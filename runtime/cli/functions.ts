/**
 * `karin functions` and `karin log-tails`: the page of functions as commands.
 *
 * @module
 */
import * as z from 'zod/mini';
import { type CliContext, table } from './context.ts';
import { callServer, type ServerOptions } from './server-client.ts';

interface JsonOption extends ServerOptions {
  readonly json?: boolean;
}

// Of a server of this version.
const shown = z.object({
  name: z.string(),
  queues: z.array(z.string()),
  check: z.optional(z.object({ may: z.boolean(), why: z.optional(z.string()) })),
  logsUntil: z.optional(z.string()),
});
const answer = z.object({ functions: z.array(shown) });

/** Answers whether none of the functions is known to be out of reach. Errors: `CliError`. */
export async function functions(
  options: JsonOption & { readonly check?: boolean },
  context: CliContext,
): Promise<boolean> {
  const value = await callServer(
    context,
    options,
    options.check === true
      ? { method: 'POST', path: '/api/v1/functions/check' }
      : { method: 'GET', path: '/api/v1/functions' },
  );
  const found = answer.parse(value).functions;
  if (options.json === true) context.out(`${JSON.stringify(value)}\n`);
  else if (found.length === 0) context.out('no queue invokes a function\n');
  else {
    const rows = found.map(({ name, queues, check, logsUntil }) => [
      name,
      queues.join(', '),
      check === undefined ? 'not checked' : check.may ? 'may be invoked' : `WRONG: ${check.why ?? ''}`,
      logsUntil === undefined ? '-' : `kept until ${logsUntil}`,
    ]);
    context.out(`${table([['function', 'queues', 'permission', 'log'], ...rows])}\n`);
  }
  return found.every(({ check }) => check?.may !== false);
}

/** Errors: `CliError`. */
export async function keepLogs(name: string, options: JsonOption, context: CliContext): Promise<void> {
  const path = `/api/v1/functions/${encodeURIComponent(name)}/log-tails`;
  const value = await callServer(context, options, { method: 'POST', path });
  if (options.json === true) return context.out(`${JSON.stringify(value)}\n`);
  const { logsUntil } = shown.parse(value);
  context.out(`the log of ${name} is kept with each failure until ${logsUntil}; karin peek shows it\n`);
}
