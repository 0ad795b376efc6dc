import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { DiscoveryError } from '../../runtime/aws/discovery/discovery.ts';
import type { RealQueues } from '../../runtime/aws/real-queues.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../runtime/time.ts';
import { type RunningKarin, sqsCall } from '../http/running-karin.ts';
import { type Envelope, FakeSns, SNS_HOST, snsHeaders } from '../support/fake-sns.ts';
import { discoveryOf, foreignOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { queueAsSqs } from '../transfer/support/queue-as-sqs.ts';
import { openSide } from '../transfer/support/side.ts';
import { unreadable } from './readable.ts';
import { PASSWORD, queuePage, send, useStage } from './stage.ts';

const stage = useStage();
const { serve, scene, open, openLoggedIn } = stage;
const complaints = (): readonly string[] => stage.visitor().complaints;

function cells(page: Page, table: string, row: string): Promise<string[]> {
  return page.locator(`#${table} tbody tr`, { hasText: row }).locator('td').allInnerTexts();
}

/** The texts of all cells of a table. */
async function rows(page: Page, table: string): Promise<string[][]> {
  const lines = await page.locator(`#${table} tbody tr`).all();
  return Promise.all(lines.map((line) => line.locator('td').allInnerTexts()));
}

/** Waits until a number of the page is this one. */
function figure(page: Page, label: string, value: string): Promise<void> {
  const card = page.locator('.card', { hasText: label });
  return stage.seen(card.locator('b', { hasText: new RegExp(`^${value}$`) }).waitFor());
}

describe('the ops page', () => {
  it('lets in the admin password alone, and out again', async () => {
    const { karin } = await scene();
    const page = await open(`${karin.url}/`);
    expect(page.url()).toBe(`${karin.url}/ops/login`);
    await page.getByLabel('Admin password').fill('a wrong password');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('alert').getByText('This is not the admin password.').waitFor();
    await page.getByLabel('Admin password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('heading', { name: 'Queues', level: 1 }).waitFor();

    const [cookie] = await stage.visitor().context.cookies();
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' });
    await page.getByRole('button', { name: 'Log out' }).click();
    await page.getByLabel('Admin password').waitFor();
    await page.goto(`${karin.url}/ops`);
    expect(page.url()).toBe(`${karin.url}/ops/login`);
  });

  it('shows queues, mappings, troubles and what happened', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    expect(await rows(page, 'queues')).toEqual([
      ['dead\n111122223333\ndead letters of orders', 'no function', '0', '0', '0', '-', '', '-'],
      [
        'mails\n111122223333',
        'on-mails\nconsume\n3 wait in SQS; karin pull brings them here',
        '0',
        '0',
        '0',
        '-',
        '',
        '-',
      ],
      ['orders\n111122223333', 'on-orders\nconsume', '0', '0', '0', '-', '', 'dead'],
    ]);
    expect(await cells(page, 'mappings', 'orders')).toEqual([
      'orders',
      'on-orders',
      'up to 10, 5 at a time, 1 filter',
      '0 of 5',
      '0',
      '0',
      '0',
      '0',
    ]);
    await page.getByText('bills is not handed to on-bills: its function is gone; delete the mapping').waitFor();
    await page.getByText('3 messages of mails wait in SQS itself; a pull brings them here').waitFor();
    expect(complaints()).toEqual([]);
  });

  it('shows what happens as it happens, without a reload', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await send(karin, 'orders', '{"a":1}', '{"a":2}');
    await page.locator('#mappings tr', { hasText: 'on-orders' }).locator('td').nth(7).getByText('2').waitFor();
    await page.getByText('1 message handled in').first().waitFor();
    await page.getByText('1 message deleted: no filter matched').waitFor();
    expect(complaints()).toEqual([]);
  });

  it('sends a test message and purges, after a question', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.locator('#queues').getByRole('link', { name: 'dead', exact: true }).click();
    await page.getByLabel('Body').fill('hello <b>world</b>');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Sent.').waitFor();
    await figure(page, 'visible', '1');
    await send(karin, 'dead', 'from elsewhere');
    await figure(page, 'visible', '2');

    page.once('dialog', (dialog) => void dialog.dismiss());
    await page.getByRole('button', { name: 'Purge' }).click();
    expect((await karin.directory.byKey(keyOf('dead'))?.depth())?.visible).toBe(2);
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Purge' }).click();
    await page.getByText('Purged.').waitFor();
    await figure(page, 'visible', '0');
    expect(complaints()).toEqual([]);
  });

  it('says what SQS says when a message cannot be sent', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.goto(queuePage(karin, 'dead'));
    await page.getByLabel('Delay, seconds').evaluate((input) => input.removeAttribute('max'));
    await page.getByLabel('Body').fill('typed with care');
    await page.getByLabel('Delay, seconds').fill('901');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Value 901 for parameter DelaySeconds is invalid.').waitFor();
    // What was typed is still there.
    expect(await page.getByLabel('Body').inputValue()).toBe('typed with care');
    expect(await page.getByLabel('Delay, seconds').inputValue()).toBe('901');
  });

  it('puts a queue on hold and lets it go on', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.goto(queuePage(karin, 'orders'));
    await page.getByRole('button', { name: 'Hold' }).click();
    await page.getByText('The queue is on hold.').waitFor();
    await send(karin, 'orders', '{"a":1}');
    await figure(page, 'visible', '1');
    await page.getByRole('button', { name: 'Go on' }).click();
    await page.getByText('The queue is consumed again.').waitFor();
    await page.getByText('1 message handled in').waitFor();
  });

  it('moves dead letters back', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.goto(queuePage(karin, 'orders'));
    await page.getByRole('button', { name: 'Hold' }).click();
    await page.getByText('The queue is on hold.').waitFor();
    const source = 'arn:aws:sqs:eu-west-1:111122223333:orders';
    await karin.directory
      .byKey(keyOf('dead'))
      ?.send([{ id: crypto.randomUUID(), body: 'x', attributes: {}, senderId: 'test', deadLetterSourceArn: source }]);
    await page.goto(queuePage(karin, 'dead'));
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Redrive' }).click();
    await page.getByText('The redrive has begun.').waitFor();
    await page.getByText('completed, 1 of 1 moved').waitFor();
    expect((await karin.directory.byKey(keyOf('orders'))?.depth())?.visible).toBe(1);
  });

  it('shows messages to look at, which are not received by it', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    const hostile = `<script>document.title='owned'</script>\u0000\u202e${'x'.repeat(20_000)}`;
    await send(karin, 'dead', hostile, '{"order":17}');
    await page.goto(queuePage(karin, 'dead'));
    expect(await page.locator('#first-messages').count()).toBe(0);
    await page.getByRole('link', { name: 'Look at the first 20' }).click();
    const first = page.locator('#first-messages tbody tr');
    const line = first.filter({ hasText: 'script' });
    await line.getByText('<script>').first().click();
    const body = await line.locator('pre').innerText();
    expect(body).toContain(`<script>document.title='owned'</script>\\u{0}\\u{202e}xxx`);
    await line.getByText('more characters are not shown').waitFor();
    await line.getByText('Message id').waitFor();
    expect(await first.filter({ hasText: '{"order":17}' }).locator('td').nth(2).innerText()).toBe('0');
    expect(await page.title()).toBe('dead - Karin');

    const queue = karin.directory.byKey(keyOf('dead'));
    expect(await queue?.depth()).toEqual({ visible: 2, delayed: 0, inFlight: 0 });
    const received = await queue?.receive({ maxMessages: 10 });
    expect(received?.map(({ receiveCount }) => receiveCount)).toEqual([1, 1]);
    await page.getByRole('link', { name: 'Look again' }).click();
    await first.getByText('in flight').first().waitFor();
    expect(complaints()).toEqual([]);
  });

  it('redrives and deletes the dead letters that are selected, after a question', async () => {
    const { karin } = await scene({ mappings: [] });
    const source = 'arn:aws:sqs:eu-west-1:111122223333:orders';
    const letter = (body: string) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' });
    await karin.directory
      .byKey(keyOf('dead'))
      ?.send(['one', 'two', 'three', 'four'].map((body) => ({ ...letter(body), deadLetterSourceArn: source })));
    const page = await openLoggedIn(karin);
    await page.goto(`${queuePage(karin, 'dead')}/dead-letters`);
    const select = (body: string) =>
      page.locator('#letters tr', { hasText: body }).getByRole('checkbox', { name: 'Select message' }).check();
    const held = async (name: string) =>
      ((await karin.directory.byKey(keyOf(name))?.browse(10)) ?? []).map(({ message }) => message?.body).sort();

    await page.getByRole('button', { name: 'Redrive selected' }).click();
    await page.getByRole('alert').getByText('No message is selected.').waitFor();
    await select('one');
    await select('three');
    await page.getByRole('button', { name: 'Redrive selected' }).click();
    await expect.poll(() => held('orders')).toEqual(['one', 'three']);
    // The list stays, so that what is selected does; whoever wants a new one looks again.
    await page.getByRole('link', { name: 'Look again' }).click();
    await page.locator('#letters tr', { hasText: 'one' }).waitFor({ state: 'detached' });
    expect(await held('dead')).toEqual(['four', 'two']);

    const press = async (answer: 'accept' | 'dismiss') => {
      const asked = page.waitForEvent('dialog').then((dialog) => dialog[answer]());
      await page.getByRole('button', { name: 'Delete selected' }).click();
      await asked;
    };
    await page.getByRole('checkbox', { name: 'Select all of this page' }).check();
    expect(await page.locator('#letters tbody input:checked').count()).toBe(2);
    await press('dismiss');
    expect(await held('dead')).toEqual(['four', 'two']);
    await press('accept');
    await page.locator('#letters').getByText('There is none.').waitFor();
    expect(await held('dead')).toEqual([]);
    // The first press was refused; a browser says so on its console.
    expect(complaints()).toEqual([expect.stringContaining('status of 400')]);
  });

  it('runs scheduled messages now and cancels others', async () => {
    const { karin } = await scene({ mappings: [] });
    const later = (body: string, delayMs: number) => ({
      id: crypto.randomUUID(),
      body,
      attributes: {},
      senderId: 'test',
      delayMs,
    });
    const queue = karin.directory.byKey(keyOf('mails'));
    await queue?.send([later('second', 7_200_000), later('first', 3_600_000), later('third', 9_000_000)]);
    const page = await openLoggedIn(karin);
    await page.goto(`${queuePage(karin, 'mails')}/scheduled`);
    expect(await page.locator('#scheduled tbody summary').allInnerTexts()).toEqual(['first', 'second', 'third']);
    const select = (body: string) =>
      page.locator('#scheduled tr', { hasText: body }).getByRole('checkbox', { name: 'Select message' }).check();
    await select('first');
    await page.getByRole('button', { name: 'Run selected now' }).click();
    await page.locator('#scheduled tr', { hasText: 'first' }).waitFor({ state: 'detached' });
    expect(await queue?.depth()).toEqual({ visible: 1, delayed: 2, inFlight: 0 });
    await select('second');
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Cancel selected' }).click();
    await page.locator('#scheduled tr', { hasText: 'second' }).waitFor({ state: 'detached' });
    expect(await queue?.depth()).toEqual({ visible: 1, delayed: 1, inFlight: 0 });
    expect(complaints()).toEqual([]);
  });

  it('syncs, and shows what it found', async () => {
    const { karin, source } = await scene();
    const page = await openLoggedIn(karin);
    source.found = discoveryOf(['mails', 'news'], { foreign: [foreignOf('orders')] });
    await page.getByRole('button', { name: 'Sync with a script' }).click();
    await page.getByText('Synced.').waitFor();
    await page.locator('#queues').getByRole('link', { name: 'news' }).waitFor();
    expect(await cells(page, 'queues', 'orders')).toContain('hold\nAWS consumes it: its mapping is not disabled');

    source.found = new DiscoveryError('AWS cannot be reached; check the network');
    await page.getByRole('button', { name: 'Sync with a script' }).click();
    await page.getByText('The sync failed: AWS cannot be reached; check the network').waitFor();
  });

  it('sends to a FIFO queue with a group and a deduplication id', async () => {
    const { karin } = await scene({ mappings: [], queues: [queueOf('steps.fifo')] });
    const page = await openLoggedIn(karin);
    await page.goto(queuePage(karin, 'steps.fifo'));
    for (const body of ['one', 'the same id again']) {
      await page.getByLabel('Body').fill(body);
      await page.getByLabel('Message group').fill('customer-1');
      await page.getByLabel('Deduplication id').fill('id-1');
      await page.getByRole('button', { name: 'Send' }).click();
      await page.getByText('Sent.').waitFor();
    }
    await figure(page, 'visible', '1');
    const [only] = (await karin.directory.byKey(keyOf('steps.fifo'))?.browse(10)) ?? [];
    expect(only?.message).toMatchObject({ body: 'one', groupId: 'customer-1', deduplicationId: 'id-1' });
  });

  it('drains a queue into SQS and pulls it back, after a question each, and tells how it went on', async () => {
    const far = await openSide({ store: new MemoryStore({ time: systemTime }), time: systemTime, name: 'far' });
    const sqs = queueAsSqs(far.queue);
    // An empty queue says so at once, so that nobody waits for a long poll to end, but as late as an answer of HTTP:
    // what goes on in this process must come to its turn.
    const realQueues: RealQueues = {
      ...sqs,
      receive: async (queue, request) => {
        await setImmediate();
        return sqs.receive(queue, { ...request, waitSeconds: 0 });
      },
    };
    const { karin } = await scene({ mappings: [] }, { realQueues });
    const page = await openLoggedIn(karin);
    await send(karin, 'mails', 'one', 'two');
    const queue = karin.directory.byKey(keyOf('mails'));
    if (queue === undefined) throw new Error('there is no queue mails');
    await karin.directory.setMode(queue, 'hold');
    await page.goto(queuePage(karin, 'mails'));
    const press = async (name: string, question: string) => {
      const asked = page.waitForEvent('dialog').then(async (dialog) => {
        await dialog.accept();
        return dialog.message();
      });
      await page.getByRole('button', { name }).click();
      expect(await asked).toBe(question);
    };
    await press('Drain to SQS', 'Move all messages of mails to SQS, and those that are sent to it from now on?');
    await page.getByText('The drain has begun: what is held here moves to SQS.').waitFor();
    await page.locator('#activity').getByText('the drain is done: 2 moved').waitFor();
    expect((await far.queue.depth()).visible).toBe(2);
    await page.reload();
    await press('Pull from SQS', 'Bring the messages of mails that wait in SQS here?');
    await page.getByText('The pull has begun: what waits in SQS comes here.').waitFor();
    await page.locator('#activity').getByText('the pull is done: 2 brought here').waitFor();
    expect((await queue.depth()).visible).toBe(2);
    expect(complaints()).toEqual([]);
    far.directory.close();
  });

  it('resumes a mapping that was paused because its function goes round in a loop', async () => {
    let goesRound = true;
    const { karin } = await scene(
      {},
      {
        invoker: {
          invoke: async ({ traceHeader = '' }) => {
            const back = { id: crypto.randomUUID(), body: 'round', attributes: {}, senderId: 'test', traceHeader };
            if (goesRound) await karin.directory.byKey(keyOf('mails'))?.send([back]);
            return { kind: 'success', response: new Uint8Array() };
          },
          probe: async () => ({ kind: 'reached' }),
          close: () => {},
        },
      },
    );
    const page = await openLoggedIn(karin);
    await send(karin, 'mails', 'round');
    const need = page.locator('#needs li', { hasText: 'mails waits, because on-mails is paused' });
    await need.waitFor();
    goesRound = false;
    await need.getByRole('button', { name: 'Resume' }).click();
    await page.getByText('The mapping is served again.').waitFor();
    await stage.seen(page.locator('#needs li', { hasText: 'is paused' }).waitFor({ state: 'detached' }));
    expect(complaints()).toEqual([]);
  });

  it('finds, narrows and sorts queues at once, and keeps that in its address', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `queue-${String(index).padStart(2, '0')}`);
    const { karin } = await scene({
      queues: [
        ...names.map((name) => queueOf(name)),
        { ...queueOf('mails'), tags: { stage: 'prod' } },
        queueOf('orders'),
      ],
    });
    await send(karin, 'queue-41', 'a', 'b');
    await send(karin, 'queue-59', 'a');
    const page = await openLoggedIn(karin);
    const links = () => page.locator('#queues tbody td:first-child a').allInnerTexts();
    await page.getByText('page 1 of 2').waitFor();
    await page.getByRole('link', { name: 'next' }).click();
    await page.waitForURL('**/ops?page=2');
    expect(await links()).toHaveLength(12);
    await page.getByLabel('Which queues').selectOption('busy');
    await page.waitForURL('**show=busy**');
    expect(await links()).toEqual(['queue-41', 'queue-59']);
    await page.getByLabel('Order').selectOption('messages');
    await page.waitForURL('**sort=messages**');
    expect(await links()).toEqual(['queue-41', 'queue-59']);
    await page.getByLabel('Search queues').fill('ON-MAILS');
    await page.getByLabel('Which queues').selectOption('all');
    await page.waitForURL('**q=ON-MAILS**');
    expect(await links()).toEqual(['mails']);
    await page.reload();
    expect(await page.getByLabel('Search queues').inputValue()).toBe('ON-MAILS');
    expect(complaints()).toEqual([]);
  });

  it('lists functions with their queues and their URLs', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await page.getByRole('link', { name: 'Functions' }).click();
    expect(await cells(page, 'functions', 'on-orders')).toEqual([
      ...['on-orders', 'orders', 'not checked', 'Keep logs for 10 minutes', 'https://orders.example/'],
    ]);
    await page.getByRole('button', { name: 'Check permissions' }).click();
    await page.getByText('Lambda was asked about each function.').waitFor();
    await page.getByRole('button', { name: 'Keep logs for 10 minutes' }).first().click();
    await page.getByText('The log of the function is kept with each failure for ten minutes.').waitFor();
    expect(complaints()).toEqual([]);
  });

  it('works without its script', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin, { javaScriptEnabled: false });
    await page.locator('#queues').getByRole('link', { name: 'dead', exact: true }).click();
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Sent.').waitFor();

    const visible = async () => (await karin.directory.byKey(keyOf('dead'))?.depth())?.visible;
    await page.getByRole('button', { name: 'Purge' }).click();
    await page.getByText('Delete every message of dead? They cannot be brought back.').waitFor();
    await page.getByRole('link', { name: 'No, go back' }).click();
    await page.getByRole('heading', { name: 'dead', level: 1 }).waitFor();
    expect(await visible()).toBe(1);
    await page.getByRole('button', { name: 'Purge' }).click();
    await page.getByRole('button', { name: 'Yes' }).click();
    await page.getByText('Purged.').waitFor();
    expect(await visible()).toBe(0);
  });

  it('says on a page what cannot be found', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    const answer = await page.goto(queuePage(karin, 'nowhere'));
    expect(answer?.status()).toBe(404);
    await page.getByRole('alert').getByText('There is no such queue; it may have been deleted.').waitFor();
    // Names that every object has are no actions and no notices.
    await page.goto(`${karin.url}/ops?done=constructor`);
    expect(await page.locator('.notice.good').count()).toBe(0);
    expect(await page.evaluate('document.compatMode')).toBe('CSS1Compat');
  });
});

