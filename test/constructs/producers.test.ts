import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, CfnParameter, SecretValue } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { describe, expect, it } from 'vitest';
import { KarinQueue, SyncOnDeploy } from '../../constructs/index.ts';
import { ENDPOINT, onlyResource, testApp, testFunction, testStack, warnings } from './support/stacks.ts';

function variablesOf(stack: ReturnType<typeof testStack>): unknown {
  const environment = onlyResource(Template.fromStack(stack), 'AWS::Lambda::Function').Properties['Environment'];
  return typeof environment === 'object' && environment !== null ? Reflect.get(environment, 'Variables') : undefined;
}

describe('bindEnvironment', () => {
  it('sets the queue URL and the endpoint', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs');
    const fn = testFunction(stack);
    queue.bindEnvironment(fn);
    queue.bindEnvironment(fn);
    expect(variablesOf(stack)).toEqual({
      AWS_ENDPOINT_URL_SQS: ENDPOINT,
      QUEUE_URL: {
        'Fn::Join': [
          '',
          [`${ENDPOINT}/111122223333/`, { 'Fn::Select': [4, { 'Fn::Split': ['/', { Ref: 'JobsDF1CC2D4' }] }] }],
        ],
      },
    });
  });

  it('binds several queues under names of their own', () => {
    const stack = testStack();
    const fn = testFunction(stack);
    new KarinQueue(stack, 'Jobs').bindEnvironment(fn, { urlVariable: 'JOBS_URL' });
    new KarinQueue(stack, 'Mails').bindEnvironment(fn, { urlVariable: 'MAILS_URL' });
    expect(variablesOf(stack)).toMatchObject({ JOBS_URL: expect.anything(), MAILS_URL: expect.anything() });
  });

  it('leaves the endpoint alone on request', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs').bindEnvironment(testFunction(stack), { endpointVariable: false });
    expect(variablesOf(stack)).not.toHaveProperty('AWS_ENDPOINT_URL_SQS');
  });

  it('warns where it would redirect a client for Amazon SQS as well', () => {
    const define = (endpointVariable: boolean) => {
      const stack = testStack();
      const fn = testFunction(stack);
      fn.addEnvironment('REAL_URL', new sqs.Queue(stack, 'Real').queueUrl);
      new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack, 'Consumer') }).bindEnvironment(fn, {
        endpointVariable,
      });
      return warnings(stack);
    };
    expect(define(true)).toEqual([expect.stringContaining("its environment also names 'Stack/Real/Resource'")]);
    expect(define(false)).toEqual([]);
  });

  describe('left out', () => {
    const warningsFor = (runtime: lambda.Runtime, use: (queue: KarinQueue, fn: lambda.Function) => unknown) => {
      const stack = testStack();
      const code = lambda.Code.fromBucket(s3.Bucket.fromBucketName(stack, 'Code', 'code'), 'code.zip');
      const fn = new lambda.Function(stack, 'Fn', { runtime, handler: 'index.handler', code });
      use(new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack, 'Consumer') }), fn);
      return warnings(stack).filter((text) => text.includes('karin-queue:endpointNotSet'));
    };
    const setUrl = (queue: KarinQueue, fn: lambda.Function) => fn.addEnvironment('URL', queue.queueUrl);
    const { NODEJS_22_X, PYTHON_3_13, JAVA_21, RUBY_3_3 } = lambda.Runtime;

    it.each([PYTHON_3_13, JAVA_21])('warns in %s, whose SDK ignores the host of a queue URL', (runtime) => {
      expect(warningsFor(runtime, setUrl)).toEqual([
        expect.stringContaining("the environment variable 'URL' names the KarinQueue 'Stack/Jobs'"),
      ]);
    });

    it('warns where only the name is known, by which Amazon SQS would be asked for the URL', () => {
      const setName = (queue: KarinQueue, fn: lambda.Function) => fn.addEnvironment('NAME', queue.queueName);
      expect(warningsFor(NODEJS_22_X, setName)).toEqual([expect.stringContaining("variable 'NAME'")]);
    });

    it.each([NODEJS_22_X, RUBY_3_3])('is well in %s, whose SDK goes by the queue URL', (runtime) => {
      expect(warningsFor(runtime, setUrl)).toEqual([]);
    });

    it('is well where the user sees to the endpoint', () => {
      expect(warningsFor(PYTHON_3_13, (queue, fn) => queue.bindEnvironment(fn))).toEqual([]);
      expect(warningsFor(PYTHON_3_13, (queue, fn) => queue.bindEnvironment(fn, { endpointVariable: false }))).toEqual(
        [],
      );
      const byHand = (queue: KarinQueue, fn: lambda.Function) =>
        setUrl(queue, fn).addEnvironment('AWS_ENDPOINT_URL_SQS', queue.endpoint);
      expect(warningsFor(PYTHON_3_13, byHand)).toEqual([]);
    });

    it('is well where the URL is a part of a longer text', () => {
      const setJson = (queue: KarinQueue, fn: lambda.Function) =>
        fn.addEnvironment('QUEUES', fn.stack.toJsonString({ jobs: queue.queueUrl }));
      expect(warningsFor(NODEJS_22_X, setJson)).toEqual([]);
    });

    it('is well where only the ARN is known, to which no SDK sends', () => {
      expect(warningsFor(PYTHON_3_13, (queue, fn) => fn.addEnvironment('ARN', queue.queueArn))).toEqual([]);
    });
  });

  it('fails where a second queue would overwrite the first', () => {
    const stack = testStack();
    const fn = testFunction(stack);
    new KarinQueue(stack, 'Jobs').bindEnvironment(fn);
    expect(() => new KarinQueue(stack, 'Mails').bindEnvironment(fn)).toThrow(
      "already has the environment variable 'QUEUE_URL' for another queue; pass another 'urlVariable'",
    );
    const elsewhere = new KarinQueue(stack, 'Elsewhere', { endpoint: 'https://other.example.com' });
    expect(() => elsewhere.bindEnvironment(fn, { urlVariable: 'OTHER' })).toThrow('must share an endpoint');
  });
});

