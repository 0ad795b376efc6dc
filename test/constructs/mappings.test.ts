import { App, Aspects, CfnResource, Duration, Fn, type IAspect, SecretValue, Stack, Stage } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import * as pipelines from 'aws-cdk-lib/pipelines';
import type { Construct, IConstruct } from 'constructs';
import { describe, expect, it } from 'vitest';
import { KarinEventSource, KarinQueue, KarinRuntimeIdentity } from '../../constructs/index.ts';
import {
  asDeclared,
  ENDPOINT,
  onlyResource,
  resources,
  testApp,
  testFunction,
  testStack,
  warnings,
} from './support/stacks.ts';

const MAPPING = 'AWS::Lambda::EventSourceMapping';
const TAGS = [{ Key: 'karin:managed', Value: 'true' }];

function mappingOf(stack: Stack) {
  return onlyResource(Template.fromStack(stack), MAPPING);
}

function mappingOn(stack: Stack, eventSourceArn: string): lambda.CfnEventSourceMapping {
  return new lambda.CfnEventSourceMapping(stack, 'Mapping', { functionName: 'fn', eventSourceArn });
}

describe('a consumer', () => {
  it('gets a disabled, tagged mapping, and is tagged itself', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack) });
    expect(mappingOf(stack).Properties).toMatchObject({ Enabled: false, Tags: TAGS });
    expect(onlyResource(Template.fromStack(stack), 'AWS::Lambda::Function').Properties['Tags']).toEqual(TAGS);
  });

  it('may consume from the anchor before the mapping exists, as AWS demands', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack) });
    const template = Template.fromStack(stack);
    const policies = resources(template, 'AWS::IAM::Policy');
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: [
          {
            Action: Match.arrayWith(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes']),
            Resource: { 'Fn::GetAtt': ['JobsDF1CC2D4', 'Arn'] },
          },
        ],
      },
    });
    expect(mappingOf(stack).DependsOn).toEqual(Object.keys(policies));
  });

  it('waits for its permissions also where the role was made elsewhere', () => {
    const stack = testStack();
    const consumer = lambda.Function.fromFunctionAttributes(stack, 'Imported', {
      functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:imported',
      role: iam.Role.fromRoleArn(stack, 'Role', 'arn:aws:iam::111122223333:role/imported'),
      sameEnvironment: true,
    });
    new KarinQueue(stack, 'Jobs', { consumer });
    const policies = resources(Template.fromStack(stack), 'AWS::IAM::Policy');
    expect(Object.keys(policies)).toHaveLength(1);
    expect(mappingOf(stack).DependsOn).toEqual(Object.keys(policies));
  });

  it('from elsewhere must be tagged there, or granted to the server', () => {
    const define = (runtime?: (stack: Stack) => KarinRuntimeIdentity) => {
      const stack = testStack();
      const consumer = lambda.Function.fromFunctionAttributes(stack, 'Imported', {
        functionArn: 'arn:aws:lambda:eu-west-1:111122223333:function:imported',
        role: iam.Role.fromRoleArn(stack, 'Role', 'arn:aws:iam::111122223333:role/imported'),
        sameEnvironment: true,
      });
      new KarinQueue(stack, 'Jobs', { consumer, ...(runtime === undefined ? {} : { runtime: runtime(stack) }) });
      return warnings(stack);
    };
    expect(define()).toEqual([expect.stringContaining('karin-queue:consumerNotTagged')]);
    expect(define((stack) => KarinRuntimeIdentity.ecsTask(stack, 'Runtime'))).toEqual([]);
  });

  it('is given its options', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', {
      consumer: testFunction(stack),
      consumerOptions: {
        batchSize: 100,
        maxBatchingWindow: Duration.seconds(20),
        maxConcurrency: 5,
        reportBatchItemFailures: true,
        filters: [lambda.FilterCriteria.filter({ body: { kind: lambda.FilterRule.isEqual('mail') } })],
      },
    });
    expect(mappingOf(stack).Properties).toMatchObject({
      BatchSize: 100,
      MaximumBatchingWindowInSeconds: 20,
      ScalingConfig: { MaximumConcurrency: 5 },
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      FilterCriteria: { Filters: [{ Pattern: '{"body":{"kind":["mail"]}}' }] },
    });
  });

  it.each([
    ['a window on a FIFO queue', { maxBatchingWindow: Duration.seconds(1) }, true, 'not supported for FIFO'],
    ['a large batch without a window', { batchSize: 11 }, false, 'between 1 and 10'],
    ['a window beyond five minutes', { maxBatchingWindow: Duration.seconds(301) }, false, '300 seconds or less'],
  ])('fails for %s', (_, consumerOptions, fifo, rule) => {
    const stack = testStack();
    expect(() => new KarinQueue(stack, 'Jobs', { fifo, consumer: testFunction(stack), consumerOptions })).toThrow(rule);
  });
});

