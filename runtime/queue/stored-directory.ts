/**
 * The directory over the store: each queue is a document, and every instance holds all of them in memory, once, as
 * definitions (`definition.ts` says what of them is packed).
 *
 * A definition is changed by compare-and-set on its document, so that two instances never undo each other (one sets the
 * mode while the other takes over a discovery). Whoever wrote takes the new text over at once; the others hear a
 * `document` signal and read it. Reads and writes of one document are done one after another within a process, so the
 * last one started is the last one taken over.
 *
 * The directory also hands the store's signals on: `wake` to the head-watch it is for, `gap` to all of them, and after
 * a gap it reads all definitions again.
 *
 * @module
 */
import { hash } from 'node:crypto';
import type { Documents, QueueKey, Signal, Store } from '../store/store.ts';
import type { Cancel, Randomness, Time } from '../time.ts';
import {
  DEFINITION_PREFIX,
  definitionName,
  type QueueAttributes,
  type QueueDefinition,
  QueueDocumentError,
  type QueueMode,
  readDefinition,
  writeDefinition,
} from './definition.ts';
import { type DirectoryEvent, type DiscoveredQueue, type Next, type QueueDirectory, Tombstones } from './directory.ts';
import { isFifoName, parseQueueArn, type QueueArn, queueKey } from './names.ts';
import type { Notify, Queue } from './queue.ts';
import { ReceiveRoom } from './queue.ts';
import { createReceiptHandles, type ReceiptHandles, sharedSecret } from './receipt-handle.ts';
import { AttemptRoom } from './receive-attempts.ts';
import { IN_FLIGHT_LIMIT } from './receiving.ts';
import { type Forward, type QueueContext, StoredQueue } from './stored-queue.ts';
import { createStoreClock } from './watched-store.ts';

export interface DirectoryOptions {
  readonly store: Store;
  readonly time: Time;
  readonly randomness: Randomness;
  /** Takes what queues do by themselves: dead letters, expiry, warnings. */
  readonly notify: Notify;
  /** How sends reach the real queue in mode `forward`; without it they are kept here. */
  readonly forward?: Forward;
  /** Messages of one queue that may be in flight; default 120,000, as in SQS. */
  readonly inFlightLimit?: number;
}

const HANDLE_SECRET = 'secret:receipt-handles';
/** Definitions that one discovery changes at a time. */
const CHANGES_AT_ONCE = 100;
/** Pause before definitions are read again when reading them failed. */
const RELOAD_MS = 10_000;

/**
 * Reads all definitions and begins to listen to the store. Call `close` before the store is closed. Errors:
 * `StoreUnavailableError`.
 */
export async function createDirectory(options: DirectoryOptions): Promise<StoredDirectory> {
  const secret = await sharedSecret(options.store.documents, HANDLE_SECRET);
  const directory = new StoredDirectory(options, createReceiptHandles(secret));
  try {
    await directory.load();
  } catch (error) {
    directory.close();
    throw error;
  }
  return directory;
}

interface Entry {
  readonly queue: StoredQueue;
  /** Of its document, as last read or written: the definition is in memory once. */
  digest: string;
}

export class StoredDirectory implements QueueDirectory {
  readonly #documents: Documents;
  readonly #time: Time;
  readonly #notify: Notify;
  readonly #context: QueueContext;
  readonly #tombstones: Tombstones;
  readonly #entries = new Map<QueueKey, Entry>();
  /** The queues of `#entries` by key, until one comes or goes. */
  #sorted: readonly StoredQueue[] | undefined;
  readonly #listeners = new Set<(event: DirectoryEvent) => void>();
  /** Reads and writes of each document. */
  readonly #turns = new Turns();
  #reload: Cancel | undefined;
  readonly #unsubscribe: () => void;

