import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { SyncState } from '../../runtime/aws/sync/synchroniser.ts';
import { openDoor } from '../../runtime/http/server.ts';
import { createLog } from '../../runtime/log.ts';
import { type Overrides, startKarin } from '../../runtime/main.ts';
import { createHealth } from '../../runtime/ops/health.ts';
import { readConfig } from '../../runtime/settings.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../runtime/time.ts';
import { jsonOf, runKarin, sqsCall } from '../http/running-karin.ts';
import { discoveryOf, ScriptedSource, UNREACHABLE } from '../sync/discoveries.ts';

const AT = Date.parse('2026-01-02T03:04:05Z');
const state = (change: Partial<SyncState>): SyncState => ({
  source: 'AWS (eu-west-1)',
  sources: [],
  held: [],
  ...change,
});

describe('readiness', () => {
  it('needs a store that can be reached', () => {
    const health = createHealth(undefined);
    expect(health.readiness()).toEqual({ ready: true, store: { ok: true }, discovery: { ok: true }, reasons: [] });
    health.heard({ kind: 'reachable', reachable: false });
    expect(health.readiness()).toMatchObject({
      ready: false,
      store: { ok: false },
      reasons: ['the store of messages cannot be reached; requests are answered with 503'],
    });
    health.heard({ kind: 'reachable', reachable: false, refusal: 'ERR max requests limit exceeded' });
    expect(health.readiness().reasons).toEqual([
      'the store of messages refuses every call: ERR max requests limit exceeded; requests are answered with 503',
    ]);
    health.heard({ kind: 'reachable', reachable: true });
    expect(health.readiness().ready).toBe(true);
  });

  it('is there with an old discovery, which is said', () => {
    const health = createHealth(() => state({ discovery: discoveryOf([]), failure: { message: 'secret', at: AT } }));
    expect(health.readiness()).toEqual({
      ready: true,
      store: { ok: true },
      discovery: { ok: false },
      reasons: ['AWS (eu-west-1) could not be read at 2026-01-02T03:04:05.000Z; what was found last is served on'],
    });
  });

  it('does not tell strangers where a template lies', () => {
    for (const source of ['template /home/me/app/cdk.out', 'template C:\\app', 'the CDK app in /srv/app']) {
      const { reasons } = createHealth(() => state({ source })).readiness();
      expect(reasons).toEqual(['the template was not read yet']);
    }
  });

  it('is not there without any discovery', () => {
    const failed = createHealth(() => state({ failure: { message: 'secret', at: AT } })).readiness();
    expect(failed.ready).toBe(false);
    expect(failed.reasons[0]).toContain('nothing was found before, so nothing is served');
    expect(JSON.stringify(failed)).not.toContain('secret');
    expect(createHealth(() => state({})).readiness()).toMatchObject({
      ready: false,
      reasons: ['AWS (eu-west-1) was not read yet'],
    });
  });

  it('ends when the server begins to stop', () => {
    const health = createHealth(undefined);
    health.stopping();
    expect(health.readiness()).toMatchObject({ ready: false, reasons: ['the server is stopping'] });
  });
});

describe('a server whose source is unreachable when it starts', () => {
  it('serves all the same, says why it is red, and turns green without a restart', async () => {
    const source = new ScriptedSource();
    source.found = UNREACHABLE;
    const karin = await runKarin({}, { source });
    expect((await fetch(`${karin.url}/healthz`)).status).toBe(200);
    const red = await fetch(`${karin.url}/readyz`);
    expect(red.status).toBe(503);
    expect(JSON.stringify(await red.json())).toContain('a script could not be read');
    const refused = await fetch(`${karin.url}/sync`, { method: 'POST' });
    expect([refused.status, (await jsonOf(refused)).error]).toEqual([502, UNREACHABLE.message]);

    source.found = discoveryOf(['a']);
    const synced = await fetch(`${karin.url}/sync`, { method: 'POST' });
    expect(await synced.json()).toMatchObject({ added: [{ mapping: 'uuid-a' }], broken: [], unchanged: 0 });
    expect((await fetch(`${karin.url}/readyz`)).status).toBe(200);
    expect(source.asked.at(-1)).toMatchObject({ full: true });
  });

  it('runs on the last good result', async () => {
    const store = new MemoryStore({ time: systemTime });
    const source = new ScriptedSource();
    source.found = discoveryOf(['a']);
    const before = await runKarin({ AWS_REGION: 'eu-west-1' }, { store, source });
    await before.stop();

    source.found = UNREACHABLE;
    const after = await runKarin({ AWS_REGION: 'eu-west-1' }, { store, source });
    expect(after.directory.all().map((queue) => queue.arn.name)).toEqual(['a']);
    await after.sync().catch(() => {});
    const readiness = await fetch(`${after.url}/readyz`);
    expect(readiness.status).toBe(200);
    expect(JSON.stringify(await readiness.json())).toContain('what was found last is served on');
    expect(after.logged.join('')).toContain('sync failed; what was found last is served on');
  });
});

