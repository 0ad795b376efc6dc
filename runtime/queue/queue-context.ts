/**
 * What all queues of a process share.
 *
 * @module
 */
import type { Store } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import type { DeadLetterTarget } from './dead-letter.ts';
import type { OutgoingMessage, SentMessage } from './message.ts';
import type { Queue } from './queue.ts';
import type { Notify } from './queue-events.ts';
import type { ReceiptHandles } from './receipt-handle.ts';
import type { StoreClock } from './store-clock.ts';

/**
 * Sends messages to the real SQS queue of the same ARN, a standard queue; an answer for each, in order. Delays are at most 900 s. It rejects if any of them was not accepted, and the sender
 * then sees the whole send fail, as with a store that cannot be reached.
 */
export type Forward = (queue: Queue, messages: readonly OutgoingMessage[]) => Promise<readonly SentMessage[]>;

export interface QueueContext {
  readonly store: Store;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly handles: ReceiptHandles;
  readonly clock: StoreClock;
  readonly notify: Notify;
  readonly forward?: Forward;
  /** Messages of one queue that may be in flight. */
  readonly inFlightLimit: number;
  /** The queue with this ARN, if it exists here and is of the same type. */
  readonly findDeadLetterQueue: (arn: string, fifo: boolean) => DeadLetterTarget | undefined;
}
