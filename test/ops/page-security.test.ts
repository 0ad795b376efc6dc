import type { RouterRoute } from 'hono/types';
import { beforeEach, describe, expect, it } from 'vitest';
import { QUEUE_ACTIONS } from '../../runtime/ops/actions.ts';
import { MESSAGE_ACTIONS } from '../../runtime/ops/message-actions.ts';
import { type PagesParts, pagesRoute } from '../../runtime/ops/routes.tsx';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { browser } from './page-visitor.ts';
import { hostile, PASSWORD, SHOWN_NOWHERE, serveStrangers, WRITTEN } from './strangers.ts';

const OPERATORS = 'ann:administer:ann-has-a-password; bob:operate:bob-has-a-password; eve:look:eve-has-a-password';
const ROLES = ['look', 'operate', 'administer'] as const;
const PEOPLE = { look: 'eve', operate: 'bob', administer: 'ann' } as const;

/** What each parameter of a path may be. A route with another one needs a line here before it is tested. */
const PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  ':key': [encodeURIComponent(keyOf('jobs'))],
  ':action': [...QUEUE_ACTIONS.keys()],
  ':uuid': [mappingOf('jobs').uuid],
  ':message': ['3f2504e0-4f89-41d3-9a0c-0305e82c3301'],
  ':doing': [...MESSAGE_ACTIONS.keys()],
};

/** The role that each form of the pages needs. A new form needs a line here. */
const NEEDED: Readonly<Record<string, (typeof ROLES)[number]>> = {
  '/functions/check': 'operate',
  '/functions/log-tails': 'operate',
  '/ops/logout': 'look',
  '/ops/sync': 'administer',
  '/ops/mappings/:uuid/resume': 'operate',
  '/ops/queues/:key/send': 'operate',
  '/ops/queues/:key/purge': 'operate',
  '/ops/queues/:key/redrive': 'operate',
  '/ops/queues/:key/cancel-redrive': 'operate',
  '/ops/queues/:key/delete': 'operate',
  '/ops/queues/:key/cancel': 'operate',
  '/ops/queues/:key/run-now': 'operate',
  '/ops/queues/:key/hold': 'operate',
  '/ops/queues/:key/consume': 'operate',
  '/ops/queues/:key/drain': 'administer',
  '/ops/queues/:key/pull': 'administer',
  '/ops/queues/:key/messages/:message/retry': 'operate',
  '/ops/queues/:key/messages/:message/again': 'operate',
  '/ops/queues/:key/messages/:message/move': 'operate',
  '/ops/queues/:key/messages/:message/delete': 'operate',
};

/** Open to strangers on purpose. */
const OPEN = ['/ops/login', '/ops/style.css', '/ops/ops.js'];

/** A part of the server that is handed on while routes are made, and used by none before a request comes. */
const untouched: unknown = new Proxy(() => untouched, { get: () => untouched, apply: () => untouched });
// Only the list of the routes is looked at.
const { routes } = pagesRoute(untouched as PagesParts);

/** The paths of the pages with this method, without those of middleware and of `/api/v1`, which knows no sessions. */
function pathsOf(method: 'GET' | 'POST'): readonly string[] {
  const paths = routes.filter((route: RouterRoute) => route.method === method).map(({ path }) => path);
  return [...new Set(paths)].filter((path) => !path.startsWith('/api/v1'));
}

/** The path with `:action` filled in, and every way to fill in the rest. */
function filled(path: string, names: readonly string[]): readonly string[] {
  return names.reduce<readonly string[]>(
    (paths, name) =>
      paths.flatMap((one) =>
        one.includes(name) ? (PARAMETERS[name] ?? []).map((value) => one.replace(name, value)) : one,
      ),
    [path],
  );
}

const FORMS = pathsOf('POST')
  .filter((path) => !OPEN.includes(path))
  .flatMap((path) => filled(path, [':action', ':doing']));
const address = (form: string): string => filled(form, Object.keys(PARAMETERS))[0] ?? form;

let karin: RunningKarin;

