/**
 * The leaves of a filter pattern: what one field may be.
 *
 * A leaf is a list of alternatives. Each is compiled to a test of one scalar (string, number, boolean or null), except
 * `exists`, which asks whether there is a scalar at all.
 * Source: "Filter rule syntax" of the Lambda event filtering guide and the operators of the EventBridge pattern
 * language.
 *
 * @module
 */

import { isIP } from 'node:net';
/** What a field of an event can hold at a leaf. */
/**
 * A filter pattern that cannot be computed. The mapping must not be served: such a filter may neither drop nor deliver
 * a message.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

/**
 * A message that takes more work to match than any message may. It is neither dropped nor delivered; the messages
 * beside it are unharmed.
 */
export class FilterWorkError extends Error {
  override readonly name = 'FilterWorkError';
}

export type Scalar = string | number | boolean | null;

/** What a pattern says about one field. */
export interface Leaf {
  /** Whether one of the alternatives is met by this value of the field. */
  matches(value: Scalar): boolean;
  /**
   * What `matches` takes for this value: a step for each alternative, and for each 32 characters that an alternative
   * searches.
   */
  steps(value: Scalar): number;
  /** Whether the field may be absent (`{"exists": false}` is among the alternatives). */
  readonly mayBeAbsent: boolean;
}

type ScalarTest = (value: Scalar) => boolean;

/**
 * The names of the operators: an object inside `$or` with one of these as a key makes the whole `$or` an ordinary field
 * name.
 */
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

/**
 * One number for all that the engine takes for the same: millionths, cut off as it cuts them. A number beyond its range
 * is itself alone.
 */
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

/*
 * IP addresses in filter patterns: the `cidr` operator, and plain addresses, which match other spellings of the same
 * address.
 *
 * AWS's engine compares addresses as texts of hexadecimal digits, 8 for IPv4 and 32 for IPv6, in the order of texts. So
 * a range of one family can hold addresses of the other: `10.0.0.0/0` holds every IPv6 address up to `ffff:ffff::`. An
 * IPv6 address that ends in an IPv4 address is none for it, and a range of a single address is refused.
 */

/** Characters: an IPv6 address in full. */
const LONGEST_ADDRESS = 39;

/** `10.0.0.0/24`, `2001:db8::/32`. Errors: `FilterError` for anything else. */
function compileCidr(text: string): StringTest {
  const [address = '', bits = '', ...rest] = text.split('/');
  const digits = digitsOf(address);
  const width = digits === undefined || digits.length === 8 ? 32 : 128;
  if (digits === undefined || rest.length > 0 || !/^\d{1,3}$/.test(bits) || Number(bits) >= width) {
    throw new FilterError(
      `cidr ${JSON.stringify(text)} must be an IPv4 or IPv6 address, a slash, and 0 to ${width - 1} mask bits, for example 10.0.0.0/24`,
    );
  }
  const hosts = (1n << BigInt(width - Number(bits))) - 1n;
  const all = (1n << BigInt(width)) - 1n;
  const number = BigInt(`0x${digits}`);
  const low = hex(number & (all ^ hosts), digits.length);
  const high = hex(number | hosts, digits.length);
  return (value) => {
    const asked = digitsOf(value);
    // Of a shorter address that the upper bound begins with, the engine says no.
    const ends = asked?.length === high.length || !high.startsWith(asked ?? high);
    return asked !== undefined && asked >= low && asked <= high && ends;
  };
}

/** A test for the same address in any spelling; `undefined` if the text is not an IP address. */
function compileAddress(text: string): StringTest | undefined {
  const digits = digitsOf(text);
  return digits === undefined ? undefined : (value) => digitsOf(value) === digits;
}

/** The address as hexadecimal digits; `undefined`: it is none. */
function digitsOf(text: string): string | undefined {
  if (text.length > LONGEST_ADDRESS) return undefined;
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) {
    const octets = text.split('.').map(Number);
    return octets.some((octet) => octet > 255) ? undefined : octets.map((octet) => hex(BigInt(octet), 2)).join('');
  }
  // A zone ("fe80::1%eth0") belongs to one host and has no place in a range.
  if (isIP(text) !== 6 || /[.%]/.test(text)) return undefined;
  const [before = '', after] = text.toLowerCase().split('::');
  const groups = (half: string): readonly string[] => (half === '' ? [] : half.split(':'));
  const [head, tail] = [groups(before), groups(after ?? '')];
  const zeros = Array.from({ length: after === undefined ? 0 : 8 - head.length - tail.length }, () => '0');
  return [...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join('');
}

function hex(value: bigint, length: number): string {
  return value.toString(16).padStart(length, '0');
}

