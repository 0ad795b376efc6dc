/**
 * Deduplication of FIFO queues: which id a message has, and within what it must be unique.
 * Source: "Exactly-once processing in Amazon SQS" and `DeduplicationScope` of SetQueueAttributes.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { OutgoingMessage } from './message.ts';
import type { QueueAttributes } from './queue-definition.ts';

/** A FIFO queue without content-based deduplication was given a message without an id. The SQS API refuses such a request before it comes here. */
export class MissingDeduplicationIdError extends Error {
  override readonly name = 'MissingDeduplicationIdError';
}

/** The given id, or SHA-256 of the body as lower-case hex (attributes do not count) where the queue is content-based. Errors: `MissingDeduplicationIdError`. */
export function deduplicationId(message: OutgoingMessage, attributes: QueueAttributes): string {
  if (message.deduplicationId !== undefined) return message.deduplicationId;
  if (attributes.contentBasedDeduplication) return createHash('sha256').update(message.body, 'utf8').digest('hex');
  throw new MissingDeduplicationIdError(
    'the queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
  );
}

/** What must be unique for five minutes: the id in the whole queue, or per group with the scope `messageGroup`. */
export function deduplicationKey(id: string, group: string, attributes: QueueAttributes): string {
  // A group id has no spaces (alphanumeric and punctuation only), so no two pairs give one key.
  return attributes.deduplicationScope === 'messageGroup' ? `${group} ${id}` : id;
}
