/**
 * A real Chromium for tests of pages, and what it complains about.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Starts the Chromium of this machine. Errors: says how to get one. */
export async function startChromium(): Promise<Browser> {
  const path = [process.env['CHROMIUM'] ?? '', ...PLACES].find((place) => place !== '' && existsSync(place));
  if (path === undefined) {
    throw new Error('no Chromium is installed: apt-get install chromium, or set CHROMIUM to the path of one');
  }
  // Containers run as root, which the sandbox refuses.
  return chromium.launch({ executablePath: path, args: ['--no-sandbox'] });
}

/** A browser with cookies of its own. */
export interface Visitor {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the browser complained about so far: blocked by the policy, failed scripts, missing files. */
  readonly complaints: string[];
}

export async function visit(browser: Browser, options: BrowserContextOptions = {}): Promise<Visitor> {
  const context = await browser.newContext(options);
  const complaints: string[] = [];
  const page = await context.newPage();
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('response', (response) => {
    if (response.status() >= 500) complaints.push(`${response.status()} ${response.url()}`);
  });
  return { context, page, complaints };
}