describe('the ops page of a server that services of AWS deliver to', () => {
  const ORDERS = 'orders-of-the-whole-company-and-its-many-subsidiaries-in-europe';
  const LATE = 'invoices-of-every-country-with-a-name-that-does-not-end';
  const topic = (name: string) => `arn:aws:sns:eu-west-1:111122223333:${name}`;

  /** Messages from every kind of sender, subscriptions in every state, and two refusals. */
  async function fed(): Promise<RunningKarin> {
    const sns = new FakeSns();
    const source = new ScriptedSource();
    source.found = discoveryOf([], { queues: [queueOf(ORDERS), queueOf('mails')] });
    const account = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };
    const karin = await serve(account, { source, sns: sns.trust });
    const post = (to: string, body: unknown, headers: Record<string, string> = {}) =>
      fetch(`${karin.url}/in/111122223333/${to}`, { method: 'POST', body: JSON.stringify(body), headers });
    const deliver = (to: string, envelope: Envelope) => post(to, envelope, snsHeaders(envelope));

    for (const QueueUrl of ['mails', 'mails', ORDERS].map((name) => `/111122223333/${name}`)) {
      await sqsCall(karin.url, 'SendMessage', { QueueUrl, MessageBody: 'x' });
    }
    await post('mails?from=github', { action: 'opened' });
    await post('mails', { id: '1' }, { 'user-agent': 'Amazon/EventBridge/ApiDestinations' });

    const confirmation = (TopicArn: string): Envelope =>
      sns.confirmation({
        TopicArn,
        SubscribeURL: `${SNS_HOST}/?Action=ConfirmSubscription&TopicArn=${TopicArn}&Token=a-token`,
      });
    await deliver(ORDERS, confirmation(topic('all-orders')));
    for (let i = 0; i < 3; i += 1) await deliver(ORDERS, sns.notification({ TopicArn: topic('all-orders') }));
    await deliver('mails', sns.confirmation({ TopicArn: topic('old'), Type: 'UnsubscribeConfirmation' }));
    const late = confirmation(topic(LATE));
    sns.answers.set(String(late['SubscribeURL']), new Error('SNS cannot be reached'));
    await deliver('mails', late);

    await deliver('mails', { ...sns.notification(), Message: 'not what was signed' });
    await post('not-deployed-yet', {});
    return karin;
  }

  it('shows where messages come from, which subscriptions wait, and what was refused', async () => {
    const karin = await fed();
    const page = await open(`${karin.url}/ops`);
    for (const name of ['Where messages come from', 'Subscriptions to SNS topics', 'Refused deliveries']) {
      await page.getByRole('heading', { name, level: 2 }).waitFor();
    }
    const sources = await rows(page, 'sources');
    expect(sources.map(([, , messages]) => messages)).toEqual(['3', '2', '1', '1', '1']);
    expect(sources).toEqual(
      expect.arrayContaining([
        [ORDERS, `SNS ${topic('all-orders')}`, '3'],
        [ORDERS, 'the SQS API', '1'],
        ['mails', 'the SQS API', '2'],
        ['mails', 'EventBridge', '1'],
        ['mails', 'the ingest endpoint github', '1'],
      ]),
    );
    const withoutTime = (cell = ''): string => cell.replace(/ [-\d]+ [:\d]+$/, '');
    const subscriptions = await rows(page, 'subscriptions');
    expect(subscriptions.map((cells) => cells.map(withoutTime))).toEqual([
      ['mails', topic(LATE), 'waits for confirmation'],
      ['mails', topic('old'), 'has ended: messages of this topic no longer come'],
      [ORDERS, topic('all-orders'), 'confirmed'],
    ]);
    const refused = await rows(page, 'refused');
    expect(refused.map(([, ...cells]) => cells)).toEqual([
      ['not-deployed-yet', expect.stringMatching(/^503: There is no queue not-deployed-yet here, or not yet/)],
      ['mails', '403: The signature is not one of SNS for this message.'],
      ['mails', `503: The subscription to ${topic(LATE)} cannot be confirmed now: SNS cannot be reached.`],
    ]);
    expect(complaints()).toEqual([]);
  });

  it('keeps its columns readable on a desktop and on a telephone', async () => {
    const karin = await fed();
    const page = await open(`${karin.url}/ops`);
    expect(await unreadable(page)).toEqual({ cut: [], crushed: [] });
    await page.setViewportSize({ width: 360, height: 700 });
    expect(await unreadable(page)).toEqual({ cut: [], crushed: [] });
  });
});

