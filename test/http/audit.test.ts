import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { placesOf } from '../../runtime/aws/scope.ts';
import { createAccess } from '../../runtime/http/access.ts';
import { createAudit } from '../../runtime/http/audit.ts';
import { createTokenStore } from '../../runtime/http/auth/tokens.ts';
import { createLog, type Log } from '../../runtime/log.ts';
import { readConfig } from '../../runtime/settings.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { Signal } from '../../runtime/store/store.ts';
import { systemTime } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, foreignOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { jsonOf, type RunningKarin, runKarin, sqsCall } from './running-karin.ts';

const PASSWORD = 'correct horse battery';
const TOKEN = 'owner-token-owner-token';
const ENV = { KARIN_ADMIN_PASSWORD: PASSWORD, KARIN_TOKENS: `${TOKEN}:all`, LOG_LEVEL: 'info' };

/** The lines of the trail, without their time. */
function trail({ logged }: Pick<RunningKarin, 'logged'>): readonly Readonly<Record<string, unknown>>[] {
  const lines = logged.map((line): Record<string, unknown> => JSON.parse(line));
  return lines.filter(({ msg }) => msg === 'audit').map(({ time: _, msg: __, level: ___, ...entry }) => entry);
}

/** A log, and the lines of its trail as they come. */
function trailAsItGrows(): { log: Log; lines: AsyncIterator<unknown> } {
  const lines = new PassThrough({ objectMode: true });
  const write = (line: string): void => {
    const entry: Record<string, unknown> = JSON.parse(line);
    if (entry['msg'] === 'audit') lines.write(entry);
  };
  return { log: createLog({ level: 'info', write }), lines: lines[Symbol.asyncIterator]() };
}

