import { describe, expect, it } from 'vitest';
import type { Invoker } from '../../runtime/aws/invoke.ts';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import { FILTERS } from '../../runtime/ops/overview.ts';
import { runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

function invoker(outcome: InvokeOutcome): Invoker {
  return { invoke: async () => outcome, probe: async () => ({ kind: 'reached' }), close: () => {} };
}

async function scene(outcome: InvokeOutcome) {
  const source = new ScriptedSource();
  source.found = discoveryOf(['orders', 'mails'], {
    queues: [queueOf('orders', 'dead'), queueOf('mails'), queueOf('dead')],
    broken: [{ ...mappingOf('bills'), reason: 'its function is gone; delete the mapping' }],
    waitingInSqs: { 'arn:aws:sqs:eu-west-1:111122223333:mails': 3 },
  });
  const karin = await runKarin(
    { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' },
    { source, invoker: invoker(outcome) },
  );
  const page = async (query = ''): Promise<string> => (await fetch(`${karin.url}/ops${query}`)).text();
  const send = (name: string, ...bodies: readonly string[]) =>
    karin.directory
      .byKey(keyOf(name))
      ?.send(bodies.map((body) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' })));
  return { karin, page, send };
}

/** The texts of the list at the top of the page. */
function needsIn(page: string): string[] {
  const list = /<section id="needs">(.*?)<\/section>/s.exec(page)?.[1] ?? '';
  return [...list.matchAll(/<span class="what">(.*?)<\/span>/gs)].map(([, text]) => text ?? '');
}

/** The names of the queues that the page lists. */
function queuesIn(page: string): string[] {
  const table = /<table id="queues">(.*?)<\/table>/s.exec(page)?.[1] ?? '';
  return [...table.matchAll(/<a href="[^"]*\/ops\/queues\/[^"]*">(.*?)<\/a>/gs)].map(([, name]) => name ?? '');
}

const SUCCESS: InvokeOutcome = { kind: 'success', response: new Uint8Array() };
const CRASH: InvokeOutcome = { kind: 'function-error', errorType: 'TypeError', message: 'x is not a function' };

describe('what needs somebody', () => {
  it('is said at the top: dead letters, broken mappings, what waits in SQS; the most urgent first', async () => {
    const { page, send } = await scene(SUCCESS);
    await send('dead', 'a', 'b');
    expect(needsIn(await page())).toEqual([
      'bills is not handed to on-bills: its function is gone; delete the mapping',
      expect.stringMatching(/^2 dead letters of orders in dead, the first for \d+ s$/),
      '3 messages of mails wait in SQS itself; a pull brings them here',
    ]);
  });

  it('names a function that fails with what it failed with, until a batch succeeds', async () => {
    let outcome: InvokeOutcome = CRASH;
    const source = new ScriptedSource();
    source.found = discoveryOf(['orders']);
    const karin = await runKarin(
      { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' },
      { source, invoker: { ...invoker(SUCCESS), invoke: async () => outcome } },
    );
    const page = async (): Promise<string> => (await fetch(`${karin.url}/ops`)).text();
    const queue = karin.directory.byKey(keyOf('orders'));
    const send = () => queue?.send([{ id: crypto.randomUUID(), body: 'x', attributes: {}, senderId: 'test' }]);
    const happened = (kind: string) =>
      new Promise<void>((resolve) => {
        const stop = karin.events.subscribe((event) => {
          if (event.kind !== kind) return;
          stop();
          resolve();
        });
      });
    const failed = happened('failed');
    await send();
    await failed;
    expect(needsIn(await page())).toEqual([
      'on-orders failed on orders: 1 message failed, function-error: TypeError: x is not a function',
    ]);
    outcome = SUCCESS;
    const succeeded = happened('deleted');
    await send();
    await succeeded;
    expect(needsIn(await page())).toEqual([]);
    expect(await page()).toContain('Nothing needs you.');
  });

  it('names a held queue only while something waits in it, and once', async () => {
    const { karin, page, send } = await scene(SUCCESS);
    const mails = karin.directory.byKey(keyOf('mails'));
    if (mails === undefined) throw new Error('the queue is there');
    await karin.directory.setMode(mails, 'hold');
    const aboutMails = async () => needsIn(await page()).filter((text) => text.startsWith('mails'));
    expect(await aboutMails()).toEqual([]);
    await send('mails', 'a');
    await expect.poll(aboutMails).toEqual([expect.stringContaining('mails is on hold with 1 message, the first for')]);
  });
});

describe('the list of queues', () => {
  it('is searched by queue, function and ARN, whatever the case', async () => {
    const { page } = await scene(SUCCESS);
    expect(queuesIn(await page())).toEqual(['dead', 'mails', 'orders']);
    expect(queuesIn(await page('?q=ORDER'))).toEqual(['orders']);
    expect(queuesIn(await page('?q=On-Mails'))).toEqual(['mails']);
    expect(queuesIn(await page('?q=arn:aws:sqs:eu-west-1:111122223333:d'))).toEqual(['dead']);
    expect(await page('?q=nothing-has-this')).toContain('No queue fits.');
  });

  it('shows the sums of all queues, whatever is searched for', async () => {
    const { page, send } = await scene(SUCCESS);
    await send('dead', 'a', 'b');
    const sums = (text: string) => /<b>(\d+)<\/b>visible/.exec(text)?.[1];
    expect(sums(await page())).toBe('2');
    expect(sums(await page('?q=mails'))).toBe('2');
  });

  it('is narrowed to what is not empty, failing or held, and sorted by how much waits', async () => {
    const { karin, page, send } = await scene(SUCCESS);
    const mails = karin.directory.byKey(keyOf('mails'));
    if (mails === undefined) throw new Error('the queue is there');
    await karin.directory.setMode(mails, 'hold');
    await send('mails', '1');
    await send('dead', '1', '2');
    await page();
    expect(queuesIn(await page('?show=busy'))).toEqual(['dead', 'mails']);
    expect(queuesIn(await page('?show=held'))).toEqual(['mails']);
    expect(queuesIn(await page('?show=failing'))).toEqual(['dead']);
    expect(queuesIn(await page('?sort=messages'))).toEqual(['dead', 'mails', 'orders']);
    expect(FILTERS).toHaveLength(4);
  });

  it('takes a query that it does not know as if it were not there', async () => {
    const { page } = await scene(SUCCESS);
    for (const query of ['?show=__proto__', '?sort=x&page=-1', '?page=9e9', `?q=${'%00'.repeat(50)}`]) {
      expect(await page(query)).toContain('<h1>Queues</h1>');
    }
  });
});
