import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeRfc3986 } from '../../runtime/http/auth/canonical.ts';
import { HmacKey, readClaim, SignatureVerifier, type SignedRequest } from '../../runtime/http/auth/sigv4.ts';
import { SqsError } from '../../runtime/sqs/errors.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const KEY = 'AKIDEXAMPLE';
const NOW = Date.parse('2015-08-30T12:36:00Z');

interface Suite {
  readonly service: string;
  readonly requests: readonly {
    readonly name: string;
    readonly request: {
      readonly method: string;
      readonly path: string;
      readonly query: Readonly<Record<string, string>>;
      readonly headers: Readonly<Record<string, string>>;
      readonly body?: string;
    };
    readonly authorization: string;
  }[];
}

// The file is part of this repository; its README says where it comes from.
const suite = JSON.parse(readFileSync(new URL('./data/sigv4-suite.json', import.meta.url), 'utf8')) as Suite;

/** A request as it arrives: everything a byte could be flipped in. */
interface Wire {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array;
}

function received(wire: Wire): SignedRequest {
  return {
    method: wire.method,
    query: wire.query,
    rawHeaders: wire.headers.flat(),
    body: wire.body,
    views: [{ path: wire.path }],
  };
}

/** Throws unless the request is let in. */
function verify(wire: Wire, options: { service?: string; now?: number } = {}): void {
  const request = received(wire);
  const claim = readClaim(request);
  if (claim === undefined || claim.accessKeyId !== KEY) throw new SqsError('InvalidClientTokenId');
  new SignatureVerifier(options.service ?? 'sqs', () => options.now ?? NOW).verify(claim, SECRET, request);
}

const signer = new SignatureV4({
  service: 'sqs',
  region: 'us-east-1',
  credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
  sha256: Sha256,
});

