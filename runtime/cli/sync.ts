/**
 * `karin sync`: asks a running server to read its source of mappings again.
 *
 * @module
 */
import type { SyncReport } from '../aws/sync/synchroniser.ts';
import type { CliContext } from './context.ts';
import { callServer, type ServerOptions } from './server-client.ts';

/** Answers whether all mappings can be served. Errors: `CliError`. */
export async function sync(
  options: ServerOptions & { readonly json?: boolean },
  context: CliContext,
): Promise<boolean> {
  // The answer of `POST /sync` of a server of this version.
  const report = (await callServer(context, options, { method: 'POST', path: '/sync' })) as SyncReport;
  context.out(options.json === true ? `${JSON.stringify(report, undefined, 2)}\n` : `${describeSync(report)}\n`);
  return report.broken.length === 0;
}

/** The report for people. */
function describeSync(report: SyncReport): string {
  const lines = (mark: string, mappings: SyncReport['added']) =>
    mappings.map(({ queueArn, functionArn }) => `${mark} ${queueName(queueArn)} -> ${functionName(functionArn)}`);
  const waiting = Object.entries(report.waitingInSqs).map(
    ([arn, count]) => `! ${queueName(arn)}: ${count} messages wait in the real queue; karin pull brings them here`,
  );
  return [
    `${report.source}: ${report.added.length} added, ${report.changed.length} changed, ${report.removed.length} removed, ${report.unchanged} unchanged, ${report.broken.length} broken`,
    ...lines('+', report.added),
    ...lines('~', report.changed),
    ...lines('-', report.removed),
    ...lines('o left alone:', report.leftAlone),
    ...report.broken.map((m) => `x ${queueName(m.queueArn)} -> ${functionName(m.functionArn)}: ${m.reason}`),
    ...report.held.map(
      (arn) => `! ${queueName(arn)} is on hold: AWS consumes it, because a mapping of it is not disabled`,
    ),
    ...waiting,
    ...[...report.problems, ...report.warnings].map((text) => `! ${text}`),
  ].join('\n');
}

function queueName(arn: string): string {
  return arn.split(':').at(-1) ?? arn;
}

function functionName(arn: string): string {
  return arn.split(':').slice(6).join(':') || arn;
}
