/**
 * The connections of the server: how many there may be, in all and from one address, and which of them makes room for a
 * new one.
 *
 * A place is never refused to a newcomer while somebody holds one without using it. In this order, the one that has
 * waited longest first:
 *
 *   1. who has proven nothing: between requests, in the middle of a head, or of a body that is still a stranger's;
 *   2. who has proven nothing, and waits because others guessed (`attempt-limit.ts`);
 *   3. who has proven a credential, and has no request under way;
 *   4. who waits in a long poll: it is answered, without messages, as SQS may answer one at any time.
 *
 * So an honest caller keeps its place as long as it works, whatever strangers open. Only where all others work as well
 * is a newcomer told to come again (503). From an address that has its full number one of that address makes room; in a
 * full server a stranger, else one of the address with the most. Strangers who had time to prove something hold no more
 * than half of all places together.
 *
 * Heads are kept by node:http outside of the memory that `memory.ts` counts, up to 32 KiB each, as long as they are not
 * complete, and after that as long as their requests are under way. Their sum is bounded here: when the connections
 * without a proof have sent more than `HEADS` bytes of heads that are still kept, those that began first are closed,
 * and of them those with large ones before the others.
 *
 * An answer that its reader does not take counts in the share `answers`, from the moment when it is complete and the
 * kernel takes no more of it. Who takes nothing for `writeTimeoutMs` is closed.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Config } from '../settings.ts';
import type { Time } from '../time.ts';
import { network } from './auth/attempt-limit.ts';
import { isLoopback } from './auth/credentials.ts';
import type { Memory } from './memory.ts';

export interface ConnectionLimits {
  /** Connections at one time. */
  readonly connections: number;
  /** Of them, from one address (IPv6: one network of 2^64). */
  readonly connectionsPerAddress: number;
  /**
   * Whether the bound of an address holds for this machine itself: a proxy on it brings the connections of everybody.
   */
  readonly countsLoopback: boolean;
  /** How long a reader may take nothing of its answer, ms. */
  readonly writeTimeoutMs: number;
}

export const CONNECTION_LIMITS: ConnectionLimits = {
  // At about 20 KB each: more would not fit a 256 MB machine.
  connections: 4096,
  connectionsPerAddress: 256,
  countsLoopback: false,
  // An answer of 2 MiB moves on a slow mobile line, if slowly.
  writeTimeoutMs: 20_000,
};

/** The limits by the settings; `connectionsPerAddress` 0: their default. */
export function connectionLimits(
  settings: Pick<Config, 'connections' | 'connectionsPerAddress' | 'trustedProxies'>,
): Partial<ConnectionLimits> {
  const { connections, connectionsPerAddress, trustedProxies } = settings;
  if (connectionsPerAddress > 0) return { connections, connectionsPerAddress, countsLoopback: true };
  return trustedProxies > 0 ? { connections, connectionsPerAddress: connections } : { connections };
}

/**
 * The part of all connections that strangers may hold together, once they had time to prove something: a program may
 * open thousands at once.
 */
const STRANGERS = 0.5;
const TIME_TO_PROVE_MS = 1_000;

/** A request line with its headers, bytes: the longest honest one is a presigned GET with a message in its query. */
export const LONGEST_HEAD = 32_768;
/** Bytes of heads of all strangers together. */
const HEADS = 8 * 1_048_576;
/** A head that is smaller is closed only where all are, bytes: most honest ones have less. */
const LARGE_HEAD = 4_096;
/** So many connections cannot exceed it, so nobody looks. */
const FEW = HEADS / LONGEST_HEAD;
/** How often the heads of more are added up, ms, and besides whenever so many connections were opened. */
const LOOK_MS = 200;
const LOOK_EVERY = 64;

/** What a newcomer reads when no place can be made. */
const FULL = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n';

/**
 * Requests of one connection that are not answered; those of one read are bounded by `server.ts` already. Each costs
 * kilobytes before anything of it is looked at. No SDK sends a second request before the answer to the first.
 */
