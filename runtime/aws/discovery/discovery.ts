/**
 * Where mappings and queues come from: AWS, a synthesized template, or nothing at all. All three give the same.
 *
 * @module
 */

import * as z from 'zod/mini';
import { queueAttributes } from '../../queue/definition.ts';
import type { DiscoveredQueue } from '../../queue/directory.ts';
import { formatQueueArn, parseQueueArn, type QueueArn } from '../../queue/names.ts';
import type { BrokenMapping, Mapping } from '../mapping.ts';
import type { AwsPlace } from '../scope.ts';

/**
 * A mapping of a queue that is not disabled. If AWS consumes it, Karin holds the queue. `mapping-state.ts` tells the
 * states apart.
 */
export interface ForeignMapping {
  readonly uuid: string;
  readonly queueArn: QueueArn;
  readonly functionArn: string;
  readonly state: string;
}

/** Something found that stops no mapping. */
export interface DiscoveryProblem {
  /** The mapping (UUID), queue or function (ARN) it is about. */
  readonly about: string;
  /** A sentence for the operator: what is wrong, what is assumed instead, and what mends it. */
  readonly text: string;
  /** It may be gone at the next sync, which therefore looks again. */
  readonly passing?: true;
}

/** What one discovery found; JSON-serialisable, because the last good one is stored. */
export interface Discovery {
  /** Disabled mappings that can be served. */
  readonly mappings: readonly Mapping[];
  /** Disabled mappings that cannot. */
  readonly broken: readonly BrokenMapping[];
  /** Mappings of SQS queues that AWS consumes, or may consume soon. */
  readonly foreign: readonly ForeignMapping[];
  /**
   * Mappings that were disabled and are being changed, replaced or deleted; those that are served on stand in
   * `mappings` too. Absent: none.
   */
  readonly settling?: readonly ForeignMapping[];
  /**
   * Sources of `mappings` and `broken`, so that a broken mapping costs no message, and their redrive targets,
   * transitively.
   */
  readonly queues: readonly DiscoveredQueue[];
  /** Facts for the operator: messages that still sit in the real queue, by queue ARN. */
  readonly waitingInSqs: Readonly<Record<string, number>>;
  /**
   * What the operator should know although it stops no mapping, for example a queue whose attributes may not be read;
   * absent: nothing.
   */
  readonly problems?: readonly DiscoveryProblem[];
  /**
   * UUIDs of mappings that are served as last known, because AWS's rate left no time to read them again; the next look
   * goes on with them. Absent: none.
   */
  readonly unread?: readonly string[];
  /**
   * The revision of each function that a mapping names, by its unqualified ARN: another one means that details must be
   * read again.
   */
  readonly functions?: Readonly<Record<string, string>>;
  /** Epoch ms by the process's clock, when details were last read in full. */
  readonly detailsReadAt: number;
}

/** How far a discovery is, for `/readyz` and the log. */
export interface DiscoveryProgress {
  /** What is being read: the lists of mappings and functions, then what each mapping needs beyond them. */
  readonly step: 'lists' | 'details';
  /** Mappings that are done in this step; in the lists: mappings found so far. */
  readonly done: number;
  /** Mappings in all; absent while the lists are read. */
  readonly total?: number;
}

export interface DiscoverySource {
  /** For logs and `/readyz`, for example `AWS (us-east-1)` or `template cdk.out`. */
  readonly description: string;
  /** The account and region that it reads; absent: it is the only source there is. */
  readonly place?: AwsPlace;
  /** Name of the document that keeps its last good result; default: that of a server with one source. */
  readonly document?: string;
  /**
   * Finds what is there now. `previous` lets it leave out details of mappings that did not change; `full` reads them
   * all the same. `onProgress` is called as often as something was read; it must be cheap and must not throw.
   * Errors: `DiscoveryError` if the list itself cannot be had; single broken mappings are reported in the result.
   */
  discover(
    previous: Discovery | undefined,
    full: boolean,
    onProgress?: (progress: DiscoveryProgress) => void,
  ): Promise<Discovery>;
}

/** The source could not be read; the message names it, what was asked, and what would mend it. */
export class DiscoveryError extends Error {
  override readonly name = 'DiscoveryError';
  /** Why, in words that everybody may read: without accounts, roles and addresses. */
  readonly reason: string | undefined;
  constructor(message: string, options: ErrorOptions & { readonly reason?: string } = {}) {
    super(message, options);
    this.reason = options.reason;
  }
}

/*
 * One order for everything a discovery returns: its result is stored only when it differs, and serialised equally it
 * must compare equal.
 */

/** Compares by code units, for `sort`. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The same entries, sorted by key. */
export function sortedByKey<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  return Object.fromEntries(Object.entries(entries).sort(([a], [b]) => compareTexts(a, b)));
}

/*
 * The settings of an event source mapping, as the Lambda API and CloudFormation both name them, turned into what the
 * consumer works with.
 */

/**
 * The SQS-relevant members of `EventSourceMappingConfiguration` and of `AWS::Lambda::EventSourceMapping`; names and
 * units are AWS's.
 */
