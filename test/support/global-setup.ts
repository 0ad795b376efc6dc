/**
 * Runs once before all tests: makes sure that there is a Redis server to start, and installs one if there is none.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { redisServerBinary } from './redis-server.ts';

const HOW_TO =
  'The tests start real Redis servers (7.0 or newer, or Valkey) and found neither redis-server nor valkey-server.\n' +
  '  Debian, Ubuntu:  sudo apt-get install redis-server\n' +
  '  macOS:           brew install redis\n' +
  '  elsewhere:       https://redis.io/docs/latest/operate/oss_and_stack/install/\n' +
  'If it is installed in an unusual place, name it: KARIN_REDIS_SERVER=/path/to/redis-server npm test';

export default function setup(): void {
  if (redisServerBinary() !== undefined) return;
  for (const commands of installers()) {
    if (commands.every(run) && redisServerBinary() !== undefined) return;
  }
  throw new Error(HOW_TO);
}

/** Ways to install a Redis server without asking anybody anything, best first; each is a list of commands. */
function installers(): string[][][] {
  const ways: string[][][] = [];
  if (has('apt-get')) {
    const asRoot = process.getuid?.() === 0 ? [] : has('sudo') ? ['sudo', '-n'] : undefined;
    if (asRoot !== undefined) {
      ways.push([
        [...asRoot, 'apt-get', 'update'],
        [...asRoot, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', 'install', '--yes', 'redis-server'],
      ]);
    }
  }
  if (has('brew')) ways.push([['brew', 'install', 'redis']]);
  return ways;
}

function has(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

function run([program = '', ...args]: string[]): boolean {
  console.log(`no Redis server found; installing one: ${[program, ...args].join(' ')}`);
  return spawnSync(program, args, { stdio: 'inherit' }).status === 0;
}
