import { App, Duration, SecretValue, type Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as apigateway from 'aws-cdk-lib/aws-apigateway';
import * as apigatewayv2 from 'aws-cdk-lib/aws-apigatewayv2';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as s3n from 'aws-cdk-lib/aws-s3-notifications';
import * as sns from 'aws-cdk-lib/aws-sns';
import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { describe, expect, it } from 'vitest';
import {
  KarinBucketDestination,
  KarinHttpIntegration,
  KarinQueue,
  type KarinQueueProps,
  KarinRestIntegration,
  KarinSubscription,
  KarinTarget,
  KarinWebSocketIntegration,
} from '../../constructs/index.ts';
import { asDeclared, ENDPOINT, onlyResource, resources, testApp, testFunction, testStack } from './support/stacks.ts';

const CAPABILITY = '{{resolve:secretsmanager:karin/capability:SecretString:::}}';
const capability = SecretValue.secretsManager('karin/capability');

function queueIn(stack: Stack, props: KarinQueueProps = {}): KarinQueue {
  return new KarinQueue(stack, 'Jobs', { capability, consumer: testFunction(stack, 'Consumer'), ...props });
}

/** A value of a template as text; what only CloudFormation knows stands in angle brackets. */
function textOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const join: unknown = Reflect.get(value, 'Fn::Join');
  if (Array.isArray(join)) return join[1].map(textOf).join(join[0]);
  const select: unknown = Reflect.get(value, 'Fn::Select');
  if (Array.isArray(select)) return select[0] === 5 ? '<name>' : '<account>';
  return `<${JSON.stringify(value).replaceAll(/[^\w:]/g, '')}>`;
}

const ADDRESS = `${ENDPOINT}/k/${CAPABILITY}/in/<account>/<name>`;

describe('the address of a queue', () => {
  it('has the capability as a dynamic reference, and what becomes of a delivery', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    const url = queue.ingestUrl({
      delay: Duration.seconds(5),
      attributeHeaders: ['X-GitHub-Event', 'X-Hub-Signature-256'],
      keepContentType: true,
      senderName: 'github',
    });
    expect(textOf(stack.resolve(url))).toBe(
      `${ADDRESS}?delay=5&headers=X-GitHub-Event,X-Hub-Signature-256&content-type=keep&from=github`,
    );
    expect(textOf(stack.resolve(queue.ingestUrl({ withCapability: false })))).toBe(`${ENDPOINT}/in/<account>/<name>`);
  });

  it('names the region where that is wanted, and is let through all the same', () => {
    const stack = testStack();
    const queue = queueIn(stack, { regionInUrl: true });
    const topic = new sns.Topic(stack, 'Topic');
    topic.addSubscription(new KarinSubscription(queue));
    const { Properties } = onlyResource(Template.fromStack(stack), 'AWS::SNS::Subscription');
    expect(textOf(Properties['Endpoint'])).toBe(
      `${ENDPOINT}/k/${CAPABILITY}/r/eu-west-1/in/<account>/<name>?topic=<Ref:TopicBFC7AF6E>`,
    );
    expect(textOf(stack.resolve(queue.ingestUrl({ withCapability: false })))).toBe(
      `${ENDPOINT}/r/eu-west-1/in/<account>/<name>`,
    );
  });

  it('is let through wherever it stands, also in another stack and in a definition of Step Functions, and the anchor beside it is not', () => {
    const app = testApp();
    const queue = queueIn(testStack('Queues', app));
    const stack = testStack('Machines', app);
    const connection = new events.Connection(stack, 'Connection', {
      authorization: events.Authorization.apiKey('Authorization', capability),
    });
    const post = new tasks.HttpInvoke(stack, 'Post', {
      apiRoot: queue.ingestUrl({ withCapability: false }),
      apiEndpoint: sfn.TaskInput.fromText(''),
      method: sfn.TaskInput.fromText('POST'),
      connection: asDeclared<events.IConnection>(connection),
    });
    new sfn.StateMachine(stack, 'Machine', { definitionBody: sfn.DefinitionBody.fromChainable(post) });
    app.synth();
    new sfn.StateMachine(stack, 'Direct', {
      definitionBody: sfn.DefinitionBody.fromChainable(
        new tasks.SqsSendMessage(stack, 'Send', { queue, messageBody: sfn.TaskInput.fromText(queue.ingestUrl()) }),
      ),
    });
    expect(() => app.synth({ force: true })).toThrow(
      /Step Functions would send to the anchor.*tasks\.HttpInvoke.*apiRoot.*apiEndpoint.*method.*connection/,
    );
  });
});

