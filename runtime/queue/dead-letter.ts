/**
 * Dead letters: a message whose receive would exceed `maxReceiveCount` is moved to the dead-letter queue instead of being handed out.
 * Source: "Using dead-letter queues in Amazon SQS"; `RedrivePolicy` of SetQueueAttributes.
 *
 * The move happens at the receive that would be one too many, as in SQS; so it needs somebody who receives. Where there is an actor or a waiting long poll, the head-watch wakes
 * it the moment the last lease runs out; where nobody receives, nothing moves, in SQS as here.
 *
 * Two queues may live on two nodes of a cluster, so a move is two calls: store in the target under the same id, then delete from the source with the fence of this receive. A crash
 * between the two repeats the move when the lease runs out, and the second copy collapses into the first by its id. The receive of the move itself is not counted.
 * What the message keeps: id, body, attributes, receive count and first receive time; the sent time on standard queues, while FIFO queues count retention anew from the move and
 * use the message's id as its deduplication id, so that two messages that shared one are both kept.
 *
 * A dead-letter queue may have a redrive policy of its own; its `maxReceiveCount` counts from the arrival there. A queue that is its own dead-letter queue keeps its messages and goes
 * on handing them out.
 *
 * @module
 */
import type { LeasedEntry, NewEntry } from '../store/store.ts';
import type { RedrivePolicy } from './queue-definition.ts';
import { encodeRecord, type RecordContent } from './record.ts';

/** A message under a lease, with its record read. */
export interface OpenedEntry {
  readonly entry: LeasedEntry;
  readonly content: RecordContent;
}

/** Whether this receive is one too many. */
export function exceedsReceives({ entry, content }: OpenedEntry, policy: RedrivePolicy): boolean {
  return entry.receiveCount - content.receivedBefore > policy.maxReceiveCount;
}

/** What is stored in the dead-letter queue. `sourceArn`: where the message comes from; `now`: the store's time, epoch ms. */
export function deadLetterEntry(
  { entry, content }: OpenedEntry,
  sourceArn: string,
  fifo: boolean,
  now: number,
): NewEntry {
  const receiveCount = entry.receiveCount - 1;
  const { groupId } = content.message;
  const message = {
    ...content.message,
    deadLetterSourceArn: sourceArn,
    ...(fifo ? { deduplicationId: entry.id } : {}),
  };
  return {
    id: entry.id,
    record: encodeRecord(message, receiveCount),
    delayMs: 0,
    ...(groupId === undefined ? {} : { group: groupId }),
    ...(fifo ? { deduplicationKey: entry.id } : {}),
    history: { sentAt: fifo ? now : entry.sentAt, receiveCount, firstReceivedAt: entry.firstReceivedAt },
  };
}
