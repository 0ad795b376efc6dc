import { Annotations, App, CfnParameter, Duration, RemovalPolicy, SecretValue, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { describe, expect, it } from 'vitest';
import { KarinQueue, type KarinQueueProps } from '../../constructs/index.ts';
import { ENDPOINT, onlyResource, resources, testApp, testFunction, testStack, warnings } from './support/stacks.ts';

const QUEUE = 'AWS::SQS::Queue';

/** Every property of sqs.Queue, on a standard and on a FIFO queue. */
const STANDARD: sqs.QueueProps = {
  queueName: 'jobs',
  retentionPeriod: Duration.days(2),
  deliveryDelay: Duration.seconds(7),
  maxMessageSizeBytes: 2_048,
  receiveMessageWaitTime: Duration.seconds(5),
  visibilityTimeout: Duration.minutes(2),
  encryption: sqs.QueueEncryption.SQS_MANAGED,
  enforceSSL: true,
  removalPolicy: RemovalPolicy.RETAIN,
  redriveAllowPolicy: { redrivePermission: sqs.RedrivePermission.DENY_ALL },
};
const FIFO: sqs.QueueProps = {
  fifo: true,
  contentBasedDeduplication: true,
  deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
  fifoThroughputLimit: sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
  encryption: sqs.QueueEncryption.KMS_MANAGED,
  dataKeyReuse: Duration.minutes(10),
};

/** The template of a stack with one queue, without the tag that marks an anchor. */
function templateOf(define: (stack: Stack) => unknown): unknown {
  const stack = testStack();
  define(stack);
  const template = Template.fromStack(stack).toJSON();
  for (const resource of Object.values<{ Properties?: { Tags?: unknown } }>(template['Resources'])) {
    const { Tags: _, ...others } = resource.Properties ?? {};
    resource.Properties = others;
  }
  return template;
}

describe('the anchor', () => {
  it.each([
    ['a standard queue', STANDARD],
    ['a FIFO queue', FIFO],
    ['no properties', {}],
    ['encryption off', { encryption: sqs.QueueEncryption.UNENCRYPTED }],
    ['a key of its own', { encryption: sqs.QueueEncryption.KMS, dataKeyReuse: Duration.hours(1) }],
  ])('is what sqs.Queue would define, with the same logical ids: %s', (_, props: sqs.QueueProps) => {
    expect(templateOf((stack) => new KarinQueue(stack, 'Jobs', props))).toEqual(
      templateOf((stack) => new sqs.Queue(stack, 'Jobs', props)),
    );
  });

  it('takes a key from outside', () => {
    const define = (Queue: typeof KarinQueue | typeof sqs.Queue) =>
      templateOf((stack) => new Queue(stack, 'Jobs', { encryptionMasterKey: new kms.Key(stack, 'Key') }));
    expect(define(KarinQueue)).toEqual(define(sqs.Queue));
  });

  it('names its source queues in the redrive allow policy', () => {
    const stack = testStack();
    const source = new KarinQueue(stack, 'Source');
    new KarinQueue(stack, 'Dead', { redriveAllowPolicy: { sourceQueues: [source] } });
    Template.fromStack(stack).hasResourceProperties(QUEUE, {
      RedriveAllowPolicy: {
        redrivePermission: 'byQueue',
        sourceQueueArns: [{ 'Fn::GetAtt': ['Source71E471F1', 'Arn'] }],
      },
    });
  });

  it('carries the tag of Karin', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs');
    expect(onlyResource(Template.fromStack(stack), QUEUE).Properties['Tags']).toEqual([
      { Key: 'karin:managed', Value: 'true' },
    ]);
  });

  it('says that its key does not encrypt the messages', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', { encryption: sqs.QueueEncryption.KMS });
    expect(warnings(stack)).toContainEqual(expect.stringContaining('karin-queue:encryption'));
  });
});

