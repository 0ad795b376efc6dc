/**
 * What `npm test` does on a machine without a Redis server, with a PATH on which the programs of such a machine are
 * scripts that write down what they are asked.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const SETUP = pathToFileURL(join(import.meta.dirname, 'global-setup.ts')).href;

let bin: string;

beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'karin-bin-'));
  symlinkSync('/usr/bin/env', join(bin, 'env'));
});
afterEach(() => rmSync(bin, { recursive: true }));

/** A program that notes its arguments, and then does what `body` says, lines of sh; every program knows its version. */
function program(name: string, body = ''): void {
  const path = join(bin, name);
  writeFileSync(path, `#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "${name} $*" >> ${join(bin, 'log')}\n${body}\n`);
  chmodSync(path, 0o755);
}

/** Lines of sh that put a Redis server on the PATH. */
const INSTALL = () => {
  const server = join(bin, 'redis-server');
  return `printf '#!/bin/sh\\nexit 0\\n' > ${server}; /bin/chmod 755 ${server}`;
};

function setUp(variables: Readonly<Record<string, string>> = {}) {
  const script = `import setup from ${JSON.stringify(SETUP)}; setup();`;
  const args = ['--import', 'tsx', '--input-type', 'module', '--eval', script];
  const { status, stderr } = spawnSync(process.execPath, args, { env: { PATH: bin, ...variables }, encoding: 'utf8' });
  const log = join(bin, 'log');
  const asked = existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : [];
  return { status, stderr, asked };
}

describe('npm test', () => {
  it.each(['redis-server', 'valkey-server'])('installs nothing where there is a %s', (name) => {
    program(name);
    program('apt-get', INSTALL());
    expect(setUp()).toMatchObject({ status: 0, asked: [] });
  });

  it('takes the server that it is told', () => {
    expect(setUp({ KARIN_REDIS_SERVER: '/opt/redis/redis-server' })).toMatchObject({ status: 0, asked: [] });
  });

  it('installs one with apt, as root or by a sudo that asks nothing', () => {
    program('sudo', 'shift; exec "$@"');
    program('apt-get', `[ "$1" = install ] && { ${INSTALL()}; }; exit 0`);
    const { status, asked } = setUp();
    expect(status).toBe(0);
    expect(asked.filter((line) => line.startsWith('apt-get'))).toEqual([
      'apt-get update',
      'apt-get install --yes redis-server',
    ]);
    for (const line of asked.filter((one) => one.startsWith('sudo'))) expect(line).toMatch(/^sudo -n /);
  });

  it('installs one with brew', () => {
    program('brew', INSTALL());
    expect(setUp()).toMatchObject({ status: 0, asked: ['brew install redis'] });
  });

  it('tries the next way where one fails', () => {
    program('sudo', 'shift; exec "$@"');
    program('apt-get', 'exit 100');
    program('brew', INSTALL());
    const { status, asked } = setUp();
    expect(status).toBe(0);
    expect(asked.at(-1)).toBe('brew install redis');
  });

  it.each([
    ['there is no way to install one', () => {}],
    ['installing fails', () => program('brew', 'exit 1')],
    ['what was installed is not there', () => program('brew')],
  ])('says exactly what to do where %s', (_, prepare) => {
    prepare();
    const { status, stderr } = setUp();
    expect(status).not.toBe(0);
    expect(stderr).toContain('found neither redis-server nor valkey-server');
    expect(stderr).toContain('sudo apt-get install redis-server');
    expect(stderr).toContain('brew install redis');
    expect(stderr).toContain('KARIN_REDIS_SERVER=/path/to/redis-server npm test');
  });
});
