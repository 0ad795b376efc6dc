/**
 * Every page, in every theme and size: a new page is one line of `PAGES`.
 *
 * With `SCREENSHOTS=docs` (`npm run screenshots`) the pictures of the documentation are taken here; with the name of
 * another folder, a picture of every page in every theme and size, to look at.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOf } from '../sync/discoveries.ts';
import { startChromium, type Visitor, visit } from './chromium.ts';
import { unreadable, violations } from './readable.ts';
import { DEAD_LETTER, openShop, PEOPLE, passwordOf, type Shop } from './shop.ts';

interface PageCase {
  readonly name: string;
  readonly path: string;
  /** Status of the answer; default 200. */
  readonly status?: number;
  /** Nobody is logged in. */
  readonly stranger?: true;
  /** What is done on the page before it is looked at. */
  readonly open?: (page: Page) => Promise<unknown>;
  /** Variants whose pictures stand in the documentation. */
  readonly documented?: readonly VariantName[];
}

const queue = (name: string): string => `/ops/queues/${encodeURIComponent(keyOf(name))}`;
const openFirstMessage = (page: Page) => page.locator('#first-messages summary').first().click();
const openFirstPage = async (page: Page) => {
  await page
    .getByRole('link', { name: /^Open message/ })
    .first()
    .click();
  await page.getByRole('heading', { name: 'History' }).waitFor();
};
/** As a browser without script does it: the server asks its question. */
const askOnPage = (action: string) => async (page: Page) => {
  await page.locator(`form[action$="/${action}"]`).evaluate((form) => (form as unknown as Submittable).submit());
  await page.getByRole('heading', { name: 'Are you sure?' }).waitFor();
};
/** A form, whose type is one of the browser. */
interface Submittable {
  submit(): void;
}

const PAGES: readonly PageCase[] = [
  { name: 'log-in', path: '/ops/login', stranger: true, documented: ['light desktop'] },
  { name: 'log-in, locked out', path: '/ops/login', stranger: true, open: guessTooOften },
  { name: 'overview', path: '/ops', documented: ['light desktop', 'dark desktop', 'light phone'] },
  { name: 'overview, searched', path: '/ops?q=order&sort=messages' },
  { name: 'overview, nothing found', path: '/ops?q=nothing-is-called-so' },
  { name: 'overview, keys', path: '/ops', open: (page) => page.keyboard.press('?') },
  { name: 'queue', path: queue('orders'), documented: ['light desktop', 'dark desktop'] },
  { name: 'queue that fails', path: queue('invoices') },
  { name: 'queue that is held', path: queue('reports') },
  { name: 'queue in AWS', path: queue('returns') },
  { name: 'queue with a long name', path: queue('shop-prod-SubscriptionRenewalsQueue5C7D1E7A-9Q2W8E7R6T5Y') },
  { name: 'queue of a broken mapping', path: queue('exports') },
  { name: 'FIFO queue', path: `${queue('payments.fifo')}?messages=1`, open: openFirstMessage },
  { name: 'empty messages', path: `${queue('thumbnails')}?messages=1` },
  { name: 'delayed messages', path: `${queue('emails')}?messages=1` },
  {
    name: 'why it failed',
    path: `${queue('invoices-dead')}?messages=1`,
    open: openFirstMessage,
    documented: ['light desktop', 'dark desktop'],
  },
  { name: 'dead letters', path: `${queue('invoices-dead')}/dead-letters`, documented: ['light desktop'] },
  {
    name: 'dead letters of an error',
    path: `${queue('invoices-dead')}/dead-letters`,
    open: async (page) => {
      await page.locator('#errors a').first().click();
      await page.getByRole('link', { name: 'show all messages' }).waitFor();
      await page.locator('#letters summary').first().click();
    },
  },
  {
    name: 'message',
    path: `${queue('invoices-dead')}/messages/${DEAD_LETTER}`,
    documented: ['light desktop', 'dark desktop'],
  },
  { name: 'delayed message', path: `${queue('emails')}?messages=1`, open: openFirstPage },
  { name: 'message that is gone', path: `${queue('orders')}/messages/${DEAD_LETTER}`, status: 404 },
  { name: 'message, moved, asked', path: `${queue('invoices-dead')}/messages/${DEAD_LETTER}`, open: askOnPage('move') },
  { name: 'search, announced', path: '/ops/search?q=ada' },
  { name: 'search, with hits', path: '/ops/search?q=invoice&from=start' },
  { name: 'search of one queue', path: `/ops/search?queue=${encodeURIComponent(keyOf('emails'))}` },
  { name: 'search, no such id', path: '/ops/search?q=3f2504e0-4f89-41d3-9a0c-0305e82c3301' },
  { name: 'no dead letters', path: `${queue('orders-dead')}/dead-letters` },
  { name: 'scheduled', path: `${queue('emails')}/scheduled` },
  { name: 'nothing scheduled', path: `${queue('orders')}/scheduled` },
  { name: 'purge, asked', path: queue('reports'), open: askOnPage('purge') },
  { name: 'redrive, asked', path: queue('invoices-dead'), open: askOnPage('redrive') },
  { name: 'functions', path: '/functions' },
  { name: 'system', path: '/ops/system', documented: ['light desktop'] },
  { name: 'audit', path: '/ops/audit' },
  { name: 'no such queue', path: queue('nowhere'), status: 404 },
  { name: 'no such page', path: '/ops/nowhere', status: 404 },
];

