/**
 * Mode `forward`, the direct way: what is sent to a standard queue here goes straight on to the real one, and the sender is told SQS's own message id.
 *
 * Two kinds of sends never come this way; the queue keeps them, and the forwarding service moves them when they are due: delays beyond 900 s, which SQS does not take, and everything for
 * FIFO queues, so that nothing overtakes what is held and a sender's repeat is still recognised here.
 *
 * @module
 */
import { formatQueueArn } from '../queue/arn.ts';
import type { OutgoingMessage, SentMessage } from '../queue/message.ts';
import type { Forward } from '../queue/stored-queue.ts';
import { StoreUnavailableError } from '../store/store.ts';
import { batchesOf, type RealEntry, type RealQueues } from './real-queues.ts';

/** So often the entries that SQS did not accept are sent again before the sender is told. */
const ATTEMPTS = 3;

/** The port that queues in mode `forward` send through. Errors: `StoreUnavailableError`, which the sender's SDK retries; parts of a batch may have been accepted then. */
export function createForwarder(realQueues: RealQueues): Forward {
  return async (queue, messages) => {
    const sent: SentMessage[] = [];
    for (const batch of batchesOf(messages)) {
      try {
        sent.push(...(await sendBatch(realQueues, queue, batch)));
      } catch (error) {
        if (error instanceof StoreUnavailableError) throw error;
        throw notAccepted(queue, error instanceof Error ? error.message : String(error), error);
      }
    }
    return sent;
  };
}

async function sendBatch(
  realQueues: RealQueues,
  queue: Parameters<Forward>[0],
  batch: readonly OutgoingMessage[],
): Promise<readonly SentMessage[]> {
  const sent = new Map<OutgoingMessage, SentMessage>();
  let reason = '';
  for (let attempt = 0; attempt < ATTEMPTS && sent.size < batch.length; attempt += 1) {
    const open = batch.filter((message) => !sent.has(message));
    const outcomes = await realQueues.send(queue.arn, open.map(forwardedEntry));
    for (const [index, outcome] of outcomes.entries()) {
      const message = open[index];
      if (message === undefined) continue;
      if (outcome.kind === 'sent') {
        const { messageId: id, sequenceNumber } = outcome;
        sent.set(message, { id, duplicate: false, ...(sequenceNumber !== undefined && { sequenceNumber }) });
      } else if (outcome.kind === 'refused') {
        throw notAccepted(queue, outcome.reason);
      } else {
        reason = outcome.reason;
      }
    }
  }
  return batch.map((message) => {
    const answer = sent.get(message);
    if (answer === undefined) throw notAccepted(queue, reason);
    return answer;
  });
}

/** Delays are rounded up to the seconds that SQS counts in: never early. */
function forwardedEntry(message: OutgoingMessage): RealEntry {
  const { body, attributes, traceHeader, groupId, delayMs } = message;
  return {
    body,
    attributes,
    ...(traceHeader !== undefined && { traceHeader }),
    ...(groupId !== undefined && { groupId }),
    ...(delayMs !== undefined && { delaySeconds: Math.ceil(delayMs / 1000) }),
  };
}

function notAccepted(queue: Parameters<Forward>[0], reason: string, cause?: unknown): StoreUnavailableError {
  return new StoreUnavailableError(
    `queue ${formatQueueArn(queue.arn)} is in mode forward, and SQS did not accept the send: ${reason}`,
    { cause },
  );
}
