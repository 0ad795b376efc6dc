import { beforeEach, describe, expect, it } from 'vitest';
import { createLogTails } from '../../runtime/consumer/delivery.ts';
import { createFunctionActions, MOST_CHECKED } from '../../runtime/ops/function-actions.ts';
import { logsHref } from '../../runtime/ops/logs-link.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

const REFUSED = '403: AccessDeniedException: not authorized to perform: lambda:InvokeFunction';

describe('the logs that an operator asks for', () => {
  let time: ManualTime;
  let store: MemoryStore;
  beforeEach(() => {
    time = new ManualTime();
    store = new MemoryStore({ time });
  });

  it('are kept for ten minutes, on every server of the store', async () => {
    const [one, two] = [await createLogTails(store.documents, time), await createLogTails(store.documents, time)];
    store.subscribe((signal) => void two.heard(signal));
    expect(one.wanted('a')).toBe(false);
    const until = await one.keep('a');
    await two.heard({ kind: 'document', name: 'log-tails' });
    for (const server of [one, two]) {
      expect([server.wanted('a'), server.until('a'), server.wanted('b')]).toEqual([true, until, false]);
    }
    await two.keep('b');
    await one.heard({ kind: 'gap' });
    expect(one.wanted('a') && one.wanted('b')).toBe(true);
    time.advance(600_000);
    expect(one.wanted('a') || two.wanted('b')).toBe(false);
  });

  it('are those of a hundred functions at most, and what another version wrote asks for none', async () => {
    const tails = await createLogTails(store.documents, time);
    for (let n = 0; n <= 100; n += 1) {
      time.advance(1);
      await tails.keep(`f${n}`);
    }
    expect([tails.wanted('f0'), tails.wanted('f1'), tails.wanted('f100')]).toEqual([false, true, true]);
    await store.documents.put('log-tails', '["f1"]');
    await tails.heard({ kind: 'gap' });
    expect(tails.wanted('f1')).toBe(false);
  });
});

describe('the check of permissions', () => {
  it('asks about a bounded number of functions, a few at one time, and remembers what was said', async () => {
    const time = new ManualTime();
    let [open, most, asked] = [0, 0, 0];
    const actions = createFunctionActions({
      invoker: {
        probe: async (arn) => {
          asked += 1;
          open += 1;
          most = Math.max(most, open);
          await Promise.resolve();
          open -= 1;
          return arn === 'f1' ? { kind: 'unreached', why: 'no-way', message: REFUSED } : { kind: 'reached' };
        },
      },
      logTails: await createLogTails(new MemoryStore({ time }).documents, time),
      syncState: () => undefined,
      time,
    });
    await actions.check(Array.from({ length: 1_000 }, (_, n) => `f${n}`));
    expect(asked).toBe(MOST_CHECKED);
    expect(most).toBeLessThanOrEqual(5);
    expect(actions.checkOf('f0')).toEqual({ may: true, at: time.now() });
    expect(actions.checkOf('f1')).toEqual({ may: false, why: REFUSED, at: time.now() });
    expect(actions.checkOf('f999')).toBeUndefined();
  });
});

