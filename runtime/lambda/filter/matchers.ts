/**
 * The leaves of a filter pattern: what one field may be.
 *
 * A leaf is a list of alternatives. Each is compiled to a test of one scalar (string, number, boolean or null), except `exists`, which asks whether there is a scalar at all.
 * Source: "Filter rule syntax" of the Lambda event filtering guide and the operators of the EventBridge pattern language.
 *
 * @module
 */
import { compileAddress, compileCidr } from './address.ts';
import { FilterError } from './filter-error.ts';
import { compileIgnoringCase } from './ignoring-case.ts';
import { compileWildcard, type StringTest } from './wildcard.ts';

/** What a field of an event can hold at a leaf. */
export type Scalar = string | number | boolean | null;

/** What a pattern says about one field. */
export interface Leaf {
  /** Whether one of the alternatives is met by this value of the field. */
  matches(value: Scalar): boolean;
  /** What `matches` takes for this value: a step for each alternative, and for each 32 characters that an alternative searches. */
  steps(value: Scalar): number;
  /** Whether the field may be absent (`{"exists": false}` is among the alternatives). */
  readonly mayBeAbsent: boolean;
}

type ScalarTest = (value: Scalar) => boolean;

/** The names of the operators: an object inside `$or` with one of these as a key makes the whole `$or` an ordinary field name. */
export const OPERATORS: ReadonlySet<string> = new Set([
  'exactly',
  'equals-ignore-case',
  'anything-but',
  'numeric',
  'exists',
  'prefix',
  'suffix',
  'wildcard',
  'cidr',
]);

/** Compiles the array of alternatives at `path`. Errors: `FilterError`. */
export function compileLeaf(alternatives: readonly unknown[], path: string): Leaf {
  if (alternatives.length === 0) throw new FilterError(`"${path}" is an empty array, which nothing can match`);
  const values = new Set<Scalar>();
  const tests: ScalarTest[] = [];
  let searches = 0;
  let mayBeAbsent = false;
  for (const alternative of alternatives) {
    if (isRecord(alternative)) {
      const [operator, operand] = operatorOf(alternative, path);
      if (JSON.stringify(alternative).includes('"wildcard"')) searches += 1;
      if (operator !== 'exists') tests.push(compileOperator(operator, operand, path));
      else if (operand === true) tests.push(() => true);
      else if (operand === false) mayBeAbsent = true;
      else throw new FilterError(`"${path}": exists must be true or false, not ${JSON.stringify(operand)}`);
    } else if (isScalar(alternative)) {
      values.add(typeof alternative === 'number' ? canonical(alternative) : alternative);
      const sameAddress = typeof alternative === 'string' ? compileAddress(alternative) : undefined;
      if (sameAddress !== undefined) tests.push(onStrings(sameAddress));
    } else {
      throw new FilterError(`"${path}": a value must be a string, a number, true, false, null or an operator object`);
    }
  }
  return {
    // Numbers are compared by value, so that 300, 300.0 and 3.0e2 are one; a string never equals a number.
    matches: (value) =>
      values.has(typeof value === 'number' ? canonical(value) : value) || tests.some((test) => test(value)),
    steps: (value) => 1 + tests.length + (typeof value === 'string' ? searches * (value.length >> 5) : 0),
    mayBeAbsent,
  };
}

function operatorOf(expression: Record<string, unknown>, path: string): readonly [string, unknown] {
  const [entry, ...more] = Object.entries(expression);
  if (entry === undefined || more.length > 0) {
    throw new FilterError(
      `"${path}": an operator object must have exactly one key, not ${Object.keys(expression).length}`,
    );
  }
  return entry;
}

function compileOperator(operator: string, operand: unknown, path: string): ScalarTest {
  switch (operator) {
    case 'exactly':
      return onStrings(compileText('exactly', operand, path));
    case 'equals-ignore-case':
    case 'wildcard':
    case 'cidr':
      return onStrings(compileText(operator, operand, path));
    case 'prefix':
    case 'suffix':
      return onStrings(compileAffix(operator, operand, path));
    case 'numeric':
      return compileNumeric(operand, path);
    case 'anything-but':
      return compileAnythingBut(operand, path);
    default:
      throw new FilterError(
        `"${path}": unknown operator ${JSON.stringify(operator)}; known are ${[...OPERATORS].join(', ')}`,
      );
  }
}

function onStrings(test: StringTest): ScalarTest {
  return (value) => typeof value === 'string' && test(value);
}

/** An operator whose operand is one text. */
function compileText(operator: string, operand: unknown, path: string): StringTest {
  if (typeof operand !== 'string') {
    throw new FilterError(`"${path}": ${operator} must be given a string, not ${JSON.stringify(operand)}`);
  }
  switch (operator) {
    case 'exactly':
      return (value) => value === operand;
    case 'equals-ignore-case':
      return compileIgnoringCase(operand, 'whole');
    case 'prefix':
      return (value) => value.startsWith(operand);
    case 'suffix':
      return (value) => value.endsWith(operand);
    case 'wildcard':
      return compileWildcard(operand);
    case 'cidr':
      return compileCidr(operand);
    default:
      throw new FilterError(`"${path}": ${JSON.stringify(operator)} is not an operator on strings`);
  }
}

