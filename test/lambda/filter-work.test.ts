/**
 * What matching costs. Work is counted in steps, because a duration says as much of the machine as of the code.
 */
import { describe, expect, it } from 'vitest';
import { sortReceived } from '../../runtime/consumer/batch.ts';
import { compileFilter } from '../../runtime/consumer/filter/filter.ts';
import { compilePattern, matchesTree, Work } from '../../runtime/consumer/filter/match.ts';
import { FilterWorkError } from '../../runtime/consumer/filter/matchers.ts';
import { mappingOf } from '../sync/discoveries.ts';
import { QUEUE_ARN, receivedMessage } from './received-message.ts';

function many<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function keys(count: number, name: (index: number) => string, value: unknown = 1): Record<string, unknown> {
  return Object.fromEntries(many(count, (index) => [name(index), value]));
}

/** Steps to match the event against the pattern. */
function steps(pattern: unknown, event: unknown): number {
  const work = new Work(Infinity);
  for (const tree of compilePattern(JSON.stringify(pattern))) matchesTree(tree, event, work);
  return work.spent;
}

const NESTED = { a: { b: ['x'] } };
const SHAPES: readonly (readonly [string, unknown, (size: number) => unknown])[] = [
  [
    'many elements beside many dotted keys',
    NESTED,
    (size) => ({ a: many(size, () => ({})), ...keys(size, (i) => `a.${i}`) }),
  ],
  [
    'many elements beside many dotted keys of the same beginning',
    NESTED,
    (size) => ({ a: many(size, () => ({ b: 1 })), ...keys(size, (i) => `a.b.${i}`) }),
  ],
  [
    'many elements beside a dotted key with many values',
    NESTED,
    (size) => ({ a: many(size, () => ({})), 'a.b': many(size, () => 'y') }),
  ],
  ['many elements that each have a dotted key', NESTED, (size) => ({ a: many(size, () => ({ 'b.c': 1, b: 'y' })) })],
  ['arrays in arrays', NESTED, (size) => ({ a: many(size, () => [[{ b: ['y', 'y'] }]]) })],
  [
    'objects of a key that is given twice, once with a dot',
    { x: { a: { b: ['x'] } } },
    (size) => ({ x: { a: { b: many(size, () => 'y') } }, 'x.a': many(size, () => ({})) }),
  ],
  ['a key of many segments', NESTED, (size) => ({ [`a${'.b'.repeat(size)}`]: 'x' })],
  [
    'a long text for many wildcards',
    { a: many(20, (i) => ({ wildcard: `*${i}*y` })) },
    (size) => ({ a: 'x'.repeat(32 * size) }),
  ],
];

describe('the work of matching', () => {
  it.each(SHAPES)('grows with the event and no faster: %s', (_name, pattern, event) => {
    const once = steps(pattern, event(1_000));
    const twice = steps(pattern, event(2_000));
    expect(twice / once).toBeLessThan(2.5);
  });

  it('grows with the pattern and no faster', () => {
    const event = { a: many(1_000, (i) => ({ b: i, c: i })) };
    const once = steps({ a: { b: [-1], ...keys(10, (i) => `f${i}`, [1]) } }, event);
    const twice = steps({ a: { ...keys(20, (i) => `f${i}`, [{ exists: false }]), b: [-1] } }, event);
    expect(twice / once).toBeLessThan(45);
    const values = (count: number) =>
      steps({ a: many(count, (i) => ({ prefix: `p${i}` })) }, { a: many(1_000, () => 'x') });
    expect(values(100) / values(50)).toBeLessThan(2.5);
  });
});

/** Two arrays at one place: their objects must be tried in pairs. */
const PAIRS = JSON.stringify({
  a: many(3_000, () => ({ 'b.c': 1 })),
  'a.b': many(3_000, () => ({ d: 1 })),
});
const FILTER = compileFilter([JSON.stringify({ body: { a: { b: { c: [2], d: [2] } } } })]);

describe('a message that takes too much work', () => {
  it('is refused when the bound is reached', () => {
    expect(() => FILTER.matches(receivedMessage({ body: PAIRS }), QUEUE_ARN)).toThrow(FilterWorkError);
  });

  it('is neither dropped nor delivered, and what stands beside it is', () => {
    const messages = [
      receivedMessage({ id: 'hostile', body: PAIRS, groupId: 'g' }),
      receivedMessage({ id: 'other', body: '{"a":{"b":{"c":2,"d":2}}}', groupId: 'h' }),
      receivedMessage({ id: 'behind', body: '{"a":{"b":{"c":2,"d":2}}}', groupId: 'g' }),
    ];
    const sorted = (fifo: boolean) => {
      const { records, undeliverable, withheld, filteredOut } = sortReceived(messages, mappingOf('jobs'), FILTER, fifo);
      expect(undeliverable).toMatchObject([{ message: { id: 'hostile' }, reason: 'filter-too-costly' }]);
      expect(filteredOut).toEqual([]);
      return [records.map(({ message }) => message.id), withheld.map(({ id }) => id)];
    };
    expect(sorted(false)).toEqual([['other', 'behind'], []]);
    // On a FIFO queue it keeps its place: what stands behind it in its group waits.
    expect(sorted(true)).toEqual([['other'], ['behind']]);
  });

  it('is not an ordinary one, however large', () => {
    const body = JSON.stringify({
      items: many(20_000, (i) => ({ id: i, state: 'new', 'price.amount': 1, tags: ['a', 'b'] })),
    });
    const filter = compileFilter([
      JSON.stringify({
        body: { items: { id: [-1], state: ['new'], price: { amount: [1] }, tags: [{ prefix: 'c' }] } },
      }),
    ]);
    expect(body.length).toBeGreaterThan(1_000_000);
    expect(filter.matches(receivedMessage({ body }), QUEUE_ARN)).toBe(false);
  });
});
