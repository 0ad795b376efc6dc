import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { keyOf, queueOf } from '../sync/discoveries.ts';
import { queuePage, send, useStage } from './stage.ts';

const stage = useStage();
const { scene, openLoggedIn } = stage;

/** What a person holds while the page changes: focus, selection, caret, and where the focused element stands. */
const HELD = `(() => {
  const focused = document.activeElement;
  return {
    focus: focused.name || focused.textContent,
    caret: focused.selectionStart,
    typed: focused.value,
    selection: String(getSelection()),
    opened: document.querySelectorAll('details[open]').length,
    place: Math.round(focused.getBoundingClientRect().top),
  };
})()`;

const heldThings = z.looseObject({ place: z.number() });
const readHeld = (held: unknown) => heldThings.parse(held);

const nameOfRow = (page: Page, row: number) => page.locator('#queues tbody tr').nth(row).locator('a').innerText();

describe('a page that is kept fresh', () => {
  it('lets a row that changes places keep its focus and its selection', async () => {
    const { karin } = await scene({ mappings: [], queues: ['calls', 'mails', 'news'].map((name) => queueOf(name)) });
    await send(karin, 'calls', 'one');
    const page = await openLoggedIn(karin);
    await page.goto(`${karin.url}/ops?sort=messages`);
    expect(await nameOfRow(page, 0)).toBe('calls');
    const link = page.locator('#queues').getByRole('link', { name: 'mails' });
    await link.focus();
    await link.evaluate(selectAll);
    await send(karin, 'news', 'one', 'two', 'three');
    await stage.seen(page.locator('#queues tbody tr:first-child').getByText('news').waitFor());
    expect(await page.evaluate(HELD)).toMatchObject({ focus: 'mails', selection: 'mails' });
    // The focused row itself moves; a selection would be lost with an older browser.
    await send(karin, 'mails', ...'abcdefg');
    await stage.seen(page.locator('#queues tbody tr:first-child').getByText('mails').waitFor());
    expect(await page.evaluate(HELD)).toMatchObject({ focus: 'mails' });
    expect(stage.visitor().complaints).toEqual([]);
  });

  it('keeps what is typed, the caret, opened details and the place on the screen', async () => {
    const { karin } = await scene();
    const queue = karin.directory.byKey(keyOf('orders'));
    if (queue === undefined) throw new Error('there is no queue orders');
    await karin.directory.setMode(queue, 'hold');
    await send(karin, 'orders', '{"a":1}', '{"a":1,"b":2}');
    const page = await openLoggedIn(karin);
    await page.setViewportSize({ width: 900, height: 500 });
    await page.goto(`${queuePage(karin, 'orders')}?messages=1`);
    await page.locator('#first-messages summary').first().click();
    await page.getByLabel('Body').fill('typed with care');
    await page.getByLabel('Body').evaluate(putCaret);
    const before = readHeld(await page.evaluate(HELD));
    expect(before).toMatchObject({ focus: 'body', caret: 5, typed: 'typed with care', opened: 1 });
    // The need above the form goes away, and activity comes below it.
    await karin.directory.setMode(queue, 'consume');
    await page.locator('#activity').getByText('2 messages handled in').waitFor();
    await stage.seen(page.locator('#now .needs').waitFor({ state: 'detached' }));
    const { place, ...after } = readHeld(await page.evaluate(HELD));
    const { place: placeBefore, ...held } = before;
    expect(after).toEqual(held);
    // A browser scrolls by whole pixels, and what went away need not have been as high as a number of them.
    expect(Math.abs(place - placeBefore)).toBeLessThanOrEqual(1);
    expect(stage.visitor().complaints).toEqual([]);
  });

  it('keeps a selection in what happened while more happens', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await send(karin, 'mails', 'one');
    const first = page.locator('#activity td.what').getByText('1 message handled in');
    await first.waitFor();
    await first.evaluate(selectAll);
    const { selection } = (await page.evaluate(HELD)) as { readonly selection: string };
    await send(karin, 'mails', 'two', 'three');
    await page.locator('#activity').getByText('2 messages handled in').waitFor();
    expect(await page.evaluate(HELD)).toMatchObject({ selection });
    expect(selection).toContain('1 message handled in');
  });

  it('leads to the log-in when its session has ended elsewhere', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    const other = await stage.visitor().context.newPage();
    await other.goto(`${karin.url}/ops`);
    await other.getByRole('button', { name: 'Log out' }).click();
    await stage.seen(page.getByLabel('Admin password').waitFor());
  });

  it('is read again where the stream does not come through, and says when the server does not answer', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.clock.install();
    let answers = true;
    await page.route('**/ops', (route) => {
      if (!answers) return route.abort();
      const isStream = route.request().headers()['accept'] === 'text/event-stream';
      return isStream ? route.fulfill({ status: 503 }) : route.continue();
    });
    await page.reload();
    await send(karin, 'mails', 'one');
    await page.clock.fastForward(16_000);
    await page.locator('#activity').getByText('1 message handled in').waitFor();
    answers = false;
    await page.clock.fastForward(16_000);
    await page.getByText('The server does not answer; what is shown may be old.').waitFor();
    answers = true;
    await page.clock.fastForward(16_000);
    await page.locator('#status:empty').waitFor({ state: 'attached' });
  });
});

