/**
 * What somebody gets who claims an access key of this server, and may not have its secret: guesses are slowed, and his
 * body takes little memory before the signature is proven.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, describe, expect, it } from 'vitest';
import { createAttemptLimit } from '../../runtime/http/auth/attempt-limit.ts';
import { LARGEST_UNPROVEN_BODY } from '../../runtime/http/body.ts';
import { systemTime } from '../../runtime/time.ts';
import { open } from '../support/attacks.ts';
import { ManualTime } from '../support/manual-time.ts';
import { runKarin } from './running-karin.ts';

const KEY = 'AKIAKARIN';
const SECRET = 'a-secret-of-the-right-length';
const TOKEN = 'a-capability-of-this-suite-0123456789';
const CLOSED = { KARIN_KEYS: `${KEY}:${SECRET}`, KARIN_TOKENS: `${TOKEN}:send` };

interface Signing {
  readonly secret?: string;
  /** Whether the head tells the hash of the body, as some SDKs let it. */
  readonly tellsHash?: boolean;
  readonly action?: string;
  readonly at?: number;
}

/** The headers of a signed request. */
async function signed(url: string, body: string, signing: Signing = {}): Promise<Readonly<Record<string, string>>> {
  const { secret = SECRET, tellsHash = true, action = 'SendMessage', at = Date.now() } = signing;
  const signer = new SignatureV4({
    service: 'sqs',
    region: 'eu-west-1',
    credentials: { accessKeyId: KEY, secretAccessKey: secret },
    sha256: Sha256,
    applyChecksum: tellsHash,
  });
  const { host, hostname } = new URL(url);
  const headers = { host, 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` };
  // The signer hashes slowly; a body that the head names needs no other hash.
  const known = tellsHash ? { 'x-amz-content-sha256': createHash('sha256').update(body).digest('hex') } : {};
  const request = await signer.sign(
    { method: 'POST', protocol: 'http:', hostname, path: '/', headers: { ...headers, ...known }, body },
    { signingDate: new Date(at) },
  );
  return request.headers;
}

async function send(url: string, body: string, signing?: Signing): Promise<Response> {
  const { host: _, ...headers } = await signed(url, body, signing);
  return fetch(url, { method: 'POST', headers, body });
}

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});

/** Sends a head and a beginning of its body, of which so much is withheld. */
async function begin(url: string, body: string, withheld: number, signing: Signing) {
  const headers = await signed(url, body, signing);
  const socket = open(Number(new URL(url).port));
  sockets.push(socket);
  let received = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    received += text;
  });
  const lines = Object.entries({ ...headers, 'content-length': body.length }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`POST / HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n${body.slice(0, body.length - withheld)}`);
  return {
    socket,
    received: () => received,
    answer: async () => {
      while (!received.includes('\r\n\r\n')) await once(socket, 'data');
      return received;
    },
  };
}

const message = (size: number): string => JSON.stringify({ MessageBody: 'x'.repeat(size), QueueUrl: 'jobs' });
/** Longer than what is kept of an unproven body, and still a message of the right size: Python escapes so. */
const ESCAPED = `{"QueueUrl":"jobs","MessageBody":"${'\\u007f'.repeat(300_000)}"}`;

async function serverWithQueue(time = systemTime) {
  const karin = await runKarin(CLOSED, { time });
  const made = await send(karin.url, '{"QueueName":"jobs"}', { action: 'CreateQueue', at: time.now() });
  expect(made.status).toBe(200);
  return karin;
}

describe('a guess at the secret of an access key', () => {
  it('is refused later with each that failed from its network with this key, and a right signature never waits', async () => {
    const time = new ManualTime(Date.now());
    const karin = await runKarin(CLOSED, { time });
    const list = (secret: string) =>
      send(karin.url, '{}', { secret, action: 'ListQueues', at: time.now() }).then((answer) => answer.status);
    for (let n = 0; n < 20; n += 1) expect(await list(`a-wrong-secret-number-${n}`)).toBe(403);
    const timers = time.pending;
    let refused = 0;
    const late = list('a-wrong-secret-once-more').then((status) => {
      refused = status;
    });
    while (time.pending === timers) await new Promise((resolve) => setImmediate(resolve));
    expect(await list(SECRET)).toBe(200);
    expect(refused).toBe(0);
    await time.advanceAsync(250);
    await late;
    expect(refused).toBe(403);
  });

  it('is slowed as well where the signature covers a body whose hash the head does not tell, and at other routes', async () => {
    const time = new ManualTime(Date.now());
    const karin = await runKarin(CLOSED, { time });
    const wrong = { secret: 'a-wrong-secret-of-this-test', at: time.now() };
    for (let n = 0; n < 20; n += 1)
      expect((await send(karin.url, '{}', { ...wrong, tellsHash: false })).status).toBe(403);
    const { host: _, ...headers } = await signed(karin.url, '', wrong);
    const waits = { '/sync': 250, '/in/000000000000/jobs': 500, '/': 1_000 };
    for (const [path, ms] of Object.entries(waits)) {
      const timers = time.pending;
      const late = fetch(`${karin.url}${path}`, { method: 'POST', headers });
      while (time.pending === timers) await new Promise((resolve) => setImmediate(resolve));
      await time.advanceAsync(ms);
      expect((await late).status).toBeOneOf([403, 429]);
    }
  });

  it('is counted by network and key, and others are not slowed', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    const stays = () => new AbortController().signal;
    for (let n = 0; n < 20; n += 1) expect(limit.wrongSignature('2001:db8::1', 'ONE', stays)).toBeUndefined();
    expect(limit.wrongSignature('2001:db8::2', 'ONE', stays)).toBeInstanceOf(Promise);
    expect(limit.wrongSignature('2001:db8::1', 'OTHER', stays)).toBeUndefined();
    expect(limit.wrongSignature('192.0.2.1', 'ONE', stays)).toBeUndefined();
    expect(limit.wait('2001:db8::1', stays)).toBeUndefined();
  });

  it('waits eight seconds at most, and no longer than its client', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    const clients = Array.from({ length: 60 }, () => new AbortController());
    for (const client of clients) void limit.wrongSignature('192.0.2.1', 'ONE', () => client.signal);
    expect(time.pending).toBe(40);
    for (const client of clients) client.abort();
    expect(time.pending).toBe(0);
    let over = false;
    void limit
      .wrongSignature('192.0.2.1', 'ONE', () => new AbortController().signal)
      ?.then(() => {
        over = true;
      });
    await time.advanceAsync(7_999);
    expect(over).toBe(false);
    await time.advanceAsync(1);
    expect(over).toBe(true);
  });

  it('is forgotten when ten thousand networks made others since', () => {
    const limit = createAttemptLimit(new ManualTime());
    const stays = () => new AbortController().signal;
    for (let n = 0; n < 20; n += 1) limit.wrongSignature('192.0.2.1', 'ONE', stays);
    for (let n = 0; n < 10_000; n += 1) limit.wrongSignature(`10.0.${n >> 8}.${n & 255}`, 'ONE', stays);
    expect(limit.wrongSignature('192.0.2.1', 'ONE', stays)).toBeUndefined();
  });
});

describe('a body whose head claims a key', () => {
  it('is not awaited where the head tells its hash and the signature is wrong', async () => {
    const { url } = await serverWithQueue();
    const headers = await signed(url, message(100_000), { secret: 'a-wrong-secret-of-this-test' });
    const socket = open(Number(new URL(url).port));
    sockets.push(socket);
    const lines = Object.entries(headers)
      .filter(([name]) => name !== 'content-type')
      .map(([name, value]) => `${name}: ${value}`);
    // Without a type that could hold a QueueUrl, and so a capability.
    socket.write(`POST / HTTP/1.1\r\n${lines.join('\r\n')}\r\nContent-Length: 100000\r\n\r\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toContain('HTTP/1.1 403');
  });

  it('must be the one that the head tells, also where none comes', async () => {
    const { url } = await serverWithQueue();
    const body = message(10);
    const { host: _, ...headers } = await signed(url, body);
    for (const other of [`${body} `, message(50_000), '']) {
      const answer = await fetch(url, { method: 'POST', headers, body: other });
      expect([answer.status, await answer.text()]).toEqual([
        403,
        expect.stringContaining('signature we calculated does not match'),
      ]);
    }
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(200);
  });

  it('may be six times as large as its message, where the head tells its hash', async () => {
    const { url } = await serverWithQueue();
    expect((await send(url, ESCAPED)).status).toBe(200);
  });

  it('is hashed and not kept where it is long, its hash is not told and nothing was signed from its network', async () => {
    const { url } = await runKarin({ ...CLOSED });
    expect(ESCAPED.length).toBeGreaterThan(LARGEST_UNPROVEN_BODY);
    const first = await send(url, ESCAPED, { tellsHash: false });
    expect([first.status, await first.text()]).toEqual([503, expect.stringContaining('Send it again')]);
    // Now it is known, so the body is read; only the queue is missing.
    const second = await send(url, ESCAPED, { tellsHash: false });
    expect([second.status, await second.text()]).toEqual([400, expect.stringContaining('QueueDoesNotExist')]);
    const guess = await send(url, ESCAPED, { tellsHash: false, secret: 'a-wrong-secret-of-this-test' });
    expect([guess.status, await guess.text()]).toEqual([
      403,
      expect.stringContaining('signature we calculated does not match'),
    ]);
  });

  it('lets a capability in its QueueUrl win, whether the signature holds or not', async () => {
    const { url } = await serverWithQueue();
    const body = JSON.stringify({ QueueUrl: `${url}/k/${TOKEN}/000000000000/jobs`, QueueName: 'other' });
    for (const secret of [SECRET, 'a-wrong-secret-of-this-test']) {
      const answer = await send(url, body, { action: 'CreateQueue', secret });
      // The key may, the token may not.
      expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('AccessDenied')]);
    }
  });

  it('makes room for others that claim a key, while those of callers are kept', async () => {
    const { url } = await runKarin({ ...CLOSED });
    const wrong = { secret: 'a-wrong-secret-of-this-test', tellsHash: false };
    const held = await Promise.all([1, 2, 3, 4, 5].map(() => begin(url, message(1_000_000), 1, wrong)));
    await Promise.race(held.map(({ answer }) => answer()));
    expect(held.map(({ received }) => received()).join('')).toContain('HTTP/1.1 503');
    expect((await send(url, message(1_000_000))).status).toBe(400);
  });
});
