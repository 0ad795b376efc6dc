import { readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unusable } from '../../runtime/dev/bundle.ts';
import { readServerlessFile } from '../../runtime/dev/project/serverless.ts';
import { findStacks, readApplication } from '../../runtime/dev/template/application.ts';
import type { CodeLocation, StackSource, TemplateFunction } from '../../runtime/dev/template/model.ts';
import { ScratchLambda } from './scratch-lambda.ts';

/** Runs what an image would hold as a program beside it, with the variables that the container is given alone. */
const ENGINE = `#!${process.execPath}
const { spawn } = require('node:child_process');
const { appendFileSync } = require('node:fs');
const { join } = require('node:path');
const [verb, ...args] = process.argv.slice(2);
appendFileSync(join(__dirname, verb + '.txt'), args.join(' ') + '\\n');
if (verb === 'build' && args.includes('BROKEN=1')) {
  console.error('step 2 of 3: no such file');
  process.exit(1);
}
if (verb === 'image' && args[1] === 'example.com/shop:1') process.exit(1);
if (verb === 'run') {
  const names = args.flatMap((value, index) => (args[index - 1] === '--env' ? [value] : []));
  const env = Object.fromEntries(names.map((name) => [name, process.env[name]]));
  spawn(process.execPath, [join(__dirname, 'image.cjs')], { env, stdio: 'inherit' });
}
`;

const IMAGE = `
  const api = 'http://' + process.env.AWS_LAMBDA_RUNTIME_API + '/2018-06-01/runtime/invocation/';
  (async () => {
    for (;;) {
      const next = await fetch(api + 'next');
      const event = await next.json();
      if (event.hang) for (;;);
      const body = JSON.stringify({ greeting: process.env.GREETING, path: process.env.PATH ?? 'its own' });
      await fetch(api + next.headers.get('lambda-runtime-aws-request-id') + '/response', { method: 'POST', body });
    }
  })();`;