describe('the keyboard', () => {
  it('searches, goes to every page, and lists its keys', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.keyboard.press('/');
    await page.keyboard.type('g?q/');
    expect(await page.getByLabel('Search queues').inputValue()).toBe('g?q/');
    expect(page.url()).toBe(`${karin.url}/ops`);
    await page.keyboard.press('Escape');
    await page.getByLabel('Search queues').blur();
    for (const [key, path] of [
      ['f', '/functions'],
      ['s', '/ops/system'],
      ['q', '/ops'],
    ] as const) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await page.waitForURL(karin.url + path);
    }
    await page.keyboard.press('?');
    const keys = page.getByRole('dialog', { name: 'Keys' });
    await keys.waitFor();
    await page.keyboard.press('Escape');
    await keys.waitFor({ state: 'hidden' });
    await page.keyboard.press('Control+/');
    expect(await page.evaluate(HELD)).not.toMatchObject({ focus: 'q' });
  });

  it('leads from every other page to the search', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.goto(`${karin.url}/functions`);
    await page.keyboard.press('/');
    await page.waitForURL(`${karin.url}/ops#search`);
    await page.locator('#search:focus').waitFor();
  });

  it('reaches everything that can be pressed on the overview, in the order of the page, and sees where it is', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    const pressable = await page.locator('a, button, input:not([type=hidden]), select').count();
    const dialog = await page.locator('dialog :is(a, button)').count();
    const seen = new Set<string>();
    for (let at = 0; at < pressable - dialog; at += 1) {
      await page.keyboard.press('Tab');
      seen.add(await page.evaluate<string>(FOCUSED));
    }
    expect(seen.size).toBe(pressable - dialog);
    expect([...seen].filter((text) => text.endsWith('none'))).toEqual([]);
  });
});

/** Which element has the focus, by its place in the document, and how it shows that. */
const FOCUSED = `[...document.querySelectorAll('*')].indexOf(document.activeElement) + ' ' +
  document.activeElement.tagName + ' ' + getComputedStyle(document.activeElement).outlineStyle`;

/*
 * What runs in the browser. Its types are not those of this process, so each function says what it uses.
 */

function selectAll(element: unknown): void {
  const { getSelection } = globalThis as unknown as { getSelection(): { selectAllChildren(of: unknown): void } };
  getSelection().selectAllChildren(element);
}

function putCaret(element: unknown): void {
  (element as { setSelectionRange(from: number, to: number): void }).setSelectionRange(5, 5);
}
