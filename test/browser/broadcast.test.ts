/**
 * The scene of `examples/broadcast`, as its README tells it: the page of a browser on a WebSocket shows hello, then
 * world.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { command } from '../deploy/support/command.ts';
import { startChromium } from './chromium.ts';

const FOLDER = 'examples/broadcast';

let example: ChildProcess;
let exited: Promise<unknown>;
let address: string;
let browser: Browser;

beforeAll(async () => {
  if (!existsSync(`${FOLDER}/node_modules`)) await command('npm', ['ci'], { cwd: FOLDER, env: {} });
  await command('npm', ['run', 'check'], { cwd: FOLDER, env: {} });
  const ports = await freePorts(['HTTP_PORT', 'WEBSOCKET_PORT', 'LAMBDA_PORT', 'KARIN_PORT', 'DYNAMODB_PORT']);
  address = `http://127.0.0.1:${ports['HTTP_PORT']}`;
  // In a process group of its own, so that what it starts ends with it.
  example = spawn('npm', ['start'], {
    cwd: FOLDER,
    detached: true,
    env: { ...process.env, ...ports, RUN_KARIN: 'npx tsx ../../runtime/cli/karin.ts' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  exited = new Promise((resolve) => example.once('close', resolve));
  await said(example, 'press Start');
  browser = await startChromium();
}, 240_000);

afterAll(async () => {
  await browser?.close();
  if (example?.pid !== undefined && example.exitCode === null) process.kill(-example.pid, 'SIGTERM');
  await exited;
});

it('shows hello, then world, though world was sent first', async () => {
  const page = await browser.newPage();
  await page.goto(address);
  await page.getByText('connected', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Start' }).click();
  await page.locator('li').nth(1).waitFor();
  expect(await page.locator('li b').allInnerTexts()).toEqual(['hello', 'world']);
  const waited = (await page.locator('li small').allInnerTexts()).map((text) => Number.parseFloat(text));
  // Never early: the delays are lower bounds. How late they are is measured elsewhere.
  expect(waited[0]).toBeGreaterThanOrEqual(5);
  expect(waited[1]).toBeGreaterThanOrEqual(10);
  await page.close();
});

/** A free port for each name: all are taken at once, so that they differ, and given back. */
async function freePorts(names: readonly string[]): Promise<Record<string, string>> {
  const listeners = names.map(() => createServer());
  await Promise.all(listeners.map((one) => new Promise<void>((resolve) => one.listen(0, '127.0.0.1', resolve))));
  // Listening on TCP ports: the address is never the name of a pipe.
  const ports = listeners.map((one) => String((one.address() as AddressInfo).port));
  await Promise.all(listeners.map((one) => new Promise((resolve) => one.close(resolve))));
  return Object.fromEntries(names.map((name, index) => [name, ports[index] ?? '']));
}

/** Resolves when the process prints `text`; rejects with all it said if it ends before. */
function said(child: ChildProcess, text: string): Promise<void> {
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (line.includes(text)) resolve();
      });
    }
    child.once('close', () =>
      reject(new Error(`the example ended before it was ready:\n${lines.slice(-40).join('\n')}`)),
    );
  });
}