describe('KarinEventSource', () => {
  it('gives the same template as the consumer property and as an untouched SqsEventSource', () => {
    const bySource = (make: (queue: KarinQueue) => lambda.IEventSource) => {
      const stack = testStack();
      const fn = testFunction(stack);
      fn.addEventSource(make(new KarinQueue(stack, 'Jobs')));
      return Template.fromStack(stack).toJSON();
    };
    const stack = testStack();
    const consumer = testFunction(stack);
    new KarinQueue(stack, 'Jobs', { consumer });
    const byProperty = Template.fromStack(stack).toJSON();
    expect(bySource((queue) => new KarinEventSource(queue))).toEqual(byProperty);
    expect(bySource((queue) => new SqsEventSource(queue))).toEqual(byProperty);
  });

  it('knows its mapping once it is bound', () => {
    const stack = testStack();
    const source = new KarinEventSource(new KarinQueue(stack, 'Jobs'));
    expect(() => source.eventSourceMappingId).toThrow('not yet bound');
    testFunction(stack).addEventSource(source);
    expect(stack.resolve(source.eventSourceMappingId)).toHaveProperty('Ref');
    expect(JSON.stringify(stack.resolve(source.eventSourceMappingArn))).toContain(':event-source-mapping:');
  });
});

describe('a mapping on a KarinQueue, however it was made', () => {
  it('is disabled across stacks', () => {
    const app = testApp();
    const queues = testStack('Queues', app);
    const functions = testStack('Functions', app);
    const queue = new KarinQueue(queues, 'Jobs');
    testFunction(functions).addEventSource(new SqsEventSource(queue));
    expect(mappingOf(functions).Properties).toMatchObject({
      Enabled: false,
      Tags: TAGS,
      EventSourceArn: { 'Fn::ImportValue': expect.stringContaining('Queues:') },
    });
  });

  it('is disabled inside a Stage, and in a pipeline', () => {
    class Service extends Stage {
      constructor(scope: Construct, id: string) {
        super(scope, id, { env: { account: '111122223333', region: 'eu-west-1' } });
        const stack = new Stack(this, 'Stack');
        testFunction(stack).addEventSource(new SqsEventSource(new KarinQueue(stack, 'Jobs', { endpoint: ENDPOINT })));
      }
    }
    const app = new App();
    new KarinQueue(testStack('Outside', app), 'Other', { endpoint: ENDPOINT });
    const pipeline = new pipelines.CodePipeline(testStack('Pipeline', app), 'Pipeline', {
      synth: asDeclared(
        new pipelines.ShellStep('Synth', {
          input: asDeclared(
            pipelines.CodePipelineSource.gitHub('owner/repository', 'main', {
              authentication: SecretValue.secretsManager('token'),
            }),
          ),
          commands: ['npx cdk synth'],
        }),
      ),
    });
    const inPipeline = new Service(app, 'Production');
    pipeline.addStage(inPipeline);
    const nested = new Service(app, 'Nested');
    app.synth();
    for (const stage of [inPipeline, nested]) {
      const [stack] = stage.synth().stacks;
      const template = Template.fromJSON(stack?.template);
      expect(onlyResource(template, MAPPING).Properties).toMatchObject({ Enabled: false, Tags: TAGS });
    }
  });

  it('is disabled when written as an L1 or with an alias or a version as its function', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs');
    const fn = testFunction(stack);
    const alias = new lambda.Alias(stack, 'Live', { aliasName: 'live', version: asDeclared(fn.currentVersion) });
    alias.addEventSource(new SqsEventSource(queue));
    fn.currentVersion.addEventSource(new SqsEventSource(queue));
    new lambda.CfnEventSourceMapping(stack, 'ByHand', { functionName: fn.functionArn, eventSourceArn: queue.queueArn });
    const template = Template.fromStack(stack);
    const mappings = Object.values(resources(template, MAPPING));
    expect(mappings.map((mapping) => mapping.Properties['Enabled'])).toEqual([false, false, false]);
    expect(onlyResource(template, 'AWS::Lambda::Function').Properties['Tags']).toEqual(TAGS);
  });

  it('is disabled with a warning where the user said it should be enabled', () => {
    const stack = testStack();
    testFunction(stack).addEventSource(new SqsEventSource(new KarinQueue(stack, 'Jobs'), { enabled: true }));
    expect(mappingOf(stack).Properties['Enabled']).toBe(false);
    expect(warnings(stack)).toEqual([expect.stringContaining('karin-queue:mappingDisabled')]);
  });

  it('leaves mappings on other queues alone', () => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack) });
    testFunction(stack, 'Other').addEventSource(new SqsEventSource(new sqs.Queue(stack, 'Real')));
    const mappings = Object.values(resources(Template.fromStack(stack), MAPPING));
    expect(mappings.map((mapping) => mapping.Properties['Enabled'])).toEqual([false, undefined]);
  });

  it.each<[name: string, source: (stack: Stack, queue: KarinQueue) => CfnResource]>([
    ['by an ARN that is written out', (stack) => mappingOn(stack, 'arn:aws:sqs:eu-west-1:111122223333:jobs')],
    [
      'by an ARN put together from the name',
      (stack) => mappingOn(stack, stack.formatArn({ service: 'sqs', resource: 'jobs' })),
    ],
    ['by a longer text', (stack, queue) => mappingOn(stack, Fn.join('', [queue.queueArn, '']))],
    [
      'by an override',
      (stack, queue) => {
        const mapping = mappingOn(stack, 'arn:aws:sqs:eu-west-1:111122223333:other');
        const anchor = queue.node.findChild('Resource') as sqs.CfnQueue;
        mapping.addPropertyOverride('EventSourceArn', { 'Fn::GetAtt': [stack.getLogicalId(anchor), 'Arn'] });
        return mapping;
      },
    ],
    [
      'in a resource without an L1 class',
      (stack, { queueArn }) =>
        new CfnResource(stack, 'Mapping', {
          type: MAPPING,
          properties: { FunctionName: 'fn', EventSourceArn: queueArn },
        }),
    ],
  ])('fails if it cannot be disabled, because it names the queue %s', (_, define) => {
    const enabled = (value: boolean | undefined) => {
      const stack = testStack();
      const queue = new KarinQueue(stack, 'Jobs', { queueName: 'jobs', consumer: testFunction(stack) });
      const mapping = define(stack, queue);
      if (value !== undefined) mapping.addPropertyOverride('Enabled', value);
      return () => Template.fromStack(stack);
    };
    expect(enabled(undefined)).toThrow(
      "'Stack/Mapping' (AWS::Lambda::EventSourceMapping) on the KarinQueue 'Stack/Jobs' is not disabled",
    );
    expect(enabled(true)).toThrow('is not disabled: AWS Lambda would poll');
    expect(enabled(false)).not.toThrow();
  });

  it('fails if something enabled it after all', () => {
    const stack = testStack();
    const consumer = testFunction(stack);
    new KarinQueue(stack, 'Jobs', { consumer });
    const enable: IAspect = {
      visit(node: IConstruct) {
        if (CfnResource.isCfnResource(node) && node.cfnResourceType === MAPPING)
          node.addPropertyOverride('Enabled', true);
      },
    };
    Aspects.of(stack).add(enable);
    expect(() => Template.fromStack(stack)).toThrow(
      /on the KarinQueue 'Stack\/Jobs' is not disabled: AWS Lambda would poll/,
    );
  });
});