describe('the queue URL', () => {
  it('is on the Karin server, with the account and the name', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs');
    expect(stack.resolve(queue.queueUrl)).toEqual({
      'Fn::Join': [
        '',
        [`${ENDPOINT}/111122223333/`, { 'Fn::Select': [4, { 'Fn::Split': ['/', { Ref: 'JobsDF1CC2D4' }] }] }],
      ],
    });
  });

  it('goes by the name in another account or region, where no reference reaches', () => {
    const app = testApp();
    const queue = new KarinQueue(testStack('Queues', app), 'Jobs', { queueName: 'jobs' });
    const elsewhere = new Stack(app, 'Elsewhere', { env: { account: '444455556666', region: 'us-east-1' } });
    queue.bindEnvironment(testFunction(elsewhere));
    const { Properties } = onlyResource(Template.fromStack(elsewhere), 'AWS::Lambda::Function');
    expect(Properties['Environment']).toMatchObject({
      Variables: { QUEUE_URL: `${ENDPOINT}/111122223333/jobs` },
    });
  });

  it('names the region where that is wanted, also to a producer in another account and region', () => {
    const app = testApp();
    const queue = new KarinQueue(testStack('Queues', app), 'Jobs', { queueName: 'jobs', regionInUrl: true });
    const elsewhere = new Stack(app, 'Elsewhere', { env: { account: '444455556666', region: 'us-east-1' } });
    queue.bindEnvironment(testFunction(elsewhere));
    const { Properties } = onlyResource(Template.fromStack(elsewhere), 'AWS::Lambda::Function');
    expect(Properties['Environment']).toEqual({
      // The client's endpoint has no region, so that one function may send to queues of several.
      Variables: { QUEUE_URL: `${ENDPOINT}/r/eu-west-1/111122223333/jobs`, AWS_ENDPOINT_URL_SQS: ENDPOINT },
    });
  });

  it('names region and account as references where the stack knows neither', () => {
    const stack = new Stack(testApp(), 'Anywhere');
    const queue = new KarinQueue(stack, 'Jobs', { regionInUrl: true });
    expect(stack.resolve(queue.queueUrl)).toEqual({
      'Fn::Join': [
        '',
        [
          `${ENDPOINT}/r/`,
          { Ref: 'AWS::Region' },
          '/',
          { Ref: 'AWS::AccountId' },
          '/',
          { 'Fn::Select': [4, { 'Fn::Split': ['/', { Ref: 'JobsDF1CC2D4' }] }] },
        ],
      ],
    });
  });

  it.each([
    [true, `${ENDPOINT}/r/eu-west-1/`],
    ['true', `${ENDPOINT}/r/eu-west-1/`],
    [false, `${ENDPOINT}/`],
    ['false', `${ENDPOINT}/`],
  ])('names the region in all of an app whose context says %j', (given, beginning) => {
    const stack = testStack('Stack', testApp({ context: { 'karin:regionInUrl': given } }));
    const imported = KarinQueue.fromQueueArn(stack, 'Imported', 'arn:aws:sqs:eu-west-1:111122223333:jobs');
    expect(imported.queueUrl).toBe(`${beginning}111122223333/jobs`);
    expect(JSON.stringify(stack.resolve(new KarinQueue(stack, 'Jobs').queueUrl))).toContain(
      `"${beginning}111122223333/"`,
    );
    const chosen = new KarinQueue(stack, 'Chosen', { regionInUrl: false });
    expect(JSON.stringify(stack.resolve(chosen.queueUrl))).toContain(`"${ENDPOINT}/111122223333/"`);
  });

  it('fails for a context value that is neither true nor false', () => {
    const stack = testStack('Stack', testApp({ context: { 'karin:regionInUrl': 'yes' } }));
    expect(() => new KarinQueue(stack, 'Jobs')).toThrow(
      "the context value 'karin:regionInUrl' must be true or false, but 'yes' was given",
    );
  });

  it('keeps the base path of the endpoint', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs', { endpoint: 'https://example.com/karin' });
    expect(queue.endpoint).toBe('https://example.com/karin');
  });

  it('may come from a token', () => {
    const stack = testStack();
    const endpoint = SecretValue.ssmSecure('/karin/endpoint').toString();
    expect(() => new KarinQueue(stack, 'Jobs', { endpoint })).not.toThrow();
  });

  it.each([
    ['karin.example.com', 'must be an absolute URL'],
    ['ftp://karin.example.com', 'must begin with https:// or http://'],
    ['https://karin.example.com/', 'must not end with a slash'],
    ['https://karin.example.com?x=1', 'must not carry a query or a fragment'],
    ['https://me:secret@karin.example.com', 'must not carry a user name or password'],
  ])('fails for the endpoint %s', (endpoint, rule) => {
    expect(() => new KarinQueue(testStack(), 'Jobs', { endpoint })).toThrow(rule);
  });

  it('fails without an endpoint, and says where to put it', () => {
    const stack = new Stack(new App(), 'Stack');
    expect(() => new KarinQueue(stack, 'Jobs')).toThrow(
      "pass 'endpoint', for example 'https://karin.example.com', or set",
    );
  });

  it('warns of plain http, unless it stays on the machine', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Remote', { endpoint: 'http://karin.example.com' });
    new KarinQueue(stack, 'Local', { endpoint: 'http://127.0.0.1:4000' });
    expect(warnings(stack).filter((text) => text.includes('karin-queue:plainHttp'))).toHaveLength(1);
  });
});

