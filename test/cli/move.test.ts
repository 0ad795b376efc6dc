/**
 * `karin export` and `karin import`: everything comes back from a file into an empty Redis, once, in order and when it
 * is due. `KARIN_TEST_SIZE=full` moves 10,000 messages.
 */
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { InvokeRequest } from '../../runtime/aws/invoke.ts';
import { importFile } from '../../runtime/cli/move.ts';
import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../runtime/queue/definition.ts';
import { newMessageId, type OutgoingMessage } from '../../runtime/queue/message.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';
import { arnOf, discoveryOf, keyOf, mappingOf, ScriptedSource } from '../sync/discoveries.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const MESSAGES = process.env['KARIN_TEST_SIZE'] === 'full' ? 10_000 : 600;
const SETTINGS = {
  KARIN_ADMIN_PASSWORD: PASSWORD,
  KARIN_DISCOVERY: 'none',
  AWS_REGION: 'eu-west-1',
  KARIN_ACCOUNT_ID: '111122223333',
};
const ENV = { KARIN_ADMIN_PASSWORD: PASSWORD };

let folder: string;
let redis: RedisServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'karin-move-'));
  redis = await RedisServer.start();
});
afterAll(async () => {
  await redis.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => redis.ask((client) => client.flushall()));

async function serverOn(url: string) {
  const karin = await runKarin({ ...SETTINGS, REDIS_URL: url });
  const run = (...args: readonly string[]) => runCli(args, { ...ENV, KARIN_URL: karin.url });
  return { karin, run };
}

async function queueIn(karin: RunningKarin, name: string, attributes: Partial<QueueAttributes> = {}): Promise<Queue> {
  const arn = arnOf(name);
  return (await karin.directory.create(arn, { ...DEFAULT_ATTRIBUTES, ...attributes }, { team: 'a' }, 'maker')).queue;
}

function message(body: string, change: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: newMessageId(systemRandomness), body, attributes: {}, senderId: 'test', ...change };
}

/**
 * Lines of a file without the first, which names the export, and the last, which warns. Those of a standard queue that
 * are due in one millisecond have no order, and their places in the file go by it.
 */
async function contentOf(path: string): Promise<readonly string[]> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n').slice(1, -1);
  const [standard, others] = [true, false].map((isStandard) =>
    lines.filter((line) => line.includes(`"queue":"${keyOf('jobs')}"`) === isStandard),
  );
  const unplaced = (standard ?? []).map((line) => line.replace(/"n":\d+,/, ''));
  return [...unplaced.sort(), ...(others ?? [])];
}

const failure = { errorType: 'TypeError', message: 'x is not a function', functionArn: 'f', durationMs: 7, attempt: 1 };

/** A standard and a FIFO queue with messages in all states, `count` in each of them; another one is empty. */
async function fill(karin: RunningKarin, count: number): Promise<void> {
  const jobs = await queueIn(karin, 'jobs');
  const orders = await queueIn(karin, 'orders.fifo', { contentBasedDeduplication: true, visibilityTimeoutSeconds: 77 });
  await queueIn(karin, 'dead.fifo');
  const odd = { attributes: { n: { dataType: 'Number', stringValue: '5' } }, traceHeader: 'Root=1', groupId: 'fair' };
  const bytes = { attributes: { b: { dataType: 'Binary', binaryValue: Uint8Array.of(0, 255) } } };
  await jobs.send([
    message('tried'),
    message('lost'),
    message('odd \u0007 \ud83d\ude00 \ud800', odd),
    message('b', bytes),
  ]);
  const [tried, lost] = await jobs.receive({ maxMessages: 2, visibilityTimeoutMs: 3_600_000 });
  await jobs.keepFailures(new Map([[tried?.id ?? '', failure]]));
  await jobs.changeVisibility([{ receiptHandle: tried?.receiptHandle ?? '', timeoutMs: 0 }]);
  expect(lost?.receiveCount).toBe(1);
  const many = Array.from({ length: count }, (_, at) => at);
  await jobs.send(many.map((at) => message(`job ${at}`, at % 3 === 0 ? { delayMs: 600_000 + at * 1_000 } : {})));
  await orders.send(many.map((at) => message(`order ${at}`, { groupId: `g${at % 7}` })));
  await orders.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
  await karin.directory.setMode(jobs, 'hold');
  await karin.directory.setMode(orders, 'hold');
}

