/**
 * A private Redis or Valkey server beside this process, for machines without one: `KARIN_EMBEDDED_REDIS=1`.
 *
 * It writes every command to an append-only file and syncs that once a second, so a crash of the machine loses at most
 * the last second; it refuses messages when its memory is full instead of throwing some away; and it listens on
 * loopback, and on a socket in its folder, with a password of its own. If it dies it is started again, and reads its
 * file. One server owns a folder: `folder-owner.ts` says how.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { Log } from '../log.ts';
import { ConfigError } from '../settings.ts';
import type { Cancel, Time } from '../time.ts';
import { type FolderOwner, listens, ownFolder } from './folder-owner.ts';

export interface EmbeddedRedisOptions {
  /** Where the append-only file is kept; made if it does not exist. */
  readonly dataDirectory: string;
  /** `maxmemory`, bytes. */
  readonly maxBytes: number;
  readonly time: Time;
  readonly log: Log;
  /** Aborted: the start is given up, and the server that it started is ended. */
  readonly signal?: AbortSignal;
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

/**
 * Owns the folder, ends what outlived an earlier owner, starts the server and waits until it accepts connections.
 *
 * The invariant: at most one Redis works on a folder. One is started only by the owner of the folder, after no other
 * answers there; the owner starts a next one only after it saw the last one end.
 *
 * Errors: `ConfigError` (another server owns the folder, no Redis is installed, or it does not start); the reason of
 * the signal.
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions): Promise<EmbeddedRedis> {
  const directory = resolve(options.dataDirectory);
  makeDirectory(directory);
  const owner = await ownFolder({ ...options, directory });
  try {
    await endOrphans(directory, owner, options);
    return await startOwned(directory, owner, options);
  } catch (error) {
    owner.release();
    throw error;
  }
}

async function startOwned(
  directory: string,
  owner: FolderOwner,
  options: EmbeddedRedisOptions,
): Promise<EmbeddedRedis> {
  const { time, log, signal, commands = ['valkey-server', 'redis-server'] } = options;
  const password = randomBytes(24).toString('base64url');
  const files = filesOf(randomBytes(8).toString('hex'));
  if (owner.locked) writeFileSync(join(directory, files.secret), password, { mode: 0o600 });
  const port = await freePort();
  const settings = configuration(directory, owner.locked ? files.socket : undefined, port, password, options.maxBytes);

  let stopping = false;
  let cancelRestart: Cancel = () => {};
  let child = await startFirst(commands, settings, time, signal);
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
      if (child.exitCode === null && child.signalCode === null) {
        const gone = once(child, 'exit');
        child.kill('SIGTERM');
        await gone;
      }
      removeFiles(directory, files);
      owner.release();
    },
  };
}

/**
 * Made for this user alone. Of one that is there only what Redis keeps is closed to others: the folder itself may be
 * shared with something else.
 */
function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const kept = join(directory, 'appendonlydir');
    if (existsSync(kept)) chmodSync(kept, 0o700);
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    throw new ConfigError([
      `KARIN_DATA_DIR=${directory}: cannot be made (${why}); name a folder that this user may write to`,
    ]);
  }
}

/** What belongs to one start of the server, in the data folder, and is known by its name. */
interface Files {
  /** Its socket: it is alive exactly as long as that answers, in whatever container it runs. */
  readonly socket: string;
  /** Its password, for whoever owns the folder after its owner was killed. */
  readonly secret: string;
}

const SOCKET_NAME = /^redis-([0-9a-f]{16})\.sock$/;

function filesOf(id: string): Files {
  return { socket: `redis-${id}.sock`, secret: `redis-${id}.secret` };
}

/**
 * Ends servers that outlived a killed process: two on one append-only file would destroy it. Only the owner of the
 * folder may do that, and it ends nothing by its process number, which may belong to anything by now: it asks on the
 * socket that the server made in this folder, with the password that this server was given, and waits until the kernel
 * closes the connection.
 */
async function endOrphans(directory: string, owner: FolderOwner, options: EmbeddedRedisOptions): Promise<void> {
  for (const name of readdirSync(directory)) {
    const id = SOCKET_NAME.exec(name)?.[1];
    if (id === undefined) continue;
    const files = filesOf(id);
    if ((await listens(owner.socketPath(files.socket))) === 'alive') {
      options.log.warn(
        { socket: files.socket },
        'the embedded Redis of an earlier process still runs; it is ended first',
      );
      await shutDown(
        owner.socketPath(files.socket),
        readIfThere(join(directory, files.secret)).trim(),
        directory,
        options,
      );
    }
    removeFiles(directory, files);
  }
  refuseForeign(directory);
}