describe('KarinSubscription', () => {
  it('subscribes by HTTPS for this topic alone, with filter and dead-letter queue, and leaves raw delivery of SNS off', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    const topic = new sns.Topic(stack, 'Topic');
    topic.addSubscription(
      new KarinSubscription(queue, {
        rawMessageDelivery: true,
        filterPolicy: { kind: sns.SubscriptionFilter.stringFilter({ allowlist: ['order'] }) },
        deadLetterQueue: new sqs.Queue(stack, 'Undelivered'),
      }),
    );
    const { Properties } = onlyResource(Template.fromStack(stack), 'AWS::SNS::Subscription');
    expect(Properties).toMatchObject({ Protocol: 'https', FilterPolicy: { kind: ['order'] } });
    expect(Properties).not.toHaveProperty('RawMessageDelivery');
    expect(Properties['RedrivePolicy']).toHaveProperty('deadLetterTargetArn');
    expect(textOf(Properties['Endpoint'])).toBe(`${ADDRESS}?topic=<Ref:TopicBFC7AF6E>&raw=true`);
  });

  it('filters by the body', () => {
    const stack = testStack();
    new sns.Topic(stack, 'Topic').addSubscription(
      new KarinSubscription(queueIn(stack), {
        filterPolicyWithMessageBody: {
          kind: sns.FilterOrPolicy.filter(sns.SubscriptionFilter.stringFilter({ allowlist: ['order'] })),
        },
      }),
    );
    Template.fromStack(stack).hasResourceProperties('AWS::SNS::Subscription', { FilterPolicyScope: 'MessageBody' });
  });

  it('names the region of a topic that is elsewhere', () => {
    const stack = testStack();
    const topic = sns.Topic.fromTopicArn(stack, 'Topic', 'arn:aws:sns:us-east-1:111122223333:orders');
    topic.addSubscription(new KarinSubscription(queueIn(stack)));
    Template.fromStack(stack).hasResourceProperties('AWS::SNS::Subscription', {
      Region: 'us-east-1',
      TopicArn: 'arn:aws:sns:us-east-1:111122223333:orders',
    });
  });

  it('swaps with SqsSubscription and back: the same logical ids, but for the policy that opens a real queue', () => {
    const define = (karin: boolean) => {
      const stack = testStack();
      const topic = new sns.Topic(stack, 'Topic');
      if (karin) topic.addSubscription(new KarinSubscription(queueIn(stack)));
      else topic.addSubscription(new SqsSubscription(new sqs.Queue(stack, 'Jobs')));
      return Object.keys(resources(Template.fromStack(stack), 'AWS::SNS::Subscription'));
    };
    expect(define(true)).toEqual(define(false));
  });

  it.each<[name: string, use: (stack: Stack) => void, mend: string]>([
    [
      'a FIFO topic',
      (stack) => new sns.Topic(stack, 'T', { fifo: true }).addSubscription(new KarinSubscription(queueIn(stack))),
      'a FIFO topic delivers to Amazon SQS alone',
    ],
    [
      'a FIFO queue without a group',
      (stack) => new sns.Topic(stack, 'T').addSubscription(new KarinSubscription(queueIn(stack, { fifo: true }))),
      "pass 'messageGroupId'",
    ],
    [
      'a Karin queue as the dead-letter queue',
      (stack) =>
        new sns.Topic(stack, 'T').addSubscription(
          new KarinSubscription(queueIn(stack), { deadLetterQueue: new KarinQueue(stack, 'Dead') }),
        ),
      "make 'Stack/Dead' an sqs.Queue",
    ],
    [
      'a queue without a capability',
      (stack) => new sns.Topic(stack, 'T').addSubscription(new KarinSubscription(new KarinQueue(stack, 'Jobs'))),
      "capability: SecretValue.secretsManager('karin/capability')",
    ],
    [
      'an endpoint without TLS',
      (stack) =>
        new sns.Topic(stack, 'T').addSubscription(
          new KarinSubscription(queueIn(stack, { endpoint: 'http://karin.example.com' })),
        ),
      'must deliver over https',
    ],
    [
      'a delay that SQS refuses',
      (stack) =>
        new sns.Topic(stack, 'T').addSubscription(
          new KarinSubscription(queueIn(stack), { delay: Duration.minutes(16) }),
        ),
      'delay must be between 0 and 900 seconds, but 960 was provided',
    ],
  ])('refuses %s', (_, use, mend) => {
    expect(() => use(testStack())).toThrow(mend);
  });

  it('delivers in the clear to a server on this machine alone', () => {
    const stack = testStack('Stack', testApp({ context: { 'karin:endpoint': 'http://127.0.0.1:4000' } }));
    new sns.Topic(stack, 'T').addSubscription(new KarinSubscription(new KarinQueue(stack, 'Jobs')));
    Template.fromStack(stack).hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'http' });
  });
});

