/**
 * Everything that reads what strangers and callers send costs in proportion to its length: each pattern, parser and
 * line of the log is given inputs that are made to be looked at again and again.
 */
import { describe, expect, it } from 'vitest';
import { compilePattern, matchesTree, Work } from '../../runtime/consumer/filter/match.ts';
import { compileLeaf, FilterError } from '../../runtime/consumer/filter/matchers.ts';
import { canonicalRequest } from '../../runtime/http/auth/canonical.ts';
import { splitCapability } from '../../runtime/http/auth/credentials.ts';
import { readClaim } from '../../runtime/http/auth/sigv4.ts';
import { clientAddress, endpointOf, locate } from '../../runtime/http/location.ts';
import { createLog, withoutSecrets } from '../../runtime/log.ts';
import { SqsError } from '../../runtime/sqs/errors.ts';
import { Form } from '../../runtime/sqs/protocol/form.ts';
import { parseBody } from '../../runtime/sqs/protocol/json.ts';
import { createQueryAnswers } from '../../runtime/sqs/protocol/query.ts';
import { decodeBase64 } from '../../runtime/sqs/protocol/shape.ts';
import { findQueueUrl, parseQueueUrl } from '../../runtime/sqs/queue-url.ts';
import { isForm, isJson, queryFormatOf } from '../../runtime/sqs/request.ts';
import { expectLinear } from '../support/growth.ts';

/** Pieces that patterns and parsers begin with, repeated. */
const PIECES = [
  'a',
  'A',
  ' ',
  '+',
  '&',
  '%',
  '%41',
  '%2Fk%2F',
  '=',
  '.',
  ':',
  ';',
  ',',
  '/',
  '//',
  '://',
  '://a:',
  'a://b:c',
  '/k/',
  '/k/a',
  '"',
  '\\',
  '\\"',
  '{',
  '[',
  '[]',
  '{}',
  '{"a":',
  '"a",',
  '"QueueUrl":',
  'QueueUrl=',
  '&QueueUrl=',
  'a=b&',
  'a.1.b=&',
  '0',
  '-',
  '@',
  'Signature=',
  'X-Amz-',
  'Credential=',
  '\u00e9',
  '\u{1f600}',
  '\r',
  '\0',
  '<',
  '&amp;',
  ']]>',
  '*',
  '?',
  'Root=',
  '; ',
];

/** A quarter of the largest that is tried: the largest message in full size. */
const SIZE = process.env['KARIN_TEST_SIZE'] === 'full' ? 262_144 : 16_384;
const HEADER = 8_192;
/** Four times this is the largest filter pattern of a mapping. */
const PATTERN = 1_024;

/** Prefixes and suffixes make the difference between a match at once and none at the end. */
const FRAMES: readonly (readonly [string, string])[] = [
  ['', ''],
  ['/k/', '!'],
  ['{"QueueUrl":"', '"}'],
  ['QueueUrl=', '&'],
];

const all = (run: (text: string) => unknown, size: number, what: string): void => {
  for (const piece of PIECES) {
    for (const [before, after] of FRAMES) {
      const make = (length: number): string => before + piece.repeat(Math.ceil(length / piece.length)) + after;
      expectLinear(`${what} of ${JSON.stringify(piece)} in ${JSON.stringify([before, after])}`, size, make, (text) => {
        try {
          return run(text);
        } catch (error) {
          if (error instanceof SqsError || error instanceof RangeError || error instanceof URIError) return undefined;
          throw error;
        }
      });
    }
  }
};

const headers = (contentType: string) => (name: string) => (name === 'content-type' ? contentType : undefined);
const JSON_TYPE = 'application/x-amz-json-1.0';
const FORM_TYPE = 'application/x-www-form-urlencoded';

