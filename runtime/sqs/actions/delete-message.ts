import { deleteError } from '../receipt-outcome.ts';
import { queueAction } from './action.ts';

export const deleteMessage = queueAction('DeleteMessage', 'consume', async (queue, input) => {
  const [outcome = 'invalid'] = await queue.delete([input.ReceiptHandle], { orEarlier: true });
  const error = deleteError(outcome, input.ReceiptHandle, queue.definition.fifo);
  if (error !== undefined) throw error;
  return undefined;
});
