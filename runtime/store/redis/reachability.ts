import type { Redis } from 'ioredis';
import type { Durability } from '../../settings.ts';
import type { Cancel, Time } from '../../time.ts';
import { type StoreHealth, StoreUnavailableError } from '../store.ts';
import {
  bare,
  isOutOfMemory,
  isPassing,
  isQuota,
  isReadOnly,
  isReply,
  messageOf,
  type RedisCalls,
  refusalOf,
  replyError,
  UnsuitableRedisError,
} from './calls.ts';
import { confirmationProblem, runIdIn } from './confirmations.ts';
import type { RedisConnection } from './connection.ts';
import { probeKey } from './keys.ts';
import { scriptText } from './scripts/script.ts';
import { PROBE } from './scripts/shared.ts';

/** How long the first connection may take. */
const START_TIMEOUT_MS = 10_000;
/**
 * A server that is connected but cannot be examined (it loads its data, its cluster is down) is asked again after this
 * long.
 */
const EXAMINE_AGAIN_MS = 1_000;
/** An unsuitable server is asked again after this long: its operator may have changed a setting of it. */
const RECONSIDER_MS = 15_000;
/** After an examination that found nothing wrong, refused calls cause no other for this long. */
const DOUBT_AGAIN_MS = 5_000;
/** Why a replica is not used. */
const DEMOTED = 'it is a replica, which takes no writes; its address must lead to the master';
/** What is known of the memory of an idle server is good for this long: readiness probes must not keep Redis busy. */
const HEALTH_LASTS_MS = 600_000;

export interface ReachabilityOptions {
  readonly connection: RedisConnection;
  readonly calls: RedisCalls;
  readonly instanceId: string;
  readonly time: Time;
  readonly allowEviction: boolean;
  /** What the server must be able to confirm; default: nothing. */
  readonly durability?: Durability;
  /** Called on each change, not before the first. `refusal`: what the server said, if it is there and refuses calls. */
  readonly changed: (reachable: boolean, refusal: string | undefined) => void;
}

/**
 * Follows the command connection and opens and closes the way for calls.
 *
 *   unreachable   no connection. Calls fail at once. The driver goes on trying.
 *   examining     connected; the server is asked what it is. Calls still fail.
 *   reachable     calls are made.
 *   unsuitable    the server would lose messages or cannot run the scripts. Calls fail and say so. It is examined
 *                 again, less often.
 *
 * A server may begin to refuse every call on a connection that stays open: a hosted plan is used up, a user loses his
 * permissions. One refused call may have a reason of its own, so it only causes an examination, at most one in five
 * seconds; if that is refused as well, the server counts as unreachable until one succeeds.
 *
 * A server that is out of connections closes new ones at once and says why, which the driver does not read. So after
 * each lost connection one more is made that only listens (`unaskedWords`), one at a time, and what it hears is why
 * calls fail, until a connection works or a listener hears nothing.
 *
 * A fail-over may turn the server into a replica without closing its connections. A replica takes no writes, so the
 * connection is given up, whether a call or an examination shows it: only a new one finds out where the address leads
 * now.
 */
