import { readFile } from 'node:fs/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import type { RunningKarin } from '../http/running-karin.ts';
import { keyOf } from '../sync/discoveries.ts';
import { queuePage, useStage } from './stage.ts';

const { scene, openLoggedIn, visitor } = useStage();

function queueOf(karin: RunningKarin, name: string): Queue {
  const queue = karin.directory.byKey(keyOf(name));
  if (queue === undefined) throw new Error(`there is no queue ${name}`);
  return queue;
}

/** Sends one message and opens its page from the list of its queue. */
async function openMessage(karin: RunningKarin, page: Page, name: string, body: string, delayMs = 0): Promise<string> {
  const id = crypto.randomUUID();
  await queueOf(karin, name).send([{ id, body, attributes: {}, senderId: 'test', delayMs }]);
  await page.goto(`${queuePage(karin, name)}?messages=1`);
  await page.getByRole('link', { name: `Open message ${id}` }).click();
  await page.getByRole('heading', { name: `Message ${id}` }).waitFor();
  return id;
}

describe('the page of a message', () => {
  it('shows, downloads and copies a body as it was sent', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await visitor().context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: karin.url });
    const body = '{"text": "with\u202e a mark", "number": 12345678901234567890}';
    const id = await openMessage(karin, page, 'dead', body);
    expect(await page.locator('#formatted').innerText()).toContain('\n  "number": 12345678901234567890\n');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe(`${id}.json`);
    expect(await readFile(await download.path(), 'utf8')).toBe(body);
    await page.getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    expect(await page.evaluate('navigator.clipboard.readText()')).toBe(body);
    expect(visitor().complaints).toEqual([]);
  });

  it('runs a delayed message now, moves one and deletes one after a question', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await openMessage(karin, page, 'dead', 'late', 900_000);
    await page.getByRole('button', { name: 'Run now' }).click();
    await page.getByText('The message is due now.').waitFor();
    await page.getByText('It may be received now.').waitFor();

    page.on('dialog', (dialog) => dialog.accept());
    await queueOf(karin, 'dead').purge();
    await openMessage(karin, page, 'dead', 'to be moved');
    await karin.directory.setMode(queueOf(karin, 'mails'), 'hold');
    await page
      .getByRole('textbox', { name: 'To the queue' })
      .or(page.locator('input[list=targets]'))
      .last()
      .fill('mails');
    await page.getByRole('button', { name: 'Move' }).click();
    await page.getByText('The message was moved.').waitFor();
    expect(await page.locator('#raw').innerText()).toBe('to be moved');
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('The message was deleted.').waitFor();
    expect(await queueOf(karin, 'mails').depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(visitor().complaints).toEqual([]);
  });

  it('sends a message again with another body, and works without its script', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin, { javaScriptEnabled: false });
    await openMessage(karin, page, 'dead', 'first line\nsecond line');
    expect(await page.getByRole('button', { name: 'Copy' }).count()).toBe(0);
    await page.getByLabel('Body').fill('first line\nanother line');
    await page.getByLabel('Delete this message then').check();
    await page.locator('form[action$="/again"]').getByRole('button', { name: 'Send' }).click();
    await page.getByText('Sent.').waitFor();
    expect(await page.locator('#raw').innerText()).toBe('first line\nanother line');
    expect(await queueOf(karin, 'dead').depth()).toMatchObject({ visible: 1 });
    await page.getByRole('button', { name: 'Delete', exact: true }).click();
    await page.getByText('Delete this message? It cannot be brought back.').waitFor();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText('The message was deleted.').waitFor();
    expect(await queueOf(karin, 'dead').depth()).toMatchObject({ visible: 0 });
  });
});

describe('the search for messages', () => {
  it('finds one by its id from the search box, and by a text after it said what it reads', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    const id = await openMessage(karin, page, 'dead', 'a needle in here');
    await page.goto(`${karin.url}/ops`);
    await page.getByRole('searchbox').fill(id);
    await page.getByRole('searchbox').press('Enter');
    await page.getByRole('heading', { name: `Message ${id}` }).waitFor();

    await page.goto(`${karin.url}/ops?q=NEEDLE`);
    await page.getByRole('link', { name: 'Look for it in messages' }).click();
    await page.getByText('a step reads up to').waitFor();
    await page.getByRole('button', { name: 'Read and search' }).click();
    await page.getByText('1 hit in 1 message,').waitFor();
    await page.locator('#hits').getByRole('link', { name: id }).click();
    await page.getByRole('heading', { name: `Message ${id}` }).waitFor();
    expect(visitor().complaints).toEqual([]);
  });
});
