import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Duration, type Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { describe, expect, it } from 'vitest';
import { KarinQueue } from '../../constructs/index.ts';
import { type Resource, testApp, testFunction, testStack } from './support/stacks.ts';

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

  it.each([
    ['there', sqs.Queue, KarinQueue],
    ['back', KarinQueue, sqs.Queue],
  ] as const)('replaces and deletes nothing in the eyes of cdk diff, on the way %s', async (_, From, To) => {
    const folder = mkdtempSync(join(tmpdir(), 'karin-swap-'));
    try {
      const assemble = (Queue: typeof sqs.Queue | typeof KarinQueue, name: string) => {
        const app = testApp({ outdir: join(folder, name) });
        defineApp(testStack('Stack', app), Queue);
        app.synth();
        return join(folder, name);
      };
      const before = join(assemble(From, 'before'), 'Stack.template.json');
      const after = assemble(To, 'after');
      const { PATH = '', HOME = '' } = process.env;
      const quiet = { CI: 'true', CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: '1' };
      const { stdout, stderr } = await promisify(execFile)(
        join('node_modules', '.bin', 'cdk'),
        ['diff', '--app', after, '--template', before, '--no-color', 'Stack'],
        { env: { PATH, HOME, ...quiet } },
      );
      const diff = stdout + stderr;
      const changes = diff.split('\n').filter((line) => /^\[[-+~]\] AWS::/.test(line));
      expect(changes.filter((line) => line.includes('AWS::Lambda::EventSourceMapping'))).toHaveLength(2);
      expect(changes.filter((line) => !line.startsWith('[~]'))).toEqual([]);
      expect(diff).not.toMatch(/replace|destroy|orphan/i);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('keeps what stacks export to each other: CloudFormation refuses to delete or change an export that is in use', () => {
    const exported = (Queue: typeof sqs.Queue | typeof KarinQueue) => {
      const app = testApp();
      const queues = testStack('Queues', app);
      const queue = new Queue(queues, 'Jobs');
      const functions = testStack('Functions', app);
      testFunction(functions, 'Consumer').addEventSource(new SqsEventSource(queue));
      const producer = testFunction(functions, 'Producer');
      producer.addEnvironment('QUEUE_URL', queue.queueUrl);
      producer.addEnvironment('QUEUE_NAME', queue.queueName);
      queue.grantSendMessages(producer);
      // Producers first: exports are made while the stacks that import are resolved.
      Template.fromStack(functions);
      return Template.fromStack(queues).toJSON()['Outputs'];
    };
    expect(exported(KarinQueue)).toEqual(exported(sqs.Queue));
  });

  it('gives back the first template when swapped back', () => {
    expect(resourcesWith(sqs.Queue)).toEqual(plain);
  });
});
