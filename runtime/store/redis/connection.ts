/**
 * The connections to Redis: one for commands (to one server, or to every node of a cluster) and one that only listens.
 *
 * Where Sentinels look after a master and its replicas, each connection asks them first where the master is. After a
 * fail-over the old one is gone, or refuses writes as a replica, so the connection is made anew (`reachability.ts`) and
 * leads to the new master.
 *
 * @module
 */

import { connect } from 'node:net';
import slotOf from 'cluster-key-slot';
import { Cluster, Redis } from 'ioredis';
import { backOff, type Pauses } from '../../retry.ts';
import type { RedisAddress } from '../../settings.ts';
import type { Randomness } from '../../time.ts';
import type { QueueKey } from '../store.ts';
import { queueKeys } from './keys.ts';

/** Answers come within milliseconds; after this long the caller is told that Redis cannot be reached. */
const COMMAND_TIMEOUT_MS = 5_000;
/** A socket that owes answers and has been silent for this long is dead, though nobody closed it: a new one is made. */
const SOCKET_TIMEOUT_MS = 6_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Between attempts to connect. */
export const RECONNECTS: Pauses = { firstMs: 50, longestMs: 2_000 };
const UNASKED_MS = 500;
/** Each round of a command through a cluster waits 100 ms after a lost node; a call should fail within a second. */
const CLUSTER_REDIRECTIONS = 6;

export class RedisConnection {
  readonly client: Redis | Cluster;
  /** For people: where it leads, without credentials. */
  readonly display: string;
  /** The last fault that the driver reported; `undefined` once a connection works. */
  lastFault: Error | undefined;
  readonly #addresses: readonly [RedisAddress, ...RedisAddress[]];
  readonly #options: ReturnType<typeof commonOptions>;
  #listeners = 0;
  #gathering = false;

  /**
   * Connects only when `connect` is called. One address: a single server, unless it says that it is a cluster; several:
   * a cluster, unless they are those of Sentinels.
   */
  constructor(addresses: readonly [RedisAddress, ...RedisAddress[]], instanceId: string, randomness: Randomness) {
    const [first] = addresses;
    this.#addresses = addresses;
    const { sentinel } = first;
    this.display = `${addresses.map(displayAddress).join(', ')}${sentinel === undefined ? '' : ` (master '${sentinel.master}')`}`;
    this.#options = commonOptions(first, instanceId);
    const retry = (attempt: number): number => Math.round(backOff(RECONNECTS, attempt - 1, randomness));
    const isCluster = sentinel === undefined && (addresses.length > 1 || first.cluster === true);
    this.client = isCluster ? this.#cluster(retry) : this.#standalone(first, retry);
    this.client.on('error', (error: Error) => {
      this.lastFault = error;
    });
    this.client.on('ready', () => {
      this.lastFault = undefined;
    });
  }

  get standalone(): boolean {
    return !(this.client instanceof Cluster);
  }

  get database(): number {
    return this.#addresses[0].database;
  }

  /** The servers that hold data: one, or every master of the cluster. */
  servers(): readonly Redis[] {
    return this.client instanceof Cluster ? this.client.nodes('master') : [this.client];
  }

