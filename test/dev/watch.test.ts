import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dev, startDev } from '../../runtime/cli/dev.ts';
import { ProjectWatcher } from '../../runtime/dev/watch.ts';
import { systemTime } from '../../runtime/time.ts';

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-watch-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

describe('watching a project', () => {
  let watcher: ProjectWatcher | undefined;
  const reports: (readonly string[])[] = [];
  let told: () => void;

  const start = (project = folder, only: readonly string[] = []): void => {
    reports.length = 0;
    watcher = new ProjectWatcher({
      folder: project,
      time: systemTime,
      only,
      onChange: (paths) => {
        reports.push(paths.map((path) => path.slice(folder.length + 1)));
        told();
      },
    });
  };
  const report = (): Promise<void> =>
    new Promise((resolve) => {
      told = resolve;
    });
  afterEach(() => watcher?.close());

  it('tells which files changed, together', async () => {
    put('a.ts', '1');
    put('src/b.ts', '1');
    start();
    const next = report();
    put('a.ts', '2');
    put('src/b.ts', '2');
    await next;
    expect(reports).toEqual([['a.ts', 'src/b.ts']]);
  });

  it('tells what appears in new folders, and what vanishes', async () => {
    put('a.ts', '1');
    start();
    let next = report();
    put('new/deep/c.ts', '1');
    await next;
    expect(reports.at(-1)).toEqual(['new/deep/c.ts']);
    next = report();
    rmSync(join(folder, 'a.ts'));
    await next;
    expect(reports.at(-1)).toEqual(['a.ts']);
  });

  it('tells only of files that match, where it was asked to', async () => {
    put('a.ts', '1');
    start(folder, ['src/**/*.{ts,json}', '*.ya?l']);
    const next = report();
    put('a.ts', '2');
    put('src/notes.md', '1');
    put('src/b.ts', '1');
    put('src/deep/er/c.json', '1');
    put('template.yaml', '1');
    put('template.yml', '1');
    await next;
    expect(reports).toEqual([['src/b.ts', 'src/deep/er/c.json', 'template.yaml']]);
  });

  it('tells of what it was asked to follow outside', async () => {
    put('project/a.ts', '1');
    put('shared/b.ts', '1');
    start(join(folder, 'project'));
    watcher?.follow([join(folder, 'shared')]);
    const next = report();
    put('shared/b.ts', '2');
    await next;
    expect(reports).toEqual([['shared/b.ts']]);
  });

  it('does not tell of packages, output and hidden folders, nor of a file that is written as it was', async () => {
    put('a.ts', '1');
    put('node_modules/x/index.js', '1');
    put('cdk.out/manifest.json', '1');
    put('.git/HEAD', '1');
    start();
    let next = report();
    put('a.ts', '2');
    await next;
    next = report();
    put('a.ts', '2');
    put('node_modules/x/index.js', '2');
    put('cdk.out/manifest.json', '2');
    put('.git/HEAD', '2');
    put('a.ts~', 'backup');
    put('last.ts', '1');
    await next;
    expect(reports).toEqual([['a.ts'], ['last.ts']]);
  });
});

