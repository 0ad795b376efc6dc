import { beforeEach, describe, expect, it } from 'vitest';
import { createLastUses, storedLastUses } from '../../runtime/http/auth/last-uses.ts';
import { createLog } from '../../runtime/log.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemTime } from '../../runtime/time.ts';
import { runCli } from '../cli/run-cli.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';
import { runKarin, sqsCall } from './running-karin.ts';

const HOUR_MS = 3_600_000;
const KEY = { kind: 'access-key', senderId: 'AKID' } as const;
const TOKEN = { kind: 'capability', senderId: 'token:abc' } as const;
const ANN = { kind: 'operator', senderId: 'ann' } as const;

describe('the last use of a credential', () => {
  let time: ManualTime;
  let store: MemoryStore;
  let calls: number;
  let away: boolean;

  beforeEach(() => {
    time = new ManualTime();
    store = new MemoryStore({ time });
    calls = 0;
    away = false;
  });

  const server = () => {
    const call = <T>(make: () => Promise<T>): Promise<T> => {
      calls += 1;
      return away ? Promise.reject(new StoreUnavailableError('away')) : make();
    };
    return createLastUses(
      {
        get: (name) => call(() => store.documents.get(name)),
        put: (name, value, expected) => call(() => store.documents.put(name, value, expected)),
      },
      time,
      createLog({ level: 'silent' }),
    );
  };

  it('is known at once, and by the next process after the end of this one', async () => {
    const uses = await server();
    for (const credential of [KEY, TOKEN, ANN, { kind: 'admin', senderId: 'admin' } as const]) uses.used(credential);
    uses.used({ kind: 'anyone', senderId: 'anonymous' });
    const names = ['key:AKID', 'token:abc', 'operator:ann', 'operator:admin'];
    for (const name of names) expect(uses.of(name)).toBe(time.now());
    await uses.close();
    const after = await server();
    for (const name of names) expect(after.of(name)).toBe(time.now());
    expect(Object.keys(Object.fromEntries(await storedLastUses(store.documents))).sort()).toEqual(names.sort());
  });

  it('is written a minute after the first, and then every six hours, however often and by whatever it is used', async () => {
    const uses = await server();
    calls = 0;
    for (let minute = 0; minute < 24 * 60; minute += 1) {
      for (const credential of [KEY, TOKEN, ANN]) uses.used(credential);
      await time.advanceAsync(60_000);
    }
    // A read and a write each.
    expect(calls).toBeLessThanOrEqual(2 * 4);
    const stored = (await storedLastUses(store.documents)).get('key:AKID') ?? 0;
    expect(time.now() - stored).toBeLessThanOrEqual(6 * HOUR_MS + 120_000);
    calls = 0;
    await time.advanceAsync(24 * HOUR_MS);
    expect(calls).toBe(0);
  });

  it('only grows, whichever of several servers writes it last, and is heard of by the others', async () => {
    const [one, two] = [await server(), await server()];
    one.used(KEY);
    time.advance(1_000);
    two.used(KEY);
    const later = time.now();
    await two.close();
    await one.close();
    expect((await storedLastUses(store.documents)).get('key:AKID')).toBe(later);
    expect(one.of('key:AKID')).toBe(later);
    await one.heard({ kind: 'document', name: 'credential-uses' });
    expect(one.of('key:AKID')).toBe(later);
  });

  it('waits for the store while it is away, and begins anew where another version wrote something else', async () => {
    const uses = await server();
    uses.used(KEY);
    away = true;
    await time.advanceAsync(60_000);
    away = false;
    uses.used(KEY);
    await time.advanceAsync(60_000);
    expect((await storedLastUses(store.documents)).has('key:AKID')).toBe(true);
    await store.documents.put('credential-uses', '[1]');
    expect((await server()).of('key:AKID')).toBeUndefined();
  });

  it('is that of a thousand credentials at most', async () => {
    const uses = await server();
    for (let n = 0; n < 1_500; n += 1) uses.used({ kind: 'capability', senderId: `token:${n}` });
    await uses.close();
    expect((await storedLastUses(store.documents)).size).toBeLessThanOrEqual(1_000);
  });
});

describe('credentials', () => {
  it('are shown with their last use on the page of the system and by karin token list', async () => {
    const store = new MemoryStore({ time: systemTime });
    const env = {
      ...{ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_ADMIN_PASSWORD: 'one password for all' },
      KARIN_OPERATORS: 'ann:look:ann-has-a-password;bob:look:bob-has-a-password',
      KARIN_TOKENS: 'token-of-a-program-0123456789:send',
    };
    const karin = await runKarin(env, { store });
    const cli = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: 'one password for all' };
    const made = JSON.parse((await runCli(['token', 'create', '--scope', 'all', '--json'], cli)).out);
    const line = async (): Promise<string> => (await runCli(['token', 'list'], cli)).out.split('\n')[1] ?? '';
    expect(await line()).toMatch(/ never +- *$/);
    expect((await sqsCall(made.endpoint, 'ListQueues', {})).status).toBe(200);
    expect(await line()).toMatch(/ never +20\d\d-\d\d-\d\d \d\d:\d\d *$/);
    const body = new URLSearchParams({ name: 'ann', password: 'ann-has-a-password' });
    const login = await fetch(`${karin.url}/ops/login`, { method: 'POST', redirect: 'manual', body });
    const cookie = login.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    const page = await (await fetch(`${karin.url}/ops/system`, { headers: { cookie } })).text();
    const rows = [...page.matchAll(/<tr><td>([a-z ]+)<\/td><td><code>([^<]*)<\/code>.*?<\/tr>/gs)];
    const used = rows.map(([row, kind, name]) => `${kind} ${name} ${row.includes('<time')}`);
    expect(used).toEqual([
      'operator admin true',
      'operator ann true',
      'operator bob false',
      expect.stringMatching(/^token \w+ false$/),
    ]);
    expect(page).not.toContain('token-of-a-program');
  });

  it('are listed with their last use by a command that reads the store itself', async () => {
    const redis = await RedisServer.start();
    const env = { REDIS_URL: redis.url, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };
    const karin = await runKarin({ ...env, KARIN_ADMIN_PASSWORD: 'one password for all' });
    const made = JSON.parse((await runCli(['token', 'create', '--scope', 'all', '--json'], env)).out);
    const used = async () => (await sqsCall(`${karin.url}/k/${made.token}`, 'ListQueues', {})).status;
    await expect.poll(used).toBe(200);
    await karin.stop();
    expect((await runCli(['token', 'list'], env)).out).toMatch(/ never +20\d\d-/);
    await redis.stop();
  });
});
