import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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

async function start(commands?: readonly string[]): Promise<EmbeddedRedis> {
  const log = createLog({ level: 'info', write: (line) => logged.push(line) });
  const redis = await startEmbeddedRedis({
    dataDirectory: join(folder, 'made', 'by', 'itself'),
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

  it('ends one that outlived its process before it touches the file', async () => {
    const orphan = await start();
    await connect(orphan.url).set('kept', 'yes');
    running.length = 0;
    const pid = Number(readFileSync(join(folder, 'made', 'by', 'itself', 'redis.pid'), 'utf8'));
    expect(pid).toBe(orphan.pid);
    const second = await start();
    expect(await connect(second.url).get('kept')).toBe('yes');
    expect(logged.join('')).toContain('it is ended first');
    await orphan.stop();
  });

  it('does not touch a process that merely has the number', async () => {
    const redis = await start();
    await redis.stop();
    writeFileSync(join(folder, 'made', 'by', 'itself', 'redis.pid'), `${process.pid}`);
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
