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
    ['an empty response', ''],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['batchItemFailures is null', failures(null)],
    ['batchItemFailures is an empty array', failures([])],
    ['an object without the key', '{"statusCode":200}'],
    ['the key in another case', '{"BatchItemFailures":[{"itemIdentifier":"a"}]}'],
  ])('%s', (_row, response) => {
    expect(read(response)).toEqual({ kind: 'success' });
  });
});

describe('partial batch response: partial', () => {
  it('reports some ids of the batch', () => {
    expect(read(failures([{ itemIdentifier: 'b' }]))).toEqual({ kind: 'partial', failed: new Set(['b']) });
  });

  it('reports all ids of the batch', () => {
    const all = failures([{ itemIdentifier: 'a' }, { itemIdentifier: 'b' }, { itemIdentifier: 'c' }]);
    expect(read(all)).toEqual({ kind: 'partial', failed: SENT });
  });

  it('counts an id that is reported twice once', () => {
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
    ['an id that is not in the batch', failures([{ itemIdentifier: 'x' }]), '"x" is no message of this batch'],
    ['an id with a space around it', failures([{ itemIdentifier: ' a' }]), '" a" is no message'],
    ['an id in another case', failures([{ itemIdentifier: 'A' }]), '"A" is no message'],
    ['an empty id', failures([{ itemIdentifier: '' }]), 'itemIdentifier is empty'],
    ['a null id', failures([{ itemIdentifier: null }]), 'itemIdentifier is null'],
    ['a number for an id', failures([{ itemIdentifier: 123 }]), 'itemIdentifier is a number'],
    ['a wrong key', failures([{ foo: 'notvalid' }]), 'itemIdentifier is absent'],
    ['an entry without any key', failures([{}]), 'itemIdentifier is absent'],
    ['batchItemFailures is a string', failures('a'), 'batchItemFailures is a string'],
    ['batchItemFailures is an object', failures({ itemIdentifier: 'a' }), 'batchItemFailures is an object'],
    ['an array of strings', failures(['a']), 'batchItemFailures[0] is a string'],
    ['an array of nulls', failures([null]), 'batchItemFailures[0] is null'],
    ['one bad entry among good ones', failures([{ itemIdentifier: 'a' }, {}]), 'batchItemFailures[1]'],
    ['no JSON', '{"batchItemFailures":', 'not valid JSON'],
    ['a string', '"a"', 'the response is a string'],
    ['a number', '7', 'the response is a number'],
    ['true', 'true', 'the response is a boolean'],
    ['an array', '[]', 'the response is an array'],
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
