/**
 * Verdicts of AWS's own engine, event-ruler 1.7.3 (Maven: `software.amazon.event.ruler:event-ruler`), recorded with
 * `new Machine()`, `addRule`, `rulesForJSONEvent`: random patterns over all operators, chosen so that each mixture of
 * operators occurs, and what ignoring case means; and the shortest of thousands on `$or` with a path that is given
 * twice, `cidr` across families, empty names, pairs of UTF-16 units, the ends of the range of numbers, and escapes in
 * wildcards.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { compilePattern, matchesTree, Work } from '../../runtime/consumer/filter/match.ts';
import { FilterError } from '../../runtime/consumer/filter/matchers.ts';
import recorded from './golden/event-ruler.json' with { type: 'json' };
import ofKinds from './golden/event-ruler-kinds.json' with { type: 'json' };

const Verdict = z.enum(['matches', 'does not match', 'refused']);
/** Pattern and event, as JSON texts. */
const RECORDED = z.array(z.tuple([z.string(), z.string(), Verdict])).parse([...recorded, ...ofKinds]);

function verdict(pattern: string, event: string): z.infer<typeof Verdict> {
  try {
    const value: unknown = JSON.parse(event);
    return compilePattern(pattern).some((tree) => matchesTree(tree, value, new Work(Infinity)))
      ? 'matches'
      : 'does not match';
  } catch (error) {
    if (error instanceof FilterError) return 'refused';
    throw error;
  }
}

describe("the matcher agrees with AWS's own engine", () => {
  it.each(Verdict.options)('where that says: %s', (expected) => {
    const cases = RECORDED.filter(([, , said]) => said === expected);
    expect(cases.length).toBeGreaterThan(10);
    const different = cases.filter(([pattern, event]) => verdict(pattern, event) !== expected);
    expect(different).toEqual([]);
  });
});
