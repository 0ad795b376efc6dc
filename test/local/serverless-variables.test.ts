import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readServerlessFile } from '../../runtime/dev/project/serverless.ts';
import { withVariables } from '../../runtime/dev/project/serverless-variables.ts';

describe('the variables of a serverless.yml', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'karin-variables-'));
    writeFileSync(join(folder, 'more.yml'), 'list: [a, b]\ndeep: { key: "${sls:stage}" }\n');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const resolve = (value: unknown): unknown =>
    withVariables(
      {
        value,
        service: 'shop',
        custom: {
          name: '${self:service}-${sls:stage}',
          loop: '${self:custom.loop}',
          sizes: { test: 7 },
          list: ['x', 'y'],
        },
        params: { default: { url: 'https://default', only: 'default' }, test: { url: 'https://test' } },
      },
      { folder, stage: 'test', region: 'eu-west-1', account: '000000000000', environment: { SET: 'yes' } },
    )['value'];

  it.each([
    ['${self:service}', 'shop'],
    ['${self:custom.name}-queue', 'shop-test-queue'],
    ['${self:custom.sizes.${sls:stage}}', 7],
    ['${self:custom.list.1}', 'y'],
    ['${self:custom.gone, self:service}', 'shop'],
    ["${self:custom.gone, 'a, b'}", 'a, b'],
    ['${env:SET}', 'yes'],
    ['${env:NOT_SET, "no"}', 'no'],
    ['${opt:stage}', 'test'],
    ["${opt:stage, 'another'}", 'another'],
    ['${opt:stage, self:custom.gone}', 'test'],
    ["${opt:other, 'none'}", 'none'],
    ['${opt:other, 12}', 12],
    ['${opt:other, true}', true],
    ['${sls:stage}/${aws:region}/${aws:accountId}', 'test/eu-west-1/000000000000'],
    ['${param:url}', 'https://test'],
    ['${param:only}', 'default'],
    ['${file(more.yml):list}', ['a', 'b']],
    ['${file(./more.yml):deep.key}', 'test'],
    ["${file(gone.yml):x, 'else'}", 'else'],
    ['${strToBool(true)}', true],
    [{ a: ['${self:service}'] }, { a: ['shop'] }],
  ])('%j is %j', (value, expected) => {
    expect(resolve(value)).toEqual(expected);
  });

  it.each(['${AWS::Region}', 'arn:${AWS::Partition}:sqs', '${Jobs.Arn}', '${Parameter}', 'no variable'])(
    'leaves %j to CloudFormation',
    (value) => {
      expect(resolve(value)).toBe(value);
    },
  );

  it.each([
    ['${ssm:/some/path}', 'only known to AWS'],
    ['prefix-${cf:stack.output}', 'only known to AWS'],
    ['${env:NOT_SET}', 'has no value'],
    ['${self:custom.loop}', 'contains itself'],
  ])('says that %j cannot be had', (value, reason) => {
    expect(JSON.stringify(resolve(value))).toContain(reason);
  });
});

describe('a serverless.yml', () => {
  const folder = mkdtempSync(join(tmpdir(), 'karin-serverless-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('has the stage that it states where no option does, and names that YAML of old took for truths', () => {
    const file = join(folder, 'serverless.yml');
    writeFileSync(
      file,
      `service: shop
provider: { name: aws, stage: "\${opt:stage, 'qa'}" }
functions:
  on: { handler: a.handler, environment: { ANSWER: yes, STAGE: "\${sls:stage}" } }
`,
    );
    const settings = { folder, region: 'eu-west-1', account: '000000000000', environment: {} };
    expect(readServerlessFile(file, settings).template.resources['OnLambdaFunction']?.properties).toMatchObject({
      FunctionName: 'shop-qa-on',
      Environment: { Variables: { ANSWER: 'yes', STAGE: 'qa' } },
    });
  });
});
