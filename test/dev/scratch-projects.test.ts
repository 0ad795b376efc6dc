import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DevProcess, ROOT, startDevProcess } from './dev-process.ts';

const run = promisify(execFile);

/** Making, synthesizing and running a project takes its time where several suites share two cores. */
const PATIENCE_MS = 180_000;

describe('karin dev in a project of its user', { timeout: PATIENCE_MS }, () => {
  let folder: string;
  let dev: DevProcess | undefined;

  beforeEach(() => {
    folder = join(realpathSync(mkdtempSync(join(tmpdir(), 'karin-dev-'))), 'shop');
    mkdirSync(folder);
    dev = undefined;
  });
  afterEach(async () => {
    await dev?.stop();
    rmSync(dirname(folder), { recursive: true, force: true });
  });

  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const client = (url: string): SQSClient =>
    new SQSClient({ endpoint: url, region: 'us-east-1', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
  /** SendMessage in the Query protocol, as SDKs of old speak it. */
  const sendXml = async (url: string, parameters: Readonly<Record<string, string>>): Promise<string> => {
    const answer = await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ Action: 'SendMessage', Version: '2012-11-05', ...parameters }),
    });
    expect(answer.status).toBe(200);
    return answer.text();
  };

  it('runs the handlers of an app that the CDK made, in the order in which messages fall due', async () => {
    const quiet = { ...process.env, CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: '1' };
    const cdk = join(ROOT, 'node_modules', '.bin', 'cdk');
    await run(cdk, ['init', 'app', '--language', 'typescript', '--generate-only'], { cwd: folder, env: quiet });
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    // The generated unit test needs jest, which this repository does not have.
    rmSync(join(folder, 'test'), { recursive: true });
    const settings: unknown = JSON.parse(readFileSync(join(folder, 'tsconfig.json'), 'utf8'));
    const options = { ...Object(settings).compilerOptions, types: ['node'] };
    write('tsconfig.json', JSON.stringify({ ...Object(settings), compilerOptions: options }));
    write('package-lock.json', '{"name":"shop","lockfileVersion":3,"packages":{}}');
    write(
      'lib/shop-stack.ts',
      `import * as cdk from 'aws-cdk-lib';
       import * as lambda from 'aws-cdk-lib/aws-lambda';
       import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
       import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
       import * as sqs from 'aws-cdk-lib/aws-sqs';
       import { Construct } from 'constructs';
       export class ShopStack extends cdk.Stack {
         constructor(scope: Construct, id: string, props?: cdk.StackProps) {
           super(scope, id, props);
           const jobs = new sqs.Queue(this, 'Jobs');
           const worker = new NodejsFunction(this, 'Worker', { entry: 'lib/worker.ts', runtime: lambda.Runtime.NODEJS_22_X });
           worker.addEventSource(new SqsEventSource(jobs, { enabled: false }));
         }
       }`,
    );
    write(
      'lib/worker.ts',
      'export const handler = async (event: { Records: { body: string }[] }): Promise<void> => {\n' +
        '  for (const record of event.Records) console.log(`got ${record.body}`);\n};',
    );
    dev = await startDevProcess(folder);
    expect(dev.lines.at(-1)).toBe(`karin ready ${dev.url}`);
    const QueueUrl = `${dev.url}/000000000000/Jobs`;
    const sqs = client(dev.url);
    await sqs.send(
      new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'one', MessageBody: 'world', DelaySeconds: 10 }] }),
    );
    const answer = await sendXml(dev.url, { QueueUrl, MessageBody: 'hello', DelaySeconds: '5' });
    expect(answer).toMatch(/<MessageId>.*<\/MessageId>/);
    await dev.line(/got world/);
    expect(dev.lines.filter((line) => line.includes('got'))).toEqual(['[Worker] got hello', '[Worker] got world']);
    expect(await dev.stop()).toBe(0);
  });

  it('runs the handlers of a serverless.yml with nothing installed, and follows its changes', async () => {
    write(
      'serverless.yml',
      `service: shop
provider: { name: aws, runtime: nodejs22.x, stage: test }
functions:
  worker:
    handler: src/worker.handler
    environment: { GREETING: "\${self:custom.greeting}", NEXT_URL: !Ref Mails }
    events:
      - sqs: { arn: !GetAtt Jobs.Arn, enabled: false }
custom: { greeting: got }
resources:
  Resources:
    Jobs: { Type: AWS::SQS::Queue, Properties: { QueueName: shop-jobs } }
    Mails: { Type: AWS::SQS::Queue }
`,
    );
    const worker = (word: string): string =>
      'export const handler = async (event: { Records: { body: string }[] }): Promise<void> => {\n' +
      `  for (const record of event.Records) console.log(process.env.GREETING, '${word}', record.body);\n};`;
    write('src/worker.ts', worker('first'));
    dev = await startDevProcess(folder);
    const sqs = client(dev.url);
    const QueueUrl = `${dev.url}/000000000000/shop-jobs`;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'a' }));
    await dev.line(/^\[shop-test-worker\] got first a$/);

    write('src/worker.ts', worker('second'));
    await dev.line(/changed: src\/worker\.ts/);
    await dev.line(/^live after \d+ ms: shop-test-worker$/);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'b' }));
    await dev.line(/^\[shop-test-worker\] got second b$/);

    const before = dev.lines.length;
    const text = readFileSync(join(folder, 'serverless.yml'), 'utf8');
    const more = '      - sqs: { arn: !GetAtt Mails.Arn, enabled: false }\n';
    write('serverless.yml', text.replace('custom: { greeting: got }', `${more}custom: { greeting: now }`));
    await dev.line(/^\+ Mails {2}-> {2}shop-test-worker$/, before);
    await sqs.send(new SendMessageCommand({ QueueUrl: `${dev.url}/000000000000/Mails`, MessageBody: 'c' }));
    await dev.line(/^\[shop-test-worker\] now second c$/);

    const broken = dev.lines.length;
    write('serverless.yml', 'service: [');
    await dev.line(/what was read before goes on running/, broken);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'd' }));
    await dev.line(/^\[shop-test-worker\] now second d$/);
    expect(await dev.stop()).toBe(0);
  });
});
