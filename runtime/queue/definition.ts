/**
 * The attributes of a queue, typed. Wire names and formats belong to the SQS API; this is what they mean.
 *
 * @module
 */

import { deflateRawSync, inflateRawSync } from 'node:zlib';
import * as z from 'zod/mini';
import type { QueueKey } from '../store/store.ts';
import { formatQueueArn, isFifoName, parseQueueArn, type QueueArn } from './names.ts';

/**
 * Where a queue comes from. `aws`: source of a disabled event source mapping, or a redrive target of one; its
 * attributes and tags belong to AWS and are changed there. `api`: created by CreateQueue here. `left-over`: AWS no
 * longer names it, but it still holds messages.
 */
type QueueOrigin = 'aws' | 'api' | 'left-over';

/**
 * What Karin does with the messages of a queue. `consume`: mappings are served. `hold`: messages are kept and the API
 * works, but no function is invoked. `forward`: sends go to the real SQS queue, and what is held follows.
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
  /** `SenderId` of the credential that made it by CreateQueue; absent: AWS names it, or an earlier version made it. */
  readonly madeBy?: string;
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

/*
 * The definition of a queue as a document of the store: JSON, written in one fixed order, so that equal definitions are
 * equal texts.
 */

/** What names of definition documents begin with; the queue's key follows. */
export const DEFINITION_PREFIX = 'queue:';

/** The name of the document that defines a queue. */
export function definitionName(key: QueueKey): string {
  return `${DEFINITION_PREFIX}${key}`;
}

/** The text is not a definition that this version can read. */
export class QueueDocumentError extends Error {
  override readonly name = 'QueueDocumentError';
}

const redriveAllowPolicy = z.union([
  z.object({ redrivePermission: z.enum(['allowAll', 'denyAll']) }),
  z.object({ redrivePermission: z.literal('byQueue'), sourceQueueArns: z.array(z.string()) }),
]);

/** Stored attributes; what else stands there is dropped. */
export const queueAttributes = z.object({
  visibilityTimeoutSeconds: z.number(),
  delaySeconds: z.number(),
  messageRetentionPeriodSeconds: z.number(),
  maximumMessageSizeBytes: z.number(),
  receiveMessageWaitTimeSeconds: z.number(),
  contentBasedDeduplication: z.boolean(),
  deduplicationScope: z.enum(['queue', 'messageGroup']),
  fifoThroughputLimit: z.enum(['perQueue', 'perMessageGroupId']),
  redrivePolicy: z.exactOptional(z.object({ deadLetterTargetArn: z.string(), maxReceiveCount: z.number() })),
  redriveAllowPolicy: z.exactOptional(redriveAllowPolicy),
  policy: z.exactOptional(z.string()),
  kmsMasterKeyId: z.exactOptional(z.string()),
  kmsDataKeyReusePeriodSeconds: z.exactOptional(z.number()),
  sqsManagedSseEnabled: z.boolean(),
}) satisfies z.ZodMiniType<QueueAttributes>;

const mode = z.enum(['consume', 'hold', 'forward']);

const document = z.object({
  arn: z.string(),
  origin: z.enum(['aws', 'api', 'left-over']),
  madeBy: z.exactOptional(z.string()),
  mode,
  modeAfterAws: z.exactOptional(mode),
  createdAt: z.number(),
  modifiedAt: z.number(),
  attributes: queueAttributes,
  tags: z.record(z.string(), z.string()),
});

/** Writes a definition. */
export function writeDefinition(definition: QueueDefinition): string {
  const { arn, origin, madeBy, mode, modeAfterAws, createdAt, modifiedAt, tags } = definition;
  const sortedTags = Object.fromEntries(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({
    arn: formatQueueArn(arn),
    origin,
    ...(madeBy === undefined ? {} : { madeBy }),
    mode,
    ...(modeAfterAws === undefined ? {} : { modeAfterAws }),
    createdAt,
    modifiedAt,
    // Parsing puts the members into the order of the schema.
    attributes: queueAttributes.parse(definition.attributes),
    tags: sortedTags,
  });
}

/** Reads a definition. Errors: `QueueDocumentError`. */
export function readDefinition(text: string): QueueDefinition {
  const { arn: arnText, ...others } = parse(text);
  const arn = parseQueueArn(arnText);
  if (arn === undefined) throw new QueueDocumentError(`${arnText} is not the ARN of an SQS queue`);
  const definition = { ...others, arn, fifo: isFifoName(arn.name) };
  return text.length < PACKED_FROM ? definition : packed(definition);
}

/** Definitions of more characters than this are packed. Few queues have so many tags or such a policy. */
const PACKED_FROM = 4_096;

const large = z.object({ policy: z.exactOptional(z.string()), tags: z.record(z.string(), z.string()) });

/**
 * The same definition with policy and tags, up to 30 KB that are read by people alone, compressed outside the heap of
 * JavaScript, and read from there each time that they are asked for: thousands of queues with all tags would fill the
 * heap at the start.
 */
function packed(definition: QueueDefinition): QueueDefinition {
  const { tags, attributes: all, ...others } = definition;
  const { policy, ...small } = all;
  const text = JSON.stringify({ tags, policy });
  const squeezed = deflateRawSync(text, { level: 1 });
  // A copy of the right size: what zlib answers is a piece of a larger buffer.
  const bytes = Buffer.allocUnsafeSlow(squeezed.length);
  squeezed.copy(bytes);
  const unpack = (): z.infer<typeof large> => large.parse(JSON.parse(inflateRawSync(bytes).toString()));
  const policyOnDemand =
    policy === undefined
      ? small
      : Object.defineProperty(small, 'policy', { enumerable: true, get: () => unpack().policy });
  return Object.defineProperty({ ...others, attributes: policyOnDemand, tags: {} }, 'tags', {
    enumerable: true,
    get: () => unpack().tags,
  });
}

function parse(text: string): z.infer<typeof document> {
  try {
    return document.parse(JSON.parse(text));
  } catch (cause) {
    throw new QueueDocumentError('the stored definition of the queue cannot be read', { cause });
  }
}
