import { CfnOutput, CfnResource, Duration, Fn, NestedStack, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as iot from 'aws-cdk-lib/aws-iot';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsDestination } from 'aws-cdk-lib/aws-lambda-destinations';
import { DynamoEventSource, SqsDlq } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as pipes from 'aws-cdk-lib/aws-pipes';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as s3n from 'aws-cdk-lib/aws-s3-notifications';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as schedulerTargets from 'aws-cdk-lib/aws-scheduler-targets';
import * as sns from 'aws-cdk-lib/aws-sns';
import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import * as ssm from 'aws-cdk-lib/aws-ssm';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { describe, expect, it } from 'vitest';
import { KarinQueue } from '../../constructs/index.ts';
import { asDeclared, testApp, testFunction, testStack } from './support/stacks.ts';

type Use = (stack: Stack, queue: KarinQueue) => unknown;

/** Defines a consumed queue named `jobs`, and uses it. */
function synthesize(use: Use): Template {
  const stack = testStack();
  const queue = new KarinQueue(stack, 'Jobs', { queueName: 'jobs', consumer: testFunction(stack, 'Consumer') });
  use(stack, queue);
  return Template.fromStack(stack);
}

/** Ways to name the anchor that the CDK does not see as references. */
function byLogicalId(): Array<[name: string, property: string, consequence: string, use: Use]> {
  const forms: Array<[name: string, property: string, value: (logicalId: string) => unknown]> = [
    ['Fn::GetAtt', 'Where.Arn', (id) => ({ 'Fn::GetAtt': [id, 'Arn'] })],
    ['Fn::GetAtt with a dot', 'Where.Arn', (id) => ({ 'Fn::GetAtt': `${id}.Arn` })],
    ['Ref', 'Where.Arn', (id) => ({ Ref: id })],
    ['Fn.getAtt', 'Where.Arn', (id) => Fn.getAtt(id, 'Arn')],
    ['Fn.getAtt in a longer text', 'Where.Arn', (id) => Fn.join('', ['x', Fn.getAtt(id, 'Arn').toString()])],
    ['Fn.sub', 'Where.Arn', (id) => Fn.sub(`$\{${id}.Arn}`)],
    ['Fn.sub with variables', 'Where.Arn', (id) => Fn.sub(`$\{${id}}$\{x}`, { x: 'y' })],
  ];
  return forms.map(([name, property, value]) => [
    `an override that names the anchor by its logical id: ${name}`,
    property,
    'AWS may deliver to the anchor',
    (stack, queue) => {
      const logicalId = stack.getLogicalId(queue.node.findChild('Resource') as sqs.CfnQueue);
      new CfnResource(stack, 'New', { type: 'Custom::BrandNew' }).addPropertyOverride('Where.Arn', value(logicalId));
    },
  ]);
}

const role = (stack: Stack) => new iam.Role(stack, 'Role', { assumedBy: new iam.AccountRootPrincipal() });
const rate = events.Schedule.rate(Duration.hours(1));

describe('a service that asks for a resource policy', () => {
  const uses: Array<[service: string, principal: string, use: Use]> = [
    [
      'SNS',
      'sns.amazonaws.com',
      (stack, queue) => new sns.Topic(stack, 'Topic').addSubscription(new SqsSubscription(queue)),
    ],
    [
      'EventBridge',
      'events.amazonaws.com',
      (stack, queue) => new events.Rule(stack, 'Rule', { schedule: rate, targets: [new targets.SqsQueue(queue)] }),
    ],
    [
      'S3',
      's3.amazonaws.com',
      (stack, queue) =>
        new s3.Bucket(stack, 'Bucket').addEventNotification(s3.EventType.OBJECT_CREATED, new s3n.SqsDestination(queue)),
    ],
    [
      'an EventBridge dead-letter queue',
      'events.amazonaws.com',
      (stack, queue) =>
        new events.Rule(stack, 'Rule', {
          schedule: rate,
          targets: [new targets.LambdaFunction(testFunction(stack), { deadLetterQueue: queue })],
        }),
    ],
  ];

  it.each(uses)('fails at once: %s', (_, principal, use) => {
    expect(() => synthesize(use)).toThrow(
      `Stack/Jobs: '${principal}' would deliver to Amazon SQS, not to Karin: a resource policy opens the anchor queue`,
    );
  });

  it('fails for another account', () => {
    expect(() => synthesize((_, queue) => queue.grantSendMessages(new iam.AccountPrincipal('444455556666')))).toThrow(
      'would deliver to Amazon SQS, not to Karin',
    );
  });
});

