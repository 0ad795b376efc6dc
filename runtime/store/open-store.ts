import type { Durability } from '../settings.ts';
import type { Randomness, Time } from '../time.ts';
import { MemoryStore } from './memory/memory-store.ts';
import { RedisStore } from './redis/redis-store.ts';
import type { Store } from './store.ts';

export interface OpenStoreOptions {
  /** `memory`, or the URLs of Redis: one for a single server, several for a cluster. */
  readonly urls: readonly string[] | 'memory';
  readonly instanceId: string;
  readonly time: Time;
  readonly randomness: Randomness;
  /** Redis: accept an eviction policy that loses messages. Default false. */
  readonly allowEviction?: boolean;
  /** Redis: what must hold before a send is answered. Default: that Redis has it. */
  readonly durability?: Durability;
  /** Redis: ms between the proofs that signals arrive. Default 600,000. */
  readonly canaryIntervalMs?: number;
  /** Redis: why a document cannot be read, so that it is set aside. Default: all can. */
  readonly documentFault?: (name: string, text: string) => string | undefined;
  /** Redis: start although it cannot be reached yet. Default false. */
  readonly startUnreachable?: boolean;
}

/**
 * Opens the store that the options name.
 *
 * Errors of Redis: `RangeError` (a malformed URL), `UnsuitableRedisError` (it would lose messages, or is too old),
 * `StoreUnavailableError` (naming the server).
 */
export async function openStore({ urls, ...options }: OpenStoreOptions): Promise<Store> {
  return urls === 'memory' ? new MemoryStore(options) : RedisStore.open({ urls, ...options });
}
