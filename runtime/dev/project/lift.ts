/**
 * The queues that the plugin Lift makes of the section `constructs` of a serverless.yml: for each a worker, the queue,
 * its dead-letter queue and the mapping between them, with the settings that Lift gives them.
 *
 * Source: https://github.com/getlift/lift/blob/master/docs/queue.md
 *
 * @module
 */
import { isObject, type JsonObject, numberOr, objectOr, textOr } from '../template/model.ts';

/** What Lift adds to an app. */
export interface LiftQueues {
  /** The functions of the app and the workers, as serverless.yml describes functions. */
  readonly functions: JsonObject;
  /** CloudFormation resources by logical id. */
  readonly resources: JsonObject;
  /** One sentence for each construct that is no queue. */
  readonly notes: readonly string[];
}

/** Lift's own default, whatever the provider says. */
const DEFAULT_TIMEOUT_SECONDS = 6;
/** What Lift makes the visibility timeout of, as AWS recommends it. */
const TIMEOUTS_PER_VISIBILITY = 6;
const DEFAULT_RETRIES = 3;
const DEFAULT_BATCH_SIZE = 1;
/** Fourteen days: as long as SQS keeps anything. */
const DEAD_LETTER_RETENTION_SECONDS = 1_209_600;

/** Adds the queues of `constructs` to the functions of an app; `stackName` begins the names of the queues. */
export function liftQueues(constructs: unknown, stackName: string, functions: JsonObject): LiftQueues {
  const all: Record<string, unknown> = { ...functions };
  const resources: Record<string, unknown> = {};
  const notes: string[] = [];
  for (const [name, body] of Object.entries(objectOr(constructs))) {
    const construct = objectOr(body);
    if (construct['type'] !== 'queue') {
      notes.push(
        `constructs.${name} (${textOr(construct['type'], 'of no type')}) is made by the plugin Lift, which runs in the ` +
          'framework only; install both in the project (npm install --save-dev osls serverless-lift)',
      );
      continue;
    }
    const { worker } = construct;
    const key = typeof worker === 'string' ? worker : `${name}Worker`;
    if (typeof worker === 'string' && !isObject(functions[worker])) {
      notes.push(`constructs.${name}: its worker ${worker} is no function of the app, so nothing consumes the queue`);
    } else {
      const definition = objectOr(typeof worker === 'string' ? functions[worker] : worker);
      const before: readonly unknown[] = Array.isArray(definition['events']) ? definition['events'] : [];
      all[key] = { ...definition, events: [...before, { sqs: eventOf(name, construct) }] };
    }
    const timeout = numberOr(objectOr(all[key])['timeout'], DEFAULT_TIMEOUT_SECONDS);
    Object.assign(resources, queuesOf(name, construct, stackName, timeout));
  }
  return { functions: all, resources, notes };
}

/** `${construct:<address>}`, such as `jobs.queueUrl`; `undefined`: it is none of a queue. */
export function liftVariable(constructs: unknown, address: string): unknown {
  const [, name = '', attribute = ''] = /^(.+)\.(\w+)$/.exec(address) ?? [];
  if (objectOr(objectOr(constructs)[name])['type'] !== 'queue') return undefined;
  switch (attribute) {
    case 'queueUrl':
      return { Ref: queueId(name) };
    case 'queueArn':
      return { 'Fn::GetAtt': [queueId(name), 'Arn'] };
    case 'dlqUrl':
      return { Ref: deadLetterId(name) };
    case 'dlqArn':
      return { 'Fn::GetAtt': [deadLetterId(name), 'Arn'] };
    default:
      return undefined;
  }
}

function eventOf(name: string, construct: JsonObject): JsonObject {
  return {
    arn: { 'Fn::GetAtt': [queueId(name), 'Arn'] },
    batchSize: construct['batchSize'] ?? DEFAULT_BATCH_SIZE,
    maximumBatchingWindow: construct['maxBatchingWindow'] ?? 0,
    maximumConcurrency: construct['maxConcurrency'],
    functionResponseType: 'ReportBatchItemFailures',
  };
}

function queuesOf(name: string, construct: JsonObject, stackName: string, timeoutSeconds: number): JsonObject {
  const isFifo = construct['fifo'] === true;
  const suffix = isFifo ? '.fifo' : '';
  const fifo = isFifo ? { FifoQueue: true } : {};
  const window = numberOr(construct['maxBatchingWindow'], 0);
  const extensions = objectOr(construct['extensions']);
  const queue = {
    QueueName: `${stackName}-${name}${suffix}`,
    VisibilityTimeout: timeoutSeconds * TIMEOUTS_PER_VISIBILITY + window,
    RedrivePolicy: {
      deadLetterTargetArn: { 'Fn::GetAtt': [deadLetterId(name), 'Arn'] },
      maxReceiveCount: construct['maxRetries'] ?? DEFAULT_RETRIES,
    },
    ...fifo,
    ...(isFifo ? { ContentBasedDeduplication: true } : {}),
    ...('delay' in construct ? { DelaySeconds: construct['delay'] } : {}),
  };
  const deadLetters = {
    QueueName: `${stackName}-${name}-dlq${suffix}`,
    MessageRetentionPeriod: DEAD_LETTER_RETENTION_SECONDS,
    ...fifo,
  };
  return {
    [queueId(name)]: extended(queue, extensions['queue']),
    [deadLetterId(name)]: extended(deadLetters, extensions['dlq']),
  };
}

/** `extensions` of a construct change the resources that Lift makes. */
function extended(properties: JsonObject, extension: unknown): JsonObject {
  return {
    Type: 'AWS::SQS::Queue',
    Properties: { ...properties, ...objectOr(objectOr(extension)['Properties']) },
  };
}

function queueId(name: string): string {
  return `${name.replace(/[^A-Za-z0-9]/g, '')}Queue`;
}

function deadLetterId(name: string): string {
  return `${name.replace(/[^A-Za-z0-9]/g, '')}Dlq`;
}
