import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compilePattern, matchesTree, Work } from '../../runtime/consumer/filter/match.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/**
 * The reference: replaces every array by each of its elements in turn (an empty one by nothing), which gives plain
 * objects, and looks each path up in each of them. It takes exponential time and says nothing about absence inside
 * arrays; the matcher must agree on everything else.
 */
function alternatives(value: Json): readonly (Json | undefined)[] {
  if (Array.isArray(value)) return value.length === 0 ? [undefined] : value.flatMap(alternatives);
  if (typeof value !== 'object' || value === null) return [value];
  let objects: readonly Record<string, Json>[] = [{}];
  for (const [name, inner] of Object.entries(value)) {
    objects = objects.flatMap((object) =>
      alternatives(inner).map((choice) => (choice === undefined ? object : { ...object, [name]: choice })),
    );
  }
  return objects;
}

function naive(pattern: Json, event: Json): boolean {
  return alternatives(event).some((plain) => holds(pattern, plain));
}

function holds(pattern: Json | undefined, plain: Json | undefined): boolean {
  if (Array.isArray(pattern)) return pattern.some((alternative) => leafHolds(alternative, plain));
  const fields = new Map(typeof plain === 'object' && plain !== null ? Object.entries(plain) : []);
  return Object.entries(pattern ?? {}).every(([name, inner]) => holds(inner, fields.get(name)));
}

function leafHolds(alternative: Json, plain: Json | undefined): boolean {
  const there = plain === null || (plain !== undefined && typeof plain !== 'object');
  if (typeof alternative !== 'object' || alternative === null) return plain === alternative;
  const [operator, operand] = Object.entries(alternative)[0] ?? [];
  switch (operator) {
    case 'exists':
      return there === operand;
    case 'prefix':
      return typeof plain === 'string' && plain.startsWith(String(operand));
    case 'suffix':
      return typeof plain === 'string' && plain.endsWith(String(operand));
    case 'anything-but':
      return there && plain !== operand;
    case 'wildcard':
      return typeof plain === 'string' && new RegExp(`^${String(operand).replaceAll('*', '.*')}$`).test(plain);
    default:
      return false;
  }
}

const NAMES = fc.constantFrom('a', 'b', 'c');
const scalar = fc.oneof(
  fc.constantFrom('', 'x', 'xy', 'yx', 'xyx'),
  fc.constantFrom(0, 1, 2),
  fc.boolean(),
  fc.constant(null),
);

function event(withArrays: boolean): fc.Arbitrary<Json> {
  return fc.letrec<{ object: Json; value: Json }>((tie) => ({
    object: fc.dictionary(NAMES, tie('value'), { maxKeys: 3 }),
    value: fc.oneof(
      { maxDepth: 3 },
      scalar,
      tie('object'),
      ...(withArrays ? [fc.array(tie('value'), { maxLength: 3 })] : []),
    ),
  })).object;
}

function pattern(operators: fc.Arbitrary<Json>): fc.Arbitrary<Json> {
  const leaf = fc.array(fc.oneof(scalar, operators), { minLength: 1, maxLength: 3 });
  return fc.letrec<{ object: Json; value: Json }>((tie) => ({
    object: fc.dictionary(NAMES, tie('value'), { minKeys: 1, maxKeys: 3 }),
    value: fc.oneof({ maxDepth: 2 }, leaf, tie('object')),
  })).object;
}

const wildcard = fc
  .array(fc.constantFrom('x', 'y', '*'), { maxLength: 5 })
  .map((characters) => characters.join('').replaceAll(/\*+/g, '*'));
const operators = fc.oneof(
  fc.constant({ exists: true }),
  fc.constantFrom('', 'x', 'xy').map((prefix) => ({ prefix })),
  fc.constantFrom('', 'x', 'yx').map((suffix) => ({ suffix })),
  fc.constantFrom<string | number>('x', 1).map((value) => ({ 'anything-but': value })),
  wildcard.map((text) => ({ wildcard: text })),
);

function matcher(of: Json, on: Json): boolean {
  return compilePattern(JSON.stringify(of)).some((tree) => matchesTree(tree, on, new Work(Infinity)));
}

describe('the matcher agrees with a naive reference', () => {
  it('on arrays of everything, for conditions on what is there', () => {
    fc.assert(
      fc.property(pattern(operators), event(true), (of, on) => {
        fc.pre(alternatives(on).length <= 5_000);
        expect(matcher(of, on)).toBe(naive(of, on));
      }),
      { numRuns: 2_000 },
    );
  });

  it('on events without arrays, for absence too', () => {
    fc.assert(
      fc.property(pattern(fc.oneof(operators, fc.constant({ exists: false }))), event(false), (of, on) => {
        expect(matcher(of, on)).toBe(naive(of, on));
      }),
      { numRuns: 2_000 },
    );
  });

  it('whether names are dotted or nested', () => {
    fc.assert(
      fc.property(pattern(operators), event(false), (of, on) => {
        expect(matcher(dotted(of), on)).toBe(naive(of, on));
        expect(matcher(of, dotted(on))).toBe(naive(of, on));
      }),
      { numRuns: 1_000 },
    );
  });
});

/**
 * The same with one level of names: `{"a": {"b": 1}}` becomes `{"a.b": 1}`. Objects without fields vanish, which no
 * condition can see.
 */
function dotted(value: Json): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const flat: Record<string, Json> = {};
  for (const [name, inner] of Object.entries(value)) {
    const below = dotted(inner);
    if (typeof below !== 'object' || below === null || Array.isArray(below)) flat[name] = below;
    else for (const [rest, leaf] of Object.entries(below)) flat[`${name}.${rest}`] = leaf;
  }
  return flat;
}
