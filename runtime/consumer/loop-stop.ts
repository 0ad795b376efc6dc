/**
 * Ends a probable loop where the operator asked for it: its messages go to the dead-letter queue, where they can be looked at and sent back. Nothing is dropped.
 *
 * @module
 */
import { parseQueueArn, queueKey } from '../queue/arn.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { OutgoingMessage, ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import type { EventSink } from './events.ts';

/** The dead-letter queue of a queue, if it has one that exists here. */
export function deadLetterQueue(queue: Queue, directory: QueueDirectory): Queue | undefined {
  const target = queue.definition.attributes.redrivePolicy?.deadLetterTargetArn;
  const arn = target === undefined ? undefined : parseQueueArn(target);
  return arn === undefined ? undefined : directory.byKey(queueKey(arn));
}

/**
 * Moves leased messages to the dead-letter queue: stored there under the same ids, then deleted here. A crash between the two repeats the move after the
 * lease, and the second copy collapses into the first. Errors: those of the store; what was not moved waits out its lease.
 */
export async function moveToDeadLetterQueue(
  queue: Queue,
  target: Queue,
  messages: readonly ReceivedMessage[],
  sourceArn: string,
  events: EventSink,
): Promise<void> {
  await target.send(messages.map((message) => asDeadLetter(message, sourceArn, target.definition.fifo)));
  await queue.delete(messages.map((message) => message.receiptHandle));
  events.emit({
    kind: 'dead-lettered',
    queue: queue.key,
    target: target.key,
    messageIds: messages.map((message) => message.id),
  });
}

function asDeadLetter(message: ReceivedMessage, sourceArn: string, fifo: boolean): OutgoingMessage {
  const { id, body, attributes, senderId, traceHeader, groupId } = message;
  return {
    id,
    body,
    attributes,
    senderId,
    ...(traceHeader !== undefined && { traceHeader }),
    ...(groupId !== undefined && { groupId }),
    // Two messages of the source may share a deduplication id, five minutes apart; both must be kept.
    ...(fifo && { deduplicationId: id }),
    deadLetterSourceArn: sourceArn,
    delayMs: 0,
  };
}
