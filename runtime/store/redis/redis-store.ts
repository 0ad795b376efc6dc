/**
 * The store in Redis: one server, or a cluster. Layout and scripts: `keys.ts` and `scripts/`.
 *
 * Reachability. A call is made only while the command connection is known to lead to a server that was examined; else
 * it fails at once. The driver connects again by itself, without a limit, and each new connection is examined before
 * calls are made again.
 *
 * @module
 */

import type { Redis } from 'ioredis';
import { type Durability, parseRedisUrls } from '../../settings.ts';
import type { Randomness, Time } from '../../time.ts';
import {
  bareDepth,
  checkBrowse,
  checkDelayed,
  checkEntries,
  checkFailures,
  checkMaxMessages,
  checkRestoration,
  receiveInSteps,
  STEP,
  settleInSteps,
  wholeMs,
} from '../steps.ts';
import {
  type AskedQueue,
  type BrowsedEntry,
  type BrowseOptions,
  type DelayedEntry,
  type DelaySpan,
  type DeleteReply,
  type Depth,
  type DepthsReply,
  type Documents,
  type KeptFailure,
  type Lease,
  type LeaseOutcome,
  type NewEntry,
  type NewFailure,
  type Page,
  type PageOptions,
  type QueueKey,
  type ReceiveOptions,
  type ReceiveReply,
  type Restoration,
  type RestoreReply,
  type SendReply,
  type Signal,
  type Slots,
  type Store,
  type StoredQueue,
  type StoreHealth,
  StoreUnavailableError,
  type VisibilityChange,
} from '../store.ts';
import {
  bare,
  idBytes,
  integerReply,
  messageOf,
  RedisCalls,
  ReplyReader,
  shortIdBytes,
  UnsuitableRedisError,
} from './calls.ts';
import { Confirmations } from './confirmations.ts';
import { RedisConnection } from './connection.ts';
import { FifoCommands } from './fifo-commands.ts';
import { KeptDocuments } from './kept-documents.ts';
import { DOCUMENTS, queueKeys, signalChannel, slotsKey } from './keys.ts';
import { NamedCommands } from './named-commands.ts';
import { Reachability } from './reachability.ts';
import { KEEP_FAILURES } from './scripts/settle.ts';
import { FREE_SLOT, PUT_DOCUMENT, REMOVE_DOCUMENT, TAKE_SLOT } from './scripts/shared.ts';
import { DEPTHS, PEEK } from './scripts/upkeep.ts';
import { type QueueCommands, StandardCommands } from './standard-commands.ts';
import { WakeChannel } from './wake-channel.ts';

export interface RedisStoreOptions {
  /**
   * One URL: a single server; several: nodes of a cluster. `redis://` or `rediss://`, with user, password and (single
   * server) database.
   */
  readonly urls: readonly string[];
  /**
   * Names this process to the others and in Redis's list of clients. No two processes may have the same: each passes
   * over signals of its own.
   */
  readonly instanceId: string;
  readonly time: Time;
  readonly randomness: Randomness;
  /** Accept an eviction policy that loses messages. Default false. */
  readonly allowEviction?: boolean;
  /** What must hold before a send is answered. Default: that Redis has it in memory. */
  readonly durability?: Durability;
  /** How long a replica or the disk may take for that, ms. Default 3,000. */
  readonly confirmMs?: number;
  /**
   * How often this instance proves that signals arrive and tells the others that it lives, ms. Default 600,000: ten
   * minutes.
   */
  readonly canaryIntervalMs?: number;
  /** Start although Redis cannot be reached yet: calls fail until it can. Default false: `open` rejects. */
  readonly startUnreachable?: boolean;
  /**
   * Why a document of this name and text cannot be read, so that it is set aside; `undefined`: it can. Default: all
   * can.
   */
  readonly documentFault?: (name: string, text: string) => string | undefined;
  /** The clock of the store instead of the server's, milliseconds since the epoch; for tests. */
  readonly clock?: () => number;
}

