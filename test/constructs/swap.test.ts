import { readFileSync } from 'node:fs';
import { Duration, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { describe, expect, it } from 'vitest';
import { KarinQueue } from '../../constructs/index.ts';
import { type Resource, testFunction, testStack } from './support/stacks.ts';

type Resources = Record<string, Resource>;

/** Properties that CloudFormation can only change by replacing the resource. */
const REPLACING: Readonly<Record<string, readonly string[]>> = {
  'AWS::SQS::Queue': ['QueueName', 'FifoQueue'],
  'AWS::Lambda::EventSourceMapping': ['EventSourceArn', 'StartingPosition', 'SelfManagedEventSource'],
  'AWS::Lambda::Function': ['FunctionName', 'PackageType'],
};

/** An app as people have it before they know of Karin; the one word is a parameter. */
function defineApp(stack: Stack, Queue: typeof sqs.Queue | typeof KarinQueue): void {
  for (const [prefix, fifo] of [
    ['Plain', false],
    ['Ordered', true],
  ] as const) {
    const dead = new Queue(stack, `${prefix}Dead`, fifo ? { fifo } : {});
    const queue = new Queue(stack, `${prefix}Jobs`, {
      deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
      ...(fifo ? { fifo, visibilityTimeout: Duration.minutes(10) } : {}),
    });
    testFunction(stack, `${prefix}Consumer`, 20).addEventSource(
      new SqsEventSource(queue, { batchSize: 5, reportBatchItemFailures: true }),
    );
    const producer = testFunction(stack, `${prefix}Producer`);
    producer.addEnvironment('QUEUE_URL', queue.queueUrl);
    queue.grantSendMessages(producer);
  }
}

function resourcesWith(Queue: typeof sqs.Queue | typeof KarinQueue): Resources {
  const stack = testStack();
  defineApp(stack, Queue);
  // Template types its result by any: what stands there is CloudFormation's own shape.
  return Template.fromStack(stack).toJSON()['Resources'] as Resources;
}

/** `type property`, for each property that differs between two templates with the same resources. */
function changedProperties(before: Resources, after: Resources): Set<string> {
  const changed = new Set<string>();
  for (const [id, resource] of Object.entries(before)) {
    const was: Record<string, unknown> = resource.Properties ?? {};
    const is: Record<string, unknown> = after[id]?.Properties ?? {};
    for (const property of new Set([...Object.keys(was), ...Object.keys(is)])) {
      if (JSON.stringify(was[property]) !== JSON.stringify(is[property])) changed.add(`${resource.Type} ${property}`);
    }
  }
  return changed;
}

/** The list in the README of the constructs: rows of resource and property in backticks. */
function documentedChanges(): Set<string> {
  const readme = readFileSync(new URL('../../constructs/README.md', import.meta.url), 'utf8');
  const section = readme
    .split(/^## /m)
    .find((part) => part.startsWith('What changes when sqs.Queue becomes KarinQueue'));
  const rows = (section ?? '').matchAll(/^\| `([\w:]+)` +\| `(\w+)` +\|/gm);
  return new Set(Array.from(rows, ([, type, property]) => `${type} ${property}`));
}

describe('swapping sqs.Queue for KarinQueue', () => {
  const plain = resourcesWith(sqs.Queue);
  const karin = resourcesWith(KarinQueue);

  it('keeps every resource: same logical ids, same types', () => {
    const types = (all: Resources) => Object.entries(all).map(([id, { Type }]) => `${id} ${Type}`);
    expect(types(karin).sort()).toEqual(types(plain).sort());
  });

  it('changes exactly the properties that the README lists', () => {
    expect([...changedProperties(plain, karin)].sort()).toEqual([...documentedChanges()].sort());
  });

  it('changes none that would replace a resource', () => {
    for (const change of changedProperties(plain, karin)) {
      const [type = '', property = ''] = change.split(' ');
      expect(REPLACING[type]).not.toContain(property);
    }
  });

  it('disables each mapping and changes nothing else of it but its tags', () => {
    const mappings = Object.entries(plain).filter(([, { Type }]) => Type === 'AWS::Lambda::EventSourceMapping');
    expect(mappings).toHaveLength(2);
    for (const [id, { Properties }] of mappings) {
      expect(karin[id]?.Properties).toEqual({
        ...Properties,
        Enabled: false,
        Tags: [{ Key: 'karin:managed', Value: 'true' }],
      });
    }
  });

  it('gives back the first template when swapped back', () => {
    expect(resourcesWith(sqs.Queue)).toEqual(plain);
  });
});