beforeEach(async () => {
  const source = new ScriptedSource();
  source.found = discoveryOf(['jobs'], { queues: [queueOf('jobs', 'dead'), queueOf('dead')] });
  const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS };
  karin = await runKarin(env, { source });
});

/** What was done, by the audit trail in the log. */
function done(): readonly unknown[] {
  const lines = karin.logged.map((line): Record<string, unknown> => JSON.parse(line));
  return lines.filter(({ msg }) => msg === 'audit').map(({ what }) => what);
}

describe('the routes of the pages', () => {
  it('are all known to these tests: each form with its role, each parameter with a value', () => {
    expect([...FORMS].sort()).toEqual(Object.keys(NEEDED).sort());
    for (const { path } of routes) {
      for (const [name] of path.matchAll(/:\w+/g)) {
        if (!path.startsWith('/api/v1')) expect(Object.keys(PARAMETERS)).toContain(name);
      }
    }
  });

  it('lead strangers to the log-in, whatever the path, but for what is open on purpose', async () => {
    const paths = [...pathsOf('GET').map(address), '/ops/nowhere', '/ops/queues/nowhere/nowhere'];
    for (const path of paths.filter((path) => !OPEN.includes(path))) {
      const answer = await browser(karin.url).request(path);
      expect(`${answer.status} ${answer.headers.get('location')?.split('?')[0]}`, path).toBe('303 /ops/login');
    }
    for (const form of FORMS) {
      const answer = await browser(karin.url).request(address(form), { confirmed: 'yes', csrf: 'x', body: 'x' });
      expect(`${answer.status} ${answer.headers.get('location')}`, form).toBe('303 /ops/login');
    }
  });

  it('lead strangers after the log-in to each page that they wanted, with its query', async () => {
    for (const path of pathsOf('GET').map(address)) {
      if (OPEN.includes(path) || path === '/ops') continue;
      const wanted = `${path}?messages=1&q=a%26b`;
      const ann = browser(karin.url);
      const login = (await ann.request(wanted)).headers.get('location') ?? '';
      const to = /name="to" value="([^"]*)"/.exec(await ann.page(login))?.[1]?.replaceAll('&amp;', '&') ?? '';
      expect((await ann.logIn('ann', { to })).headers.get('location'), path).toBe(wanted);
    }
  });

  it('keep what they show out of frames, caches of scripts and other sites', async () => {
    const ann = browser(karin.url);
    await ann.logIn('ann');
    for (const path of pathsOf('GET').map(address)) {
      const { headers } = await ann.request(path);
      const policy = headers.get('content-security-policy') ?? '';
      expect(policy, path).toContain("default-src 'none'");
      expect(policy, path).toContain("frame-ancestors 'none'");
      expect(policy, path).not.toContain('unsafe');
      expect(headers.get('x-content-type-options'), path).toBe('nosniff');
    }
  });
});

describe('a form of another site', () => {
  it.each(FORMS)('does nothing at %s', async (form) => {
    const [ann, bob] = [browser(karin.url), browser(karin.url)];
    await ann.logIn('ann');
    await bob.logIn('bob');
    const before = done();
    expect(before).toEqual(['log-in', 'log-in']);
    const path = address(form);
    const stolen = await bob.token();
    const filledIn = { confirmed: 'yes', body: 'x' };
    const { status } = await ann.request(path, filledIn);
    expect(status).toBe(403);
    for (const csrf of ['', 'x', stolen, (await ann.token()).slice(0, -1)]) {
      expect((await ann.request(path, { ...filledIn, csrf })).status).toBe(403);
    }
    const csrf = await ann.token();
    expect((await ann.request(`${path}?csrf=${encodeURIComponent(csrf)}`, filledIn)).status).toBe(403);
    // As a page of another site can send them without a question of the browser.
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/json']) {
      const headers = { 'content-type': type, cookie: ann.cookieHeader() };
      const body = JSON.stringify({ ...filledIn, csrf });
      const answer = await fetch(karin.url + path, { method: 'POST', headers, body, redirect: 'manual' });
      expect(answer.status, type).toBe(415);
    }
    expect(done()).toEqual(before);
    expect((await ann.request(path, { ...filledIn, csrf })).status).not.toBe(403);
  });

  it('cannot log a person in under the name of its owner', async () => {
    const form = { name: 'eve', password: 'eve-has-a-password' };
    const send = (site: string) =>
      fetch(`${karin.url}/ops/login`, {
        ...{ method: 'POST', body: new URLSearchParams(form), redirect: 'manual' },
        headers: { 'sec-fetch-site': site },
      });
    const refused = await send('cross-site');
    expect(refused.status).toBe(403);
    expect(refused.headers.getSetCookie()).toEqual([]);
    for (const site of ['same-origin', 'none']) expect((await send(site)).status).toBe(303);
  });
});

