/**
 * The debugging drill: a function fails on 3 of 1,000 messages. Somebody goes from the alert to the text of the error,
 * mends one message, and redrives the others once the function is mended: by pages, and by commands alone. The walk
 * stands in `docs/guides/operators.md`.
 */
import { expect, it } from 'vitest';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { ForwardTime } from '../support/forward-time.ts';
import { discoveryOf, ScriptedSource } from '../sync/discoveries.ts';
import { type Drill, expectShipped, openDrill } from './drill-world.ts';
import { browser } from './page-visitor.ts';

const PASSWORD = 'correct horse battery';
const CLOSED = { KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' };
/** Leases end and looks follow, a few seconds at a time. */
const SKIP_MS = 6_000;
/** A thousand messages on a machine that does other things, too. */
const PATIENCE_MS = 60_000;

function drill(): Promise<Drill> {
  const time = new ForwardTime();
  return openDrill({
    serve: (found, invoker, env) => {
      const source = new ScriptedSource();
      source.found = discoveryOf([], found);
      return runKarin({ ...CLOSED, ...env }, { source, invoker, time });
    },
    seen: async (what) => {
      const looks = setInterval(() => time.skip(SKIP_MS), 50);
      return what.finally(() => clearInterval(looks));
    },
  });
}

it(
  'is walked by pages without a script, from the alert to the redrive',
  async () => {
    const { karin, lambda, told } = await drill();
    expect(told.text).toMatch(/^\d dead letters? of orders in dead, the first for/);
    const person = browser(karin.url);
    await person.request('/ops/login', { password: PASSWORD });
    const link = told.link.slice(karin.url.length);

    const letters = await person.page(link);
    expect(letters).toContain('order &lt;n&gt;: Cannot read properties of undefined (reading &#39;street&#39;)');
    expect(letters).toContain('at ship (/var/task/ship.js:12:31)');
    const rows = letters.slice(letters.indexOf('id="letters"')).split('<tr');
    const row = rows.find((text) => text.includes('{&quot;order&quot;:17}')) ?? '';
    const [, open = ''] = /href="([^"]*\/messages\/[^"]*)"/.exec(row) ?? [];
    expect(await person.page(open)).toContain('Edit and send again');
    const body = '{"order":17,"address":{"street":"Elm Street"}}';
    expect((await person.press(`${open}/again`, { body, to: 'orders', replace: 'yes' })).status).toBe(303);

    lambda.isMended = true;
    const asked = await person.press(`${link.replace('dead-letters', 'redrive')}`, { which: 'all', confirmed: '' });
    expect(await asked.text()).toContain('Move all messages of dead back to where they came from?');
    await person.press(`${link.replace('dead-letters', 'redrive')}`, { which: 'all', back: 'dead-letters' });
    await expect.poll(() => person.page(link), { timeout: 30_000 }).toContain('completed, 2 of 2 moved');
    await expectShipped(karin, lambda);
  },
  PATIENCE_MS,
);

it(
  'is walked by six commands',
  async () => {
    const { karin, lambda } = await drill();
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    let commands = 0;
    const run = async (...args: readonly string[]) => {
      commands += 1;
      return runCli(args, env);
    };
    const status = await run('status');
    expect(status.status).toBe(1);
    expect(status.out).toContain('! 3 dead letters of orders in dead');

    const errors = await run('errors', 'dead');
    expect(errors.out).toContain("TypeError: order <n>: Cannot read properties of undefined (reading 'street')");
    const [, error = ''] = /^3 +([0-9a-f]{10}) /m.exec(errors.out) ?? [];

    const { out } = await run('peek', 'dead');
    const [, id = ''] = /^([0-9a-f-]{36}) .*\n {2}\{"order":17\}\n {2}failed .*TypeError: order 17/m.exec(out) ?? [];
    await run('send', 'orders', '--body', '{"order":17,"address":{"street":"Elm Street"}}');
    expect(await run('delete', 'dead', id, '--yes')).toMatchObject({ status: 0, out: `${id}: deleted\n` });

    lambda.isMended = true;
    const redrive = await run('redrive', 'dead', '--error', error, '--yes', '--wait');
    expect(redrive).toMatchObject({ status: 0, out: expect.stringContaining('dead: completed: 2 of 2 moved\n') });
    await expectShipped(karin, lambda);
    expect(commands).toBe(6);
  },
  PATIENCE_MS,
);
