/**
 * The capability tokens that were created at run time, shared by all instances through the store: one document for
 * each, holding its hash.
 *
 * Every instance keeps all of them in memory and looks there only, so that a caller who tries tokens costs the store
 * nothing. A change reaches the other instances by the `document` signal; after a `gap` all are read again.
 *
 * @module
 */

import * as z from 'zod/mini';
import type { Scope } from '../../sqs/request.ts';
import type { Documents, Signal } from '../../store/store.ts';
import {
  type Capability,
  capabilityId,
  type Grant,
  hasExpired,
  hashToken,
  newToken,
  parseQueueGlobs,
  parseScopes,
  readShares,
  type Shares,
} from './credentials.ts';

const PREFIX = 'token:';

interface NewToken extends Grant {
  /** Milliseconds since the epoch; absent: never. */
  readonly expiresAt?: number;
  readonly name?: string;
}

export interface TokenStore {
  /** By SHA-256 hash, from memory; expired ones included. */
  find(hash: string): Capability | undefined;
  /** From memory, oldest first. */
  list(): readonly Capability[];
  /** Answers the token itself, for the only time. */
  create(token: NewToken): Promise<{ readonly token: string; readonly capability: Capability }>;
  /** Puts a token back as it was stored elsewhere, unless one of its id is there; whether it did. */
  restore(capability: Capability): Promise<boolean>;
  /** Answers whether there was one. It is refused here at once, and on other instances as soon as they hear of it. */
  revoke(id: string): Promise<boolean>;
  /** Reads all from the store. */
  reload(): Promise<void>;
  /** To be called with every signal of the store; answers when what it made necessary is done. */
  heard(signal: Signal): Promise<void>;
}

/** Takes what somebody else did to a token: a command that works on the store itself, or another server. */
export type OnForeignToken = (what: 'token-created' | 'token-revoked', capability: Capability) => void;

/**
 * Errors of its calls: `StoreUnavailableError`. `now`: wall clock, milliseconds since the epoch. `onForeign` is not
 * told of what was there at the first `reload`.
 */
export function createTokenStore(documents: Documents, now: () => number, onForeign?: OnForeignToken): TokenStore {
  const byHash = new Map<string, Capability>();
  /** Ids of tokens that are made or revoked here now: the signal may come before the answer. */
  const own = new Set<string>();
  let isFirst = true;

  const reload = async (): Promise<void> => {
    const texts = await documents.list(PREFIX);
    const before = new Map(byHash);
    byHash.clear();
    for (const text of texts.values()) remember(capabilityIn(text));
    if (isFirst) isFirst = false;
    else tellDifference(before);
  };

  const tellDifference = (before: ReadonlyMap<string, Capability>): void => {
    const tell = (what: Parameters<OnForeignToken>[0], some: Iterable<Capability>, others: typeof before): void => {
      for (const capability of some) {
        if (!others.has(capability.hash) && !own.has(capability.id)) onForeign?.(what, capability);
      }
    };
    tell('token-created', byHash.values(), before);
    tell('token-revoked', before.values(), byHash);
  };

  const asOwn = async <T>(id: string, act: () => Promise<T>): Promise<T> => {
    own.add(id);
    try {
      return await act();
    } finally {
      own.delete(id);
    }
  };

  const remember = (capability: Capability | undefined): void => {
    if (capability !== undefined) byHash.set(capability.hash, capability);
  };

  const forget = (id: string): void => {
    for (const capability of byHash.values()) if (capability.id === id) byHash.delete(capability.hash);
  };

  return {
    find: (hash) => byHash.get(hash),
    list: () => [...byHash.values()].sort((a, b) => a.createdAt - b.createdAt),
    create: async ({ expiresAt, name, ...grant }) => {
      const token = newToken();
      const hash = hashToken(token);
      const capability: Capability = {
        id: capabilityId(hash),
        hash,
        grant,
        createdAt: now(),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        ...(name === undefined ? {} : { name }),
      };
      await asOwn(capability.id, async () => {
        await documents.put(PREFIX + capability.id, JSON.stringify(capability));
        remember(capability);
      });
      return { token, capability };
    },
    restore: (capability) =>
      asOwn(capability.id, async () => {
        const restored = await documents.put(PREFIX + capability.id, JSON.stringify(capability), null);
        if (restored) remember(capability);
        return restored;
      }),
    revoke: (id) =>
      asOwn(id, async () => {
        const removed = await documents.remove(PREFIX + id);
        forget(id);
        return removed;
      }),
    reload,
    heard: async (signal) => {
      if (signal.kind === 'gap') await reload();
      if (signal.kind !== 'document' || !signal.name.startsWith(PREFIX)) return;
      const text = await documents.get(signal.name);
      const before = new Map(byHash);
      if (text === undefined) forget(signal.name.slice(PREFIX.length));
      else remember(capabilityIn(text));
      tellDifference(before);
    },
  };
}

