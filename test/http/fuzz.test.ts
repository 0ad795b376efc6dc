/**
 * Damaged bytes on the socket of a whole server, every route of it: each connection is answered in order or closed, and
 * the server goes on.
 *
 * `KARIN_TEST_SIZE=full` sends 20,000 requests. `KARIN_FUZZ_SEED=n` begins with another seed; a failure names it, and
 * shows the request.
 */
import { once } from 'node:events';
import { createConnection } from 'node:net';
import { expect, it } from 'vitest';
import { Choices } from '../sqs/support/mutation.ts';
import { type RunningKarin, runKarin, sqsCall } from './running-karin.ts';

const REQUESTS = process.env['KARIN_TEST_SIZE'] === 'full' ? 20_000 : 2_000;
const AT_ONCE = 20;
const SEED = Number(process.env['KARIN_FUZZ_SEED'] ?? 1);

const TOKEN = 'sender-token-sender-token';
const PASSWORD = 'correct horse battery';
const ADMIN = `Authorization: Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}`;
const FORM = 'Content-Type: application/x-www-form-urlencoded';
const SEND = '{"QueueUrl":"jobs","MessageBody":"x"}';
const JSON_SEND = 'Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.SendMessage';
const SIGNED =
  'X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential=AKIAKARIN/20260101/eu-west-1/sqs/aws4_request, SignedHeaders=host;x-amz-date, Signature=' +
  'a'.repeat(64);

function request(line: string, headers: readonly string[], body = ''): Buffer {
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  const head = [`${line} HTTP/1.1`, 'Host: 127.0.0.1', 'Connection: close', ...headers, ...length];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Good requests, each of another kind. */
const GOOD: readonly Buffer[] = [
  request('POST /', [JSON_SEND], SEND),
  request(`POST /k/${TOKEN}/`, [JSON_SEND], SEND),
  request(`POST /k/${TOKEN}/000000000000/jobs`, [FORM], 'Action=SendMessage&MessageBody=x%20y'),
  request(`GET /k/${TOKEN}/000000000000/jobs?Action=SendMessage&MessageBody=x`, ['Accept: application/json']),
  request('POST /', [JSON_SEND, SIGNED], SEND),
  request('GET /?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a&X-Amz-Signature=b&Action=ListQueues', []),
  Buffer.concat([
    request(`POST /k/${TOKEN}/`, [JSON_SEND, 'Transfer-Encoding: chunked']),
    Buffer.from(`25\r\n${SEND}\r\n0\r\n\r\n`),
  ]),
  ...[
    '/healthz',
    '/readyz',
    '/metrics',
    '/ops',
    '/ops/queues/eu-west-1:000000000000:jobs',
    '/functions',
    '/tokens',
  ].map((path) => request(`GET ${path}`, [ADMIN])),
  request('POST /sync', [ADMIN]),
  request('POST /tokens', [ADMIN, 'Content-Type: application/json'], '{"scopes":"send","queues":"app-*"}'),
  request('DELETE /tokens/0123456789ab', [ADMIN]),
  request('POST /ops/login', [FORM], `password=${encodeURIComponent(PASSWORD)}`),
];

const NASTY = ['\r\n', '\0', '%00', '%', '/../', '//', ':', ';', '\u00ff', 'A'.repeat(9_000), '{', '"', '-1', '1e309'];

/** One to four bytes or pieces changed, doubled, left out or put in. */
function damage(choices: Choices, good: Buffer): Buffer {
  let bytes = good;
  for (let left = 1 + choices.below(4); left > 0; left -= 1) {
    const at = choices.below(bytes.length);
    const to = Math.min(bytes.length, at + 1 + choices.below(30));
    const piece = choices.oneOf([
      Buffer.alloc(0),
      Buffer.from([choices.below(256)]),
      Buffer.concat([bytes.subarray(at, to), bytes.subarray(at, to)]),
      Buffer.from(choices.oneOf(NASTY), 'latin1'),
    ]);
    bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(choices.chance(0.5) ? to : at)]);
  }
  return bytes;
}

/** All that comes back until the connection is closed. */
async function exchange(port: number, bytes: Buffer): Promise<string> {
  const socket = createConnection(port, '127.0.0.1');
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  // The server may close while the rest of the request is still being written.
  socket.on('error', () => {});
  socket.end(bytes);
  await once(socket, 'close');
  return received;
}

function errors(karin: RunningKarin): readonly string[] {
  return karin.logged.filter((line) => /"level":"(error|fatal)"/.test(line));
}

async function open(): Promise<RunningKarin> {
  const keys = 'AKIAKARIN:a-secret-of-the-right-length';
  const karin = await runKarin({ KARIN_TOKENS: `${TOKEN}:send`, KARIN_KEYS: keys, KARIN_ADMIN_PASSWORD: PASSWORD });
  const admin = { authorization: `Bearer ${PASSWORD}` };
  expect((await sqsCall(karin.url, 'CreateQueue', { QueueName: 'jobs' }, admin)).status).toBe(200);
  return karin;
}

it('a Host header that is no host is refused', async () => {
  const karin = await open();
  const port = Number(new URL(karin.url).port);
  for (const host of ['.1', '%%', 'a b', 'x:99999']) {
    const answer = await exchange(port, Buffer.from(`GET /metrics HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
    expect(answer, host).toContain('HTTP/1.1 400');
  }
});

it('a client that goes away in the middle of its request is nothing to report', async () => {
  const karin = await open();
  const head = `POST /ops/login HTTP/1.1\r\nHost: 127.0.0.1\r\n${FORM}\r\nContent-Length: 100\r\n\r\npassword=`;
  await exchange(Number(new URL(karin.url).port), Buffer.from(head));
  expect((await fetch(`${karin.url}/healthz`)).status).toBe(200);
  expect(errors(karin)).toEqual([]);
});

it(`${REQUESTS} damaged requests on the socket: none is an error of the server, and it goes on`, async () => {
  const karin = await open();
  const port = Number(new URL(karin.url).port);
  const choices = new Choices(SEED);
  const answered = new Map<string, number>();
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    const batch = Array.from({ length: AT_ONCE }, () => damage(choices, choices.oneOf(GOOD)));
    const answers = await Promise.all(batch.map((bytes) => exchange(port, bytes)));
    for (const [index, answer] of answers.entries()) {
      const shown = `seed ${SEED}: ${JSON.stringify(batch[index]?.toString('latin1'))} -> ${answer}`;
      // Closed without a word, or an answer that is no failure of the server: 501 and 505 are words of HTTP about the
      // request.
      expect(answer, shown).toMatch(/^(HTTP\/1\.1 ([1-4]\d\d|501|505) |$)/);
      const status = answer.slice(9, 12);
      answered.set(status, (answered.get(status) ?? 0) + 1);
    }
  }
  // Both kinds must be met, or the damage tests nothing.
  expect(answered.get('200') ?? 0).toBeGreaterThan(REQUESTS / 50);
  expect(answered.get('400') ?? 0).toBeGreaterThan(REQUESTS / 50);
  expect(errors(karin)).toEqual([]);
  expect((await sqsCall(`${karin.url}/k/${TOKEN}`, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'x' })).status).toBe(
    200,
  );
}, 600_000);