const MOST_UNANSWERED = 16;

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** On the monotonic clock, ms. */
  readonly openedAt: number;
  proven: boolean;
  /** Requests that are not answered; more than one only where a client sends them without waiting. */
  requests: number;
  request: IncomingMessage | undefined;
  response: ServerResponse | undefined;
  /** What had been read when the last request was complete: what came since is the head of the next. */
  readBefore: number;
  /** The head of the request under way, bytes, and what of its body came with its end. */
  headBytes: number;
}

/** For what the answer to a request waits: in a long poll for messages, or because guessing is slowed. */
export type Wait = 'poll' | 'guess';

/** Lower ones make room first; absent: it works. */
type Rank = 'stranger' | 'guessing' | 'idle' | 'waiting';
const RANKS: readonly Rank[] = ['stranger', 'guessing', 'idle', 'waiting'];

export interface ConnectionsParts {
  readonly limits: ConnectionLimits;
  readonly memory: Memory;
  /** What a response waits for that may be ended; `undefined`: it does not wait. */
  readonly waitOf: (response: ServerResponse) => Wait | undefined;
  readonly endWait: (response: ServerResponse) => void;
  readonly time: Time;
}

export class Connections {
  readonly #parts: ConnectionsParts;
  readonly #bySocket = new Map<Socket, Connection>();
  /** Those that have proven nothing, oldest first. */
  readonly #strangers = new Set<Connection>();
  /** By address; each in the order in which they became idle, those at work where they were before. */
  readonly #byAddress = new Map<string, Set<Connection>>();
  #opened = 0;
  #looksLater = false;

  constructor(parts: ConnectionsParts) {
    this.#parts = parts;
  }

