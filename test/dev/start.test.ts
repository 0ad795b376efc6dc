import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { GetQueueUrlCommand, ListQueuesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dev, type DevOptions, startDev } from '../../runtime/cli/dev.ts';
import { readEnvFiles } from '../../runtime/dev/function-environment.ts';

describe('the start of karin dev', () => {
  let folder: string;
  let dev: Dev | undefined;
  const lines: string[] = [];

  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-start-')));
    lines.length = 0;
    dev = undefined;
  });
  afterEach(async () => {
    await dev?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const start = async (options: DevOptions = {}): Promise<Dev> => {
    const { PATH = '', HOME = '' } = process.env;
    dev = await startDev({
      project: folder,
      port: 0,
      watch: false,
      environment: { PATH, HOME },
      write: (text) => lines.push(...text.split('\n').slice(0, -1)),
      ...options,
    });
    return dev;
  };
  const said = (): string => lines.join('\n');

  const TEMPLATE = `
Resources:
  Jobs: { Type: AWS::SQS::Queue }
  Audit: { Type: AWS::SQS::Queue }
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: nodejs22.x
      Handler: index.handler
      Code: { ZipFile: "exports.handler = async () => {};" }
  Old:
    Type: AWS::Lambda::Function
    Properties: { Runtime: ruby3.3, Handler: app.handler, Code: { ZipFile: "" } }
  Disabled:
    Type: AWS::Lambda::EventSourceMapping
    Properties: { EventSourceArn: !GetAtt Jobs.Arn, FunctionName: !Ref Fn, Enabled: false }
  Enabled:
    Type: AWS::Lambda::EventSourceMapping
    Properties: { EventSourceArn: !GetAtt Audit.Arn, FunctionName: !Ref Fn }
  Unusable:
    Type: AWS::Lambda::EventSourceMapping
    Properties: { EventSourceArn: !GetAtt Jobs.Arn, FunctionName: !Ref Old, Enabled: false }
`;

  it('says what it found, what it cannot run, what to try, and last that it is ready', async () => {
    put('template.yaml', TEMPLATE);
    const { url } = await start();
    expect(lines[0]).toContain(`karin dev: the template template.yaml in ${folder}`);
    expect(said()).toMatch(/^ {2}Jobs +-> {2}Fn$/m);
    expect(said()).toMatch(/Audit +-> {2}Fn: enabled, so AWS would consume this itself/);
    expect(said()).toMatch(/! Jobs {2}-> {2}Old: .*its runtime is ruby3\.3/);
    expect(said()).toContain(`aws sqs send-message --region us-east-1 --endpoint-url ${url}`);
    expect(said()).toContain(`--queue-url ${url}/000000000000/Jobs --message-body hello`);
    expect(said()).toContain('new SQSClient({');
    expect(said()).toContain('messages are kept in the memory of this process');
    expect(lines.at(-1)).toBe(`karin ready ${url}`);
  });

  it('shows where each queue takes deliveries, and a command that plays each way by which AWS feeds it', async () => {
    put(
      'template.yaml',
      `${TEMPLATE}
  Topic: { Type: AWS::SNS::Topic }
  Raw:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Audit.Arn, RawMessageDelivery: true }
  ToKarin:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: https, Endpoint: "https://karin.example.com/k/x/in/111122223333/Jobs" }
  Elsewhere:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: https, Endpoint: "https://example.com/hook" }
  Unknown:
    Type: AWS::SNS::Subscription
    Properties: { TopicArn: !Ref Topic, Protocol: https, Endpoint: !GetAtt Nothing.Url }
  Uploads:
    Type: AWS::S3::Bucket
    Properties:
      NotificationConfiguration:
        TopicConfigurations: [{ Event: "s3:ObjectCreated:*", Topic: !Ref Topic }]
  Destination:
    Type: AWS::Events::ApiDestination
    Properties: { InvocationEndpoint: "https://karin.example.com/in/111122223333/Jobs" }
  Placed:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: { source: [shop], detail-type: [OrderPlaced] }
      Targets: [{ Id: one, Arn: !GetAtt Destination.Arn }, { Id: two, Arn: !GetAtt Fn.Arn }]
`,
    );
    const { url, karin } = await start();
    expect(said()).toContain(`  ${url}/in/000000000000/Audit\n  ${url}/in/000000000000/Jobs\n`);
    const played = lines.flatMap((line, index) =>
      line.startsWith('    curl ') ? [`${lines[index - 1]?.trim()}`] : [],
    );
    expect(played).toEqual([
      'topic Topic, raw  ->  Audit',
      'topic Topic  ->  Jobs',
      'rule Placed  ->  Jobs',
      'bucket Uploads, ObjectCreated:Put  ->  Audit',
      'bucket Uploads, ObjectCreated:Put  ->  Jobs',
    ]);
    expect(said()).toMatch(
      /^! subscription Unknown: its Endpoint cannot be resolved .* whether it feeds a queue is not/m,
    );
    const bodies = lines.flatMap((line) => /^ {4}curl -d '(.*)' 'http/.exec(line)?.[1] ?? []);
    expect(bodies[0]).toBe('hello');
    expect(JSON.parse(bodies[2] ?? '')).toMatchObject({ source: 'shop', 'detail-type': 'OrderPlaced' });
    expect(JSON.parse(JSON.parse(bodies[4] ?? '').Message)).toMatchObject({ Records: [{ eventSource: 'aws:s3' }] });
    const answer = await fetch(`${url}/in/000000000000/Audit`, { method: 'POST', body: bodies[3] ?? '' });
    expect(answer.status).toBe(200);
    expect(karin.url).toBe(url);
  });

  it('has every queue of the template, and holds those that AWS would consume', async () => {
    put('template.yaml', TEMPLATE);
    const { url, karin } = await start();
    const sqs = new SQSClient({
      endpoint: url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
    const { QueueUrls } = await sqs.send(new ListQueuesCommand({}));
    expect(QueueUrls).toEqual([`${url}/000000000000/Audit`, `${url}/000000000000/Jobs`]);
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'Audit' }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'kept' }));
    expect(karin.directory.byKey('us-east-1:000000000000:Audit')?.definition.mode).toBe('hold');
    sqs.destroy();
  });

  it('consumes enabled mappings with --all', async () => {
    put('template.yaml', TEMPLATE);
    await start({ all: true });
    expect(said()).toMatch(/^ {2}Audit +-> {2}Fn$/m);
    expect(said()).not.toContain('AWS would consume');
  });

  it('starts and stops with ports for debuggers', async () => {
    put('template.yaml', TEMPLATE);
    const { stop } = await start({ inspect: 0 });
    expect(said()).toMatch(/^\[Fn\] debugger: 127\.0\.0\.1:\d+$/m);
    await stop();
  });

  it('takes a template instead of what the folder has', async () => {
    put('template.yaml', TEMPLATE);
    put('other/stack.json', JSON.stringify({ Resources: { Other: { Type: 'AWS::SQS::Queue' } } }));
    const { url } = await start({ template: join(folder, 'other', 'stack.json') });
    expect(said()).toContain('no mapping of a queue');
    expect(said()).toContain(`--queue-url ${url}/000000000000/Other`);
  });

  it('leaves nothing in the project that Git would see', async () => {
    put('template.yaml', TEMPLATE);
    await start();
    expect(readdirSync(folder).sort()).toEqual(['.karin', 'template.yaml']);
    expect(readFileSync(join(folder, '.karin', '.gitignore'), 'utf8')).toBe('*\n');
  });

  it('takes region, port and host from the environment', async () => {
    put('template.yaml', TEMPLATE);
    const { PATH = '', HOME = '' } = process.env;
    const environment = { PATH, HOME, AWS_REGION: 'ap-south-1', HOST: 'localhost', PORT: '0' };
    const write = (text: string): void => void lines.push(...text.split('\n').slice(0, -1));
    dev = await startDev({ project: folder, watch: false, environment, write });
    expect(dev.url).toMatch(/^http:\/\/localhost:\d+$/);
    expect(said()).toContain('region ap-south-1');
    expect(dev.karin.directory.all().map(({ key }) => key)).toContain('ap-south-1:000000000000:Jobs');
  });

  it('gives variables of files to functions over the template, and to commands of the project under its own', async () => {
    put('cdk.json', JSON.stringify({ app: 'node app.cjs' }));
    put(
      'app.cjs',
      `const fs = require('node:fs');
       const out = process.env.CDK_OUTDIR;
       fs.writeFileSync('seen.json', JSON.stringify({ TABLE: process.env.TABLE, PATH: process.env.PATH }));
       const code = 'exports.handler = async () => ({ TABLE: process.env.TABLE, KEY: process.env.KEY, ID: process.env.AWS_ACCESS_KEY_ID });';
       const Properties = { FunctionName: 'fn', Runtime: 'nodejs22.x', Handler: 'index.handler', Code: { ZipFile: code }, Environment: { Variables: { TABLE: 'template', KEY: 'template' } } };
       fs.writeFileSync(out + '/T.json', JSON.stringify({ Resources: { Fn: { Type: 'AWS::Lambda::Function', Properties } } }));
       fs.writeFileSync(out + '/manifest.json', JSON.stringify({ artifacts: { T: { type: 'aws:cloudformation:stack', properties: { templateFile: 'T.json' } } } }));`,
    );
    put('one.env', 'TABLE=one\nPATH=/nowhere\nAWS_ACCESS_KEY_ID=mine\n');
    put('two.env', '# secrets\nTABLE="two"\n');
    const { lambdaUrl } = await start({ envFile: [join(folder, 'one.env'), join(folder, 'two.env')] });
    expect(JSON.parse(readFileSync(join(folder, 'seen.json'), 'utf8'))).toEqual({
      TABLE: 'two',
      PATH: process.env['PATH'],
    });
    const invoke = `${lambdaUrl}/2015-03-31/functions/fn/invocations`;
    const answer = await (await fetch(invoke, { method: 'POST', body: '{}' })).json();
    expect(answer).toEqual({ TABLE: 'two', KEY: 'template', ID: 'local' });
    expect(said()).toMatch(
      /^! AWS_ACCESS_KEY_ID of .*one\.env.*: left out; karin dev sets it itself, as Lambda does$/m,
    );
    await dev?.stop();
    await expect(start({ envFile: [join(folder, 'gone.env')] })).rejects.toThrow(
      /no file .*gone\.env, which --env-file/,
    );
  });

  it('reads files of variables as editors of Windows write them, and says of others that they are no text', async () => {
    const read = (bytes: string | Buffer) => {
      writeFileSync(join(folder, 'a.env'), bytes);
      return readEnvFiles([join(folder, 'a.env')]).variables;
    };
    const text = 'KEY=one\r\nTWO="a b"\r\n';
    const variables = { KEY: 'one', TWO: 'a b' };
    expect(read(text)).toEqual(variables);
    expect(read(`\ufeff${text}`)).toEqual(variables);
    expect(read(Buffer.from(`\ufeff${text}`, 'utf16le'))).toEqual(variables);
    put('template.yaml', TEMPLATE);
    for (const bytes of [Buffer.from('A=1\0'), Buffer.from([0x41, 0x3d, 0xc3, 0x28])]) {
      writeFileSync(join(folder, 'a.env'), bytes);
      await expect(start({ envFile: [join(folder, 'a.env')] })).rejects.toMatchObject({
        name: 'DevError',
        message: expect.stringMatching(/a\.env, which --env-file names, .* text$/),
      });
    }
    await expect(start({ envFile: [folder] })).rejects.toThrow(/--env-file names, cannot be read as text$/);
  });

  describe('that fails', () => {
    it('names the port that is in use and how to choose another', async () => {
      put('template.yaml', TEMPLATE);
      const other = createServer();
      await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
      // Listening on a TCP port: the address is never the name of a pipe.
      const { port } = other.address() as AddressInfo;
      await expect(start({ port })).rejects.toMatchObject({
        name: 'DevError',
        message: expect.stringMatching(
          new RegExp(`port ${port} of 127\\.0\\.0\\.1 is in use .* karin dev --port ${port + 1}`),
        ),
      });
      other.close();
    });

    it('says what a folder should have', async () => {
      await expect(start()).rejects.toThrow(/has none of cdk\.json, serverless\.yml, template\.yaml/);
      await expect(start({ project: join(folder, 'gone') })).rejects.toThrow(/there is no folder .*gone/);
    });

    it('says where a template is wrong', async () => {
      put('template.yaml', 'Resources:\n  - a: [');
      await expect(start()).rejects.toMatchObject({
        name: 'DevError',
        message: expect.stringContaining('template.yaml'),
      });
    });

    it('shows what a CDK app printed', async () => {
      put('cdk.json', JSON.stringify({ app: 'echo the app is broken >&2; exit 3' }));
      await expect(start()).rejects.toMatchObject({
        name: 'DevError',
        message: expect.stringContaining('the app is broken'),
      });
    });

    it('refuses an open server on other addresses', async () => {
      put('template.yaml', TEMPLATE);
      await expect(start({ host: '0.0.0.0' })).rejects.toMatchObject({ name: 'ConfigError' });
    });
  });

  it('uses what was synthesized before when the app fails', async () => {
    put('cdk.json', JSON.stringify({ app: 'echo the app is broken >&2; exit 3' }));
    const artifacts = {
      Shop: { type: 'aws:cloudformation:stack', properties: { templateFile: 'Shop.template.json' } },
    };
    put('cdk.out/manifest.json', JSON.stringify({ artifacts }));
    put('cdk.out/Shop.template.json', JSON.stringify({ Resources: { Jobs: { Type: 'AWS::SQS::Queue' } } }));
    await start();
    expect(said()).toMatch(/the app is broken\n.*cdk\.out, which was made earlier, is used instead/);
    expect(lines.at(-1)).toMatch(/^karin ready/);
  });

  it('gives a CDK app its context, an account, a region and a place to write to', async () => {
    put('cdk.json', JSON.stringify({ app: 'node app.cjs', context: { mine: 1 } }));
    put('cdk.context.json', JSON.stringify({ looked: 'up' }));
    put(
      'app.cjs',
      `const fs = require('node:fs');
       const { CDK_OUTDIR: out, CDK_CONTEXT_JSON, CDK_DEFAULT_ACCOUNT, CDK_DEFAULT_REGION } = process.env;
       fs.writeFileSync('seen.json', JSON.stringify({ context: JSON.parse(CDK_CONTEXT_JSON), CDK_DEFAULT_ACCOUNT, CDK_DEFAULT_REGION }));
       const template = { Resources: { Jobs: { Type: 'AWS::SQS::Queue' } } };
       fs.writeFileSync(out + '/T.json', JSON.stringify(template));
       fs.writeFileSync(out + '/manifest.json', JSON.stringify({ missing: [{ key: 'vpc-provider:x' }], artifacts: { T: { type: 'aws:cloudformation:stack', properties: { templateFile: 'T.json' } } } }));`,
    );
    const { url } = await start();
    expect(JSON.parse(readFileSync(join(folder, 'seen.json'), 'utf8'))).toMatchObject({
      CDK_DEFAULT_ACCOUNT: '000000000000',
      CDK_DEFAULT_REGION: 'us-east-1',
      context: { mine: 1, looked: 'up', 'karin:endpoint': url, 'aws:cdk:enable-asset-metadata': true },
    });
    expect(said()).toContain('placeholders stand for them: vpc-provider:x');
  });

  it("asks the project's own Serverless Framework, where it has one", async () => {
    put('serverless.yml', 'service: shop\nfunctions: {}\n');
    const template = JSON.stringify({ Resources: { FromFramework: { Type: 'AWS::SQS::Queue' } } });
    put(
      'node_modules/.bin/osls',
      `#!/bin/sh\nmkdir -p "$3"\ncat > "$3/cloudformation-template-update-stack.json" <<'END'\n${template}\nEND\n`,
    );
    chmodSync(join(folder, 'node_modules/.bin/osls'), 0o755);
    const { url } = await start();
    expect(said()).toContain('running osls package ...');
    expect(said()).toContain(`${url}/000000000000/FromFramework`);
  });
});