interface Unsigned {
  readonly method?: string;
  readonly path?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function httpRequest(request: Unsigned) {
  return {
    method: request.method ?? 'POST',
    protocol: 'http:',
    hostname: 'karin.example.com',
    path: request.path ?? '/',
    query: { ...request.query },
    headers: { host: 'karin.example.com', ...request.headers },
    ...(request.body === undefined ? {} : { body: request.body }),
  };
}

function toWire(signed: { method: string; path: string; query?: object; headers: object; body?: unknown }): Wire {
  return {
    method: signed.method,
    path: signed.path,
    query: Object.entries(signed.query ?? {})
      .map(([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(String(value))}`)
      .join('&'),
    headers: Object.entries(signed.headers).map(([name, value]) => [name, String(value)]),
    body: Buffer.from(typeof signed.body === 'string' ? signed.body : ''),
  };
}

async function sign(request: Unsigned): Promise<Wire> {
  return toWire(await signer.sign(httpRequest(request), { signingDate: new Date(NOW) }));
}

async function presign(request: Unsigned, expiresIn = 300): Promise<Wire> {
  return toWire(await signer.presign(httpRequest(request), { signingDate: new Date(NOW), expiresIn }));
}

function header(wire: Wire, name: string, value: string | undefined): Wire {
  const others = wire.headers.filter(([other]) => other.toLowerCase() !== name);
  return { ...wire, headers: value === undefined ? others : [...others, [name, value]] };
}

/** The error of a refused request: code and text. */
function refusal(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SqsError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'let in';
}

describe('the AWS test suite', () => {
  it('is whole', () => {
    expect(suite.requests).toHaveLength(24);
  });

  it.each(suite.requests.map(({ name, ...vector }) => [name, vector] as const))(
    '%s',
    (_name, { request, authorization }) => {
      const wire = toWire({ ...request, headers: { ...request.headers, authorization } });
      verify(wire, { service: suite.service });
      expect(refusal(() => verify({ ...wire, path: `${wire.path}x` }, { service: suite.service }))).toContain(
        'SignatureDoesNotMatch',
      );
    },
  );
});

const JSON_HEADERS = {
  'content-type': 'application/x-amz-json-1.0',
  'x-amz-target': 'AmazonSQS.SendMessage',
  'x-amzn-query-mode': 'true',
};

describe('the code of a text', () => {
  it('is that of HMAC with SHA-256, for keys and texts of any length', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 1_000 }),
        (key, codes) => {
          const text = String.fromCharCode(...codes);
          const expected = createHmac('sha256', key).update(text, 'latin1').digest('hex');
          expect(new HmacKey(Buffer.from(key)).sign(text)).toBe(expected);
        },
      ),
    );
    expect(() => new HmacKey(Buffer.alloc(65))).toThrow('at most 64 bytes');
  });
});

describe('a signed request', () => {
  // The signer keeps parameters in an object, which cannot have this one.
  const parameterNames = fc.string({ minLength: 1, unit: 'grapheme' }).filter((name) => name !== '__proto__');
  const requests = fc.record({
    method: fc.constantFrom('POST', 'GET'),
    path: fc.constantFrom('/', '/000000000000/jobs', '/k/karin_abc/000000000000/jobs.fifo', '/base/path/', '/a//b/./c'),
    query: fc.dictionary(parameterNames, fc.string({ unit: 'grapheme' }), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
    headers: fc.constantFrom({}, JSON_HEADERS, { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }),
    body: fc.string({ unit: 'grapheme', maxLength: 200 }),
  });

  it('is let in, whatever it holds', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async (request) => {
        verify(await sign(request));
      }),
    );
  });

  it('is let in when presigned', async () => {
    await fc.assert(
      fc.asyncProperty(requests, async ({ body: _, ...request }) => {
        verify(await presign({ ...request, method: 'GET' }));
      }),
    );
  });

  it('is refused once any byte of it is flipped', async () => {
    await fc.assert(
      fc.asyncProperty(
        requests,
        fc.boolean(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (request, presigned, at, mask) => {
          const { body: _, ...bare } = request;
          const wire = presigned ? await presign({ ...bare, method: 'GET' }) : await sign(request);
          const flipped = flip(wire, at, mask);
          if (flipped === undefined) return;
          expect(() => verify(flipped)).toThrow(SqsError);
        },
      ),
      { numRuns: 4000 },
    );
  });

  it('is refused once a header of it is doubled', async () => {
    const wire = await sign({ headers: JSON_HEADERS, body: '{}' });
    for (const [name, value] of wire.headers.filter(([name]) => name !== 'authorization')) {
      const doubled = { ...wire, headers: [...wire.headers, [name, value] as const] };
      expect(
        refusal(() => verify(doubled)),
        name,
      ).toContain('SignatureDoesNotMatch');
    }
  });

  it('may repeat a header if the signature covers both', async () => {
    const signed = await sign({ headers: { 'x-note': 'a,b c' }, body: '' });
    const repeated = header(signed, 'x-note', undefined);
    verify({ ...repeated, headers: [...repeated.headers, ['X-Note', ' a '], ['x-note', 'b   c']] });
  });

  it('is let in by the public address behind a proxy that changes Host and takes the base path off', async () => {
    const wire = await sign({ path: '/base/', headers: JSON_HEADERS, body: '{}' });
    const behind = received({ ...header(wire, 'host', '10.0.0.7:4000'), path: '/' });
    const claim = readClaim(behind);
    if (claim === undefined) throw new Error('the request is signed');
    const verifier = new SignatureVerifier('sqs', () => NOW);
    expect(refusal(() => verifier.verify(claim, SECRET, behind))).toContain('SignatureDoesNotMatch');
    const views = [{ path: '/base/', host: 'karin.example.com' }, { path: '/' }];
    expect(refusal(() => verifier.verify(claim, SECRET, { ...behind, views }))).toBe('let in');
  });

  it('is refused with another secret, also after the signing key of the old one was cached', async () => {
    const wire = await sign({ headers: JSON_HEADERS, body: '{}' });
    const claim = readClaim(received(wire));
    if (claim === undefined) throw new Error('the request is signed');
    const verifier = new SignatureVerifier('sqs', () => NOW);
    verifier.verify(claim, SECRET, received(wire));
    expect(refusal(() => verifier.verify(claim, 'another secret', received(wire)))).toContain('SignatureDoesNotMatch');
  });
});

describe('the payload', () => {
  it('cannot be left out of the signature: the word for it is one of S3', async () => {
    const wire = await sign({ headers: { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }, body: 'a' });
    for (const body of ['a', 'b']) {
      expect(refusal(() => verify({ ...wire, body: Buffer.from(body) }))).toContain('SignatureDoesNotMatch');
    }
  });

  it('is no form because of a Content-Type that the signature does not cover', async () => {
    const target = { 'x-amz-target': 'AmazonSQS.SendMessage' };
    const wire = header(await sign({ headers: target, body: '{}' }), 'content-type', 'application/x-amz-json-1.0');
    verify(wire);
    const form = header(wire, 'content-type', 'application/x-www-form-urlencoded');
    expect(refusal(() => verify(form))).toContain("'Content-Type' must be a 'SignedHeader'");
  });

  it('is not left out because of a header that the signature does not cover', async () => {
    const wire = header(await sign({ body: 'a' }), 'x-amz-content-sha256', 'UNSIGNED-PAYLOAD');
    expect(refusal(() => verify({ ...wire, body: Buffer.from('b') }))).toContain('SignatureDoesNotMatch');
  });
});

describe('errors in the words of AWS', () => {
  const signed = () => sign({ headers: JSON_HEADERS, body: '{}' });

  it('fifteen minutes are the limit, either way', async () => {
    const wire = await signed();
    const minutes = 60_000;
    verify(wire, { now: NOW + 15 * minutes });
    verify(wire, { now: NOW - 15 * minutes });
    expect(refusal(() => verify(wire, { now: NOW + 15 * minutes + 1000 }))).toBe(
      'SignatureDoesNotMatch: Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)',
    );
    expect(refusal(() => verify(wire, { now: NOW - 15 * minutes - 1000 }))).toBe(
      'SignatureDoesNotMatch: Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)',
    );
  });

  it('a presigned URL holds as long as it says', async () => {
    const wire = await presign({ method: 'GET', query: { Action: 'ListQueues' } }, 3600);
    verify(wire, { now: NOW + 3_600_000 });
    expect(refusal(() => verify(wire, { now: NOW + 3_601_000 }))).toContain('Signature expired');
    expect(
      refusal(() => verify({ ...wire, query: wire.query.replace('X-Amz-Expires=3600', 'X-Amz-Expires=604801') })),
    ).toBe('IncompleteSignature: X-Amz-Expires must be between 1 and 604800 seconds.');
  });

  it.each([
    [
      'no credential',
      /Credential=[^,]+, /,
      '',
      "IncompleteSignature: Authorization header requires 'Credential' parameter. ",
    ],
    [
      'no signature',
      /, Signature=.*/,
      '',
      "IncompleteSignature: Authorization header requires 'Signature' parameter. ",
    ],
    [
      'no headers',
      /SignedHeaders=[^,]+, /,
      '',
      "IncompleteSignature: Authorization header requires 'SignedHeaders' parameter. ",
    ],
    [
      'another algorithm',
      'AWS4-HMAC-SHA256',
      'AWS4-HMAC-SHA512',
      "IncompleteSignature: Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'.",
    ],
    [
      'a pair that is none',
      'Credential=',
      'Credential ',
      'IncompleteSignature: Invalid key=value pair (missing equal-sign) in Authorization header',
    ],
    [
      'a short scope',
      '/us-east-1/sqs',
      '/sqs',
      'IncompleteSignature: Credential must have exactly 5 slash-delimited elements',
    ],
    [
      'another terminator',
      'aws4_request',
      'aws5_request',
      "SignatureDoesNotMatch: Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'.",
    ],
    [
      'another service',
      '/sqs/',
      '/sns/',
      "SignatureDoesNotMatch: Credential should be scoped to correct service: 'sqs'.",
    ],
    [
      'another day',
      '/20150830/',
      '/20150829/',
      "SignatureDoesNotMatch: Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != '20150830', from '20150830T123600Z'.",
    ],
    [
      'Host not signed',
      'host;',
      '',
      "SignatureDoesNotMatch: 'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'the action not signed',
      ';x-amz-target',
      '',
      "SignatureDoesNotMatch: 'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.",
    ],
    [
      'another signature',
      /Signature=./,
      'Signature=x',
      'SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided.',
    ],
  ])('%s', async (_what, pattern, replacement, text) => {
    const wire = await signed();
    const authorization = wire.headers.find(([name]) => name === 'authorization')?.[1] ?? '';
    expect(refusal(() => verify(header(wire, 'authorization', authorization.replace(pattern, replacement))))).toContain(
      text,
    );
  });

  it('a missing date, and one that cannot be read', async () => {
    const wire = await signed();
    expect(refusal(() => verify(header(wire, 'x-amz-date', undefined)))).toContain(
      "IncompleteSignature: Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
    );
    expect(refusal(() => verify(header(wire, 'x-amz-date', 'yesterday')))).toContain(
      "IncompleteSignature: Date must be in ISO-8601 'basic format'. Got 'yesterday'.",
    );
  });

  it('a presigned URL without all of its parameters', async () => {
    const wire = await presign({ method: 'GET' });
    expect(refusal(() => verify({ ...wire, query: wire.query.replace(/&?X-Amz-Date=[^&]+/, '') }))).toBe(
      "IncompleteSignature: AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.",
    );
  });

  it('never shows what the Authorization header held', async () => {
    const wire = header(await signed(), 'authorization', 'AWS4-HMAC-SHA256 Signature=0123456789abcdef');
    expect(refusal(() => verify(wire))).not.toContain('0123456789abcdef');
  });
});

/**
 * The request with one byte changed; `undefined` if that byte, so changed, means the same to HTTP (upper and lower case
 * of header names and percent-encodings, a change that would not be one request any more).
 */
function flip(wire: Wire, at: number, mask: number): Wire | undefined {
  const parts: [get: string, set: (text: string) => Wire][] = [
    [wire.method, (method) => ({ ...wire, method })],
    [wire.path, (path) => ({ ...wire, path })],
    [wire.query, (query) => ({ ...wire, query })],
    [Buffer.from(wire.body).toString('latin1'), (text) => ({ ...wire, body: Buffer.from(text, 'latin1') })],
    ...wire.headers.flatMap(([name, value], index): [string, (text: string) => Wire][] => [
      [name, (text) => ({ ...wire, headers: wire.headers.with(index, [text, value]) })],
      [value, (text) => ({ ...wire, headers: wire.headers.with(index, [name, text]) })],
    ]),
  ];
  const total = parts.reduce((sum, [text]) => sum + text.length, 0);
  let position = at % total;
  for (const [text, set] of parts) {
    if (position >= text.length) {
      position -= text.length;
      continue;
    }
    const changed =
      text.slice(0, position) + String.fromCharCode(text.charCodeAt(position) ^ mask) + text.slice(position + 1);
    const flipped = set(changed);
    // What is no path is refused before anybody looks at its signature: see `locate`.
    if (!flipped.path.startsWith('/')) return undefined;
    return meaning(flipped) === meaning(wire) ? undefined : flipped;
  }
  return undefined;
}

/** What HTTP takes a request to be. */
function meaning(wire: Wire): string {
  return JSON.stringify([
    wire.method,
    wire.path.replace(/\/+/g, '/').replace(/\/\.(?=\/|$)/g, ''),
    [...new URLSearchParams(wire.query)].sort(),
    wire.headers.map(([name, value]) => [name.toLowerCase(), value.trim().replace(/ +/g, ' ')]),
    Buffer.from(wire.body).toString('hex'),
  ]);
}
