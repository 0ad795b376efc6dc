/**
 * Sends that are answered only when more than the memory of one server has them (`KARIN_DURABILITY`).
 *
 * Redis tells by two commands how safe the last write of a connection is: WAIT, when so many replicas have it, and
 * WAITAOF, when the append-only file with it is on disk. Both hold their connection until then, so they have
 * connections of their own. There, behind the answer of a send, a marker is written and waited for. The writes of a
 * server are one sequence: whatever was answered before the marker was written is as safe as the marker. So one marker
 * serves all sends of a server that wait at that moment, whatever queue they are for and whatever connection they came
 * by, and a send that wrote nothing because it repeats another (FIFO) waits for that one too.
 *
 * Invariant: a send is confirmed only by the process of Redis that carried it out, and only while that one has the say.
 * Else a server that was promoted, and lacks the message, would confirm it by its own disk and its own replicas.
 *
 *   - A send is watched from before it leaves until after its answer. Was it the same socket all the time, that socket
 *     brought the answer, for the driver sends again only on another one. In a cluster the send goes to one node, which
 *     carries it out or refuses: nothing follows redirections.
 *   - All that confirms belongs to that socket and ends with it. A connection that waits confirms for it only if it
 *     leads to the same process, by the `run_id` that both read.
 *   - A server that was demoted refuses the marker.
 *
 * What cannot be confirmed is neither stored nor lost as far as the sender knows: he is told that the store is not
 * available, and sends again.
 *
 * A waiter alone starts a round at once. While rounds are under way another one starts when one ends, and at the latest
 * an eighth of a second after the last start, on a further connection: a file that is synced once a second would else
 * make most sends wait for two syncs.
 *
 * @module
 */
import type { Redis } from 'ioredis';
import type { Durability } from '../../settings.ts';
import type { Cancel, Time } from '../../time.ts';
import { type QueueKey, StoreUnavailableError } from '../store.ts';
import { bare, isPassing, isQuota, isReply, messageOf } from './calls.ts';
import type { RedisConnection } from './connection.ts';
import { markerKey } from './keys.ts';

/** How long a replica or the disk may take. A file that is synced every second takes one second, a busy disk two. */
const DEFAULT_CONFIRM_MS = 3_000;
/** What is not answered this long after that is on a dead connection. */
const ANSWER_MS = 2_000;
/** While rounds are under way, the next one starts this long after the last start: eight share the second of a sync. */
const GAP_MS = 125;
/** Rounds under way at one time, and so connections that wait, for each server. */
const MOST_ROUNDS = 8;
/** The marker is of no use once it was waited for. */
const MARKER_MS = 10_000;

interface ConfirmationsOptions {
  readonly connection: RedisConnection;
  readonly durability: Durability;
  readonly time: Time;
  /** How long a replica or the disk may take, ms. Default 3,000. */
  readonly confirmMs?: number;
}

