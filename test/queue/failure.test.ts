import { expect, it } from 'vitest';
import {
  type Failure,
  MOST_FAILURE_BYTES,
  MOST_WITH_LOG_BYTES,
  newFailure,
  readFailure,
} from '../../runtime/queue/failure.ts';

const FAILURE: Failure = {
  errorType: 'TypeError',
  message: 'no price',
  trace: 'TypeError: no price\n  at handler (index.js:3)',
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:shop',
  requestId: '1-2-3',
  durationMs: 12,
  attempt: 2,
};

it('A failure is read as it was kept.', () => {
  expect(readFailure({ at: 5, text: newFailure('id', FAILURE).text })).toEqual({ ...FAILURE, at: 5 });
});

it.each(['x', 'ü', '\n', '\u{1f600}', '\0'])('A failure of any length fits its bound: %j.', (letter) => {
  const long = letter.repeat(5_000);
  const kept = newFailure('id', { ...FAILURE, errorType: long, message: long, trace: long, functionArn: long });
  expect(Buffer.byteLength(kept.text)).toBeLessThanOrEqual(MOST_FAILURE_BYTES);
  expect(readFailure({ at: 5, text: kept.text })).toMatchObject({ attempt: 2 });
});

it.each(['x', 'ü', '\n', '\u{1f600}', '\0'])('A failure with the end of a log fits its bound, too: %j.', (letter) => {
  const long = letter.repeat(5_000);
  const whole = {
    ...FAILURE,
    errorType: long,
    message: long,
    trace: long,
    functionArn: long,
    logTail: `${long}the end`,
  };
  const kept = newFailure('id', whole);
  expect(Buffer.byteLength(kept.text)).toBeLessThanOrEqual(MOST_WITH_LOG_BYTES);
  const read = readFailure({ at: 5, text: kept.text });
  expect(read?.logTail?.endsWith('the end')).toBe(true);
  // The rest is kept as it would be without a log.
  const { logTail: _, ...without } = whole;
  expect({ ...read, logTail: undefined }).toEqual({ ...readFailure({ at: 5, text: newFailure('id', without).text }) });
});

it('What another version kept is not shown.', () => {
  expect(readFailure({ at: 5, text: '{"t":1}' })).toBeUndefined();
  expect(readFailure({ at: 5, text: 'no JSON' })).toBeUndefined();
});
