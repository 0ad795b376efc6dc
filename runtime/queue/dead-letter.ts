/**
 * Dead letters: a message whose receive would exceed `maxReceiveCount` is moved to the dead-letter queue instead of
 * being handed out.
 * Source: "Using dead-letter queues in Amazon SQS"; `RedrivePolicy` of SetQueueAttributes.
 *
 * The move happens at the receive that would be one too many, as in SQS; so it needs somebody who receives. Where there
 * is an actor or a waiting long poll, the head-watch wakes it the moment the last lease runs out; where nobody
 * receives, nothing moves, in SQS as here.
 *
 * Two queues may live on two nodes of a cluster, so a move is two calls: store in the target under the same id, then
 * delete from the source with the fence of this receive. A crash between the two repeats the move when the lease runs
 * out, and the second copy collapses into the first by its id, or on a FIFO queue by its stay in the source
 * (`stayKey`). The receive of the move itself is not counted. What the message keeps: id, body, attributes, receive
 * count and first receive time, and why it failed last; the sent time on standard queues, while FIFO queues count
 * retention anew from the move and use the message's id as its deduplication id, so that two messages that shared one
 * are both kept.
 *
 * The consumer moves messages in the same way where it is asked to stop a loop (`Queue.moveToDeadLetterQueue`).
 *
 * A dead-letter queue may have a redrive policy of its own; its `maxReceiveCount` counts from the arrival there. A
 * queue that is its own dead-letter queue keeps its messages and goes on handing them out.
 *
 * @module
 */

import { type Lease, type NewEntry, type QueueKey, StoreFullError } from '../store/store.ts';
import type { QueueDefinition } from './definition.ts';
import type { Message, ReceivedMessage } from './message.ts';
import { formatQueueArn } from './names.ts';
import type { DeadLetterTarget, Notify } from './queue.ts';
import { encodeRecord } from './record.ts';
import type { StoreClock, WatchedStore } from './watched-store.ts';

/** A message to be moved, with its history; the receive under whose lease it is counts as one. */
type DeadLetter = Message & Pick<ReceivedMessage, 'lease' | 'sentAt' | 'receiveCount' | 'firstReceivedAt'>;

export interface DeadLettersOptions {
  readonly queue: { readonly key: QueueKey; readonly definition: QueueDefinition };
  readonly store: WatchedStore;
  readonly clock: StoreClock;
  readonly notify: Notify;
  /** The queue with this ARN, if it exists here and is of the same type. */
  readonly findDeadLetterQueue: (arn: string) => DeadLetterTarget | undefined;
}

/** Where the dead letters of one queue go, and their way there. */
export class DeadLetters {
  readonly #options: DeadLettersOptions;
  /** The dead-letter queue whose absence was reported, so that it is reported once. */
  #reportedMissing: string | undefined;

  constructor(options: DeadLettersOptions) {
    this.#options = options;
  }

  /**
   * `undefined`: messages stay here and are handed out, because there is no policy, or it names this queue itself or
   * one that is not there.
   */
  target(): DeadLetterTarget | undefined {
    const { queue, findDeadLetterQueue, notify } = this.#options;
    const { arn, attributes } = queue.definition;
    const targetArn = attributes.redrivePolicy?.deadLetterTargetArn;
    if (targetArn === undefined || targetArn === formatQueueArn(arn)) return undefined;
    const target = findDeadLetterQueue(targetArn);
    if (target !== undefined) {
      this.#reportedMissing = undefined;
    } else if (this.#reportedMissing !== targetArn) {
      this.#reportedMissing = targetArn;
      notify({
        kind: 'queue-warning',
        queue: queue.key,
        what: 'dead-letter-queue-missing',
        detail: `the redrive policy names ${targetArn}, which does not exist here or is of the other type (standard, FIFO); messages beyond maxReceiveCount stay and are received on`,
      });
    }
    return target;
  }

  /**
   * Moves messages that are under their leases. Errors: those of the store; what was not moved waits out its lease.
   */
  async move(dead: readonly DeadLetter[], target: DeadLetterTarget): Promise<void> {
    const { queue, store, clock, notify } = this.#options;
    const { arn, fifo } = queue.definition;
    const entries = dead.map((message) => {
      const entry = deadLetterEntry(message, formatQueueArn(arn), fifo, clock.now() ?? message.sentAt);
      return fifo ? { ...entry, deduplicationKey: stayKey(queue.key, message.lease) } : entry;
    });
    const messageIds = dead.map(({ id }) => id);
    const failures = await store.failures(messageIds);
    await target.store.send(entries);
    if (failures.size > 0) {
      // A full store keeps no more of them. A move without them is worth more than none.
      await target.store
        .keepFailures([...failures].map(([id, failure]) => ({ id, ...failure })))
        .catch((error: unknown) => {
          if (!(error instanceof StoreFullError)) throw error;
        });
    }
    await store.delete(dead.map(({ lease }) => lease));
    notify({ kind: 'dead-lettered', queue: queue.key, target: target.key, messageIds });
  }
}

/**
 * The same for every try to move one message out of one stay in a queue, and for nothing else. The id alone would take
 * a message that comes back (two queues may be the dead-letter queue of each other) for a repeat of its first move, and
 * drop it.
 */
function stayKey(source: QueueKey, { id, sequenceNumber = '' }: Lease): string {
  return `${id} ${source} ${sequenceNumber}`;
}

/**
 * What is stored in the dead-letter queue. `sourceArn`: where the message comes from; `now`: the store's time, epoch
 * ms.
 */
function deadLetterEntry(dead: DeadLetter, sourceArn: string, fifo: boolean, now: number): NewEntry {
  const { id, groupId, firstReceivedAt } = dead;
  const receiveCount = dead.receiveCount - 1;
  const message = { ...dead, deadLetterSourceArn: sourceArn, ...(fifo ? { deduplicationId: id } : {}) };
  return {
    id,
    record: encodeRecord(message, receiveCount),
    delayMs: 0,
    ...(groupId === undefined ? {} : { group: groupId }),
    history: { sentAt: fifo ? now : dead.sentAt, receiveCount, firstReceivedAt },
  };
}
