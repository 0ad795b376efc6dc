import { describe, expect, it } from 'vitest';
import { compileFilter } from '../../runtime/consumer/filter/filter.ts';
import { QUEUE_ARN, receivedMessage } from './received-message.ts';

/**
 * Whether a message whose body is `{"field": <value>}` passes the filter `{"body": {"field": <alternatives>}}`; the
 * value as JSON text, '' for none.
 */
function matches(alternatives: unknown, valueJson: string): boolean {
  const filter = compileFilter([JSON.stringify({ body: { field: alternatives } })]);
  const body = valueJson === '' ? '{"other":1}' : `{"other":1,"field":${valueJson}}`;
  return filter.matches(receivedMessage({ body }), QUEUE_ARN);
}

interface Case {
  readonly name: string;
  readonly pattern: unknown;
  /** JSON texts of the field; '' for an absent one. */
  readonly yes: readonly string[];
  readonly no: readonly string[];
}

const CASES: readonly Case[] = [
  { name: 'null', pattern: [null], yes: ['null', '[1,null]'], no: ['', '"null"', '0', '""', '[]', '{}'] },
  { name: 'the empty string', pattern: [''], yes: ['""', '["a",""]'], no: ['', 'null', '" "', '[]'] },
  { name: 'true', pattern: [true], yes: ['true'], no: ['false', '"true"', '1', ''] },
  {
    name: 'a string, exactly and by case',
    pattern: ['Paris'],
    yes: ['"Paris"', '["Rome","Paris"]', '"\\u0050aris"'],
    no: ['"paris"', '"Paris "', '["Rome"]', '', 'null', '{"Paris":1}'],
  },
  { name: 'one of several', pattern: ['a', 1, null], yes: ['"a"', '1', 'null'], no: ['"1"', '2', '"b"', ''] },
  {
    name: 'a number, by value',
    pattern: [300],
    yes: ['300', '300.0', '3.0e2', '3000e-1', '[1,300]'],
    no: ['"300"', '301', '300.5', '', 'true'],
  },
  { name: 'minus zero', pattern: [0], yes: ['0', '-0', '0.0'], no: ['"0"', 'false', 'null'] },
  {
    name: 'an address in another spelling',
    pattern: ['2001:db8::1'],
    yes: ['"2001:0DB8:0::1"'],
    no: ['"2001:db8::2"'],
  },
  {
    name: 'equals-ignore-case',
    pattern: [{ 'equals-ignore-case': 'alIce' }],
    yes: ['"Alice"', '"ALICE"'],
    no: ['"alic"', '1', 'null', ''],
  },
  {
    name: 'equals-ignore-case of the empty string',
    pattern: [{ 'equals-ignore-case': '' }],
    yes: ['""'],
    no: ['"a"', 'null'],
  },
  {
    name: 'anything-but a string',
    pattern: [{ 'anything-but': 'x' }],
    yes: ['"y"', '"X"', '1', 'null', 'true', '["x","y"]'],
    no: ['"x"', '', '["x"]', '[]', '{}'],
  },
  {
    name: 'anything-but strings',
    pattern: [{ 'anything-but': ['x', 'y'] }],
    yes: ['"z"', 'null'],
    no: ['"x"', '"y"', ''],
  },
  {
    name: 'anything-but a number',
    pattern: [{ 'anything-but': 0 }],
    yes: ['1', '"0"', 'null'],
    no: ['0', '0.0', ''],
  },
  { name: 'anything-but numbers', pattern: [{ 'anything-but': [1, 2] }], yes: ['3'], no: ['1', '2.0', ''] },
  {
    name: 'anything-but prefix',
    pattern: [{ 'anything-but': { prefix: 'init' } }],
    yes: ['"running"', '"Init"', '123', 'null'],
    no: ['"initializing"', '"init"', ''],
  },
  {
    name: 'anything-but prefixes',
    pattern: [{ 'anything-but': { prefix: ['a', 'b'] } }],
    yes: ['"c"'],
    no: ['"ax"', '"bx"', ''],
  },
  {
    name: 'anything-but suffix',
    pattern: [{ 'anything-but': { suffix: '.txt' } }],
    yes: ['"a.png"', 'null'],
    no: ['"a.txt"', ''],
  },
  {
    name: 'anything-but suffixes',
    pattern: [{ 'anything-but': { suffix: ['.a', '.b'] } }],
    yes: ['"x.c"'],
    no: ['"x.a"', '"x.b"', ''],
  },
  {
    name: 'anything-but equals-ignore-case',
    pattern: [{ 'anything-but': { 'equals-ignore-case': ['Stop', 'end'] } }],
    yes: ['"go"', '1', 'null'],
    no: ['"STOP"', '"End"', ''],
  },
  {
    name: 'anything-but wildcard',
    pattern: [{ 'anything-but': { wildcard: ['*/tmp/*', 'x*'] } }],
    yes: ['"/home/a"', '1', 'null'],
    no: ['"/tmp/a"', '"xy"', ''],
  },
  { name: 'numeric =', pattern: [{ numeric: ['=', 3.5] }], yes: ['3.5', '35e-1'], no: ['3', '"3.5"', '', 'null'] },
  { name: 'numeric <', pattern: [{ numeric: ['<', 10] }], yes: ['9.99', '-1'], no: ['10', '11', '"9"', 'null', ''] },
  { name: 'numeric <=', pattern: [{ numeric: ['<=', 10] }], yes: ['10', '0'], no: ['10.01', ''] },
  { name: 'numeric >', pattern: [{ numeric: ['>', 10] }], yes: ['10.01', '1e9'], no: ['10', '9', ''] },
  { name: 'numeric >=', pattern: [{ numeric: ['>=', 10] }], yes: ['10', '11'], no: ['9.99', ''] },
  {
    name: 'a numeric range',
    pattern: [{ numeric: ['>', 10, '<=', 20] }],
    yes: ['10.5', '20', '[1,15]'],
    no: ['10', '20.1', '[5,25]', ''],
  },
  {
    name: 'exists: true',
    pattern: [{ exists: true }],
    yes: ['1', 'null', '""', '[0]'],
    no: ['', '{}', '{"a":1}', '[]'],
  },
  {
    name: 'exists: false',
    pattern: [{ exists: false }],
    yes: ['', '{"a":1}', '[]'],
    no: ['1', 'null', '""', '[0]'],
  },
  { name: 'exists: false or a value', pattern: [{ exists: false }, 'a'], yes: ['', '"a"'], no: ['"b"', 'null'] },
  { name: 'prefix', pattern: [{ prefix: 'us-' }], yes: ['"us-east-1"', '"us-"'], no: ['"US-"', '"eu"', '1', ''] },
  { name: 'the empty prefix', pattern: [{ prefix: '' }], yes: ['""', '"a"'], no: ['1', 'null', ''] },
  {
    name: 'prefix with equals-ignore-case',
    pattern: [{ prefix: { 'equals-ignore-case': 'EventB' } }],
    yes: ['"eventbridge"', '"EVENTB"'],
    no: ['"event"', '1', ''],
  },
  { name: 'suffix', pattern: [{ suffix: '.png' }], yes: ['"a.png"', '".png"'], no: ['"a.PNG"', '"png"', '1', ''] },
  {
    name: 'suffix with equals-ignore-case',
    pattern: [{ suffix: { 'equals-ignore-case': '.PNG' } }],
    yes: ['"a.png"', '"a.Png"'],
    no: ['"a.jpg"', ''],
  },
  {
    name: 'wildcard',
    pattern: [{ wildcard: 'dir/*/file*.txt' }],
    yes: ['"dir/a/file.txt"', '"dir/a/b/file1.txt"', '"dir//file.txt.txt"'],
    no: ['"dir/file.txt"', '"dir/a/file.txt2"', '"xdir/a/file.txt"', '1', ''],
  },
  { name: 'the wildcard alone', pattern: [{ wildcard: '*' }], yes: ['""', '"a"'], no: ['1', 'null', ''] },
  { name: 'a wildcard that must not overlap', pattern: [{ wildcard: 'ab*ba' }], yes: ['"abba"'], no: ['"aba"'] },
  { name: 'an escaped star', pattern: [{ wildcard: 'a\\*b\\\\*' }], yes: ['"a*b\\\\c"'], no: ['"axb\\\\c"', '"a*bc"'] },
  { name: 'a wildcard without a star', pattern: [{ wildcard: 'abc' }], yes: ['"abc"'], no: ['"abcd"'] },
  {
    name: 'cidr of IPv4',
    pattern: [{ cidr: '10.0.0.0/24' }],
    yes: ['"10.0.0.0"', '"10.0.0.255"'],
    no: ['"10.0.1.0"', '"10.0.0"', '"::1"', '"text"', '167772160', ''],
  },
  {
    name: 'cidr of IPv6',
    pattern: [{ cidr: '2001:db8::/32' }],
    yes: ['"2001:db8::1"', '"2001:0db8:ffff::"'],
    no: ['"2001:db9::1"', '"10.0.0.1"', '"2001:db8::1%eth0"', ''],
  },
  { name: 'a cidr of every address', pattern: [{ cidr: '0.0.0.0/0' }], yes: ['"1.2.3.4"', '"::1"'], no: ['"x"'] },
  { name: 'exactly', pattern: [{ exactly: 'a' }], yes: ['"a"'], no: ['"b"', ''] },
];