describe('karin dev in a CDK app', () => {
  let dev: Dev | undefined;
  let lines: string[] = [];
  let look: () => void = () => {};

  afterEach(async () => {
    await dev?.stop();
    dev = undefined;
  });
  const printed = (pattern: RegExp): Promise<void> =>
    new Promise((resolve) => {
      look = () => {
        if (lines.some((line) => pattern.test(line))) resolve();
      };
      look();
    });

  /** Stands for an app: it writes the assembly that the CDK would, with code where its author keeps it. */
  const app = (queue: string): string => `
    const fs = require('node:fs');
    const out = process.env.CDK_OUTDIR;
    const resource = (Type, Properties, Metadata) => ({ Type, Properties, Metadata });
    fs.writeFileSync(out + '/T.json', JSON.stringify({ Resources: {
      Jobs: resource('AWS::SQS::Queue', { QueueName: '${queue}' }),
      Fn: resource('AWS::Lambda::Function', { Runtime: 'nodejs22.x', Handler: 'index.handler', Code: {} },
        { 'aws:asset:path': process.cwd() + '/code', 'aws:asset:property': 'Code' }),
      Mapping: resource('AWS::Lambda::EventSourceMapping',
        { EventSourceArn: { 'Fn::GetAtt': ['Jobs', 'Arn'] }, FunctionName: { Ref: 'Fn' }, Enabled: false }) } }));
    fs.writeFileSync(out + '/manifest.json', JSON.stringify({ artifacts: {
      T: { type: 'aws:cloudformation:stack', properties: { templateFile: 'T.json' } } } }));`;
  const code = (word: string): string =>
    `exports.handler = async (event) => { for (const { body } of event.Records) console.log('${word}', body); };`;

  const run = async (project: string) => {
    const { PATH = '', HOME = '' } = process.env;
    lines = [];
    dev = await startDev({
      project,
      port: 0,
      environment: { PATH, HOME },
      write: (text) => {
        lines.push(...text.split('\n').slice(0, -1));
        look();
      },
    });
    const { url } = dev;
    const sqs = new SQSClient({
      endpoint: url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
    const send = (queue: string, MessageBody: string): Promise<unknown> =>
      sqs.send(new SendMessageCommand({ QueueUrl: `${url}/000000000000/${queue}`, MessageBody }));
    return { send, sqs };
  };

  it('synthesizes again when the app changes, and only loads code again when that does', async () => {
    put('cdk.json', JSON.stringify({ app: 'node app.cjs' }));
    put('app.cjs', app('one'));
    put('code/index.js', code('first'));
    const { send, sqs } = await run(folder);
    await send('one', 'a');
    await printed(/\[Fn\] first a/);

    put('code/index.js', code('second'));
    await printed(/^live after \d+ ms: Fn$/);
    await send('one', 'b');
    await printed(/\[Fn\] second b/);
    expect(lines.filter((line) => line.startsWith('running node app.cjs'))).toHaveLength(1);

    put('app.cjs', app('two'));
    await printed(/~ two {2}-> {2}Fn/);
    await send('two', 'c');
    await printed(/\[Fn\] second c/);
    expect(lines.filter((line) => line.startsWith('running node app.cjs'))).toHaveLength(2);

    rmSync(join(folder, 'code', 'index.js'));
    await printed(/! two {2}-> {2}Fn: .*no file for its handler/);
    put('code/index.js', code('third'));
    await printed(/\+ two {2}-> {2}Fn/);
    await send('two', 'built');
    await printed(/\[Fn\] third built/);

    put('app.cjs', 'console.error("a mistake"); process.exit(1);');
    await printed(/a mistake/);
    await printed(/what was read before goes on running/);
    await send('two', 'd');
    await printed(/\[Fn\] third d/);
    sqs.destroy();
  });

  it('makes bundles anew out of code that another function has as it is, and follows code outside the project', async () => {
    const synthesis = `
      const fs = require('node:fs');
      const out = process.env.CDK_OUTDIR;
      fs.cpSync('code', out + '/asset.bundle', { recursive: true });
      const resources = {};
      for (const [name, path] of Object.entries({ Bundled: out + '/asset.bundle', Plain: process.cwd() + '/code', Shared: process.cwd() + '/../shared' })) {
        resources[name + 'Jobs'] = { Type: 'AWS::SQS::Queue', Properties: {} };
        resources[name] = { Type: 'AWS::Lambda::Function', Properties: { Runtime: 'nodejs22.x', Handler: 'index.handler', Code: {} }, Metadata: { 'aws:asset:path': path } };
        resources[name + 'Mapping'] = { Type: 'AWS::Lambda::EventSourceMapping', Properties: {
          EventSourceArn: { 'Fn::GetAtt': [name + 'Jobs', 'Arn'] }, FunctionName: { Ref: name }, Enabled: false } };
      }
      fs.writeFileSync(out + '/T.json', JSON.stringify({ Resources: resources }));
      fs.writeFileSync(out + '/manifest.json', JSON.stringify({ artifacts: { T: { type: 'aws:cloudformation:stack', properties: { templateFile: 'T.json' } } } }));`;
    put('app/cdk.json', JSON.stringify({ app: 'node app.cjs' }));
    put('app/app.cjs', synthesis);
    put('app/code/index.js', code('first'));
    put('shared/index.js', code('first'));
    // Of an earlier deployment: older than what is running.
    put('app/cdk.out/manifest.json', JSON.stringify({ artifacts: {} }));
    const { send, sqs } = await run(join(folder, 'app'));
    await send('BundledJobs', 'a');
    await printed(/\[Bundled\] first a/);

    lines = [];
    put('app/code/index.js', code('second'));
    await printed(/changed: code\/index\.js$/);
    await printed(/^read in /);
    await send('PlainJobs', 'b');
    await printed(/\[Plain\] second b/);
    await send('BundledJobs', 'b');
    await printed(/\[Bundled\] second b/);

    await send('SharedJobs', 'c');
    await printed(/\[Shared\] first c/);
    lines = [];
    put('shared/index.js', code('second'));
    await printed(/changed: \.\.\/shared\/index\.js/);
    await printed(/^read in /);
    await send('SharedJobs', 'd');
    await printed(/\[Shared\] second d/);

    put('app/app.cjs', 'console.error("a mistake"); process.exit(1);');
    await printed(/what was read before goes on running/);
    await send('BundledJobs', 'e');
    await printed(/\[Bundled\] second e/);
    sqs.destroy();
  });
});