describe('an app that is fed by SNS, EventBridge and S3', () => {
  const define = (karin: boolean): Template => {
    const stack = testStack();
    const consumer = testFunction(stack, 'Consumer');
    const topic = new sns.Topic(stack, 'Topic');
    const schedule = new events.Rule(stack, 'Rule', { schedule: events.Schedule.rate(Duration.hours(1)) });
    const bucket = new s3.Bucket(stack, 'Bucket');
    const created = s3.EventType.OBJECT_CREATED;
    if (karin) {
      const queue = new KarinQueue(stack, 'Jobs', { capability });
      consumer.addEventSource(new SqsEventSource(queue));
      topic.addSubscription(new KarinSubscription(queue));
      schedule.addTarget(new KarinTarget(queue));
      bucket.addEventNotification(created, new KarinBucketDestination(queue));
    } else {
      const queue = new sqs.Queue(stack, 'Jobs');
      consumer.addEventSource(new SqsEventSource(queue));
      topic.addSubscription(new SqsSubscription(queue));
      schedule.addTarget(new targets.SqsQueue(queue));
      bucket.addEventNotification(created, new s3n.SqsDestination(queue));
    }
    return Template.fromStack(stack);
  };
  const typesById = (template: Template): Map<string, string> =>
    new Map(
      Object.entries<{ readonly Type: string }>(template.toJSON()['Resources']).map(([id, { Type }]) => [id, Type]),
    );

  it('keeps every resource by its logical id when it moves to Karin and back, but for the policy that opens the real queue', () => {
    const [before, after] = [typesById(define(false)), typesById(define(true))];
    const gone = [...before].filter(([id, type]) => after.get(id) !== type).map(([, type]) => type);
    expect(gone).toEqual(['AWS::SQS::QueuePolicy']);
    const added = [...after].filter(([id]) => !before.has(id)).map(([, type]) => type);
    expect(new Set(added)).toEqual(
      new Set([
        'AWS::Events::ApiDestination',
        'AWS::Events::Connection',
        'AWS::IAM::Policy',
        'AWS::IAM::Role',
        'AWS::SNS::Subscription',
        'AWS::SNS::Topic',
        'AWS::SNS::TopicPolicy',
      ]),
    );
  });
});

