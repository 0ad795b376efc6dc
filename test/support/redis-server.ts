/**
 * Real `redis-server` child processes for tests: each on a free port of 127.0.0.1, in a directory of its own.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import { makeCertificate } from './certificates.ts';
import type { FakeClock } from './fake-clock.ts';

export interface RedisServerOptions {
  /** Keep an append-only file, so that `kill` and `restart` lose nothing. Default false: nothing is written to disk. */
  readonly appendOnly?: boolean;
  /**
   * With `appendOnly`: when the file is synced. Default `always`. With `everysec` a write to the file may wait while
   * the disk is busy, and is lost with the process.
   */
  readonly appendFsync?: 'always' | 'everysec';
  /** Starts as a replica of this server; `start` resolves when it has a copy. */
  readonly replicaOf?: RedisServer;
  /** As `maxmemory` takes it, for example `8mb`. Default: no limit. */
  readonly maxMemory?: string;
  /** As `maxmemory-policy` takes it. Default `noeviction`. */
  readonly evictionPolicy?: string;
  /** A node of a cluster, still without slots: see `redis-cluster.ts`. */
  readonly cluster?: boolean;
  /** Requires this password of every connection. */
  readonly password?: string;
  /**
   * Its directory is a file system of its own of so many bytes, which ends with the process: what it kept is gone then.
   * Linux alone, and no right of root is needed.
   */
  readonly diskBytes?: number;
  /** The clock by which it runs; default: that of the machine. */
  readonly clock?: FakeClock;
  /** Speaks TLS alone, with a certificate for `localhost`; a node of a cluster tells others to come by that name. */
  readonly tls?: RedisTls;
}

/** A certificate, as texts and as files that `NODE_EXTRA_CA_CERTS` and redis-server can be pointed to. */
export interface RedisTls {
  readonly authority: string;
  readonly authorityFile: string;
  readonly certificateFile: string;
  readonly keyFile: string;
}

