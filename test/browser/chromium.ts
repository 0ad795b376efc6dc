/**
 * A real Chromium for tests of pages.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

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