/** Everything that can be received now, in the order in which it is handed out, deleted. */
async function drained(karin: RunningKarin, name: string) {
  const queue = karin.directory.byKey(keyOf(name));
  const found: { body: string; receiveCount: number; groupId: string | undefined; sequence: string | undefined }[] = [];
  for (;;) {
    const received = (await queue?.receive({ maxMessages: 10 })) ?? [];
    if (received.length === 0) return found;
    for (const { body, receiveCount, groupId, sequenceNumber: sequence } of received) {
      found.push({ body, receiveCount, groupId, sequence });
    }
    await queue?.delete(received.map(({ receiptHandle }) => receiptHandle));
  }
}

describe('export and import', () => {
  it('bring everything back into an empty Redis, and what is received then is as it was', async () => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, MESSAGES / 2);
    await run('token', 'create', '--scope', 'send', '--queue', 'jobs');
    const file = join(folder, 'all.ndjson');
    const exported = await run('export', '--output', file);
    expect(exported.err).toMatch(
      new RegExp(`exported ${(MESSAGES + 4).toLocaleString('en-US')} messages of 3 queues to `),
    );
    expect(exported.err).toContain('warning: eu-west-1:111122223333:jobs: messages in flight: 1;');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const tokens = (await run('token', 'list')).out;
    await karin.stop();

    await redis.ask((client) => client.flushall());
    const fresh = await serverOn(redis.url);
    expect(fresh.karin.directory.all()).toEqual([]);
    const trial = await fresh.run('import', file, '--dry-run');
    expect(trial.out).toContain('of 3 queues would be imported; all of the queues are new');
    expect(fresh.karin.directory.all()).toEqual([]);
    const { out } = await fresh.run('import', file);
    expect(out.split('\n')).toEqual([
      `${(MESSAGES + 4).toLocaleString('en-US')} messages of 3 queues imported; all of the queues are new`,
      '1 token imported',
      `on hold in the file: ${keyOf('jobs')}, ${keyOf('orders.fifo')}; karin resume lets a queue go on`,
      '',
    ]);
    expect((await fresh.run('token', 'list')).out).toBe(tokens);
    const again = join(folder, 'again.ndjson');
    await fresh.run('export', '--output', again);
    expect(await contentOf(again)).toEqual(await contentOf(file));

    const jobs = await drained(fresh.karin, 'jobs');
    const undelayed = Array.from({ length: MESSAGES / 2 }, (_, at) => at).filter((at) => at % 3 !== 0);
    const counts = Object.fromEntries(jobs.map(({ body, receiveCount }) => [body, receiveCount]));
    expect(counts).toEqual({
      ...{ tried: 2, 'odd \u0007 \ud83d\ude00 \ud800': 1, b: 1 },
      ...Object.fromEntries(undelayed.map((at) => [`job ${at}`, 1])),
    });
    const orders = await drained(fresh.karin, 'orders.fifo');
    expect(orders).toHaveLength(MESSAGES / 2);
    for (let group = 0; group < 7; group += 1) {
      const inGroup = orders.filter(({ groupId }) => groupId === `g${group}`);
      const expected = Array.from({ length: MESSAGES / 2 }, (_, at) => at).filter((at) => at % 7 === group);
      expect(inGroup.map(({ body }) => body)).toEqual(expected.map((at) => `order ${at}`));
    }
    expect(orders.find(({ body }) => body === 'order 0')).toMatchObject({
      receiveCount: 2,
      sequence: '00000000000000000001',
    });
    const next = await fresh.karin.directory.byKey(keyOf('orders.fifo'))?.send([message('new', { groupId: 'g0' })]);
    expect(Number(next?.[0]?.sequenceNumber)).toBe(MESSAGES / 2 + 1);
  });

  it('import nothing twice, whether it waits or was consumed by then, and go on where they stopped', async () => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, 30);
    const file = join(folder, 'twice.ndjson');
    await run('export', '--output', file);
    await karin.stop();
    await redis.ask((client) => client.flushall());
    const fresh = await serverOn(redis.url);
    // An import that stops after its first part, and a pipe that breaks in the middle of a line.
    const beginning = `${(await readFile(file, 'utf8')).split('\n').slice(0, 40).join('\n')}\n`;
    const headers = { authorization: `Bearer ${PASSWORD}` };
    const part = await fetch(`${fresh.karin.url}/api/v1/import`, { method: 'POST', headers, body: beginning });
    expect(await part.json()).toMatchObject({ messages: { imported: 36, earlier: 0, present: 0 } });
    const context = { env: { ...ENV, KARIN_URL: fresh.karin.url }, out: () => {}, err: () => {} };
    const piped = importFile('-', {}, context, chunksOf(Buffer.from(`${beginning}{"kind":"mess`)));
    await expect(piped).rejects.toThrow('line 41: it is not JSON; if it is the last one, the file is cut');
    const taken = await drained(fresh.karin, 'jobs');
    expect(taken).toHaveLength(23);
    const whole = await fresh.run('import', file);
    expect(whole.out).toMatch(
      /^28 messages of 3 queues imported; the server had these queues already\n36 messages imported from this file before\n/,
    );
    expect(await drained(fresh.karin, 'jobs')).toEqual([]);
    const second = await fresh.run('import', file);
    expect(second.out).toMatch(
      /^0 messages of 3 queues imported; the server had these queues already\n64 messages imported from this file before\n/,
    );
    expect(await drained(fresh.karin, 'jobs')).toEqual([]);
    // Another export of the same messages: those that wait are known by their ids.
    const other = join(folder, 'other.ndjson');
    await fresh.run('export', '--output', other);
    expect((await fresh.run('import', other)).out).toMatch(/^0 messages .*\n41 messages already there\n/);
  });

  it('move from one server to a cluster, and invoke the functions there in order, once the queues are resumed', async () => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, 30);
    const file = join(folder, 'cluster.ndjson');
    await run('export', '--output', file);
    const cluster = await startRedisCluster();
    try {
      const source = new ScriptedSource();
      source.found = discoveryOf([], { mappings: [mappingOf('jobs'), mappingOf('orders.fifo')], queues: [] });
      const bodies: string[] = [];
      const counts = new Map<string, string>();
      const invoker = {
        invoke: async ({ payload }: InvokeRequest) => {
          const event: { Records: { body: string; attributes: Record<string, string> }[] } = JSON.parse(
            Buffer.from(payload).toString(),
          );
          for (const { body, attributes } of event.Records) {
            bodies.push(body);
            counts.set(body, attributes['ApproximateReceiveCount'] ?? '');
          }
          return { kind: 'success', response: new Uint8Array() } as const;
        },
        probe: async () => ({ kind: 'reached' }) as const,
        close: () => {},
      };
      const { KARIN_DISCOVERY: _, ...settings } = SETTINGS;
      const there = await runKarin({ ...settings, REDIS_URL: cluster.urls.join(',') }, { source, invoker });
      const runThere = (...args: readonly string[]) => runCli(args, { ...ENV, KARIN_URL: there.url });
      await runThere('import', file);
      expect(bodies).toEqual([]);
      expect((await runThere('resume', '*')).out.split('\n')).toHaveLength(4);
      await expect.poll(() => bodies.length).toBe(53);
      expect(counts.get('tried')).toBe('2');
      for (let group = 0; group < 7; group += 1) {
        const ofGroup = bodies.filter((body) => body.startsWith('order') && Number(body.slice(6)) % 7 === group);
        expect(ofGroup.map((body) => Number(body.slice(6)))).toEqual(
          Array.from({ length: 30 }, (_, at) => at).filter((at) => at % 7 === group),
        );
      }
      await there.stop();
    } finally {
      await cluster.stop();
    }
  });

  it('deliver a message when its delay ends, wherever it waits by then', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    await jobs.send([message('soon', { delayMs: 1_500 })]);
    const { out } = await run('export');
    const dueAt = Date.parse(/"dueAt":"([^"]+)"/.exec(out)?.[1] ?? '');
    await jobs.purge();
    const file = join(folder, 'delayed.ndjson');
    await writeFile(file, out);
    await run('import', file);
    const [received] = await jobs.receive({ maxMessages: 1, waitMs: 20_000 });
    expect(received).toMatchObject({ body: 'soon', receiveCount: 1 });
    expect(received?.firstReceivedAt).toBeGreaterThanOrEqual(dueAt);
  });

  it('wake whoever waits for a message of the queue', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    await jobs.send([message('x')]);
    const file = join(folder, 'wake.ndjson');
    await run('export', '--output', file);
    await jobs.purge();
    const received = jobs.receive({ maxMessages: 1, waitMs: 20_000 });
    await run('import', file);
    expect(await received).toMatchObject([{ body: 'x' }]);
  });

  it('stop at a Redis that is full, and go on when it has room', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    await jobs.send(Array.from({ length: 60 }, (_, at) => message(`${at} ${'x'.repeat(100_000)}`)));
    const file = join(folder, 'full.ndjson');
    await run('export', '--output', file);
    await karin.stop();
    await redis.ask((client) => client.flushall());
    const fresh = await serverOn(redis.url);
    const used = Number(/used_memory:(\d+)/.exec(await redis.ask((client) => client.info('memory')))?.[1]);
    await redis.ask((client) => client.config('SET', 'maxmemory', String(used + 3_000_000)));
    try {
      const stopped = fresh.run('import', file);
      await expect(stopped).rejects.toThrow(
        /is full; .* had been imported; a further import imports none of them again/,
      );
    } finally {
      await redis.ask((client) => client.config('SET', 'maxmemory', '0'));
    }
    const { out } = await fresh.run('import', file);
    const [, now, before] = /^(\d+) messages of .*\n(\d+) messages imported from this file before/.exec(out) ?? [];
    expect(Number(now) + Number(before)).toBe(60);
    expect(
      (await drained(fresh.karin, 'jobs')).map(({ body }) => Number(body.split(' ')[0])).sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 60 }, (_, at) => at));
  });

  it('choose queues by globs, without tokens', async () => {
    const { karin, run } = await serverOn(redis.url);
    for (const name of ['app-a', 'app-b', 'web']) await (await queueIn(karin, name)).send([message(name)]);
    await run('token', 'create', '--scope', 'send');
    const some = await run('export', '--queue', 'app-*');
    expect(some.err).toContain('exported 2 messages of 2 queues\n');
    expect(some.out).not.toContain('"token"');
    expect((await run('export', '--queue', '111122223333/eu-*/w*')).err).toContain('exported 1 message of 1 queue\n');
    expect((await run('export', '--queue', '444455556666/eu-*/*')).err).toContain('exported 0 messages of 0 queues\n');
    const file = join(folder, 'all-of-them.ndjson');
    await run('export', '--output', file);
    for (const queue of karin.directory.all()) await queue.purge();
    const { out } = await run('import', file, '--queue', 'web', '--queue', 'app-b');
    expect(out).toMatch(
      /^2 messages of 2 queues imported; the server had these queues already\n1 message of other queues left out\n/,
    );
    expect(await drained(karin, 'app-a')).toEqual([]);
    expect(await drained(karin, 'web')).toHaveLength(1);
  });

  it('warn of a queue that was not on hold, or in which something was in flight', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    expect((await run('export')).err).not.toContain('warning');
    await jobs.send([message('x')]);
    expect((await run('export')).err).toContain(`warning: ${keyOf('jobs')}: it was not on hold`);
    await run('hold', 'j*');
    expect((await run('export')).err).not.toContain('warning');
    await jobs.receive({ maxMessages: 1 });
    expect((await run('export')).err).toContain('messages in flight: 1; where they are imported they come again');
  });

  it('leave a queue that is there as it is, keep its hold, and say what stands before the file', async () => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, 10);
    const file = join(folder, 'there.ndjson');
    await run('export', '--output', file);
    await karin.stop();
    await redis.ask((client) => client.flushall());
    const fresh = await serverOn(redis.url);
    await queueIn(fresh.karin, 'jobs', { visibilityTimeoutSeconds: 5 });
    const orders = await queueIn(fresh.karin, 'orders.fifo', {
      contentBasedDeduplication: true,
      visibilityTimeoutSeconds: 77,
    });
    await orders.send([message('early', { groupId: 'g0' })]);
    await fresh.karin.directory.setMode(await queueIn(fresh.karin, 'dead.fifo'), 'hold');
    const { err } = await fresh.run('import', file);
    expect(err).toBe(
      `warning: ${keyOf('jobs')} is there with other attributes; it keeps them\nwarning: messages were sent to ${keyOf('orders.fifo')} before this import; in their groups they come before those of the file\n`,
    );
    const definitionOf = (name: string) => fresh.karin.directory.byKey(keyOf(name))?.definition;
    expect(definitionOf('jobs')).toMatchObject({ mode: 'hold', attributes: { visibilityTimeoutSeconds: 5 } });
    expect(definitionOf('dead.fifo')?.mode).toBe('hold');
  });
});

