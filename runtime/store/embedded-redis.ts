/**
 * A private Redis or Valkey server beside this process, for machines without one: `KARIN_EMBEDDED_REDIS=1`.
 *
 * It writes every command to an append-only file and syncs that once a second, so a crash of the machine loses at most the last second; it refuses messages when its
 * memory is full instead of throwing some away; and it listens on loopback with a password of its own. If it dies it is started again, and reads its file.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { ConfigError } from '../config.ts';
import type { Log } from '../log.ts';
import type { Cancel, Time } from '../time.ts';

export interface EmbeddedRedisOptions {
  /** Where the append-only file is kept; made if it does not exist. */
  readonly dataDirectory: string;
  /** `maxmemory`, bytes. */
  readonly maxBytes: number;
  readonly time: Time;
  readonly log: Log;
  /** Commands to try, in this order; default: Valkey, then Redis. */
  readonly commands?: readonly string[];
}

export interface EmbeddedRedis {
  /** With its password: a secret. */
  readonly url: string;
  readonly pid: number | undefined;
  /** Lets it write its file to the end and waits until it is gone. */
  stop(): Promise<void>;
}

/** The last line of its start, in the words of Redis and of Valkey. */
const READY = /Ready to accept connections/;
/** Reading a large append-only file takes its time. */
const START_MS = 60_000;
const RESTART_MS = 1000;
const PID_FILE = 'redis.pid';
/** How long an orphan may take to write its file to the end. */
const ORPHAN_MS = 20_000;
const ORPHAN_LOOK_MS = 100;

/** Starts the server and waits until it accepts connections. Errors: `ConfigError` (no server is installed, or it does not start). */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const { time, log, commands = ['valkey-server', 'redis-server'] } = options;
  const directory = resolve(options.dataDirectory);
  makeDirectory(directory);
  await endOrphan(join(directory, PID_FILE), time, log);
  const password = randomBytes(24).toString('base64url');
  const port = await freePort();
  const settings = configuration(directory, port, password, options.maxBytes);

  let stopping = false;
  let cancelRestart: Cancel = () => {};
  let child = await startFirst(commands, settings, time);
  const watch = (): void => {
    child.once('exit', (code, signal) => {
      if (stopping) return;
      log.error({ code, signal }, 'the embedded Redis ended unexpectedly; it is started again');
      cancelRestart = time.after(RESTART_MS, restart);
    });
  };
  const restart = (): void => {
    startFirst(commands, settings, time).then(
      (started) => {
        child = started;
        if (stopping) child.kill('SIGTERM');
        else watch();
      },
      (error: unknown) => {
        log.error({ err: error }, 'the embedded Redis does not start; it is tried again');
        if (!stopping) cancelRestart = time.after(RESTART_MS, restart);
      },
    );
  };
  watch();

  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    get pid() {
      return child.pid;
    },
    stop: async () => {
      stopping = true;
      cancelRestart();
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new ConfigError([
      `KARIN_DATA_DIR=${directory}: cannot be made (${why}); name a folder that this user may write to`,
    ]);
  }
}

/**
 * Ends a server that outlived a killed process: two on one append-only file would destroy it. The pid file is removed by a server that ends in good order.
 */
async function endOrphan(pidFile: string, time: Time, log: Log): Promise<void> {
  const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, 'utf8').trim()) : Number.NaN;
  if (!Number.isInteger(pid) || !isRedis(pid)) return;
  log.warn({ pid }, 'the embedded Redis of an earlier process still runs; it is ended first');
  process.kill(pid, 'SIGTERM');
  const giveUpAt = time.monotonic() + ORPHAN_MS;
  while (isRedis(pid)) {
    if (time.monotonic() > giveUpAt) {
      throw new ConfigError([
        `an earlier Redis server (process ${pid}) still uses the data directory and does not end; end it by hand`,
      ]);
    }
    await new Promise<void>((resolve) => time.after(ORPHAN_LOOK_MS, resolve));
  }
}

/** Whether the process is a Redis or Valkey server: after a restart of the machine its number may belong to anything. */
function isRedis(pid: number): boolean {
  const { stdout } = existsSync('/proc/self/comm')
    ? { stdout: readIfThere(`/proc/${pid}/comm`) }
    : spawnSync('ps', ['-p', `${pid}`, '-o', 'comm='], { encoding: 'utf8' });
  return /(redis|valkey)-server/.test(stdout);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The process is gone.
    return '';
  }
}

/** Goes in through standard input, so that the password stands in no list of processes. */
function configuration(directory: string, port: number, password: string, maxBytes: number): string {
  return [
    'bind 127.0.0.1',
    `port ${port}`,
    `requirepass ${password}`,
    `pidfile "${PID_FILE}"`,
    `dir "${directory.replace(/["\\]/g, '\\$&')}"`,
    'appendonly yes',
    'appendfsync everysec',
    // A crash can cut the last write short; the rest of the file is whole.
    'aof-load-truncated yes',
    'save ""',
    `maxmemory ${maxBytes}`,
    'maxmemory-policy noeviction',
    'daemonize no',
    'logfile ""',
    '',
  ].join('\n');
}

async function startFirst(commands: readonly string[], settings: string, time: Time): Promise<ChildProcess> {
  for (const command of commands) {
    const child = await start(command, settings, time);
    if (child !== undefined) return child;
  }
  throw new ConfigError([
    `KARIN_EMBEDDED_REDIS=1: none of ${commands.join(', ')} is installed; install one, or set REDIS_URL instead`,
  ]);
}

/** `undefined`: there is no such command. Errors: `ConfigError`, with what the server wrote, if it does not begin to work. */
function start(command: string, settings: string, time: Time): Promise<ChildProcess | undefined> {
  return new Promise((resolve, reject) => {
    // In a process group of its own: Ctrl-C in a terminal must reach it through `stop`, after the messages in hand were stored.
    const child = spawn(command, ['-'], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    let written = '';
    const fail = (why: string): void => {
      cancel();
      child.kill('SIGKILL');
      reject(new ConfigError([`the embedded Redis (${command}) ${why}: ${written.trim().slice(-500)}`]));
    };
    const cancel = time.after(START_MS, () => fail('did not start in time'));
    child.once('error', (error) => {
      cancel();
      if ('code' in error && error.code === 'ENOENT') resolve(undefined);
      else reject(error);
    });
    child.once('exit', () => fail('ended at once'));
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      written = (written + text).slice(-4000);
      if (!READY.test(written)) return;
      cancel();
      child.removeAllListeners('exit');
      child.stdout.removeAllListeners('data');
      // It goes on to write; what nobody reads would fill the pipe and stop it.
      child.stdout.resume();
      resolve(child);
    });
    // A server that ended before it read its settings is reported by its exit.
    child.stdin.on('error', () => {});
    child.stdin.end(settings);
  });
}

/** A port of loopback that nobody uses now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  // `address()` is an AddressInfo for every server that listens on a port.
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
