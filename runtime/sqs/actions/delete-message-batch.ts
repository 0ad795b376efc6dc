import { checkBatch, failedEntry, partition } from '../batch.ts';
import { missingParameter } from '../errors.ts';
import { deleteError } from '../receipt-outcome.ts';
import { queueAction } from './action.ts';

export const deleteMessageBatch = queueAction('DeleteMessageBatch', 'consume', async (queue, input) => {
  const entries = checkBatch(input.Entries, 'DeleteMessageBatchRequestEntry');
  const { accepted, failed } = partition(entries, ({ entry }) => {
    if (!entry.ReceiptHandle?.trim()) throw missingParameter('ReceiptHandle');
    return entry.ReceiptHandle;
  });
  const outcomes =
    accepted.length === 0
      ? []
      : await queue.delete(
          accepted.map(({ value }) => value),
          { orEarlier: true },
        );
  const Successful: { readonly Id: string }[] = [];
  for (const [index, { id, value }] of accepted.entries()) {
    const error = deleteError(outcomes[index] ?? 'invalid', value, queue.definition.fifo);
    if (error === undefined) Successful.push({ Id: id });
    else failed.push(failedEntry(id, error));
  }
  return { Successful, Failed: failed };
});
