import { existsSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { InvokeCommand } from '@aws-sdk/client-lambda';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { unusable } from '../../runtime/dev/bundle.ts';
import { systemTime, type Time } from '../../runtime/time.ts';
import { ScratchLambda } from './scratch-lambda.ts';
import { zip } from './zip.ts';

/** Handlers call it and wait until the test lets them go on. */
class Gate {
  readonly #server: Server;
  readonly #waiting: (() => void)[] = [];
  #arrived = 0;
  #wanted: { readonly count: number; readonly resolve: () => void } | undefined;

  constructor() {
    this.#server = createServer((_, response) => {
      this.#waiting.push(() => response.end());
      this.#arrived += 1;
      if (this.#wanted !== undefined && this.#arrived >= this.#wanted.count) this.#wanted.resolve();
    });
  }

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    // Listening on a TCP port: the address is never the name of a pipe.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Resolves once `count` handlers have arrived in all. */
  arrived(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wanted = { count, resolve };
      if (this.#arrived >= count) resolve();
    });
  }

  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  close(): void {
    this.release();
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

describe('execution environments', () => {
  let scratch: ScratchLambda;
  let gate: Gate;

  beforeEach(() => {
    scratch = new ScratchLambda();
    gate = new Gate();
  });
  afterEach(async () => {
    gate.close();
    await scratch.stop();
  });

  const COUNTING = 'let runs = 0; exports.handler = async () => { runs += 1; return { pid: process.pid, runs }; };';

  it('are used again', async () => {
    await scratch.start();
    scratch.write('index.js', COUNTING);
    scratch.apply([scratch.define()]);
    const first = await scratch.invoke('fn');
    const second = await scratch.invoke('fn');
    expect(first.value).toMatchObject({ runs: 1 });
    expect(second.value).toEqual({ ...Object(first.value), runs: 2 });
  });

  it('run side by side when several events come at once', async () => {
    await scratch.start();
    const url = await gate.open();
    scratch.write('index.js', `exports.handler = async () => { await fetch('${url}'); return process.pid; };`);
    scratch.apply([scratch.define()]);
    const runs = [scratch.invoke('fn'), scratch.invoke('fn'), scratch.invoke('fn')];
    await gate.arrived(3);
    gate.release();
    const pids = (await Promise.all(runs)).map(({ value }) => value);
    expect(new Set(pids).size).toBe(3);
  });

  it('are no more than the function reserves', async () => {
    await scratch.start();
    const url = await gate.open();
    scratch.write('index.js', `exports.handler = async () => { await fetch('${url}'); };`);
    scratch.apply([scratch.define({ reservedConcurrency: 1 })]);
    const running = scratch.invoke('fn');
    await gate.arrived(1);
    await expect(scratch.invoke('fn')).rejects.toMatchObject({
      name: 'TooManyRequestsException',
      Reason: 'ReservedFunctionConcurrentInvocationLimitExceeded',
      $metadata: { httpStatusCode: 429 },
    });
    gate.release();
    await running;
  });

  it('are no more than the machine may have, and an idle one makes room', async () => {
    await scratch.start({ maxWorkers: 1 });
    const url = await gate.open();
    scratch.write(
      'index.js',
      `exports.handler = async (event) => { if (event.wait) await fetch('${url}'); return 1; };`,
    );
    scratch.apply([scratch.define({ name: 'one' }), scratch.define({ name: 'two' })]);
    expect((await scratch.invoke('one')).value).toBe(1);
    const running = scratch.invoke('two', { wait: true });
    await gate.arrived(1);
    await expect(scratch.invoke('one')).rejects.toMatchObject({ Reason: 'ConcurrentInvocationLimitExceeded' });
    gate.release();
    await running;
  });

  it('are reached by a debugger at one port, before the first event and after an edit, and no timeout ends them while it is attached', async () => {
    const timeouts: (() => void)[] = [];
    const time: Time = {
      ...systemTime,
      after: (delayMs, run) => {
        if (delayMs === 7_000) timeouts.push(run);
        return delayMs === 7_000 ? () => {} : systemTime.after(delayMs, run);
      },
    };
    await scratch.start({ time, inspect: 0 });
    const url = await gate.open();
    const path = scratch.write('index.js', `exports.handler = async () => { await fetch('${url}'); return 'old'; };`);
    scratch.apply([scratch.define({ timeoutSeconds: 7 })]);
    await scratch.printed('debugger: 127.0.0.1:');
    const [, port = ''] = /debugger: 127\.0\.0\.1:(\d+)/.exec(scratch.lines.join('\n')) ?? [];
    const [program] = z
      .array(z.object({ webSocketDebuggerUrl: z.string() }))
      .parse(await (await fetch(`http://127.0.0.1:${port}/json/list`)).json());
    expect(program?.webSocketDebuggerUrl).toContain(`127.0.0.1:${port}/`);

    const socket = connect(Number(port), '127.0.0.1');
    const answered = new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))));
    const { pathname } = new URL(program?.webSocketDebuggerUrl ?? '');
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n',
    );
    expect(await answered).toContain('101 Switching Protocols');
    expect(await scratch.lambda.isDebugged('fn')).toBe(true);
    const running = scratch.invoke('fn');
    await gate.arrived(1);
    timeouts.at(-1)?.();
    // One process at a time: a breakpoint that all events meet.
    await expect(scratch.invoke('fn')).rejects.toMatchObject({ name: 'TooManyRequestsException' });
    gate.release();
    expect((await running).value).toBe('old');
    expect(scratch.lines.join('\n')).not.toContain('Debugger listening');

    const closed = new Promise((resolve) => socket.once('close', resolve));
    scratch.write('index.js', "exports.handler = async () => 'new';");
    await scratch.lambda.changed([path]);
    await closed;
    expect((await fetch(`http://127.0.0.1:${port}/json/version`)).status).toBe(200);
    expect((await scratch.invoke('fn')).value).toBe('new');
  });

  it('run with another port for a debugger where those above the wanted one end', async () => {
    await scratch.start({ inspect: 65_535 });
    scratch.write('index.js', 'exports.handler = async () => "fine";');
    scratch.apply([scratch.define(), scratch.define({ name: 'other' })]);
    await Promise.all([scratch.printed('[fn] debugger: 127.0.0.1:'), scratch.printed('[other] debugger: 127.0.0.1:')]);
    expect((await scratch.invoke('other')).value).toBe('fine');
    expect(await scratch.lambda.isDebugged('other')).toBe(false);
  });

  it('are stopped after five idle minutes', async () => {
    const idle: (() => void)[] = [];
    const time: Time = {
      ...systemTime,
      after: (delayMs, run) => {
        if (delayMs !== 300_000) return systemTime.after(delayMs, run);
        idle.push(run);
        return () => {};
      },
    };
    await scratch.start({ time });
    scratch.write('index.js', COUNTING);
    scratch.apply([scratch.define()]);
    const first = await scratch.invoke('fn');
    expect(idle).toHaveLength(1);
    idle[0]?.();
    const second = await scratch.invoke('fn');
    expect(second.value).toMatchObject({ runs: 1 });
    expect(second.value).not.toEqual(first.value);
  });

  it('take up changed code when its file changed, and changed settings after the template did', async () => {
    await scratch.start();
    scratch.write('index.ts', 'export const handler = async () => ({ version: 1, greeting: process.env.GREETING });');
    scratch.apply([scratch.define()]);
    expect((await scratch.invoke('fn')).value).toEqual({ version: 1 });
    scratch.write('index.ts', 'export const handler = async () => ({ version: 2, greeting: process.env.GREETING });');
    await scratch.lambda.changed([join(scratch.folder, 'index.ts')]);
    expect((await scratch.invoke('fn')).value).toEqual({ version: 2 });
    scratch.apply([scratch.define({ environment: { GREETING: 'hello' } })]);
    expect((await scratch.invoke('fn')).value).toEqual({ version: 2, greeting: 'hello' });
  });

  it('finish what they began when the code changes under them', async () => {
    await scratch.start();
    const url = await gate.open();
    scratch.write('index.js', `exports.handler = async () => { await fetch('${url}'); return 'old'; };`);
    scratch.apply([scratch.define()]);
    const running = scratch.invoke('fn');
    await gate.arrived(1);
    scratch.write('index.js', "exports.handler = async () => 'new';");
    await scratch.lambda.changed([join(scratch.folder, 'index.js')]);
    expect((await scratch.invoke('fn')).value).toBe('new');
    gate.release();
    expect((await running).value).toBe('old');
    expect((await scratch.invoke('fn')).value).toBe('new');
  });

  it('go on with the code that they have when a file is saved half written, until one that is whole is', async () => {
    await scratch.start();
    const path = scratch.write('index.ts', "export const handler = async () => 'whole';");
    scratch.apply([scratch.define()]);
    expect((await scratch.invoke('fn')).value).toBe('whole');
    scratch.write('index.ts', 'export const handler = async () => {');
    expect(await scratch.lambda.changed([path])).toEqual([
      { name: 'fn', became: { failure: expect.stringContaining('index.ts:1:36') } },
    ]);
    expect((await scratch.invoke('fn')).value).toBe('whole');
    scratch.write('index.ts', "import { word } from './word';\nexport const handler = async () => word;");
    await scratch.lambda.changed([path]);
    const other = scratch.write('word.ts', "export const word = 'mended';");
    expect(await scratch.lambda.changed([other])).toEqual([{ name: 'fn', became: 'live' }]);
    expect((await scratch.invoke('fn')).value).toBe('mended');
  });

  it('are exchanged only where a file that changed is a part of the bundle', async () => {
    await scratch.start();
    scratch.write('shared.ts', "export const word = 'one';");
    scratch.write('a.ts', "import { word } from './shared';\nexport const handler = async () => word;");
    scratch.write('b.ts', "export const handler = async () => 'b';");
    scratch.apply([
      scratch.define({ name: 'a', handler: 'a.handler' }),
      scratch.define({ name: 'b', handler: 'b.handler' }),
    ]);
    await scratch.invoke('a');
    await scratch.invoke('b');
    const path = scratch.write('shared.ts', "export const word = 'two';");
    expect(await scratch.lambda.changed([path])).toEqual([{ name: 'a', became: 'live' }]);
    expect((await scratch.invoke('a')).value).toBe('two');
    expect(scratch.lambda.isInput(path)).toBe(true);
    expect(scratch.lambda.isInput(join(scratch.folder, 'readme.md'))).toBe(false);
  });

  it('lose no event to definitions and edits that come while the first ones start', async () => {
    await scratch.start();
    const path = scratch.write('index.ts', 'export const handler = async () => process.env.N;');
    const results: Promise<unknown>[] = [];
    const changes: Promise<unknown>[] = [];
    for (let n = 0; n < 5; n += 1) {
      scratch.apply([scratch.define({ environment: { N: String(n) } })]);
      results.push(scratch.invoke('fn').then(({ answer, value }) => answer.FunctionError ?? value));
      changes.push(scratch.lambda.changed([path]));
    }
    await Promise.all(changes);
    for (const value of await Promise.all(results)) expect(value).toMatch(/^[0-4]$/);
    expect((await scratch.invoke('fn')).value).toBe('4');
  });

  it('leave nothing of a version that nobody runs any more', async () => {
    await scratch.start();
    const path = scratch.write('index.ts', "export const handler = async () => 'first';");
    scratch.apply([scratch.define()]);
    await scratch.invoke('fn');
    scratch.write('index.ts', "export const handler = async () => 'second';");
    await scratch.lambda.changed([path]);
    expect((await scratch.invoke('fn')).value).toBe('second');
    scratch.apply([]);
    await scratch.lambda.close();
    expect(readdirSync(join(scratch.folder, '.karin'))).toEqual([]);
  });

  it('still find the rest of their own code when that of another version was unpacked', async () => {
    await scratch.start();
    const url = await gate.open();
    const path = join(scratch.folder, 'code.zip');
    const pack = (version: string, waits: string): void => {
      const handler = `exports.handler = async () => { ${waits} return require('./version.js'); };`;
      writeFileSync(
        path,
        zip([
          { name: 'index.js', text: handler },
          { name: 'version.js', text: `module.exports = '${version}';` },
        ]),
      );
    };
    pack('old', `await fetch('${url}');`);
    scratch.apply([scratch.define({ code: { kind: 'zip', path } })]);
    const running = scratch.invoke('fn');
    await gate.arrived(1);
    pack('new', '');
    await scratch.lambda.changed([path]);
    expect((await scratch.invoke('fn')).value).toBe('new');
    gate.release();
    expect((await running).value).toBe('old');
  });

  it('of a function that isolates tenants serve one tenant each, and tell its id', async () => {
    await scratch.start();
    scratch.write(
      'index.js',
      'let calls = 0; exports.handler = async (_, context) => [context.tenantId, process.pid, (calls += 1)];',
    );
    scratch.apply([scratch.define({ tenantIsolated: true }), scratch.define({ name: 'shared' })]);
    const invoke = async (TenantId?: string, FunctionName = 'fn'): Promise<unknown> => {
      const command = new InvokeCommand({ FunctionName, ...(TenantId === undefined ? {} : { TenantId }) });
      const { Payload } = await scratch.client.send(command);
      return JSON.parse(Buffer.from(Payload ?? []).toString('utf8'));
    };
    const blue = [await invoke('blue'), await invoke('blue')];
    expect(blue).toEqual([
      ['blue', expect.any(Number), 1],
      ['blue', expect.any(Number), 2],
    ]);
    expect(await invoke('green')).toEqual(['green', expect.any(Number), 1]);
    expect(await invoke('blue')).toEqual(['blue', Object(blue[0])[1], 3]);
    await expect(invoke()).rejects.toThrow('Add a valid tenant ID in your request');
    await expect(invoke('blue', 'shared')).rejects.toThrow('Remove the tenant ID from your request');
  });

  it('are not shown functions that the template does not have any more', async () => {
    await scratch.start();
    scratch.write('index.js', COUNTING);
    scratch.apply([scratch.define()]);
    await scratch.invoke('fn');
    scratch.apply([]);
    await expect(scratch.invoke('fn')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });

  describe('of other languages', () => {
    /** A runtime of one's own: a shell script that starts a program, which asks the Runtime API for events. */
    const BOOTSTRAP = `#!/bin/sh\nexec '${process.execPath}' "$LAMBDA_TASK_ROOT/runtime.cjs"\n`;
    const RUNTIME = `
      const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
      (async () => {
        for (;;) {
          const next = await fetch(api + 'next');
          const event = await next.json();
          console.log('handling for', process.env.GREETING);
          const [outcome, body] = event.fail
            ? ['/error', { errorType: 'Custom', errorMessage: 'as asked' }]
            : ['/response', { got: event, handler: process.env._HANDLER }];
          const id = next.headers.get('lambda-runtime-aws-request-id');
          await fetch(api + id + outcome, { method: 'POST', body: JSON.stringify(body) });
        }
      })();`;
    const provided = { runtime: 'provided.al2023', handler: 'anything', environment: { GREETING: 'you' } };

    it('run their own bootstrap', async () => {
      await scratch.start();
      scratch.write('bootstrap', BOOTSTRAP, 0o755);
      scratch.write('runtime.cjs', RUNTIME);
      scratch.apply([scratch.define(provided)]);
      expect((await scratch.invoke('fn', { a: 1 })).value).toEqual({ got: { a: 1 }, handler: 'anything' });
      const failed = await scratch.invoke('fn', { fail: true });
      expect(failed.answer.FunctionError).toBe('Unhandled');
      expect(failed.value).toEqual({ errorType: 'Custom', errorMessage: 'as asked' });
      await scratch.printed('handling for you');
    });

    it('are unpacked from a zip file, executable as they were', async () => {
      await scratch.start();
      const path = join(scratch.folder, 'code.zip');
      const entries = [
        { name: 'bootstrap', text: BOOTSTRAP, mode: 0o755 },
        { name: 'runtime.cjs', text: RUNTIME },
      ];
      writeFileSync(path, zip(entries));
      scratch.apply([scratch.define({ ...provided, code: { kind: 'zip', path } })]);
      expect((await scratch.invoke('fn', { a: 1 })).value).toMatchObject({ got: { a: 1 } });
    });

    it('report a bootstrap that cannot be started', async () => {
      await scratch.start();
      scratch.write('bootstrap', '#!/nowhere/at-all\n', 0o755);
      scratch.apply([scratch.define(provided)]);
      const { answer, value } = await scratch.invoke('fn');
      expect(answer.FunctionError).toBe('Unhandled');
      expect(value).toMatchObject({
        errorType: 'Runtime.InvalidEntrypoint',
        errorMessage: expect.stringContaining('bootstrap'),
      });
    });

    it('report a folder that is gone as what is missing, and not the runtime', async () => {
      await scratch.start();
      scratch.apply([scratch.define({ code: { kind: 'folder', path: join(scratch.folder, 'gone') } })]);
      expect((await scratch.invoke('fn')).value).toMatchObject({
        errorMessage: expect.stringMatching(/there is no folder .*gone/),
      });
    });

    it('report a bootstrap that ends at once', async () => {
      await scratch.start();
      scratch.write('bootstrap', '#!/bin/sh\nexit 5\n', 0o755);
      scratch.apply([scratch.define(provided)]);
      expect((await scratch.invoke('fn')).value).toMatchObject({
        errorType: 'Runtime.ExitError',
        errorMessage: expect.stringContaining('exit status 5'),
      });
    });

    it.each([
      [undefined, /^\[fn\] \[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t[0-9a-f-]{36}\tlow$/, false],
      [{ level: 'INFO' }, /^\[fn\] \[INFO\]\t\S+\t[0-9a-f-]{36}\tquiet 1$/, true],
      [
        { format: 'JSON', level: 'INFO' },
        /^\[fn\] \{"timestamp": "\S+Z", "level": "INFO", "message": "quiet 1", "logger": "root", "stock": 2, "requestId": "[0-9a-f-]{36}"\}$/,
        true,
      ],
    ])('log in Python as in Lambda, with the LoggingConfig %j', async (logging, expected, isQuietTold) => {
      await scratch.start();
      scratch.write(
        'app.py',
        `import logging
logger = logging.getLogger()
def handler(event, context):
    logger.info("quiet %s", 1, extra={"stock": 2})
    logger.warning("low")
    return "done"
`,
      );
      const python = { runtime: 'python3.12', handler: 'app.handler', ...(logging === undefined ? {} : { logging }) };
      scratch.apply([scratch.define(python)]);
      await scratch.invoke('fn');
      await scratch.printed('low');
      expect(scratch.lines.some((line) => expected.test(line))).toBe(true);
      expect(scratch.lines.some((line) => line.includes('quiet'))).toBe(isQuietTold);
    });

    it('include Python, where there is one', async () => {
      await scratch.start();
      scratch.write(
        'jobs/work.py',
        [
          'import os',
          'def handler(event, context):',
          '    print("python says", event.get("a"))',
          '    if event.get("fail"): raise ValueError("as asked")',
          '    if event.get("exit"): os._exit(4)',
          '    return {"name": context.function_name, "arn": context.invoked_function_arn, "left": context.get_remaining_time_in_millis() > 0}',
        ].join('\n'),
      );
      const python = scratch.define({ runtime: 'python3.12', handler: 'jobs/work.handler' });
      const missing = unusable(python);
      if (missing !== undefined) {
        expect(missing).toContain('there is no python3 on the PATH');
        return;
      }
      scratch.apply([python]);
      const { value } = await scratch.invoke('fn', { a: 1 });
      expect(value).toEqual({ name: 'fn', arn: scratch.define().arn, left: true });
      await scratch.printed('[fn] python says 1');
      expect((await scratch.invoke('fn', { fail: true })).value).toMatchObject({
        errorType: 'ValueError',
        errorMessage: 'as asked',
        stackTrace: [expect.stringContaining('work.py')],
      });
      expect((await scratch.invoke('fn', { exit: true })).value).toMatchObject({ errorType: 'Runtime.ExitError' });
      scratch.apply([scratch.define({ runtime: 'python3.12', handler: 'jobs/work.nothing' })]);
      expect((await scratch.invoke('fn')).value).toMatchObject({ errorType: 'Runtime.HandlerNotFound' });
      scratch.apply([scratch.define({ runtime: 'python3.12', handler: 'gone.handler' })]);
      expect((await scratch.invoke('fn')).value).toMatchObject({ errorType: 'Runtime.ImportModuleError' });
    });

    it('are told to be unusable, with the reason, where this machine cannot run them', () => {
      expect(unusable(scratch.define({ runtime: 'cobol85' }))).toMatch(
        /fn cannot be run .* cobol85, which is not known/,
      );
      expect(unusable(scratch.define({ runtime: 'python3.12' }), '/nowhere')).toContain('no python3 on the PATH');
      expect(unusable(scratch.define(provided))).toContain("no executable file 'bootstrap'");
      expect(unusable(scratch.define({ code: { kind: 'absent', reason: 'it is on the moon' } }))).toContain(
        'on the moon',
      );
      const { runtime: _, ...runtimeless } = scratch.define();
      expect(unusable(runtimeless)).toContain('it has no runtime');
      writeFileSync(join(scratch.folder, 'bootstrap'), '');
      expect(unusable(scratch.define(provided))).toContain("no executable file 'bootstrap'");
      expect(unusable(scratch.define())).toContain("no file for its handler 'index.handler'");
      writeFileSync(join(scratch.folder, 'index.ts'), '');
      expect(unusable(scratch.define())).toBeUndefined();
    });
  });

  it('run an edit of Python that is as long as the code before and follows it within a second', async () => {
    await scratch.start();
    const python = (word: string): string => `def handler(event, context):\n    return '${word}'\n`;
    const path = scratch.write('app.py', 'from words import handler\n');
    const words = scratch.write('words.py', python('one'));
    utimesSync(words, 1_000, 1_000);
    scratch.apply([scratch.define({ runtime: 'python3.12', handler: 'app.handler' })]);
    expect((await scratch.invoke('fn')).value).toBe('one');
    scratch.write('words.py', python('two'));
    utimesSync(words, 1_000, 1_000);
    await scratch.lambda.changed([words, path]);
    expect((await scratch.invoke('fn')).value).toBe('two');
  });

  it('leave nothing outside their own folder', async () => {
    await scratch.start();
    scratch.write('src/index.ts', 'export const handler = async () => 1;');
    scratch.apply([scratch.define({ handler: 'src/index.handler' })]);
    await scratch.invoke('fn');
    expect(existsSync(join(scratch.folder, '.karin', 'fn-1', '1', 'handler.cjs'))).toBe(true);
    expect(existsSync(join(scratch.folder, 'src', 'index.js'))).toBe(false);
  });
});
