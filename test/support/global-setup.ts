/**
 * Runs once before all tests: makes sure that there is a Redis server to start, and on Linux the library that sets the
 * clocks of single processes. What is missing is installed.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { fakeClockLibrary } from './fake-clock.ts';
import { redisServerBinary } from './redis-server.ts';

const HOW_TO =
  'The tests start real Redis servers (7.0 or newer, or Valkey) and found neither redis-server nor valkey-server.\n' +
  '  Debian, Ubuntu:  sudo apt-get install redis-server\n' +
  '  macOS:           brew install redis\n' +
  '  elsewhere:       https://redis.io/docs/latest/operate/oss_and_stack/install/\n' +
  'If it is installed in an unusual place, name it: KARIN_REDIS_SERVER=/path/to/redis-server npm test';

export default function setup(): void {
  const hasClock = (): boolean => process.platform !== 'linux' || fakeClockLibrary() !== undefined;
  // Without it the tests of clocks fail by themselves, and say what to do.
  install('libfaketime', 'libfaketime', hasClock);
  if (!install('redis-server', 'redis', () => redisServerBinary() !== undefined)) throw new Error(HOW_TO);
}

/** Whether it is there, or could be installed: `packageName` by apt, `formula` by brew. */
function install(packageName: string, formula: string, isThere: () => boolean): boolean {
  return isThere() || installers(packageName, formula).some((commands) => commands.every(run) && isThere());
}

/** Ways to install something without asking anybody anything, best first; each is a list of commands. */
function installers(packageName: string, formula: string): string[][][] {
  const ways: string[][][] = [];
  if (has('apt-get')) {
    const asRoot = process.getuid?.() === 0 ? [] : has('sudo') ? ['sudo', '-n'] : undefined;
    if (asRoot !== undefined) {
      ways.push([
        [...asRoot, 'apt-get', 'update'],
        [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '--yes', packageName],
      ]);
    }
  }
  if (has('brew')) ways.push([['brew', 'install', formula]]);
  return ways;
}

function has(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run([program = '', ...args]: string[]): boolean {
  console.log(`something that the tests need is missing; installing it: ${[program, ...args].join(' ')}`);
  return spawnSync(program, args, { stdio: 'inherit' }).status === 0;
}
