import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { password } from '../../runtime/cli/password.ts';
import { createPasswordCheck, hashPassword, parseOperators } from '../../runtime/http/auth/operators.ts';
import { pageToOpen, roleFor } from '../../runtime/ops/session.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../runtime/time.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

const OPERATORS = 'ann:administer:ann-has-a-password; bob:operate:bob-has-a-password; eve:look:eve-has-a-password';
const QUEUE = `/ops/queues/${encodeURIComponent(keyOf('jobs'))}`;

function serve(overrides = {}): Promise<RunningKarin> {
  const source = new ScriptedSource();
  source.found = discoveryOf([], { queues: [queueOf('jobs')] });
  const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS };
  return runKarin(env, { source, ...overrides });
}

/** A browser that keeps its cookies. */
function browser(url: string) {
  const cookies = new Map<string, string>();
  const request = async (path: string, form?: Readonly<Record<string, string>>): Promise<Response> => {
    const response = await fetch(url + path, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '') cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
  const page = async (path: string): Promise<string> => (await request(path)).text();
  const logIn = (name: string, more = {}) =>
    request('/ops/login', { name, password: `${name}-has-a-password`, ...more });
  const token = async (): Promise<string> => /name="csrf" value="([^"]+)"/.exec(await page('/ops/system'))?.[1] ?? '';
  const press = async (path: string, more = {}) => request(path, { csrf: await token(), confirmed: 'yes', ...more });
  return { cookies, request, page, logIn, token, press };
}

describe('operators', () => {
  it('log in by name and password, and the form asks for a name only if there are some', async () => {
    const { url } = await serve();
    const ann = browser(url);
    expect(await ann.page('/ops/login')).toContain('name="name"');
    for (const [name, word] of [
      ['ann', 'bob-has-a-password'],
      ['zoe', 'ann-has-a-password'],
      ['', 'x'],
    ] as const) {
      expect((await ann.request('/ops/login', { name, password: word })).status).toBe(403);
    }
    expect((await ann.logIn('ann')).status).toBe(303);
    expect((await ann.request('/ops')).status).toBe(200);
    const alone = await runKarin({ KARIN_ADMIN_PASSWORD: 'one password for all' });
    expect(await browser(alone.url).page('/ops/login')).not.toContain('name="name"');
    const form = { password: 'one password for all' };
    expect((await browser(alone.url).request('/ops/login', form)).status).toBe(303);
  });

  it('do what their role allows, and nothing else, whatever they send', async () => {
    const karin = await serve();
    const actions = {
      '/ops/sync': 'administer',
      [`${QUEUE}/drain`]: 'administer',
      [`${QUEUE}/pull`]: 'administer',
      [`${QUEUE}/send`]: 'operate',
      [`${QUEUE}/purge`]: 'operate',
      [`${QUEUE}/redrive`]: 'operate',
      [`${QUEUE}/hold`]: 'operate',
      [`${QUEUE}/consume`]: 'operate',
      '/ops/mappings/none/resume': 'operate',
    };
    const roles = ['look', 'operate', 'administer'];
    for (const [name, role] of [
      ['eve', 'look'],
      ['bob', 'operate'],
      ['ann', 'administer'],
    ] as const) {
      const person = browser(karin.url);
      await person.logIn(name);
      const refused = new Map<string, boolean>();
      for (const path of Object.keys(actions)) {
        refused.set(path, (await person.press(path, { body: 'x' })).status === 403);
      }
      expect(Object.fromEntries(refused)).toEqual(
        Object.fromEntries(
          Object.entries(actions).map(([path, needed]) => [path, roles.indexOf(role) < roles.indexOf(needed)]),
        ),
      );
    }
  });

  it('see only the buttons that they may press', async () => {
    const { url } = await serve();
    const buttons = async (name: string): Promise<string[]> => {
      const person = browser(url);
      await person.logIn(name);
      const text = (await person.page(QUEUE)) + (await person.page('/ops'));
      const actions = [...text.matchAll(/<form method="post" action="[^"]*\/(\w+)"/g)].map(
        ([, action]) => action ?? '',
      );
      return [...new Set(actions)].sort();
    };
    expect(await buttons('eve')).toEqual(['logout']);
    expect(await buttons('bob')).toEqual(expect.arrayContaining(['purge', 'send']));
    expect(await buttons('bob')).not.toContain('sync');
    expect(await buttons('ann')).toContain('sync');
  });

  it('may not forge a session, a name or a form', async () => {
    const { url } = await serve();
    const [eve, ann] = [browser(url), browser(url)];
    // A cookie from before the log-in is not the one after it.
    eve.cookies.set('karin_session', '9999999999999.AAAAAAAAAAAAAAAA.ZXZl.AAAA');
    expect((await eve.request('/ops')).status).toBe(303);
    await eve.logIn('eve');
    expect(eve.cookies.get('karin_session')).not.toContain('AAAAAAAAAAAAAAAA');
    await ann.logIn('ann');
    const stolen = await ann.token();
    const [expires, nonce, , signature] = (eve.cookies.get('karin_session') ?? '').split('.');
    const asAnn = [expires, nonce, Buffer.from('ann').toString('base64url'), signature].join('.');
    const forger = browser(url);
    forger.cookies.set('karin_session', asAnn);
    expect((await forger.request('/ops')).status).toBe(303);
    const bob = browser(url);
    await bob.logIn('bob');
    for (const csrf of ['', 'x', stolen, await eve.token()]) {
      expect((await bob.request(`${QUEUE}/hold`, { csrf })).status).toBe(403);
    }
    expect((await bob.press(`${QUEUE}/hold`)).status).toBe(303);
  });

  it('come after the log-in to the page that they wanted, and never to another site', async () => {
    const { url } = await serve();
    const ann = browser(url);
    const led = (await ann.request(`${QUEUE}?messages=1`)).headers.get('location') ?? '';
    expect(led).toBe(`/ops/login?to=${encodeURIComponent(`${QUEUE}?messages=1`)}`);
    const to = /name="to" value="([^"]*)"/.exec(await ann.page(led))?.[1] ?? '';
    expect((await ann.logIn('ann', { to })).headers.get('location')).toBe(`${QUEUE}?messages=1`);
    for (const elsewhere of [
      '//evil.example',
      'https://evil.example',
      '/\\evil.example',
      '/opsx',
      '/ops\n',
      '/ops/\\x',
    ]) {
      expect(pageToOpen(elsewhere)).toBe('/ops');
    }
  });

  it('are told once what a button did: not when the page is loaded again, and not by a link', async () => {
    const { url } = await serve();
    const bob = browser(url);
    await bob.logIn('bob');
    const back = (await bob.press(`${QUEUE}/hold`)).headers.get('location') ?? '';
    expect(back).toBe(QUEUE);
    expect(await bob.page(back)).toContain('The queue is on hold.');
    expect(await bob.page(back)).not.toContain('The queue is on hold.');
    expect(await bob.page(`${QUEUE}?done=hold`)).not.toContain('The queue is on hold.');
  });

  it('find who did what on the page of actions, after a restart too', async () => {
    const store = new MemoryStore({ time: systemTime });
    const karin = await serve({ store });
    const bob = browser(karin.url);
    await bob.logIn('bob');
    await bob.press(`${QUEUE}/hold`);
    const rows = (page: string) =>
      [...page.matchAll(/<tr><td>.*?<\/td><td>(.*?)<\/td><td>(.*?)<\/td>/gs)].map(([, who, what]) => `${who} ${what}`);
    expect(rows(await bob.page('/ops/audit')).slice(0, 2)).toEqual(['bob hold', 'bob log-in']);
    await karin.stop();
    const after = browser((await serve({ store })).url);
    await after.logIn('ann');
    expect(rows(await after.page('/ops/audit')).slice(0, 3)).toEqual(['ann log-in', 'bob hold', 'bob log-in']);
  });
});