describe('a file that cannot be imported', () => {
  const imported = async (change: (lines: string[]) => readonly string[]) => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, 10);
    const file = join(folder, 'wrong.ndjson');
    await run('export', '--output', file);
    for (const queue of karin.directory.all()) await queue.purge();
    const lines = (await readFile(file, 'utf8')).split('\n');
    await writeFile(file, change(lines).join('\n'));
    return { karin, outcome: run('import', file) };
  };

  it.each<[string, (lines: string[]) => readonly string[], string]>([
    ['cut between lines', (lines) => lines.slice(0, 9), 'line 10: the file is cut: it ends after 6 messages'],
    ['cut within a line', (lines) => [...lines.slice(0, 9), '{"kin'], 'line 10: it is not JSON; if it is the last one'],
    [
      'without a line',
      (lines) => lines.toSpliced(5, 1),
      'the file is not whole: it had 24 messages when it was written',
    ],
    [
      'of another version',
      (lines) => [lines[0]?.replace('"version":1', '"version":9') ?? '', ...lines.slice(1)],
      'line 1: the file has version 9 of the format; this version of karin reads 1',
    ],
    [
      'with a body too large',
      (lines) => lines.map((line) => line.replace('"job 1"', `"${'x'.repeat(1_048_577)}"`)),
      'the message has 1048577 bytes; a message may have 1048576',
    ],
  ])('is refused before anything is done: %s', async (_, change, problem) => {
    const { karin, outcome } = await imported(change);
    await expect(outcome).rejects.toThrow(problem);
    await expect(outcome).rejects.toThrow('nothing was imported');
    await expect(outcome).rejects.toMatchObject({ status: 2 });
    for (const queue of karin.directory.all()) expect(await queue.depth()).toMatchObject({ visible: 0, delayed: 0 });
  });

  it.each<[string, (lines: string[]) => readonly string[], string]>([
    [
      'a queue of the other kind',
      (lines) => lines.map((line) => line.replace('"fifo":false', '"fifo":true')),
      `line 3: ${keyOf('jobs')} is a FIFO queue in the file, and a standard queue here`,
    ],
    [
      'an ARN of another queue',
      (lines) => lines.map((line) => line.replace(/(3333:)jobs","fifo"/, '$1other","fifo"')),
      'line 3: arn:aws:sqs:eu-west-1:111122223333:other is not the ARN',
    ],
    [
      'a token that is none',
      (lines) =>
        lines.flatMap((line) =>
          line.includes('"kind":"end"')
            ? ['{"kind":"token","token":{"id":"x"}}', line.replace('"tokens":0', '"tokens":1')]
            : [line],
        ),
      'this is not a token that this version of the server can read',
    ],
  ])('is refused by the server, with the number of the line: %s', async (_, change, problem) => {
    const { outcome } = await imported(change);
    await expect(outcome).rejects.toThrow(problem);
  });

  it('is not left behind by an export that ends early', async () => {
    const { karin, run } = await serverOn(redis.url);
    await fill(karin, 10);
    await redis.ask((client) => client.set('karin:{eu-west-1:111122223333:orders.fifo}:order', 'no sorted set'));
    const file = join(folder, 'given-up.ndjson');
    await expect(run('export', '--output', file)).rejects.toThrow('the export was given up: ');
    expect(await readdir(folder)).not.toContain('given-up.ndjson');
  });
});

