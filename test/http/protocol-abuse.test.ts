/**
 * What HTTP and Signature Version 4 let a client send that no SDK sends: each is refused or taken for what it plainly
 * says, at a cost that its own length bounds, and the server goes on.
 */
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalRequest } from '../../runtime/http/auth/canonical.ts';
import { readClaim } from '../../runtime/http/auth/sigv4.ts';
import { LONGEST_HEAD } from '../../runtime/http/connections.ts';
import { SqsError } from '../../runtime/sqs/errors.ts';
import { forgedSignature, head, open, post, sendRaw } from '../support/attacks.ts';
import { runKarin, sqsCall } from './running-karin.ts';

const KEY = 'AKIAKARIN';
const TOKEN = 'a-capability-of-this-suite-0123456789';
const PASSWORD = 'correct horse battery';
const CLOSED = {
  KARIN_KEYS: `${KEY}:a-secret-of-the-right-length`,
  KARIN_TOKENS: `${TOKEN}:all`,
  KARIN_ADMIN_PASSWORD: PASSWORD,
};
const JSON_TYPE = 'application/x-amz-json-1.0';
const CHUNKED = ['Transfer-Encoding: chunked', 'Content-Type: application/x-www-form-urlencoded'];

const signed = (signedHeaders = 'host', tellsHash = true) => forgedSignature(KEY, tellsHash, signedHeaders);
const asCaller = (action: string, body: string): string =>
  post(`/k/${TOKEN}/`, body, { type: JSON_TYPE, headers: [`X-Amz-Target: AmazonSQS.${action}`] });
const entries = (count: number): string =>
  JSON.stringify({ QueueUrl: 'jobs', Entries: Array.from({ length: count }, (_, n) => ({ Id: `${n}` })) });
const parameters = (count: number): string => Array.from({ length: count }, (_, n) => `${n.toString(36)}=`).join('&');

