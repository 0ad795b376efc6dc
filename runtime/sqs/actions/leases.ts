import type { HandleOutcome, VisibilityOutcome } from '../../queue/queue.ts';
import { checkBatch, failedEntry, partition } from '../batch.ts';
import { echo, invalidParameter, missingParameter, SqsError } from '../errors.ts';
import { MAX_VISIBILITY_TIMEOUT_SECONDS } from '../limits.ts';
import { queueAction } from './action.ts';
export const deleteMessage = queueAction('DeleteMessage', 'consume', async (queue, input) => {
  const [outcome = 'invalid'] = await queue.delete([input.ReceiptHandle], { orEarlier: true });
  const error = deleteError(outcome, input.ReceiptHandle, queue.definition.fifo);
  if (error !== undefined) throw error;
  return undefined;
});

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

/*
 * From what became of a receipt handle to what the caller is told.
 *
 * On a standard queue a handle whose lease ran out still deletes, and deleting twice is a success. On a FIFO queue a
 * handle that another receive has replaced, or whose lease ran out, is an error: the message may already be with
 * another consumer, and its group goes on in order.
 */

/** The error of a delete; `undefined`: it succeeded. */
function deleteError(outcome: HandleOutcome, handle: string, fifo: boolean): SqsError | undefined {
  switch (outcome) {
    case 'done':
    case 'missing':
      return undefined;
    case 'superseded':
      return fifo ? expired(handle) : undefined;
    case 'expired':
      return expired(handle);
    case 'invalid':
      return invalidHandle(handle);
  }
}

/** The error of a visibility change to `seconds`; `undefined`: it succeeded. */
function visibilityError(
  outcome: VisibilityOutcome,
  handle: string,
  seconds: number,
  fifo: boolean,
): SqsError | undefined {
  switch (outcome) {
    case 'done':
      return undefined;
    case 'superseded':
      return fifo ? expired(handle) : unavailable(handle);
    case 'missing':
      return unavailable(handle);
    case 'expired':
      return expired(handle);
    case 'invalid':
      return invalidHandle(handle);
    case 'beyond-maximum':
      return invalidParameter(
        'VisibilityTimeout',
        seconds,
        `Total VisibilityTimeout for the message is beyond the limit [${MAX_VISIBILITY_TIMEOUT_SECONDS} seconds]`,
      );
  }
}

function invalidHandle(handle: string): SqsError {
  return new SqsError(
    'ReceiptHandleIsInvalid',
    `The input receipt handle "${echo(handle)}" is not a valid receipt handle.`,
  );
}

function expired(handle: string): SqsError {
  return invalidParameter('ReceiptHandle', handle, 'The receipt handle has expired.');
}

function unavailable(handle: string): SqsError {
  return invalidParameter(
    'ReceiptHandle',
    handle,
    'Message does not exist or is not available for visibility timeout change.',
  );
}
