/**
 * The definition of a queue as a document of the store: JSON, written in one fixed order, so that equal definitions are equal texts.
 *
 * @module
 */
import * as z from 'zod/mini';
import { formatQueueArn, isFifoName, parseQueueArn, type QueueKey } from './arn.ts';
import type { QueueAttributes, QueueDefinition } from './queue-definition.ts';

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

const attributes = z.object({
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
  mode,
  modeAfterAws: z.exactOptional(mode),
  createdAt: z.number(),
  modifiedAt: z.number(),
  attributes,
  tags: z.record(z.string(), z.string()),
});

/** Writes a definition. */
export function writeDefinition(definition: QueueDefinition): string {
  const { arn, origin, mode, modeAfterAws, createdAt, modifiedAt, tags } = definition;
  const sortedTags = Object.fromEntries(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify({
    arn: formatQueueArn(arn),
    origin,
    mode,
    ...(modeAfterAws === undefined ? {} : { modeAfterAws }),
    createdAt,
    modifiedAt,
    // Parsing puts the members into the order of the schema.
    attributes: attributes.parse(definition.attributes),
    tags: sortedTags,
  });
}

/** Reads a definition. Errors: `QueueDocumentError`. */
export function readDefinition(text: string): QueueDefinition {
  const { arn: arnText, attributes: parsed, ...others } = parse(text);
  const arn = parseQueueArn(arnText);
  if (arn === undefined) throw new QueueDocumentError(`${arnText} is not the ARN of an SQS queue`);
  return { ...others, arn, fifo: isFifoName(arn.name), attributes: parsed };
}

function parse(text: string): z.infer<typeof document> {
  try {
    return document.parse(JSON.parse(text));
  } catch (cause) {
    throw new QueueDocumentError('the stored definition of the queue cannot be read', { cause });
  }
}
