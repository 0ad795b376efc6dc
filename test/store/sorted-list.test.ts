import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SortedList } from '../../runtime/store/memory/sorted-list.ts';

describe('the sorted list', () => {
  it('does what a sorted array does', () => {
    const operation = fc.record({ add: fc.boolean(), value: fc.nat(3_000), limit: fc.nat(3_000) });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 4_000, size: 'max' }), (operations) => {
        const list = new SortedList<number>((a, b) => a - b);
        const model = new Set<number>();
        for (const { add, value } of operations) {
          if (!add) expect(list.remove(value)).toBe(model.delete(value));
          else if (!model.has(value)) {
            list.add(value);
            model.add(value);
          }
        }
        const sorted = [...model].sort((a, b) => a - b);
        const { limit } = operations[0] ?? { limit: 0 };
        expect([...list]).toEqual(sorted);
        expect(list.size).toBe(sorted.length);
        expect(list.first).toBe(sorted[0]);
        expect(list.take(limit)).toEqual(sorted.slice(0, limit));
        expect(list.takeWhile((value) => value < limit)).toEqual(sorted.filter((value) => value < limit));
        list.clear();
        expect(list.size).toBe(0);
        expect(list.first).toBeUndefined();
      }),
      { numRuns: 50 },
    );
  });
});