describe('/api/v1/export and /api/v1/import', () => {
  it('are for no token, whatever it may manage', async () => {
    const { karin } = await serverOn(redis.url);
    const token = 'token-of-somebody-else-0123456789';
    const other = await runKarin({ ...SETTINGS, KARIN_TOKENS: `${token}:manage`, REDIS_URL: redis.url });
    for (const [path, method] of [
      ['export', 'GET'],
      ['import', 'POST'],
    ] as const) {
      expect((await fetch(`${karin.url}/api/v1/${path}`, { method })).status).toBe(401);
      const headers = { authorization: `Bearer ${token}` };
      expect((await fetch(`${other.url}/api/v1/${path}`, { method, headers })).status).toBe(403);
    }
  });

  it('take a part with the largest message, and no larger request', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    const body = '\u007f'.repeat(1_048_576);
    await jobs.send([message(body)]);
    const file = join(folder, 'large.ndjson');
    await run('export', '--output', file);
    // Python writes this character so.
    await writeFile(file, (await readFile(file, 'utf8')).replaceAll('\u007f', '\\u007f'));
    await jobs.purge();
    await run('import', file);
    expect((await jobs.receive({ maxMessages: 1 }))[0]?.body).toBe(body);
    const headers = { authorization: `Bearer ${PASSWORD}` };
    const much = await fetch(`${karin.url}/api/v1/import`, { method: 'POST', headers, body: 'x'.repeat(7_000_000) });
    expect(much.status).toBe(413);
  });

  it('stand in the trail of actions once, however many parts a file has', async () => {
    const { karin, run } = await serverOn(redis.url);
    const jobs = await queueIn(karin, 'jobs');
    await jobs.send(Array.from({ length: 1_200 }, (_, at) => message(`${at}`)));
    const file = join(folder, 'parts.ndjson');
    await run('export', '--output', file);
    await run('import', file, '--dry-run');
    await run('import', file);
    await run('import', file);
    const actions = karin.logged.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'audit');
    const { id } = JSON.parse((await readFile(file, 'utf8')).split('\n')[0] ?? '');
    expect(actions.filter(({ what }) => what === 'export')).toMatchObject([{ who: 'admin', queues: 'all' }]);
    expect(actions.filter(({ what }) => what === 'import')).toMatchObject([{ who: 'admin', export: id }]);
  });

  it('tell a server of an earlier version apart', async () => {
    const earlier = createServer((_, response) => {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end('{"error":"there is nothing at this path"}');
    });
    await once(earlier.listen(0, '127.0.0.1'), 'listening');
    try {
      const address = earlier.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      await expect(runCli(['export'], { ...ENV, KARIN_URL: `http://127.0.0.1:${port}` })).rejects.toThrow(
        'there is nothing at this path; its version cannot export or import: upgrade it first',
      );
    } finally {
      earlier.close();
    }
  });
});

async function* chunksOf(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}
