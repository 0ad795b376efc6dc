/**
 * Builds the whole server, in order, and takes it down in reverse.
 *
 * @module
 */
import type { Config } from './config.ts';
import type { ConsumerEvent } from './consumer/events.ts';
import type { DiscoverySource } from './lambda/discovery/source.ts';
import type { Invoker } from './lambda/invoker.ts';
import type { Log } from './log.ts';
import type { QueueDirectory } from './queue/directory.ts';
import type { Store } from './store/store.ts';
import type { SyncReport } from './sync/report.ts';
import type { Randomness, Time } from './time.ts';

/** Parts that a caller brings instead of those that the configuration names. What is handed in here is not closed by `stop`. */
export interface Overrides {
  readonly log?: Log;
  readonly time?: Time;
  readonly randomness?: Randomness;
  readonly store?: Store;
  readonly source?: DiscoverySource;
  readonly invoker?: Invoker;
}

/** A running server. */
export interface Karin {
  /** `http://<address>:<port>`, with the port that was bound. */
  readonly url: string;
  readonly config: Config;
  readonly log: Log;
  readonly store: Store;
  readonly directory: QueueDirectory;
  /** Every step of the consumer, until the returned function is called. */
  readonly events: { subscribe(listener: (event: ConsumerEvent) => void): () => void };
  /** Reads the source of mappings now and applies what changed; a sync under way is joined. Errors: `DiscoveryError`, `StoreUnavailableError`. */
  sync(options?: { readonly full?: boolean }): Promise<SyncReport>;
  /** Stops taking requests, lets open Invokes finish within the grace period, releases everything. A second call waits for the first. */
  stop(): Promise<void>;
}

/** What `startKarin` is: the whole server from a configuration. */
export type StartKarin = (config: Config, overrides?: Overrides) => Promise<Karin>;