export class Reachability {
  readonly #options: ReachabilityOptions;
  #reachable = false;
  #closed = false;
  #connections = 0;
  #servers: readonly ServerInfo[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #callsThen = 0;
  #cancelExamination: Cancel = () => {};
  #doubtedAt = Number.NEGATIVE_INFINITY;
  #refusal: string | undefined;
  /** What the server said unasked when it closed the last connection. */
  #said: Error | undefined;
  #isListening = false;
  #first: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
    const { client } = options.connection;
    client.on('ready', () => {
      this.#said = undefined;
      this.#examine();
    });
    client.on('close', () => {
      this.#lost();
      void this.#listen();
    });
  }

  get reachable(): boolean {
    return this.#reachable;
  }

  /**
   * Connects. Resolves when calls can be made. Errors: `UnsuitableRedisError`, `StoreUnavailableError`; the driver goes
   * on trying until `close`.
   */
  start(): Promise<void> {
    const { connection, time } = this.#options;
    return new Promise((resolve, reject) => {
      const cancel = time.after(START_TIMEOUT_MS, () => this.#first?.reject(new Error('no answer')));
      const settle = (): void => {
        cancel();
        this.#first = undefined;
      };
      this.#first = {
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error instanceof UnsuitableRedisError ? error : this.#unavailable(error));
        },
      };
      connection.client.on('error', (error: Error) => {
        // Of a connection that broke, the listener may hear why.
        if (!isBroken(error)) this.#first?.reject(error);
      });
      // What goes wrong is reported as an error event, with its cause.
      connection.client.connect().catch(() => undefined);
    });
  }

  /** The server takes no writes: it became a replica. */
  demoted(): void {
    if (this.#closed || !this.#reachable) return;
    this.#options.connection.renew(new Error(DEMOTED));
    this.#lost();
  }

  /** What the server said that is there and refuses calls; `undefined`: nothing, or it is not there. */
  get refusal(): string | undefined {
    return this.#refusal;
  }

  /** The server refused a call, for whatever reason. */
  refused(): void {
    const now = this.#options.time.monotonic();
    if (this.#closed || !this.#reachable || now - this.#doubtedAt < DOUBT_AGAIN_MS) return;
    this.#doubtedAt = now;
    this.#examine();
  }

  /** From now on calls fail. Those under way are not touched. */
  stop(): void {
    this.#closed = true;
    this.#cancelExamination();
    this.#options.calls.refuse('the store is closed');
    this.#reachable = false;
  }

  async health(): Promise<StoreHealth> {
    const { connection, calls, time } = this.#options;
    const stale = calls.count !== this.#callsThen || time.monotonic() - this.#readAt > HEALTH_LASTS_MS;
    const faults: string[] = [];
    if (this.#reachable && stale) {
      try {
        this.#learned(await Promise.all(connection.servers().map(readServerInfo)));
      } catch (error) {
        faults.push(`Redis did not say how it is: ${messageOf(error)}`);
      }
    }
    if (!this.#reachable) faults.push(calls.refusal ?? 'Redis cannot be reached');
    const usedBytes = sum(this.#servers.map((server) => server.usedBytes));
    const maxBytes = sum(this.#servers.map((server) => server.maxBytes));
    return {
      reachable: this.#reachable,
      warnings: [
        ...new Set([...faults, ...this.#servers.flatMap(({ warnings }) => warnings), ...this.#missingReplicas()]),
      ],
      ...(usedBytes === undefined ? {} : { usedBytes }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
      description: this.#description(),
    };
  }

  #missingReplicas(): readonly string[] {
    const { durability } = this.#options;
    if (durability?.kind !== 'replica') return [];
    const least = Math.min(...this.#servers.map(({ replicas = durability.replicas }) => replicas));
    if (least >= durability.replicas) return [];
    return [
      `Redis has ${least} replicas connected and KARIN_DURABILITY waits for ${durability.replicas}: sends fail until there are as many`,
    ];
  }

  #examine(): void {
    const { connection, calls, time } = this.#options;
    this.#cancelExamination();
    this.#connections += 1;
    const number = this.#connections;
    const current = (): boolean => number === this.#connections && !this.#closed;
    examine(this.#options).then(
      ({ shebang, servers }) => {
        if (!current()) return;
        this.#learned(servers);
        calls.allow(shebang);
        this.#set(true);
        this.#first?.resolve();
      },
      (error: Error) => {
        if (!current()) return;
        this.#first?.reject(isReadOnly(messageOf(error)) ? new Error(DEMOTED) : error);
        const refusal = refusalIn(error);
        if (error instanceof UnsuitableRedisError) {
          calls.refuse(error.message);
          this.#cancelExamination = time.after(RECONSIDER_MS, () => this.#examine());
        } else if (isReadOnly(messageOf(error))) {
          const replica = new Error(DEMOTED);
          calls.refuse(this.#unavailable(replica).message);
          this.#cancelExamination = time.after(EXAMINE_AGAIN_MS, () => connection.renew(replica));
        } else {
          calls.refuse(this.#unavailable(error).message);
          // Some plans count what they refuse.
          const laterMs = isQuota(messageOf(error)) ? RECONSIDER_MS : EXAMINE_AGAIN_MS;
          this.#cancelExamination = time.after(laterMs, () => this.#examine());
        }
        // Anybody may read it; where the server is, only its operator.
        this.#set(false, refusal?.replaceAll(connection.display, 'its address'));
      },
    );
  }

  #lost(): void {
    this.#connections += 1;
    this.#cancelExamination();
    this.#down();
  }

  #down(): void {
    if (this.#closed) return;
    const { connection, calls } = this.#options;
    const fault = this.#said ?? connection.lastFault ?? new Error('the connection was closed');
    calls.refuse(this.#unavailable(fault).message);
    this.#set(false, refusalIn(fault)?.replaceAll(connection.display, 'its address'));
  }

  /** After a lost connection: hears whether the server says why. */
  async #listen(): Promise<void> {
    if (this.#isListening || this.#closed) return;
    this.#isListening = true;
    const { connection } = this.#options;
    const words = await connection.unaskedWords();
    this.#isListening = false;
    // Meanwhile another connection may have been made, or lost.
    if (connection.client.status === 'ready' || this.#closed) return;
    this.#said = words === undefined ? undefined : replyError(words);
    const fault = this.#said ?? connection.lastFault;
    this.#down();
    if (fault !== undefined) this.#first?.reject(fault);
  }

  #set(reachable: boolean, refusal?: string): void {
    if (reachable === this.#reachable && refusal === this.#refusal) return;
    this.#reachable = reachable;
    this.#refusal = refusal;
    this.#options.changed(reachable, refusal);
  }

  #learned(servers: readonly ServerInfo[]): void {
    this.#servers = servers;
    this.#readAt = this.#options.time.monotonic();
    this.#callsThen = this.#options.calls.count;
  }

  #unavailable(error: Error): StoreUnavailableError {
    const { display } = this.#options.connection;
    const refusal = refusalIn(error);
    const text =
      refusal === undefined
        ? `cannot reach Redis at ${display}: ${messageOf(error)}`
        : `Redis at ${display} refuses calls: ${refusal}`;
    return new StoreUnavailableError(text, { cause: bare(error) });
  }

  #description(): string {
    const [first] = this.#servers;
    if (first === undefined) return 'redis';
    const { connection, durability } = this.#options;
    const kind = connection.standalone ? 'standalone' : `cluster of ${this.#servers.length} masters`;
    return `${first.description}, ${kind}${durability === undefined ? '' : `, ${promiseOf(durability)}`}`;
  }
}

function promiseOf(durability: Durability): string {
  if (durability.kind === 'fsync') return 'each send is synced to disk';
  return `each send is on ${durability.replicas} ${durability.replicas === 1 ? 'replica' : 'replicas'}`;
}

/** Whether the other side closed the connection while something was written. */
function isBroken(error: Error): boolean {
  return 'code' in error && (error.code === 'EPIPE' || error.code === 'ECONNRESET');
}

/** What the server itself said; `undefined`: the connection failed. */
function refusalIn(error: Error): string | undefined {
  return isReply(error) || error instanceof UnsuitableRedisError ? refusalOf(error.message) : undefined;
}

/** `undefined` if a part is unknown or there is none. */
function sum(parts: readonly (number | undefined)[]): number | undefined {
  let total: number | undefined;
  for (const part of parts) {
    if (part === undefined) return undefined;
    total = (total ?? 0) + part;
  }
  return total;
}

/*
 * What kind of server answers, and whether Karin's messages are safe there. Asked on every new connection, because a
 * fail-over or an upgrade may change it.
 */

interface Capabilities {
  /** Whether scripts may begin with a line of flags. */
  readonly shebang: boolean;
  readonly servers: readonly ServerInfo[];
}

/**
 * Examines all servers.
 *
 * Errors: `UnsuitableRedisError`, all problems at once; what the driver says if a server cannot be asked.
 */
async function examine({
  connection,
  instanceId,
  allowEviction,
  durability,
}: ReachabilityOptions): Promise<Capabilities> {
  const servers = await Promise.all(connection.servers().map(readServerInfo));
  const problems = new Set<string>();
  for (const server of servers) {
    if (server.evictionPolicy?.startsWith('allkeys-') === true && !allowEviction) {
      problems.add(
        `the eviction policy of Redis is ${server.evictionPolicy}, which throws away messages when memory runs short: ` +
          'set maxmemory-policy to noeviction, or allow the eviction policy explicitly if losing messages is acceptable',
      );
    }
    if (server.clusterNode && connection.standalone) {
      problems.add(
        `the server at ${connection.display} is a node of a cluster: give the URLs of two or more of its nodes, separated by commas, or add ?cluster=true to the one that leads to all`,
      );
    }
  }
  let shebang = true;
  if (problems.size === 0) {
    try {
      shebang = await probe(connection, instanceId);
    } catch (error) {
      if (!isVerdict(error)) throw error;
      problems.add(
        `Karin needs Redis 7.0 or newer, Valkey, or a compatible server, and ${servers[0]?.description ?? 'this one'} refused a script that it needs: ${messageOf(error)}`,
      );
    }
  }
  if (problems.size === 0 && durability !== undefined) {
    for (const [at, server] of connection.servers().entries()) {
      const problem = await confirmationProblem(server, durability, servers[at] ?? (await readServerInfo(server)));
      if (problem !== undefined) problems.add(problem);
    }
  }
  if (problems.size > 0) throw new UnsuitableRedisError([...problems].join('; '));
  return { shebang, servers };
}

/**
 * Runs a script made of everything that came to Redis last, which proves more than a version string of a compatible
 * server does. Answers whether scripts may carry flags. Throws the server's error if it cannot run the script at all.
 */
async function probe({ client }: RedisConnection, instanceId: string): Promise<boolean> {
  const run = (shebang: boolean): Promise<unknown> =>
    client.callBuffer('eval', [scriptText(PROBE, shebang), 1, probeKey(instanceId)]);
  try {
    await run(true);
    return true;
  } catch (error) {
    if (!isVerdict(error)) throw error;
  }
  try {
    await run(false);
  } catch (error) {
    // Without flags a full server refuses every script that writes: that says nothing about what it can do.
    if (!isOutOfMemory(messageOf(error))) throw error;
  }
  return false;
}

/**
 * Whether the server itself said so, of what it is and not of how it is just now, rather than the driver about the
 * connection.
 */
function isVerdict(error: unknown): boolean {
  return isReply(error) && !isPassing(messageOf(error)) && !isQuota(messageOf(error));
}

/** What INFO says about one server, as far as it matters here. Managed servers hide parts of it. */
export interface ServerInfo {
  /** For example `redis 7.0.15`. */
  readonly description: string;
  readonly clusterNode: boolean;
  /** Names the process. */
  readonly runId?: string;
  /** How many are connected. */
  readonly replicas?: number;
  readonly evictionPolicy?: string;
  readonly usedBytes?: number;
  /** Absent: no limit is set, or it is hidden. */
  readonly maxBytes?: number;
  /** In plain words, what endangers messages. */
  readonly warnings: readonly string[];
}

/** From this share of its memory limit on a server counts as nearly full. */
const NEARLY_FULL = 0.9;

/** Asks one server; one command. A server that does not permit INFO is described as far as that goes. */
async function readServerInfo(server: Redis): Promise<ServerInfo> {
  try {
    return parseServerInfo(await server.info());
  } catch (error) {
    if (!messageOf(error).startsWith('NOPERM')) throw error;
    return {
      description: 'a Redis server that does not permit INFO',
      clusterNode: false,
      warnings: ['Redis does not permit INFO: its eviction policy, memory and persistence are unknown'],
    };
  }
}

/** Reads the reply of INFO. */
function parseServerInfo(text: string): ServerInfo {
  const fields = new Map(
    text.split('\r\n').flatMap((line): [string, string][] => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
  const valkey = fields.get('valkey_version');
  const usedBytes = positive(fields.get('used_memory'));
  const maxBytes = positive(fields.get('maxmemory'));
  const runId = runIdIn(text);
  const replicas = fields.get('connected_slaves');
  const evictionPolicy = fields.get('maxmemory_policy');
  return {
    description:
      valkey === undefined ? `redis ${fields.get('redis_version') ?? '(version hidden)'}` : `valkey ${valkey}`,
    clusterNode: fields.get('cluster_enabled') === '1',
    ...(runId === undefined ? {} : { runId }),
    ...(replicas === undefined ? {} : { replicas: Number(replicas) }),
    ...(evictionPolicy === undefined ? {} : { evictionPolicy }),
    ...(usedBytes === undefined ? {} : { usedBytes }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    warnings: [
      ...evictionWarnings(evictionPolicy),
      ...persistenceWarnings(fields),
      ...memoryWarnings(usedBytes, maxBytes),
    ],
  };
}

function evictionWarnings(policy: string | undefined): string[] {
  if (policy === undefined) return ['the eviction policy of Redis is unknown: it must be noeviction'];
  if (policy.startsWith('allkeys-')) {
    return [`the eviction policy of Redis is ${policy}: messages are thrown away when memory runs short`];
  }
  if (policy.startsWith('volatile-')) {
    return [
      `the eviction policy of Redis is ${policy}: when memory runs short, deduplication ids of FIFO queues are forgotten early`,
    ];
  }
  return [];
}

function persistenceWarnings(fields: ReadonlyMap<string, string>): string[] {
  const warnings: string[] = [];
  if (fields.get('aof_enabled') === '0') {
    warnings.push(
      'Redis keeps no append-only file: a restart loses messages, at best only those since the last snapshot',
    );
  }
  if (fields.get('aof_last_write_status') === 'err') warnings.push('Redis cannot write its append-only file');
  if (fields.get('rdb_last_bgsave_status') === 'err') warnings.push('Redis cannot write its snapshot');
  return warnings;
}

function memoryWarnings(usedBytes: number | undefined, maxBytes: number | undefined): string[] {
  if (usedBytes === undefined || maxBytes === undefined || usedBytes < NEARLY_FULL * maxBytes) return [];
  return [`Redis uses ${Math.round((100 * usedBytes) / maxBytes)} % of its memory limit`];
}

function positive(text: string | undefined): number | undefined {
  const number = Number(text);
  return number > 0 ? number : undefined;
}