describe('a reference that AWS could deliver through', () => {
  const uses: Array<[name: string, property: string, consequence: string, use: Use]> = [
    [
      'EventBridge Scheduler target',
      'Target.Arn',
      'EventBridge Scheduler would deliver',
      (stack, queue) =>
        new scheduler.Schedule(stack, 'Schedule', {
          schedule: scheduler.ScheduleExpression.rate(Duration.hours(1)),
          target: new schedulerTargets.SqsSendMessage(queue),
        }),
    ],
    [
      'Scheduler dead-letter queue',
      'Target.DeadLetterConfig.Arn',
      'EventBridge Scheduler would deliver',
      (stack, queue) =>
        new scheduler.CfnSchedule(stack, 'Schedule', {
          flexibleTimeWindow: { mode: 'OFF' },
          scheduleExpression: 'rate(1 hour)',
          target: {
            arn: testFunction(stack).functionArn,
            roleArn: role(stack).roleArn,
            deadLetterConfig: { arn: queue.queueArn },
          },
        }),
    ],
    [
      'Pipes target',
      'Target',
      'EventBridge Pipes would read from or deliver',
      (stack, queue) =>
        new pipes.CfnPipe(stack, 'Pipe', {
          roleArn: role(stack).roleArn,
          source: 'arn:aws:kinesis:eu-west-1:111122223333:stream/source',
          target: queue.queueArn,
        }),
    ],
    [
      'Pipes source',
      'Source',
      'EventBridge Pipes would read from or deliver',
      (stack, queue) =>
        new pipes.CfnPipe(stack, 'Pipe', {
          roleArn: role(stack).roleArn,
          source: queue.queueArn,
          target: testFunction(stack).functionArn,
        }),
    ],
    [
      'Step Functions task',
      'DefinitionString.States.Send.Parameters.QueueUrl',
      'Step Functions would send',
      (stack, queue) =>
        new sfn.StateMachine(stack, 'Machine', {
          definitionBody: sfn.DefinitionBody.fromChainable(
            new tasks.SqsSendMessage(stack, 'Send', { queue, messageBody: sfn.TaskInput.fromText('hello') }),
          ),
        }),
    ],
    [
      'IoT rule',
      'TopicRulePayload.Actions.0.Sqs.QueueUrl',
      'the IoT rule would deliver',
      (stack, queue) =>
        new iot.CfnTopicRule(stack, 'Rule', {
          topicRulePayload: {
            sql: "SELECT * FROM 'topic'",
            actions: [{ sqs: { queueUrl: queue.queueUrl, roleArn: role(stack).roleArn } }],
          },
        }),
    ],
    [
      'failure destination of a stream mapping',
      'DestinationConfig.OnFailure.Destination',
      'records of failed batches',
      (stack, queue) => {
        const table = new dynamodb.Table(stack, 'Table', {
          partitionKey: { name: 'id', type: dynamodb.AttributeType.STRING },
          stream: dynamodb.StreamViewType.NEW_IMAGE,
        });
        testFunction(stack).addEventSource(
          new DynamoEventSource(asDeclared<dynamodb.ITable>(table), {
            startingPosition: lambda.StartingPosition.LATEST,
            onFailure: new SqsDlq(queue),
          }),
        );
      },
    ],
    [
      'failure destination of a function',
      'DestinationConfig.OnFailure.Destination',
      'invocation records',
      (stack, queue) => testFunction(stack).configureAsyncInvoke({ onFailure: new SqsDestination(queue) }),
    ],
    [
      'dead-letter queue of a function',
      'DeadLetterConfig.TargetArn',
      'failed events',
      (stack, queue) =>
        new lambda.Function(stack, 'Fn', {
          runtime: lambda.Runtime.NODEJS_22_X,
          handler: 'index.handler',
          code: lambda.Code.fromInline('exports.handler = async () => {}'),
          deadLetterQueue: queue,
        }),
    ],
    [
      'redrive policy of an Amazon SQS queue',
      'RedrivePolicy.DeadLetterTargetArn',
      'Amazon SQS would move dead letters',
      (stack, queue) => new sqs.Queue(stack, 'Real', { deadLetterQueue: { queue, maxReceiveCount: 3 } }),
    ],
    [
      'alarm on the anchor',
      'Dimensions.0.Value',
      'the alarm would watch the anchor',
      (stack, queue) =>
        new cloudwatch.Metric({
          namespace: 'AWS/SQS',
          metricName: 'ApproximateNumberOfMessagesVisible',
          dimensionsMap: { QueueName: queue.queueName },
        }).createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 }),
    ],
    [
      'SNS subscription by ARN',
      'Endpoint',
      'Amazon SNS would deliver',
      (stack, queue) =>
        new sns.CfnSubscription(stack, 'Subscription', {
          protocol: 'sqs',
          topicArn: new sns.Topic(stack, 'Topic').topicArn,
          endpoint: queue.queueArn,
        }),
    ],
    [
      'EventBridge target by ARN',
      'Targets.0.Arn',
      'EventBridge would deliver',
      (stack, queue) =>
        new events.CfnRule(stack, 'Rule', {
          scheduleExpression: 'rate(1 hour)',
          targets: [{ id: 'Queue', arn: queue.queueArn }],
        }),
    ],
    [
      'a resource nobody here has heard of',
      'Where.Deep',
      'AWS may deliver to the anchor',
      (stack, queue) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Where: { Deep: Fn.join('', ['x', queue.queueArn]) } },
        }),
    ],
    [
      'an ARN put together from the name',
      'Arn',
      'AWS may deliver to the anchor',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Arn: stack.formatArn({ service: 'sqs', resource: 'jobs' }) },
        }),
    ],
    [
      'a substitution with the name in it',
      'Arn',
      'AWS may deliver to the anchor',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Arn: Fn.sub('arn:aws:sqs:$' + '{AWS::Region}:$' + '{AWS::AccountId}:jobs') },
        }),
    ],
    [
      'the URL at Amazon SQS, written out',
      'Url',
      'AWS may deliver to the anchor',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Url: 'https://sqs.eu-west-1.amazonaws.com/111122223333/jobs' },
        }),
    ],
    [
      'an integration of API Gateway, written out',
      'Integration.Uri',
      'API Gateway would send to the anchor',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'AWS::ApiGateway::Method',
          properties: { Integration: { Uri: 'arn:aws:apigateway:eu-west-1:sqs:path/111122223333/jobs' } },
        }),
    ],
    [
      'the URL of old, written out',
      'Url',
      'AWS may deliver to the anchor',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Url: 'https://eu-west-1.queue.amazonaws.com/111122223333/jobs' },
        }),
    ],
    ...byLogicalId(),
  ];

  it.each(uses)('fails at synthesis: %s', (_, property, consequence, use) => {
    let message = '';
    try {
      synthesize(use);
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain(`refers to the KarinQueue 'Stack/Jobs' in its property ${property}:`);
    expect(message).toContain(consequence);
    expect(message).toContain('which nobody reads; ');
    expect(message).toContain('or call queue.allowAnchorReference(construct, reason) if no message can be lost');
  });

  it('fails across stacks', () => {
    const app = testApp();
    const queues = testStack('Queues', app);
    const queue = new KarinQueue(queues, 'Jobs', { consumer: testFunction(queues) });
    new pipes.CfnPipe(testStack('Pipes', app), 'Pipe', { roleArn: 'role', source: 'source', target: queue.queueArn });
    expect(() => app.synth()).toThrow("'Pipes/Pipe' (AWS::Pipes::Pipe) refers to the KarinQueue 'Queues/Jobs'");
  });

  it('fails for an export that another stack imports by its name', () => {
    const app = testApp();
    const queues = testStack('Queues', app);
    const queue = new KarinQueue(queues, 'Jobs', { consumer: testFunction(queues) });
    new CfnOutput(queues, 'Arn', { value: queue.queueArn, exportName: 'jobs-arn' });
    const target = Fn.importValue('jobs-arn');
    new pipes.CfnPipe(testStack('Pipes', app), 'Pipe', { roleArn: 'role', source: 'source', target });
    expect(() => app.synth()).toThrow("'Pipes/Pipe' (AWS::Pipes::Pipe) refers to the KarinQueue 'Queues/Jobs'");
  });

  it('fails in the stack around a nested one', () => {
    const use: Use = (stack) => {
      const nested = new NestedStack(stack, 'Nested');
      const { queueArn } = new KarinQueue(nested, 'Inner', { consumer: testFunction(nested) });
      new pipes.CfnPipe(stack, 'Pipe', { roleArn: 'role', source: 'source', target: queueArn });
    };
    expect(() => synthesize(use)).toThrow(
      "'Stack/Pipe' (AWS::Pipes::Pipe) refers to the KarinQueue 'Stack/Nested/Inner'",
    );
  });

  it('fails in a nested stack', () => {
    const use: Use = (stack, queue) =>
      new pipes.CfnPipe(new NestedStack(stack, 'Nested'), 'Pipe', {
        roleArn: 'role',
        source: 'source',
        target: queue.queueArn,
      });
    expect(() => synthesize(use)).toThrow("'Stack/Nested/Pipe' (AWS::Pipes::Pipe)");
  });

  it('fails for an imported queue', () => {
    const stack = testStack();
    const queue = KarinQueue.fromQueueArn(stack, 'Jobs', 'arn:aws:sqs:eu-west-1:111122223333:jobs');
    new pipes.CfnPipe(stack, 'Pipe', { roleArn: 'role', source: 'source', target: queue.queueArn });
    const other = KarinQueue.fromQueueArn(stack, 'Other', Fn.importValue('OtherArn'));
    new pipes.CfnPipe(stack, 'OtherPipe', { roleArn: 'role', source: 'source', target: other.queueArn });
    expect(() => Template.fromStack(stack)).toThrow(/Stack\/Pipe'[\s\S]*Stack\/OtherPipe'/);
  });
});

