/**
 * What each source of mappings gave last, as this process and the store know it, and all of them as one; and which
 * sources the other servers on the store have.
 *
 * A server with one set of credentials and one region has one source; one with several scopes of AWS has one for each.
 * A reading fails for itself: what was found there last stays, and is served on.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import type { Log } from '../../log.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';
import { queueKey } from '../../queue/names.ts';
import { type Documents, type QueueKey, type Signal, StoreUnavailableError } from '../../store/store.ts';
import type { Time } from '../../time.ts';
import {
  type Discovery,
  DiscoveryError,
  type DiscoveryProgress,
  type DiscoverySource,
  readDiscovery,
} from '../discovery/discovery.ts';
import { stableJson } from '../mapping.ts';
import { type AwsPlace, scopeFor } from '../scope.ts';

const DOCUMENT = 'discovery';
/** Details are read once a day all the same: a queue or an alias can change, and no list tells. */
const DETAILS_MS = 86_400_000;
/** Between two lines of the log about one discovery. */
const PROGRESS_MS = 5_000;

/** What is known of one source, for `/readyz` and the pages. */
export interface SourceState {
  readonly source: string;
  /** Absent: it is the only source. */
  readonly place?: AwsPlace;
  /** What was found here last; absent: nothing ever. */
  readonly discovery?: Discovery;
  /** Wall clock, ms since the epoch; absent: not since this process began. */
  readonly succeededAt?: number;
  /** Why the last reading failed; absent: it did not. */
  readonly failure?: SourceFailure;
  /** How far the discovery is that is under way; absent: none is. */
  readonly progress?: DiscoveryProgress;
}

export interface SourceFailure {
  /** For the operator. */
  readonly message: string;
  /** For everybody: without accounts, roles and addresses; absent: only the log knows. */
  readonly reason?: string;
  /** Wall clock, ms since the epoch. */
  readonly at: number;
}

export interface Reading {
  readonly source: DiscoverySource;
  /** Name of the document that keeps the result. */
  readonly document: string;
  /** What is served of this source; absent: nothing yet. */
  found: Discovery | undefined;
  state(): SourceState;
  /** Asks the source. Errors: `DiscoveryError`. */
  read(full: boolean): Promise<Discovery>;
  /** What was read is served from now on. */
  succeeded(): void;
  failed(error: unknown): void;
  /** Stores what is served, if it differs from what is stored. Errors: `StoreUnavailableError`. */
  store(): Promise<void>;
  /** Stores what is served where the store has nothing. Errors: `StoreUnavailableError`. */
  storeAgain(): Promise<void>;
  /**
   * What the store has, if it is not what was last read or written here. `same`: it is. Errors:
   * `StoreUnavailableError`.
   */
  load(): Promise<Discovery | 'same' | undefined>;
}

export interface ReadingParts {
  readonly source: DiscoverySource;
  readonly documents: Documents;
  readonly time: Time;
  readonly log: Log;
}