describe('a role', () => {
  it.each(ROLES)('lets %s do what it names, whatever is sent, and nothing above it', async (role) => {
    for (const form of FORMS.filter((form) => form !== '/ops/logout')) {
      const person = browser(karin.url);
      await person.logIn(PEOPLE[role]);
      const answer = await person.press(address(form), { body: 'x' });
      const mayNot = ROLES.indexOf(role) < ROLES.indexOf(NEEDED[form] ?? 'administer');
      expect(answer.status === 403, form).toBe(mayNot);
      if (mayNot) expect(await answer.text(), form).toContain(`Your role is ${role}; this takes the role`);
    }
  });

  it('is not raised by the ways in which a request can be written', async () => {
    const eve = browser(karin.url);
    await eve.logIn('eve');
    const hold = address('/ops/queues/:key/hold');
    const before = done();
    for (const path of [
      `${hold}/`,
      `/${hold}`,
      hold.replace('/ops/', '/ops//'),
      `${hold}?/logout`,
      `${hold}%2Flogout`,
    ]) {
      expect((await eve.press(path)).status, path).toBeGreaterThanOrEqual(400);
    }
    for (const method of ['PUT', 'PATCH', 'DELETE']) {
      const headers = { cookie: eve.cookieHeader(), 'x-http-method-override': 'POST' };
      const body = new URLSearchParams({ csrf: await eve.token(), confirmed: 'yes' });
      const answer = await fetch(karin.url + hold, { method, headers, body, redirect: 'manual' });
      expect(answer.status, method).toBeGreaterThanOrEqual(400);
    }
    expect(done()).toEqual(before);
  });

  it('gives no way into the API of programs: it takes no session', async () => {
    const ann = browser(karin.url);
    await ann.logIn('ann');
    const api = routes.filter(({ path, method }) => path.startsWith('/api/v1/') && method !== 'ALL');
    expect(api.length).toBeGreaterThan(5);
    for (const { method, path } of api) {
      const answer = await fetch(karin.url + path.replace(/:\w+/g, 'jobs'), {
        ...{ method, headers: { cookie: ann.cookieHeader() } },
      });
      expect(answer.status, `${method} ${path}`).toBe(401);
      // A browser that is asked for Basic credentials sends them with every later request, also of another site.
      expect(answer.headers.get('www-authenticate'), `${method} ${path}`).not.toMatch(/basic/i);
    }
  });
});

describe('a session', () => {
  it('is a new one at each log-in: what somebody planted in a browser before is worth nothing after', async () => {
    const [eve, victim] = [browser(karin.url), browser(karin.url)];
    await eve.logIn('eve');
    const planted = eve.cookies.get('karin_session') ?? '';
    victim.cookies.set('karin_session', planted);
    await victim.logIn('ann');
    expect(victim.cookies.get('karin_session')).not.toBe(planted);
    // The planted one is still that of eve: no more than she may.
    expect((await eve.press(address('/ops/queues/:key/hold'))).status).toBe(403);
    expect((await victim.press(address('/ops/queues/:key/hold'))).status).toBe(303);
    const again = browser(karin.url);
    await again.logIn('ann');
    expect(again.cookies.get('karin_session')).not.toBe(victim.cookies.get('karin_session'));
  });

  it('made by an open server, where nobody logs in, opens no closed one', async () => {
    const open = await runKarin({ AWS_REGION: 'eu-west-1' });
    const anybody = browser(open.url);
    await anybody.request('/ops');
    const stranger = browser(karin.url);
    stranger.cookies.set('karin_session', anybody.cookies.get('karin_session') ?? 'none was set');
    expect((await stranger.request('/ops')).status).toBe(303);
  });

  it('ends with the log-out, for whoever copied its cookie as well', async () => {
    const [ann, thief] = [browser(karin.url), browser(karin.url)];
    await ann.logIn('ann');
    for (const [name, value] of ann.cookies) thief.cookies.set(name, value);
    expect((await thief.request('/ops')).status).toBe(200);
    await ann.press('/ops/logout');
    expect((await thief.request('/ops')).status).toBe(303);
  });
});

