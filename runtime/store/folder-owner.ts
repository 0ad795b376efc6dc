/**
 * Who owns a data folder: one live process at a time, for as long as it lives.
 *
 * Two Redis servers on one append-only file destroy it, so a server must own the folder before it starts one. A file
 * with a process number is no proof of life: numbers are used again, and mean nothing in another container. What only a
 * live process can do is to answer on a socket: the kernel closes it however the process ends, and a socket in a folder
 * is found by everybody who sees the folder, across the borders of containers. Node has no locks on files; so the lock
 * is made of sockets.
 *
 *   1. A server listens on a socket of its own, under a new random name, and only then gives it its final name in the
 *      folder (`owner-<random>.sock`). Whoever connects is told whether it is a candidate or the owner.
 *   2. It lists the folder once and connects to every other such socket. One that refuses stays dead, because no name
 *      is used twice: it is removed.
 *   3. It gives up if it meets the owner, or a candidate whose name is lower, or one who does not answer. It waits for
 *      candidates with higher names to be gone.
 *   4. Nobody is left: it is the owner. It says so to those who wait for it.
 *
 * The invariant: of two live servers at most one is the owner. Of any two, one got its final name later and lists after
 * that, so it meets the other. If the other is the owner, it gives up. If both are candidates and met each other, the
 * one with the higher name gives up; if only the later one saw the other, the other either has become the owner, which
 * it tells, or still waits and will not give way: the later one gives up if its name is higher, else it waits for the
 * end of the other or hears that it became the owner. Nothing that is alive is ever removed or renamed by others, so
 * there is no moment at which a lock is taken from its holder.
 *
 * Its limits: one kernel (a folder that two machines mount is not seen through), and a file system that has sockets;
 * where it has none a warning says so.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { Log } from '../log.ts';
import { ConfigError } from '../settings.ts';
import type { Time } from '../time.ts';

export interface FolderOwner {
  /** Whether the file system has sockets; if not, nothing is locked. */
  readonly locked: boolean;
  /** Where a socket of this name in the folder is reached: the path itself, or a shorter way to it. */
  socketPath(name: string): string;
  /** Gives the folder back. */
  release(): void;
}

export interface FolderOwnerOptions {
  /** An absolute path of a folder that is there. */
  readonly directory: string;
  readonly time: Time;
  readonly log: Log;
  /** Aborted: waiting for others is given up. */
  readonly signal?: AbortSignal;
}

/** How long a live process may take to say who it is. */
const ANSWER_MS = 5_000;
/** How long a candidate with a higher name may take to give up, ms. */
const RIVAL_MS = 10_000;
/** How often a connection that ends without a word is made again. */
const ATTEMPTS = 5;
/** What a path of a socket may be long, bytes, on every system. */
const LONGEST_PATH = 103;
const FINAL_NAME = /^owner-[0-9a-f]{16}\.sock$/;
const UNFINISHED_NAME = /^owner-[0-9a-f]{16}\.new$/;
/** What `bind` answers where the file system cannot hold sockets. */
const NO_SOCKETS: ReadonlySet<unknown> = new Set(['ENOTSUP', 'EOPNOTSUPP', 'EPERM', 'EINVAL', 'ENOSYS']);

/** What a server says of itself, a line of JSON. */
const Holder = z.object({
  state: z.enum(['candidate', 'owner']),
  pid: z.number(),
  host: z.string(),
  since: z.string(),
});
type Holder = z.infer<typeof Holder>;

/** Becomes the owner. Errors: `ConfigError`, which says who the owner is and what to do; the reason of the signal. */
export async function ownFolder(options: FolderOwnerOptions): Promise<FolderOwner> {
  const { directory, time, log, signal } = options;
  const reach = openWay(directory);
  const name = `owner-${randomBytes(8).toString('hex')}`;
  const self: { -readonly [K in keyof Holder]: Holder[K] } = {
    state: 'candidate',
    pid: process.pid,
    host: hostname(),
    since: new Date(time.now()).toISOString(),
  };
  const callers = new Set<Socket>();
  const tell = (caller: Socket): void => void caller.write(`${JSON.stringify(self)}\n`);
  const server = createServer((caller) => {
    callers.add(caller);
    caller.on('error', () => {});
    caller.once('close', () => callers.delete(caller));
    caller.resume();
    caller.unref();
    tell(caller);
  });
  const release = (): void => {
    rmSync(join(directory, `${name}.sock`), { force: true });
    server.close();
    for (const caller of callers) caller.destroy();
    reach.close();
  };

  try {
    await listenAt(server, reach.path(`${name}.new`));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (!NO_SOCKETS.has(code)) {
      reach.close();
      throw refused(
        directory,
        `no socket can be made there (${code ?? error}); name a folder that this user may write to`,
      );
    }
    log.warn(
      { directory },
      'the file system of the data folder has no sockets: a second server on this folder would not be noticed, and would lose messages',
    );
    return { locked: false, socketPath: reach.path, release: () => reach.close() };
  }
  // It is held by the server, not by what it serves.
  server.unref();
  try {
    chmodSync(join(directory, `${name}.new`), 0o600);
    renameSync(join(directory, `${name}.new`), join(directory, `${name}.sock`));
    const others = readdirSync(directory).filter((other) => FINAL_NAME.test(other) && other !== `${name}.sock`);
    await Promise.all(
      others.map(async (other) => {
        const met = await meet(reach.path(other), time, signal);
        if (met.kind === 'dead') return rmSync(join(directory, other), { force: true });
        if (met.kind !== 'met') {
          throw refused(directory, `a process that does not answer owns it (${other}). ${ADVICE}`);
        }
        await outlast(met, other > name, directory, time, signal);
      }),
    );
  } catch (error) {
    release();
    throw error;
  }
  self.state = 'owner';
  for (const caller of callers) tell(caller);
  // Whoever still prepares one finds the owner, or that its socket is gone.
  for (const other of readdirSync(directory))
    if (UNFINISHED_NAME.test(other)) rmSync(join(directory, other), { force: true });
  return { locked: true, socketPath: reach.path, release };
}