describe('properties out of range', () => {
  it('fails once, with every problem', () => {
    const props: KarinQueueProps = {
      deliveryDelay: Duration.minutes(16),
      maxMessageSizeBytes: 1,
      retentionPeriod: Duration.seconds(59),
      receiveMessageWaitTime: Duration.seconds(21),
      visibilityTimeout: Duration.hours(13),
      dataKeyReuse: Duration.seconds(1),
    };
    expect(() => new KarinQueue(testStack(), 'Jobs', props)).toThrow(
      [
        'delivery delay must be a whole number between 0 and 900 seconds, but 960 was provided',
        'maximum message size must be a whole number between 1,024 and 1,048,576 bytes, but 1 was provided',
        'message retention period must be a whole number between 60 and 1,209,600 seconds, but 59 was provided',
        'receive wait time must be a whole number between 0 and 20 seconds, but 21 was provided',
        'visibility timeout must be a whole number between 0 and 43,200 seconds, but 46800 was provided',
        'data key reuse period must be a whole number between 60 and 86,400 seconds, but 1 was provided',
      ].join('; '),
    );
  });

  it.each<[string, KarinQueueProps, string]>([
    ['a FIFO queue without .fifo', { fifo: true, queueName: 'jobs' }, "must end in '.fifo', but 'jobs'"],
    [
      'a standard queue with .fifo',
      { fifo: false, queueName: 'jobs.fifo' },
      "only FIFO queue names may end in '.fifo'",
    ],
    ['a size that is no whole number', { maxMessageSizeBytes: 2_048.5 }, 'must be a whole number between 1,024 and'],
    ['a name with a space', { queueName: 'my jobs' }, "1 to 80 letters, digits, hyphens and underscores, with '.fifo'"],
    ['a name that is too long', { queueName: `${'j'.repeat(76)}.fifo` }, `but '${'j'.repeat(76)}.fifo' was provided`],
    ['a name that is empty', { queueName: '' }, "but '' was provided"],
    ['deduplication by content', { fifo: false, contentBasedDeduplication: true }, 'can only be set on FIFO queues'],
    ['options without a consumer', { consumerOptions: { batchSize: 1 } }, 'there is no consumer'],
  ])('fails for %s', (_, props, rule) => {
    expect(() => new KarinQueue(testStack(), 'Jobs', props)).toThrow(rule);
  });

  it('takes names of 80 characters, and those that are only known at deployment', () => {
    const stack = testStack();
    expect(() => new KarinQueue(stack, 'Long', { queueName: 'j'.repeat(80) })).not.toThrow();
    expect(() => new KarinQueue(stack, 'Fifo', { queueName: `${'j'.repeat(75)}.fifo` })).not.toThrow();
    const queueName = new CfnParameter(stack, 'Name').valueAsString;
    expect(() => new KarinQueue(stack, 'Token', { queueName })).not.toThrow();
  });

  it('leaves numbers alone that are only known at deployment', () => {
    const stack = testStack();
    const seconds = Duration.seconds(new CfnParameter(stack, 'Seconds', { type: 'Number' }).valueAsNumber);
    const maxMessageSizeBytes = new CfnParameter(stack, 'Bytes', { type: 'Number' }).valueAsNumber;
    new KarinQueue(stack, 'Jobs', {
      consumer: testFunction(stack),
      maxMessageSizeBytes,
      visibilityTimeout: seconds,
      retentionPeriod: seconds,
      deliveryDelay: seconds,
      receiveMessageWaitTime: seconds,
    });
    expect(onlyResource(Template.fromStack(stack), QUEUE).Properties).toMatchObject({
      MaximumMessageSize: { Ref: 'Bytes' },
      VisibilityTimeout: { Ref: 'Seconds' },
      MessageRetentionPeriod: { Ref: 'Seconds' },
      DelaySeconds: { Ref: 'Seconds' },
      ReceiveMessageWaitTimeSeconds: { Ref: 'Seconds' },
    });
  });

  it('takes a name that ends in .fifo for a FIFO queue', () => {
    expect(new KarinQueue(testStack(), 'Jobs', { queueName: 'jobs.fifo' }).fifo).toBe(true);
  });
});

describe('a dead-letter queue', () => {
  it('fails if it is an Amazon SQS queue', () => {
    const stack = testStack();
    const queue = new sqs.Queue(stack, 'Dead');
    expect(() => new KarinQueue(stack, 'Jobs', { deadLetterQueue: { queue, maxReceiveCount: 5 } })).toThrow(
      "the dead-letter queue 'Stack/Dead' is an Amazon SQS queue, to which a Karin server moves nothing; make it a KarinQueue",
    );
  });

  it('fails if it is of the other kind', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Dead', { fifo: true });
    expect(() => new KarinQueue(stack, 'Jobs', { deadLetterQueue: { queue, maxReceiveCount: 5 } })).toThrow(
      'the dead-letter queue of a standard queue must be one too',
    );
  });

  it('fails for a receive count that SQS refuses', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Dead');
    expect(() => new KarinQueue(stack, 'Jobs', { deadLetterQueue: { queue, maxReceiveCount: 0 } })).toThrow(
      'must be a whole number between 1 and 1,000 receives, but 0',
    );
  });
});

