/**
 * An event source mapping as Karin consumes it: the SQS-relevant fields of `lambda:ListEventSourceMappings`, completed by details of the function.
 *
 * @module
 */
import type { QueueArn } from '../queue/arn.ts';

export interface Mapping {
  /** Identity; state that outlives a sync is keyed by it, except queue data, which is keyed by the queue. */
  readonly uuid: string;
  /** Needed for ListTags. */
  readonly mappingArn: string;
  readonly queueArn: QueueArn;
  /** As given, with alias, version or `$LATEST` if AWS has it so; passed to Invoke unchanged. */
  readonly functionArn: string;
  /** 1 to 10,000 (FIFO 10); default 10. */
  readonly batchSize: number;
  /** `MaximumBatchingWindowInSeconds`, 0 to 300 s; FIFO 0. */
  readonly batchWindowSeconds: number;
  /** Patterns as JSON texts; empty: everything matches. */
  readonly filterPatterns: readonly string[];
  /** `FunctionResponseTypes` has `ReportBatchItemFailures`. */
  readonly reportBatchItemFailures: boolean;
  /** `ScalingConfig.MaximumConcurrency` (AWS: 2 to 1,000; a tag may set 1), or ten per `MaximumPollers`; absent: no limit of its own. */
  readonly maximumConcurrency?: number;
  /** `Timeout` of the function, 1 to 900 s. */
  readonly functionTimeoutSeconds: number;
  /** Epoch milliseconds of `LastModified`; a change means that details must be read again. */
  readonly lastModified: number;
  readonly tags: Readonly<Record<string, string>>;
}

/** A mapping that Karin must not serve, and why; the others are unharmed. */
export interface BrokenMapping {
  readonly uuid: string;
  readonly queueArn: QueueArn;
  readonly functionArn: string;
  /** A sentence for the operator: what is wrong and what mends it. */
  readonly reason: string;
  /** Epoch milliseconds of `LastModified`, where the reason lasts until the mapping changes or details are read in full; absent: looked at again at every sync. */
  readonly lastModified?: number;
}