export interface MappingSettings {
  readonly BatchSize?: number | null | undefined;
  readonly MaximumBatchingWindowInSeconds?: number | null | undefined;
  readonly FilterCriteria?:
    | { readonly Filters?: readonly { readonly Pattern?: string | undefined }[] | null | undefined }
    | null
    | undefined;
  readonly FunctionResponseTypes?: readonly string[] | null | undefined;
  readonly ScalingConfig?: { readonly MaximumConcurrency?: number | undefined } | null | undefined;
  readonly ProvisionedPollerConfig?:
    | { readonly MinimumPollers?: number | undefined; readonly MaximumPollers?: number | undefined }
    | null
    | undefined;
}

/** The part of a `Mapping` that its settings decide. */
export type ServedSettings = Pick<
  Mapping,
  | 'batchSize'
  | 'batchWindowSeconds'
  | 'filterPatterns'
  | 'reportBatchItemFailures'
  | 'maximumConcurrency'
  | 'startConcurrency'
>;

/** `BatchSize` of an SQS mapping that names none. */
const DEFAULT_BATCH_SIZE = 10;
/** `MaximumPollers` of provisioned mode that names none. */
const DEFAULT_MAXIMUM_POLLERS = 200;
/** `MinimumPollers` of provisioned mode that names none. */
const DEFAULT_MINIMUM_POLLERS = 2;
/** Invokes that one poller of provisioned mode drives at a time. */
const INVOKES_PER_POLLER = 10;
/** Reads the settings, with AWS's defaults for those not given. */
export function servedSettings(settings: MappingSettings): ServedSettings {
  const concurrency = concurrencyOf(settings);
  return {
    batchSize: settings.BatchSize ?? DEFAULT_BATCH_SIZE,
    batchWindowSeconds: settings.MaximumBatchingWindowInSeconds ?? 0,
    filterPatterns: (settings.FilterCriteria?.Filters ?? []).flatMap((filter) =>
      filter.Pattern === undefined ? [] : [filter.Pattern],
    ),
    reportBatchItemFailures: settings.FunctionResponseTypes?.includes('ReportBatchItemFailures') ?? false,
    ...concurrency,
  };
}

function concurrencyOf(settings: MappingSettings): Pick<Mapping, 'maximumConcurrency' | 'startConcurrency'> {
  const pollers = settings.ProvisionedPollerConfig;
  if (pollers !== undefined && pollers !== null && Object.values(pollers).some((value) => value !== undefined)) {
    return {
      maximumConcurrency: INVOKES_PER_POLLER * (pollers.MaximumPollers ?? DEFAULT_MAXIMUM_POLLERS),
      startConcurrency: INVOKES_PER_POLLER * (pollers.MinimumPollers ?? DEFAULT_MINIMUM_POLLERS),
    };
  }
  const maximumConcurrency = settings.ScalingConfig?.MaximumConcurrency;
  return maximumConcurrency === undefined ? {} : { maximumConcurrency };
}

/*
 * The stored result of a discovery, as a later version, an earlier one or a hand may have written it.
 */

const arn = z
  .object({ partition: z.string(), region: z.string(), account: z.string(), name: z.string() })
  .check(z.refine((parts) => parseQueueArn(formatQueueArn(parts)) !== undefined));
const tags = z.record(z.string(), z.string());
const named = z.object({ uuid: z.string(), queueArn: arn, functionArn: z.string() });
const foreignMapping = z.extend(named, { state: z.string() });
const positive = z.int().check(z.positive());

const mapping = z.extend(named, {
  mappingArn: z.string(),
  batchSize: positive,
  batchWindowSeconds: z.number().check(z.nonnegative()),
  filterPatterns: z.array(z.string()),
  reportBatchItemFailures: z.boolean(),
  maximumConcurrency: z.exactOptional(positive),
  startConcurrency: z.exactOptional(positive),
  functionTimeoutSeconds: z.number().check(z.positive()),
  durableExecutionTimeoutSeconds: z.exactOptional(z.number().check(z.positive())),
  managedInstances: z.exactOptional(z.literal(true)),
  lastModified: z.number(),
  tags,
}) satisfies z.ZodMiniType<Mapping>;

const discovery = z.object({
  mappings: z.array(mapping),
  broken: z.array(z.extend(named, { reason: z.string() })),
  foreign: z.array(foreignMapping),
  settling: z.exactOptional(z.array(foreignMapping)),
  queues: z.array(z.object({ arn, attributes: queueAttributes, tags })),
  waitingInSqs: z.record(z.string(), z.number()),
  problems: z.exactOptional(
    z.array(z.object({ about: z.string(), text: z.string(), passing: z.exactOptional(z.literal(true)) })),
  ),
  unread: z.exactOptional(z.array(z.string())),
  functions: z.exactOptional(z.record(z.string(), z.string())),
  detailsReadAt: z.number(),
}) satisfies z.ZodMiniType<Discovery>;

/**
 * Reads a stored discovery; members that this version does not know are dropped. Errors: `SyntaxError`; `ZodError` (it
 * has another shape).
 */
export function readDiscovery(text: string): Discovery {
  return discovery.parse(JSON.parse(text));
}