const DEFAULT_CANARY_INTERVAL_MS = 600_000;
/** Documents that one command reads: 3 MB of the largest. A thousand queues take ten commands at the start. */
const DOCUMENTS_PER_PAGE = 100;
/** Queues whose depths one script reads: half a millisecond of Redis's time if none is empty. */
const MOST_QUEUES_PER_CALL = 100;

export class RedisStore implements Store {
  readonly documents: KeptDocuments;
  readonly slots: RedisSlots;
  readonly named: NamedCommands;
  /** Present if `durability` is set. */
  readonly confirmation?: NonNullable<Store['confirmation']>;
  readonly #connection: RedisConnection;
  readonly #confirmations: Confirmations | undefined;
  /** Absent: no call is confirmed. Where one is, it must be known which server carries it out. */
  readonly #confirmingNode: ((key: QueueKey) => Redis | undefined) | undefined;
  readonly #calls: RedisCalls;
  readonly #reachability: Reachability;
  readonly #wakeChannel: WakeChannel;
  readonly #standard: StandardCommands;
  readonly #fifo: QueueCommands;
  readonly #listeners = new Set<(signal: Signal) => void>();
  /** Whether one script may read many queues. */
  #together: boolean;
  #closed: Promise<void> | undefined;

  private constructor(options: RedisStoreOptions) {
    const { urls, instanceId, time, randomness } = options;
    const emit = (signal: Signal): void => this.#emit(signal);
    this.#connection = new RedisConnection(parseRedisUrls(urls), instanceId, randomness);
    this.#together = this.#connection.standalone;
    this.#calls = new RedisCalls(
      this.#connection,
      options.clock,
      () => this.#reachability.demoted(),
      () => this.#reachability.refused(),
    );
    const { durability } = options;
    if (durability !== undefined) {
      const { confirmMs } = options;
      const confirmations = new Confirmations({
        connection: this.#connection,
        durability,
        time,
        ...(confirmMs === undefined ? {} : { confirmMs }),
      });
      this.#confirmations = confirmations;
      this.#confirmingNode = (key) => this.#connection.nodeOf(key);
      this.confirmation = ({ key }) => confirmations.expect(key);
    }
    const channel = signalChannel(this.#connection.database);
    this.#standard = new StandardCommands(this.#calls, channel, instanceId);
    this.#fifo = new FifoCommands(this.#calls, channel, instanceId);
    this.documents = new KeptDocuments({
      documents: new RedisDocuments(this.#calls, channel),
      time,
      uuid: () => randomness.uuid(),
      fault: options.documentFault ?? (() => undefined),
      emit,
    });
    this.slots = new RedisSlots(this.#calls, channel);
    this.named = new NamedCommands({
      calls: this.#calls,
      channel,
      instanceId,
      manyQueues: this.#connection.standalone,
      active: () => this.documents.active(),
    });
    this.#wakeChannel = new WakeChannel({
      listener: () => this.#connection.listener(),
      channel,
      publish: (text) => this.#calls.command('publish', channel, text),
      instanceId,
      time,
      randomness,
      canaryIntervalMs: options.canaryIntervalMs ?? DEFAULT_CANARY_INTERVAL_MS,
      emit,
    });
    this.#reachability = new Reachability({
      connection: this.#connection,
      calls: this.#calls,
      instanceId,
      time,
      allowEviction: options.allowEviction ?? false,
      ...(durability === undefined ? {} : { durability }),
      changed: (reachable, refusal) => {
        emit(reachSignal(reachable, refusal));
        if (reachable) this.#wakeChannel.check();
      },
    });
  }

  /**
   * Connects, examines the server and subscribes.
   *
   * Errors: `RangeError` (a URL is malformed), `UnsuitableRedisError` (the server would lose messages or cannot run the
   * scripts), `StoreUnavailableError` naming the server, unless `startUnreachable` is set.
   */
  static async open(options: RedisStoreOptions): Promise<RedisStore> {
    const store = new RedisStore(options);
    try {
      await store.#start(options.startUnreachable ?? false);
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  async send(queue: StoredQueue, entries: readonly NewEntry[]): Promise<SendReply> {
    checkEntries(queue, entries);
    if (!this.documents.looksSoon) this.documents.active();
    return (queue.fifo ? this.#fifo : this.#standard).send(queue.key, entries, this.#confirmingNode?.(queue.key));
  }

  async receive(queue: StoredQueue, options: ReceiveOptions): Promise<ReceiveReply> {
    if (!(options.maxMessages >= 1)) checkMaxMessages(options.maxMessages);
    if (!this.documents.looksSoon) this.documents.active();
    const whole =
      options.leaseMs >= 0 && Number.isInteger(options.leaseMs)
        ? options
        : { ...options, leaseMs: wholeMs(options.leaseMs) };
    // Most receives are one step.
    if (options.maxMessages <= STEP) {
      return (queue.fifo ? this.#fifo : this.#standard).receive(queue.key, whole, true);
    }
    return receiveInSteps(whole, (step, takeFirst) => this.#commands(queue).receive(queue.key, step, takeFirst));
  }

  async delete(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply> {
    if (!this.documents.looksSoon) this.documents.active();
    if (leases.length <= STEP && leases.length > 0) {
      return (queue.fifo ? this.#fifo : this.#standard).delete(queue.key, leases);
    }
    return settleInSteps(leases, (step) => this.#commands(queue).delete(queue.key, step));
  }

  async changeVisibility(queue: StoredQueue, changes: readonly VisibilityChange[]): Promise<DeleteReply> {
    if (!this.documents.looksSoon) this.documents.active();
    const whole = changes.map((change) => ({ ...change, leaseMs: wholeMs(change.leaseMs) }));
    return settleInSteps(whole, (step) => this.#commands(queue).changeVisibility(queue.key, step));
  }

  async release(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply> {
    if (!this.documents.looksSoon) this.documents.active();
    return settleInSteps(leases, (step) => this.#commands(queue).release(queue.key, step));
  }

  async peek({ key }: StoredQueue): Promise<number | undefined> {
    const { due } = queueKeys(key);
    // Most peeks are sweeps of idle queues: one plain command tells that there is nothing.
    if (integerReply(await this.#calls.command('exists', due)) === 0) return undefined;
    const dueInMs = integerReply(await this.#calls.script(PEEK, [due], []));
    return dueInMs === -1 ? undefined : dueInMs;
  }

  async depth(queue: StoredQueue): Promise<Depth> {
    const [depth] = (await this.#depths([queue])).depths;
    if (depth === undefined) throw new StoreUnavailableError(`the depth of queue ${queue.key} was not answered`);
    return bareDepth(depth);
  }

  async depths(queues: readonly AskedQueue[]): Promise<DepthsReply> {
    const most = this.#together ? MOST_QUEUES_PER_CALL : 1;
    const calls: Promise<DepthsReply>[] = [];
    for (let at = 0; at < queues.length; at += most) calls.push(this.#depths(queues.slice(at, at + most)));
    try {
      const replies = await Promise.all(calls);
      return {
        depths: replies.flatMap(({ depths }) => depths),
        commands: replies.reduce((sum, { commands }) => sum + commands, 0),
      };
    } catch (error) {
      // A cluster behind one address: a script may touch the keys of one queue only.
      if (!this.#together || !messageOf(error).includes('CROSSSLOT')) throw error;
      this.#together = false;
      return this.depths(queues);
    }
  }

  async #depths(queues: readonly AskedQueue[]): Promise<DepthsReply> {
    const keys = queues.flatMap(({ key, fifo }) => {
      const { due, delayed, order, flight } = queueKeys(key);
      return fifo ? [order, delayed, flight, due] : [due, delayed];
    });
    const kinds = queues
      .map(({ fifo, likelyEmpty = true }) => (fifo ? 'fF' : 'sS').charAt(Number(likelyEmpty)))
      .join('');
    const reply = new ReplyReader(await this.#calls.script(DEPTHS, keys, [kinds]));
    const commands = reply.integer();
    const depths = queues.map(() => {
      const counts = { visible: reply.integer(), delayed: reply.integer(), inFlight: reply.integer() };
      const waitsMs = reply.optionalMs();
      const nextDueInMs = reply.optionalMs();
      return {
        ...counts,
        ...(waitsMs === undefined ? {} : { waitsMs }),
        ...(nextDueInMs === undefined ? {} : { nextDueInMs }),
      };
    });
    return { depths, commands };
  }

  async browse(queue: StoredQueue, options: BrowseOptions): Promise<readonly BrowsedEntry[]> {
    checkBrowse(options.limit);
    return this.#commands(queue).browse(queue.key, options);
  }

  async page(queue: StoredQueue, options: PageOptions): Promise<Page> {
    checkBrowse(options.limit);
    return this.#commands(queue).page(queue.key, options);
  }

  async restore(queue: StoredQueue, restoration: Restoration): Promise<RestoreReply> {
    checkRestoration(queue, restoration);
    this.documents.active();
    return this.#commands(queue).restore(queue.key, restoration, this.#confirmingNode?.(queue.key));
  }

  async keepFailures({ key, fifo }: StoredQueue, failures: readonly NewFailure[]): Promise<void> {
    checkFailures(failures.length);
    const keys = queueKeys(key);
    const bytesOf = fifo ? idBytes : shortIdBytes;
    const args = failures.flatMap(({ id, at, text }) => [bytesOf(id), at ?? '', text]);
    await this.#calls.script(KEEP_FAILURES, [keys.failures, keys.receives], args);
  }

  async failures({ key, fifo }: StoredQueue, ids: readonly string[]): Promise<ReadonlyMap<string, KeptFailure>> {
    checkFailures(ids.length);
    const fields = ids.map(fifo ? idBytes : shortIdBytes);
    const values = await this.#calls.command('hmget', queueKeys(key).failures, ...fields);
    const found = new Map<string, KeptFailure>();
    for (const [index, id] of ids.entries()) {
      const value: unknown = Array.isArray(values) ? values[index] : undefined;
      if (Buffer.isBuffer(value)) found.set(id, { at: value.readUIntBE(0, 6), text: value.toString('utf8', 6) });
    }
    return found;
  }

  async purge(queue: StoredQueue): Promise<void> {
    await this.#commands(queue).purge(queue.key);
  }

  /** Looks closely at 500 messages; the scripts say what that may miss. */
  async trim(queue: StoredQueue, olderThanMs: number, limit: number): Promise<number> {
    let total = 0;
    for (;;) {
      const most = Math.min(limit - total, STEP);
      const { removed, more } = await this.#commands(queue).trim(queue.key, olderThanMs, most);
      total += removed;
      if (!more || total >= limit) return total;
    }
  }

  async delayed(queue: StoredQueue, span: DelaySpan): Promise<readonly DelayedEntry[]> {
    checkDelayed(queue, span.limit, span);
    return this.#standard.delayed(queue.key, span);
  }

  async deleteDelayed(queue: StoredQueue, ids: readonly string[]): Promise<readonly LeaseOutcome[]> {
    checkDelayed(queue, ids.length);
    return this.#standard.deleteDelayed(queue.key, ids);
  }

  subscribe(listener: (signal: Signal) => void): () => void {
    this.#listeners.add(listener);
    // What others said before cannot be asked for again.
    setImmediate(() => {
      if (!this.#listeners.has(listener)) return;
      listener({ kind: 'instances', ids: this.#wakeChannel.instances });
      if (!this.#reachability.reachable) listener(reachSignal(false, this.#reachability.refusal));
    });
    return () => {
      this.#listeners.delete(listener);
    };
  }

  doubt(instance: string): void {
    this.#wakeChannel.doubt(instance);
  }

  askForHelp(queue: QueueKey): void {
    this.#wakeChannel.askForHelp(queue);
  }

  async health(): Promise<StoreHealth> {
    return this.#reachability.health();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #start(startUnreachable: boolean): Promise<void> {
    const [reached, listening] = await Promise.allSettled([this.#reachability.start(), this.#wakeChannel.start()]);
    if (reached.status === 'rejected') {
      if (!startUnreachable || reached.reason instanceof UnsuitableRedisError) throw reached.reason;
    } else if (listening.status === 'rejected' && !startUnreachable) {
      throw new StoreUnavailableError(
        `cannot listen for signals at ${this.#connection.display}: ${messageOf(listening.reason)}`,
        { cause: bare(listening.reason) },
      );
    }
  }

  async #close(): Promise<void> {
    this.#listeners.clear();
    this.documents.close();
    const goodbye = this.#wakeChannel.close();
    this.#reachability.stop();
    try {
      await Promise.all([goodbye, this.#calls.drain()]);
    } finally {
      this.#confirmations?.close();
      // An open connection would keep the process alive.
      this.#connection.client.disconnect();
    }
  }

  #commands({ fifo }: StoredQueue): QueueCommands {
    return fifo ? this.#fifo : this.#standard;
  }

  #emit(signal: Signal): void {
    for (const listener of [...this.#listeners]) listener(signal);
  }
}

function reachSignal(reachable: boolean, refusal: string | undefined): Signal {
  return { kind: 'reachable', reachable, ...(refusal === undefined ? {} : { refusal }) };
}

/**
 * Documents in Redis. A write with an expectation that the driver repeats after a lost connection may answer that the
 * document was not as expected although it was this very write that changed it; whoever relies on the answer reads the
 * document again.
 */
class RedisDocuments implements Documents {
  readonly #calls: RedisCalls;
  readonly #channel: string;

  constructor(calls: RedisCalls, channel: string) {
    this.#calls = calls;
    this.#channel = channel;
  }

  async get(name: string): Promise<string | undefined> {
    const value = await this.#calls.command('hget', DOCUMENTS, name);
    return value === null ? undefined : new ReplyReader([value]).text();
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for await (const [name, text] of this.each(prefix)) found.set(name, text);
    return found;
  }

  /**
   * Names first, which are short, then the texts in pages: a definition may have 30 KB, and thousands of them at once
   * would fill the heap.
   */
  async *each(prefix: string): AsyncIterable<readonly [string, string]> {
    const all = new ReplyReader(await this.#calls.command('hkeys', DOCUMENTS));
    const names: string[] = [];
    while (!all.done) {
      const name = all.text();
      if (name.startsWith(prefix)) names.push(name);
    }
    names.sort();
    for (let at = 0; at < names.length; at += DOCUMENTS_PER_PAGE) {
      const page = names.slice(at, at + DOCUMENTS_PER_PAGE);
      const values = await this.#calls.command('hmget', DOCUMENTS, ...page);
      if (!Array.isArray(values)) return;
      for (const [index, name] of page.entries()) {
        const value: unknown = values[index];
        // One that was removed between the two commands is not there.
        if (Buffer.isBuffer(value)) yield [name, value.toString()];
      }
    }
  }

  /** This class keeps nothing. */
  heldBy(): void {}

  async put(name: string, value: string, expected?: string | null): Promise<boolean> {
    const expectation = expected === undefined ? 'any' : expected === null ? 'absent' : 'is';
    const args = [name, value, expectation, expected ?? '', this.#channel];
    return integerReply(await this.#calls.script(PUT_DOCUMENT, [DOCUMENTS], args)) === 1;
  }

  async remove(name: string, expected?: string): Promise<boolean> {
    const args = [name, expected === undefined ? 'any' : 'is', expected ?? '', this.#channel];
    return integerReply(await this.#calls.script(REMOVE_DOCUMENT, [DOCUMENTS], args)) === 1;
  }
}

export class RedisSlots implements Slots {
  readonly #calls: RedisCalls;
  readonly #channel: string;

  constructor(calls: RedisCalls, channel: string) {
    this.#calls = calls;
    this.#channel = channel;
  }

  async take(name: string, holder: string, limit: number, holdMs: number): Promise<'taken' | number> {
    const reply = await this.#calls.script(TAKE_SLOT, [slotsKey(name)], [holder, limit, wholeMs(holdMs)]);
    const freeInMs = integerReply(reply);
    return freeInMs === 0 ? 'taken' : freeInMs;
  }

  async free(name: string, holder: string, limit: number): Promise<void> {
    await this.#calls.script(FREE_SLOT, [slotsKey(name)], [holder, limit, name, this.#channel]);
  }
}