/** `prefix` and `suffix`: a text, or `{"equals-ignore-case": text}`. */
function compileAffix(operator: 'prefix' | 'suffix', operand: unknown, path: string): StringTest {
  if (!isRecord(operand)) return compileText(operator, operand, path);
  const [inner, text] = operatorOf(operand, path);
  if (inner !== 'equals-ignore-case' || typeof text !== 'string') {
    throw new FilterError(`"${path}": ${operator} takes a string or {"equals-ignore-case": string}`);
  }
  return compileIgnoringCase(text, operator);
}

/** `anything-but` holds for any value that is there and is not excluded: values of another type and null included. */
function compileAnythingBut(operand: unknown, path: string): ScalarTest {
  if (isRecord(operand)) {
    const [operator, excluded] = operatorOf(operand, path);
    if (!['prefix', 'suffix', 'equals-ignore-case', 'wildcard'].includes(operator)) {
      throw new FilterError(
        `"${path}": anything-but takes prefix, suffix, equals-ignore-case or wildcard, not ${JSON.stringify(operator)}`,
      );
    }
    const texts = listOf(excluded, path);
    if (texts.includes('') && (operator === 'prefix' || operator === 'suffix')) {
      throw new FilterError(`"${path}": anything-but with an empty ${operator} would exclude every string`);
    }
    const tests = texts.map((text) => compileText(operator, text, path));
    return (value) => typeof value !== 'string' || !tests.some((test) => test(value));
  }
  const values = listOf(operand, path);
  const type = typeof values[0];
  if ((type !== 'string' && type !== 'number') || values.some((value) => typeof value !== type)) {
    throw new FilterError(`"${path}": anything-but takes strings or numbers, all of one type`);
  }
  for (const value of values) if (typeof value === 'number') checkRange(value, path);
  const excluded = new Set(values.map((value) => (typeof value === 'number' ? canonical(value) : value)));
  return (value) => !excluded.has(typeof value === 'number' ? canonical(value) : value);
}

function listOf(operand: unknown, path: string): readonly unknown[] {
  const list: readonly unknown[] = Array.isArray(operand) ? operand : [operand];
  if (list.length === 0) throw new FilterError(`"${path}": anything-but is given an empty list`);
  return list;
}

/** The numbers that AWS's engine compares as numbers: up to five thousand million either way, to six places. */
const LARGEST_NUMBER = 5e9;
const MILLIONTHS = 1e6;

/** One number for all that the engine takes for the same: millionths, cut off as it cuts them. A number beyond its range is itself alone. */
function canonical(value: number): number {
  if (Math.abs(value) > LARGEST_NUMBER) return value;
  return Math.trunc(MILLIONTHS * (value + LARGEST_NUMBER)) / MILLIONTHS - LARGEST_NUMBER;
}

function checkRange(value: number, path: string): void {
  if (Math.abs(value) <= LARGEST_NUMBER) return;
  throw new FilterError(`"${path}": ${value} is beyond the numbers that can be compared, -5000000000 to 5000000000`);
}

const COMPARISONS: Readonly<Record<string, (value: number, bound: number) => boolean>> = {
  '=': (value, bound) => value === bound,
  '<': (value, bound) => value < bound,
  '<=': (value, bound) => value <= bound,
  '>': (value, bound) => value > bound,
  '>=': (value, bound) => value >= bound,
};

/** `[operator, number]`, or a range: `[">" or ">=", low, "<" or "<=", high]`. */
function compileNumeric(operand: unknown, path: string): ScalarTest {
  const refuse = (why: string): FilterError =>
    new FilterError(`"${path}": numeric ${JSON.stringify(operand)}: ${why}; for example [">", 0, "<=", 5]`);
  if (!Array.isArray(operand) || operand.length === 0) throw refuse('it must be a list of comparisons and numbers');
  if (operand.length !== 2 && operand.length !== 4) throw refuse('it must be one comparison, or a range of two');
  const terms = [operand.slice(0, 2), operand.slice(2)]
    .filter((pair) => pair.length > 0)
    .map(([operator, bound]: readonly unknown[]) => {
      const compare = typeof operator === 'string' && Object.hasOwn(COMPARISONS, operator) && COMPARISONS[operator];
      if (!compare) throw refuse('the comparisons are =, <, <=, > and >=');
      if (typeof bound !== 'number') throw refuse('a comparison must be followed by a number');
      checkRange(bound, path);
      if (operator.startsWith('>') && bound === LARGEST_NUMBER)
        throw refuse('no number that can be compared is larger');
      return { operator, compare, bound: canonical(bound) };
    });
  const [low, high] = terms;
  if (low && high) {
    if (low.operator !== '>' && low.operator !== '>=') throw refuse('a range begins with > or >=');
    if (high.operator !== '<' && high.operator !== '<=') throw refuse('a range ends with < or <=');
    if (high.bound <= low.bound) throw refuse('the low end of a range must be less than its high end');
  }
  return (value) => {
    if (typeof value !== 'number' || Math.abs(value) > LARGEST_NUMBER) return false;
    const number = canonical(value);
    return terms.every(({ compare, bound }) => compare(number, bound));
  };
}

/** Whether it is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether it is what a leaf can be compared with. */
export function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
