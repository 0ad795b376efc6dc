import { describe, expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { browser } from './page-visitor.ts';

const OPERATORS = 'bob:operate:bob-has-a-password; eve:look:eve-has-a-password';
const DEAD = `/ops/queues/${encodeURIComponent(keyOf('dead'))}`;
const ORDERS = `/ops/queues/${encodeURIComponent(keyOf('orders'))}`;
const HOSTILE = '"><x-hostile onclick="x">';

async function scene() {
  const source = new ScriptedSource();
  source.found = discoveryOf([], { queues: [queueOf('orders', 'dead'), queueOf('dead'), queueOf('orders-again')] });
  const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS };
  const karin = await runKarin(env, { source });
  const bob = browser(karin.url);
  await bob.logIn('bob');
  const queue = (name: string): Queue => {
    const found = karin.directory.byKey(keyOf(name));
    if (found === undefined) throw new Error(`there is no queue ${name}`);
    return found;
  };
  return { karin, bob, dead: queue('dead'), orders: queue('orders'), again: queue('orders-again') };
}

async function send(queue: Queue, bodies: readonly string[], delayMs?: number): Promise<readonly string[]> {
  const messages = bodies.map((body) => ({
    ...{ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' },
    ...(delayMs === undefined ? {} : { delayMs }),
  }));
  await queue.send(messages);
  return messages.map(({ id }) => id);
}

/** Sends messages whose last deliveries failed with these messages. */
async function failed(queue: Queue, ...messages: readonly string[]): Promise<readonly string[]> {
  const ids = await send(queue, messages);
  for (const { id, body } of await queue.receive({ maxMessages: ids.length, visibilityTimeoutMs: 0 })) {
    const functionArn = `arn:aws:lambda:eu-west-1:111122223333:function:${HOSTILE}`;
    const failure = { errorType: 'TypeError', message: body, functionArn, durationMs: 3, attempt: 1 };
    await queue.keepFailures(new Map([[id, failure]]));
  }
  return ids;
}

const bodies = async (queue: Queue): Promise<readonly string[]> =>
  (await queue.browse(100)).map(({ message }) => message?.body ?? '').sort();

/** Until a redrive is over, as its page says. */
const over = (page: () => Promise<string>) => expect.poll(page, { timeout: 10_000 }).toMatch(/: (?:completed|failed),/);

function audited(karin: RunningKarin, what: string): readonly Readonly<Record<string, unknown>>[] {
  const lines = karin.logged.map((line): Record<string, unknown> => JSON.parse(line));
  return lines.filter((line) => line['msg'] === 'audit' && line['what'] === what);
}

describe('the page of dead letters', () => {
  it('groups them by error, shows those of one error, and announces what it looked at', async () => {
    const { bob, dead } = await scene();
    expect(await bob.page(`${DEAD}/dead-letters`)).toContain('There is no message.');
    await failed(dead, 'order 1 has no lines', 'order 2 has no lines', 'no answer');
    await send(dead, ['sent directly']);
    const all = await bob.page(`${DEAD}/dead-letters`);
    expect(all).toContain('order &lt;n&gt; has no lines');
    expect(all).toContain('4 messages were looked at: all there are.');
    expect(all.match(/type="checkbox" form="selection"/g)).toHaveLength(4);
    const [, error = ''] = /dead-letters\?error=([0-9a-f]{10})/.exec(all) ?? [];
    const some = await bob.page(`${DEAD}/dead-letters?error=${error}`);
    expect(some.match(/type="checkbox" form="selection"/g)).toHaveLength(2);
    expect(some).toContain('Redrive all 2 of this error');
  });

  it('shows texts of functions as texts', async () => {
    const { bob, dead } = await scene();
    await failed(dead, `failed ${HOSTILE}`);
    const page = await bob.page(`${DEAD}/dead-letters?error=${encodeURIComponent(HOSTILE)}&page=${HOSTILE}`);
    expect(page).toContain('&lt;x-hostile');
    expect(page).not.toContain('<x-hostile');
  });

  it('redrives what was selected to another queue at a speed, and says how far it is', async () => {
    const { karin, bob, dead, again } = await scene();
    const [one = '', two = ''] = await failed(dead, 'one', 'two', 'three');
    const selected = { which: 'selected', [`message.${one}`]: 'selected', [`message.${two}`]: 'selected' };
    const answer = await bob.press(`${DEAD}/redrive`, {
      ...selected,
      to: 'orders-again',
      speed: '500',
      back: 'dead-letters',
    });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, `${DEAD}/dead-letters`]);
    expect(await bob.page(`${DEAD}/dead-letters`)).toContain('The redrive has begun.');
    await over(() => bob.page(`${DEAD}/dead-letters`));
    expect(await bob.page(`${DEAD}/dead-letters`)).toMatch(/to orders-again, 500 a second: completed, 2 of 2 moved/);
    expect(await bodies(again)).toEqual(['one', 'two']);
    expect(await bodies(dead)).toEqual(['three']);
    expect(audited(karin, 'redrive')).toMatchObject([
      { who: 'bob', queue: keyOf('dead'), to: 'orders-again', speed: 500, messages: 2, firstMessage: one },
    ]);
  });

  it('asks before it moves or deletes all, with what was chosen, and does nothing without a yes', async () => {
    const { bob, dead, again } = await scene();
    await failed(dead, 'order 1', 'order 2');
    const [, error = ''] = /dead-letters\?error=([0-9a-f]{10})/.exec(await bob.page(`${DEAD}/dead-letters`)) ?? [];
    const asked = await bob.press(`${DEAD}/redrive`, { which: 'all', to: 'orders-again', confirmed: '' });
    expect(await asked.text()).toMatch(/Move all messages of dead to orders-again\?.*name="to" value="orders-again"/s);
    const question = await bob.press(`${DEAD}/delete`, { which: 'error', error, back: 'dead-letters', confirmed: '' });
    const text = await question.text();
    expect(text).toContain('Delete all messages of this error? They cannot be brought back.');
    expect(text).toContain(`name="error" value="${error}"`);
    expect(await bodies(dead)).toHaveLength(2);
    await bob.press(`${DEAD}/delete`, { which: 'error', error, back: 'dead-letters' });
    expect(await bob.page(`${DEAD}/dead-letters`)).toContain('2 deleted.');
    expect(await bodies(dead)).toEqual([]);
    expect(await bodies(again)).toEqual([]);
  });

  it('cancels a redrive that runs', async () => {
    const { bob, dead } = await scene();
    await send(
      dead,
      Array.from({ length: 60 }, (_, at) => String(at)),
    );
    await bob.press(`${DEAD}/redrive`, { which: 'all', to: 'orders-again', speed: '1', back: 'dead-letters' });
    expect(await bob.page(`${DEAD}/dead-letters`)).toContain('Cancel the redrive');
    const again = await bob.press(`${DEAD}/redrive`, { which: 'all', back: 'dead-letters' });
    expect([again.status, await again.text()]).toEqual([400, expect.stringContaining('already a task running')]);
    await bob.press(`${DEAD}/cancel-redrive`, { back: 'dead-letters' });
    expect(await bob.page(`${DEAD}/dead-letters`)).toContain('The redrive is cancelled; what was moved stays moved.');
    expect((await bodies(dead)).length).toBeGreaterThan(0);
  });

  it('says what is wrong with a form, and does nothing then', async () => {
    const { karin, bob, dead } = await scene();
    const [id = ''] = await failed(dead, 'stays');
    const refused = async (form: Readonly<Record<string, string>>) => {
      const answer = await bob.press(`${DEAD}/redrive`, { back: 'dead-letters', ...form });
      expect(answer.status).toBe(400);
      return /role="alert">([^<]*)</.exec(await answer.text())?.[1];
    };
    expect(await refused({ which: 'selected' })).toBe('No message is selected.');
    expect(await refused({ which: 'error', error: '' })).toBe('error must be the id of a group of errors');
    expect(await refused({ which: 'all', speed: '0' })).toBe('the speed must be 1 to 500 messages a second');
    expect(await refused({ which: 'all', to: 'order' })).toBe(
      'there is no queue order; did you mean orders or orders-again?',
    );
    expect(await refused({ which: 'selected', 'message.x': 'selected' })).toContain('by their ids');
    expect(await refused({ which: 'selected', [`message.${id}`]: HOSTILE })).toContain('by their ids');
    expect(await bodies(dead)).toEqual(['stays']);
    expect(audited(karin, 'redrive')).toEqual([]);
  });

  it('has no boxes and no buttons for those who only look', async () => {
    const { karin, dead, orders } = await scene();
    await failed(dead, 'stays');
    await send(orders, ['later'], 60_000);
    const eve = browser(karin.url);
    await eve.logIn('eve');
    for (const path of [`${DEAD}/dead-letters`, `${ORDERS}/scheduled`]) {
      const page = await eve.page(path);
      expect(page).toContain(path === `${ORDERS}/scheduled` ? 'later' : 'stays');
      expect(page).not.toMatch(/type="checkbox"|Redrive (?:all|selected)|Cancel|Delete/);
    }
  });
});