describe('a text of a stranger costs no more than its length', () => {
  it(
    'as a line of the log',
    () => all((text) => withoutSecrets(JSON.stringify({ msg: text })), SIZE, 'a line'),
    120_000,
  );

  it('as the path, query or address of a request', () => {
    all((text) => locate(`/${text}`, '/base'), HEADER, 'a target');
    all((text) => splitCapability(text), HEADER, 'a path');
    all((text) => clientAddress('192.0.2.1', { forwardedFor: text }, 3), HEADER, 'forwarded addresses');
    all((text) => endpointOf({ basePath: '' }, text, 'https', 'localhost'), HEADER, 'a host');
  }, 120_000);

  it('as a signature', () => {
    const parts = (text: string) => ({
      method: 'POST',
      path: `/${text}`,
      query: `X-Amz-Signature=a&${text}`,
      rawHeaders: ['Host', 'x', 'X-Amz-Date', text, 'Authorization', `AWS4-HMAC-SHA256 Credential=a/b, ${text}`],
    });
    all((text) => readClaim(parts(text)), HEADER, 'a claim');
    all((text) => canonicalRequest(parts(text), ['host', ...text.split(';')], 'hash'), HEADER, 'a canonical request');
  }, 120_000);

  it('as a content type, or what is accepted', () => {
    all((text) => isForm(`application/x-www-form-urlencoded${text}`), HEADER, 'a form type');
    all((text) => isJson(`application/x-amz-json-1.0${text}`), HEADER, 'a JSON type');
    all((text) => queryFormatOf({ method: 'GET', headers: () => text }), HEADER, 'what is accepted');
  }, 120_000);

  it('as a body in which a capability is looked for', () => {
    for (const whole of [true, false]) {
      const form = (text: string) =>
        findQueueUrl({ headers: headers(FORM_TYPE), query: '', body: Buffer.from(`/k/&${text}`) }, whole);
      const json = (text: string) =>
        findQueueUrl({ headers: headers(JSON_TYPE), query: '', body: Buffer.from(`{"/k/":"", ${text}`) }, whole);
      all(form, SIZE, 'a form');
      all(json, SIZE, 'a JSON body');
    }
  }, 120_000);
});

describe('a text of a caller costs no more than its length', () => {
  it('as a form', () => all((text) => new Form().addBody(Buffer.from(text)), SIZE, 'a form'), 120_000);
  it('as JSON', () => all((text) => parseBody(Buffer.from(text)), SIZE, 'a body'), 120_000);
  it('as base64', () => all(decodeBase64, SIZE, 'a binary attribute'), 120_000);
  it('as a QueueUrl', () => {
    all((text) => parseQueueUrl(text, { account: '000000000000', region: 'eu-west-1' }), SIZE, 'a QueueUrl');
  }, 120_000);
  it('as an error that repeats it in XML', () => {
    const answers = createQueryAnswers();
    all((text) => void answers.error('id', new SqsError('MalformedInput', text), 'xml'), SIZE, 'an error');
  }, 120_000);
});

/** Bodies that are made to be looked through again and again, of about `size` characters. */
const BODIES: Readonly<Record<string, (size: number) => string>> = {
  'objects in a list': (size) => `{"a":[${'{"b":1},'.repeat(size / 8)}0]}`,
  'lists in lists': (size) => `{"a":${'['.repeat(size / 2)}${']'.repeat(size / 2)}}`,
  'keys with dots': (size) =>
    `{${Array.from({ length: size / 16 }, (_, n) => `"a.b.${n.toString(36)}":1,`).join('')}"a":1}`,
  'one key with dots': (size) => `{"${'a.'.repeat(size / 2)}b":1}`,
  'many keys': (size) => `{${Array.from({ length: size / 12 }, (_, n) => `"${n.toString(36)}":1,`).join('')}"a":1}`,
  'one long text': (size) => JSON.stringify({ a: 'ab'.repeat(size / 2) }),
  'many texts': (size) => JSON.stringify({ a: Array.from({ length: size / 5 }, () => 'ab') }),
};

const PATTERNS = [
  '{"body":{"a":{"b":[2]}}}',
  '{"body":{"a":{"b":[{"exists":false}],"c":[1]}}}',
  '{"body":{"a":{"b":{"c":[2]}},"a.b.d":[2]}}',
  '{"body":{"a":[{"wildcard":"*ab*ac*"},{"anything-but":{"wildcard":"*a*b*"}}]}}',
  '{"body":{"$or":[{"a":["x"]},{"b":["x"]},{"a":{"b":["x"]}}]}}',
];

