/**
 * The attributes of a queue, typed. Wire names and formats belong to the SQS API; this is what they mean.
 *
 * @module
 */
import type { QueueArn } from './arn.ts';

/**
 * Where a queue comes from. `aws`: source of a disabled event source mapping, or a redrive target of one; its attributes and tags belong to AWS
 * and are changed there. `api`: created by CreateQueue here. `left-over`: AWS no longer names it, but it still holds messages.
 */
export type QueueOrigin = 'aws' | 'api' | 'left-over';

/**
 * What Karin does with the messages of a queue. `consume`: mappings are served. `hold`: messages are kept and the API works, but no function is invoked.
 * `forward`: sends go to the real SQS queue, and what is held follows.
 */
export type QueueMode = 'consume' | 'hold' | 'forward';

/** `RedrivePolicy`. */
export interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  /** 1 to 1,000. */
  readonly maxReceiveCount: number;
}

/** `RedriveAllowPolicy`: which queues may name this one as their dead-letter queue. */
export type RedriveAllowPolicy =
  | { readonly redrivePermission: 'allowAll' | 'denyAll' }
  | { readonly redrivePermission: 'byQueue'; readonly sourceQueueArns: readonly string[] };

/** The attributes that AWS documents for SetQueueAttributes, in the units of their names. */
export interface QueueAttributes {
  /** 0 to 43,200 s; default 30. */
  readonly visibilityTimeoutSeconds: number;
  /** 0 to 900 s; default 0. */
  readonly delaySeconds: number;
  /** 60 to 1,209,600 s; default 345,600 (four days). */
  readonly messageRetentionPeriodSeconds: number;
  /** 1,024 to 1,048,576 bytes; default 1,048,576. */
  readonly maximumMessageSizeBytes: number;
  /** 0 to 20 s; default 0. */
  readonly receiveMessageWaitTimeSeconds: number;
  /** FIFO only; default false. */
  readonly contentBasedDeduplication: boolean;
  /** FIFO only; default `queue`. */
  readonly deduplicationScope: 'queue' | 'messageGroup';
  /** FIFO only; default `perQueue`. */
  readonly fifoThroughputLimit: 'perQueue' | 'perMessageGroupId';
  readonly redrivePolicy?: RedrivePolicy;
  readonly redriveAllowPolicy?: RedriveAllowPolicy;
  /** The policy document as given, stored and returned, never evaluated; up to 8,192 bytes. */
  readonly policy?: string;
  readonly kmsMasterKeyId?: string;
  /** 60 to 86,400 s; default 300. */
  readonly kmsDataKeyReusePeriodSeconds?: number;
  /** Default true. */
  readonly sqsManagedSseEnabled: boolean;
}

/** Everything known about one queue but its messages. */
export interface QueueDefinition {
  readonly arn: QueueArn;
  readonly fifo: boolean;
  readonly origin: QueueOrigin;
  readonly attributes: QueueAttributes;
  readonly tags: Readonly<Record<string, string>>;
  /** `CreatedTimestamp`, milliseconds since the epoch. */
  readonly createdAt: number;
  /** `LastModifiedTimestamp`, milliseconds since the epoch. */
  readonly modifiedAt: number;
  /** What Karin does now. While AWS consumes the queue it is never `consume`. */
  readonly mode: QueueMode;
  /** There while AWS consumes the queue, as the last sync saw: the mode that the operator wants once it does not. */
  readonly modeAfterAws?: QueueMode;
}

/** The attributes of a queue created with none, as AWS documents them for CreateQueue. */
export const DEFAULT_ATTRIBUTES: QueueAttributes = {
  visibilityTimeoutSeconds: 30,
  delaySeconds: 0,
  messageRetentionPeriodSeconds: 345_600,
  maximumMessageSizeBytes: 1_048_576,
  receiveMessageWaitTimeSeconds: 0,
  contentBasedDeduplication: false,
  deduplicationScope: 'queue',
  fifoThroughputLimit: 'perQueue',
  sqsManagedSseEnabled: true,
};