describe('the functions of a server', () => {
  const PASSWORD = 'one password for all';
  const scene = async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf([], {
      mappings: ['jobs', 'mails'].map((name) => mappingOf(name)),
      queues: ['jobs', 'mails'].map((name) => queueOf(name)),
    });
    const invoker = {
      invoke: async () => ({ kind: 'success', response: new Uint8Array() }) as const,
      probe: async (arn: string) =>
        arn.endsWith('on-mails')
          ? ({ kind: 'unreached', why: 'no-way', message: REFUSED } as const)
          : ({ kind: 'reached' } as const),
      close: () => {},
    };
    const karin = await runKarin(
      {
        ...{ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_ADMIN_PASSWORD: PASSWORD },
        KARIN_TOKENS: 'token-of-the-jobs-team-0123456789:manage:jobs',
      },
      { source, invoker },
    );
    return {
      karin,
      run: (...args: readonly string[]) => runCli(args, { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD }),
    };
  };

  it('are listed, checked by a dry run with what Lambda said, and their logs asked for, by commands', async () => {
    const { run } = await scene();
    expect((await run('functions')).out.split('\n')[1]).toMatch(/^on-jobs +jobs +not checked +-$/);
    const checked = await run('functions', '--check');
    expect(checked.status).toBe(1);
    expect(checked.out).toMatch(/on-jobs +jobs +may be invoked/);
    expect(checked.out).toContain(`WRONG: ${REFUSED}`);
    expect((await run('log-tails', 'on-jobs')).out).toMatch(/^the log of on-jobs is kept with each failure until 20/);
    expect((await run('functions')).out).toMatch(/on-jobs +jobs +may be invoked +kept until 20/);
    await expect(run('log-tails', 'nobody')).rejects.toMatchObject({ status: 3 });
  });

  it('are those of the queues that a credential reaches', async () => {
    const { karin } = await scene();
    const ask = async (method: string, path: string) =>
      fetch(karin.url + path, { method, headers: { authorization: 'Bearer token-of-the-jobs-team-0123456789' } });
    for (const [method, path] of [
      ['GET', '/api/v1/functions'],
      ['POST', '/api/v1/functions/check'],
    ] as const) {
      const text = await (await ask(method, path)).text();
      expect(text).toContain('on-jobs');
      expect(text).not.toContain('on-mails');
    }
    expect((await ask('POST', '/api/v1/functions/on-mails/log-tails')).status).toBe(404);
  });

  it('are checked from their page, which says when, and by nobody who may only look', async () => {
    const source = new ScriptedSource();
    source.found = discoveryOf([], { mappings: [mappingOf('jobs')], queues: [queueOf('jobs')] });
    const invoker = {
      invoke: async () => ({ kind: 'success', response: new Uint8Array() }) as const,
      probe: async () => ({ kind: 'unreached', why: 'no-way', message: REFUSED }) as const,
      close: () => {},
    };
    const operators = 'bob:operate:bob-has-a-password;eve:look:eve-has-a-password';
    const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: operators };
    const { url } = await runKarin(env, { source, invoker });
    const [bob, eve] = [await logIn(url, 'bob'), await logIn(url, 'eve')];
    expect(await eve.page()).not.toContain('Check permissions');
    for (const path of ['/functions/check', '/functions/log-tails']) expect(await eve.press(path)).toBe(403);
    expect(await bob.page()).toContain('not checked');
    expect(await bob.press('/functions/check')).toBe(303);
    expect(await bob.page()).toContain(REFUSED);
    const arn = mappingOf('jobs').functionArn;
    expect(await bob.press('/functions/log-tails', { function: `${arn}x` })).toBe(404);
    expect(await bob.press('/functions/log-tails', { function: arn })).toBe(303);
    expect(await bob.page()).toContain('kept with each failure until');
  });
});

async function logIn(url: string, name: string) {
  const form = (fields: Readonly<Record<string, string>>, cookie = '') => ({
    method: 'POST',
    redirect: 'manual' as const,
    headers: { cookie },
    body: new URLSearchParams(fields),
  });
  const answer = await fetch(`${url}/ops/login`, form({ name, password: `${name}-has-a-password` }));
  const cookie = answer.headers.getSetCookie()[0]?.split(';')[0] ?? '';
  const page = async (): Promise<string> => (await fetch(`${url}/functions`, { headers: { cookie } })).text();
  const press = async (path: string, fields = {}): Promise<number> => {
    const csrf = /name="csrf" value="([^"]+)"/.exec(await page())?.[1] ?? '';
    return (await fetch(url + path, form({ csrf, ...fields }, cookie))).status;
  };
  return { page, press };
}

describe('the link to a log', () => {
  const of = (functionArn: string, requestId: string | undefined = '1-2') =>
    logsHref({ functionArn, ...(requestId === undefined ? {} : { requestId }) });

  it('leads to the console of the partition, with the request id as its filter', () => {
    expect(of('arn:aws:lambda:eu-west-1:111122223333:function:shop:live')).toBe(
      'https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Flambda$252Fshop/log-events$3FfilterPattern$3D$25221-2$2522',
    );
    expect(of('arn:aws-cn:lambda:cn-north-1:111122223333:function:shop')).toMatch(
      /^https:\/\/cn-north-1\.console\.amazonaws\.cn\/cloudwatch\/home\?region=cn-north-1#/,
    );
    expect(of('arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:shop')).toMatch(
      /^https:\/\/us-gov-west-1\.console\.amazonaws-us-gov\.com\//,
    );
  });

  it('is there for functions in AWS alone, and for runs whose id is known', () => {
    for (const arn of [
      'arn:aws:lambda:eu-west-1:000000000000:function:shop',
      'arn:other:lambda:x:1:function:shop',
      '',
    ]) {
      expect(of(arn)).toBeUndefined();
    }
    expect(logsHref({ functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:shop' })).toBeUndefined();
  });
});