/** Four times the body may take four times the steps, and a little; the matcher itself counts them. */
const MOST_STEPS = 4.5;

describe('a message costs a filter no more than its length', () => {
  const steps = (pattern: string, body: string): number => {
    const work = new Work(Number.POSITIVE_INFINITY);
    const event = { body: JSON.parse(body) as unknown };
    for (const tree of compilePattern(pattern)) matchesTree(tree, event, work);
    return work.spent;
  };

  it.each(PATTERNS)('in steps, for %s', (pattern) => {
    for (const [what, make] of Object.entries(BODIES)) {
      const [small, large] = [steps(pattern, make(SIZE)), steps(pattern, make(4 * SIZE))];
      expect(large, what).toBeLessThanOrEqual(MOST_STEPS * small + 100);
    }
  });
});

describe('a text costs a leaf of a filter no more than its length', () => {
  const LEAVES: readonly unknown[] = [
    'a',
    '10.0.0.1',
    { exactly: 'a' },
    { prefix: 'aaaa' },
    { suffix: 'aaaa' },
    { prefix: { 'equals-ignore-case': 'aaaa' } },
    { suffix: { 'equals-ignore-case': 'aaaa' } },
    { 'equals-ignore-case': 'aaaa' },
    { wildcard: '*a*a*a*b*' },
    { wildcard: 'a*/k/*//*=' },
    { cidr: '10.0.0.0/8' },
    { cidr: '2001:db8::/32' },
    { 'anything-but': { suffix: ['aaaa', 'b'] } },
    { 'anything-but': { wildcard: '*a*b*' } },
  ];

  it.each(LEAVES.map((leaf) => [JSON.stringify(leaf), leaf] as const))(
    '%s',
    (what, leaf) => {
      const compiled = compileLeaf([leaf], 'body');
      all((text) => compiled.matches(text), SIZE, what);
    },
    120_000,
  );

  it('nor does a pattern cost more than its own, to be compiled', () => {
    const compile = (text: string): void => {
      try {
        compilePattern(text);
      } catch (error) {
        if (!(error instanceof FilterError)) throw error;
      }
    };
    all((text) => compile(`{"body":{"a":[{"wildcard":${JSON.stringify(text)}}]}}`), PATTERN, 'a wildcard');
    all(
      (text) => compile(`{"body":{"a":[{"suffix":{"equals-ignore-case":${JSON.stringify(text)}}}]}}`),
      PATTERN,
      'a suffix',
    );
    all((text) => compile(`{"body":{"a":[{"cidr":${JSON.stringify(text)}}]}}`), PATTERN, 'a range');
    all((text) => compile(`{"body":{${JSON.stringify(text)}:[1]}}`), PATTERN, 'a path');
    all((text) => compile(text), PATTERN, 'a pattern');
  }, 120_000);
});

describe('a line of the log', () => {
  const logged = (members: object): string => {
    const lines: string[] = [];
    createLog({ level: 'info', write: (line) => lines.push(line) }).info(members, 'what happened');
    return lines.join('');
  };

  it('is cut when it is long, and remains JSON', () => {
    const line = logged({ err: new Error('x'.repeat(1_000_000)), user: 'me' });
    expect(line.length).toBeLessThan(32_768);
    expect(JSON.parse(line)).toMatchObject({ level: 'info', msg: 'what happened', user: 'me' });
  });

  it('keeps what it is about when it has too many members', () => {
    const line = logged(Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`member${n}`, n])));
    expect(JSON.parse(line)).toMatchObject({ level: 'info', msg: 'what happened' });
    expect(line.length).toBeLessThan(32_768);
  });

  it('shows no password of a URL, whatever stands before it', () => {
    for (const url of ['redis://user:secret@host', 'rediss://:secret@host/', `${'a'.repeat(100)}://u:secret@h`]) {
      expect(logged({ url })).not.toContain('secret');
    }
  });
});
