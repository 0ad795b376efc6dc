import { checkBatch, failedEntry, partition } from '../batch.ts';
import { invalidParameter, missingParameter } from '../errors.ts';
import { MAX_VISIBILITY_TIMEOUT_SECONDS } from '../limits.ts';
import { visibilityError } from '../receipt-outcome.ts';
import { queueAction } from './action.ts';

const ENTRY = 'ChangeMessageVisibilityBatchRequestEntry';

export const changeMessageVisibilityBatch = queueAction(
  'ChangeMessageVisibilityBatch',
  'consume',
  async (queue, input) => {
    const { accepted, failed } = partition(checkBatch(input.Entries, ENTRY), ({ entry, place }) => {
      const { ReceiptHandle: receiptHandle, VisibilityTimeout: seconds } = entry;
      if (!receiptHandle?.trim()) throw missingParameter('ReceiptHandle');
      if (seconds === undefined) throw missingParameter(`${ENTRY}.${place}.VisibilityTimeout`);
      if (seconds < 0 || seconds > MAX_VISIBILITY_TIMEOUT_SECONDS) {
        const reason = `VisibilityTimeout must be an integer between 0 and ${MAX_VISIBILITY_TIMEOUT_SECONDS}.`;
        throw invalidParameter('VisibilityTimeout', seconds, reason);
      }
      return { receiptHandle, seconds };
    });
    const changes = accepted.map(({ value }) => ({
      receiptHandle: value.receiptHandle,
      timeoutMs: value.seconds * 1000,
    }));
    const outcomes = changes.length === 0 ? [] : await queue.changeVisibility(changes, { orEarlier: true });
    const Successful: { readonly Id: string }[] = [];
    for (const [index, { id, value }] of accepted.entries()) {
      const outcome = outcomes[index] ?? 'invalid';
      const error = visibilityError(outcome, value.receiptHandle, value.seconds, queue.definition.fifo);
      if (error === undefined) Successful.push({ Id: id });
      else failed.push(failedEntry(id, error));
    }
    return { Successful, Failed: failed };
  },
);