  constructor(options: DirectoryOptions, handles: ReceiptHandles) {
    this.#documents = options.store.documents;
    this.#time = options.time;
    this.#notify = options.notify;
    this.#context = {
      ...options,
      inFlightLimit: options.inFlightLimit ?? IN_FLIGHT_LIMIT,
      room: new ReceiveRoom(),
      attemptRoom: new AttemptRoom(),
      handles,
      clock: createStoreClock(options.time),
      findDeadLetterQueue: (arn, fifo) => this.#findDeadLetterQueue(arn, fifo),
    };
    this.#tombstones = new Tombstones(options.store.documents, options.time);
    this.#documents.heldBy(DEFINITION_PREFIX, (name) => {
      const queue = this.byKey(name.slice(DEFINITION_PREFIX.length));
      return queue === undefined ? undefined : writeDefinition(queue.definition);
    });
    this.#unsubscribe = options.store.subscribe((signal) => this.#hear(signal));
  }

  byKey(key: QueueKey): StoredQueue | undefined {
    return this.#entries.get(key)?.queue;
  }

  async find(key: QueueKey): Promise<StoredQueue | undefined> {
    return this.byKey(key) ?? this.#refresh(key);
  }

  all(): readonly StoredQueue[] {
    this.#sorted ??= [...this.#entries.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry.queue);
    return this.#sorted;
  }

  subscribe(listener: (event: DirectoryEvent) => void): () => void {
    const own = (event: DirectoryEvent): void => listener(event);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  async applyDiscovery(
    queues: readonly DiscoveredQueue[],
    isRead: (queue: QueueArn) => boolean = () => true,
  ): Promise<void> {
    const named = new Map(queues.map((queue) => [queueKey(queue.arn), queue]));
    const vanished = this.all().filter(
      (queue) => queue.definition.origin !== 'api' && !named.has(queue.key) && isRead(queue.arn),
    );
    const changes = [
      ...[...named].map(
        ([key, queue]) =>
          () =>
            this.#update(key, (current) => this.#discovered(queue, current)),
      ),
      ...vanished.map((queue) => () => this.#vanish(queue)),
    ];
    for (let at = 0; at < changes.length; at += CHANGES_AT_ONCE) {
      await Promise.all(changes.slice(at, at + CHANGES_AT_ONCE).map((change) => change()));
    }
  }

  async create(
    arn: QueueArn,
    attributes: QueueAttributes,
    tags: Readonly<Record<string, string>>,
    madeBy?: string,
  ): Promise<{ readonly queue: Queue; readonly exists: boolean }> {
    let exists = false;
    const queue = await this.#update(queueKey(arn), (current) => {
      exists = current !== undefined;
      if (current !== undefined) return current;
      return { ...this.#fresh(arn, 'api', attributes, tags), ...(madeBy === undefined ? {} : { madeBy }) };
    });
    if (queue === undefined) throw new Error(`the queue ${arn.name} was created and cannot be read back`);
    return { queue, exists };
  }

  /**
   * Takes over a definition that another store held, unless there is a queue of this identity; then that one stays as
   * it is. Errors: `StoreUnavailableError`.
   */
  async restore(definition: QueueDefinition): Promise<{ readonly queue: StoredQueue; readonly exists: boolean }> {
    let exists = false;
    const queue = await this.#update(queueKey(definition.arn), (current) => {
      exists = current !== undefined;
      return current ?? definition;
    });
    if (queue === undefined) throw new Error(`the queue ${definition.arn.name} was restored and cannot be read back`);
    return { queue, exists };
  }

  async remove(queue: Queue): Promise<void> {
    const { key } = queue;
    await this.#tombstones.add(key);
    // Emptied before its definition goes, so that a crash between the two leaves no messages without a queue; and after
    // it, for sends of instances that had not heard yet.
    await queue.purge();
    await this.#turns.take(key, async () => {
      await this.#documents.remove(definitionName(key));
      this.#take(key, undefined);
    });
    await queue.purge();
  }

  deletedRecently(key: QueueKey): Promise<boolean> {
    return this.#tombstones.has(key);
  }

  async setAttributes(queue: Queue, attributes: Next<QueueAttributes>): Promise<void> {
    await this.#change(queue, (current) => {
      return { ...current, attributes: next(attributes, current.attributes), modifiedAt: this.#time.now() };
    });
  }

  async setTags(queue: Queue, tags: Next<Readonly<Record<string, string>>>): Promise<void> {
    await this.#change(queue, (current) => ({ ...current, tags: next(tags, current.tags) }));
  }

  async setMode(queue: Queue, mode: QueueMode): Promise<void> {
    await this.#change(queue, (current) =>
      current.modeAfterAws === undefined
        ? { ...current, mode }
        : { ...current, mode: whileAwsConsumes(mode), modeAfterAws: mode },
    );
  }

  async setConsumedByAws(queue: Queue, consumed: boolean, resume = false): Promise<void> {
    await this.#change(queue, (current) => {
      const { modeAfterAws: wanted, ...rest } = current;
      if (consumed === (wanted !== undefined)) return current;
      if (wanted === undefined) {
        return { ...current, mode: whileAwsConsumes(current.mode), modeAfterAws: current.mode };
      }
      return { ...rest, mode: wanted === 'forward' && resume ? 'consume' : wanted };
    });
  }

  /** Takes over what is stored now, as far as it differs from what is in memory. Errors: `StoreUnavailableError`. */
  async load(): Promise<void> {
    const missing = new Set(this.#entries.keys());
    for await (const [name, text] of this.#documents.each(DEFINITION_PREFIX)) {
      const key = name.slice(DEFINITION_PREFIX.length);
      missing.delete(key);
      const entry = this.#entries.get(key);
      if (entry === undefined && !this.#turns.has(key)) this.#take(key, text);
      // What is in memory may be newer than what was read: the document itself decides.
      else if (entry?.digest !== digestOf(text)) await this.#refresh(key);
    }
    for (const key of missing) await this.#refresh(key);
  }

  /**
   * What is known of when messages are due is no longer true (signals were lost, a clock jumped): the store is asked
   * again, where somebody waits.
   */
  askAnew(): void {
    for (const { queue } of this.#entries.values()) void queue.signalsLost();
  }

  /** Stops listening and closes every queue: waiting receives answer empty. The messages stay in the store. */
  close(): void {
    this.#unsubscribe();
    this.#reload?.();
    this.#tombstones.close();
    this.#listeners.clear();
    for (const { queue } of this.#entries.values()) queue.close();
    this.#entries.clear();
    this.#sorted = undefined;
  }

  #hear(signal: Signal): void {
    if (signal.kind === 'wake') {
      this.byKey(signal.queue)?.woken(signal.dueInMs);
    } else if (signal.kind === 'document' && signal.name.startsWith(DEFINITION_PREFIX)) {
      const key = signal.name.slice(DEFINITION_PREFIX.length);
      this.#refresh(key).catch(() => this.#loadLater());
    } else if (signal.kind === 'document' && signal.name === HANDLE_SECRET) {
      sharedSecret(this.#documents, HANDLE_SECRET).then(
        (secret) => this.#context.handles.renew(secret),
        () => this.#loadLater(),
      );
    } else if (signal.kind === 'gap') {
      this.askAnew();
      this.load().catch(() => this.#loadLater());
    }
  }

  /** A change was heard and could not be read: tries until it can. */
  #loadLater(): void {
    this.#reload?.();
    this.#reload = this.#time.after(RELOAD_MS, () => {
      this.load().catch(() => this.#loadLater());
    });
  }

  #refresh(key: QueueKey): Promise<StoredQueue | undefined> {
    return this.#turns.take(key, async () => this.#take(key, await this.#documents.get(definitionName(key))));
  }

  /**
   * Changes the definition of a queue, or makes it; `next` may be called again if another instance was faster. The
   * queue as it is then.
   */
  #update(
    key: QueueKey,
    next: (current: QueueDefinition | undefined) => QueueDefinition | undefined,
  ): Promise<StoredQueue | undefined> {
    const name = definitionName(key);
    return this.#turns.take(key, async () => {
      for (;;) {
        const entry = this.#entries.get(key);
        const definition = next(entry?.queue.definition);
        if (definition === undefined || definition === entry?.queue.definition) return entry?.queue;
        const text = writeDefinition(definition);
        if (digestOf(text) === entry?.digest) return entry.queue;
        const expected = await this.#textOf(key, entry);
        if (expected !== undefined && (await this.#documents.put(name, text, expected))) return this.#take(key, text);
        const present = await this.#documents.get(name);
        this.#take(key, present);
        if (present !== undefined && this.#entries.get(key)?.digest !== digestOf(present)) {
          throw new QueueDocumentError(`the stored definition of queue ${key} cannot be read, so it cannot be changed`);
        }
      }
    });
  }

  /**
   * The document that an entry was read from; `null`: of none; `undefined`: it is another one by now. Another version
   * may have written it in another order, then it is read.
   */
  async #textOf(key: QueueKey, entry: Entry | undefined): Promise<string | null | undefined> {
    if (entry === undefined) return null;
    const written = writeDefinition(entry.queue.definition);
    if (digestOf(written) === entry.digest) return written;
    const stored = await this.#documents.get(definitionName(key));
    return stored !== undefined && digestOf(stored) === entry.digest ? stored : undefined;
  }

  async #change(queue: Queue, next: (current: QueueDefinition) => QueueDefinition): Promise<void> {
    await this.#update(queue.key, (current) => (current === undefined ? undefined : next(current)));
  }

  #discovered(queue: DiscoveredQueue, current: QueueDefinition | undefined): QueueDefinition {
    const { arn, attributes, tags } = queue;
    if (current === undefined) return this.#fresh(arn, 'aws', attributes, tags);
    const next: QueueDefinition = { ...current, arn, attributes, tags, origin: 'aws' };
    return writeDefinition(next) === writeDefinition(current) ? current : { ...next, modifiedAt: this.#time.now() };
  }

  /** AWS does not name the queue any more. */
  async #vanish(queue: StoredQueue): Promise<void> {
    if (await queue.store.peek()) {
      await this.#change(queue, (current) => ({ ...current, origin: 'left-over' }));
      return;
    }
    const { definition, key } = queue;
    await this.#turns.take(key, async () => {
      const entry = this.#entries.get(key);
      const text = await this.#textOf(key, entry);
      if (typeof text === 'string' && (await this.#documents.remove(definitionName(key), text))) {
        this.#take(key, undefined);
      }
    });
    // A message may have come between the look and the removal; it must not be without a queue.
    if (await queue.store.peek())
      await this.#update(key, (current) => current ?? { ...definition, origin: 'left-over' });
  }

  #fresh(
    arn: QueueArn,
    origin: QueueDefinition['origin'],
    attributes: QueueAttributes,
    tags: Readonly<Record<string, string>>,
  ): QueueDefinition {
    const now = this.#time.now();
    return {
      arn,
      fifo: isFifoName(arn.name),
      origin,
      attributes,
      tags,
      createdAt: now,
      modifiedAt: now,
      mode: 'consume',
    };
  }

  /** Takes over what the document of a queue says; `undefined`: there is none. */
  #take(key: QueueKey, text: string | undefined): StoredQueue | undefined {
    const entry = this.#entries.get(key);
    const digest = text === undefined ? undefined : digestOf(text);
    if (digest === entry?.digest) return entry?.queue;
    if (text === undefined || digest === undefined) {
      this.#entries.delete(key);
      this.#sorted = undefined;
      entry?.queue.close();
      if (entry !== undefined) this.#emit({ kind: 'removed', queue: entry.queue });
      return undefined;
    }
    const definition = this.#read(key, text);
    if (definition === undefined) return entry?.queue;
    if (entry !== undefined) {
      entry.digest = digest;
      entry.queue.redefine(definition);
      this.#emit({ kind: 'changed', queue: entry.queue });
      return entry.queue;
    }
    const queue = new StoredQueue(definition, this.#context);
    this.#entries.set(key, { queue, digest });
    this.#sorted = undefined;
    this.#emit({ kind: 'added', queue });
    return queue;
  }

  #read(key: QueueKey, text: string): QueueDefinition | undefined {
    try {
      const definition = readDefinition(text);
      if (queueKey(definition.arn) === key) return definition;
      throw new QueueDocumentError(`the definition stored for queue ${key} is that of ${queueKey(definition.arn)}`);
    } catch (error) {
      if (!(error instanceof QueueDocumentError)) throw error;
      this.#notify({ kind: 'queue-warning', queue: key, what: 'unreadable-definition', detail: error.message });
      return undefined;
    }
  }

  #findDeadLetterQueue(arnText: string, fifo: boolean): StoredQueue | undefined {
    const arn = parseQueueArn(arnText);
    const queue = arn === undefined ? undefined : this.byKey(queueKey(arn));
    return queue?.definition.fifo === fifo ? queue : undefined;
  }

  #emit(event: DirectoryEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

function digestOf(text: string): string {
  return hash('sha256', text, 'base64url');
}

function next<T extends object>(change: Next<T>, present: T): T {
  return typeof change === 'function' ? change(present) : change;
}

/** The mode of a queue that AWS consumes, by what the operator wants of it: its messages are kept, or sent on. */
function whileAwsConsumes(wanted: QueueMode): QueueMode {
  return wanted === 'consume' ? 'hold' : wanted;
}

/*
 * Things that must be done one after another, per name.
 */

class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Whether something of this name is under way. */
  has(name: string): boolean {
    return this.#last.has(name);
  }

  /** Runs `act` when everything begun before under this name is over, whatever came of it. */
  take<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name) ?? Promise.resolve();
    const turn = before.then(act, act);
    this.#last.set(name, turn);
    const over = (): void => {
      if (this.#last.get(name) === turn) this.#last.delete(name);
    };
    turn.then(over, over);
    return turn;
  }
}