type Socket = Redis['stream'];

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #rounds = new Map<Socket, Rounds>();
  #closed = false;

  constructor(options: ConfirmationsOptions) {
    this.#options = options;
  }

  /**
   * To be called before a send; what it gives is called after the answer. Errors of that: `StoreUnavailableError`, the
   * messages may be stored and are not known to be safe.
   */
  expect(queue: QueueKey): () => Promise<void> {
    const { connection } = this.#options;
    const node = connection.nodeOf(queue);
    const socket = node?.stream;
    return async () => {
      const same = node !== undefined && connection.nodeOf(queue) === node && node.stream === socket;
      if (!same || socket === undefined || socket.destroyed) throw unconfirmed('the connection was lost meanwhile');
      await this.#of(node, socket).confirm(queue);
    };
  }

  close(): void {
    this.#closed = true;
    for (const rounds of this.#rounds.values()) rounds.close();
    this.#rounds.clear();
  }

  #of(node: Redis, socket: Socket): Rounds {
    if (this.#closed) throw unconfirmed('the store is closed');
    const known = this.#rounds.get(socket);
    if (known !== undefined) return known;
    const rounds = new Rounds({ ...this.#options, node, socket });
    this.#rounds.set(socket, rounds);
    socket.once('close', () => {
      this.#rounds.delete(socket);
      rounds.close();
    });
    return rounds;
  }
}

interface RoundsOptions extends ConfirmationsOptions {
  readonly node: Redis;
  /** Of `node`: where the answers of sends come from. */
  readonly socket: Socket;
}

interface Waiting {
  readonly queue: QueueKey;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * The rounds of one server, as long as one socket leads there. Each waiter is in exactly one place: in the line, in a
 * round under way, or answered.
 */
class Rounds {
  readonly #options: RoundsOptions;
  #line: Waiting[] = [];
  /** Connections that lead to the process behind the socket and do nothing now. */
  readonly #idle: Redis[] = [];
  readonly #connections = new Set<Redis>();
  #underWay = 0;
  #startedAt = Number.NEGATIVE_INFINITY;
  #isSoon = false;
  #cancelNext: Cancel | undefined;
  /** Of the process behind the socket, once it was read. */
  #runId: string | undefined;
  #closed = false;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  confirm(queue: QueueKey): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#line.push({ queue, resolve, reject });
      if (this.#isSoon) return;
      this.#isSoon = true;
      // Answers that came in one piece are confirmed in one round.
      setImmediate(() => {
        this.#isSoon = false;
        this.#next();
      });
    });
  }

  /** The socket is closed. */
  close(): void {
    this.#closed = true;
    this.#cancelNext?.();
    for (const connection of this.#connections) connection.disconnect();
    for (const { reject } of this.#line.splice(0)) reject(unconfirmed('the connection was lost meanwhile'));
  }

  readonly #next = (): void => {
    const [first] = this.#line;
    if (first === undefined || this.#underWay >= MOST_ROUNDS || this.#closed) return;
    const { time } = this.#options;
    const waitMs = this.#underWay === 0 ? 0 : this.#startedAt + GAP_MS - time.monotonic();
    if (waitMs > 0) {
      this.#cancelNext ??= time.after(waitMs, () => {
        this.#cancelNext = undefined;
        this.#next();
      });
      return;
    }
    this.#cancelNext?.();
    this.#cancelNext = undefined;
    const waiting = this.#line;
    this.#line = [];
    this.#underWay += 1;
    this.#startedAt = time.monotonic();
    this.#round(first.queue)
      .then(
        () => {
          for (const { resolve } of waiting) resolve();
        },
        (error: unknown) => {
          const failure = error instanceof StoreUnavailableError ? error : unconfirmed(messageOf(error), error);
          for (const { reject } of waiting) reject(failure);
        },
      )
      .finally(() => {
        this.#underWay -= 1;
        this.#next();
      });
  };

  /** Writes a marker beside the messages of this queue, which in a cluster is where the node has the say. */
  async #round(queue: QueueKey): Promise<void> {
    const connection = this.#idle.pop() ?? (await this.#connect());
    try {
      const { durability, confirmMs = DEFAULT_CONFIRM_MS } = this.#options;
      // Both leave together; the second holds the connection.
      const marker = connection.set(markerKey(queue), '', 'PX', MARKER_MS);
      const [, reply] = await Promise.all([marker, connection.call(...waitCommand(durability, confirmMs))]);
      if (this.#connections.has(connection)) this.#idle.push(connection);
      const shortage = shortageIn(durability, confirmMs, reply);
      if (shortage !== undefined) throw unconfirmed(shortage);
    } catch (error) {
      // Whatever it still waits for, nobody does any more.
      if (!(error instanceof StoreUnavailableError)) connection.disconnect();
      throw error;
    }
  }

  async #connect(): Promise<Redis> {
    const { connection, node, confirmMs = DEFAULT_CONFIRM_MS } = this.#options;
    const waiter = connection.waiter(node, confirmMs + ANSWER_MS);
    this.#connections.add(waiter);
    // What goes wrong fails the command that meets it.
    waiter.on('error', () => {});
    waiter.once('end', () => this.#forget(waiter));
    try {
      await waiter.connect();
      const found = await readRunId(waiter);
      this.#runId ??= await this.#readRunId();
      if (this.#runId !== found) throw unconfirmed('the address leads to another server by now');
      return waiter;
    } catch (error) {
      waiter.disconnect();
      throw error;
    }
  }

  #forget(waiter: Redis): void {
    this.#connections.delete(waiter);
    const at = this.#idle.indexOf(waiter);
    if (at !== -1) this.#idle.splice(at, 1);
  }

  async #readRunId(): Promise<string> {
    const { node, socket } = this.#options;
    const runId = await readRunId(node);
    // The driver may have asked again, on another connection.
    if (node.stream !== socket) throw unconfirmed('the connection was lost meanwhile');
    return runId;
  }
}