export function createReading({ source, documents, time, log }: ReadingParts): Reading {
  const { description, place, document = DOCUMENT } = source;
  /** Of the document as last read or written. The text itself is large: a kilobyte for each mapping. */
  let storedDigest: string | undefined;
  let succeededAt: number | undefined;
  let failure: SourceFailure | undefined;
  let progress: DiscoveryProgress | undefined;

  /** Keeps the progress, and says it now and then: a long discovery must not look like a server that hangs. */
  const progressLog = (): ((now: DiscoveryProgress) => void) => {
    let saidAt = time.monotonic();
    return (now) => {
      progress = now;
      if (time.monotonic() - saidAt < PROGRESS_MS) return;
      saidAt = time.monotonic();
      log.info({ source: description, ...now }, 'discovery is under way');
    };
  };

  const reading: Reading = {
    source,
    document,
    found: undefined,
    state: () => ({
      source: description,
      ...(place === undefined ? {} : { place }),
      ...(reading.found === undefined ? {} : { discovery: reading.found }),
      ...(succeededAt === undefined ? {} : { succeededAt }),
      ...(failure === undefined ? {} : { failure }),
      ...(progress === undefined ? {} : { progress }),
    }),
    read: async (full) => {
      const { found } = reading;
      const overdue = found !== undefined && time.now() - found.detailsReadAt >= DETAILS_MS;
      try {
        return await source.discover(found, full || overdue, progressLog());
      } finally {
        progress = undefined;
      }
    },
    succeeded: () => {
      succeededAt = time.now();
      failure = undefined;
    },
    failed: (error) => {
      failure = { ...told(error), at: time.now() };
      log.error({ err: error, source: description }, 'sync failed; what was found last is served on');
    },
    store: async () => {
      if (reading.found === undefined) return;
      const text = stableJson(reading.found);
      const digest = digestOf(text);
      if (digest === storedDigest) return;
      await documents.put(document, text);
      storedDigest = digest;
    },
    storeAgain: async () => {
      if (reading.found !== undefined) await documents.put(document, stableJson(reading.found), null);
    },
    load: async () => {
      const text = await documents.get(document);
      if (text === undefined) return undefined;
      const digest = digestOf(text);
      if (digest === storedDigest) return 'same';
      try {
        const discovery = readDiscovery(text);
        storedDigest = digest;
        return discovery;
      } catch (error) {
        log.warn({ err: error }, 'the stored result of an earlier discovery cannot be read; the source is asked anew');
        return undefined;
      }
    },
  };
  return reading;
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

function told(error: unknown): Pick<SourceFailure, 'message' | 'reason'> {
  if (error instanceof StoreUnavailableError) return { message: 'the store of messages cannot be reached' };
  // Other errors may carry addresses or worse; their text stays in the log.
  if (!(error instanceof DiscoveryError)) return { message: 'an unexpected error; see the log' };
  return { message: error.message, ...(error.reason === undefined ? {} : { reason: error.reason }) };
}

/**
 * What all sources found, as one discovery; `undefined`: none has found anything.
 *
 * A queue that two of them see, because functions of several accounts draw from it, is described by the scope of its
 * own account. A mapping that two of them see is one: the same account was given twice, and the operator is told.
 */
export function mergedDiscovery(states: readonly Pick<SourceState, 'place' | 'discovery'>[]): Discovery | undefined {
  const found = states.flatMap(({ place, discovery }) => (discovery === undefined ? [] : [{ place, discovery }]));
  const [first, ...others] = found;
  if (first === undefined || others.length === 0) return first?.discovery;
  const all = found.map(({ discovery }) => discovery);
  const settling = byUuid(all.flatMap((one) => one.settling ?? []));
  const unread = [...new Set(all.flatMap((one) => one.unread ?? []))];
  const problems = [...all.flatMap((one) => one.problems ?? []), ...readTwice(all)];
  return {
    mappings: byUuid(all.flatMap((one) => one.mappings)),
    broken: byUuid(all.flatMap((one) => one.broken)),
    foreign: byUuid(all.flatMap((one) => one.foreign)),
    ...(settling.length === 0 ? {} : { settling }),
    queues: mergedQueues(found),
    waitingInSqs: Object.assign({}, ...[...all].reverse().map((one) => one.waitingInSqs)),
    ...(problems.length === 0 ? {} : { problems }),
    ...(unread.length === 0 ? {} : { unread }),
    detailsReadAt: Math.min(...all.map((one) => one.detailsReadAt)),
  };
}

function byUuid<T extends { readonly uuid: string }>(all: readonly T[]): readonly T[] {
  const known = new Map<string, T>();
  for (const one of all) if (!known.has(one.uuid)) known.set(one.uuid, one);
  return [...known.values()];
}

function readTwice(all: readonly Discovery[]): readonly { readonly about: string; readonly text: string }[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const { mappings } of all) {
    const here = mappings.map(({ uuid }) => uuid);
    for (const { uuid, functionArn } of mappings) {
      if (seen.has(uuid)) twice.add(functionArn.split(':').slice(3, 5).reverse().join('/'));
    }
    for (const uuid of here) seen.add(uuid);
  }
  return [...twice].map((place) => ({
    about: place,
    text: `${place} is read twice, because KARIN_ROLES names a role in an account that is read already; remove one of them`,
  }));
}

