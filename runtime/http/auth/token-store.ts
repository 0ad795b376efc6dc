/**
 * The capability tokens that were created at run time, shared by all instances through the store: one document for each, holding its hash.
 *
 * Every instance keeps all of them in memory and looks there only, so that a caller who tries tokens costs the store nothing. A change reaches the other
 * instances by the `document` signal; after a `gap` all are read again.
 *
 * @module
 */
import type { Documents, Signal } from '../../store/store.ts';
import { type Capability, capabilityId, hashToken, newToken } from './capability.ts';
import type { Grant } from './grant.ts';

const PREFIX = 'token:';

export interface NewToken extends Grant {
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
  /** Answers whether there was one. It is refused here at once, and on other instances as soon as they hear of it. */
  revoke(id: string): Promise<boolean>;
  /** Reads all from the store. */
  reload(): Promise<void>;
  /** To be called with every signal of the store; answers when what it made necessary is done. */
  heard(signal: Signal): Promise<void>;
}

/** Errors of its calls: `StoreUnavailableError`. `now`: wall clock, milliseconds since the epoch. */
export function createTokenStore(documents: Documents, now: () => number): TokenStore {
  const byHash = new Map<string, Capability>();

  const reload = async (): Promise<void> => {
    const texts = await documents.list(PREFIX);
    byHash.clear();
    for (const text of texts.values()) remember(readCapability(text));
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
    create: async ({ scopes, queues, sendsPerSecond, expiresAt, name }) => {
      const token = newToken();
      const hash = hashToken(token);
      const capability: Capability = {
        id: capabilityId(hash),
        hash,
        grant: { scopes, queues, ...(sendsPerSecond === undefined ? {} : { sendsPerSecond }) },
        createdAt: now(),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        ...(name === undefined ? {} : { name }),
      };
      await documents.put(PREFIX + capability.id, JSON.stringify(capability));
      remember(capability);
      return { token, capability };
    },
    revoke: async (id) => {
      const removed = await documents.remove(PREFIX + id);
      forget(id);
      return removed;
    },
    reload,
    heard: async (signal) => {
      if (signal.kind === 'gap') await reload();
      if (signal.kind !== 'document' || !signal.name.startsWith(PREFIX)) return;
      const text = await documents.get(signal.name);
      if (text === undefined) forget(signal.name.slice(PREFIX.length));
      else remember(readCapability(text));
    },
  };
}

/** A document that this version cannot read counts as no token: refused, never let in. */
function readCapability(text: string): Capability | undefined {
  let value: Partial<Capability> | null;
  try {
    // What was written by `create`, or by another version of it; the members that matter are checked below.
    value = JSON.parse(text) as Partial<Capability> | null;
  } catch {
    return undefined;
  }
  const { id, hash, grant, createdAt } = value ?? {};
  if (typeof id !== 'string' || typeof hash !== 'string' || typeof createdAt !== 'number') return undefined;
  return Array.isArray(grant?.scopes) && Array.isArray(grant.queues) ? (value as Capability) : undefined;
}