describe('the visibility timeout', () => {
  const visibilityWith = (functionTimeout: number | undefined, visibilityTimeout?: Duration) => {
    const stack = testStack();
    new KarinQueue(stack, 'Jobs', {
      consumer: testFunction(stack, 'Fn', functionTimeout),
      ...(visibilityTimeout === undefined ? {} : { visibilityTimeout }),
    });
    return {
      seconds: () => onlyResource(Template.fromStack(stack), 'AWS::SQS::Queue').Properties['VisibilityTimeout'],
      warnings: () => warnings(stack),
    };
  };

  it.each([
    [undefined, undefined],
    [5, undefined],
    [6, 36],
    [900, 5_400],
  ])('of a function with a timeout of %s s is %s s by default', (timeout, expected) => {
    expect(visibilityWith(timeout).seconds()).toBe(expected);
  });

  it('follows the longest of several functions, also of one behind an alias', () => {
    const stack = testStack();
    const queue = new KarinQueue(stack, 'Jobs', { consumer: testFunction(stack, 'Short', 10) });
    const long = testFunction(stack, 'Long', 100);
    new lambda.Alias(stack, 'Live', { aliasName: 'live', version: asDeclared(long.currentVersion) }).addEventSource(
      new KarinEventSource(queue),
    );
    expect(onlyResource(Template.fromStack(stack), 'AWS::SQS::Queue').Properties['VisibilityTimeout']).toBe(600);
  });

  it('fails when it is shorter than the timeout of the function, which AWS refuses', () => {
    expect(visibilityWith(31, Duration.seconds(30)).seconds).toThrow(
      'queue visibility timeout: 30 seconds is less than function timeout: 31 seconds',
    );
  });

  it('is a warning when it leaves no time for retries', () => {
    expect(visibilityWith(10, Duration.seconds(59)).warnings()).toEqual([
      expect.stringContaining('karin-queue:visibilityTimeout'),
    ]);
    expect(visibilityWith(10, Duration.seconds(60)).warnings()).toEqual([]);
  });
});
