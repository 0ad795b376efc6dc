/**
 * Runs `karin` as it was installed beside this file: its version, and `karin dev` until a message that was sent to it
 * has been handled.
 */
import { deepEqual, equal } from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { version, dependencies } = JSON.parse(readFileSync('node_modules/karin-server/package.json', 'utf8'));
equal(execFileSync('npx', ['karin', '--version'], { encoding: 'utf8' }).trim(), version);
deepEqual(Object.keys(dependencies), ['esbuild']);
const installed = readdirSync('node_modules').filter((name) => !name.startsWith('.'));
deepEqual(installed.toSorted(), ['@esbuild', 'esbuild', 'karin-server']);

const karin = spawn('node_modules/.bin/karin', ['dev', '--no-watch', '--port', '0'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  timeout: 60_000,
});
let handled = false;
for await (const line of createInterface({ input: karin.stdout })) {
  process.stdout.write(`${line}\n`);
  const url = /^karin ready (.*)$/.exec(line)?.[1];
  if (url !== undefined) await send(url);
  if (line.includes('handled hello')) {
    handled = true;
    karin.kill('SIGTERM');
  }
}
equal(handled, true);

async function send(url) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' },
    body: JSON.stringify({ QueueUrl: `${url}/000000000000/Jobs`, MessageBody: 'hello' }),
  });
  equal(answer.status, 200);
}
