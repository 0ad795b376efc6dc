/**
 * The settings of an event source mapping, as the Lambda API and CloudFormation both name them, turned into what the consumer works with.
 *
 * @module
 */
import type { Mapping } from '../mapping.ts';

/** The SQS-relevant members of `EventSourceMappingConfiguration` and of `AWS::Lambda::EventSourceMapping`; names and units are AWS's. */
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
