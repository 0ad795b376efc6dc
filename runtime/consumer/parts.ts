/**
 * What the parts of the consumer are handed: the seams to the outside, and the settings that hold for every mapping.
 *
 * @module
 */

import type { Invoker } from '../aws/invoke.ts';
import type { Mapping } from '../aws/mapping.ts';
import type { QueueKey, Slots } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import type { EventSink } from './events.ts';
import type { Filter } from './filter/filter.ts';
import type { ProcessLimits } from './limits.ts';
import type { Tuning } from './tuning.ts';

/** A mapping that is ready to be served: its filters compiled, its tags understood. */
export interface ServedMapping {
  readonly mapping: Mapping;
  /** `undefined`: there is none, and everything is delivered. */
  readonly filter: Filter | undefined;
  readonly tuning: Tuning;
}

/** Settings that hold for every mapping. */
export interface ConsumerSettings {
  /** Invokes at one time with which a mapping begins; default 5, as Lambda. */
  readonly startConcurrency: number;
  /** Milliseconds per further one while messages wait; default 200 (300 a minute, as Lambda). */
  readonly growthIntervalMs: number;
  /** Whether messages of loops are stopped where no tag says otherwise; default true, as Lambda. */
  readonly stopLoops: boolean;
}

export const DEFAULT_SETTINGS: ConsumerSettings = {
  startConcurrency: 5,
  growthIntervalMs: 200,
  stopLoops: true,
};

/**
 * The most Invokes of one mapping at one time. Source: "Configuring scaling behavior for SQS event source mappings".
 */
export const LARGEST_MAPPING_CONCURRENCY = 1_250;

export interface SettlementParts {
  readonly time: Time;
  readonly randomness: Randomness;
  readonly events: EventSink;
  /** The process will not wait any longer. */
  readonly aborting: AbortSignal;
}

export interface DeliveryParts extends SettlementParts {
  readonly invoker: Invoker;
  /** Absent: the end of a log is asked for only where a message was received before. */
  readonly logTails?: { wanted(functionArn: string): boolean };
  /** The server is stopping: open Invokes go on, no new attempt begins. */
  readonly stopping: AbortSignal;
}

export interface ConsumerParts extends DeliveryParts {
  readonly limits: ProcessLimits;
  readonly slots: Slots;
  readonly settings: ConsumerSettings;
  /** Another instance seems to be gone, see `Store.doubt`. */
  doubt(instance: string): void;
  /** This instance has no room for what is due in the queue, see `Store.askForHelp`. */
  askForHelp(queue: QueueKey): void;
}
