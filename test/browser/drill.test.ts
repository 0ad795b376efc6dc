/**
 * The debugging drill in a browser: from the alert to the redrive with at most ten clicks. `test/ops/drill.test.ts`
 * walks it without a script, and by commands.
 */
import type { Locator, Page } from 'playwright-core';
import { expect, it } from 'vitest';
import { expectShipped, openDrill } from '../ops/drill-world.ts';
import { useStage } from './stage.ts';

/** Most clicks from the alert to the end. */
const MOST_CLICKS = 10;

const stage = useStage();

it('is walked by the page with at most ten clicks, from the alert to the redrive', async () => {
  const { karin, lambda, told } = await openDrill({
    serve: async (found, invoker, env) => (await stage.scene(found, { invoker }, env)).karin,
    seen: stage.seen,
  });
  expect(told.text).toMatch(/^\d dead letters? of orders in dead, the first for/);
  const page: Page = await stage.openLoggedIn(karin);
  let clicks = 0;
  const click = async (what: Locator): Promise<void> => {
    clicks += 1;
    await what.click();
  };

  // The link of the alert: it shows the error, how often it came, and the messages.
  clicks += 1;
  await page.goto(told.link);
  const [error, messages] = await page.locator('#errors tbody tr').first().locator('td').allInnerTexts();
  expect(error).toContain("TypeError\norder <n>: Cannot read properties of undefined (reading 'street')");
  expect(messages).toBe('3');

  // The order that can be mended: what is in it, and where the function failed.
  const letter = page.locator('#letters tr', { hasText: '{"order":17}' });
  await click(letter.locator('summary'));
  expect(await letter.locator('.failure pre').innerText()).toContain('at ship (/var/task/ship.js:12:31)');
  await click(letter.getByRole('link', { name: 'Open message' }));
  await page.getByLabel('Body').fill('{"order":17,"address":{"street":"Elm Street"}}');
  await click(page.getByRole('button', { name: 'Send', exact: true }));
  await page.getByRole('alert').or(page.getByRole('status')).first().waitFor();

  // The others, once the function is mended.
  lambda.isMended = true;
  clicks += 1;
  await page.goto(told.link);
  page.once('dialog', (dialog) => {
    clicks += 1;
    return dialog.accept();
  });
  await click(page.getByRole('button', { name: 'Redrive all' }));
  await stage.seen(page.getByText(/completed, 2 of 2 moved/).waitFor());
  await expectShipped(karin, lambda);
  expect(clicks).toBeLessThanOrEqual(MOST_CLICKS);
  expect(clicks).toBe(7);
});