describe('a page of another site', () => {
  it('can neither use a session nor put the page into a frame', async () => {
    const { karin } = await scene();
    const page = await openLoggedIn(karin);
    await send(karin, 'dead', 'precious');
    const evil = createServer((_request, response) => {
      const action = `${karin.url}/ops/queues/${encodeURIComponent(keyOf('dead'))}/purge`;
      response.setHeader('content-type', 'text/html');
      response.end(`<form method="post" action="${action}"></form><iframe src="${karin.url}/ops"></iframe>`);
    });
    await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve));
    // Another name for this machine is another site.
    // An AddressInfo, because it listens on a port.
    await page.goto(`http://localhost:${(evil.address() as AddressInfo).port}/`);
    await page.locator('form').evaluate((form) => (form as unknown as { submit(): void }).submit());
    await page.waitForURL(`${karin.url}/**`);
    expect((await karin.directory.byKey(keyOf('dead'))?.depth())?.visible).toBe(1);
    expect(complaints().join()).toContain('frame-ancestors');
    evil.close();
  });

  it('can do nothing on an open server either', async () => {
    const karin = await serve({ AWS_REGION: 'eu-west-1' });
    const page = await open(`${karin.url}/ops`);
    await page.getByRole('heading', { name: 'Queues', level: 1 }).waitFor();
    expect(await page.getByRole('button', { name: 'Log out' }).count()).toBe(0);
    const answer = await fetch(`${karin.url}/ops/sync`, { method: 'POST', body: new URLSearchParams() });
    expect(answer.status).toBe(403);
  });
});

describe('what others wrote', () => {
  it('is shown as text', async () => {
    const { karin, source } = await scene();
    source.found = discoveryOf(['orders'], {
      broken: [{ ...mappingOf('bills'), reason: '<img src=x onerror="document.title = `owned`">' }],
    });
    await karin.sync();
    const page = await openLoggedIn(karin);
    await page.getByText('<img src=x onerror=').waitFor();
    expect(await page.title()).toBe('Queues - Karin');
    await page.goto(`${karin.url}/ops?q=${encodeURIComponent('"><script>document.title="owned"</script>')}`);
    expect(await page.title()).toBe('Queues - Karin');
    expect(complaints()).toEqual([]);
  });
});