function mergedQueues(
  found: readonly { readonly place: AwsPlace | undefined; readonly discovery: Discovery }[],
): readonly DiscoveredQueue[] {
  const places = found.flatMap(({ place }) => (place === undefined ? [] : [place]));
  const known = new Map<QueueKey, DiscoveredQueue>();
  for (const { place, discovery } of found) {
    for (const queue of discovery.queues) {
      const key = queueKey(queue.arn);
      if (!known.has(key) || scopeFor(places, queue.arn) === place) known.set(key, queue);
    }
  }
  return [...known.values()];
}

/*
 * Which scopes the servers on one store read.
 *
 * A server concludes from what it reads that a queue is gone. While scopes are rolled out or taken back, servers with
 * more scopes and with fewer share the store for a while, and one with fewer finds no mapping of a queue that another
 * serves. The invariant: a server that does not read all that some other live server reads concludes only about queues
 * that its own sources named before. What it leaves alone is judged by the server that reads it, or at the next sync
 * after that server is gone.
 *
 * Each server writes its scopes into one document, at its first sync and at the next one after servers came or went,
 * and takes those of servers away that are not alive. A server that is alone all day asks nothing. A live server that
 * is not in it (an earlier version, one that starts, one that was taken away because its signs of life were late) may
 * read anything. So every error, of the document or of the list of the living, is on the side of keeping.
 */

const SCOPES_DOCUMENT = 'sync:scopes';
/** Somebody else writes the document at the same time; the next sync tries again. */
const ATTEMPTS = 5;

const scopesByServer = z.record(z.string(), z.array(z.string()));

export interface ServedScopes {
  /** To be called with every signal of the store. */
  heard(signal: Signal): void;
  /** Says which scopes this server reads, unless that is known. What cannot be said now is left to the next time. */
  announce(): Promise<void>;
  /** Whether this server reads all that any other live server reads. Errors: `StoreUnavailableError`. */
  areAll(): Promise<boolean>;
}

/** `instance`: id of this server, as in the `instances` signal; `own`: its scopes by name. */
export function createServedScopes(documents: Documents, instance: string, own: readonly string[]): ServedScopes {
  let others: readonly string[] = [];
  /** The document may not say what it should. */
  let mayDiffer = true;
  const read = (text: string | undefined): Readonly<Record<string, readonly string[]>> | undefined => {
    try {
      return scopesByServer.parse(JSON.parse(text ?? '{}'));
    } catch {
      // Another version writes it in another way: it is left alone, and nothing is known of the others.
      return undefined;
    }
  };
  /** Answers whether the document says it now. */
  const say = async (): Promise<boolean> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const present = await documents.get(SCOPES_DOCUMENT);
      const known = read(present);
      if (known === undefined) return true;
      const alive = Object.entries(known).filter(([id]) => others.includes(id));
      const next = stableJson(Object.fromEntries([...alive, [instance, own]]));
      if (next === present || (await documents.put(SCOPES_DOCUMENT, next, present ?? null))) return true;
    }
    return false;
  };
  return {
    heard: (signal) => {
      if (signal.kind === 'emptied') mayDiffer = true;
      if (signal.kind !== 'instances') return;
      const now = signal.ids.filter((id) => id !== instance);
      if (now.join() !== others.join()) mayDiffer = true;
      others = now;
    },
    announce: async () => {
      if (!mayDiffer) return;
      // Before anything is asked: what is heard meanwhile counts for the next time.
      mayDiffer = false;
      const isSaid = await say().catch(() => false);
      if (!isSaid) mayDiffer = true;
    },
    areAll: async () => {
      if (others.length === 0) return true;
      const known = read(await documents.get(SCOPES_DOCUMENT));
      return others.every((id) => known?.[id]?.every((scope) => own.includes(scope)) === true);
    },
  };
}
