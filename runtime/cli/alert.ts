/**
 * `karin alert test`: sends a test alert to every target of `KARIN_ALERTS`, from this machine.
 *
 * @module
 */
import { type AlertMessage, readAlertTargets } from '../ops/alert-targets.ts';
import { ConfigError, EnvironmentReader } from '../settings.ts';
import { systemTime } from '../time.ts';
import { type CliContext, CliError } from './context.ts';

/**
 * Prints a line for each target; gives whether all took it. Errors: `ConfigError` (a target cannot be read), `CliError`
 * (there is none).
 */
export async function testAlerts({ env, out }: CliContext): Promise<boolean> {
  const reader = new EnvironmentReader(env);
  const { targets, problems } = readAlertTargets(reader.secretList('KARIN_ALERTS'), systemTime);
  if (reader.problems.length + problems.length > 0) throw new ConfigError([...reader.problems, ...problems]);
  if (targets.length === 0) {
    throw new CliError('KARIN_ALERTS names no target; it must be set here as it is for the server');
  }
  const server = reader.text('KARIN_PUBLIC_URL') ?? 'karin alert test';
  const at = new Date(systemTime.now()).toISOString();
  const message: AlertMessage = { kind: 'test', at, server, began: [], resolved: [], leftOut: 0 };
  const { signal } = new AbortController();
  const results = await Promise.all(
    targets.map(async ({ name, send }) => {
      try {
        await send(message, signal);
        return { name, said: 'sent' };
      } catch (error) {
        return { name, said: `not sent: ${error instanceof Error ? error.message : error}` };
      }
    }),
  );
  out(results.map(({ name, said }) => `${name}  ${said}\n`).join(''));
  return results.every(({ said }) => said === 'sent');
}
