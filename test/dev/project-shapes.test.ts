import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { ROOT } from './dev-process.ts';
import { type Files, ScratchProject } from './scratch-project.ts';

/** Compilers and syntheses take their time where several suites share two cores. */
const PATIENCE_MS = 180_000;

/** Prints the body of each message, and fails for one that says so. */
const PYTHON = `def handler(event, context):
    for record in event["Records"]:
        if record["body"] == "fail":
            raise ValueError("as asked")
        print("got", record["body"])
`;
const COMMON =
  "exports.handler = async (event) => { for (const { body } of event.Records) console.log('got', body); };\n";
const MODULE = COMMON.replace('exports.handler =', 'export const handler =');
const TYPESCRIPT =
  'export const handler = async (event: { Records: { body: string }[] }): Promise<void> => {\n' +
  "  for (const { body } of event.Records) console.log('got', body);\n};\n";

/** A SAM template of these resources, written as YAML allows. */
const sam = (resources: string): string => `AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Resources:
${resources}`;

describe('the shapes of projects that strangers have', { timeout: PATIENCE_MS }, () => {
  let project: ScratchProject | undefined;

  afterEach(async () => {
    await project?.stop();
    project = undefined;
  });

  const run = async (files: Files): Promise<ScratchProject> => {
    project = new ScratchProject(files);
    await project.start();
    return project;
  };

  const simple = (runtime: string, properties = ''): string =>
    sam(`  Orders: { Type: AWS::SQS::Queue, Properties: { RedrivePolicy: { deadLetterTargetArn: !GetAtt Failed.Arn, maxReceiveCount: 1 } } }
  Failed: { Type: AWS::SQS::Queue }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: ${runtime}
      Handler: app.handler
      CodeUri: src/
      Events: { Order: { Type: SQS, Properties: { Queue: !GetAtt Orders.Arn, BatchSize: 5 } } }
${properties}`);

  it.each([
    ['an ES module of Node', { 'template.yaml': simple('nodejs24.x'), 'src/app.mjs': MODULE }],
    ['CommonJS', { 'template.yaml': simple('nodejs22.x'), 'src/app.js': COMMON }],
    ['Python', { 'template.yml': simple('python3.13'), 'src/app.py': PYTHON }],
  ])('SAM with a queue and its dead letters, in %s, runs', async (_, files) => {
    const { send, line, warnings } = bound(await run(files));
    await send('Orders', 'one');
    await line(/^\[Worker\] got one$/);
    expect(warnings()).toEqual([]);
  });

  it("SAM in Python finds the packages that 'sam build' fetched, and runs the sources", async () => {
    const files = {
      'template.yaml': simple('python3.12'),
      'src/app.py': `import fetched\n${PYTHON.replace('"got"', 'fetched.WORD')}`,
      '.aws-sam/build/Worker/app.py': PYTHON,
      '.aws-sam/build/Worker/fetched.py': 'WORD = "got with a package:"\n',
    };
    const { send, line } = bound(await run(files));
    await send('Orders', 'one');
    await line(/^\[Worker\] got with a package: one$/);
  });

  it('SAM with an OpenAPI file whose integration sends to SQS runs the consumer', async () => {
    const api = `  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: prod
      DefinitionBody: { Fn::Transform: { Name: AWS::Include, Parameters: { Location: openapi.yaml } } }
`;
    const openapi = `openapi: 3.0.1
paths:
  /orders:
    post:
      x-amazon-apigateway-integration:
        type: aws
        httpMethod: POST
        uri: { Fn::Sub: 'arn:aws:apigateway:\${AWS::Region}:sqs:path/\${AWS::AccountId}/\${Orders.QueueName}' }
        requestTemplates: { application/json: 'Action=SendMessage&MessageBody=$input.body' }
`;
    const files = { 'template.yaml': simple('python3.12') + api, 'openapi.yaml': openapi, 'src/app.py': PYTHON };
    const { send, line } = bound(await run(files));
    await send('Orders', 'one');
    await line(/^\[Worker\] got one$/);
  });

  it('SAM with two FIFO queues and redrive, in Python, keeps the order and sets dead letters aside', async () => {
    const queue = (name: string, more = ''): string =>
      `  ${name}: { Type: AWS::SQS::Queue, Properties: { QueueName: ${name}.fifo, FifoQueue: true, VisibilityTimeout: 3${more} } }\n`;
    const template = sam(
      queue('first', ', RedrivePolicy: { deadLetterTargetArn: !GetAtt second.Arn, maxReceiveCount: 1 }') +
        queue('second') +
        ['first', 'second']
          .map(
            (name) => `  ${name}Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.${name}
      CodeUri: .
      Events: { Any: { Type: SQS, Properties: { Queue: !GetAtt ${name}.Arn, BatchSize: 1 } } }
`,
          )
          .join(''),
    );
    const app = `${PYTHON.replace('handler', 'first')}\n${PYTHON.replace('handler', 'second').replace('== "fail"', '== "never"')}`;
    const { send, line, lines } = bound(await run({ 'template.yaml': template, 'app.py': app }));
    for (const [index, body] of ['a', 'b', 'fail', 'c'].entries()) {
      await send('first.fifo', body, { MessageGroupId: 'one', MessageDeduplicationId: String(index) });
    }
    await line(/^\[secondWorker\] got fail$/);
    await line(/^\[firstWorker\] got c$/);
    expect(lines().filter((text) => text.startsWith('[firstWorker] got'))).toEqual(
      ['a', 'b', 'c'].map((body) => `[firstWorker] got ${body}`),
    );
  });

  it('SAM with six queues and filter criteria of every kind, in Python, runs what matches', async () => {
    const patterns: Readonly<Record<string, readonly [object, object, object]>> = {
      equal: [{ kind: ['order'] }, { kind: 'order' }, { kind: 'offer' }],
      prefix: [{ kind: [{ prefix: 'or' }] }, { kind: 'order' }, { kind: 'offer' }],
      numeric: [{ price: [{ numeric: ['>', 10, '<=', 20] }] }, { price: 20 }, { price: 10 }],
      exists: [{ price: [{ exists: true }] }, { price: 1 }, { kind: 'order' }],
      except: [{ kind: [{ 'anything-but': ['offer'] }] }, { kind: 'order' }, { kind: 'offer' }],
      nested: [{ item: { colour: ['red', 'blue'] } }, { item: { colour: 'red' } }, { item: { colour: 'green' } }],
    };
    const template = sam(
      Object.entries(patterns)
        .map(
          ([name, [body]]) => `  ${name}: { Type: AWS::SQS::Queue }
  ${name}Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.handler
      CodeUri: .
      Events:
        Any:
          Type: SQS
          Properties:
            Queue: !GetAtt ${name}.Arn
            BatchSize: 1
            FilterCriteria: { Filters: [{ Pattern: '${JSON.stringify({ body })}' }] }
`,
        )
        .join(''),
    );
    const { send, line, said } = bound(await run({ 'template.yaml': template, 'app.py': PYTHON }));
    for (const [name, [, matching, other]] of Object.entries(patterns)) {
      await send(name, JSON.stringify({ ...other, dropped: true }));
      await send(name, JSON.stringify(matching));
      await line(new RegExp(`^\\[${name}Worker\\] got `));
    }
    expect(said()).not.toMatch(/got .*dropped/);
  });

  it('SAM with a function that isolates tenants, in Python, runs behind one that names the tenant', async () => {
    const template = sam(`  Jobs: { Type: AWS::SQS::Queue }
  Router:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.route
      CodeUri: .
      Environment: { Variables: { ISOLATED: !Ref Isolated } }
      Events: { Any: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } } }
  Isolated:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.12
      Handler: app.isolated
      CodeUri: .
      TenancyConfig: { TenantIsolationMode: PER_TENANT }
`);
    const app = `import os, urllib.request

def route(event, context):
    for record in event["Records"]:
        url = os.environ["AWS_ENDPOINT_URL_LAMBDA"] + "/2015-03-31/functions/" + os.environ["ISOLATED"] + "/invocations"
        request = urllib.request.Request(url, b"{}", {"X-Amz-Tenant-Id": record["body"]})
        urllib.request.urlopen(request).read()

def isolated(event, context):
    print("serving", context.tenant_id)
`;
    const { send, line, warnings } = bound(await run({ 'template.yaml': template, 'app.py': app }));
    await send('Jobs', 'blue');
    await line(/^\[Isolated\] serving blue$/);
    expect(warnings()).toEqual([]);
  });

  it('SAM with a mapping to a function that isolates tenants says that a mapping names none', async () => {
    const template = simple('python3.12').replace(
      '      Runtime',
      '      TenancyConfig: { TenantIsolationMode: PER_TENANT }\n      Runtime',
    );
    const { warnings } = bound(await run({ 'template.yaml': template, 'src/app.py': PYTHON }));
    expect(warnings()).toEqual([expect.stringContaining('isolates tenants (TenancyConfig), and a mapping names none')]);
  });

  it('a serverless.yml with a producer only has its queue', async () => {
    const files = {
      'serverless.yml': `service: shop
frameworkVersion: '3'
provider: { name: aws, runtime: nodejs20.x, environment: { QUEUE_URL: !Ref Jobs } }
functions: { sender: { handler: sender.handler, url: true } }
resources: { Resources: { Jobs: { Type: AWS::SQS::Queue, Properties: { QueueName: shop-jobs } } } }
`,
      'sender.js': 'exports.handler = async () => process.env.QUEUE_URL;\n',
    };
    project = new ScratchProject(files);
    const { url, lambdaUrl } = await project.start();
    const answer = await fetch(`${lambdaUrl}/functions/shop-dev-sender/`);
    expect(await answer.text()).toBe(`${url}/000000000000/shop-jobs`);
    expect(project.warnings).toEqual([]);
  });

  it('SAM whose Python handler uses a public layer names the layer and what stands in for it', async () => {
    const layer = 'arn:aws:lambda:us-east-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python312-x86_64:7';
    const template = simple('python3.12').replace(
      '      Runtime',
      `      Layers: [!Sub '${layer.replace('us-east-1', '${AWS::Region}')}']\n      Runtime`,
    );
    const handler = `from aws_lambda_powertools_of_nobody import Logger\n${PYTHON}`;
    const { send, line, warnings } = bound(await run({ 'template.yaml': template, 'src/app.py': handler }));
    expect(warnings()).toEqual([
      expect.stringContaining(
        `the layer ${layer} is only in AWS, and the function (python3.12) runs without it; install what it brings: pip install aws-lambda-powertools, or fetch it: curl`,
      ),
    ]);
    await send('Orders', 'one');
    await line(/^\[Worker\] the layer .* pip install aws-lambda-powertools/);
  });

  it('SAM with a durable function and an alias says at once that durable functions run in AWS alone', async () => {
    const fn = (name: string, more = ''): string => `  ${name}:
    Type: AWS::Serverless::Function
    Properties: { Runtime: nodejs24.x, Handler: index.handler, CodeUri: .${more} }
`;
    const template = sam(
      `  Jobs: { Type: AWS::SQS::Queue }
${fn('Start')}${fn('Charge')}${fn('Ship')}${fn('Saga', ', AutoPublishAlias: live, DurableConfig: { ExecutionTimeout: 3600 }, Events: { Job: { Type: SQS, Properties: { Queue: !GetAtt Jobs.Arn } } }')}${fn('Loose', ', DurableConfig: { ExecutionTimeout: 60 }')}`,
    );
    const files = { 'template.yaml': template, 'index.mjs': MODULE };
    const { warnings } = bound(await run(files));
    const reason =
      /it is a durable function .* 'sam build && sam local start-lambda' beside 'karin dev --lambda-endpoint/;
    expect(warnings()).toEqual([
      expect.stringMatching(new RegExp(`^! Jobs {2}-> {2}Saga:live: the function Saga .*${reason.source}`)),
      expect.stringMatching(new RegExp(`^! the function Loose .*${reason.source}`)),
    ]);
    await project?.stop();
    project = new ScratchProject(files);
    // Also where AWS would consume the queue itself.
    await project.start({ all: false });
    expect(project.warnings).toEqual(
      ['Saga', 'Loose'].map((name) => expect.stringMatching(new RegExp(`^! the function ${name} .*${reason.source}`))),
    );
  });

  it('SAM in Rust that is not built is built, or says what is missing', async () => {
    const template = simple('provided.al2023', '    Metadata: { BuildMethod: rust-cargolambda }\n');
    const files = {
      'template.yaml': template.replace('src/', 'worker/'),
      'worker/Cargo.toml': '[package]\nname = "worker"\nversion = "0.1.0"\nedition = "2021"\n',
      'worker/src/main.rs': 'fn main() { println!("rust is here"); }\n',
    };
    project = new ScratchProject(files);
    const { lambdaUrl } = await project.start();
    if (project.warnings.length > 0) {
      expect(project.warnings).toEqual([expect.stringContaining('there is no cargo on the PATH; install Rust')]);
      return;
    }
    // It speaks no Runtime API, so it ends at once; that it was built and started is what is looked for.
    await fetch(`${lambdaUrl}/2015-03-31/functions/Worker/invocations`, { method: 'POST', body: '{}' });
    await project.line(/^\[Worker\] rust is here$/);
  });

  const lift = (runtime: string): string => `service: shop
provider: { name: aws, runtime: ${runtime} }
plugins: [serverless-lift]
constructs:
  jobs: { type: queue, batchSize: 5, maxRetries: 1, worker: { handler: worker.handler, timeout: 10 } }
functions:
  sender: { handler: sender.handler, url: true, environment: { QUEUE_URL: '\${construct:jobs.queueUrl}' } }
`;

  it.each([
    [
      'Node',
      lift('nodejs22.x'),
      { 'worker.js': COMMON, 'sender.js': 'exports.handler = async () => process.env.QUEUE_URL;\n' },
    ],
    [
      'Python',
      lift('python3.12'),
      { 'worker.py': PYTHON, 'sender.py': 'import os\ndef handler(event, context): return os.environ["QUEUE_URL"]\n' },
    ],
  ])('a serverless.yml with a queue of Lift, in %s, runs', async (_, yaml, files) => {
    project = new ScratchProject({ 'serverless.yml': yaml, ...files });
    const { url, lambdaUrl } = await project.start();
    expect(project.warnings).toEqual([]);
    expect(await (await fetch(`${lambdaUrl}/functions/shop-dev-sender/`)).text()).toContain(
      `${url}/000000000000/shop-dev-jobs`,
    );
    await project.send('shop-dev-jobs', 'one');
    await project.line(/^\[shop-dev-jobsWorker\] got one$/);
  });

  it('a serverless.yml in TypeScript with its queue in resources and an http event on the sender runs', async () => {
    const files = {
      'serverless.yml': `service: shop
provider: { name: aws, runtime: nodejs18.x, stage: test }
functions:
  sender: { handler: src/sender.handler, events: [{ http: { path: orders, method: post } }] }
  worker: { handler: src/worker.handler, events: [{ sqs: { arn: !GetAtt Jobs.Arn, batchSize: 1 } }] }
resources: { Resources: { Jobs: { Type: AWS::SQS::Queue } } }
`,
      'src/worker.ts': TYPESCRIPT,
      'src/sender.ts': 'export const handler = async (): Promise<string> => "sent";\n',
    };
    const { send, line } = bound(await run(files));
    await send('Jobs', 'one');
    await line(/^\[shop-test-worker\] got one$/);
  });

  /** A CDK app in TypeScript; `body`: what its stack holds, with a queue `jobs` of the construct's own. */
  const cdkApp = (body: string): ScratchProject => {
    const app = new ScratchProject({
      'cdk.json': JSON.stringify({ app: 'node --import tsx app.ts' }),
      'package.json': '{"name":"shop"}',
      'package-lock.json': '{"name":"shop","lockfileVersion":3,"packages":{}}',
      'worker.ts': TYPESCRIPT,
      'app.ts': `import { App, Stack } from 'aws-cdk-lib';
        import * as iam from 'aws-cdk-lib/aws-iam';
        import * as lambda from 'aws-cdk-lib/aws-lambda';
        import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
        import * as sns from 'aws-cdk-lib/aws-sns';
        import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
        import { KarinQueue } from '${join(ROOT, 'constructs', 'index.ts')}';
        const stack = new Stack(new App(), 'Shop');
        const jobs = new KarinQueue(stack, 'Jobs');
        ${body}`,
    });
    symlinkSync(join(ROOT, 'node_modules'), join(app.folder, 'node_modules'));
    return app;
  };

  it('CDK with a mapping by hand, a NodejsFunction of an old runtime and a role of its own runs', async () => {
    project = cdkApp(`
      const assumedBy = new iam.ServicePrincipal('lambda.amazonaws.com');
      const role = new iam.Role(stack, 'Role', { assumedBy });
      const worker = new NodejsFunction(stack, 'Worker', { entry: 'worker.ts', runtime: lambda.Runtime.NODEJS_18_X, role });
      new lambda.EventSourceMapping(stack, 'Mapping', { eventSourceArn: jobs.queueArn, target: worker, enabled: false });`);
    await project.start({ all: false });
    await project.send('Jobs', 'one');
    await project.line(/^\[Worker\] got one$/);
  });

  it('CDK with a topic that SqsSubscription would send to a queue of Karin is refused with the mend', async () => {
    project = cdkApp("new sns.Topic(stack, 'Topic').addSubscription(new SqsSubscription(jobs));");
    await expect(project.start()).rejects.toThrow(/KarinSubscription/);
  });

  it('SAM with notifications of a bucket to a queue plays one, and names its layer', async () => {
    const layer = 'arn:aws:lambda:us-east-1:770693421928:layer:Klayers-p312-Pillow:8';
    const template = `${simple('python3.12').replace('      Runtime', `      Layers: ['${layer}']\n      Runtime`)}  Uploads:
    Type: AWS::S3::Bucket
    Properties: { NotificationConfiguration: { QueueConfigurations: [{ Event: 's3:ObjectCreated:*', Queue: !GetAtt Orders.Arn }] } }
`;
    const { said, warnings } = bound(await run({ 'template.yaml': template, 'src/app.py': PYTHON }));
    expect(said()).toContain('  bucket Uploads, ObjectCreated:Put  ->  Orders\n    curl -d');
    expect(warnings()).toEqual([expect.stringContaining('install what it brings: pip install Pillow')]);
  });
});

/** The members that tests need most, by themselves. */
function bound(project: ScratchProject) {
  return {
    send: project.send.bind(project),
    line: project.line.bind(project),
    lines: () => project.lines,
    said: () => project.said,
    warnings: () => project.warnings,
  };
}