describe('a reference that cannot lose a message', () => {
  const uses: Array<[name: string, use: Use]> = [
    ['an IAM policy', (stack, queue) => queue.grantSendMessages(role(stack))],
    [
      'an inline policy of a role',
      (stack, queue) =>
        new iam.Role(stack, 'Role', {
          assumedBy: new iam.AccountRootPrincipal(),
          inlinePolicies: {
            Send: new iam.PolicyDocument({
              statements: [new iam.PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] })],
            }),
          },
        }),
    ],
    ['the environment of a function', (stack, queue) => queue.bindEnvironment(testFunction(stack))],
    [
      'the environment of a container',
      (stack, queue) => {
        const task = new ecs.FargateTaskDefinition(stack, 'Task');
        task.addContainer('Producer', {
          image: ecs.ContainerImage.fromRegistry('producer'),
          environment: { QUEUE_URL: queue.queueUrl },
        });
      },
    ],
    ['a parameter', (stack, queue) => new ssm.StringParameter(stack, 'Url', { stringValue: queue.queueUrl })],
    ['an output', (stack, queue) => new CfnOutput(stack, 'Url', { value: queue.queueUrl })],
    [
      'an alarm on the metrics of Karin',
      (stack, queue) =>
        queue
          .metricApproximateNumberOfMessagesVisible()
          .createAlarm(stack, 'Alarm', { threshold: 1, evaluationPeriods: 1 }),
    ],
    [
      'a dead-letter queue of another KarinQueue',
      (stack, queue) =>
        new KarinQueue(stack, 'Other', {
          consumer: testFunction(stack),
          deadLetterQueue: { queue, maxReceiveCount: 3 },
        }),
    ],
    [
      'a nested stack that passes it on',
      (stack, queue) => queue.bindEnvironment(testFunction(new NestedStack(stack, 'Nested'))),
    ],
    ['something else with the name of the queue', (stack) => new s3.Bucket(stack, 'Bucket', { bucketName: 'jobs' })],
    [
      'a queue whose name begins alike',
      (stack) =>
        new sns.CfnSubscription(stack, 'Subscription', {
          protocol: 'sqs',
          topicArn: 'topic',
          endpoint: 'arn:aws:sqs:eu-west-1:111122223333:jobs-real',
        }),
    ],
    [
      'a queue of the same name in another account or region',
      (stack) => {
        for (const [index, at] of ['us-east-1:111122223333', 'eu-west-1:444455556666'].entries()) {
          new CfnResource(stack, `New${index}`, {
            type: 'Custom::BrandNew',
            properties: { Arn: `arn:aws:sqs:${at}:jobs` },
          });
        }
      },
    ],
    [
      'a text that only looks like a substitution',
      (stack) =>
        new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Code: 'console.log(`$' + '{JobsDF1CC2D4}`)' },
        }),
    ],
    [
      'the user data of a machine',
      (stack, queue) =>
        new ec2.CfnInstance(stack, 'Machine', { userData: Fn.base64(`export QUEUE_URL=${queue.queueUrl}`) }),
    ],
    [
      'what the user answers for',
      (stack, queue) => {
        const machine = new CfnResource(stack, 'New', {
          type: 'Custom::BrandNew',
          properties: { Arn: queue.queueArn },
        });
        queue.allowAnchorReference(machine, 'it only reads the attributes of the queue');
      },
    ],
  ];

  it.each(uses)('is let through: %s', (_, use) => {
    expect(() => synthesize(use)).not.toThrow();
  });

  it('is none inside a VPC either', () => {
    expect(() => synthesize((stack) => new ec2.Vpc(stack, 'Vpc', { maxAzs: 1 }))).not.toThrow();
  });
});