  /** A client connected: it gets a place, or is told that there is none. */
  opened(socket: Socket): void {
    const { connections, connectionsPerAddress, countsLoopback } = this.#parts.limits;
    const address = network(socket.remoteAddress ?? '');
    const own = this.#byAddress.get(address);
    this.#boundStrangers();
    const isBounded = countsLoopback || !(isLoopback(address) || socket.remoteAddress === '::1');
    const isFull =
      (own !== undefined && isBounded && own.size >= connectionsPerAddress && !this.#makeRoom(own)) ||
      (this.#bySocket.size >= connections && !this.#makeRoom(this.#strangers) && !this.#makeRoom(this.#largest()));
    if (isFull) {
      socket.on('error', () => {});
      socket.end(FULL, () => socket.destroy());
      return;
    }
    const connection: Connection = {
      socket,
      address,
      openedAt: this.#parts.time.monotonic(),
      proven: false,
      requests: 0,
      request: undefined,
      response: undefined,
      readBefore: 0,
      headBytes: 0,
    };
    this.#bySocket.set(socket, connection);
    this.#strangers.add(connection);
    const group = this.#byAddress.get(address);
    if (group === undefined) this.#byAddress.set(address, new Set([connection]));
    else group.add(connection);
    socket.once('close', () => this.#remove(connection));
    this.#opened += 1;
    if (this.#opened % LOOK_EVERY === 0) this.#boundHeads();
    this.#lookLater();
  }

  /**
   * The head of a request is complete. `false`: there is nobody to answer, because the connection has no place, or
   * loses it now for requests that it sends without waiting for answers.
   */
  began(request: IncomingMessage, response: ServerResponse): boolean {
    const connection = this.#bySocket.get(request.socket);
    if (connection === undefined) return false;
    if (connection.requests >= MOST_UNANSWERED) {
      request.socket.destroy();
      return false;
    }
    connection.requests += 1;
    connection.request = request;
    connection.response = response;
    connection.headBytes = request.socket.bytesRead - connection.readBefore;
    return true;
  }

  /** The sender of a request has proven a credential. */
  proven(request: IncomingMessage): void {
    const connection = this.#bySocket.get(request.socket);
    if (connection === undefined || connection.proven) return;
    connection.proven = true;
    this.#strangers.delete(connection);
  }

  /** A request is over, answered or not. */
  ended(request: IncomingMessage): void {
    const connection = this.#bySocket.get(request.socket);
    if (connection === undefined) return;
    connection.requests -= 1;
    if (connection.requests > 0) return;
    connection.request = undefined;
    connection.response = undefined;
    connection.readBefore = connection.socket.bytesRead;
    // To the end of the line.
    const group = this.#byAddress.get(connection.address);
    group?.delete(connection);
    group?.add(connection);
  }

  /** An answer is complete: what of it is not taken yet counts. */
  answered(response: ServerResponse): void {
    const { socket } = response;
    if (socket === null || socket.writableLength === 0) return;
    const { memory, limits } = this.#parts;
    const holding = memory.answers.hold(() => {
      holding.release();
      socket.destroy();
    });
    // One that is larger than the share may be under way alone.
    holding.resize(Math.min(socket.writableLength, memory.answers.total));
    response.once('close', () => holding.release());
    // Node counts it as activity when some of what is written was taken.
    socket.setTimeout(limits.writeTimeoutMs);
  }

  /** Closes those that had time to prove something, as long as there are too many. */
  #boundStrangers(): void {
    const { limits, time } = this.#parts;
    for (const stranger of this.#strangers) {
      const isYoung = time.monotonic() - stranger.openedAt < TIME_TO_PROVE_MS;
      if (this.#strangers.size < limits.connections * STRANGERS || isYoung) return;
      if (this.#rankOf(stranger) === 'stranger') this.#leave(stranger, 'stranger');
    }
  }

  #lookLater(): void {
    if (this.#looksLater || this.#strangers.size <= FEW) return;
    this.#looksLater = true;
    this.#parts.time.after(LOOK_MS, () => {
      this.#looksLater = false;
      this.#boundHeads();
      this.#lookLater();
    });
  }

  /** Closes strangers whose heads are kept, as the top of this file says, until those of the others are few enough. */
  #boundHeads(): void {
    let sum = 0;
    for (const connection of this.#strangers) sum += keptHead(connection);
    for (const least of [LARGE_HEAD, 1]) {
      for (const connection of this.#strangers) {
        if (sum <= HEADS) return;
        const bytes = keptHead(connection);
        const rank = this.#rankOf(connection);
        if (bytes < least || rank === undefined) continue;
        sum -= bytes;
        this.#leave(connection, rank);
      }
    }
  }

  #makeRoom(group: Iterable<Connection>): boolean {
    let found: Connection | undefined;
    let lowest = RANKS.length;
    for (const connection of group) {
      const rank = this.#rankOf(connection);
      const at = rank === undefined ? RANKS.length : RANKS.indexOf(rank);
      if (at < lowest) [found, lowest] = [connection, at];
      if (lowest === 0) break;
    }
    const rank = RANKS[lowest];
    if (found === undefined || rank === undefined) return false;
    this.#leave(found, rank);
    return true;
  }

  #rankOf({ proven, request, response }: Connection): Rank | undefined {
    if (request === undefined || response === undefined) return proven ? 'idle' : 'stranger';
    if (!request.complete) return proven ? undefined : 'stranger';
    const wait = this.#parts.waitOf(response);
    if (wait === 'guess' && !proven) return 'guessing';
    return wait === undefined ? undefined : 'waiting';
  }

  /** Its place is free from now on. */
  #leave(connection: Connection, rank: Rank): void {
    this.#remove(connection);
    const { socket, response } = connection;
    if (rank !== 'waiting' || response === undefined) {
      socket.destroy();
      return;
    }
    response.setHeader('Connection', 'close');
    this.#parts.endWait(response);
  }

  #remove(connection: Connection): void {
    if (!this.#bySocket.delete(connection.socket)) return;
    this.#strangers.delete(connection);
    const group = this.#byAddress.get(connection.address);
    group?.delete(connection);
    if (group?.size === 0) this.#byAddress.delete(connection.address);
  }

  #largest(): Iterable<Connection> {
    let largest: ReadonlySet<Connection> = new Set();
    for (const group of this.#byAddress.values()) if (group.size > largest.size) largest = group;
    return largest;
  }
}

/** What node:http keeps of a head, bytes. */
function keptHead({ request, socket, readBefore, headBytes }: Connection): number {
  return request === undefined ? socket.bytesRead - readBefore : Math.min(headBytes, LONGEST_HEAD);
}
