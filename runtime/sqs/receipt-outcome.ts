/**
 * From what became of a receipt handle to what the caller is told.
 *
 * On a standard queue a handle whose lease ran out still deletes, and deleting twice is a success. On a FIFO queue a handle that another receive has
 * replaced, or whose lease ran out, is an error: the message may already be with another consumer, and its group goes on in order.
 *
 * @module
 */
import type { HandleOutcome, VisibilityOutcome } from '../queue/queue.ts';
import { echo, invalidParameter, SqsError } from './errors.ts';
import { MAX_VISIBILITY_TIMEOUT_SECONDS } from './limits.ts';

/** The error of a delete; `undefined`: it succeeded. */
export function deleteError(outcome: HandleOutcome, handle: string, fifo: boolean): SqsError | undefined {
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
export function visibilityError(
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