/** A start under way: nothing of it is stopped by itself. */
function begin(overrides: Overrides) {
  const lines: string[] = [];
  const heard = new Set<() => void>();
  const log = createLog({
    level: 'info',
    write: (line) => {
      lines.push(line);
      for (const look of heard) look();
    },
  });
  const listening = new Promise<string>((resolve) => {
    heard.add(() => {
      const port = /"port":(\d+),"msg":"listening"/.exec(lines.join(''))?.[1];
      if (port !== undefined) resolve(`http://127.0.0.1:${port}`);
    });
  });
  const config = readConfig({ PORT: '0', KARIN_STOP_GRACE: '0', AWS_REGION: 'eu-west-1' }, 'dev');
  return { started: startKarin(config, { log, ...overrides }), listening, lines };
}

describe('a server that never read its source', () => {
  it('listens and says how far the reading is, and tells callers to try again instead of that no queue exists', async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf(['a']);
    source.progress = { step: 'details', done: 120, total: 1000 };
    const finish = source.hold();
    const { started, listening } = begin({ source });
    const url = await listening;
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const reasons = async () => JSON.stringify(await (await fetch(`${url}/readyz`)).json());
    while (!(await reasons()).includes('a script is read for the first time: details of 120 of 1000 mappings'));

    const QueueUrl = `${url}/111122223333/a`;
    const calls: readonly [string, Readonly<Record<string, unknown>>][] = [
      ['SendMessage', { QueueUrl, MessageBody: 'x' }],
      ['GetQueueUrl', { QueueName: 'a' }],
      ['ListQueues', {}],
      ['CreateQueue', { QueueName: 'a' }],
      ['ListMessageMoveTasks', { SourceArn: 'arn:aws:sqs:eu-west-1:111122223333:a' }],
    ];
    for (const [action, input] of calls) {
      const refused = await sqsCall(url, action, input);
      expect([action, refused.status]).toEqual([action, 503]);
      expect(await refused.text()).toContain('details of 120 of 1000 mappings. Try again.');
    }
    finish();
    const karin = await started;
    expect((await sqsCall(url, 'SendMessage', { QueueUrl, MessageBody: 'x' })).status).toBe(200);
    expect((await sqsCall(url, 'SendMessage', { QueueUrl: `${QueueUrl}b`, MessageBody: 'x' })).status).toBe(400);
    await karin.stop();
  });

  it('gives its start up when it is told to, and leaves nothing open', async () => {
    const source = new ScriptedSource();
    const finish = source.hold();
    const giveUp = new AbortController();
    const { started, listening } = begin({ source, signal: giveUp.signal });
    const url = await listening;
    giveUp.abort(new Error('enough'));
    await expect(started).rejects.toThrow('enough');
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
    finish();
  });
});

describe('a port that is open before there is anything to serve', () => {
  it('lives, is not ready, and refuses calls so that they are tried again', async () => {
    const door = await openDoor('127.0.0.1', 0);
    const url = `http://127.0.0.1:${door.port}`;
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, JSON.stringify(await ready.json())]).toEqual([503, expect.stringContaining('is starting')]);
    expect((await sqsCall(url, 'ListQueues', {})).status).toBe(503);
    await door.close();
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});

describe('a server without a source', () => {
  it('says so when it is told to sync', async () => {
    const karin = await runKarin();
    expect((await fetch(`${karin.url}/sync`, { method: 'POST' })).status).toBe(409);
    await expect(karin.sync()).rejects.toThrow('KARIN_DISCOVERY=none');
  });
});

describe('a health check', () => {
  it('may be as plain as HTTP/1.0 without a host', async () => {
    const karin = await runKarin({ KARIN_ADMIN_PASSWORD: 'correct horse battery' });
    const socket = createConnection(Number(new URL(karin.url).port), '127.0.0.1');
    socket.end('GET /healthz HTTP/1.0\r\n\r\n');
    let answer = '';
    for await (const chunk of socket.setEncoding('utf8')) answer += chunk;
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\{"status":"ok"\}$/);
  });

  it('stays ready when invocations do not get through to Lambda, and says so without names', () => {
    expect(createHealth(undefined, () => 2).readiness()).toMatchObject({
      ready: true,
      reasons: ['invocations of 2 mappings do not get through to Lambda; their messages wait here'],
    });
  });
});
