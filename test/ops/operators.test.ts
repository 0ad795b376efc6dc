import { request } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { password } from '../../runtime/cli/password.ts';
import {
  createOperatorProof,
  createPasswordCheck,
  hashPassword,
  parseOperators,
  roleFor,
} from '../../runtime/http/auth/operators.ts';
import { pageToOpen } from '../../runtime/ops/session.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../runtime/time.ts';
import { runCli } from '../cli/run-cli.ts';
import { jsonOf, type RunningKarin, runKarin, sqsCall } from '../http/running-karin.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { browser } from './page-visitor.ts';

const OPERATORS = 'ann:administer:ann-has-a-password; bob:operate:bob-has-a-password; eve:look:eve-has-a-password';
const QUEUE = `/ops/queues/${encodeURIComponent(keyOf('jobs'))}`;

function serve(overrides = {}, more = {}): Promise<RunningKarin> {
  const source = new ScriptedSource();
  source.found = discoveryOf([], { queues: [queueOf('jobs')] });
  const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS, ...more };
  return runKarin(env, { source, ...overrides });
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

describe('operators of programs', () => {
  const JOBS = `/api/v1/queues/jobs`;
  const as =
    (karin: RunningKarin, name: string, word = `${name}-has-a-password`) =>
    async (method: string, path: string, body?: unknown): Promise<Response> =>
      fetch(karin.url + path, {
        method,
        headers: {
          authorization: `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}`,
          'content-type': 'application/json',
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });

  it('do over /api/v1 and the other routes what their role allows, and nothing else, whatever they send', async () => {
    const karin = await serve();
    const calls = [
      ['GET', '/api/v1/status', 'look'],
      ['GET', '/api/v1/queues', 'look'],
      ['GET', `${JOBS}/messages`, 'look'],
      ['GET', '/api/v1/activity', 'look'],
      ['GET', '/metrics', 'look'],
      ['POST', `${JOBS}/hold`, 'operate'],
      ['POST', `${JOBS}/resume`, 'operate'],
      ['POST', `${JOBS}/purge`, 'operate'],
      ['POST', `${JOBS}/redrive`, 'operate'],
      ['POST', '/sync', 'administer'],
      ['POST', '/drain', 'administer'],
      ['POST', '/pull', 'administer'],
      ['GET', '/tokens', 'administer'],
      ['POST', '/tokens', 'administer'],
      ['DELETE', '/tokens/none', 'administer'],
      ['GET', '/api/v1/export', 'administer'],
      ['POST', '/api/v1/import', 'administer'],
    ] as const;
    const roles = ['look', 'operate', 'administer'];
    for (const [name, role] of [
      ['eve', 'look'],
      ['bob', 'operate'],
      ['ann', 'administer'],
    ] as const) {
      const call = as(karin, name);
      for (const [method, path, needed] of calls) {
        const response = await call(method, path, method === 'POST' ? {} : undefined);
        const what = `${name} ${method} ${path}`;
        expect([what, response.status === 403]).toEqual([what, roles.indexOf(role) < roles.indexOf(needed)]);
        if (response.status === 403) expect(await response.text()).toContain(`your role is ${role}`);
        else expect([what, response.status]).not.toEqual([what, 401]);
      }
    }
  });

  it('do no more by writing a path in another way that leads to the same route', async () => {
    const karin = await serve();
    const send = (name: string, method: string, path: string) =>
      new Promise<number>((resolve, reject) => {
        // As it is written: what fetch sends has no such segments left.
        const { hostname, port } = new URL(karin.url);
        const sent = request({ hostname, port, method, path, auth: `${name}:${name}-has-a-password` }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.on('error', reject);
        sent.end();
      });
    for (const path of [
      '/api/v1/%65xport',
      '/api/v1/%65xport?%ff',
      '/api/v1/./export',
      '/api/v1/x/../export',
      '/api/v1/x/%2e%2e/export',
      '/api/v1/export#x',
      '/api/v1\\export',
      '/ops/../tokens',
      '/ops/%2E%2e/tokens',
      '/%74okens',
    ]) {
      expect([path, await send('eve', 'GET', path)]).toEqual([path, expect.toBeOneOf([400, 403, 404])]);
    }
    for (const path of [
      `${JOBS}/dr%61in`,
      `${JOBS}/%70ull`,
      `${JOBS}/x/../drain`,
      '/api/v1/im%70ort',
      '/ops/../tokens',
      '/ops/../sync?x',
      '/dra%69n#x',
    ]) {
      expect([path, await send('bob', 'POST', path)]).toEqual([path, expect.toBeOneOf([400, 403, 404])]);
    }
    // What such a path must not have done.
    const { tokens } = await jsonOf(await as(karin, 'ann')('GET', '/tokens'));
    expect(tokens).toEqual([]);
  });

  it('are refused with a wrong name, a wrong password or that of another, and nothing says which it was', async () => {
    const karin = await serve({});
    const answers = new Set<string>();
    for (const [name, word] of [
      ['ann', 'bob-has-a-password'],
      ['zoe', 'ann-has-a-password'],
      ['admin', 'ann-has-a-password'],
      ['ann', ''],
      ['', 'ann-has-a-password'],
    ] as const) {
      const response = await as(karin, name, word)('GET', '/api/v1/status');
      expect(response.status).toBe(403);
      if (name !== '') answers.add(await response.text());
    }
    expect(answers.size).toBe(1);
    // Being right once is remembered for its own password alone.
    expect((await as(karin, 'ann')('GET', '/api/v1/status')).status).toBe(200);
    expect((await as(karin, 'ann')('GET', '/api/v1/status')).status).toBe(200);
    expect((await as(karin, 'ann', 'another password')('GET', '/api/v1/status')).status).toBe(403);
  });

  it('are no callers of the SQS API, which takes credentials of programs', async () => {
    const { url } = await serve();
    const headers = { authorization: `Basic ${Buffer.from('ann:ann-has-a-password').toString('base64')}` };
    expect((await sqsCall(url, 'ListQueues', {}, headers)).status).toBe(403);
  });

  it('keep the admin password and tokens as they were, whatever name stands before them', async () => {
    const karin = await runKarin({
      ...{ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS },
      ...{ KARIN_ADMIN_PASSWORD: 'one password for all', KARIN_TOKENS: 'token-of-a-program-0123456789:manage' },
    });
    for (const word of ['one password for all', 'token-of-a-program-0123456789']) {
      for (const name of ['admin', 'ann', 'anybody']) {
        expect((await as(karin, name, word)('GET', '/api/v1/status')).status).toBe(200);
      }
    }
    expect((await as(karin, 'admin', 'another password')('GET', '/api/v1/status')).status).toBe(403);
  });

  it('stand in the audit with their names, and their passwords nowhere', async () => {
    const hash = await hashPassword('ann-has-a-password');
    const karin = await serve({}, { KARIN_OPERATORS: `ann:administer:${hash}` });
    const ann = as(karin, 'ann');
    expect((await ann('POST', `${JOBS}/hold`, {})).status).toBe(200);
    expect((await ann('POST', `${JOBS}/resume`, {})).status).toBe(200);
    const told = karin.logged.filter((line) => line.includes('"who":"ann"')).map((line) => JSON.parse(line).what);
    expect(told).toEqual(['hold', 'resume']);
    expect(karin.logged.join()).not.toContain('ann-has-a-password');
  });

  it('are asked for their hash again after five minutes, and at once when their password was changed', async () => {
    const time = new ManualTime();
    let checks = 0;
    let secret = 'a long password';
    const proof = createOperatorProof({
      operators: () => new Map([['ann', { name: 'ann', role: 'look', secret }]]),
      passwords: {
        fits: async (operator, password) => {
          checks += 1;
          return operator?.secret === password;
        },
      },
      attempts: { exhausted: () => false, failed: () => {}, proven: () => {} },
      letsIn: () => false,
      time,
    });
    const prove = (word: string) => proof.prove(`Basic ${Buffer.from(`ann:${word}`).toString('base64')}`, '127.0.0.1');
    for (let n = 0; n < 3; n += 1) expect((await prove('a long password'))?.name).toBe('ann');
    expect(checks).toBe(1);
    time.advance(300_000);
    await prove('a long password');
    expect(checks).toBe(2);
    secret = 'another password';
    await expect(prove('a long password')).rejects.toThrow('The name or the password is wrong');
    await expect(prove('a wrong password')).rejects.toThrow('The name or the password is wrong');
    expect(checks).toBe(4);
  });

  it('use the commands with --user or KARIN_OPERATOR and their password', async () => {
    const karin = await serve();
    const env = { KARIN_URL: karin.url, KARIN_OPERATOR_PASSWORD: 'eve-has-a-password' };
    expect((await runCli(['status', '--user', 'eve'], env)).out).toContain('1 queues');
    const named = { ...env, KARIN_OPERATOR: 'eve', KARIN_ADMIN_PASSWORD: 'not looked at' };
    expect((await runCli(['queues'], named)).out).toContain('jobs');
    await expect(runCli(['hold', 'jobs', '--yes'], named)).rejects.toThrow(/your role is look; .* operate$/);
    await expect(runCli(['sync'], named)).rejects.toMatchObject({ status: 4 });
    await expect(runCli(['status', '--user', 'bob'], env)).rejects.toThrow('must be the password of bob');
    await expect(runCli(['status', '--user', 'bob'], { KARIN_URL: karin.url })).rejects.toMatchObject({
      message: expect.stringContaining('set KARIN_OPERATOR_PASSWORD'),
      status: 2,
    });
    const bob = { KARIN_URL: karin.url, KARIN_OPERATOR: 'bob', KARIN_OPERATOR_PASSWORD: 'bob-has-a-password' };
    expect((await runCli(['hold', 'jobs', '--yes'], bob)).status).toBe(0);
    await expect(runCli(['token', 'list'], bob)).rejects.toThrow('this takes the role administer');
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
    for (const path of ['/sync', '/sync/', '/drain', '/pull']) expect(roleFor('POST', path)).toBe('administer');
    for (const method of ['GET', 'POST', 'DELETE']) expect(roleFor(method, '/tokens/x')).toBe('administer');
    expect(roleFor('POST', '/api/v1/queues/sync/hold')).toBe('operate');
    expect(roleFor('POST', '/api/v1/queues/import/hold')).toBe('operate');
    for (const method of ['GET', 'HEAD', 'POST']) expect(roleFor(method, '/api/v1/export')).toBe('administer');
  });
});