describe('the page of scheduled messages', () => {
  it('lists all of them by due time, page by page', async () => {
    const { bob, orders } = await scene();
    for (let at = 0; at < 60; at += 1) await send(orders, [`message ${at}`], (100 + at) * 1_000);
    const [first, second] = [await bob.page(`${ORDERS}/scheduled`), await bob.page(`${ORDERS}/scheduled?page=2`)];
    const shown = (page: string) => [...page.matchAll(/<code>(message \d+)<\/code>/g)].map(([, text]) => text);
    expect([...shown(first), ...shown(second)]).toEqual(Array.from({ length: 60 }, (_, at) => `message ${at}`));
    expect(first).toContain('60 messages are delayed');
    expect(first).toContain('page 1 of 2');
    expect(await bob.page(`${ORDERS}/scheduled?page=7`)).toContain('There is nothing on this page.');
    expect(await bob.page('/ops')).toContain(`href="${ORDERS}/scheduled"`);
  });

  it('cancels what is selected or runs it now, and says what was left alone', async () => {
    const { karin, bob, orders } = await scene();
    const [one = '', two = '', three = ''] = await send(orders, ['one', 'two', 'three'], 60_000);
    const [now = ''] = await send(orders, ['now']);
    const form = (...ids: readonly string[]) => ({
      ...{ which: 'selected', back: 'scheduled' },
      ...Object.fromEntries(ids.map((id) => [`message.${id}`, 'selected'])),
    });
    const asked = await bob.press(`${ORDERS}/cancel`, { ...form(one, now), confirmed: '' });
    expect(await asked.text()).toContain('Cancel 2 messages? They are deleted before they are due');
    await bob.press(`${ORDERS}/cancel`, form(one, now));
    expect(await bob.page(`${ORDERS}/scheduled`)).toContain('1 cancelled; 1 due already, and left alone.');
    await bob.press(`${ORDERS}/run-now`, form(two));
    expect(await bob.page(`${ORDERS}/scheduled`)).toContain('1 due now.');
    expect(await orders.depth()).toEqual({ visible: 2, delayed: 1, inFlight: 0 });
    expect((await orders.messages.scheduled(0, 10)).messages.map(({ id }) => id)).toEqual([three]);
    expect(audited(karin, 'cancel')).toMatchObject([{ who: 'bob', queue: keyOf('orders'), messages: 2 }]);
  });
});