describe.each(CASES)('filter operator: $name', ({ pattern, yes, no }) => {
  it.each(yes)('matches %s', (value) => {
    expect(matches(pattern, value)).toBe(true);
  });
  it.each(no)('does not match %s', (value) => {
    expect(matches(pattern, value)).toBe(false);
  });
});

describe('hostile values', () => {
  it('finds a wildcard in a long value of near-matches', () => {
    const pattern = [{ wildcard: `*${'a'.repeat(200)}b*${'a'.repeat(200)}c*` }];
    expect(matches(pattern, JSON.stringify('a'.repeat(1_000_000)))).toBe(false);
    expect(matches(pattern, JSON.stringify(`${'a'.repeat(500_000)}b${'a'.repeat(500_000)}c`))).toBe(true);
  });

  it('tests many stars without trying their combinations', () => {
    const pattern = [{ wildcard: `${'*a'.repeat(40)}*b` }];
    expect(matches(pattern, JSON.stringify('a'.repeat(100_000)))).toBe(false);
    expect(matches(pattern, JSON.stringify(`${'a'.repeat(100_000)}b`))).toBe(true);
  });

  it('takes apart arrays nested deeper than the call stack', () => {
    const depth = 200_000;
    expect(matches([7], `${'['.repeat(depth)}7${']'.repeat(depth)}`)).toBe(true);
  });

  it('does not mistake inherited members for fields', () => {
    const filter = compileFilter(['{"body":{"constructor":[{"exists":true}]}}', '{"body":{"__proto__":{"x":[1]}}}']);
    expect(filter.matches(receivedMessage({ body: '{"a":1}' }), QUEUE_ARN)).toBe(false);
    expect(filter.matches(receivedMessage({ body: '{"__proto__":{"x":1}}' }), QUEUE_ARN)).toBe(true);
  });
});