const THEMES = ['light', 'dark'] as const;
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } } as const;
type Size = keyof typeof SIZES;
type VariantName = `${(typeof THEMES)[number]} ${Size}`;

let shop: Shop;
let browser: Browser;
const visitors = new Map<string, Visitor>();

beforeAll(async () => {
  [shop, browser] = await Promise.all([openShop(), startChromium()]);
  const { context, page } = await visit(browser);
  await page.goto(`${shop.karin.url}/ops/login`);
  await page.getByLabel('Name').fill(PEOPLE.administer);
  await page.getByLabel('Password').fill(passwordOf(PEOPLE.administer));
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { name: 'Queues', level: 1 }).waitFor();
  const storageState = await context.storageState();
  for (const size of ['desktop', 'phone'] as const) {
    const look = { viewport: SIZES[size], isMobile: size === 'phone' } as const;
    visitors.set(size, await visit(browser, { ...look, storageState }));
    // Whose guesses are not those of the people who work here.
    const extraHTTPHeaders = { 'x-forwarded-for': `203.0.113.${visitors.size}` };
    visitors.set(`stranger ${size}`, await visit(browser, { ...look, extraHTTPHeaders }));
  }
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await shop?.close();
});

describe.each(PAGES)('the page: $name', ({ name, path, status = 200, stranger, open, documented = [] }) => {
  it.each(['desktop', 'phone'] as const)('can be read by everybody on a %s, light and dark', async (size) => {
    const visitor = visitors.get(stranger ? `stranger ${size}` : size);
    if (visitor === undefined) throw new Error(`nobody looks on a ${size}`);
    const { page, complaints } = visitor;
    complaints.length = 0;
    const answer = await page.goto(shop.karin.url + path);
    expect(answer?.status()).toBe(status);
    await open?.(page);

    expect(await page.locator('h1').count()).toBe(1);
    expect(await page.title()).toMatch(/^.+ - Karin$/);
    expect(await unreadable(page)).toEqual({ cut: [], crushed: [] });
    // A tag of the page itself that is shown as text.
    expect(await page.locator('body').innerText()).not.toMatch(/<\/(?:a|b|code|div|p|span|strong)>/);
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme });
      expect(await violations(page), theme).toEqual([]);
      await takePicture(page, name, `${theme} ${size}`, documented.includes(`${theme} ${size}`));
    }
    // That a page says 403, 404 or 429 is told on the console, too.
    expect(complaints.filter((text) => !/^Failed to load resource: .* status of 4/.test(text))).toEqual([]);
  });
});

/** Most pixels of a picture of the documentation from its top. */
const PICTURED = 1_100;

async function takePicture(page: Page, name: string, variant: VariantName, documented: boolean): Promise<void> {
  const wanted = process.env['SCREENSHOTS'];
  if (wanted === undefined || (wanted === 'docs' && !documented)) return;
  const folder = wanted === 'docs' ? 'docs/images' : wanted;
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name} ${variant}`.replaceAll(/[^a-z]+/gi, '-').toLowerCase());
  if (wanted !== 'docs') {
    await page.screenshot({ path: `${file}.png`, fullPage: true });
    return;
  }
  // Playwright takes PNG and JPEG only; in WebP the picture of a page has a third of the bytes.
  const devtools = await page.context().newCDPSession(page);
  const { cssContentSize } = await devtools.send('Page.getLayoutMetrics');
  const { data } = await devtools.send('Page.captureScreenshot', {
    format: 'webp',
    quality: 80,
    captureBeyondViewport: true,
    clip: { ...cssContentSize, height: Math.min(cssContentSize.height, PICTURED), scale: 1 },
  });
  await writeFile(`${file}.webp`, Buffer.from(data, 'base64'));
}

/** As a stranger who used up his guesses, and guesses once more. */
async function guessTooOften(page: Page): Promise<void> {
  const form = { name: PEOPLE.administer, password: 'a guess' };
  await Promise.all(Array.from({ length: 20 }, () => page.request.post(page.url(), { form })));
  await page.getByLabel('Name').fill(form.name);
  await page.getByLabel('Password').fill(form.password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText('There were many failed attempts').waitFor();
}