function shutDown(
  path: string,
  password: string,
  directory: string,
  { time, signal }: EmbeddedRedisOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    let said = '';
    const settle = (finish: () => void): void => {
      cancel();
      signal?.removeEventListener('abort', giveUp);
      socket.destroy();
      finish();
    };
    const giveUp = (): void => settle(() => reject(signal?.reason));
    const cancel = time.after(ORPHAN_MS, () => {
      const why = said.includes('-') ? ` (it says: ${said.trim().slice(-200)})` : '';
      settle(() => reject(stillUsed(directory, `an earlier Redis server does not end${why}`)));
    });
    signal?.addEventListener('abort', giveUp, { once: true });
    socket.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-1000);
    });
    // A connection that is reset was that of a server that ended.
    socket.on('error', () => {});
    socket.once('close', () => settle(resolve));
    socket.write(`AUTH ${password}\r\nSHUTDOWN\r\n`);
  });
}

/**
 * A Redis or Valkey server that works in this folder and was not started for it, or whose socket was removed. Errors:
 * `ConfigError`; it is never ended.
 */
function refuseForeign(directory: string): void {
  const pid = Number(readIfThere(join(directory, PID_FILE)).trim());
  if (!Number.isInteger(pid) || pid <= 0 || !/(redis|valkey)-server/.test(readIfThere(`/proc/${pid}/comm`))) return;
  let folder: string;
  try {
    folder = readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    // It ended, or belongs to another user, who cannot have started it here.
    return;
  }
  if (folder !== realpathSync(directory)) return;
  throw stillUsed(directory, `a Redis server (process ${pid}) works in it that this server did not start`);
}

function stillUsed(directory: string, why: string): ConfigError {
  return new ConfigError([`KARIN_DATA_DIR=${directory}: ${why}; end it by hand, then start again`]);
}

function removeFiles(directory: string, { socket, secret }: Files): void {
  for (const name of [socket, secret]) rmSync(join(directory, name), { force: true });
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // There is none, or it may not be read.
    return '';
  }
}

/** Goes in through standard input, so that the password stands in no list of processes. */
function configuration(
  directory: string,
  socket: string | undefined,
  port: number,
  password: string,
  maxBytes: number,
): string {
  return [
    'bind 127.0.0.1',
    `port ${port}`,
    `requirepass ${password}`,
    `pidfile "${PID_FILE}"`,
    ...(socket === undefined ? [] : [`unixsocket "${socket}"`, 'unixsocketperm 600']),
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

async function startFirst(
  commands: readonly string[],
  settings: string,
  time: Time,
  signal?: AbortSignal,
): Promise<ChildProcess> {
  for (const command of commands) {
    signal?.throwIfAborted();
    const child = await start(command, settings, time, signal);
    if (child !== undefined) return child;
  }
  throw new ConfigError([
    `KARIN_EMBEDDED_REDIS=1: none of ${commands.join(', ')} is installed; install one, or set REDIS_URL instead`,
  ]);
}

/**
 * What the server writes is for its own user alone; only a shell can say so for one child, and it gives way to the
 * server.
 */
const SHELL = 'umask 077; command -v "$0" >/dev/null || exit 127; exec "$0" -';
/** The shell's word for a command that is not there. */
const NO_COMMAND = 127;

/**
 * `undefined`: there is no such command. Errors: `ConfigError`, with what the server wrote, if it does not begin to
 * work; the reason of the signal, once the server is gone.
 */
function start(
  command: string,
  settings: string,
  time: Time,
  signal: AbortSignal | undefined,
): Promise<ChildProcess | undefined> {
  return new Promise((resolve, reject) => {
    // In a process group of its own: Ctrl-C in a terminal must reach it through `stop`, after the messages in hand were
    // stored.
    const child = spawn('/bin/sh', ['-c', SHELL, command], { stdio: ['pipe', 'pipe', 'inherit'], detached: true });
    let written = '';
    let late = false;
    const giveUp = (): void => void child.kill('SIGTERM');
    const settle = (finish: () => void): void => {
      cancel();
      signal?.removeEventListener('abort', giveUp);
      child.removeAllListeners('exit');
      finish();
    };
    const cancel = time.after(START_MS, () => {
      late = true;
      child.kill('SIGKILL');
    });
    signal?.addEventListener('abort', giveUp, { once: true });
    child.once('error', (error) => settle(() => reject(error)));
    child.once('exit', (code) =>
      settle(() => {
        if (signal?.aborted === true) return reject(signal.reason);
        if (code === NO_COMMAND) return resolve(undefined);
        const why = late ? 'did not start in time' : 'ended at once';
        reject(new ConfigError([`the embedded Redis (${command}) ${why}: ${written.trim().slice(-500)}`]));
      }),
    );
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (text: string) => {
      written = (written + text).slice(-4000);
      if (!READY.test(written)) return;
      settle(() => {
        child.stdout.removeAllListeners('data');
        // It goes on to write; what nobody reads would fill the pipe and stop it.
        child.stdout.resume();
        resolve(child);
      });
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
