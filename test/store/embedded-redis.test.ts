import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../../runtime/log.ts';
import { type EmbeddedRedis, startEmbeddedRedis } from '../../runtime/store/embedded-redis.ts';
import { systemTime } from '../../runtime/time.ts';

let folder: string;
let logged: string[];
const running: EmbeddedRedis[] = [];
const clients: Redis[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'karin-data-'));
  logged = [];
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.disconnect();
  for (const redis of running.splice(0)) await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(
  commands?: readonly string[],
  dataDirectory = join(folder, 'made', 'by', 'itself'),
  signal?: AbortSignal,
): Promise<EmbeddedRedis> {
  const log = createLog({ level: 'info', write: (line) => logged.push(line) });
  const redis = await startEmbeddedRedis({
    dataDirectory,
    ...(signal === undefined ? {} : { signal }),
    maxBytes: 16_777_216,
    time: systemTime,
    log,
    ...(commands === undefined ? {} : { commands }),
  });
  running.push(redis);
  return redis;
}

function connect(url: string): Redis {
  const client = new Redis(url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
  client.on('error', () => {});
  clients.push(client);
  return client;
}

describe('the embedded Redis', () => {
  it('keeps what it has when it is stopped, and throws nothing away when it is full', async () => {
    const first = await start();
    const client = connect(first.url);
    await client.set('kept', 'yes');
    expect(await client.config('GET', 'maxmemory-policy')).toContain('noeviction');
    expect(await client.config('GET', 'maxmemory')).toContain('16777216');
    expect(await client.config('GET', 'appendonly')).toContain('yes');
    client.disconnect();
    await first.stop();
    expect(await connect((await start()).url).get('kept')).toBe('yes');
  });

  it('lets nobody in without its password', async () => {
    const redis = await start();
    const { port } = new URL(redis.url);
    await expect(connect(`redis://127.0.0.1:${port}`).get('x')).rejects.toThrow('NOAUTH');
  });

  it('is started again when it dies, with everything that it had', async () => {
    const redis = await start();
    const client = connect(redis.url);
    await client.set('kept', 'yes');
    // What was written a moment ago is in the file once this is answered.
    await client.config('SET', 'appendfsync', 'always');
    await client.set('also', 'yes');
    const died = redis.pid;
    if (died === undefined) throw new Error('it has no process');
    process.kill(died, 'SIGKILL');
    expect(await client.mget('kept', 'also')).toEqual(['yes', 'yes']);
    expect(redis.pid).not.toBe(died);
    expect(logged.join('')).toContain('ended unexpectedly');
  });

  it('keeps what it writes from other users', async () => {
    const redis = await start();
    await connect(redis.url).set('kept', 'yes');
    const data = join(folder, 'made', 'by', 'itself');
    const mode = (...path: readonly string[]) => statSync(join(data, ...path)).mode & 0o077;
    expect(mode()).toBe(0);
    expect(readdirSync(data).map((name) => [name, mode(name)])).toEqual(readdirSync(data).map((name) => [name, 0]));
    for (const name of readdirSync(join(data, 'appendonlydir'))) expect(mode('appendonlydir', name)).toBe(0);
  });

  it('has its folder to itself: a second one is refused, and told who owns it', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(
      new RegExp(`another server owns this folder: process ${process.pid} on host ${hostname()}, since 2.*REDIS_URL`),
    );
    expect(await connect(first.url).ping()).toBe('PONG');
    await first.stop();
    await start();
  });

  it.each(['of another folder', 'of this process'])(
    'ends no process %s whose number stands in redis.pid',
    async (whose) => {
      const data = join(folder, 'made', 'by', 'itself');
      const other = await start();
      const pid = whose === 'of this process' ? process.pid : other.pid;
      const mine = join(folder, 'mine');
      mkdirSync(mine);
      writeFileSync(join(mine, 'redis.pid'), `${pid}`);
      await start(undefined, mine);
      expect(await connect(other.url).ping()).toBe('PONG');
      expect(readFileSync(join(data, 'redis.pid'), 'utf8').trim()).toBe(`${other.pid}`);
    },
  );

  it('does not begin beside a Redis that works in its folder without belonging to it', async () => {
    const data = join(folder, 'made', 'by', 'itself');
    const redis = await start();
    // As one of a version that made no sockets.
    for (const name of readdirSync(data)) if (/\.sock$/.test(name)) rmSync(join(data, name));
    await expect(start()).rejects.toThrow(`a Redis server (process ${redis.pid}) works in it that this server did not`);
  });

  it('gives its start up when it is told to, and the folder with it', async () => {
    const giveUp = new AbortController();
    const slow = join(folder, 'slow-server');
    writeFileSync(slow, '#!/bin/sh\nexec sleep 600\n', { mode: 0o755 });
    const starting = start([slow], undefined, giveUp.signal);
    setImmediate(() => giveUp.abort(new Error('enough')));
    await expect(starting).rejects.toThrow('enough');
    await start();
  });

  it('says what to do where there is none', async () => {
    await expect(start(['no-such-server'])).rejects.toThrow(
      'none of no-such-server is installed; install one, or set REDIS_URL',
    );
  });

  it('says why it does not start', async () => {
    await expect(start(['false'])).rejects.toThrow('the embedded Redis (false) ended at once');
  });
});
