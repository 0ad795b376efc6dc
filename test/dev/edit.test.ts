import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dev, startDev } from '../../runtime/cli/dev.ts';
import { isFresh, readCdkBundle } from '../../runtime/dev/cdk-bundle.ts';
import { ROOT } from './dev-process.ts';

/** A synthesis takes its time where several suites share two cores. */
const PATIENCE_MS = 180_000;

let folder: string;
let lines: string[] = [];
let look: () => void = () => {};
const devs: Dev[] = [];

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-edit-')));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  lines = [];
});
afterEach(async () => {
  for (const dev of devs.splice(0)) await dev.stop();
  rmSync(folder, { recursive: true, force: true });
});

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

/** Resolves as soon as a line is printed that matches. */
function printed(pattern: RegExp): Promise<string> {
  return new Promise((resolve) => {
    look = () => {
      const found = lines.find((line) => pattern.test(line));
      if (found !== undefined) resolve(found);
    };
    look();
  });
}

async function run(): Promise<(body: string) => Promise<void>> {
  const { PATH = '', HOME = '' } = process.env;
  const dev = await startDev({
    project: folder,
    port: 0,
    environment: { PATH, HOME },
    write: (text) => {
      lines.push(...text.split('\n').slice(0, -1));
      look();
    },
  });
  devs.push(dev);
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };
  return async (MessageBody) => {
    const sqs = new SQSClient({ endpoint: dev.url, region: 'us-east-1', credentials });
    await sqs.send(new SendMessageCommand({ QueueUrl: `${dev.url}/000000000000/Jobs`, MessageBody }));
    sqs.destroy();
  };
}

