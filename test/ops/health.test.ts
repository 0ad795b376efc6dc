import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createHealth } from '../../runtime/ops/health.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { SyncState } from '../../runtime/sync/synchroniser.ts';
import { systemTime } from '../../runtime/time.ts';
import { jsonOf, runKarin } from '../http/running-karin.ts';
import { discoveryOf, ScriptedSource, UNREACHABLE } from '../sync/discoveries.ts';

const AT = Date.parse('2026-01-02T03:04:05Z');
const state = (change: Partial<SyncState>): SyncState => ({ source: 'AWS (eu-west-1)', held: [], ...change });

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
});
