import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { placesOf } from '../../runtime/aws/scope.ts';
import { authorizationSecret, createSessions } from '../../runtime/http/auth/admin.ts';
import { createAttemptLimit } from '../../runtime/http/auth/attempt-limit.ts';
import {
  grants,
  hashToken,
  isLoopback,
  parseAccessKeys,
  parseQueueGlobs,
  parseScopes,
  parseTokens,
  readCredentialBook,
  splitCapability,
} from '../../runtime/http/auth/credentials.ts';
import { ConfigError } from '../../runtime/settings.ts';
import { ManualTime } from '../support/manual-time.ts';

const SECRET = 's3cr3t-s3cr3t-s3cr3t/+';
/** A server with one scope. */
const HOME = placesOf({ region: 'eu-west-1' }, []);
const queue = (name: string) => ({ region: 'eu-west-1', account: '111122223333', name });

describe('access keys', () => {
  it('have scopes and queues, all by default', () => {
    const problems: string[] = [];
    const keys = parseAccessKeys(
      `AKIA1:${SECRET}, AKIA2:${SECRET}:send+consume:app-*|jobs\nAKIA3:${SECRET}:manage # the operator's`,
      'KARIN_KEYS',
      problems,
    );
    expect(problems).toEqual([]);
    expect(keys).toEqual([
      { id: 'AKIA1', secret: SECRET, grant: { scopes: ['send', 'consume', 'manage'], queues: ['*'] } },
      { id: 'AKIA2', secret: SECRET, grant: { scopes: ['send', 'consume'], queues: ['app-*', 'jobs'] } },
      { id: 'AKIA3', secret: SECRET, grant: { scopes: ['manage'], queues: ['*'] } },
    ]);
  });

  it('are refused with a reason that does not repeat a secret', () => {
    const problems: string[] = [];
    const text = `a b:short AKIA1:${SECRET}:read AKIA2:${SECRET}:send:bad/name AKIA3:${SECRET}:send:x:y`;
    expect(parseAccessKeys(text, 'KARIN_KEYS', problems)).toEqual([]);
    expect(problems).toHaveLength(7);
    expect(problems).toContain(
      'KARIN_KEYS, entry 3: "read" is not a scope: use send, consume, manage or all, joined by +',
    );
    expect(problems.join()).not.toContain('s3cr3t');
    expect(problems.join()).not.toContain('short');
  });
});

describe('capability tokens of the environment', () => {
  it('may send, unless they say otherwise, and only their hash is kept', () => {
    const problems: string[] = [];
    const token = 'a1b2c3d4e5f6a1b2c3d4e5f6';
    const [first, second] = parseTokens(`${token} ${token}x:consume:jobs`, 'KARIN_TOKENS', problems);
    expect(problems).toEqual([]);
    expect(first).toMatchObject({ hash: hashToken(token), grant: { scopes: ['send'], queues: ['*'] } });
    expect(second?.grant).toEqual({ scopes: ['consume'], queues: ['jobs'] });
    expect(JSON.stringify(first)).not.toContain(token);
  });

  it('must be long enough', () => {
    const problems: string[] = [];
    expect(parseTokens('hunter2:send', 'KARIN_TOKENS', problems)).toEqual([]);
    expect(problems).toEqual([
      'KARIN_TOKENS, entry 1: a token must be 22 to 128 letters, digits, - or _, for example from: openssl rand -hex 24',
    ]);
  });

  it.each([
    ['/k/abc', { before: '', token: 'abc', rest: '/' }],
    ['/k/abc/', { before: '', token: 'abc', rest: '/' }],
    ['/k/abc/000000000000/jobs', { before: '', token: 'abc', rest: '/000000000000/jobs' }],
    ['https://x.example/base/k/abc/1/jobs', { before: 'https://x.example/base', token: 'abc', rest: '/1/jobs' }],
    ['/000000000000/k', undefined],
    ['/k/', undefined],
    ['/ka/abc', undefined],
    ['/k//k/abc', { before: '/k/', token: 'abc', rest: '/' }],
    ['/k/a b/k/abc/1', { before: '/k/a b', token: 'abc', rest: '/1' }],
  ])('%s', (path, split) => {
    expect(splitCapability(path)).toEqual(split);
  });

  // With a pattern that can match one text in many ways each of these takes longer than a test may.
  it('are looked for in a text of a stranger in one pass', () => {
    expect(splitCapability(`${'/k'.repeat(100_000)}\n`)).toMatchObject({ token: 'k' });
    expect(splitCapability(`${'/k/a!'.repeat(200_000)}\n`)).toBeUndefined();
    expect(splitCapability(`/k/${'a'.repeat(1_000_000)}\n`)).toBeUndefined();
  });
});

