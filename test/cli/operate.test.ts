import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { CliError } from '../../runtime/cli/context.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const TOKEN = 'token-of-the-orders-team-0123456789';
const CLOSED = {
  KARIN_ADMIN_PASSWORD: PASSWORD,
  KARIN_TOKENS: `${TOKEN}:manage:orders*`,
  AWS_REGION: 'eu-west-1',
  KARIN_ACCOUNT_ID: '111122223333',
};

async function scene() {
  const source = new ScriptedSource();
  source.found = discoveryOf(['orders', 'mails'], {
    queues: [queueOf('orders', 'dead'), queueOf('mails'), queueOf('dead')],
  });
  const invoker = {
    invoke: async () => ({ kind: 'success', response: new Uint8Array() }) as const,
    probe: async () => ({ kind: 'reached' }) as const,
    close: () => {},
  };
  const karin = await runKarin(CLOSED, { source, invoker });
  const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
  return { karin, run: (...args: readonly string[]) => runCli(args, env) };
}

function send(karin: RunningKarin, name: string, ...bodies: readonly string[]) {
  const messages = bodies.map((body) => ({ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' }));
  return karin.directory.byKey(keyOf(name))?.send(messages);
}

function existing(karin: RunningKarin, name: string) {
  const queue = karin.directory.byKey(keyOf(name));
  if (queue === undefined) throw new Error(`there is no queue ${name}`);
  return queue;
}

describe('the commands of an operator', () => {
  it('say what needs somebody, with status 1 if it is urgent', async () => {
    const { karin, run } = await scene();
    const calm = await run('status');
    expect(calm.status).toBe(0);
    expect(calm.out).toMatch(/^3 queues: 0 visible, 0 delayed, 0 in flight\nversion .*, memory\nnothing needs you\n$/);
    await send(karin, 'dead', 'x');
    await expect.poll(async () => (await run('status')).status).toBe(1);
    expect((await run('status')).out).toMatch(/ {2}! 1 dead letter of orders in dead, the first for \d+ s\n$/);
    expect(JSON.parse((await run('status', '--json')).out)).toMatchObject({ totals: { visible: 1 }, queues: 3 });
  });

  it('list queues, and find those that are searched for', async () => {
    const { run } = await scene();
    expect((await run('queues')).out.split('\n').slice(0, 3)).toEqual([
      'queue   function   mode     visible  delayed  in flight  waits',
      'dead    -          consume  0        0        0          -',
      'mails   on-mails   consume  0        0        0          -',
    ]);
    expect((await run('queues', 'ON-ORD')).out.split('\n')).toHaveLength(3);
    expect((await run('queues', 'nothing')).out).toBe('no queue fits\n');
    await expect(run('queues', '--sort', 'size')).rejects.toThrow(
      '--sort is size; it must be one of name, messages, waiting',
    );
  });

  it('look at messages without receiving them', async () => {
    const { karin, run } = await scene();
    expect((await run('peek', 'dead')).out).toBe('the queue is empty\n');
    await send(karin, 'dead', 'hello\n\u001b[31mworld');
    const { out } = await run('peek', 'dead');
    expect(out).toMatch(/^[0-9a-f-]{36} {2}visible, sent .*Z, received 0 times\n {2}hello \?\[31mworld\n$/);
    expect((await karin.directory.byKey(keyOf('dead'))?.receive({ maxMessages: 1 }))?.[0]?.receiveCount).toBe(1);
    await expect(run('peek', 'dead', '--limit', '101')).rejects.toThrow('limit is 101; it must be 1 to 100');
  });

  it('hold a queue and let it go on, by any of its names', async () => {
    const { karin, run } = await scene();
    const mode = () => karin.directory.byKey(keyOf('orders'))?.definition.mode;
    expect((await run('hold', 'orders')).out).toBe('orders: on hold: messages are kept, no function is invoked\n');
    expect(mode()).toBe('hold');
    await run('resume', 'arn:aws:sqs:eu-west-1:111122223333:orders');
    expect(mode()).toBe('consume');
    await run('hold', keyOf('orders'));
    expect(mode()).toBe('hold');
  });

  it('ask before they delete or move, and without a terminal want --yes', async () => {
    const { karin, run } = await scene();
    await send(karin, 'dead', 'x');
    await expect(run('purge', 'dead')).rejects.toThrow(
      'Delete every message of dead? They cannot be brought back. Say so with --yes.',
    );
    expect((await karin.directory.byKey(keyOf('dead'))?.depth())?.visible).toBe(1);
    expect((await run('purge', 'dead', '--yes')).out).toBe('dead: purged\n');
    expect((await karin.directory.byKey(keyOf('dead'))?.depth())?.visible).toBe(0);
  });

  it('propose a queue for a name that does not exist', async () => {
    const { run } = await scene();
    await expect(run('peek', 'order')).rejects.toThrow('there is no queue order; did you mean orders?');
    await expect(run('peek', 'mials')).rejects.toThrow('there is no queue mials; did you mean mails?');
    await expect(run('peek', 'something-else')).rejects.toThrow(/there is no queue something-else$/);
  });

  it('say what mends a wrong password', async () => {
    const { karin } = await scene();
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: 'a wrong password' };
    await expect(runCli(['status'], env)).rejects.toThrow('set KARIN_ADMIN_PASSWORD to the password of the server');
    await expect(runCli(['status'], env)).rejects.toBeInstanceOf(CliError);
  });
});

describe('/api/v1', () => {
  it('lets nobody in without a credential that may manage', async () => {
    const { karin } = await scene();
    for (const path of ['status', 'cost', 'queues', `queues/orders`, 'queues/orders/messages']) {
      expect((await fetch(`${karin.url}/api/v1/${path}`)).status, path).toBe(401);
    }
    expect((await fetch(`${karin.url}/api/v1/queues/orders/purge`, { method: 'POST' })).status).toBe(401);
  });

  it('shows a credential the queues that it reaches, as if there were no others', async () => {
    const { karin } = await scene();
    const get = async (path: string) => {
      const answer = await fetch(`${karin.url}/api/v1/${path}`, { headers: { authorization: `Bearer ${TOKEN}` } });
      return { status: answer.status, text: await answer.text() };
    };
    const { text } = await get('queues');
    expect(JSON.parse(text)).toMatchObject({ count: 1, queues: [{ name: 'orders' }] });
    expect((await get('queues/mails')).status).toBe(404);
    expect((await get('queues/mail')).text).toBe('{"error":"there is no queue mail"}');
    expect((await get('activity?queue=mails')).status).toBe(404);
    expect((await get('activity')).text).not.toContain(keyOf('mails'));
    expect((await get('status')).status).toBe(403);
    expect((await get('cost')).status).toBe(403);
    const purge = await fetch(`${karin.url}/api/v1/queues/dead/purge`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    expect(purge.status).toBe(404);
  });

  it('show one message by its id, in one queue or wherever it is', async () => {
    const { karin, run } = await scene();
    const id = crypto.randomUUID();
    const body = `the whole ${'long '.repeat(3_000)}body`;
    await karin.directory.byKey(keyOf('dead'))?.send([{ id, body, attributes: {}, senderId: 'test' }]);
    expect((await run('peek', 'dead', '--id', id)).out).toMatch(
      new RegExp(`^${id}  visible, sent .*\n  the whole long`),
    );
    expect(JSON.parse((await run('peek', 'dead', '--id', id, '--json')).out)).toMatchObject({ id, body, cut: false });
    await expect(run('peek', 'orders', '--id', id)).rejects.toThrow('there is no such message in the queue');
    await expect(run('peek', 'orders', '--id', 'x')).rejects.toThrow('the id of a message is a UUID');
    expect((await run('search', id.toUpperCase())).out).toMatch(new RegExp(`^dead  ${id}  visible, sent `));
    await expect(run('search', crypto.randomUUID())).rejects.toThrow('no queue holds a message of this id');
  });

  it('find a text in bodies, step by step, and say what was read', async () => {
    const { karin, run } = await scene();
    await send(karin, 'dead', 'a needle', 'hay');
    await karin.directory.setMode(existing(karin, 'mails'), 'hold');
    await send(karin, 'mails', ...Array.from({ length: 2_100 }, (_, at) => (at === 7 ? 'one NEEDLE more' : 'hay')));
    const first = await run('search', 'needle');
    expect(first.out).toMatch(/^dead {2}[0-9a-f-]{36} {2}a needle$/m);
    expect(first.out).toMatch(/2,?000 messages read; there are more: --all reads on\n$/);
    const all = await run('search', 'needle', '--all');
    expect(all.out).toMatch(/^mails {2}[0-9a-f-]{36} {2}one NEEDLE more$/m);
    expect(all.out).toMatch(/2102 messages read\n$/);
    expect((await run('search', 'needle', '--queue', 'dead')).out).toMatch(/2 messages read\n$/);
    expect(JSON.parse((await run('search', 'nothing', '--queue', 'dead', '--json')).out)).toEqual({
      ...{ hits: [], messages: 2, bytes: expect.any(Number) },
    });
    const team = await fetch(`${karin.url}/api/v1/search?q=needle`, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect(await team.json()).toMatchObject({ hits: [], messages: 0 });
  });

  it('writes into the audit trail who did what', async () => {
    const { karin, run } = await scene();
    await run('hold', 'orders');
    expect(karin.logged.some((line) => line.includes('"what":"hold"') && line.includes(keyOf('orders')))).toBe(true);
  });

  it('is described by the document in docs/api, path by path and answer by answer', async () => {
    const { karin } = await scene();
    // So many that a redrive of one a second still runs when it is cancelled.
    await send(karin, 'dead', ...Array.from({ length: 60 }, () => 'one'));
    const messages = [crypto.randomUUID()];
    const one = (await karin.directory.byKey(keyOf('dead'))?.browse(1))?.[0]?.id ?? '';
    const described: { paths: Record<string, Record<string, unknown>> } = JSON.parse(
      readFileSync('docs/api/openapi.json', 'utf8'),
    );
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    ajv.addSchema(described, 'karin');
    const headers = { authorization: `Bearer ${PASSWORD}` };
    const exported = await (await fetch(`${karin.url}/api/v1/export`, { headers })).text();
    const bodies: Readonly<Record<string, string>> = {
      import: exported,
      redrive: JSON.stringify({ to: 'orders', speed: 1 }),
      ...Object.fromEntries(['delete', 'cancel', 'run-now'].map((name) => [name, JSON.stringify({ messages })])),
    };
    for (const [path, methods] of Object.entries(described.paths)) {
      const body = bodies[path.split('/').at(-1) ?? ''];
      for (const method of Object.keys(methods)) {
        const answer = await fetch(
          karin.url +
            path
              .replace('{queue}', 'dead')
              .replace('{action}', 'hold')
              .replace('{function}', 'on-orders')
              .replace('{message}', one)
              .replace('/search', '/search?q=ONE'),
          {
            method: method.toUpperCase(),
            headers,
            ...(body === undefined ? {} : { body }),
          },
        );
        expect(answer.status, `${method} ${path}`).toBe(200);
        const type = answer.headers.get('content-type') ?? '';
        const place = ['paths', path, method, 'responses', '200', 'content', type, 'schema'];
        const pointer = place.map((part) => encodeURIComponent(part.replaceAll('/', '~1'))).join('/');
        const validate = ajv.getSchema(`karin#/${pointer}`);
        const lines = type === 'application/json' ? [await answer.text()] : (await answer.text()).trimEnd().split('\n');
        for (const line of lines) {
          expect(validate?.(JSON.parse(line)), `${method} ${path}: ${ajv.errorsText(validate?.errors)}`).toBe(true);
        }
      }
    }
    expect(Object.keys(described.paths)).toHaveLength(23);
  });
});