describe('a capability', () => {
  it('reaches the producer as a dynamic reference, and stands in no template', () => {
    const stack = testStack();
    const secret = new secretsmanager.Secret(stack, 'Capability');
    const queue = new KarinQueue(stack, 'Jobs', { capability: secret.secretValue });
    queue.bindEnvironment(testFunction(stack));
    const reference = ['{{resolve:secretsmanager:', expect.anything(), ':SecretString:::}}'];
    expect(variablesOf(stack)).toMatchObject({
      AWS_ENDPOINT_URL_SQS: { 'Fn::Join': ['', [`${ENDPOINT}/k/${reference[0]}`, reference[1], reference[2]]] },
      QUEUE_URL: { 'Fn::Join': ['', expect.arrayContaining([`${ENDPOINT}/k/${reference[0]}`])] },
    });
  });

  it('may be named by its secret, or be a parameter that nobody sees', () => {
    const stack = testStack();
    const parameter = new CfnParameter(stack, 'Parameter', { noEcho: true });
    new KarinQueue(stack, 'A', { capability: SecretValue.secretsManager('karin/send') });
    const queue = new KarinQueue(stack, 'B', { capability: SecretValue.cfnParameter(parameter) });
    expect(stack.resolve(queue.endpoint)).toEqual({ 'Fn::Join': ['', [`${ENDPOINT}/k/`, { Ref: 'Parameter' }]] });
  });

  it('fails as plain text, without repeating it', () => {
    const define = () =>
      new KarinQueue(testStack(), 'Jobs', { capability: SecretValue.unsafePlainText('c0ffee-c0ffee') });
    expect(define).toThrow('capability would stand in the template as plain text; use SecretValue.secretsManager(...)');
    expect(define).not.toThrow('c0ffee');
  });

  it('stands in no file of an assembly, whichever way it is given', () => {
    const folder = mkdtempSync(join(tmpdir(), 'karin-assembly-'));
    try {
      const app = testApp({ outdir: folder, context: { 'karin:endpoint': `${ENDPOINT}/k/wr1tten-c4pability` } });
      const stack = testStack('Stack', app);
      const consumer = testFunction(stack, 'Consumer');
      const queue = new KarinQueue(stack, 'Jobs', { consumer, capability: SecretValue.secretsManager('karin/send') });
      queue.bindEnvironment(testFunction(stack, 'Producer'));
      const admin = secretsmanager.Secret.fromSecretNameV2(stack, 'Admin', 'karin/admin');
      new SyncOnDeploy(stack, 'Sync', { credential: admin });
      app.synth();
      const files = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
      expect(files.join('\n')).toContain('/k/{{resolve:secretsmanager:karin/send:SecretString:::}}');
      expect(files.join('\n')).not.toContain('wr1tten-c4pability');
      expect(warnings(stack).filter((text) => text.includes('karin-queue:capabilityInTemplate'))).toEqual([]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('that is written into the endpoint is a warning, unless it opens a server on this machine', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Remote', { endpoint: `${ENDPOINT}/k/wr1tten-c4pability` });
    new KarinQueue(stack, 'Local', { endpoint: 'http://127.0.0.1:4000/k/wr1tten-c4pability' });
    const found = warnings(stack).filter((text) => text.includes('karin-queue:capabilityInTemplate'));
    expect(found).toHaveLength(1);
    expect(found.join()).not.toContain('wr1tten-c4pability');
  });

  it('works where CDK checks the use of secrets', () => {
    const stack = testStack('Stack', testApp({ context: { '@aws-cdk/core:checkSecretUsage': true } }));
    const queue = new KarinQueue(stack, 'Jobs', { capability: SecretValue.secretsManager('karin/send') });
    queue.bindEnvironment(testFunction(stack));
    expect(JSON.stringify(variablesOf(stack))).toContain('{{resolve:secretsmanager:karin/send:SecretString:::}}');
  });
});

describe('grants', () => {
  it.each([
    ['sendMessages', 'grantSendMessages', 'sqs:SendMessage'],
    ['consumeMessages', 'grantConsumeMessages', 'sqs:ReceiveMessage'],
    ['purge', 'grantPurge', 'sqs:PurgeQueue'],
  ] as const)('%s and %s name the anchor', (facade, alias, action) => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs');
    const [one, other] = ['One', 'Other'].map(
      (id) => new iam.Role(stack, id, { assumedBy: new iam.AccountRootPrincipal() }),
    );
    if (one === undefined || other === undefined) throw new Error('two roles were defined');
    queue.grants[facade](one);
    queue[alias](other);
    const template = Template.fromStack(stack);
    template.resourcePropertiesCountIs(
      'AWS::IAM::Policy',
      {
        PolicyDocument: {
          Statement: [
            {
              Action: Match.arrayWith([action]),
              Resource: { 'Fn::GetAtt': ['JobsDF1CC2D4', 'Arn'] },
            },
          ],
        },
      },
      2,
    );
  });
});

describe('metrics', () => {
  it('are not those of the anchor, and say once what must publish them', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs');
    const metrics = [
      queue.metricApproximateNumberOfMessagesVisible(),
      queue.metricApproximateAgeOfOldestMessage({ statistic: 'p99' }),
      queue.metric('NumberOfMessagesSent'),
    ];
    for (const metric of metrics) {
      expect(metric).toBeInstanceOf(Metric);
      expect(metric.namespace).toBe('Karin');
      expect(metric.dimensions).toEqual({ QueueName: queue.queueName });
    }
    expect(metrics[1]?.statistic).toBe('p99');
    metrics[0]?.createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 });
    const found = Annotations.fromStack(stack).findWarning('*', Match.stringLikeRegexp('karin-queue:metrics'));
    expect(found).toHaveLength(1);
  });

  it('are refused where nobody publishes them, with those that there are', () => {
    const queue = new KarinQueue(testStack(), 'Jobs');
    const refused = [
      () => queue.metricNumberOfMessagesDeleted(),
      () => queue.metricNumberOfMessagesReceived(),
      () => queue.metricNumberOfEmptyReceives(),
      () => queue.metricSentMessageSize(),
      () => queue.metric('Made-up'),
    ];
    for (const metric of refused) {
      expect(metric).toThrow(
        /nobody publishes the metric '.*'.*; there are ApproximateAgeOfOldestMessage, .*\/metrics/,
      );
    }
    expect(queue.metricApproximateNumberOfMessagesNotVisible().metricName).toBe(
      'ApproximateNumberOfMessagesNotVisible',
    );
    expect(queue.metricApproximateNumberOfMessagesDelayed().metricName).toBe('ApproximateNumberOfMessagesDelayed');
    expect(queue.metricNumberOfMessagesSent().metricName).toBe('NumberOfMessagesSent');
  });

  it('of other queues stay those of Amazon SQS', () => {
    const stack = testStack('Stack', new App());
    const metric = new Metric({ namespace: 'AWS/SQS', metricName: 'NumberOfMessagesSent' });
    metric.createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 });
    expect(onlyResource(Template.fromStack(stack), 'AWS::CloudWatch::Alarm').Properties['Namespace']).toBe('AWS/SQS');
  });
});
