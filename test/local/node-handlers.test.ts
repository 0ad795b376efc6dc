import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ScratchLambda } from './scratch-lambda.ts';

describe('Node handlers', () => {
  let scratch: ScratchLambda;

  beforeEach(async () => {
    scratch = new ScratchLambda();
    await scratch.start();
  });
  afterEach(() => scratch.stop());

  describe('ways to write one', () => {
    it.each([
      ['CommonJS, async', 'index.js', 'exports.handler = async (event) => ({ got: event.a });'],
      ['CommonJS by extension', 'index.cjs', 'exports.handler = async (event) => ({ got: event.a });'],
      ['an ES module by extension', 'index.mjs', 'export const handler = async (event) => ({ got: event.a });'],
      ['a promise', 'index.js', 'exports.handler = (event) => Promise.resolve({ got: event.a });'],
      ['a callback', 'index.js', 'exports.handler = (event, context, done) => done(null, { got: event.a });'],
      [
        'a late callback',
        'index.js',
        'exports.handler = (event, context, done) => { setTimeout(() => done(null, { got: event.a }), 5); };',
      ],
      ['context.succeed', 'index.js', 'exports.handler = (event, context) => context.succeed({ got: event.a });'],
      [
        'TypeScript',
        'index.ts',
        'export const handler = async (event: { a: number }): Promise<object> => ({ got: event.a });',
      ],
      [
        'TypeScript, an ES module',
        'index.mts',
        'const one: number = await Promise.resolve(1);\nexport const handler = async (event: { a: number }) => ({ got: event.a + one - 1 });',
      ],
    ])('%s', async (_, file, code) => {
      scratch.write(file, code);
      scratch.apply([scratch.define()]);
      const { answer, value } = await scratch.invoke('fn', { a: 7 });
      expect(value).toEqual({ got: 7 });
      expect(answer.FunctionError).toBeUndefined();
      expect(answer.ExecutedVersion).toBe('$LATEST');
      expect(answer.StatusCode).toBe(200);
    });

    it('an ES module by package.json', async () => {
      scratch.write('package.json', '{"type":"module"}');
      scratch.write('index.js', 'export const handler = async () => import.meta.url.startsWith("file:");');
      scratch.apply([scratch.define()]);
      expect((await scratch.invoke('fn')).value).toBe(true);
    });

    it('in a folder, under a nested export', async () => {
      scratch.write('src/jobs/work.js', 'exports.api = { v1: { run: async () => "nested" } };');
      scratch.apply([scratch.define({ handler: 'src/jobs/work.api.v1.run' })]);
      expect((await scratch.invoke('fn')).value).toBe('nested');
    });

    it('inline in the template', async () => {
      scratch.apply([scratch.define({ code: { kind: 'inline', text: 'exports.handler = async () => "inline";' } })]);
      expect((await scratch.invoke('fn')).value).toBe('inline');
    });

    it('in TypeScript that imports other sources and JSON', async () => {
      scratch.write('lib/add.ts', 'export const add = (a: number, b: number): number => a + b;');
      scratch.write('data.json', '{"base":40}');
      scratch.write(
        'index.ts',
        "import data from './data.json';\nimport { add } from './lib/add';\nexport const handler = async () => add(data.base, 2);",
      );
      scratch.apply([scratch.define()]);
      expect((await scratch.invoke('fn')).value).toBe(42);
    });

    it.each([
      ['index.js', "const { greet } = require('greeting'); exports.handler = async () => greet();"],
      ['index.mjs', "import { greet } from 'greeting'; export const handler = async () => greet();"],
      ['index.ts', "import { greet } from 'greeting'; export const handler = async (): Promise<string> => greet();"],
    ])('with packages of a layer (%s)', async (file, code) => {
      scratch.write('layer/nodejs/node_modules/greeting/index.js', 'exports.greet = () => "from the layer";');
      scratch.write(`code/${file}`, code);
      const layer = { kind: 'folder', path: join(scratch.folder, 'layer') } as const;
      scratch.apply([
        scratch.define({ code: { kind: 'folder', path: join(scratch.folder, 'code') }, layers: [layer] }),
      ]);
      expect((await scratch.invoke('fn')).value).toBe('from the layer');
    });

    it.each([
      [
        'index.js',
        "const { SQSClient } = require('@aws-sdk/client-sqs'); exports.handler = async () => typeof SQSClient;",
      ],
      [
        'index.mjs',
        "import { SQSClient } from '@aws-sdk/client-sqs'; export const handler = async () => typeof SQSClient;",
      ],
      [
        'index.ts',
        "import { SQSClient } from '@aws-sdk/client-sqs'; export const handler = async () => typeof SQSClient;",
      ],
    ])("with the SDK that AWS's runtime brings along (%s)", async (file, code) => {
      scratch.write(file, code);
      scratch.apply([scratch.define()]);
      expect((await scratch.invoke('fn')).value).toBe('function');
    });
  });

  it('receives what Lambda tells in the context and the environment', async () => {
    scratch.write(
      'index.js',
      `exports.handler = async (event, context) => ({
        name: context.functionName, version: context.functionVersion, arn: context.invokedFunctionArn,
        memory: context.memoryLimitInMB, id: context.awsRequestId, group: context.logGroupName,
        left: context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 10000,
        trace: process.env._X_AMZN_TRACE_ID, env: process.env, cwd: process.cwd() });`,
    );
    const environment = { QUEUE_URL: 'http://x/000000000000/jobs', AWS_ENDPOINT_URL_SQS: 'https://karin.example.com' };
    process.env['KARIN_TEST_SECRET'] = 'not for functions';
    scratch.apply([scratch.define({ environment, memoryMegabytes: 256, aliases: ['live'] })]);
    const { answer, value } = await scratch.invoke('arn:aws:lambda:eu-west-1:000000000000:function:fn:live');
    delete process.env['KARIN_TEST_SECRET'];
    expect(value).toMatchObject({
      name: 'fn',
      version: '$LATEST',
      arn: 'arn:aws:lambda:eu-west-1:000000000000:function:fn:live',
      memory: '256',
      id: answer.$metadata.requestId,
      group: '/aws/lambda/fn',
      left: true,
      cwd: scratch.folder,
      env: {
        QUEUE_URL: 'http://x/000000000000/jobs',
        AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:4999',
        AWS_ENDPOINT_URL_LAMBDA: scratch.lambda.origin,
        AWS_LAMBDA_FUNCTION_NAME: 'fn',
        AWS_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'local',
        LAMBDA_TASK_ROOT: scratch.folder,
        _HANDLER: 'index.handler',
        TZ: ':UTC',
      },
    });
    expect(value).not.toHaveProperty('env.KARIN_TEST_SECRET');
    expect(value).not.toHaveProperty('env.KARIN_HANDLER_FILE');
  });

  it.each([
    ['nodejs22.x', "require('@aws-sdk/client-nowhere')", 'npm i -D @aws-sdk/client-nowhere'],
    ['nodejs22.x', "require('@aws-sdk/client-nowhere/dist/x')", 'npm i -D @aws-sdk/client-nowhere'],
    ['nodejs16.x', "require('aws-sdk')", 'nodejs16.x brings aws-sdk (version 2) along'],
    ['nodejs20.x', "require('aws-sdk')", 'nodejs20.x has no aws-sdk (version 2) in Lambda either'],
  ])('say what mends a missing SDK: %s, %s', async (runtime, load, mend) => {
    scratch.write('index.js', `${load}; exports.handler = async () => {};`);
    scratch.apply([scratch.define({ runtime })]);
    await scratch.invoke('fn');
    await scratch.printed(mend);
  });

  it('say what mends a missing SDK that an ES module imports', async () => {
    scratch.write('index.mjs', "import '@aws-sdk/client-nowhere'; export const handler = async () => {};");
    scratch.apply([scratch.define()]);
    await scratch.invoke('fn');
    await scratch.printed('npm i -D @aws-sdk/client-nowhere');
  });

  describe('failures, as AWS reports them', () => {
    it.each([
      ['throws', 'exports.handler = async () => { throw new TypeError("no"); };', 'TypeError', 'no'],
      ['throws at once', 'exports.handler = () => { throw new RangeError("no"); };', 'RangeError', 'no'],
      ['throws a text', 'exports.handler = async () => { throw "no"; };', 'string', 'no'],
      ['calls back with an error', 'exports.handler = (e, c, done) => done(new Error("no"));', 'Error', 'no'],
      [
        'rejects elsewhere',
        'exports.handler = () => new Promise(() => { Promise.reject(new Error("no")); setInterval(() => {}, 1000); });',
        'Runtime.UnhandledPromiseRejection',
        'Error: no',
      ],
      [
        'throws elsewhere',
        'exports.handler = () => new Promise(() => setTimeout(() => { throw new EvalError("no"); }, 1));',
        'EvalError',
        'no',
      ],
      ['never settles', 'exports.handler = () => new Promise(() => {});', 'Runtime.NodeJsExit', 'never settled'],
      [
        'exits',
        'exports.handler = async () => process.exit(3);',
        'Runtime.ExitError',
        'Runtime exited with error: exit status 3',
      ],
      [
        'exits well',
        'exports.handler = async () => process.exit(0);',
        'Runtime.ExitError',
        'Runtime exited without providing a reason',
      ],
      [
        'is killed',
        'exports.handler = async () => process.kill(process.pid, "SIGKILL");',
        'Runtime.ExitError',
        'Runtime exited with error: signal: killed',
      ],
      ['throws while it loads', 'throw new SyntaxError("odd");', 'Runtime.UserCodeSyntaxError', 'odd'],
      ['cannot be parsed', 'exports.handler = (((', 'Runtime.UserCodeSyntaxError', ''],
      [
        'misses a module',
        'require("nowhere-to-be-found");',
        'Runtime.ImportModuleError',
        "Cannot find module 'nowhere-to-be-found'",
      ],
      [
        'exports nothing',
        'exports.other = 1;',
        'Runtime.HandlerNotFound',
        'index.handler is undefined or not exported',
      ],
      ['exits while it loads', 'process.exit(7);', 'Runtime.ExitError', 'exit status 7'],
    ])('%s', async (_, code, errorType, message) => {
      scratch.write('index.js', code);
      scratch.apply([scratch.define()]);
      const { answer, value } = await scratch.invoke('fn');
      expect(answer.StatusCode).toBe(200);
      expect(answer.FunctionError).toBe('Unhandled');
      expect(value).toMatchObject({ errorType, errorMessage: expect.stringContaining(message) });
    });

    it('the file is not there', async () => {
      scratch.apply([scratch.define({ handler: 'gone.handler' })]);
      const { answer, value } = await scratch.invoke('fn');
      expect(answer.FunctionError).toBe('Unhandled');
      expect(value).toMatchObject({
        errorType: 'Runtime.ImportModuleError',
        errorMessage: expect.stringContaining('gone'),
      });
    });

    it('TypeScript that cannot be bundled names file and line', async () => {
      scratch.write('index.ts', 'export const handler = async () => {\n  return (((;\n};');
      scratch.apply([scratch.define()]);
      const { value } = await scratch.invoke('fn');
      expect(value).toMatchObject({ errorMessage: expect.stringMatching(/index\.ts:2/) });
      await scratch.printed('[fn]   at index.ts:2');
    });

    it('a timeout ends the process and what it started', async () => {
      const server = createServer();
      const port = await new Promise<number>((resolve) => {
        // Listening on a TCP port: the address is never the name of a pipe.
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
      });
      // The operating system closes the connection of a process that is gone, and of no other.
      const ends = new Promise<void>((resolve) => {
        let open = 0;
        server.on('connection', (socket) => {
          open += 1;
          socket.on('error', () => {});
          socket.on('close', () => {
            open -= 1;
            if (open === 0) resolve();
          });
          socket.resume();
        });
      });
      const hold = `require('node:net').connect(${port}, '127.0.0.1')`;
      scratch.write(
        'index.js',
        `exports.handler = () => new Promise(() => {
           ${hold};
           require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(hold)}]);
         });`,
      );
      scratch.apply([scratch.define({ timeoutSeconds: 1 })]);
      const { answer, value } = await scratch.invoke('fn');
      expect(answer.FunctionError).toBe('Unhandled');
      expect(value).toEqual({
        errorType: 'Sandbox.Timedout',
        errorMessage: `RequestId: ${answer.$metadata.requestId} Error: Task timed out after 1.00 seconds`,
      });
      await scratch.printed('Task timed out after 1.00 seconds');
      await ends;
      server.close();
    });

    it('a response that is too large', async () => {
      scratch.write('index.js', 'exports.handler = async () => "x".repeat(6291600);');
      scratch.apply([scratch.define()]);
      expect((await scratch.invoke('fn')).value).toEqual({
        errorType: 'Function.ResponseSizeTooLarge',
        errorMessage: 'Response payload size (6291602 bytes) exceeded maximum allowed payload size (6291556 bytes).',
      });
    });

    it('leaves the function able to serve the next event', async () => {
      scratch.write(
        'index.js',
        'exports.handler = async (event) => { if (event.exit) process.exit(1); if (event.fail) throw new Error("no"); return "well"; };',
      );
      scratch.apply([scratch.define()]);
      await scratch.invoke('fn', { exit: true });
      await scratch.invoke('fn', { fail: true });
      expect((await scratch.invoke('fn')).value).toBe('well');
    });
  });

  it('prints what the function prints, by its name', async () => {
    scratch.write('index.js', 'exports.handler = async () => { console.log("a\\nb"); console.error("c"); };');
    scratch.apply([scratch.define({ name: 'talker' })]);
    await scratch.invoke('talker');
    await scratch.printed('[talker] a');
    await scratch.printed('[talker] b');
    await scratch.printed('[talker] c');
  });

  it('returns null where the handler returns nothing', async () => {
    scratch.write('index.js', 'exports.handler = () => {};');
    scratch.apply([scratch.define()]);
    expect((await scratch.invoke('fn')).value).toBeNull();
  });
});