  /** The server that has the keys of a queue; in a cluster the master of its slot, as far as is known. */
  nodeOf(queue: QueueKey): Redis | undefined {
    if (!(this.client instanceof Cluster)) return this.client;
    const [master] = this.client.slots[slotOf(queueKeys(queue).due)] ?? [];
    return this.client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === master);
  }

  /** Asks a cluster again which node has what. */
  learnSlots(): void {
    // Without an answer the present map stays; the driver asks again by itself.
    if (this.client instanceof Cluster) this.client.refreshSlotsCache(() => {});
  }

  /**
   * Why the server closes connections at once, such as "max number of clients reached": it says so unasked, and the
   * driver, which writes first, reads only that the connection broke. So one is made that only listens. `undefined`:
   * nothing was said within half a second, or only TLS is spoken.
   */
  unaskedWords(): Promise<string | undefined> {
    const { host, port, tls, sentinel } = this.#addresses[0];
    // The master is not known while nobody is connected to it.
    if (tls || sentinel !== undefined) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const socket = connect({ host, port, timeout: UNASKED_MS });
      let said = '';
      socket.setEncoding('latin1').on('data', (text: string) => {
        said = (said + text).slice(0, 200);
        if (said.includes('\n')) socket.destroy();
      });
      socket.on('timeout', () => socket.destroy());
      socket.on('error', () => {});
      socket.once('close', () => resolve(/^-([^\r\n]+)/.exec(said)?.[1]));
    });
  }

  /** Gives the connection up, for this reason, and makes a new one, which may lead to another server. */
  renew(fault: Error): void {
    this.lastFault = fault;
    this.client.disconnect(true);
  }

  /**
   * Lets the commands that are sent from now to the end of this turn of the event loop leave in one write: under load a
   * write to the socket costs more than all else that is done for a command. A command alone leaves at the end of the
   * turn, which has no wait in it. A cluster's nodes each have a socket of their own; there it does nothing.
   */
  gather(): void {
    if (this.#gathering || this.client instanceof Cluster) return;
    const { stream } = this.client;
    this.#gathering = true;
    stream.cork();
    setImmediate(() => {
      this.#gathering = false;
      stream.uncork();
    });
  }

  /**
   * A new, unconnected client for subscriptions. In a cluster each call chooses the next node, because every node
   * passes on every message.
   */
  listener(): Redis {
    const nodes = this.#nodes();
    const node = nodes[this.#listeners % nodes.length];
    this.#listeners += 1;
    // Without a node known, let the driver fail on the first address.
    return this.#beside(node ?? this.#addresses[0], 'signals');
  }

  /** A new, unconnected client of the server of `node`, for commands that hold a connection until they are answered. */
  waiter({ options: { host = '', port = 0 } }: Redis, commandTimeout: number): Redis {
    return this.#beside({ host, port }, 'waits', commandTimeout);
  }

  #beside(
    { host, port }: { readonly host: string; readonly port: number },
    purpose: string,
    commandTimeout: number = COMMAND_TIMEOUT_MS,
  ): Redis {
    return new Redis({
      ...this.#options,
      ...this.#way({ host, port }),
      commandTimeout,
      connectionName: `${this.#options.connectionName}-${purpose}`,
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      // Whoever uses it replaces it.
      retryStrategy: null,
      sentinelRetryStrategy: () => null,
    });
  }

  #nodes(): readonly { readonly host: string; readonly port: number }[] {
    if (!(this.client instanceof Cluster)) return [this.#addresses[0]];
    const known = this.client
      .nodes('all')
      .map(({ options }) => ({ host: options.host ?? '', port: options.port ?? 0 }));
    return known.length > 0 ? known : this.#addresses;
  }

  /** How a connection finds its server: by the address, or by the Sentinels, who know the master. */
  #way({ host, port }: { readonly host: string; readonly port: number }) {
    const [{ tls, sentinel }] = this.#addresses;
    if (sentinel === undefined) return { host, port };
    const { master, username, password } = sentinel;
    return {
      sentinels: this.#addresses.map((address) => ({ host: address.host, port: address.port })),
      name: master,
      ...(username === undefined ? {} : { sentinelUsername: username }),
      ...(password === undefined ? {} : { sentinelPassword: password }),
      ...(tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
    };
  }

  #standalone({ host, port }: RedisAddress, retry: (attempt: number) => number): Redis {
    return new Redis({
      ...this.#options,
      ...this.#way({ host, port }),
      sentinelRetryStrategy: retry,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 2,
      socketTimeout: SOCKET_TIMEOUT_MS,
      autoResendUnfulfilledCommands: true,
      retryStrategy: retry,
    });
  }

  #cluster(retry: (attempt: number) => number): Cluster {
    return new Cluster(
      this.#addresses.map(({ host, port }) => ({ host, port })),
      {
        lazyConnect: true,
        enableOfflineQueue: false,
        maxRedirections: CLUSTER_REDIRECTIONS,
        clusterRetryStrategy: retry,
        // A certificate names hosts; resolved addresses would not match it.
        ...(this.#addresses[0].tls ? { dnsLookup: (name, done) => done(null, name) } : {}),
        redisOptions: { ...this.#options, maxRetriesPerRequest: 2, socketTimeout: SOCKET_TIMEOUT_MS },
      },
    );
  }
}

/** What all connections have in common. A cluster takes user, password and TLS of its first URL for all nodes. */
function commonOptions({ username, password, tls, database }: RedisAddress, instanceId: string) {
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls ? { tls: {} } : {}),
    db: database,
    connectionName: `karin-${instanceId}`,
    commandTimeout: COMMAND_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    lazyConnect: true,
    // Every connection is examined by `Reachability`. The check of the driver is one more INFO, and where that is not
    // permitted it writes to the console.
    enableReadyCheck: false,
  };
}

/** The address for people: without credentials. */
function displayAddress({ tls, host, port, sentinel }: RedisAddress): string {
  return `${tls ? 'rediss' : 'redis'}${sentinel === undefined ? '' : '+sentinel'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