/** What is sent, and the status of the answer; 0: the connection is closed without one. */
const REQUESTS: readonly (readonly [what: string, bytes: string, status: number])[] = [
  ['CONNECT, with what a tunnel would carry', `CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${'x'.repeat(60_000)}`, 0],
  ['an upgrade to WebSocket', head('GET /', ['Connection: Upgrade', 'Upgrade: websocket']), 403],
  ['an upgrade to HTTP/2', head('GET /', ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c']), 403],
  ['the beginning of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
  [
    'OPTIONS with a long list of headers',
    head('OPTIONS /', [`Access-Control-Request-Headers: ${'a,'.repeat(9_000)}`]),
    403,
  ],
  ['HEAD', head('HEAD /'), 403],
  ['TRACE', head('TRACE /'), 403],
  ['a length and chunks', `${head('POST /', ['Content-Length: 5', ...CHUNKED])}0\r\n\r\n`, 400],
  ['two lengths', `${head('POST /', ['Content-Length: 5', 'Content-Length: 6'])}hello`, 400],
  ['one length twice', `${head('POST /', ['Content-Length: 5', 'Content-Length: 5'])}hello`, 400],
  ['a length that is no number', `${head('POST /', ['Content-Length: 1e3'])}hello`, 400],
  ['an encoding that is not chunked', head('POST /', ['Transfer-Encoding: gzip']), 400],
  ['chunks of a stranger', `${head('POST /', CHUNKED)}${'1\r\na\r\n'.repeat(9_000)}`, 413],
  ['chunks of one who claims a key', head('POST /', [...CHUNKED, ...signed('host', false)]), 413],
  [
    'a chunk with a huge extension',
    `${head(`POST /k/${TOKEN}/`, CHUNKED)}1;${'e'.repeat(60_000)}\r\na\r\n0\r\n\r\n`,
    413,
  ],
  ['huge trailers', `${head(`POST /k/${TOKEN}/`, CHUNKED)}0\r\nA: ${'b'.repeat(60_000)}\r\n\r\n`, 431],
  ['a head that is too large', head('GET /', [`A: ${'b'.repeat(LONGEST_HEAD)}`]), 431],
  ['a path that is too long', head(`GET ${'/a'.repeat(1_025)}`), 414],
  ['thousands of parameters', head(`GET /?${'a&'.repeat(12_000)}`), 403],
  ['thousands of signed parameters', head(`GET /?${parameters(5_000)}`, signed()), 403],
  [
    'presigned parameters again and again',
    head(`GET /?${`X-Amz-Credential=${KEY}/a/b/sqs/aws4_request&X-Amz-Signature=a&`.repeat(300)}`),
    400,
  ],
  [
    'a signed header listed thousands of times',
    head('GET /', [`A: ${'x'.repeat(14_000)}`, ...signed(`host;${'a;'.repeat(7_000)}`)]),
    400,
  ],
  ['JSON that is deep', asCaller('SendMessageBatch', '['.repeat(100_000)), 400],
  ['JSON that is deep and whole', asCaller('SendMessage', `${'['.repeat(4_000)}${']'.repeat(4_000)}`), 400],
  ['a batch of thousands', asCaller('SendMessageBatch', entries(3_000)), 400],
  ['a batch of more values than any request has', asCaller('DeleteMessageBatch', entries(60_000)), 400],
  [
    'a batch of nothing, a million times',
    asCaller('SendMessageBatch', `{"Entries":[${'0,'.repeat(1_000_000)}0]}`),
    400,
  ],
];

describe('a server', () => {
  it.each(REQUESTS)('is sent %s, and goes on', async (_, bytes, status) => {
    const karin = await runKarin(CLOSED);
    expect((await sqsCall(`${karin.url}/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' })).status).toBe(200);
    const answer = await sendRaw(Number(new URL(karin.url).port), bytes);
    expect(answer === '' ? 0 : Number(answer.slice(9, 12))).toBe(status);
    expect((await sqsCall(`${karin.url}/k/${TOKEN}`, 'ListQueues', {})).status).toBe(200);
    expect(karin.logged.join('')).not.toContain('"level":"error"');
  });

  it('goes by the first of two Authorization headers, whichever of them is right', async () => {
    const { url } = await runKarin(CLOSED);
    const send = async (...values: readonly string[]): Promise<string> => {
      const lines = values.map((value) => `Authorization: Bearer ${value}`);
      const answer = await sendRaw(Number(new URL(url).port), head('GET /?Action=ListQueues', lines));
      return answer.slice(9, 12);
    };
    expect(await send(PASSWORD, 'wrong')).toBe('200');
    expect(await send('wrong', PASSWORD)).toBe('403');
  });

  it('answers a caller who sends sixteen requests without waiting, and closes on one who sends more', async () => {
    const { url } = await runKarin(CLOSED);
    const request = head(`GET /k/${TOKEN}/?Action=ListQueues`);
    const patient = open(Number(new URL(url).port));
    patient.setEncoding('latin1').write(request.repeat(16));
    let answers = '';
    while ((answers.match(/HTTP\/1\.1 200/g) ?? []).length < 16) answers += String((await once(patient, 'data'))[0]);
    patient.destroy();
    const impatient = open(Number(new URL(url).port));
    let received = '';
    impatient.setEncoding('latin1').on('data', (text: string) => {
      received += text;
    });
    impatient.write(request.repeat(400));
    await once(impatient, 'close');
    expect((received.match(/HTTP\/1\.1 200/g) ?? []).length).toBeLessThan(400);
  });
});

describe('a canonical request', () => {
  it('is no longer than what percent-encoding makes of its head, whatever a claim lists', () => {
    const name = fc.constantFrom('host', 'a', 'b', 'x-amz-date');
    fc.assert(
      fc.property(
        fc.array(name, { maxLength: 200 }),
        fc.array(fc.tuple(name, fc.string({ maxLength: 2_000 })), { maxLength: 10 }),
        fc.string({ maxLength: 2_000 }),
        (listed, headers, query) => {
          const lines = signed(`host;${listed.join(';')}`).map((line) => line.split(/: (.*)/, 2));
          const rawHeaders = ['Host', 'x', ...lines.flat(), ...headers.flat()];
          const parts = { method: 'GET', path: '/', query, rawHeaders };
          const claim = claimOf(parts);
          if (claim === undefined) return;
          const length = canonicalRequest(parts, claim.signedHeaders, 'hash').length;
          // A character may take three bytes of UTF-8, each three characters, in a path encoded twice.
          expect(length).toBeLessThanOrEqual(27 * (rawHeaders.join('').length + query.length + 100));
        },
      ),
      { numRuns: 200 },
    );
  });
});

/** `undefined`: the claim is refused. */
function claimOf(parts: Parameters<typeof readClaim>[0]): ReturnType<typeof readClaim> {
  try {
    return readClaim(parts);
  } catch (error) {
    if (error instanceof SqsError) return undefined;
    throw error;
  }
}
