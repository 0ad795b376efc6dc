import type { Cancel, Time } from '../../time.ts';
import { type StoreHealth, StoreUnavailableError } from '../store.ts';
import type { RedisCalls } from './calls.ts';
import { examine } from './capabilities.ts';
import type { RedisConnection } from './connection.ts';
import { bare, isQuota, isReadOnly, isReply, messageOf, refusalOf, UnsuitableRedisError } from './errors.ts';
import { readServerInfo, type ServerInfo } from './server-info.ts';

/** How long the first connection may take. */
const START_TIMEOUT_MS = 10_000;
/** A server that is connected but cannot be examined (it loads its data, its cluster is down) is asked again after this long. */
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
  /** Called on each change, not before the first. `refusal`: what the server said, if it is there and refuses calls. */
  readonly changed: (reachable: boolean, refusal: string | undefined) => void;
}

/**
 * Follows the command connection and opens and closes the way for calls.
 *
 *   unreachable   no connection. Calls fail at once. The driver goes on trying.
 *   examining     connected; the server is asked what it is. Calls still fail.
 *   reachable     calls are made.
 *   unsuitable    the server would lose messages or cannot run the scripts. Calls fail and say so. It is examined again, less often.
 *
 * A server may begin to refuse every call on a connection that stays open: a hosted plan is used up, a user loses his permissions. One refused call may have a reason
 * of its own, so it only causes an examination, at most one in five seconds; if that is refused as well, the server counts as unreachable until one succeeds.
 *
 * A fail-over may turn the server into a replica without closing its connections. A replica takes no writes, so the connection is given up, whether a call
 * or an examination shows it: only a new one finds out where the address leads now.
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
  #first: { resolve: () => void; reject: (error: Error) => void } | undefined;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
    const { client } = options.connection;
    client.on('ready', () => this.#examine());
    client.on('close', () => this.#lost());
  }

  get reachable(): boolean {
    return this.#reachable;
  }

  /** Connects. Resolves when calls can be made. Errors: `UnsuitableRedisError`, `StoreUnavailableError`; the driver goes on trying until `close`. */
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
        if (!isBroken(error)) return this.#first?.reject(error);
        const first = this.#first;
        void connection.unaskedWords().then((words) => first?.reject(words === undefined ? error : new Error(words)));
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
      warnings: [...new Set([...faults, ...this.#servers.flatMap(({ warnings }) => warnings)])],
      ...(usedBytes === undefined ? {} : { usedBytes }),
      ...(maxBytes === undefined ? {} : { maxBytes }),
      description: this.#description(),
    };
  }

  #examine(): void {
    const { connection, calls, instanceId, allowEviction, time } = this.#options;
    this.#cancelExamination();
    this.#connections += 1;
    const number = this.#connections;
    const current = (): boolean => number === this.#connections && !this.#closed;
    examine(connection, instanceId, allowEviction).then(
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
    if (this.#closed) return;
    const fault = this.#options.connection.lastFault ?? new Error('the connection was closed');
    this.#options.calls.refuse(this.#unavailable(fault).message);
    this.#set(false);
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
    const { standalone } = this.#options.connection;
    return `${first.description}, ${standalone ? 'standalone' : `cluster of ${this.#servers.length} masters`}`;
  }
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
