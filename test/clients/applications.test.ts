/**
 * Applications that know nothing but SQS, unchanged against the server: each sends, fails, retries and finishes.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import { CLIENTS, program, pythonProgram } from './support/paths.ts';
import { runProgram, startProgram } from './support/run-program.ts';
import { ACCOUNT, type ClientServer, clientEnvironment, REGION, startServer } from './support/server.ts';

let server: ClientServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

const arn = (name: string) => ({ partition: 'aws', region: REGION, account: ACCOUNT, name });

/** Messages of every state. */
async function messagesIn(name: string): Promise<number> {
  const queue = server.karin.directory.byKey(queueKey(arn(name)));
  if (queue === undefined) throw new Error(`queue ${name} does not exist`);
  const { visible, delayed, inFlight } = await queue.depth();
  return visible + delayed + inFlight;
}

describe('Celery, through the SQS transport of kombu', () => {
  it('runs tasks, reports failures, retries, and leaves nothing behind', async () => {
    const results = await mkdtemp(join(tmpdir(), 'karin-celery-'));
    const environment = clientEnvironment({
      ENDPOINT: server.url,
      NAME: 'celery',
      RESULTS: results,
      PYTHONPATH: join(CLIENTS, 'programs'),
    });
    const worker = startProgram(
      {
        file: pythonProgram('celery', 'celery'),
        parameters: ['--app', 'celery_app', 'worker', '--pool', 'solo', '--without-gossip', '--without-mingle'],
      },
      environment,
    );
    try {
      const client = { file: pythonProgram('celery', 'python'), parameters: [program('celery_client.py')] };
      expect(await Promise.race([runProgram(client, environment), worker.failed])).toEqual({
        add: { state: 'SUCCESS', result: 5 },
        fail: { state: 'FAILURE', result: 'as asked' },
        fail_first: { state: 'SUCCESS', result: 'succeeded after 2 retries' },
        delayed: { state: 'SUCCESS', result: 2 },
      });
    } finally {
      await worker.stop();
      await rm(results, { recursive: true, force: true });
    }
    expect(await messagesIn('celery')).toBe(0);
  });
});

describe('sqs-consumer', () => {
  it('handles messages, gets failed ones again, and leaves a poison message to the dead-letter queue', async () => {
    const { directory } = server.karin;
    await directory.create(arn('poisoned'), DEFAULT_ATTRIBUTES, {});
    const deadLetterTargetArn = `arn:aws:sqs:${REGION}:${ACCOUNT}:poisoned`;
    const redrivePolicy = { deadLetterTargetArn, maxReceiveCount: 2 };
    await directory.create(arn('consumed'), { ...DEFAULT_ATTRIBUTES, redrivePolicy }, {});
    const seen = await runProgram(
      { file: process.execPath, parameters: [program('sqs-consumer.mjs')] },
      clientEnvironment({
        ENDPOINT: server.url,
        QUEUE_URL: `${server.url}/${ACCOUNT}/consumed`,
        DEAD_LETTER_URL: `${server.url}/${ACCOUNT}/poisoned`,
      }),
    );
    expect(seen).toEqual({
      attempts: { good: 1, flaky: 2, poison: 2 },
      errors: [
        'Unexpected message handler failure: flaky fails',
        'Unexpected message handler failure: poison fails',
        'Unexpected message handler failure: poison fails',
      ],
    });
    expect(await messagesIn('consumed')).toBe(0);
    expect(await messagesIn('poisoned')).toBe(1);
  });
});