describe('an edit of a handler that NodejsFunction bundles', { timeout: PATIENCE_MS }, () => {
  const APP = `
    const cdk = require('aws-cdk-lib');
    const lambda = require('aws-cdk-lib/aws-lambda');
    const { NodejsFunction } = require('aws-cdk-lib/aws-lambda-nodejs');
    const { SqsEventSource } = require('aws-cdk-lib/aws-lambda-event-sources');
    const sqs = require('aws-cdk-lib/aws-sqs');
    const fs = require('node:fs');
    const { names } = require('./names.cjs');
    while (fs.existsSync(__dirname + '/hold')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    const app = new cdk.App();
    const stack = new cdk.Stack(app, 'Shop');
    const jobs = new sqs.Queue(stack, 'Queue', { queueName: names.queue });
    const worker = new NodejsFunction(stack, 'Worker', {
      entry: __dirname + '/src/worker.ts',
      runtime: lambda.Runtime.NODEJS_22_X,
      projectRoot: __dirname,
      depsLockFilePath: __dirname + '/package-lock.json',
      functionName: 'Worker',
      bundling: {
        minify: true,
        define: { SHOP: JSON.stringify('the "shop"') },
        commandHooks: {
          beforeBundling: () => [], beforeInstall: () => [],
          afterBundling: (from, to) => ['cp ' + from + '/price.txt ' + to + '/price.txt'],
        },
      },
    });
    worker.addEventSource(new SqsEventSource(jobs, { enabled: false }));
    app.synth();`;
  const worker = (word: string): string => `
    import { readFileSync } from 'node:fs';
    import { join } from 'node:path';
    import { names } from '../names.cjs';
    declare const SHOP: string;
    export const handler = async (event: { Records: { body: string }[] }): Promise<void> => {
      const price = readFileSync(join(__dirname, 'price.txt'), 'utf8');
      for (const { body } of event.Records) {
        if (body === 'fail') throw new Error('${word} failed');
        console.log('${word}', body, SHOP, price, names.unit);
      }
    };`;
  const syntheses = (): number => lines.filter((line) => line.startsWith('running node app.cjs')).length;

  beforeEach(() => {
    put('cdk.json', JSON.stringify({ app: 'node app.cjs' }));
    put('package.json', '{"name":"shop"}');
    put('package-lock.json', '{"name":"shop","lockfileVersion":3,"packages":{}}');
    put('app.cjs', APP);
    put('names.cjs', "exports.names = { queue: 'Jobs', unit: 'euro' };");
    put('price.txt', '5');
    put('src/worker.ts', worker('first'));
  });

  it('is live without a synthesis, with the options of the construct, and traces point at the source', async () => {
    const send = await run();
    await send('a');
    await printed(/\[Worker\] first a the "shop" 5 euro$/);
    await send('fail');
    await printed(/^\[Worker\] {3}at src\/worker\.ts:9 /);

    put('src/worker.ts', `\n${worker('second')}`);
    await printed(/^live after \d+ ms: Worker$/);
    await send('b');
    await printed(/\[Worker\] second b the "shop" 5 euro$/);
    await send('fail');
    await printed(/^\[Worker\] {3}at src\/worker\.ts:10 /);
    expect(lines.join('\n')).not.toMatch(/\.karin.*Error|at .*\.karin\//);
    expect(syntheses()).toBe(1);
  });

  it('is live while a synthesis runs in the background, and is not undone by it', async () => {
    const send = await run();
    put('hold', '');
    // A part of the app and of the handler: both follow.
    put('names.cjs', "exports.names = { queue: 'Jobs', unit: 'dollar' };");
    await printed(/^running node app\.cjs in the background; functions go on as they are \.\.\.$/);
    await send('a');
    await printed(/\[Worker\] first a the "shop" 5 dollar$/);
    put('src/worker.ts', worker('second'));
    await printed(/^live after \d+ ms: Worker$/);
    await send('b');
    await printed(/\[Worker\] second b/);
    rmSync(join(folder, 'hold'));
    const before = lines.length;
    await new Promise<void>((resolve) => {
      look = () => {
        if (lines.slice(before).some((line) => line.startsWith('read in '))) resolve();
      };
      look();
    });
    await send('c');
    await printed(/\[Worker\] second c the "shop" 5 dollar$/);
    expect(syntheses()).toBe(2);
  });
});

describe('two runs of karin dev in one folder', () => {
  beforeEach(() => {
    put(
      'template.yaml',
      `
Resources:
  Queue: { Type: AWS::SQS::Queue, Properties: { QueueName: Jobs } }
  Fn:
    Type: AWS::Lambda::Function
    Properties: { FunctionName: Fn, Runtime: nodejs22.x, Handler: index.handler, Code: . }
  Mapping:
    Type: AWS::Lambda::EventSourceMapping
    Properties: { EventSourceArn: !GetAtt Queue.Arn, FunctionName: !Ref Fn, Enabled: false }
`,
    );
    put(
      'index.ts',
      "import { late } from './late';\nexport const handler = async (e: { Records: { body: string }[] }) => { for (const r of e.Records) console.log(late(), r.body); };",
    );
    put('late.ts', "export const late = () => 'handled';");
  });
  const runs = (): readonly string[] => readdirSync(join(folder, '.karin')).filter((name) => name.startsWith('run-'));

  it('leave each other alone, and nothing behind', async () => {
    const first = await run();
    const second = await run();
    await Promise.all([first('a'), second('b')]);
    await printed(/\[Fn\] handled a/);
    await printed(/\[Fn\] handled b/);
    expect(runs()).toHaveLength(2);
    await devs[1]?.stop();
    expect(runs()).toHaveLength(1);
    put('late.ts', "export const late = () => 'still handled';");
    await printed(/^live after \d+ ms: Fn$/);
    await first('c');
    await printed(/\[Fn\] still handled c/);
    await devs[0]?.stop();
    expect(runs()).toEqual([]);
  });

  it('remove what a run left that was killed', async () => {
    const left = join(folder, '.karin', 'run-0123abcd');
    // A socket stays when its process is killed; nobody listens on it.
    const script = `
      require('node:fs').mkdirSync('${left}', { recursive: true });
      process.chdir('${left}');
      const end = () => process.kill(process.pid, 'SIGKILL');
      require('node:net').createServer().listen('owner-0123456789abcdef.sock', end);`;
    expect(spawnSync(process.execPath, ['-e', script]).signal).toBe('SIGKILL');
    expect(existsSync(left)).toBe(true);
    await run();
    expect(existsSync(left)).toBe(false);
  });
});

describe('what a synthesis notes of a bundle', () => {
  const BOOTSTRAP = join(ROOT, 'runtime', 'dev', 'bootstrap', 'cdk-bundles.cjs');
  const ESBUILD = join(ROOT, 'node_modules', '.bin', 'esbuild');
  const synthesize = (script: string): void => {
    execFileSync(process.execPath, ['--require', BOOTSTRAP, '-e', script], { cwd: folder, stdio: 'inherit' });
  };

  beforeEach(() => put('in.ts', 'declare const A: string;\nexport const handler = () => A;'));

  it.each([
    [
      'of versions of the CDK that chain commands in a shell',
      `['bash', ['-c', ${JSON.stringify(
        `true && ${ESBUILD} --bundle "FOLDER/in.ts" --target=node18 --platform=node --outfile="FOLDER/out/index.js" --external:@aws-sdk/* --define:A="\\"x y\\"" --main-fields=module,main && true`,
      )}.replaceAll('FOLDER', process.cwd())]]`,
    ],
    [
      'of versions that run esbuild itself',
      `['${ESBUILD}', ['--bundle', process.cwd() + '/in.ts', '--target=node18', '--platform=node', '--outfile=' + process.cwd() + '/out/index.js', '--external:@aws-sdk/*', '--define:A="x y"', '--main-fields=module,main']]`,
    ],
  ])('is all that makes it anew: %s', (_, call) => {
    synthesize(
      `const { status, stderr } = require('node:child_process').spawnSync(...${call}, { cwd: process.cwd() });
       if (status !== 0) throw new Error(String(stderr));`,
    );
    const bundle = readCdkBundle(join(folder, 'out'));
    expect(bundle).toMatchObject({
      cwd: folder,
      file: 'index.js',
      options: {
        entryPoints: [join(folder, 'in.ts')],
        target: ['node18'],
        platform: 'node',
        external: ['@aws-sdk/*'],
        define: { A: '"x y"' },
        mainFields: ['module', 'main'],
      },
    });
    expect([...(bundle?.inputs ?? [])]).toEqual([join(folder, 'in.ts')]);
    expect(existsSync(join(folder, 'out', 'index.js.map'))).toBe(true);
    expect(bundle !== undefined && isFresh({ ...bundle, madeAt: Date.now() + 60_000 })).toBe(true);
    expect(bundle !== undefined && isFresh({ ...bundle, madeAt: 0 })).toBe(false);
  });

  it('is nothing where a command is not understood, which runs as it is', () => {
    synthesize(
      `const { stdout } = require('node:child_process').spawnSync('bash', ['-c', 'echo esbuild --bundle "$HOME" --outfile=out/index.js']);
       require('node:fs').writeFileSync('seen', stdout);`,
    );
    expect(existsSync(join(folder, 'seen'))).toBe(true);
    expect(existsSync(join(folder, 'out'))).toBe(false);
  });
});
