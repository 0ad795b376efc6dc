/**
 * Transfers between a real Redis and something that speaks SQS, by processes that are killed at random moments, until
 * one of them ends by itself.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { QueueArn } from '../../../runtime/queue/names.ts';

export interface TransferOrder {
  readonly direction: 'drain' | 'pull';
  readonly redisUrl: string;
  readonly endpoint: string;
  readonly arn: QueueArn;
  /** How long what a killed process had in its hands stays hidden, seconds. */
  readonly hiddenSeconds: number;
}

/** Runs the transfer to its end, with so many kills on the way; answers how many processes were really killed. */
export async function transferWithKills(order: TransferOrder, kills: number): Promise<number> {
  let killed = 0;
  for (let run = 0; run < kills; run += 1) {
    // Somewhere within the first batches: the line says that one was finished, the kill meets whatever comes next.
    if (!(await runOnce(order, 1 + Math.floor(Math.random() * 4)))) killed += 1;
    else return killed;
  }
  await runOnce(order, undefined);
  return killed;
}

/** Whether it ended by itself. `killAtLine`: which of its lines is its last. */
function runOnce(order: TransferOrder, killAtLine: number | undefined): Promise<boolean> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', 'test/transfer/support/transfer-process.ts', JSON.stringify(order)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const killWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', killWithUs);
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
  let lines = 0;
  createInterface({ input: child.stdout }).on('line', () => {
    lines += 1;
    if (lines === killAtLine) child.kill('SIGKILL');
  });
  return new Promise((resolve, reject) => {
    child.once('close', (status, signal) => {
      process.removeListener('exit', killWithUs);
      if (signal === 'SIGKILL') resolve(false);
      else if (status === 0) resolve(true);
      else reject(new Error(`the transfer ended with status ${status}:\n${complaints.slice(-20).join('\n')}`));
    });
  });
}