describe('KarinTarget', () => {
  const rule = (stack: Stack, id: string) =>
    new events.Rule(stack, id, { schedule: events.Schedule.rate(Duration.hours(1)) });

  it('makes one connection and one destination for all rules of a stack; what differs stands with the target', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    rule(stack, 'First').addTarget(new KarinTarget(queue, { delay: Duration.seconds(7), rateLimitPerSecond: 10 }));
    rule(stack, 'Second').addTarget(
      new KarinTarget(queue, {
        message: events.RuleTargetInput.fromObject({ hello: 'world' }),
        retryAttempts: 3,
        maxEventAge: Duration.hours(1),
        deadLetterQueue: new sqs.Queue(stack, 'Undelivered'),
      }),
    );
    const template = Template.fromStack(stack);
    const { Properties: connection } = onlyResource(template, 'AWS::Events::Connection');
    expect(connection['AuthParameters']).toEqual({
      ApiKeyAuthParameters: { ApiKeyName: 'Authorization', ApiKeyValue: `Bearer ${CAPABILITY}` },
    });
    const { Properties: destination } = onlyResource(template, 'AWS::Events::ApiDestination');
    expect(destination).toMatchObject({ HttpMethod: 'POST', InvocationRateLimitPerSecond: 10 });
    expect(textOf(destination['InvocationEndpoint'])).toBe(`${ENDPOINT}/in/<account>/<name>`);
    template.hasResourceProperties('AWS::Events::Rule', {
      Targets: [Match.objectLike({ HttpParameters: { QueryStringParameters: { delay: '7' } } })],
    });
    template.hasResourceProperties('AWS::Events::Rule', {
      Targets: [
        Match.objectLike({
          Input: '{"hello":"world"}',
          RetryPolicy: { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 3 },
          DeadLetterConfig: Match.anyValue(),
        }),
      ],
    });
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: { Statement: [Match.objectLike({ Action: 'events:InvokeApiDestination' })] },
    });
  });

  it('knows a repeated event on a FIFO queue by its id', () => {
    const stack = testStack();
    rule(stack, 'Rule').addTarget(
      new KarinTarget(queueIn(stack, { fifo: true }), { messageGroupId: 'json:/detail/order' }),
    );
    Template.fromStack(stack).hasResourceProperties('AWS::Events::Rule', {
      Targets: [
        Match.objectLike({
          HttpParameters: { QueryStringParameters: { group: 'json:/detail/order', dedup: 'json:/id' } },
        }),
      ],
    });
  });

  it('refuses two rates for one destination, and a message on a FIFO queue that nothing tells from its repetition', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    rule(stack, 'First').addTarget(new KarinTarget(queue, { rateLimitPerSecond: 10 }));
    expect(() => rule(stack, 'Second').addTarget(new KarinTarget(queue, { rateLimitPerSecond: 20 }))).toThrow(
      'rateLimitPerSecond is 10 for one and 20 for another',
    );
    const ordered = new KarinQueue(stack, 'Ordered', { capability, fifo: true });
    const message = events.RuleTargetInput.fromText('x');
    expect(() => rule(stack, 'Third').addTarget(new KarinTarget(ordered, { messageGroupId: 'g', message }))).toThrow(
      "pass 'messageDeduplicationId'",
    );
  });
});

describe('KarinBucketDestination', () => {
  it('notifies by one topic for all buckets of a stack, which only they may publish to', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    for (const id of ['First', 'Second']) {
      new s3.Bucket(stack, id).addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(queue));
    }
    const template = Template.fromStack(stack);
    expect(Object.keys(resources(template, 'AWS::SNS::Topic'))).toHaveLength(1);
    const { Properties } = onlyResource(template, 'AWS::SNS::Subscription');
    expect(textOf(Properties['Endpoint'])).toMatch(/\?topic=<Ref:\w+>&raw=true$/);
    template.hasResourceProperties('AWS::SNS::TopicPolicy', {
      PolicyDocument: {
        Statement: ['First', 'Second'].map(() =>
          Match.objectLike({
            Action: 'sns:Publish',
            Principal: { Service: 's3.amazonaws.com' },
            Condition: {
              ArnLike: { 'aws:SourceArn': Match.anyValue() },
              StringEquals: { 'aws:SourceAccount': '111122223333' },
            },
          }),
        ),
      },
    });
  });

  it('refuses two destinations that want different things of the one topic', () => {
    const stack = testStack();
    const queue = queueIn(stack);
    const bucket = new s3.Bucket(stack, 'Bucket');
    const notify = (delay: number) =>
      bucket.addEventNotification(
        s3.EventType.OBJECT_CREATED,
        new KarinBucketDestination(queue, { delay: Duration.seconds(delay) }),
        { prefix: String(delay) },
      );
    notify(1);
    expect(() => notify(2)).toThrow('use one KarinBucketDestination for all of them');
  });
});