function waitCommand(durability: Durability, confirmMs: number): [string, ...number[]] {
  return durability.kind === 'fsync' ? ['WAITAOF', 1, 0, confirmMs] : ['WAIT', durability.replicas, confirmMs];
}

/** What was missing when the wait was over; `undefined`: nothing. */
function shortageIn(durability: Durability, confirmMs: number, reply: unknown): string | undefined {
  const seconds = confirmMs / 1000;
  if (durability.kind === 'fsync') {
    const [local = 0] = Array.isArray(reply) ? reply : [];
    return local === 1 ? undefined : `the append-only file was not on disk within ${seconds} seconds`;
  }
  const had = typeof reply === 'number' ? reply : 0;
  const { replicas } = durability;
  return had >= replicas ? undefined : `${had} of ${replicas} replicas had it within ${seconds} seconds`;
}

async function readRunId(server: Redis): Promise<string> {
  const runId = runIdIn(await server.info('server'));
  if (runId === undefined) throw unconfirmed('Redis does not tell which process answers');
  return runId;
}

/** Names one process of Redis, from its start to its end. */
export function runIdIn(info: string): string | undefined {
  return /^run_id:(\w+)/m.exec(info)?.[1];
}

function unconfirmed(why: string, cause?: unknown): StoreUnavailableError {
  return new StoreUnavailableError(
    `Redis took the message and did not confirm that it is safe: ${why}`,
    cause === undefined ? undefined : { cause: bare(cause) },
  );
}

/**
 * Why this server cannot confirm sends, and how to mend that; `undefined`: it can. Asks it, which proves more than a
 * version does. `description`: the server, for people. Errors: what the driver says if the server cannot be asked now.
 */
export async function confirmationProblem(
  server: Redis,
  durability: Durability,
  { description, runId }: { readonly description: string; readonly runId?: string },
): Promise<string | undefined> {
  const setting = `KARIN_DURABILITY=${durability.kind}`;
  if (runId === undefined) {
    return `${setting} needs INFO to tell run_id, which process of Redis answers: permit the command to this user, or leave KARIN_DURABILITY out`;
  }
  try {
    // Answered at once, or after a millisecond.
    await (durability.kind === 'fsync' ? server.call('WAITAOF', 1, 0, 1) : server.call('WAIT', 0, 1));
    return undefined;
  } catch (error) {
    const words = messageOf(error);
    if (!isReply(error) || isPassing(words) || isQuota(words)) throw error;
    if (words.includes('unknown command') && durability.kind === 'fsync') {
      return (
        `${setting} needs the command WAITAOF, which came with Redis 7.2 and is in Valkey, and this server is ${description}: ` +
        'run a newer one; or leave KARIN_DURABILITY out and set appendfsync always in Redis, which writes to disk before every answer'
      );
    }
    if (words.includes('appendonly is disabled')) {
      return `${setting} needs the append-only file, and ${description} keeps none: set appendonly yes in Redis`;
    }
    return `${setting} cannot be kept by ${description}, which answered: ${words}`;
  }
}
