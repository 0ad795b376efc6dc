import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readServerlessFile } from '../../../runtime/dev/project/serverless.ts';
import { readApplication } from '../../../runtime/dev/template/application.ts';
import { createTemplateDiscovery, discoveryOf, readTemplate } from '../../../runtime/dev/template/discovery.ts';
import type { TemplateApplication, TemplateFunction, TemplateSettings } from '../../../runtime/dev/template/model.ts';
import { expandTransforms } from '../../../runtime/dev/template/transforms.ts';
import { formatQueueArn } from '../../../runtime/queue/names.ts';
import { ManualTime } from '../../support/manual-time.ts';

const FOLDER = fileURLToPath(new URL('./templates/', import.meta.url));
const SETTINGS: TemplateSettings = {
  account: '000000000000',
  region: 'eu-west-1',
  sqsOrigin: 'http://127.0.0.1:4000',
  functionUrl: (name) => `http://127.0.0.1:4001/functions/${name}/`,
};

function functionNamed(application: TemplateApplication, name: string): TemplateFunction {
  const found = application.functions.find((fn) => fn.name === name);
  if (found === undefined) throw new Error(`there is no function ${name}`);
  return found;
}

describe('a template with loops (Fn::ForEach)', () => {
  const application = readTemplate(join(FOLDER, 'loops.yaml'), SETTINGS);
  const names = application.queues.map(({ arn }) => arn.name);

  it('has what each loop writes for each item of its collection, loops in loops included', () => {
    expect(names).toEqual([
      ...['dead-red', 'red-mail', 'red-audit-log'],
      ...['blue-mail', 'blue-audit-log'],
      ...['Doubleab', 'Last'],
    ]);
    expect(application.queues.find(({ arn }) => arn.name === 'red-mail')).toMatchObject({
      attributes: { visibilityTimeoutSeconds: 10 },
      tags: { team: 'red' },
    });
    expect(application.queues.find(({ arn }) => arn.name === 'blue-audit-log')).toMatchObject({
      attributes: { visibilityTimeoutSeconds: 45 },
    });
  });

  it('has the mappings of the functions that a loop writes, without what a logical id cannot hold', () => {
    const mapped = application.mappings.map(({ mapping }) => [
      mapping.queueArn.name,
      mapping.functionArn.split(':')[6],
    ]);
    expect(mapped.sort()).toEqual([
      ['blue-audit-log', 'worker-blue-audit-log'],
      ['blue-mail', 'worker-blue-mail'],
      ['red-audit-log', 'worker-red-audit-log'],
      ['red-mail', 'worker-red-mail'],
    ]);
  });

  it('has loops in the properties of a resource, and the other functions of the transform', () => {
    expect(functionNamed(application, 'worker-red-audit-log')).toMatchObject({
      environment: { TEAM_OF_red: 'TEAM', COUNT_OF_red: 'COUNT', COUNT: '2', JSON: '{"team":"red"}' },
      code: { text: "exports.handler = async () => 'red';" },
    });
  });

  it('names what it cannot write out', () => {
    expect(application.problems).toEqual([
      'Fn::ForEach::Unknown in Resources: an attribute of a resource is not known before the deployment; what it would write is left out',
      'Fn::ForEach::Malformed in Resources: it needs an identifier, a collection and a fragment; what it would write is left out',
      'Fn::ForEach writes Doubleab in Resources more than once; the last one counts',
    ]);
  });

  it('may be the resources of a serverless.yml', () => {
    const folder = mkdtempSync(join(tmpdir(), 'karin-loops-'));
    try {
      const loop = "{ 'Fn::ForEach::Queues': [Name, [one, two], { 'Queue${Name}': { Type: 'AWS::SQS::Queue' } }] }";
      const lines = ['service: shop', 'resources:', '  Transform: AWS::LanguageExtensions', `  Resources: ${loop}`];
      const file = join(folder, 'serverless.yml');
      writeFileSync(file, lines.join('\n'));
      const stack = readServerlessFile(file, { folder, account: '000000000000', region: 'eu-west-1', environment: {} });
      expect(Object.keys(stack.template.resources)).toEqual(['Queueone', 'Queuetwo']);
      expect(stack.notes).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('gives a nested stack the collection that its parent hands down', () => {
    const parent = {
      Resources: {
        Child: {
          Type: 'AWS::CloudFormation::Stack',
          Properties: { TemplateURL: './child.json', Parameters: { Names: 'one,two' } },
        },
      },
    };
    const child = {
      Parameters: { Names: { Type: 'CommaDelimitedList' } },
      Resources: {
        'Fn::ForEach::Queues': [
          'Name',
          { Ref: 'Names' },
          { 'Queue${Name}': { Type: 'AWS::SQS::Queue', Properties: { QueueName: { Ref: 'Name' } } } },
        ],
      },
    };
    const folder = mkdtempSync(join(tmpdir(), 'karin-loops-'));
    try {
      writeFileSync(join(folder, 'template.json'), JSON.stringify(parent));
      writeFileSync(join(folder, 'child.json'), JSON.stringify(child));
      const nested = readTemplate(folder, SETTINGS);
      expect(nested.queues.map(({ arn }) => arn.name)).toEqual(['one', 'two']);
      expect(nested.problems).toEqual([
        'Fn::ForEach needs the transform AWS::LanguageExtensions, without which CloudFormation refuses the template',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a plain CloudFormation template', () => {
  const application = readTemplate(join(FOLDER, 'plain.yaml'), SETTINGS);

  it('gives each queue its name and attributes', () => {
    expect(application.queues.map(({ arn }) => formatQueueArn(arn))).toEqual([
      'arn:aws:sqs:eu-west-1:000000000000:jobs-prod',
      'arn:aws:sqs:eu-west-1:000000000000:Dead',
      'arn:aws:sqs:eu-west-1:000000000000:Ordered.fifo',
    ]);
    expect(application.queues[0]).toMatchObject({
      tags: { stage: 'prod' },
      attributes: {
        visibilityTimeoutSeconds: 90,
        messageRetentionPeriodSeconds: 1_209_600,
        delaySeconds: 0,
        redrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:000000000000:Dead', maxReceiveCount: 4 },
      },
    });
    expect(application.queues[2]?.attributes.contentBasedDeduplication).toBe(true);
  });

  it('gives each function what running it needs', () => {
    const worker = functionNamed(application, 'Worker');
    expect(worker).toMatchObject({
      arn: 'arn:aws:lambda:eu-west-1:000000000000:function:Worker',
      runtime: 'nodejs22.x',
      handler: 'index.handler',
      timeoutSeconds: 45,
      memoryMegabytes: 256,
      code: { kind: 'inline', text: "exports.handler = async () => 'well';\n" },
    });
    expect(functionNamed(application, 'Plain').code).toEqual({
      kind: 'absent',
      reason: 'its code is the S3 object code/app.jar, which is not on this machine',
    });
  });

  it('resolves every intrinsic function in the environment', () => {
    expect(functionNamed(application, 'Worker').environment).toEqual({
      QUEUE_URL: 'http://127.0.0.1:4000/000000000000/jobs-prod',
      ORDERED_URL: 'http://127.0.0.1:4000/000000000000/Ordered.fifo',
      QUEUE_ARN: 'arn:aws:sqs:eu-west-1:000000000000:jobs-prod',
      QUEUE_NAME: 'jobs-prod',
      NAME_IN_URL: 'jobs-prod',
      KARIN_URL: 'http://127.0.0.1:4000/000000000000/jobs-prod',
      OTHER_URL: 'https://sqs.us-east-1.amazonaws.com/999999999999/not-ours',
      SECOND: 'beta',
      JOINED: 'eu-west-1-aws-amazonaws.com',
      SPLIT: 'a',
      MAPPED: '7',
      LITERAL: 'costs ${Money} in prod for jobs-prod',
      ENCODED: 'aGVsbG8=',
      ZONE: 'eu-west-1a',
      FLAG: 'true',
    });
  });

  it('finds the name at its place in a queue URL, also where functions reach the server under a base path', () => {
    const sqsOrigin = 'http://127.0.0.1:4000/k/some-token';
    const below = readTemplate(join(FOLDER, 'plain.yaml'), { ...SETTINGS, sqsOrigin });
    expect(functionNamed(below, 'Worker').environment).toMatchObject({
      QUEUE_URL: `${sqsOrigin}/000000000000/jobs-prod`,
      NAME_IN_URL: 'jobs-prod',
    });
  });

  it('names what it cannot resolve, and leaves nothing else out', () => {
    expect(application.problems).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/Worker: the variable SECRET .* parameter Secret has no default/),
        expect.stringMatching(/Worker: the variable SSM .* read from SSM/),
        expect.stringMatching(/Worker: the variable DYNAMIC is a secret or a parameter that only AWS can read/),
        expect.stringMatching(/Worker: the variable STREAM .* StreamArn of orders .* only known in AWS/),
        expect.stringMatching(/Worker: the variable ODD .*Fn::Transform is not computed/),
        expect.stringMatching(/mapping OfAStream .* is no queue/),
        expect.stringMatching(/mapping Unknowable .*no stack here exports from-another-stack/),
      ]),
    );
    expect(application.problems).toHaveLength(7);
  });

  it('tells disabled mappings from enabled ones, and those that cannot be served', () => {
    const discovery = discoveryOf(application, undefined, 5);
    expect(discovery.mappings).toEqual([
      expect.objectContaining({
        functionArn: 'arn:aws:lambda:eu-west-1:000000000000:function:Worker',
        batchSize: 7,
        batchWindowSeconds: 3,
        reportBatchItemFailures: true,
        filterPatterns: ['{"body":{"kind":["order"]}}'],
        maximumConcurrency: 2,
        functionTimeoutSeconds: 45,
        lastModified: 5,
        tags: { 'karin:managed': 'true' },
      }),
      expect.objectContaining({ queueArn: expect.objectContaining({ account: '999999999999', name: 'shared' }) }),
    ]);
    expect(discovery.foreign).toEqual([
      expect.objectContaining({
        functionArn: 'arn:aws:lambda:eu-west-1:000000000000:function:Worker:live',
        state: 'Enabled',
      }),
    ]);
    expect(discovery.broken.map(({ reason }) => reason).sort()).toEqual([
      expect.stringContaining('its BatchSize cannot be resolved (the parameter Secret has no default)'),
      expect.stringContaining('the function somebody-elses is not part of the template'),
    ]);
  });

  it('serves enabled mappings where that is asked for', () => {
    const discovery = discoveryOf(application, undefined, 5, { consumeEnabled: true });
    expect(discovery.foreign).toEqual([]);
    expect(discovery.mappings).toHaveLength(3);
    expect(discovery.mappings.map(({ maximumConcurrency }) => maximumConcurrency).sort()).toEqual([2, 30, undefined]);
  });

  it('knows the queues of served mappings and where they redrive to, or every queue', () => {
    const names = (options: Parameters<typeof discoveryOf>[3]): readonly string[] =>
      discoveryOf(application, undefined, 5, options).queues.map(({ arn }) => arn.name);
    expect(names({})).toEqual(['Dead', 'jobs-prod', 'shared']);
    expect(names({ everyQueue: true })).toEqual(['Dead', 'Ordered.fifo', 'jobs-prod', 'shared']);
    expect(discoveryOf(application, undefined, 5).problems?.map(({ text }) => text)).toContain(
      'the queue arn:aws:sqs:us-east-1:999999999999:shared is not part of the template; the default attributes of SQS are assumed',
    );
  });

  it('breaks the mappings of functions that cannot be run', () => {
    const discovery = discoveryOf(application, undefined, 5, { unusable: (fn) => `no ${fn.name}` });
    expect(discovery.mappings).toEqual([]);
    expect(discovery.broken.map(({ reason }) => reason)).toContain('no Worker');
  });

  it('keeps the date of a mapping that did not change, and gives a new one to one that did', () => {
    const first = discoveryOf(application, undefined, 5);
    // The stored result of an earlier process has its members in another order.
    const reordered = first.mappings.map(({ uuid, ...members }) => ({ ...members, uuid }));
    const second = discoveryOf(application, { ...first, mappings: reordered }, 9);
    expect(second.mappings).toEqual(first.mappings);
    const changed = {
      ...application,
      mappings: application.mappings.map((one) => ({ ...one, mapping: { ...one.mapping, batchSize: 1 } })),
    };
    expect(discoveryOf(changed, first, 9).mappings.map(({ lastModified }) => lastModified)).toEqual([9, 9]);
  });
});

describe('a SAM template', () => {
  const application = readTemplate(join(FOLDER, 'sam.yaml'), SETTINGS);

  it('turns SQS events into mappings, of the alias where one is published', () => {
    expect(
      application.mappings.map(({ enabled, mapping }) => [enabled, mapping.functionArn, mapping.batchSize]),
    ).toEqual([
      [false, 'arn:aws:lambda:eu-west-1:000000000000:function:Sender:live', 3],
      [true, 'arn:aws:lambda:eu-west-1:000000000000:function:Inline', 10],
    ]);
    expect(application.mappings[0]?.mapping.reportBatchItemFailures).toBe(true);
  });

  it('puts the globals under what functions say themselves', () => {
    expect(functionNamed(application, 'Sender')).toMatchObject({
      runtime: 'python3.12',
      timeoutSeconds: 20,
      code: { kind: 'folder', path: join(FOLDER, 'code') },
      aliases: ['live'],
      url: { cors: { AllowOrigins: ['*'] } },
      environment: {
        SHARED: 'everywhere',
        OVERRIDDEN: 'yes',
        QUEUE_URL: 'http://127.0.0.1:4000/000000000000/Mails',
      },
    });
    expect(functionNamed(application, 'Inline')).toMatchObject({
      runtime: 'nodejs22.x',
      timeoutSeconds: 7,
      code: { kind: 'inline' },
      environment: {
        OVERRIDDEN: 'false',
        ALIAS: 'arn:aws:lambda:eu-west-1:000000000000:function:Sender:live',
      },
    });
  });

  it('finds code in its own folder', () => {
    expect(functionNamed(application, 'Here').code).toEqual({ kind: 'folder', path: FOLDER.replace(/\/$/, '') });
  });

  it('serves its HTTP events, and names events that do not happen here', () => {
    expect(application.problems).toEqual([]);
    expect(
      application.web.apis.map(({ id, routes }) => [id, routes.map(({ method, path }) => `${method} ${path}`)]),
    ).toEqual([['ServerlessHttpApi', ['POST /mail']]]);
    const timed = expandTransforms({
      Resources: {
        Fn: { Type: 'AWS::Serverless::Function', Properties: { Events: { Daily: { Type: 'Schedule' }, Odd: {} } } },
      },
    });
    expect(timed.notes).toEqual([
      'function Fn: its event Daily (Schedule) does not happen here',
      'function Fn: its event Odd (of no type) does not happen here',
    ]);
  });
});

describe('a Serverless Framework app', () => {
  const packaged = readTemplate(join(FOLDER, 'shop', 'package'), SETTINGS);

  it('is read from its package, with the sources as code', () => {
    expect(functionNamed(packaged, 'shop-dev-order-worker')).toMatchObject({
      runtime: 'nodejs20.x',
      handler: 'src/worker.handler',
      timeoutSeconds: 12,
      memoryMegabytes: 1024,
      code: { kind: 'folder', path: join(FOLDER, 'shop') },
      environment: {
        STAGE: 'dev',
        FROM_ENV: 'fallback',
        QUEUE_URL: 'http://127.0.0.1:4000/000000000000/shop-dev-jobs',
      },
    });
    expect(functionNamed(packaged, 'shop-dev-producer').url).toEqual({ cors: {} });
    expect(
      packaged.mappings.map(({ enabled, mapping }) => [enabled, mapping.queueArn.name, mapping.batchSize]),
    ).toEqual([
      [false, 'shop-dev-jobs', 5],
      [true, 'Mails', 10],
    ]);
    expect(packaged.mappings[0]?.mapping).toMatchObject({
      batchWindowSeconds: 2,
      reportBatchItemFailures: true,
      maximumConcurrency: 4,
      filterPatterns: ['{"body":{"kind":["order"]}}'],
    });
  });

  it('is the same when serverless.yml is read without the framework', () => {
    // The package was made for this region.
    const settings = { ...SETTINGS, region: 'us-east-1' };
    const folder = join(FOLDER, 'shop');
    const stack = readServerlessFile(join(folder, 'serverless.yml'), {
      folder,
      account: settings.account,
      region: settings.region,
      environment: {},
    });
    const direct = readApplication([stack], settings);
    const expected = readTemplate(join(folder, 'package'), settings);
    expect(direct.functions).toEqual(expected.functions);
    expect(direct.mappings).toEqual(expected.mappings);
    expect(direct.queues).toEqual(expected.queues);
  });
});

describe('a template source', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'karin-template-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const template = (batchSize: number): string =>
    JSON.stringify({
      Resources: {
        Jobs: { Type: 'AWS::SQS::Queue' },
        Fn: {
          Type: 'AWS::Lambda::Function',
          Properties: { Runtime: 'nodejs22.x', Handler: 'index.handler', Code: 'code' },
        },
        Mapping: {
          Type: 'AWS::Lambda::EventSourceMapping',
          Properties: {
            EventSourceArn: { 'Fn::GetAtt': ['Jobs', 'Arn'] },
            FunctionName: { Ref: 'Fn' },
            Enabled: false,
            BatchSize: batchSize,
          },
        },
      },
    });
  const source = (): ReturnType<typeof createTemplateDiscovery> =>
    createTemplateDiscovery({ path: folder, account: '123456789012', region: 'eu-west-1', time: new ManualTime(1000) });

  it('reads the file anew at every sync', async () => {
    writeFileSync(join(folder, 'template.json'), template(5));
    const first = await source().discover(undefined, false);
    expect(first.mappings[0]).toMatchObject({ batchSize: 5, queueArn: { account: '123456789012', name: 'Jobs' } });
    const same = await source().discover(first, false);
    expect(same).toEqual(first);
    writeFileSync(join(folder, 'template.json'), template(6));
    expect((await source().discover(first, false)).mappings[0]?.batchSize).toBe(6);
  });

  it.each([
    ['nothing', undefined, /there is no template at/],
    ['broken JSON', '{"Resources":', /template\.json cannot be read/],
    ['something else', '{"some":"json"}', /is no CloudFormation template/],
  ])('says what is wrong with %s', async (_, text, message) => {
    if (text !== undefined) writeFileSync(join(folder, 'template.json'), text);
    await expect(source().discover(undefined, false)).rejects.toMatchObject({
      name: 'DiscoveryError',
      message: expect.stringMatching(message),
    });
  });
});
