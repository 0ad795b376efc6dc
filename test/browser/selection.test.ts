import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { keyOf, queueOf } from '../sync/discoveries.ts';
import { PASSWORD, queuePage, send, useStage } from './stage.ts';

const stage = useStage();

const QUEUES = { queues: [queueOf('orders', 'dead'), queueOf('mails'), queueOf('dead'), queueOf('again')] };

/** A server with dead letters, and the page of them. */
async function deadLetters(...bodies: readonly string[]) {
  const { karin } = await stage.scene({ ...QUEUES, mappings: [] });
  await send(karin, 'dead', ...bodies);
  const page = await stage.openLoggedIn(karin);
  await page.goto(`${queuePage(karin, 'dead')}/dead-letters`);
  const held = async (name: string) =>
    ((await karin.directory.byKey(keyOf(name))?.browse(100)) ?? []).map(({ message }) => message?.body).sort();
  return { karin, page, held };
}

const boxOf = (page: Page, body: string) =>
  page.locator('#letters tr', { hasText: body }).getByRole('checkbox', { name: 'Select message' });

describe('dead letters', () => {
  it('are selected and redriven to another queue, and the page tells by itself when that is done', async () => {
    const { page, held } = await deadLetters('one', 'two', 'three');
    await boxOf(page, 'one').check();
    await boxOf(page, 'three').check();
    await page.getByLabel('Redrive to').fill('again');
    await page.getByRole('button', { name: 'Redrive selected' }).click();
    await page.getByText('The redrive has begun.').waitFor();
    await stage.seen(page.getByText('to again: completed, 2 of 2 moved').waitFor());
    expect(await held('again')).toEqual(['one', 'three']);
    expect(await held('dead')).toEqual(['two']);
    expect(stage.visitor().complaints).toEqual([]);
  });

  it('are all selected by one box, and a selection survives what the page brings by itself', async () => {
    const { karin, page, held } = await deadLetters('one', 'two', 'three');
    await page.getByLabel('Select all of this page').check();
    await boxOf(page, 'two').uncheck();
    // A redrive of another person is shown while the boxes stay as they are.
    const dead = karin.directory.byKey(keyOf('dead'));
    await fetch(`${karin.url}/api/v1/queues/dead/redrive`, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${PASSWORD}` } },
      body: JSON.stringify({ to: 'mails', messages: [crypto.randomUUID()] }),
    });
    await stage.seen(page.getByText('0 of 1 moved, 1 left: gone or in flight').waitFor());
    expect(await boxOf(page, 'one').isChecked()).toBe(true);
    expect(await boxOf(page, 'two').isChecked()).toBe(false);
    page.once('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Delete selected' }).click();
    await page.getByText('2 deleted.').waitFor();
    expect(await held('dead')).toEqual(['two']);
    expect((await dead?.depth())?.visible).toBe(1);
  });

  it('stay where they are if the question is answered with no', async () => {
    const { page, held } = await deadLetters('one');
    await boxOf(page, 'one').check();
    const asked = new Promise<string>((resolve) => {
      page.once('dialog', async (dialog) => {
        await dialog.dismiss();
        resolve(dialog.message());
      });
    });
    await page.getByRole('button', { name: 'Delete selected' }).click();
    expect(await asked).toBe('Delete the selected messages? They cannot be brought back.');
    expect(await held('dead')).toEqual(['one']);
  });

  it('move as slowly as was asked for, until somebody cancels', async () => {
    const { page, held } = await deadLetters(...Array.from({ length: 9 }, (_, at) => `message ${at}`));
    await page.getByLabel('Redrive to').fill('again');
    await page.getByLabel('Messages a second').fill('1');
    page.once('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Redrive all' }).click();
    await page.getByRole('progressbar', { name: 'Messages moved' }).waitFor();
    await page.getByRole('button', { name: 'Cancel the redrive' }).click();
    await page.getByText('The redrive is cancelled; what was moved stays moved.').waitFor();
    await stage.seen(page.getByText(/, 1 a second: cancelled, \d of 9 moved/).waitFor());
    expect([...(await held('dead')), ...(await held('again'))]).toHaveLength(9);
    expect((await held('dead')).length).toBeGreaterThan(0);
  });

  it('are selected and deleted without a script, after a question of the server', async () => {
    const { karin } = await stage.scene({ ...QUEUES, mappings: [] });
    await send(karin, 'dead', 'one', 'two');
    const page = await stage.openLoggedIn(karin, { javaScriptEnabled: false });
    await page.goto(`${queuePage(karin, 'dead')}/dead-letters`);
    expect(await page.getByLabel('Select all of this page').isVisible()).toBe(false);
    await boxOf(page, 'one').check();
    await page.getByRole('button', { name: 'Delete selected' }).click();
    await page.getByText('Delete 1 message? They cannot be brought back.').waitFor();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText('1 deleted.').waitFor();
    expect(await page.locator('#letters tbody tr').count()).toBe(1);
  });
});

describe('scheduled messages', () => {
  it('are reached from the overview, run now and cancelled', async () => {
    const { karin } = await stage.scene();
    const mails = karin.directory.byKey(keyOf('mails'));
    await mails?.send(
      ['soon', 'late', 'later'].map((body, at) => ({
        ...{ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' },
        delayMs: 3_600_000 * (at + 1),
      })),
    );
    const page = await stage.openLoggedIn(karin);
    await page.locator('#queues tr', { hasText: 'mails' }).getByRole('link', { name: '3' }).click();
    const box = (body: string) => page.locator('#scheduled tr', { hasText: body }).getByRole('checkbox');
    const texts = () => page.locator('#scheduled summary code').allInnerTexts();
    expect(await texts()).toEqual(['soon', 'late', 'later']);
    // The function of the queue takes it at once.
    const handled = new Promise<void>((resolve) => {
      karin.events.subscribe((event) => event.kind === 'deleted' && resolve());
    });
    await box('soon').check();
    await page.getByRole('button', { name: 'Run selected now' }).click();
    await page.getByText('1 due now.').waitFor();
    await handled;
    expect(await texts()).toEqual(['late', 'later']);
    await box('later').last().check();
    page.once('dialog', (dialog) => dialog.accept());
    await page.getByRole('button', { name: 'Cancel selected' }).click();
    await page.getByText('1 cancelled.').waitFor();
    expect(await texts()).toEqual(['late']);
    expect(stage.visitor().complaints).toEqual([]);
  });
});
