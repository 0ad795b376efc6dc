import { describe, expect, it } from 'vitest';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import { type AttemptContext, decide, lastAttemptMargin } from '../../runtime/consumer/settlement.ts';

const CONTEXT: AttemptContext = {
  attempt: 1,
  sentIds: new Set(['a', 'b']),
  reportBatchItemFailures: false,
  roomMs: 50_000,
  fraction: 0,
};
const REPORTING = { ...CONTEXT, reportBatchItemFailures: true };
const success = (response: string): InvokeOutcome => ({ kind: 'success', response: Buffer.from(response) });
const THROTTLED: InvokeOutcome = { kind: 'throttled', message: 'Rate Exceeded.' };
const CRASHED: InvokeOutcome = { kind: 'function-error', errorType: 'Error', message: 'no' };

describe('the decision table', () => {
  it.each<[string, InvokeOutcome, AttemptContext, object]>([
    ['success', success('whatever'), CONTEXT, { kind: 'handled', failed: new Set(), effect: 'grow' }],
    [
      'success with a report',
      success('{"batchItemFailures":[{"itemIdentifier":"b"}]}'),
      REPORTING,
      { kind: 'handled', failed: new Set(['b']), effect: 'grow' },
    ],
    ['malformed report', success('[]'), REPORTING, { kind: 'failed', reason: 'malformed-report', effect: 'keep' }],
    ['function error', CRASHED, CONTEXT, { kind: 'failed', reason: 'function-error', effect: 'back-off' }],
    ['function error, reporting', CRASHED, REPORTING, { kind: 'failed', reason: 'function-error', effect: 'keep' }],
    [
      'timeout by message',
      { kind: 'function-error', errorType: '', message: '2026-01-01T00:00:00Z x Task timed out after 3.00 seconds' },
      CONTEXT,
      { kind: 'failed', reason: 'timeout' },
    ],
    [
      'recursion',
      { kind: 'rejected', status: 400, message: 'Recursive' },
      CONTEXT,
      { kind: 'failed', reason: 'rejected', detail: '400: Recursive', effect: 'back-off' },
    ],
    ...(['no-way', 'not-found'] as const).map((why): [string, InvokeOutcome, AttemptContext, object] => [
      `unreached, ${why}`,
      { kind: 'unreached', why, message: 'no' },
      CONTEXT,
      { kind: 'failed', reason: 'unreached', effect: { pause: { kind: why, detail: 'no' } }, uncounted: true },
    ]),
    [
      'connection lost',
      { kind: 'connection-lost', message: 'ECONNRESET' },
      CONTEXT,
      {
        kind: 'failed',
        reason: 'connection-lost',
        effect: { pause: { kind: 'no-way', detail: 'ECONNRESET' } },
        uncounted: false,
      },
    ],
  ])('%s', (_, outcome, context, decision) => {
    expect(decide(outcome, context)).toMatchObject(decision);
  });
});

describe('attempts inside the lease', () => {
  it.each([
    [1, 1_000],
    [2, 2_000],
    [3, 4_000],
    [4, 8_000],
    [5, 16_000],
    [6, 32_000],
    [7, 32_000],
  ])('after attempt %d the next one follows in %d ms', (attempt, inMs) => {
    expect(decide(THROTTLED, { ...CONTEXT, attempt })).toEqual({
      kind: 'retry',
      inMs,
      reason: 'Rate Exceeded.',
      pastLease: 'throttled-past-lease',
    });
  });

  it('jitter makes a pause longer by up to a quarter', () => {
    expect(decide(THROTTLED, { ...CONTEXT, fraction: 0.5 })).toMatchObject({ inMs: 1_125 });
  });

  it('unavailable is retried in the same way', () => {
    expect(decide({ kind: 'unavailable', message: '500' }, CONTEXT)).toMatchObject({
      kind: 'retry',
      inMs: 1_000,
      pastLease: 'unavailable',
    });
  });

  it('the last attempt uses the room that is left', () => {
    expect(decide(THROTTLED, { ...CONTEXT, roomMs: 300 })).toMatchObject({ kind: 'retry', inMs: 300 });
    expect(decide(THROTTLED, { ...CONTEXT, roomMs: 249 })).toMatchObject({
      kind: 'failed',
      effect: { pause: { kind: 'refused' } },
      uncounted: true,
    });
    expect(decide({ kind: 'unavailable', message: '500' }, { ...CONTEXT, roomMs: 0 })).toMatchObject({
      kind: 'failed',
      reason: 'unavailable',
    });
  });

  it('is never earlier than Retry-After, and not at all if that is too late', () => {
    const asked: InvokeOutcome = { ...THROTTLED, retryAfterMs: 20_000 };
    expect(decide(asked, CONTEXT)).toMatchObject({ kind: 'retry', inMs: 20_000 });
    expect(decide(asked, { ...CONTEXT, roomMs: 19_999 })).toMatchObject({
      kind: 'failed',
      reason: 'throttled-past-lease',
    });
  });

  it('the margin is the timeout of the function, but at most half of the lease', () => {
    expect(lastAttemptMargin(10_000, 60_000)).toBe(10_000);
    expect(lastAttemptMargin(30_000, 30_000)).toBe(15_000);
  });
});