describe('integrations of API Gateway', () => {
  it('send what an HTTP API gets, and leave no parameter of the address to the client', () => {
    const stack = testStack();
    new apigatewayv2.HttpApi(stack, 'Api').addRoutes({
      path: '/orders/{order}',
      methods: [apigatewayv2.HttpMethod.POST],
      integration: new KarinHttpIntegration('Queue', queueIn(stack), {
        delay: Duration.seconds(5),
        attributeHeaders: ['x-trace'],
        parameterMapping: new apigatewayv2.ParameterMapping().overwriteQueryString(
          'group',
          apigatewayv2.MappingValue.requestPathParam('order'),
        ),
      }),
    });
    const { Properties } = onlyResource(Template.fromStack(stack), 'AWS::ApiGatewayV2::Integration');
    expect(Properties).toMatchObject({ IntegrationType: 'HTTP_PROXY', IntegrationMethod: 'POST' });
    expect(textOf(Properties['IntegrationUri'])).toBe(ADDRESS);
    expect(Properties['RequestParameters']).toEqual({
      'overwrite:querystring.delay': '5',
      'overwrite:querystring.headers': 'x-trace',
      'overwrite:querystring.group': '$request.path.order',
      ...Object.fromEntries(
        ['dedup', 'encoding', 'content-type', 'topic', 'raw', 'from'].map((name) => [`remove:querystring.${name}`, '']),
      ),
    });
  });

  it('send what a REST API gets, with the headers and parts of the path that the method then declares', () => {
    const stack = testStack();
    const api = new apigateway.RestApi(stack, 'Api');
    api.root.addResource('{order}').addMethod(
      'POST',
      new KarinRestIntegration(queueIn(stack), {
        attributeHeaders: ['X-Signature'],
        requestParameters: { 'integration.request.querystring.group': 'method.request.path.order' },
      }),
    );
    const { Properties } = onlyResource(Template.fromStack(stack), 'AWS::ApiGateway::Method');
    expect(Properties).toMatchObject({
      RequestParameters: { 'method.request.path.order': false, 'method.request.header.X-Signature': false },
      MethodResponses: [{ StatusCode: '200' }, { StatusCode: '400' }, { StatusCode: '503' }],
      Integration: {
        Type: 'HTTP',
        RequestParameters: {
          'integration.request.header.X-Signature': 'method.request.header.X-Signature',
          'integration.request.querystring.headers': "'X-Signature'",
          'integration.request.querystring.group': 'method.request.path.order',
        },
      },
    });
    expect(textOf(Reflect.get(Object(Properties['Integration']), 'Uri'))).toBe(ADDRESS);
  });

  it('send what a WebSocket API gets', () => {
    const stack = testStack();
    new apigatewayv2.WebSocketApi(stack, 'Api').addRoute('$default', {
      integration: new KarinWebSocketIntegration('Queue', queueIn(stack), {
        attributeHeaders: ['x-connection-id'],
        requestParameters: { 'integration.request.header.x-connection-id': 'context.connectionId' },
      }),
    });
    Template.fromStack(stack).hasResourceProperties('AWS::ApiGatewayV2::Integration', {
      IntegrationType: 'HTTP',
      IntegrationMethod: 'POST',
      RequestParameters: {
        'integration.request.header.x-connection-id': 'context.connectionId',
        'integration.request.querystring.headers': "'x-connection-id'",
      },
    });
  });

  it('refuse a FIFO queue without a group', () => {
    const stack = testStack();
    expect(() => new KarinRestIntegration(queueIn(stack, { fifo: true }))).toThrow("pass 'messageGroupId'");
  });
});

describe('the error that refuses the ordinary construct prints the line to write', () => {
  it.each<[use: (stack: Stack, queue: KarinQueue) => unknown, line: string]>([
    [
      (stack, queue) => new sns.Topic(stack, 'T').addSubscription(new SqsSubscription(queue)),
      'topic.addSubscription(new KarinSubscription(queue))',
    ],
    [
      (stack, queue) =>
        new events.Rule(stack, 'R', { eventPattern: { source: ['x'] } }).addTarget(new targets.SqsQueue(queue)),
      'rule.addTarget(new KarinTarget(queue))',
    ],
    [
      (stack, queue) =>
        new s3.Bucket(stack, 'B').addEventNotification(s3.EventType.OBJECT_CREATED, new s3n.SqsDestination(queue)),
      'bucket.addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(queue))',
    ],
    [
      (stack, queue) =>
        new apigateway.RestApi(stack, 'Api').root.addMethod(
          'POST',
          new apigateway.AwsIntegration({ service: 'sqs', path: `111122223333/${queue.queueName}` }),
        ),
      "resource.addMethod('POST', new KarinRestIntegration(queue))",
    ],
    [
      (stack, queue) =>
        new apigatewayv2.CfnIntegration(stack, 'Integration', {
          apiId: 'api',
          integrationType: 'AWS_PROXY',
          integrationSubtype: 'SQS-SendMessage',
          requestParameters: { QueueUrl: queue.queueUrl, MessageBody: '$request.body' },
        }),
      "new KarinHttpIntegration('Queue', queue)",
    ],
  ])('%#', (use, line) => {
    const stack = testStack('Stack', testApp());
    const queue = queueIn(stack);
    expect(() => {
      use(stack, queue);
      App.of(stack)?.synth();
    }).toThrow(line);
  });
});
