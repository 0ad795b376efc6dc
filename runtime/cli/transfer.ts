/**
 * `karin drain` and `karin pull`: have a running server move messages, and show how it goes.
 *
 * @module
 */
import type { TransferLine } from '../http/transfers-route.ts';
import { type CliContext, CliError, confirmed } from './context.ts';
import { linesOf, requestServer, type ServerOptions } from './server-client.ts';

export interface TransferOptions extends ServerOptions {
  readonly waitForDelayed?: boolean;
  /** Does not ask. */
  readonly yes?: boolean;
  readonly json?: boolean;
}

/** Errors: `CliError`, if the server refused or the transfer failed. */
export async function transfer(
  kind: 'drain' | 'pull',
  queue: string,
  options: TransferOptions,
  context: CliContext,
): Promise<void> {
  const body = { queue, waitForDelayed: options.waitForDelayed === true };
  if (kind === 'drain' && context.ask !== undefined) {
    const question = `Move what ${queue} holds to SQS, and set its mode to forward, so that all sends go there, too?`;
    await confirmed(context, question, options.yes === true);
  }
  const response = await requestServer(context, options, { method: 'POST', path: `/${kind}`, body });
  let last: TransferLine | undefined;
  for await (const text of linesOf(response)) {
    // A line of a server of this version.
    last = JSON.parse(text) as TransferLine;
    if (last.kind !== 'failed') context.out(options.json === true ? `${text}\n` : `${describe(last)}\n`);
  }
  if (last?.kind === 'failed') throw new CliError(last.error);
  if (last?.kind !== 'result') throw new CliError(`the server ended the ${kind} early; run it again to go on`);
}

function describe(line: TransferLine): string {
  switch (line.kind) {
    case 'mode-changed':
      return `mode ${line.from} -> ${line.to}`;
    case 'moved':
      return `${line.count} moved to SQS`;
    case 'pulled':
      return `${line.count} brought here`;
    case 'waiting':
      return `waiting: ${line.visible} visible, ${line.delayed} delayed, ${line.inFlight} in flight`;
    case 'retrying':
      return `${line.reason}; again in ${Math.ceil(line.inMs / 1000)} s`;
    case 'refused':
      return `message ${line.messageId} stays here: ${line.reason}`;
    case 'result':
      return `done: ${JSON.stringify(line.result)}`;
    case 'failed':
      return `failed: ${line.error}`;
  }
}