describe('a queue that nobody consumes', () => {
  it('is a warning that says what it means', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs');
    expect(warnings(stack)).toEqual([expect.stringContaining('it does not know this one and refuses messages for it')]);
  });

  it('can be acknowledged', () => {
    const stack = testStack();
    Annotations.of(new KarinQueue(stack, 'Jobs')).acknowledgeWarning('karin-queue:noConsumer', 'defined elsewhere');
    expect(warnings(stack)).toEqual([]);
  });

  it('is none for a dead-letter queue, nor for a queue with a consumer', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Dead');
    new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack), deadLetterQueue: { queue, maxReceiveCount: 5 } });
    expect(warnings(stack)).toEqual([]);
  });
});

describe('an imported queue', () => {
  it('is known by its ARN', () => {
    const queue = KarinQueue.fromQueueArn(testStack(), 'Jobs', 'arn:aws:sqs:eu-west-1:111122223333:jobs.fifo');
    expect(queue).toMatchObject({
      queueName: 'jobs.fifo',
      fifo: true,
      queueUrl: `${ENDPOINT}/111122223333/jobs.fifo`,
      endpoint: ENDPOINT,
    });
  });

  it('takes another endpoint', () => {
    const queue = KarinQueue.fromKarinQueueAttributes(testStack(), 'Jobs', {
      queueArn: 'arn:aws:sqs:eu-west-1:111122223333:jobs',
      endpoint: 'https://other.example.com',
    });
    expect(queue.queueUrl).toBe('https://other.example.com/111122223333/jobs');
  });

  it('names the region of its ARN where that is wanted, whichever that of the stack is', () => {
    const stack = testStack();
    const queue = KarinQueue.fromKarinQueueAttributes(stack, 'Jobs', {
      queueArn: 'arn:aws-cn:sqs:cn-north-1:444455556666:jobs',
      regionInUrl: true,
    });
    expect(queue.queueUrl).toBe(`${ENDPOINT}/r/cn-north-1/444455556666/jobs`);
    const queueArn = new CfnParameter(stack, 'Arn').valueAsString;
    const unknown = KarinQueue.fromKarinQueueAttributes(stack, 'Unknown', { queueArn, regionInUrl: true });
    const part = (index: number) => ({ 'Fn::Select': [index, { 'Fn::Split': [':', { Ref: 'Arn' }] }] });
    expect(stack.resolve(unknown.queueUrl)).toEqual({
      'Fn::Join': ['', [`${ENDPOINT}/r/`, part(3), '/', part(4), '/', part(5)]],
    });
  });

  it('fails if it says to be another kind than its name', () => {
    expect(() =>
      KarinQueue.fromKarinQueueAttributes(testStack(), 'Jobs', {
        queueArn: 'arn:aws:sqs:eu-west-1:111122223333:jobs',
        fifo: true,
      }),
    ).toThrow("the queue 'jobs' is not a FIFO queue by its name");
  });

  it('gives its consumers a disabled mapping', () => {
    const stack = testStack();
    const queueArn = 'arn:aws:sqs:eu-west-1:111122223333:jobs';
    const queue = KarinQueue.fromQueueArn(stack, 'Jobs', queueArn);
    new KarinQueue(stack, 'Other', { consumer: testFunction(stack) });
    testFunction(stack, 'Consumer').addEventSourceMapping('Mapping', { eventSourceArn: queue.queueArn });
    for (const mapping of Object.values(resources(Template.fromStack(stack), 'AWS::Lambda::EventSourceMapping'))) {
      expect(mapping.Properties['Enabled']).toBe(false);
    }
  });
});

describe('isKarinQueue', () => {
  it('knows defined and imported queues from others', () => {
    const stack = testStack('Stack', testApp());
    expect(KarinQueue.isKarinQueue(new KarinQueue(stack, 'A'))).toBe(true);
    expect(KarinQueue.isKarinQueue(KarinQueue.fromQueueArn(stack, 'B', 'arn:aws:sqs:eu-west-1:1:b'))).toBe(true);
    expect(KarinQueue.isKarinQueue(new sqs.Queue(stack, 'C'))).toBe(false);
    expect(KarinQueue.isKarinQueue(undefined)).toBe(false);
  });
});
