import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sqsCall } from '../http/running-karin.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';

/**
 * A world of process numbers of its own, as a container has it; where that is not permitted the pid file is made
 * useless instead.
 */
const UNSHARE = ['unshare', '--pid', '--fork', '--kill-child'];
const unshares = spawnSync('unshare', ['--pid', '--fork', 'true']).status === 0;

let folder: string;
const running: RunningServer[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'karin-folder-'));
});
afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<RunningServer> {
  if (!unshares) rmSync(join(folder, 'redis.pid'), { force: true });
  const env = {
    KARIN_EMBEDDED_REDIS: '1',
    KARIN_DATA_DIR: folder,
    KARIN_DISCOVERY: 'none',
    AWS_REGION: 'eu-west-1',
  };
  const server = await startServerProcess(env, unshares ? UNSHARE : []);
  running.push(server);
  return server;
}

const queueUrl = (server: RunningServer): string => `${server.url}/000000000000/jobs`;

async function send(server: RunningServer, bodies: readonly string[]): Promise<void> {
  for (const MessageBody of bodies) {
    expect((await sqsCall(server.url, 'SendMessage', { QueueUrl: queueUrl(server), MessageBody })).status).toBe(200);
  }
}

/** Receives until there is nothing more. */
async function bodies(server: RunningServer): Promise<readonly string[]> {
  const found: string[] = [];
  for (;;) {
    const answer = await sqsCall(server.url, 'ReceiveMessage', { QueueUrl: queueUrl(server), MaxNumberOfMessages: 10 });
    // The form of the answer is that of SQS; the assertions show what it holds.
    const { Messages = [] } = (await answer.json()) as { readonly Messages?: readonly { readonly Body: string }[] };
    if (Messages.length === 0) return found.sort();
    found.push(...Messages.map(({ Body }) => Body));
  }
}

const numbered = (count: number, from = 0) => Array.from({ length: count }, (_, index) => `m${100 + from + index}`);

// Each starts up to three servers one after another.
describe('one folder and two servers in containers of their own', { timeout: 120_000 }, () => {
  it('is served by the first; the second refuses, says who has it, and nothing is lost', async () => {
    const first = await start();
    await sqsCall(first.url, 'CreateQueue', { QueueName: 'jobs' });
    await send(first, numbered(20));
    await expect(start()).rejects.toThrow(
      /another server owns this folder: process \d+ on host .*One server per folder/,
    );
    await send(first, numbered(20, 20));
    await first.stop();
    expect(await bodies(await start())).toEqual(numbered(40));
  });

  it('goes to the next one after kill -9, with every message', async () => {
    const first = await start();
    await sqsCall(first.url, 'CreateQueue', { QueueName: 'jobs' });
    await send(first, numbered(20));
    await first.kill();
    running.length = 0;
    expect(await bodies(await start())).toEqual(numbered(20));
  });
});

describe('a Redis that outlived its server', { timeout: 120_000 }, () => {
  it('is asked to end by the next server, from another world of process numbers, before that touches the file', async () => {
    const first = await startServerProcess({
      KARIN_EMBEDDED_REDIS: '1',
      KARIN_DATA_DIR: folder,
      KARIN_DISCOVERY: 'none',
      AWS_REGION: 'eu-west-1',
    });
    await sqsCall(first.url, 'CreateQueue', { QueueName: 'jobs' });
    await send(first, numbered(20));
    await first.kill();
    const second = await start();
    expect(second.said.join('\n')).toContain('the embedded Redis of an earlier process still runs; it is ended first');
    expect(await bodies(second)).toEqual(numbered(20));
  });
});
