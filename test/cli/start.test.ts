import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { sqsCall } from '../http/running-karin.ts';
import { startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

let redis: RedisServer;
let folder: string;
beforeAll(async () => {
  redis = await RedisServer.start();
  folder = mkdtempSync(join(tmpdir(), 'karin-'));
});
afterAll(async () => {
  await redis.stop();
  rmSync(folder, { recursive: true });
});

const env = (change: Readonly<Record<string, string>> = {}) => ({
  REDIS_URL: `redis://127.0.0.1:${redis.port}`,
  AWS_REGION: 'eu-west-1',
  KARIN_DISCOVERY: 'none',
  ...change,
});

/** Runs `karin start` to its end. */
function run(
  change: Readonly<Record<string, string>>,
): Promise<{ readonly status: number | null; readonly err: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'runtime/cli/karin.ts', 'start'], {
    env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', PORT: '0', ...change },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, err })));
}

describe('karin start', () => {
  it('serves until SIGTERM, and reads its keys again on SIGHUP', async () => {
    const tokens = join(folder, 'tokens');
    const [old, fresh] = ['old-token-old-token-old', 'new-token-new-token-new'];
    writeFileSync(tokens, old);
    const server = await startServerProcess(env({ KARIN_TOKENS_FILE: tokens }));
    const status = async (token: string) => (await sqsCall(`${server.url}/k/${token}`, 'ListQueues', {})).status;
    expect([await status(old), await status(fresh)]).toEqual([200, 403]);

    writeFileSync(tokens, fresh);
    process.kill(server.pid, 'SIGHUP');
    while ((await status(fresh)) !== 200);
    expect(await status(old)).toBe(403);

    await server.stop();
    expect(server.said.join('\n')).toContain('keys and tokens were read again');
    expect(server.said.at(-1)).toContain('"msg":"stopped"');
    expect(server.said.join('\n')).not.toMatch(/old-token|new-token/);
  });

  it('shows a mistake of its own with its stack, although errors of Node have a code as those of the system do', async () => {
    const mistake = `const env = process.env;
      process.env = new Proxy(env, { get(all, name) {
        if (name === 'AWS_REGION') throw Object.assign(new TypeError('a mistake'), { code: 'ERR_MISTAKE' });
        return Reflect.get(all, name);
      } });`;
    const preload = `--import=data:text/javascript,${encodeURIComponent(mistake)}`;
    const { status, err } = await run({ ...env(), NODE_OPTIONS: preload });
    expect(status).toBe(70);
    expect(err).toContain('karin failed unexpectedly:\nTypeError: a mistake');
    expect(err).toContain('    at ');
  });

  it.each([
    ['nothing at all', {}, 'the configuration has 2 problems:\n  - REDIS_URL is not set'],
    ['a Redis that does not answer', { REDIS_URL: 'redis://:hidden@127.0.0.1:1' }, '127.0.0.1:1'],
    ['an open server', { HOST: '0.0.0.0' }, 'no credential is configured, so anybody could send and read messages'],
  ])('ends with a clear message on %s', async (_what, change, message) => {
    const { status, err } = await run('HOST' in change || 'REDIS_URL' in change ? env(change) : change);
    expect(status).toBe(1);
    expect(err).toContain('karin: ');
    expect(err).toContain(message);
    expect(err).not.toContain('hidden');
    expect(err).not.toContain('    at ');
  });

  it('lists what is wrong with settings and credentials at once, with the names that look misspelt', async () => {
    const { status, err } = await run({
      HOST: '0.0.0.0',
      PORT: 'abc',
      KARIN_KEYS: 'half-of-a-key',
      KARIN_TOKENS: 'token-token-token-token:frobnicate',
      KARIN_ADMIN_PASSWROD: 'never shown',
    });
    expect(status).toBe(1);
    expect(err).toContain('the configuration has 5 problems:');
    for (const name of ['PORT=abc', 'REDIS_URL', 'AWS_REGION', 'KARIN_KEYS', 'KARIN_TOKENS']) {
      expect(err).toMatch(new RegExp(`^  - ${name}`, 'm'));
    }
    expect(err).toContain('  note: KARIN_ADMIN_PASSWROD is not a setting of Karin; is it misspelt?');
    expect(err).not.toMatch(/half-of-a-key|token-token|never shown/);
  });

  it('gives up a start under way on SIGTERM, in order', async () => {
    // AWS that takes connections and says nothing.
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    onTestFinished(() => void silent.close());
    // An AddressInfo, because it listens on a port.
    const { port } = silent.address() as AddressInfo;
    const child = spawn(process.execPath, ['--import', 'tsx', 'runtime/cli/karin.ts', 'start'], {
      env: {
        PATH: process.env['PATH'] ?? '',
        PORT: '0',
        ...env({
          KARIN_DISCOVERY: 'aws',
          AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
          AWS_ACCESS_KEY_ID: 'id',
          AWS_SECRET_ACCESS_KEY: 'secret',
        }),
      },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [socket] = await once(silent, 'connection');
    child.kill('SIGTERM');
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(said).toContain('"msg":"stopped"');
    expect(said).not.toContain('karin ready');
    socket.destroy();
  });

  it('ends with a clear message on a port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    // An AddressInfo, because it listens on a port.
    const { port } = other.address() as AddressInfo;
    const { status, err } = await run(env({ PORT: `${port}` }));
    expect(status).toBe(1);
    expect(err).toContain(`PORT=${port}: another program listens there; choose another port`);
    other.close();
  });
});