/** Makes an authority and a certificate of it for `localhost`, in this directory. */
export async function makeRedisTls(directory: string): Promise<RedisTls> {
  const authority = makeCertificate({ name: 'An authority of tests', isAuthority: true });
  const own = makeCertificate({ name: 'localhost', issuer: authority });
  const tls = {
    authority: authority.pem,
    authorityFile: join(directory, 'ca.pem'),
    certificateFile: join(directory, 'redis.pem'),
    keyFile: join(directory, 'redis.key'),
  };
  await writeFile(tls.authorityFile, authority.pem);
  await writeFile(tls.certificateFile, own.pem);
  await writeFile(tls.keyFile, own.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return tls;
}

/** Divides every size of a disk that is a multiple of it, so that no room is left. */
const FILLER_PIECE_BYTES = 4_096;

/** How often a port that another process took in the meantime is replaced. */
const PORT_ATTEMPTS = 5;

export class RedisServer {
  readonly port: number;
  readonly #options: RedisServerOptions;
  readonly #directory: string;
  /** Where cluster nodes talk to each other. */
  readonly busPort: number;
  #process: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();
  readonly #lineListeners = new Set<(line: string) => void>();

  private constructor(options: RedisServerOptions, directory: string, port: number, busPort: number) {
    this.#options = options;
    this.#directory = directory;
    this.port = port;
    this.busPort = busPort;
  }

  /** Starts a server and waits until it says that it accepts connections. */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const directory = await mkdtemp(join(tmpdir(), 'karin-redis-'));
    for (let attempt = 1; ; attempt += 1) {
      const [port, busPort] = await freePorts(2);
      const server = new RedisServer(options, directory, port, busPort);
      try {
        await server.#spawn();
        if (options.replicaOf !== undefined) await server.follow(options.replicaOf);
        return server;
      } catch (error) {
        if (attempt === PORT_ATTEMPTS || !String(error).includes('Address already in use')) throw error;
      }
    }
  }

  get url(): string {
    const credentials = this.#options.password === undefined ? '' : `:${encodeURIComponent(this.#options.password)}@`;
    return this.#options.tls === undefined
      ? `redis://${credentials}127.0.0.1:${this.port}`
      : `rediss://${credentials}localhost:${this.port}`;
  }

  /** Makes it a replica of `master`, which it reaches at `port`; resolves when it has a copy. */
  async follow(master: RedisServer, port: number = master.port): Promise<void> {
    const copied = this.logged('MASTER <-> REPLICA sync: Finished with success');
    await this.ask((client) => client.replicaof('127.0.0.1', port));
    await copied;
    // The master counts it as connected with its first acknowledgement.
    await master.ask((client) => client.call('WAIT', 1, 0));
  }

  /** Makes a replica the master of itself, as a fail-over does. */
  promote(): Promise<unknown> {
    return this.ask((client) => client.call('REPLICAOF', 'NO', 'ONE'));
  }

  /** Asks the server by a connection of its own. */
  async ask<T>(question: (client: Redis) => Promise<T>): Promise<T> {
    const { tls } = this.#options;
    const client = new Redis(this.url, tls === undefined ? {} : { tls: { ca: tls.authority } });
    try {
      return await question(client);
    } finally {
      client.disconnect();
    }
  }

  /** Ends the server for good and removes its directory. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** As `kill -9`: what is not in the append-only file is gone. The directory stays, for `restart`. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Starts the server again on the same port and directory, after `kill` or instead of what runs. */
  async restart(): Promise<void> {
    await this.#end('SIGTERM');
    await this.#spawn();
  }

  /** Stops the process from answering without closing its connections, as a network that swallows packets would. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  unfreeze(): void {
    this.#process?.kill('SIGCONT');
  }

  /** Leaves no room in the file system of its directory. Only with `diskBytes`. */
  async fillDisk(): Promise<void> {
    const filler = await open(this.#filler, 'w');
    const piece = Buffer.alloc(FILLER_PIECE_BYTES);
    try {
      for (;;) await filler.write(piece);
    } catch (error) {
      if (!String(error).includes('ENOSPC')) throw error;
    } finally {
      await filler.close();
    }
  }

  /** Gives the room back that `fillDisk` took. */
  async freeDisk(): Promise<void> {
    await rm(this.#filler);
  }

  /** Seen from outside, the file system of the process stands under its root. */
  get #filler(): string {
    return `/proc/${this.#process?.pid}/root${this.#directory}/filler`;
  }

  /** Resolves when the server next logs a line that contains `text`. */
  logged(text: string): Promise<void> {
    return new Promise((resolve) => {
      const listener = (line: string): void => {
        if (!line.includes(text)) return;
        this.#lineListeners.delete(listener);
        resolve();
      };
      this.#lineListeners.add(listener);
    });
  }

  async #spawn(): Promise<void> {
    const [command = '', ...args] = [...this.#through(), redisServerBinary() ?? 'redis-server', ...this.#arguments()];
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.#options.clock?.environment },
    });
    const killWithUs = (): void => {
      child.kill('SIGKILL');
    };
    // Being terminated is no exit as far as Node is concerned, unless somebody makes it one.
    const exit = (): void => process.exit(1);
    process.once('exit', killWithUs);
    process.once('SIGTERM', exit);
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      child.once('close', () => {
        process.removeListener('exit', killWithUs);
        process.removeListener('SIGTERM', exit);
        resolve();
      });
    });
    const log: string[] = [];
    const lines = createInterface({ input: child.stdout });
    createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
    lines.on('line', (line) => {
      for (const listener of [...this.#lineListeners]) listener(line);
    });
    await new Promise<void>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => reject(new Error(`redis-server ended at start:\n${log.join('\n')}`)));
      lines.on('line', (line) => {
        log.push(line);
        if (line.includes('Ready to accept connections')) resolve();
      });
    });
  }

  /** What runs it, in the same process: mounts a file system first that no other process sees. */
  #through(): string[] {
    const { diskBytes } = this.#options;
    if (diskBytes === undefined) return [];
    const mount = `mount -t tmpfs -o size=${diskBytes} none ${this.#directory} && exec "$@"`;
    return ['unshare', '--map-root-user', '--mount', 'sh', '-c', mount, 'sh'];
  }

  #arguments(): string[] {
    const { appendOnly, appendFsync, maxMemory, evictionPolicy, cluster, password, tls } = this.#options;
    return [
      ...(tls === undefined ? ['--port', String(this.port)] : this.#tlsArguments(tls)),
      ...['--bind', '127.0.0.1', '--dir', this.#directory],
      ...['--save', '', '--appendonly', appendOnly === true ? 'yes' : 'no', '--loglevel', 'notice'],
      ...['--appendfsync', appendFsync ?? 'always', '--repl-diskless-sync-delay', '0'],
      ...['--maxmemory', maxMemory ?? '0', '--maxmemory-policy', evictionPolicy ?? 'noeviction'],
      ...(password === undefined ? [] : ['--requirepass', password]),
      ...(cluster === true ? ['--cluster-enabled', 'yes', '--cluster-port', String(this.busPort)] : []),
    ];
  }

  #tlsArguments({ authorityFile, certificateFile, keyFile }: RedisTls): string[] {
    return [
      ...['--port', '0', '--tls-port', String(this.port), '--tls-ca-cert-file', authorityFile],
      ...['--tls-cert-file', certificateFile, '--tls-key-file', keyFile, '--tls-auth-clients', 'no'],
      ...['--tls-replication', 'yes', '--tls-cluster', 'yes'],
      ...(this.#options.cluster === true
        ? ['--cluster-announce-hostname', 'localhost', '--cluster-preferred-endpoint-type', 'hostname']
        : []),
    ];
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#process?.kill('SIGCONT');
    this.#process?.kill(signal);
    await this.#exited;
    this.#process = undefined;
  }
}

/**
 * The server to run: `KARIN_REDIS_SERVER`, else `redis-server` or `valkey-server` of the PATH; `undefined`: there is
 * none.
 */
export function redisServerBinary(): string | undefined {
  const named = process.env['KARIN_REDIS_SERVER'];
  if (named !== undefined && named !== '') return named;
  return ['redis-server', 'valkey-server'].find((name) => spawnSync(name, ['--version']).status === 0);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(2);
  return port;
}

/** Ports that were free a moment ago. */
async function freePorts(count: 2): Promise<[number, number]>;
async function freePorts(count: number): Promise<number[]> {
  const listeners = await Promise.all(
    Array.from({ length: count }, async () => {
      const listener = createServer();
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject);
        listener.listen(0, '127.0.0.1', resolve);
      });
      return listener;
    }),
  );
  return Promise.all(
    listeners.map(async (listener) => {
      const address = listener.address();
      if (address === null || typeof address === 'string') throw new Error('a TCP listener has no port');
      await new Promise((resolve) => listener.close(resolve));
      return address.port;
    }),
  );
}
