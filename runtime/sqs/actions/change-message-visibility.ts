import { invalidParameter } from '../errors.ts';
import { MAX_VISIBILITY_TIMEOUT_SECONDS } from '../limits.ts';
import { visibilityError } from '../receipt-outcome.ts';
import { queueAction } from './action.ts';

export const changeMessageVisibility = queueAction('ChangeMessageVisibility', 'consume', async (queue, input) => {
  const { ReceiptHandle: receiptHandle, VisibilityTimeout: seconds } = input;
  if (seconds < 0 || seconds > MAX_VISIBILITY_TIMEOUT_SECONDS) {
    throw invalidParameter('VisibilityTimeout', seconds, `Must be between 0 and ${MAX_VISIBILITY_TIMEOUT_SECONDS}.`);
  }
  const [outcome = 'invalid'] = await queue.changeVisibility([{ receiptHandle, timeoutMs: seconds * 1000 }], {
    orEarlier: true,
  });
  const error = visibilityError(outcome, receiptHandle, seconds, queue.definition.fifo);
  if (error !== undefined) throw error;
  return undefined;
});
