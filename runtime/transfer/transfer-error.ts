/**
 * A transfer between Karin and SQS cannot go on, and trying again changes nothing: the queue does not exist in AWS, or AWS refuses. The message says what mends it.
 * Nothing is lost by it; the same command goes on where this one stopped.
 */
export class TransferError extends Error {
  override readonly name = 'TransferError';
}