/*
 * The operators that ignore case, as EventBridge's own engine does: each character of the pattern stands for its
 * lower-case and its upper-case form, which may be longer (`ß` is met by `ß` and by `SS`). The engine goes by UTF-16
 * units, and each half of a pair becomes a question mark: an emoji in such a pattern is met by `??` alone. To fold both
 * sides instead would drop messages that AWS delivers, and a dropped message is deleted.
 */

/** Where the text must stand in the value. */
type Place = 'whole' | 'prefix' | 'suffix';

function compileIgnoringCase(text: string, place: Place): StringTest {
  const source = text.split('').map(anyCase).join('');
  // A suffix is matched backwards from the end: looked for from the front, it would be tried at every character of the
  // value.
  if (place === 'suffix') {
    const ending = new RegExp(`(?<=${source})$`, 'y');
    return (value) => {
      ending.lastIndex = value.length;
      return ending.test(value);
    };
  }
  const expression = new RegExp(`^(?:${source})${place === 'prefix' ? '' : '$'}`);
  return (value) => expression.test(value);
}

/** A regular expression for one character in any case. */
function anyCase(character: string): string {
  if (/[\ud800-\udfff]/.test(character)) return '\\?';
  const forms = new Set([character, character.toLowerCase(), character.toUpperCase()]);
  const [only, ...others] = [...forms].map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'));
  return others.length === 0 ? (only ?? '') : `(?:${[only, ...others].join('|')})`;
}

/*
 * The `wildcard` operator: `*` stands for any number of characters, none included; `\*` and `\\` stand for themselves.
 *
 * The pattern is cut at its stars. The first and the last piece are anchored; each piece between them is looked for
 * from where the one before it ended, and the leftmost find is always the best one, so there is nothing to go back to.
 * Each search is Knuth-Morris-Pratt, so that a match costs time linear in the length of the value, whatever the
 * pattern.
 */

/** A test of one string. */
type StringTest = (value: string) => boolean;

/**
 * Errors: `FilterError` for two stars in a row, or a backslash before anything but a star or a backslash, which AWS
 * refuses too.
 */
function compileWildcard(pattern: string): StringTest {
  const pieces = piecesOf(pattern);
  const first = pieces[0] ?? '';
  if (pieces.length === 1) return (value) => value === first;
  const last = pieces[pieces.length - 1] ?? '';
  const finders = pieces.slice(1, -1).map(compileFinder);

  return (value) => {
    if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    const end = value.length - last.length;
    let from = first.length;
    for (const find of finders) {
      const found = find(value, from, end);
      if (found === undefined) return false;
      from = found;
    }
    return true;
  };
}

function piecesOf(pattern: string): readonly string[] {
  const pieces: string[] = [];
  let piece = '';
  for (let at = 0; at < pattern.length; at++) {
    const character = pattern.charAt(at);
    const next = pattern.charAt(at + 1);
    if (character === '\\') {
      if (next !== '*' && next !== '\\') {
        throw new FilterError(
          `wildcard ${JSON.stringify(pattern)}: the backslash at position ${at} must be followed by * or by another backslash`,
        );
      }
      piece += next;
      at++;
    } else if (character === '*') {
      if (next === '*') {
        throw new FilterError(
          `wildcard ${JSON.stringify(pattern)}: two stars in a row at position ${at}; one star already stands for any number of characters`,
        );
      }
      pieces.push(piece);
      piece = '';
    } else {
      piece += character;
    }
  }
  pieces.push(piece);
  return pieces;
}

/** Finds the piece within [from, end) of a value; answers where it ends. */
type Finder = (value: string, from: number, end: number) => number | undefined;

function compileFinder(piece: string): Finder {
  const borders = bordersOf(piece);
  return (value, from, end) => {
    let matched = 0;
    for (let at = from; at < end; at++) {
      const code = value.charCodeAt(at);
      while (matched > 0 && piece.charCodeAt(matched) !== code) matched = borders[matched - 1] ?? 0;
      if (piece.charCodeAt(matched) === code) matched++;
      if (matched === piece.length) return at + 1;
    }
    return undefined;
  };
}

/** For each prefix of the piece, the length of its longest proper prefix that is also its suffix. */
function bordersOf(piece: string): Uint32Array {
  const borders = new Uint32Array(piece.length);
  let matched = 0;
  for (let at = 1; at < piece.length; at++) {
    while (matched > 0 && piece.charCodeAt(matched) !== piece.charCodeAt(at)) matched = borders[matched - 1] ?? 0;
    if (piece.charCodeAt(matched) === piece.charCodeAt(at)) matched++;
    borders[at] = matched;
  }
  return borders;
}
