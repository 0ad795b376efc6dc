import { describe, expect, it } from 'vitest';
import { type BatchResponse, failedIds } from '../../runtime/consumer/event.ts';

const SENT = new Set(['a', 'b', 'c']);

function read(response: string): BatchResponse {
  return failedIds(Buffer.from(response), SENT);
}

function failures(entries: unknown): string {
  return JSON.stringify({ batchItemFailures: entries });
}

describe('partial batch response: success', () => {
  it.each([
    ['row 1: an empty response', ''],
    ['row 1: null', 'null'],
    ['row 2: an empty object', '{}'],
    ['row 3: batchItemFailures is null', failures(null)],
    ['row 3: batchItemFailures is an empty array', failures([])],
    ['row 4: an object without the key', '{"statusCode":200}'],
    ['row 17: the key in another case', '{"BatchItemFailures":[{"itemIdentifier":"a"}]}'],
  ])('%s', (_row, response) => {
    expect(read(response)).toEqual({ kind: 'success' });
  });
});

describe('partial batch response: partial', () => {
  it('row 5: reports some ids of the batch', () => {
    expect(read(failures([{ itemIdentifier: 'b' }]))).toEqual({ kind: 'partial', failed: new Set(['b']) });
  });

  it('row 5: reports all ids of the batch', () => {
    const all = failures([{ itemIdentifier: 'a' }, { itemIdentifier: 'b' }, { itemIdentifier: 'c' }]);
    expect(read(all)).toEqual({ kind: 'partial', failed: SENT });
  });

  it('row 16: counts an id that is reported twice once', () => {
    const twice = failures([{ itemIdentifier: 'c' }, { itemIdentifier: 'c' }]);
    expect(read(twice)).toEqual({ kind: 'partial', failed: new Set(['c']) });
  });

  it('ignores further members of the response and of its entries', () => {
    const response = JSON.stringify({ ok: false, batchItemFailures: [{ itemIdentifier: 'a', reason: 'late' }] });
    expect(read(response)).toEqual({ kind: 'partial', failed: new Set(['a']) });
  });
});

describe('partial batch response: malformed, so that the whole batch failed', () => {
  it.each([
    ['row 6: an id that is not in the batch', failures([{ itemIdentifier: 'x' }]), '"x" is no message of this batch'],
    ['row 6: an id with a space around it', failures([{ itemIdentifier: ' a' }]), '" a" is no message'],
    ['row 6: an id in another case', failures([{ itemIdentifier: 'A' }]), '"A" is no message'],
    ['row 7: an empty id', failures([{ itemIdentifier: '' }]), 'itemIdentifier is empty'],
    ['row 8: a null id', failures([{ itemIdentifier: null }]), 'itemIdentifier is null'],
    ['row 9: a number for an id', failures([{ itemIdentifier: 123 }]), 'itemIdentifier is a number'],
    ['row 10: a wrong key', failures([{ foo: 'notvalid' }]), 'itemIdentifier is absent'],
    ['row 11: an entry without any key', failures([{}]), 'itemIdentifier is absent'],
    ['row 12: batchItemFailures is a string', failures('a'), 'batchItemFailures is a string'],
    ['row 12: batchItemFailures is an object', failures({ itemIdentifier: 'a' }), 'batchItemFailures is an object'],
    ['row 13: an array of strings', failures(['a']), 'batchItemFailures[0] is a string'],
    ['row 13: an array of nulls', failures([null]), 'batchItemFailures[0] is null'],
    ['row 14: one bad entry among good ones', failures([{ itemIdentifier: 'a' }, {}]), 'batchItemFailures[1]'],
    ['row 15: no JSON', '{"batchItemFailures":', 'not valid JSON'],
    ['row 15: a string', '"a"', 'the response is a string'],
    ['row 15: a number', '7', 'the response is a number'],
    ['row 15: true', 'true', 'the response is a boolean'],
    ['row 15: an array', '[]', 'the response is an array'],
  ])('%s', (_row, response, detail) => {
    expect(read(response)).toEqual({ kind: 'malformed', detail: expect.stringContaining(detail) });
  });

  it('does not take an inherited member for an id', () => {
    expect(read('{"batchItemFailures":[{"__proto__":{"itemIdentifier":"a"}}]}')).toMatchObject({ kind: 'malformed' });
  });

  it('quotes no more than the beginning of a long id', () => {
    const answer = read(failures([{ itemIdentifier: 'x'.repeat(100_000) }]));
    expect(answer.kind === 'malformed' && answer.detail.length).toBeLessThan(200);
  });
});
