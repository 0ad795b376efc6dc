/**
 * Two versions of the server on one Redis, as they are during a rolling deploy: `npm run test:versions -- <commit>`.
 *
 * The version of the commit and that of the working tree each run as a process, found by discovery and fed over HTTP;
 * every half minute one of them is stopped as a deploy stops it, and started again as the other version, so that each
 * reads the records, the documents and the receipt handles of the other. Messages are sent to a standard and to a FIFO
 * queue, with and without a delay; one function call in twenty (two thousand of the
 * FIFO queue) fails. In the end each message that was accepted must
 * have been handled, those of a message group first in the order in which they were sent, and neither version may have
 * logged more errors than the failures that were asked for explain.
 *
 * `KARIN_SECONDS`: how long messages are sent; default 600. Exit status 1 if anything of this does not hold.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { ACCOUNT, type InvokeEvent, startAwsEndpoint } from '../support/aws-endpoint.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const SECONDS = Number(process.env['KARIN_SECONDS'] ?? 600);
const ROLL_EVERY_MS = 30_000;
const SENDERS = 8;
const GROUPS = 5;
const FAILS_ONE_IN = 20;
/** A failure keeps its message group for the visibility timeout, so fewer fail there. */
const FAILS_ONE_IN_FIFO = 2_000;
const TOKEN = 'two-versions-two-versions-two-versions';
const QUEUES = ['plain', 'ordered.fifo'] as const;
/**
 * After the last send: the longest delay, and a visibility timeout for what was on its way in a server that stopped.
 */
const DRAIN_MS = 120_000;

type Version = 'old' | 'new';

const commit = process.argv[2];
if (commit === undefined) {
  console.error('usage: npm run test:versions -- <commit of the old version>');
  process.exit(2);
}

const logLine = z.looseObject({ level: z.union([z.string(), z.number()]), msg: z.string().optional() });

class Ledger {
  /** Bodies that were answered with 200, and the moment. */
  readonly accepted = new Set<string>();
  readonly handled = new Map<string, number>();
  /** By message group: the numbers in the order in which they were first handled. */
  readonly orders = new Map<string, number[]>();
  refused = 0;
  failures = 0;
  invokes = 0;

  async invoked({ Records }: InvokeEvent): Promise<void> {
    this.invokes += 1;
    await pause(2 + Math.random() * 20);
    const isOrdered = Records[0]?.attributes['MessageGroupId'] !== undefined;
    if (Math.random() * (isOrdered ? FAILS_ONE_IN_FIFO : FAILS_ONE_IN) < 1) {
      this.failures += 1;
      throw new Error('the handler of this test fails now and then');
    }
    for (const { body, attributes } of Records) {
      const times = (this.handled.get(body) ?? 0) + 1;
      this.handled.set(body, times);
      const group = attributes['MessageGroupId'];
      if (group === undefined || times > 1) continue;
      const order = this.orders.get(group) ?? [];
      order.push(Number(body.split(' ').at(-1)));
      this.orders.set(group, order);
    }
  }

  get missing(): readonly string[] {
    return [...this.accepted].filter((body) => !this.handled.has(body));
  }
}

const ledger = new Ledger();
const tree = mkdtempSync(join(tmpdir(), 'karin-old-'));
execFileSync('git', ['worktree', 'add', '--quiet', '--detach', '--force', tree, commit]);
for (const folder of ['node_modules', 'runtime/node_modules']) symlinkSync(resolve(folder), join(tree, folder));
const homes: Readonly<Record<Version, string>> = { old: tree, new: process.cwd() };
const redis = await RedisServer.start({ appendOnly: true });
const aws = await startAwsEndpoint([...QUEUES]);
aws.onInvoke = (event) => ledger.invoked(event);
const errors = new Map<string, number>();
const versions: [Version, Version] = ['old', 'new'];

async function start(version: Version): Promise<RunningServer> {
  return startServerProcess(
    { REDIS_URL: redis.url, KARIN_TOKENS: `${TOKEN}:send+consume+manage`, ...aws.environment },
    [],
    homes[version],
  );
}