describe('the audit trail', () => {
  it('says who did what to a queue over the API, and from where', async () => {
    const karin = await runKarin(ENV);
    const url = `${karin.url}/k/${TOKEN}`;
    await sqsCall(url, 'CreateQueue', { QueueName: 'dead' });
    const deadLetterTargetArn = 'arn:aws:sqs:us-east-1:000000000000:dead';
    const Attributes = { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 1 }) };
    await sqsCall(url, 'CreateQueue', { QueueName: 'jobs', Attributes });
    await sqsCall(url, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'a private body' });
    await sqsCall(url, 'StartMessageMoveTask', { SourceArn: deadLetterTargetArn });
    await sqsCall(url, 'PurgeQueue', { QueueUrl: `${karin.url}/000000000000/jobs` });
    await sqsCall(url, 'DeleteQueue', { QueueUrl: 'jobs' });
    await sqsCall(url, 'DeleteQueue', { QueueUrl: 'nowhere' });
    const by = { who: expect.stringMatching(/^token:[0-9a-f]{12}$/), from: '127.0.0.1' };
    expect(trail(karin)).toEqual([
      { what: 'CreateQueue', queue: 'dead', ...by },
      { what: 'CreateQueue', queue: 'jobs', ...by },
      { what: 'StartMessageMoveTask', queue: 'dead', ...by },
      { what: 'PurgeQueue', queue: 'jobs', ...by },
      { what: 'DeleteQueue', queue: 'jobs', ...by },
    ]);
  });

  it('says who logged in, who could not, and who made and revoked tokens', async () => {
    const karin = await runKarin(ENV);
    const login = (password: string) =>
      fetch(`${karin.url}/ops/login`, { method: 'POST', body: new URLSearchParams({ password }), redirect: 'manual' });
    await login('a wrong password');
    await login(PASSWORD);
    await sqsCall(`${karin.url}/k/${TOKEN}x`, 'ListQueues', {});
    const headers = { authorization: `Bearer ${PASSWORD}` };
    const body = '{"scopes":"send","queues":"app-*"}';
    const { id, token = '' } = await jsonOf(await fetch(`${karin.url}/tokens`, { method: 'POST', headers, body }));
    await fetch(`${karin.url}/tokens/${id}`, { method: 'DELETE', headers });
    const from = '127.0.0.1';
    expect(trail(karin)).toEqual([
      { what: 'log-in-refused', from },
      { what: 'log-in', who: 'admin', from },
      { what: 'credential-refused', from },
      { what: 'token-created', who: 'admin', from, id, scopes: ['send'], queues: ['app-*'] },
      { what: 'token-revoked', who: 'admin', from, id },
    ]);
    const log = karin.logged.join('');
    for (const secret of [PASSWORD, 'a wrong password', TOKEN, token]) expect(log).not.toContain(secret);
  });

  it('says what was done on the page', async () => {
    const karin = await runKarin(ENV);
    await sqsCall(`${karin.url}/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' });
    const form = new URLSearchParams({ password: PASSWORD });
    const login = await fetch(`${karin.url}/ops/login`, { method: 'POST', body: form, redirect: 'manual' });
    const cookie = (login.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    const page = `${karin.url}/ops/queues/us-east-1:000000000000:jobs`;
    const [, csrf = ''] =
      /name="csrf" value="([^"]+)"/.exec(await (await fetch(page, { headers: { cookie } })).text()) ?? [];
    const post = (action: string) =>
      fetch(`${page}/${action}`, {
        method: 'POST',
        headers: { cookie },
        body: new URLSearchParams({ csrf, confirmed: 'yes' }),
        redirect: 'manual',
      });
    for (const action of ['hold', 'purge']) expect((await post(action)).status).toBe(303);
    const by = { who: 'admin', from: '127.0.0.1', queue: 'us-east-1:000000000000:jobs' };
    expect(trail(karin).slice(-2)).toEqual([
      { what: 'hold', ...by },
      { what: 'purge', ...by },
    ]);
  });

  it('says who logged out, and the cookie of that session is refused from then on, by every server', async () => {
    const store = new MemoryStore({ time: systemTime });
    const servers = [await runKarin(ENV, { store }), await runKarin(ENV, { store })];
    const [one] = servers;
    const login = async () => {
      const init = { method: 'POST', body: new URLSearchParams({ password: PASSWORD }), redirect: 'manual' } as const;
      return ((await fetch(`${one?.url}/ops/login`, init)).headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    };
    const statuses = (cookie: string) =>
      Promise.all(
        servers.map(async ({ url }) => (await fetch(`${url}/ops`, { headers: { cookie }, redirect: 'manual' })).status),
      );
    const [mine, other] = [await login(), await login()];
    const page = await (await fetch(`${one?.url}/ops`, { headers: { cookie: mine } })).text();
    const [, csrf = ''] = /name="csrf" value="([^"]+)"/.exec(page) ?? [];
    const body = new URLSearchParams({ csrf });
    await fetch(`${one?.url}/ops/logout`, { method: 'POST', headers: { cookie: mine }, body, redirect: 'manual' });
    expect(await statuses(mine)).toEqual([303, 303]);
    expect(await statuses(other)).toEqual([200, 200]);
    servers.push(await runKarin(ENV, { store }));
    expect(await statuses(mine)).toEqual([303, 303, 303]);
    expect(trail({ logged: one?.logged ?? [] }).at(-1)).toEqual({ what: 'log-out', who: 'admin', from: '127.0.0.1' });
  });

  it('keeps both of two log-outs that two servers do at one moment', async () => {
    const { documents } = new MemoryStore({ time: systemTime });
    const config = readConfig(ENV, 'dev');
    const server = () =>
      createAccess(config, placesOf(config, []), documents, systemTime, createLog({ level: 'silent' }));
    const [one, other] = [await server(), await server()];
    const cookies = [one.sessions.begin('admin').cookie, other.sessions.begin('admin').cookie];
    await Promise.all([one.endSession(cookies[0] ?? ''), other.endSession(cookies[1] ?? '')]);
    const third = await server();
    expect(cookies.map((cookie) => third.sessions.holds(cookie))).toEqual([false, false]);
  });

  it('says which tokens a command makes and revokes in the store itself', async () => {
    const store = new MemoryStore({ time: systemTime });
    const { log, lines } = trailAsItGrows();
    await runKarin(ENV, { store, log });
    const command = createTokenStore(store.documents, () => 0);
    const { capability } = await command.create({ scopes: ['send'], queues: ['app-*'], name: 'the app' });
    const token = { from: 'store', id: capability.id, scopes: ['send'], queues: ['app-*'], name: 'the app' };
    expect(await lines.next()).toMatchObject({ value: { what: 'token-created', ...token } });
    await command.revoke(capability.id);
    expect(await lines.next()).toMatchObject({ value: { what: 'token-revoked', ...token } });
  });

  it('says which queues a sync holds by itself, and when it ends that', async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf(['a', 'b']);
    const karin = await runKarin(ENV, { source });
    for (const foreign of [[foreignOf('a')], [foreignOf('a')], []]) {
      source.found = discoveryOf(['b'], { foreign, queues: [queueOf('a'), queueOf('b')] });
      await karin.sync();
    }
    const by = { who: 'sync', from: 'aws', queue: 'a' };
    expect(trail(karin)).toEqual([
      { what: 'hold', ...by },
      { what: 'hold-ended', ...by },
    ]);
  });

  it('stands beside the loss and the return of the store', async () => {
    const store = new MemoryStore({ time: systemTime });
    const listeners: ((signal: Signal) => void)[] = [];
    const subscribe = store.subscribe.bind(store);
    store.subscribe = (listener) => {
      listeners.push(listener);
      return subscribe(listener);
    };
    const karin = await runKarin({ LOG_LEVEL: 'info' }, { store });
    for (const reachable of [false, true]) for (const tell of listeners) tell({ kind: 'reachable', reachable });
    const said = karin.logged.filter((line) => line.includes('the store of messages is'));
    expect(said.map((line) => JSON.parse(line).level)).toEqual(['warn', 'info']);
  });

  it('is not filled by strangers: refusals are bounded, and counted', () => {
    const lines: string[] = [];
    const time = new ManualTime();
    const audit = createAudit(createLog({ level: 'info', write: (line) => lines.push(line) }), time);
    for (let attempt = 0; attempt < 1000; attempt++) audit({ what: 'credential-refused', from: '192.0.2.1' });
    expect(lines).toHaveLength(50);
    audit({ what: 'PurgeQueue', who: 'admin', from: '192.0.2.2', to: { queue: 'jobs' } });
    expect(JSON.parse(lines[50] ?? '')).toMatchObject({ what: 'PurgeQueue', queue: 'jobs', leftOut: 950 });
    time.advance(1000);
    audit({ what: 'credential-refused', from: '192.0.2.1' });
    expect(lines).toHaveLength(52);
  });
});
