/**
 * The attributes of a queue as AWS states them, read leniently: what AWS has accepted is not judged a second time, and what cannot be read
 * takes AWS's default.
 *
 * @module
 */
import {
  DEFAULT_ATTRIBUTES,
  type QueueAttributes,
  type RedriveAllowPolicy,
  type RedrivePolicy,
} from '../../queue/queue-definition.ts';

/** Attribute values by name: texts, as `sqs:GetQueueAttributes` returns them, or JSON values, as the properties of an `AWS::SQS::Queue`; the names are the same. */
export type StatedAttributes = Readonly<Record<string, unknown>>;

/** Reads the attributes of a queue. */
export function readQueueAttributes(stated: StatedAttributes): QueueAttributes {
  const redrivePolicy = redrivePolicyOf(stated['RedrivePolicy']);
  const redriveAllowPolicy = redriveAllowPolicyOf(stated['RedriveAllowPolicy']);
  const policy = textOf(stated['Policy']);
  const kmsMasterKeyId = textOf(stated['KmsMasterKeyId']);
  const reuse = stated['KmsDataKeyReusePeriodSeconds'];
  return {
    visibilityTimeoutSeconds: numberOf(stated['VisibilityTimeout'], DEFAULT_ATTRIBUTES.visibilityTimeoutSeconds),
    delaySeconds: numberOf(stated['DelaySeconds'], DEFAULT_ATTRIBUTES.delaySeconds),
    messageRetentionPeriodSeconds: numberOf(
      stated['MessageRetentionPeriod'],
      DEFAULT_ATTRIBUTES.messageRetentionPeriodSeconds,
    ),
    maximumMessageSizeBytes: numberOf(stated['MaximumMessageSize'], DEFAULT_ATTRIBUTES.maximumMessageSizeBytes),
    receiveMessageWaitTimeSeconds: numberOf(
      stated['ReceiveMessageWaitTimeSeconds'],
      DEFAULT_ATTRIBUTES.receiveMessageWaitTimeSeconds,
    ),
    contentBasedDeduplication: booleanOf(stated['ContentBasedDeduplication'], false),
    deduplicationScope: stated['DeduplicationScope'] === 'messageGroup' ? 'messageGroup' : 'queue',
    fifoThroughputLimit: stated['FifoThroughputLimit'] === 'perMessageGroupId' ? 'perMessageGroupId' : 'perQueue',
    // A queue under a KMS key has no SQS-managed encryption, and AWS then says so.
    sqsManagedSseEnabled: booleanOf(stated['SqsManagedSseEnabled'], kmsMasterKeyId === undefined),
    ...(redrivePolicy === undefined ? {} : { redrivePolicy }),
    ...(redriveAllowPolicy === undefined ? {} : { redriveAllowPolicy }),
    ...(policy === undefined ? {} : { policy }),
    ...(kmsMasterKeyId === undefined ? {} : { kmsMasterKeyId }),
    ...(reuse === undefined ? {} : { kmsDataKeyReusePeriodSeconds: numberOf(reuse, 300) }),
  };
}

function redrivePolicyOf(value: unknown): RedrivePolicy | undefined {
  const policy = objectOf(value);
  const target = policy?.['deadLetterTargetArn'];
  const count = Number(policy?.['maxReceiveCount']);
  if (typeof target !== 'string' || !Number.isInteger(count) || count < 1) return undefined;
  return { deadLetterTargetArn: target, maxReceiveCount: count };
}

function redriveAllowPolicyOf(value: unknown): RedriveAllowPolicy | undefined {
  const policy = objectOf(value);
  switch (policy?.['redrivePermission']) {
    case 'allowAll':
      return { redrivePermission: 'allowAll' };
    case 'denyAll':
      return { redrivePermission: 'denyAll' };
    case 'byQueue': {
      const arns = policy['sourceQueueArns'];
      const sourceQueueArns = Array.isArray(arns) ? arns.filter((arn): arn is string => typeof arn === 'string') : [];
      return { redrivePermission: 'byQueue', sourceQueueArns };
    }
    default:
      return undefined;
  }
}

/** AWS returns policies as JSON text, templates hold them as objects. */
function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value === 'string') {
    try {
      return objectOf(JSON.parse(value));
    } catch {
      return undefined;
    }
  }
  // Narrowed to a non-array object: every key of one may be read.
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return value === undefined || value === null ? undefined : JSON.stringify(value);
}

function numberOf(value: unknown, fallback: number): number {
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN;
  return value !== '' && Number.isFinite(number) ? number : fallback;
}

function booleanOf(value: unknown, fallback: boolean): boolean {
  if (typeof value === 'boolean') return value;
  if (value === 'true') return true;
  if (value === 'false') return false;
  return fallback;
}