describe('a function that is a container image', () => {
  let scratch: ScratchLambda;
  let path: string;

  beforeEach(() => {
    scratch = new ScratchLambda();
    path = join(scratch.folder, 'programs');
    scratch.write('programs/docker', ENGINE, 0o755);
    scratch.write('programs/image.cjs', IMAGE);
    scratch.write('app/Dockerfile', 'FROM public.ecr.aws/lambda/nodejs:22\n');
  });
  afterEach(async () => {
    await scratch.stop();
  });

  const define = (code: CodeLocation, changes: Partial<TemplateFunction> = {}): TemplateFunction => {
    const { runtime: _, ...fn } = scratch.define({ handler: '', code, environment: { GREETING: 'hello' }, ...changes });
    return fn;
  };
  const recipe = (args: Record<string, string>): CodeLocation => ({
    kind: 'image',
    from: { context: join(scratch.folder, 'app'), dockerfile: 'Dockerfile', target: 'lambda', args },
  });
  const recorded = (verb: string): string => {
    return readFileSync(join(path, `${verb}.txt`), 'utf8');
  };

  it('is built and run by the engine, which tells it where the Runtime API is and nothing of this machine', async () => {
    await scratch.start({ environment: { PATH: path } });
    const image = { entryPoint: ['/main', '-v'], command: ['app.handler'], workingDirectory: '/srv' };
    scratch.apply([define(recipe({ LEVEL: '2' }), { image })]);
    expect((await scratch.invoke('fn')).value).toEqual({ greeting: 'hello', path: 'its own' });
    expect(recorded('build')).toBe(
      `--tag karin-dev/fn --file ${scratch.folder}/app/Dockerfile --target lambda --build-arg LEVEL=2 ${scratch.folder}/app\n`,
    );
    expect(recorded('run')).toMatch(
      /--rm --name karin-\S+ --network host --memory=128m .* --workdir \/srv --entrypoint \/main karin-dev\/fn -v app\.handler\n$/,
    );
    expect(recorded('run')).not.toContain('hello');
  });

  it('is pulled by its name, where nothing says how it is built', async () => {
    await scratch.start({ environment: { PATH: path } });
    scratch.apply([define({ kind: 'image', from: 'example.com/shop:1' })]);
    expect((await scratch.invoke('fn')).value).toMatchObject({ greeting: 'hello' });
    expect(recorded('pull')).toBe('example.com/shop:1\n');
    expect(recorded('run')).toMatch(/ example\.com\/shop:1\n$/);
  });

  it('has its container removed when a timeout ends the client of the engine', async () => {
    await scratch.start({ environment: { PATH: path } });
    const removed = new Promise<void>((resolve) => {
      const watcher = watch(path, (_, name) => {
        // It appears first and has its line a moment later.
        if (name !== 'rm.txt' || recorded('rm') === '') return;
        watcher.close();
        resolve();
      });
    });
    scratch.apply([define({ kind: 'image', from: 'shop' }, { timeoutSeconds: 1 })]);
    expect((await scratch.invoke('fn', { hang: true })).value).toMatchObject({ errorType: 'Sandbox.Timedout' });
    await removed;
    const [, name] = /--name (\S+)/.exec(recorded('run')) ?? [];
    expect(recorded('rm')).toBe(`--force ${name}\n`);
  });

  it('fails with what the engine printed when it cannot be built', async () => {
    await scratch.start({ environment: { PATH: path } });
    scratch.apply([define(recipe({ BROKEN: '1' }))]);
    const { value } = await scratch.invoke('fn');
    expect(value).toMatchObject({
      errorMessage: `'docker build' failed in ${scratch.folder}/app:\nstep 2 of 3: no such file`,
    });
  });

  it('says which engine is missing, and which file', () => {
    expect(unusable(define(recipe({})), path)).toBeUndefined();
    expect(unusable(define(recipe({})), '/nowhere')).toMatch(
      /there is no docker or podman on the PATH; install one, or let AWS SAM run it/,
    );
    const gone = { kind: 'image', from: { context: scratch.folder, dockerfile: 'Dockerfile', args: {} } } as const;
    expect(unusable(define(gone), path)).toContain(`${scratch.folder}/Dockerfile, where nothing is`);
  });

  it('is read from SAM, the CDK and serverless.yml, built or by its name', () => {
    const settings = { account: '000000000000', region: 'eu-west-1' };
    const locals = { ...settings, sqsOrigin: 'http://127.0.0.1:4000', functionUrl: () => '' };
    const read = (stacks: readonly StackSource[]): Readonly<Record<string, unknown>> =>
      Object.fromEntries(
        readApplication(stacks, locals).functions.map(({ name, code, image }) => [name, [code, image]]),
      );
    const template = scratch.write(
      'template.yaml',
      `Transform: AWS::Serverless-2016-10-31
Resources:
  Sam:
    Type: AWS::Serverless::Function
    Properties: { PackageType: Image, ImageConfig: { Command: [app.handler] } }
    Metadata: { Dockerfile: Dockerfile, DockerContext: ./app, DockerTag: v1, DockerBuildArgs: { LEVEL: 2 } }
  Cdk:
    Type: AWS::Lambda::Function
    Properties: { PackageType: Image, Code: { ImageUri: { Fn::Sub: 'x:\${AWS::Region}' } } }
    Metadata:
      aws:asset:path: app
      aws:asset:dockerfile-path: Dockerfile.lambda
      aws:asset:docker-build-target: lambda
      aws:asset:property: Code.ImageUri
  Named: { Type: AWS::Serverless::Function, Properties: { PackageType: Image, ImageUri: 'example.com/shop:1' } }
  Nameless: { Type: AWS::Serverless::Function, Properties: { PackageType: Image } }
`,
    );
    const context = join(scratch.folder, 'app');
    expect(read(findStacks(template))).toEqual({
      Sam: [
        { kind: 'image', from: { context, dockerfile: 'Dockerfile', args: { LEVEL: '2' } } },
        { entryPoint: [], command: ['app.handler'] },
      ],
      Cdk: [
        { kind: 'image', from: { context, dockerfile: 'Dockerfile.lambda', target: 'lambda', args: {} } },
        undefined,
      ],
      Named: [{ kind: 'image', from: 'example.com/shop:1' }, undefined],
      Nameless: [{ kind: 'absent', reason: expect.stringContaining('neither its name nor its Dockerfile') }, undefined],
    });
    const file = scratch.write(
      'serverless.yml',
      `service: shop
provider: { name: aws, ecr: { images: { own: { path: ./app, file: Dockerfile.lambda } } } }
functions:
  built: { image: { name: own, command: [app.handler], workingDirectory: /srv } }
  named: { image: 'example.com/shop:1' }
`,
    );
    const none = { entryPoint: [], command: [] };
    expect(read([readServerlessFile(file, { ...settings, folder: scratch.folder, environment: {} })])).toEqual({
      'shop-dev-built': [
        { kind: 'image', from: { context, dockerfile: 'Dockerfile.lambda', args: {} } },
        { ...none, command: ['app.handler'], workingDirectory: '/srv' },
      ],
      'shop-dev-named': [{ kind: 'image', from: 'example.com/shop:1' }, none],
    });
  });
});
