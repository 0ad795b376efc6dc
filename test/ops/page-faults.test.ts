/** Faults that the pages once had, each of which hid something from whoever had to debug. */
import { describe, expect, it } from 'vitest';
import type { InvokeOutcome } from '../../runtime/aws/invoke-outcome.ts';
import { createActivityLog, createEventBus } from '../../runtime/ops/activity.ts';
import { runKarin } from '../http/running-karin.ts';
import { INVOKED } from '../support/consumer-events.ts';
import { discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

const CRASH: InvokeOutcome = { kind: 'function-error', errorType: 'TypeError', message: 'x is not a function' };

async function scene() {
  const source = new ScriptedSource();
  source.found = discoveryOf(['orders', 'mails'], {
    queues: ['orders', 'mails', 'bills', 'idle'].map((name) => queueOf(name)),
    broken: [{ ...mappingOf('bills'), reason: 'its function is gone; delete the mapping' }],
  });
  const invoker = { invoke: async () => CRASH, probe: async () => ({ kind: 'reached' }) as const, close: () => {} };
  const karin = await runKarin({ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' }, { source, invoker });
  let cookie = '';
  const get = async (path: string): Promise<Response> => {
    const answer = await fetch(karin.url + path, { headers: { cookie } });
    cookie ||= answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    return answer;
  };
  const page = async (path: string): Promise<string> => (await get(path)).text();
  const press = async (path: string, fields: Readonly<Record<string, string>>): Promise<Response> => {
    const csrf = /name="csrf" value="([^"]+)"/.exec(await page('/ops'))?.[1] ?? '';
    const body = new URLSearchParams({ csrf, ...fields });
    return fetch(karin.url + path, { method: 'POST', redirect: 'manual', headers: { cookie }, body });
  };
  const send = (name: string, ...bodies: readonly string[]) =>
    karin.directory
      .byKey(keyOf(name))
      ?.send(bodies.map((body) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' })));
  return { karin, get, page, press, send };
}

const pageOf = (name: string): string => `/ops/queues/${encodeURIComponent(keyOf(name))}`;

describe('the pages', () => {
  it('read no message of a queue before somebody asks to look at them', async () => {
    const { karin, page, send } = await scene();
    await send('idle', 'a body that nobody asked for');
    const queue = karin.directory.byKey(keyOf('idle'));
    if (queue === undefined) throw new Error('the queue is there');
    let looks = 0;
    const browse = queue.browse.bind(queue);
    queue.browse = (limit) => {
      looks += 1;
      return browse(limit);
    };
    expect(await page(pageOf('idle'))).not.toContain('a body that nobody asked for');
    expect(looks).toBe(0);
    expect(await page(`${pageOf('idle')}?messages=1`)).toContain('a body that nobody asked for');
    expect(looks).toBe(1);
  });

  it('keep what was typed when a send is refused, with what SQS said', async () => {
    const { press } = await scene();
    const refused = await press(`${pageOf('idle')}/send`, { body: 'typed with care', delay: '901' });
    const text = await refused.text();
    expect(refused.status).toBe(400);
    expect(text).toContain('typed with care');
    expect(text).toMatch(/role="alert">[^<]*DelaySeconds/);
    expect(text).not.toContain('does not answer');
  });

  it('say on the page of a queue why its mapping is broken', async () => {
    const { page } = await scene();
    expect(await page(pageOf('bills'))).toContain('its function is gone; delete the mapping');
    expect(await page(pageOf('idle'))).not.toContain('its function is gone');
  });

  it('search in mappings and activity, too', async () => {
    const { page, send } = await scene();
    await send('orders', '1');
    await send('mails', '2');
    const both = async () => {
      const text = await page('/ops');
      return ['orders', 'mails'].every((name) => text.includes(`on-${name} failed on ${name}`));
    };
    await expect.poll(both).toBe(true);
    const all = await page('/ops');
    const found = await page('/ops?q=mails');
    for (const id of ['mappings', 'activity']) {
      const part = (text: string): string =>
        new RegExp(`<(?:table|section|div) id="${id}".*?</table>`, 's').exec(text)?.[0] ?? '';
      expect(part(all), id).toContain('orders');
      expect(part(found), id).toContain('mails');
      expect(part(found), id).not.toContain('orders');
    }
  });

  it('begin one session on an open server, not two', async () => {
    const { get } = await scene();
    for (const path of ['/ops', '/functions']) {
      expect((await get(path)).headers.getSetCookie().length).toBeLessThanOrEqual(1);
    }
  });

  it('have a heading where there is nothing', async () => {
    const { get } = await scene();
    for (const path of ['/ops/queues/nowhere', '/ops/nothing', '/functions/nothing']) {
      const answer = await get(path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(await answer.text()).toContain('<h1>');
    }
  });

  it('let a long body be scrolled by keyboard', async () => {
    const { page, send } = await scene();
    await send('idle', 'long '.repeat(1_000));
    expect(await page(`${pageOf('idle')}?messages=1`)).toMatch(/<pre tabindex="0">long /);
  });

  it('tell an attempt from a number of messages', () => {
    const told: string[] = [];
    const bus = createEventBus(() => {});
    createActivityLog(bus, () => 0).onChange(({ text }) => told.push(text));
    const messageIds = ['1', '2', '3', '4', '5'];
    bus.emit({ ...INVOKED, attempt: 5, mapping: 'm', queue: keyOf('jobs'), batch: 1, messageIds });
    expect(told).toEqual(['attempt 5 for 5 messages']);
  });
});