/** Stops a server as a deploy does, and keeps what it complained of. */
async function end(server: RunningServer, version: Version): Promise<void> {
  const status = await server.stop();
  if (status !== 0) count(`${version}: ended with status ${status}`);
  for (const line of server.said) {
    const parsed = line.startsWith('{') ? logLine.safeParse(JSON.parse(line)) : undefined;
    if (parsed?.success !== true) continue;
    const { level, msg } = parsed.data;
    if (level === 'error' || (typeof level === 'number' && level >= 50)) count(`${version}: ${msg}`);
  }
}

function count(what: string): void {
  errors.set(what, (errors.get(what) ?? 0) + 1);
}

const servers: [RunningServer, RunningServer] = [await start('old'), await start('new')];
const until = Date.now() + SECONDS * 1_000;

/** One sender of one queue: sends the next message when the last was answered, to either server. */
async function send(sender: number): Promise<void> {
  const queue = QUEUES[sender % QUEUES.length] ?? 'plain';
  const fifo = queue.endsWith('.fifo');
  for (let number = 0; Date.now() < until; number += 1) {
    const body = `${queue} ${sender} ${number}`;
    const input = {
      QueueUrl: `http://karin/${ACCOUNT}/${queue}`,
      MessageBody: body,
      ...(fifo ? { MessageGroupId: `${sender}-${number % GROUPS}` } : { DelaySeconds: number % 3 === 0 ? 2 : 0 }),
    };
    // As an SDK does: the same message again until it is accepted, by one server or the other.
    for (let attempt = number; !(await accepted(servers[attempt % 2], input)); attempt += 1) {
      ledger.refused += 1;
      await pause(50);
    }
    ledger.accepted.add(body);
    await pause(10);
  }
}

async function accepted(server: RunningServer | undefined, input: object): Promise<boolean> {
  try {
    const response = await fetch(`${server?.url}/k/${TOKEN}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' },
      body: JSON.stringify(input),
    });
    await response.text();
    return response.status === 200;
  } catch {
    return false;
  }
}

/** Replaces one server after the other by one of the other version, as long as messages are sent. */
async function roll(): Promise<void> {
  for (let turn = 0; Date.now() + ROLL_EVERY_MS < until; turn += 1) {
    await pause(ROLL_EVERY_MS);
    const at = turn % 2 === 0 ? 0 : 1;
    const next: Version = versions[at] === 'old' ? 'new' : 'old';
    await end(servers[at], versions[at]);
    versions[at] = next;
    servers[at] = await start(next);
    console.log(
      `${Math.round((until - Date.now()) / 1_000)} s left: ${versions.join(' and ')}; accepted ${ledger.accepted.size}, handled ${ledger.handled.size}`,
    );
  }
}

await Promise.all([roll(), ...Array.from({ length: SENDERS }, (_, sender) => send(sender))]);
const drained = Date.now() + DRAIN_MS;
while (ledger.missing.length > 0 && Date.now() < drained) await pause(200);
await Promise.all(servers.map((server, at) => end(server, versions[at] ?? 'new')));
await aws.close();
await redis.stop();
execFileSync('git', ['worktree', 'remove', '--force', tree]);
rmSync(tree, { recursive: true, force: true });

const disordered = [...ledger.orders].filter(([, order]) => order.some((number, at) => number < (order[at - 1] ?? 0)));
const again = [...ledger.handled.values()].filter((times) => times > 1).length;
console.log(`accepted      ${ledger.accepted.size}`);
console.log(`lost          ${ledger.missing.length} ${ledger.missing.slice(0, 5).join(', ')}`);
console.log(`handled twice ${again}`);
console.log(`out of order  ${disordered.length} of ${ledger.orders.size} message groups`);
console.log(`refused sends ${ledger.refused}, each sent again`);
console.log(`invokes       ${ledger.invokes}, of which ${ledger.failures} failed as asked`);
for (const [what, times] of errors) console.log(`error         ${times} x ${what}`);
const logged = [...errors.values()].reduce((sum, times) => sum + times, 0);
if (ledger.missing.length > 0 || disordered.length > 0 || logged > ledger.failures) process.exit(1);