describe('grants', () => {
  it.each([
    ['*', 'jobs', true],
    ['app-*', 'app-', true],
    ['app-*', 'app-jobs.fifo', true],
    ['app-*', 'my-app-jobs', false],
    ['*-jobs', 'a-b-jobs', true],
    ['j?bs', 'jobs', true],
    ['j?bs', 'jbs', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
    ['jobs', 'jobs2', false],
  ])('%s for %s: %s', (glob, name, expected) => {
    expect(grants({ scopes: ['send'], queues: [glob] }, 'send', queue(name), HOME)).toBe(expected);
  });

  it('hold for their scopes only; without a queue for any', () => {
    const grant = { scopes: ['send'] as const, queues: ['app-*'] };
    expect(grants(grant, 'consume', queue('app-x'), HOME)).toBe(false);
    expect(grants(grant, 'send', undefined, HOME)).toBe(true);
  });

  it('say what is wrong with them', () => {
    expect(parseScopes('all')).toEqual(['send', 'consume', 'manage']);
    expect(parseScopes('')).toHaveProperty('problem');
    expect(parseScopes('send+receive')).toHaveProperty('problem');
    expect(parseQueueGlobs('')).toHaveProperty('problem');
    expect(parseQueueGlobs('a b')).toHaveProperty('problem');
  });

  it('match a hostile pattern in no time', () => {
    const grant = { scopes: ['send'] as const, queues: ['*a*a*a*a*a*a*a*a*a*b'] };
    expect(grants(grant, 'send', queue('a'.repeat(80)), HOME)).toBe(false);
  });
});

describe('the book of credentials', () => {
  const folder = mkdtempSync(join(tmpdir(), 'karin-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('joins environment and files, and lists every problem', () => {
    const keysFile = join(folder, 'keys');
    writeFileSync(keysFile, `# old and new, until every caller has moved\nAKIAOLD:${SECRET}\nAKIANEW:${SECRET}\n`);
    const book = readCredentialBook({ operatorsText: '', keysText: `AKIA1:${SECRET}`, keysFile, tokensText: '' });
    expect([...book.keys.keys()]).toEqual(['AKIA1', 'AKIAOLD', 'AKIANEW']);

    const tokensFile = join(folder, 'missing');
    const bad = { operatorsText: '', keysText: `AKIAOLD:${SECRET} x`, keysFile, tokensText: 'short', tokensFile };
    expect(() => readCredentialBook(bad)).toThrow(ConfigError);
    try {
      readCredentialBook(bad);
    } catch (error) {
      expect(error).toHaveProperty('problems.length', 5);
    }
  });

  it.each([
    ['127.0.0.1', true],
    ['127.8.9.10', true],
    ['::1', true],
    ['localhost', true],
    ['0.0.0.0', false],
    ['::', false],
    ['10.0.0.1', false],
    ['127.0.0.1.example.com', false],
  ])('%s is loopback: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});

describe('the limit on failed attempts', () => {
  it('lets an address fail twenty times, then once in three seconds', () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    for (let attempt = 0; attempt < 20; attempt++) {
      expect(limit.exhausted('203.0.113.7')).toBe(false);
      limit.failed('203.0.113.7');
    }
    expect(limit.exhausted('203.0.113.7')).toBe(true);
    expect(limit.exhausted('203.0.113.8')).toBe(false);
    time.advance(3000);
    expect(limit.exhausted('203.0.113.7')).toBe(false);
    limit.failed('203.0.113.7');
    expect(limit.exhausted('203.0.113.7')).toBe(true);
    expect(limit.failures).toBe(21);
  });

  it('takes a network of IPv6 for one address, and an IPv4 address for itself however it is written', () => {
    const limit = createAttemptLimit(new ManualTime());
    for (let attempt = 0; attempt < 20; attempt++) limit.failed(`2001:db8:1:2::${attempt.toString(16)}`);
    expect(limit.exhausted('2001:db8:1:2:ffff:1:2:3')).toBe(true);
    expect(limit.exhausted('2001:db8:1:3::1')).toBe(false);
    for (let attempt = 0; attempt < 20; attempt++) limit.failed('::ffff:192.0.2.1');
    expect(limit.exhausted('192.0.2.1')).toBe(true);
    expect(limit.exhausted('::ffff:192.0.2.2')).toBe(false);
  });

  it('forgets the address that failed longest ago before it remembers too many', () => {
    const limit = createAttemptLimit(new ManualTime());
    for (let attempt = 0; attempt < 20; attempt++) limit.failed('192.0.2.1');
    for (let other = 0; other < 9_999; other++) limit.failed(`10.${other >> 16}.${(other >> 8) & 255}.${other & 255}`);
    expect(limit.exhausted('192.0.2.1')).toBe(true);
    limit.failed('198.51.100.1');
    expect(limit.exhausted('192.0.2.1')).toBe(false);
  });
});

describe('an attempt at the admin password', () => {
  const stays = () => new AbortController().signal;

  /** Whether it may be looked at once `ms` have passed, and not a millisecond earlier. */
  async function waits(time: ManualTime, wait: Promise<void> | undefined, ms: number): Promise<boolean> {
    let over = wait === undefined;
    void wait?.then(() => {
      over = true;
    });
    if (ms > 0) await time.advanceAsync(ms - 1);
    const early = over;
    await time.advanceAsync(ms > 0 ? 1 : 0);
    return over && (ms === 0 || !early);
  }

  it('waits longer with each that failed at its address, up to eight seconds, and is never refused', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    for (let attempt = 0; attempt < 20; attempt++) {
      expect(limit.wait('192.0.2.1', stays)).toBeUndefined();
      limit.failed('192.0.2.1');
    }
    expect(await waits(time, limit.wait('192.0.2.1', stays), 250)).toBe(true);
    for (let attempt = 0; attempt < 50; attempt++) limit.failed('192.0.2.1');
    expect(await waits(time, limit.wait('192.0.2.1', stays), 8000)).toBe(true);
    expect(limit.wait('192.0.2.2', stays)).toBeUndefined();
  });

  it('counts while it waits, so that many at one time are no way around', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    for (let attempt = 0; attempt < 20; attempt++) limit.failed('192.0.2.1');
    const first = limit.wait('192.0.2.1', stays);
    for (let attempt = 0; attempt < 5; attempt++) void limit.wait('192.0.2.1', stays);
    const last = limit.wait('192.0.2.1', stays);
    expect(await waits(time, first, 250)).toBe(true);
    expect(await waits(time, last, 7750)).toBe(true);
  });

  it('waits at an unknown address once a hundred failed anywhere, and not at one that knew the password', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    expect(limit.wait('192.0.2.1', stays)).toBeUndefined();
    limit.proven('192.0.2.1');
    for (let attempt = 0; attempt < 100; attempt++) void limit.wait(`10.0.0.${attempt}`, stays);
    expect(limit.wait('192.0.2.1', stays)).toBeUndefined();
    expect(await waits(time, limit.wait('192.0.2.2', stays), 250)).toBe(true);
    await time.advanceAsync(86_400_000);
    expect(limit.wait('192.0.2.2', stays)).toBeUndefined();
  });

  it('ends its wait at once when its client is gone, and leaves no timer', async () => {
    const time = new ManualTime();
    const limit = createAttemptLimit(time);
    for (let attempt = 0; attempt < 30; attempt++) limit.failed('192.0.2.1');
    const client = new AbortController();
    const wait = limit.wait('192.0.2.1', () => client.signal);
    client.abort();
    await wait;
    expect(time.pending).toBe(0);
  });
});

