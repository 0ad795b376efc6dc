/**
 * What an error of an AWS call means for a discovery.
 *
 * @module
 */

interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** `not-found`: what was asked for is gone. `refused`: AWS says no, mostly for want of a permission. `transient`: the same call may succeed at the next sync. */
export type AwsFailure = 'not-found' | 'refused' | 'transient';

const NOT_FOUND = new Set([
  'ResourceNotFoundException',
  'QueueDoesNotExist',
  'AWS.SimpleQueueService.NonExistentQueue',
  'NonExistentQueue',
]);
/** Temporary credentials that ran out during a discovery: by the next sync the SDK has fetched others. */
const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'RequestExpired']);
const THROTTLED = new Set(['TooManyRequestsException', 'ThrottlingException', 'Throttling', 'RequestThrottled']);

/** Sorts what an AWS SDK call rejected with. */
export function awsFailure(error: unknown): AwsFailure {
  if (!isServiceError(error)) return 'transient';
  if (NOT_FOUND.has(error.name)) return 'not-found';
  const status = error.$metadata?.httpStatusCode;
  if (isThrottled(error) || EXPIRED.has(error.name) || status === undefined || status >= 500) return 'transient';
  return status === 404 ? 'not-found' : 'refused';
}

/** Whether AWS refused the call for its rate alone. */
export function isThrottled(error: unknown): boolean {
  return isServiceError(error) && (THROTTLED.has(error.name) || error.$metadata?.httpStatusCode === 429);
}

/** `Name: message`, for operators. */
export function describeAwsError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const message = error.message === '' ? 'no further detail' : error.message;
  return `${error.name}: ${message}`;
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error;
}