describe('a queue of a template', () => {
  it('belongs to the template, not to AWS', async () => {
    const source = Object.assign(new ScriptedSource(), { description: '/app/template.yaml' });
    source.found = discoveryOf([], { queues: [queueOf('jobs')] });
    const karin = await runKarin({ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333' }, { source });
    const page = await browser(karin.url).page(QUEUE);
    expect(page).toContain('the template: change it there, and it is read again');
    expect(page).not.toContain('AWS: change its attributes');
  });
});

describe('KARIN_OPERATORS', () => {
  it('is read as names, roles and passwords or hashes; what is wrong is said without a secret', async () => {
    const problems: string[] = [];
    const hash = await hashPassword('a long password');
    const read = parseOperators(`# people\nann:administer:with:colons:in:it ;\nbob:look:${hash}`, 'FILE', problems);
    expect(read).toEqual([
      { name: 'ann', role: 'administer', secret: 'with:colons:in:it' },
      { name: 'bob', role: 'look', secret: hash },
    ]);
    expect(problems).toEqual([]);
    const wrong = [
      'ann',
      'ann:root:s3cret-s3cret',
      'ann:look:s3cret',
      'admin:look:s3cret-s3cret',
      'a b:look:s3cret-s3cret',
    ];
    parseOperators([...wrong, 'x:look:scrypt$999999999$8$1$s3cret'].join(';'), 'FILE', problems);
    expect(problems).toHaveLength(6);
    expect(problems.join()).not.toContain('s3cret');
  });

  it('takes the hashes that karin password makes', async () => {
    const printed: string[] = [];
    const context = { env: {}, out: (text: string) => void printed.push(text), err: () => {} };
    await password({}, context, new PassThrough().end('correct horse battery\n'));
    const operator = { name: 'ann', role: 'look', secret: printed.join('').trim() } as const;
    const check = createPasswordCheck();
    expect(await check.fits(operator, 'correct horse battery')).toBe(true);
    expect(await check.fits(operator, 'correct horse batterx')).toBe(false);
    expect(await check.fits(undefined, 'correct horse battery')).toBe(false);
    await expect(password({}, context, new PassThrough().end('short\n'))).rejects.toThrow('at least 12');
  });

  it('checks one hash at a time and lets few wait', async () => {
    // The cheapest there is; of which password does not matter.
    const secret = `scrypt$2$1$1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
    const check = createPasswordCheck();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => check.fits({ name: 'ann', role: 'look', secret }, 'correct horse battery')),
    );
    expect(answers).toEqual([...Array(8).fill(false), 'busy', 'busy']);
    expect(await check.fits({ name: 'ann', role: 'look', secret }, 'correct horse battery')).toBe(false);
  });

  it('asks the highest role for what reaches AWS, and none but look for reading and leaving', () => {
    expect(roleFor('GET', '/ops/queues/x')).toBe('look');
    expect(roleFor('POST', '/ops/logout')).toBe('look');
    expect(roleFor('POST', '/ops/queues/sync/send')).toBe('operate');
    expect(roleFor('POST', '/ops/queues/send/drain')).toBe('administer');
  });
});
