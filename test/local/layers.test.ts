import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findStacks, readApplication } from '../../runtime/dev/template/application.ts';
import type { TemplateApplication } from '../../runtime/dev/template/model.ts';
import { ScratchLambda } from './scratch-lambda.ts';
import { zip } from './zip.ts';

const POWERTOOLS = 'arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64:7';

describe('the layers of a function', () => {
  let scratch: ScratchLambda;

  beforeEach(() => {
    scratch = new ScratchLambda();
  });
  afterEach(async () => {
    await scratch.stop();
  });

  const read = (): TemplateApplication =>
    readApplication(findStacks(join(scratch.folder, 'template.yaml')), {
      account: '000000000000',
      region: 'eu-west-1',
      sqsOrigin: 'http://127.0.0.1:4999',
      functionUrl: () => '',
      layersFolder: join(scratch.folder, '.karin', 'layers'),
    });
  const template = (runtime: string, layers: string, more = ''): void => {
    scratch.write(
      'template.yaml',
      `Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: { FunctionName: fn, Runtime: ${runtime}, Handler: app.handler, CodeUri: src, Layers: [${layers}] }
${more}`,
    );
  };
  const LOCAL = '  Shared: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: shared } }\n';

  it.each([
    ['python', 'shared/python/helper.py'],
    ['python, for one version', 'shared/python/lib/python3.12/site-packages/helper.py'],
    ['python, built by SAM out of what lies in the folder itself', 'shared/helper.py'],
  ])('are where Lambda puts them: %s', async (_, file) => {
    template('python3.12', '!Ref Shared', LOCAL);
    scratch.write('src/app.py', 'import helper\ndef handler(event, context): return helper.WORD\n');
    scratch.write(file, 'WORD = "from the layer"\n');
    const { functions, problems } = read();
    expect(problems).toEqual([]);
    await scratch.start();
    scratch.apply(functions);
    expect((await scratch.invoke('fn')).value).toBe('from the layer');
  });

  it.each([
    ['node_modules', 'shared/nodejs/node_modules/helper'],
    ['node_modules, for one version', 'shared/nodejs/node22/node_modules/helper'],
  ])('are where Lambda puts them: %s', async (_, folder) => {
    template('nodejs22.x', '!Ref Shared', LOCAL);
    scratch.write('src/app.js', "exports.handler = async () => require('helper').word;\n");
    scratch.write(`${folder}/index.js`, "exports.word = 'from the layer';\n");
    await scratch.start();
    scratch.apply(read().functions);
    expect((await scratch.invoke('fn')).value).toBe('from the layer');
  });

  it.each([
    ['CommonJS', 'app.js', "exports.handler = async () => require('/opt/nodejs/shared').word;\n"],
    [
      'an ES module',
      'app.mjs',
      "import { word } from '/opt/nodejs/shared.js';\nexport const handler = async () => word;\n",
    ],
    [
      'TypeScript',
      'app.ts',
      "// @ts-expect-error: it is there in Lambda\nimport { word } from '/opt/nodejs/shared';\nexport const handler = async () => word;\n",
    ],
  ])('have their files where Lambda has them for %s, and the last layer wins', async (_, file, text) => {
    const base = '  Base: { Type: AWS::Serverless::LayerVersion, Properties: { ContentUri: base } }\n';
    template('nodejs22.x', '!Ref Base, !Ref Shared', base + LOCAL);
    scratch.write(`src/${file}`, text);
    scratch.write('base/nodejs/shared.js', "exports.word = 'from the first';\n");
    scratch.write('shared/nodejs/shared.js', "exports.word = 'from the last';\n");
    await scratch.start();
    scratch.apply(read().functions);
    expect((await scratch.invoke('fn')).value).toBe('from the last');
  });

  it('are found as programs, and named where they bring an extension', async () => {
    template('nodejs22.x', '!Ref Shared', LOCAL);
    scratch.write(
      'src/app.js',
      "exports.handler = async () => require('node:child_process').execFileSync('greet').toString();\n",
    );
    scratch.write('shared/bin/greet', '#!/bin/sh\nprintf hello\n', 0o755);
    scratch.write('shared/extensions/watcher', '#!/bin/sh\n', 0o755);
    const { functions, problems } = read();
    expect(problems).toEqual(['function fn: watcher, an extension in a layer, is not started here']);
    await scratch.start();
    scratch.apply(functions);
    expect((await scratch.invoke('fn')).value).toBe('hello');
  });

  it('that are in AWS only are named, and again when the function looks for what they bring, with the mend', async () => {
    template('python3.12', POWERTOOLS);
    scratch.write('src/app.py', 'import aws_lambda_powertools_stand_in\ndef handler(event, context): pass\n');
    const { functions, problems } = read();
    const file = join(scratch.folder, '.karin', 'layers', 'AWSLambdaPowertoolsPythonV3-python312-x86_64-7.zip');
    const advice =
      `the layer ${POWERTOOLS} is only in AWS, and the function (python3.12) runs without it; ` +
      'install what it brings: pip install aws-lambda-powertools, or fetch it: curl --create-dirs -o ' +
      `${file} "$(aws lambda get-layer-version-by-arn --arn ${POWERTOOLS} --query Content.Location --output text)"`;
    expect(problems).toEqual([`function fn: ${advice}`]);
    await scratch.start();
    scratch.apply(functions);
    const { value } = await scratch.invoke('fn');
    expect(value).toMatchObject({
      errorType: 'Runtime.ImportModuleError',
      errorMessage: `Unable to import module 'app': No module named 'aws_lambda_powertools_stand_in'\n${advice}`,
    });
    await scratch.printed(`[fn] ${advice}`);
  });

  it('that their developer fetched from AWS are used as Lambda does', async () => {
    template('python3.12', POWERTOOLS);
    scratch.write('src/app.py', 'import powertools\ndef handler(event, context): return powertools.WORD\n');
    scratch.write('.karin/layers/.gitignore', '*\n');
    const file = join(scratch.folder, '.karin', 'layers', 'AWSLambdaPowertoolsPythonV3-python312-x86_64-7.zip');
    writeFileSync(file, zip([{ name: 'python/powertools.py', text: 'WORD = "fetched"\n' }]));
    const { functions, problems } = read();
    expect(problems).toEqual([]);
    await scratch.start({ workFolder: join(scratch.folder, '.karin', 'functions') });
    scratch.apply(functions);
    expect((await scratch.invoke('fn')).value).toBe('fetched');
  });

  it('that are nothing but an extension of Lambda are told so', () => {
    const insights = 'arn:aws:lambda:eu-west-1:580247275435:layer:LambdaInsightsExtension:53';
    template('python3.12', insights);
    scratch.write('src/app.py', '');
    expect(read().problems).toEqual([
      `function fn: the layer ${insights} is an extension of Lambda, which does not run here`,
    ]);
  });
});
