/**
 * The limits of SQS. Sources: SQS developer guide, "quotas-messages" and "quotas-queues"; API reference of each action.
 *
 * @module
 */

/**
 * The largest message, and the largest sum of a batch: body plus names, types and values of its attributes, in bytes.
 */
export const MAX_MESSAGE_BYTES = 1_048_576;
/** The least value of the queue attribute `MaximumMessageSize`, bytes. */
export const MIN_MAXIMUM_MESSAGE_SIZE = 1_024;
/** Entries of one batch request. */
export const MAX_BATCH_ENTRIES = 10;
/** Messages of one ReceiveMessage. */
export const MAX_RECEIVED_MESSAGES = 10;
/** Message attributes of one message. */
export const MAX_MESSAGE_ATTRIBUTES = 10;
/** Characters of the name of a message attribute, and of its data type. */
export const MAX_ATTRIBUTE_NAME_LENGTH = 256;
/**
 * `AWSTraceHeader`, characters. It does not count towards the size of a message, and SQS documents no bound; without
 * one each message could be four times as large as it may be. Many times the longest that X-Ray writes.
 */
export const MAX_TRACE_HEADER_LENGTH = 8_192;
/** `DelaySeconds` of SQS, seconds. */
export const MAX_DELAY_SECONDS = 900;
/** `VisibilityTimeout`, seconds: twelve hours. */
export const MAX_VISIBILITY_TIMEOUT_SECONDS = 43_200;
/** `WaitTimeSeconds`, seconds. */
export const MAX_WAIT_SECONDS = 20;
/** `MessageRetentionPeriod`, seconds. */
export const RETENTION_SECONDS = { least: 60, most: 1_209_600 } as const;
/** `KmsDataKeyReusePeriodSeconds`, seconds; `usual` where a key is set without it. */
export const KMS_REUSE_SECONDS = { least: 60, most: 86_400, usual: 300 } as const;
/** `KmsMasterKeyId`, characters: an ARN, an id or an alias. */
export const MAX_KMS_KEY_LENGTH = 2_048;
/** Entries of one page of ListQueues and ListDeadLetterSourceQueues. */
export const MAX_PAGE = 1_000;
/** Results of ListMessageMoveTasks. */
export const MAX_MOVE_TASK_RESULTS = 10;
/** `MaxNumberOfMessagesPerSecond` of a message move task. */
export const MAX_MOVE_RATE = 500;
/** Tags of one queue. */
export const MAX_TAGS = 50;
export const MAX_TAG_KEY_LENGTH = 128;
export const MAX_TAG_VALUE_LENGTH = 256;
/** `maxReceiveCount` of a RedrivePolicy. */
export const MAX_RECEIVE_COUNT = 1_000;
/** `sourceQueueArns` of a RedriveAllowPolicy. */
export const MAX_ALLOWED_SOURCES = 10;
/** The policy document, bytes. */
export const MAX_POLICY_BYTES = 8_192;
/** Statements of a policy document. */
export const MAX_POLICY_STATEMENTS = 20;
/** Actions of one AddPermission. */
export const MAX_PERMISSION_ACTIONS = 7;
/** Time between two PurgeQueue on one queue, milliseconds. */
export const PURGE_INTERVAL_MS = 60_000;

/** Queue names; FIFO names end in `.fifo`, and the suffix counts. */
export const QUEUE_NAME = /^(?:[A-Za-z0-9_-]{1,75}\.fifo|[A-Za-z0-9_-]{1,80})$/;
/** Id of a batch entry. */
export const BATCH_ENTRY_ID = /^[A-Za-z0-9_-]{1,80}$/;
/**
 * `MessageGroupId`, `MessageDeduplicationId` and `ReceiveRequestAttemptId`: letters, digits and punctuation of ASCII.
 */
export const FIFO_ID = /^[!-~]{1,128}$/;
/** The characters that a message may hold, as SQS writes them. */
export const ALLOWED_CHARACTERS = '#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF]';
/** A character that no message may hold: all but `ALLOWED_CHARACTERS`. */
export const FORBIDDEN_CHARACTER = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;