/** Whether a live process listens at a path; `dead`: nobody does, and nobody will. */
export function listens(path: string): Promise<'alive' | 'dead'> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve('alive');
    });
    socket.once('error', (error) =>
      isDead(error) ? resolve('dead') : isBusy(error) ? resolve('alive') : reject(error),
    );
  });
}

interface Met {
  readonly kind: 'met';
  readonly socket: Socket;
  readonly holder: Holder;
}

/** Connects until the other said who it is, or is known to be dead. */
async function meet(
  path: string,
  time: Time,
  signal: AbortSignal | undefined,
): Promise<Met | { readonly kind: 'dead' | 'silent' }> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const answer = await askOnce(path, time, signal);
    if (answer !== 'ended') return answer;
  }
  return { kind: 'silent' };
}

/** `ended`: it took the connection and closed it without a word, as one does that ends or has no descriptors left. */
function askOnce(
  path: string,
  time: Time,
  signal: AbortSignal | undefined,
): Promise<Met | { readonly kind: 'dead' | 'silent' } | 'ended'> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const settle = (answer: Parameters<typeof resolve>[0]): void => {
      cancel();
      signal?.removeEventListener('abort', giveUp);
      if (typeof answer === 'string' || !('socket' in answer)) socket.destroy();
      resolve(answer);
    };
    const giveUp = (): void => {
      socket.destroy();
      cancel();
      reject(signal?.reason);
    };
    const cancel = time.after(ANSWER_MS, () => settle({ kind: 'silent' }));
    signal?.addEventListener('abort', giveUp, { once: true });
    socket.on('error', (error) =>
      settle(isDead(error) ? { kind: 'dead' } : isReset(error) ? 'ended' : { kind: 'silent' }),
    );
    socket.once('close', () => settle('ended'));
    onLines(socket, (holder) => settle(holder === undefined ? { kind: 'silent' } : { kind: 'met', socket, holder }));
  });
}

/** Waits until the other is gone. Errors: it is the owner or becomes it, or has precedence. */
function outlast(
  { socket, holder }: Met,
  givesWay: boolean,
  directory: string,
  time: Time,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      cancel();
      signal?.removeEventListener('abort', giveUp);
      socket.destroy();
      finish();
    };
    const refuse = (by: Holder): void => settle(() => reject(refusedBy(directory, by)));
    const giveUp = (): void => settle(() => reject(signal?.reason));
    const cancel = time.after(RIVAL_MS, () => refuse(holder));
    signal?.addEventListener('abort', giveUp, { once: true });
    socket.once('close', () => settle(resolve));
    onLines(socket, (said) => refuse(said ?? holder));
    if (holder.state === 'owner' || !givesWay) refuse(holder);
  });
}

/** Calls `said` with the last whole line of what came; `undefined`: it is none that a server of Karin says. */
function onLines(socket: Socket, said: (holder: Holder | undefined) => void): void {
  let text = '';
  socket.removeAllListeners('data');
  socket.setEncoding('utf8').on('data', (part: string) => {
    const lines = (text + part).slice(-4096).split('\n');
    text = lines.pop() ?? '';
    const last = lines.at(-1);
    if (last !== undefined) said(readHolder(last));
  });
}

function readHolder(line: string): Holder | undefined {
  try {
    return Holder.safeParse(JSON.parse(line)).data;
  } catch {
    // Not JSON.
    return undefined;
  }
}

const ADVICE =
  'One server per folder: stop that one first, give this one a KARIN_DATA_DIR of its own, or let both share one Redis (REDIS_URL)';

function refusedBy(directory: string, { state, pid, host, since }: Holder): ConfigError {
  const what = state === 'owner' ? 'another server owns this folder' : 'another server is about to own this folder';
  return refused(directory, `${what}: process ${pid} on host ${host}, since ${since}. ${ADVICE}`);
}

function refused(directory: string, why: string): ConfigError {
  return new ConfigError([`KARIN_DATA_DIR=${directory}: ${why}`]);
}

function listenAt(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path }, () => {
      server.off('error', reject);
      // A connection that cannot be accepted is made again by the other.
      server.on('error', () => {});
      resolve();
    });
  });
}

/**
 * The address of a socket has a short bound; where the path of the folder is longer, an open descriptor of it leads
 * there on Linux.
 */
function openWay(directory: string): { readonly path: (name: string) => string; readonly close: () => void } {
  const longest = join(directory, 'owner-0123456789abcdef.sock');
  if (Buffer.byteLength(longest) <= LONGEST_PATH) return { path: (name) => join(directory, name), close: () => {} };
  if (process.platform !== 'linux') {
    throw refused(directory, 'the path is too long for a socket in it; name a folder with a path of at most 75 bytes');
  }
  const descriptor = openSync(directory, 'r');
  let open = true;
  return {
    path: (name) => `/proc/self/fd/${descriptor}/${name}`,
    close: () => {
      if (open) closeSync(descriptor);
      open = false;
    },
  };
}

function isDead(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNREFUSED' || error.code === 'ENOENT');
}

function isReset(error: Error): boolean {
  return 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
}

/** So many wait already that no more are taken. */
function isBusy(error: Error): boolean {
  return 'code' in error && error.code === 'EAGAIN';
}
