/**
 * Moves messages that are held here to the real queue: lease here, send there, delete here.
 *
 * Nothing is lost, because a message is deleted here only when SQS has said that it has it. Killed between the two, the lease runs out and the message is sent again: on a standard
 * queue that is a duplicate, as SQS itself may make one; on a FIFO queue SQS recognises it, because the id of the message here is its deduplication id there (for five minutes, its
 * deduplication window). It is not the id that the sender gave: two messages that were sent with one id more than five minutes apart are both held, and both must arrive.
 *
 * Order. On a FIFO queue a lease locks the group, so all that is leased of one group is in one hand. Messages of one group are sent one after another, each after the one before it was accepted,
 * because SQS may accept the second of two in one call and refuse the first; different groups share calls. After a message that was not accepted the rest of its group is given back.
 *
 * What SQS does not accept for a while is given back uncounted, so that a failure of the network never pushes a message towards its dead-letter queue. What it will never accept stays under its lease.
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { batchesOf, type RealEntry, type RealQueues, type RealSendOutcome } from './real-queues.ts';
import type { OnTransfer } from './transfer-events.ts';

/** Default lease of what is being moved, ms: longer than a send with all its repeats takes. */
export const MOVE_LEASE_MS = 120_000;

export interface MoverOptions {
  readonly queue: Queue;
  readonly realQueues: RealQueues;
  readonly onEvent: OnTransfer;
}

/** What became of the messages of one call. */
export interface Moved {
  /** Accepted by SQS and deleted here. */
  readonly moved: number;
  /** Why SQS did not accept some of the others for now. */
  readonly failed?: string;
  /** Will never be accepted: id and reason. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Moves messages that `queue.receive` just leased. Errors: those of the real queue and of the store; the messages that were not moved are given back first, as far as the store can be reached.
 */
export async function moveLeased(options: MoverOptions, leased: readonly ReceivedMessage[]): Promise<Moved> {
  const open = new Set(leased);
  const refused = new Map<string, string>();
  const stopped = new Set<string>();
  let failed: string | undefined;
  try {
    for (const batch of callsFor(options.queue, leased)) {
      const sendable = batch.filter(({ groupId }) => groupId === undefined || !stopped.has(groupId));
      if (sendable.length === 0) continue;
      const outcomes = await options.realQueues.send(options.queue.arn, sendable.map(entryFor(options.queue)));
      const accepted: ReceivedMessage[] = [];
      for (const [index, message] of sendable.entries()) {
        const outcome: RealSendOutcome = outcomes[index] ?? { kind: 'failed', reason: 'SQS did not answer for it' };
        if (outcome.kind === 'sent') {
          accepted.push(message);
          continue;
        }
        if (options.queue.definition.fifo && message.groupId !== undefined) stopped.add(message.groupId);
        if (outcome.kind === 'failed') {
          failed = outcome.reason;
        } else {
          refused.set(message.id, outcome.reason);
          open.delete(message);
        }
      }
      for (const message of accepted) open.delete(message);
      if (accepted.length > 0) await options.queue.delete(accepted.map(({ receiptHandle }) => receiptHandle));
    }
  } finally {
    await giveBack(options, [...open]);
  }
  for (const [messageId, reason] of refused) {
    options.onEvent({ kind: 'refused', queue: options.queue.key, messageId, reason });
  }
  const moved = leased.length - open.size - refused.size;
  return { moved, refused, ...(failed !== undefined && { failed }) };
}

/** Gives leased messages back, uncounted. If the store does not answer, their leases run out instead; that is not worth hiding the first failure for. */
export async function giveBack({ queue, onEvent }: MoverOptions, messages: readonly ReceivedMessage[]): Promise<void> {
  if (messages.length === 0) return;
  try {
    await queue.release(messages.map(({ receiptHandle }) => receiptHandle));
  } catch (error) {
    const reason = `messages could not be given back: ${error instanceof Error ? error.message : String(error)}`;
    onEvent({ kind: 'retrying', queue: queue.key, inMs: MOVE_LEASE_MS, reason });
  }
}

/** The calls to make, in order. FIFO: the n-th call (or calls) takes the n-th message of each group. */
function callsFor(queue: Queue, leased: readonly ReceivedMessage[]): readonly ReceivedMessage[][] {
  if (!queue.definition.fifo) return batchesOf(leased);
  const rounds: ReceivedMessage[][] = [];
  const countOf = new Map<string | undefined, number>();
  for (const message of leased) {
    const round = countOf.get(message.groupId) ?? 0;
    countOf.set(message.groupId, round + 1);
    const sameRound = rounds[round] ?? [];
    sameRound.push(message);
    rounds[round] = sameRound;
  }
  return rounds.flatMap(batchesOf);
}

/** The delay of a message is over when it is leased, so a standard queue's own delay must not begin another one. */
function entryFor(queue: Queue): (message: ReceivedMessage) => RealEntry {
  const own = queue.definition.fifo
    ? ({ id }: ReceivedMessage) => ({ deduplicationId: id })
    : () => ({ delaySeconds: 0 });
  return (message) => ({
    body: message.body,
    attributes: message.attributes,
    ...(message.traceHeader !== undefined && { traceHeader: message.traceHeader }),
    ...(message.groupId !== undefined && { groupId: message.groupId }),
    ...own(message),
  });
}
