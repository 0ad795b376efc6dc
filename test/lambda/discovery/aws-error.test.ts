import { expect, it } from 'vitest';
import { awsFailure } from '../../../runtime/aws/discovery/calls.ts';

function answer(name: string, httpStatusCode?: number): Error {
  return Object.assign(new Error('no detail'), { name, $metadata: { httpStatusCode } });
}

it.each([
  ['ResourceNotFoundException', 404, 'not-found'],
  ['QueueDoesNotExist', 400, 'not-found'],
  ['AccessDeniedException', 403, 'refused'],
  ['InvalidParameterValueException', 400, 'refused'],
  ['TooManyRequestsException', 429, 'transient'],
  ['Throttling', 400, 'transient'],
  ['ServiceException', 500, 'transient'],
  ['ExpiredTokenException', 403, 'transient'],
  ['ExpiredToken', 403, 'transient'],
  ['RequestExpired', 400, 'transient'],
  ['TimeoutError', undefined, 'transient'],
] as const)('%s, status %s, is %s', (name, status, failure) => {
  expect(awsFailure(answer(name, status))).toBe(failure);
});