describe('a text of a stranger', () => {
  it('is shown as a text on every page that shows it, in every answer to a form, and in what a page is patched with', async () => {
    const { karin, queues } = await serveStrangers();
    const admin = browser(karin.url);
    await admin.request('/ops/login', { password: PASSWORD });
    const answers: string[] = [];
    const keep = async (answer: Promise<Response>) => answers.push(await (await answer).text());

    const keys = queues.map(({ key }) => encodeURIComponent(key));
    const query = (['search', 'stage'] as const).map((name) => encodeURIComponent(hostile(name)));
    const paths = pathsOf('GET').flatMap((path) =>
      path.includes(':key')
        ? keys.flatMap((key) => filled(path.replace(':key', key), Object.keys(PARAMETERS)))
        : filled(path, Object.keys(PARAMETERS)),
    );
    for (const path of paths) {
      await keep(admin.request(path));
      await keep(admin.request(`${path}?messages=1&q=${query[0]}&show=${query[0]}&sort=${query[0]}&stage=${query[1]}`));
      const headers = { cookie: admin.cookieHeader(), accept: 'text/event-stream' };
      const live = await fetch(karin.url + path, { headers });
      const reader = live.body?.pipeThrough(new TextDecoderStream()).getReader();
      answers.push((await reader?.read())?.value ?? '');
      await reader?.cancel();
    }
    for (const queue of queues) {
      for (const { id } of await queue.browse(10)) {
        const page = `/ops/queues/${encodeURIComponent(queue.key)}/messages/${id}`;
        await keep(admin.request(page));
        const typed = {
          body: hostile('typed-body'),
          to: hostile('to-message'),
          seq: hostile('typed-body'),
          delay: 'x',
        };
        for (const doing of MESSAGE_ACTIONS.keys()) {
          await keep(admin.press(`${page}/${doing}`, { ...typed, confirmed: 'no' }));
        }
      }
    }
    await keep(admin.request(`/ops/search?q=X-hostile&from=start`));
    for (const form of FORMS.filter((form) => form !== '/ops/logout')) {
      const text = {
        body: hostile('typed-body'),
        delay: '9999',
        group: '',
        ids: hostile('typed-body'),
        to: hostile('typed-body'),
      };
      await keep(admin.press(address(form), text));
      await keep(admin.press(address(form), { ...text, confirmed: hostile('typed-body') }));
    }
    await keep(admin.request(`/ops/queues/${encodeURIComponent(keyOf('jobs'))}`));
    const stranger = browser(karin.url);
    await keep(stranger.request(`/ops/login?to=${encodeURIComponent(`/ops?${hostile('log-in-to')}`)}`));
    await keep(stranger.request('/ops/login', { password: hostile('typed-body'), to: hostile('log-in-to') }));

    const all = answers.join('\n');
    expect(/.{80}<x-hostile.{80}/s.exec(all)).toBeNull();
    expect(all).not.toContain('/onclick="x"');
    // Each was really there. In a patch the quote of the entity is the same, as JSON has nothing to escape in it.
    const missing = WRITTEN.filter((where) => !all.includes(`&lt;x-hostile/of=&quot;${where}&quot;/onclick`));
    expect(missing).toEqual(SHOWN_NOWHERE);
  });
});