describe('sessions of the ops page', () => {
  const time = new ManualTime();
  const sessions = createSessions(
    'secret of the store',
    () => 'a long password',
    () => time.now(),
  );

  it('hold for twelve hours', () => {
    const { cookie, maxAgeSeconds } = sessions.begin('ann');
    expect(maxAgeSeconds).toBe(43_200);
    expect(sessions.holds(cookie)).toBe(true);
    time.advance(43_199_999);
    expect(sessions.holds(cookie)).toBe(true);
    time.advance(1);
    expect(sessions.holds(cookie)).toBe(false);
  });

  it('cannot be forged, prolonged, or used with another password', () => {
    const { cookie } = sessions.begin('ann');
    expect(sessions.holds(cookie.replace(/^\d/, '9'))).toBe(false);
    expect(sessions.holds(`${cookie}x`)).toBe(false);
    expect(sessions.holds(undefined)).toBe(false);
    expect(sessions.holds('')).toBe(false);
    expect(
      createSessions(
        'secret of the store',
        () => 'a new password',
        () => time.now(),
      ).holds(cookie),
    ).toBe(false);
    expect(
      createSessions(
        'another secret',
        () => 'a long password',
        () => time.now(),
      ).holds(cookie),
    ).toBe(false);
  });

  it('have a form token each', () => {
    const one = sessions.begin('ann').cookie;
    const other = sessions.begin('ann').cookie;
    expect(sessions.formTokenHolds(one, sessions.formToken(one))).toBe(true);
    expect(sessions.formTokenHolds(other, sessions.formToken(one))).toBe(false);
    expect(sessions.formTokenHolds(one, undefined)).toBe(false);
  });
});

describe('the Authorization header', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer abc ', 'abc'],
    [`Basic ${Buffer.from('admin:a:b').toString('base64')}`, 'a:b'],
    [`Basic ${Buffer.from('no colon').toString('base64')}`, 'no colon'],
    ['AWS4-HMAC-SHA256 Credential=x', undefined],
    ['Bearer', undefined],
    [undefined, undefined],
  ])('%s', (value, secret) => {
    expect(authorizationSecret(value)).toBe(secret);
  });

  it('is read in one pass, however many spaces a stranger puts into it', () => {
    const secret = `a${' '.repeat(500_000)}b`;
    expect(authorizationSecret(`Bearer ${secret}  `)).toBe(secret);
  });
});