const count = z.exactOptional(z.int().check(z.positive()));

/** What `create` stores; what else stands there is dropped. */
const capability = z.object({
  id: z.string(),
  hash: z.string(),
  grant: z.object({
    scopes: z.array(z.enum(['send', 'consume', 'manage'])),
    queues: z.array(z.string()),
    sendsPerSecond: count,
    maxQueues: count,
    maxMessages: count,
    maxBytes: count,
  }),
  createdAt: z.number(),
  expiresAt: z.exactOptional(z.number()),
  name: z.exactOptional(z.string()),
}) satisfies z.ZodMiniType<Capability>;

/** Reads a stored token. Errors: `SyntaxError`; `ZodError` (it has another shape). */
export function readCapability(text: string): Capability {
  return capability.parse(JSON.parse(text));
}

/** A document that this version cannot read counts as no token: refused, never let in. */
function capabilityIn(text: string): Capability | undefined {
  try {
    return readCapability(text);
  } catch {
    return undefined;
  }
}

/*
 * Requests for new tokens and how tokens are shown: the same over HTTP and on the command line.
 */

/** A token as lists show it, never with its secret. */
export interface ShownToken extends Shares {
  readonly id: string;
  readonly scopes: readonly Scope[];
  readonly queues: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601; absent: never. */
  readonly expiresAt?: string;
  readonly expired: boolean;
  /** ISO 8601; absent: not as long as is remembered. */
  readonly lastUsedAt?: string;
  readonly name?: string;
}

/** The answer to the request that made it: the only place where the token itself appears. */
export interface CreatedToken extends ShownToken {
  readonly token: string;
  /** What callers use as the address of SQS. */
  readonly endpoint: string;
}

export interface TokenRequest extends Shares {
  readonly scopes: readonly Scope[];
  readonly queues: readonly string[];
  readonly expiresInSeconds?: number;
  readonly name?: string;
}

/** Ten years: beyond that "never" is meant. */
const LONGEST_LIFE_SECONDS = 315_360_000;
const LONGEST_NAME = 200;

/**
 * Reads `{ scopes: "send+consume", queues: "app-*|jobs", expiresInSeconds, name }`. What is wrong comes back as a
 * sentence.
 */
export function readTokenRequest(value: unknown): TokenRequest | { readonly problem: string } {
  const body: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const scopes = parseScopes(text(body['scopes']) ?? '');
  const queues = parseQueueGlobs(text(body['queues']) ?? '*');
  const seconds = body['expiresInSeconds'];
  const name = text(body['name']);
  const share = readShares(body);
  const lifeIsValid =
    seconds === undefined ||
    (Number.isInteger(seconds) && Number(seconds) >= 60 && Number(seconds) <= LONGEST_LIFE_SECONDS);
  const problems = [
    ...('problem' in scopes ? [scopes.problem] : []),
    ...('problem' in queues ? [queues.problem] : []),
    ...('problem' in share ? [share.problem] : []),
    ...(lifeIsValid ? [] : [`a token may live from 60 to ${LONGEST_LIFE_SECONDS} seconds, or without an end`]),
    ...((name?.length ?? 0) > LONGEST_NAME ? [`a name may have ${LONGEST_NAME} characters`] : []),
  ];
  if ('problem' in scopes || 'problem' in queues || 'problem' in share || problems.length > 0)
    return { problem: problems.join('; ') };
  return {
    scopes,
    queues,
    ...share,
    ...(seconds === undefined ? {} : { expiresInSeconds: Number(seconds) }),
    ...(name === undefined ? {} : { name }),
  };
}

/**
 * Makes the token. `server`: origin and base path of the server; `now`: wall clock, milliseconds since the epoch.
 * Errors: `StoreUnavailableError`.
 */
export async function createRequested(
  tokens: TokenStore,
  request: TokenRequest,
  server: string,
  now: number,
): Promise<CreatedToken> {
  const { expiresInSeconds, ...grant } = request;
  const { token, capability } = await tokens.create({
    ...grant,
    ...(expiresInSeconds === undefined ? {} : { expiresAt: now + expiresInSeconds * 1000 }),
  });
  return { ...showToken(capability, now), token, endpoint: `${server}/k/${token}` };
}

/**
 * `now` and `lastUsedAt`: wall clock, milliseconds since the epoch; the latter absent: not as long as is remembered.
 */
export function showToken(capability: Capability, now: number, lastUsedAt?: number): ShownToken {
  const { id, grant, createdAt, expiresAt, name } = capability;
  return {
    id,
    ...grant,
    createdAt: new Date(createdAt).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    expired: hasExpired(capability, now),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: new Date(lastUsedAt).toISOString() }),
    ...(name === undefined ? {} : { name }),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
