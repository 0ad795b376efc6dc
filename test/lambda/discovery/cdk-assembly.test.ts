import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, NestedStack, Stack, Stage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTemplate } from '../../../runtime/dev/template/discovery.ts';
import type { TemplateApplication, TemplateFunction } from '../../../runtime/dev/template/model.ts';

const INLINE = lambda.Code.fromInline('exports.handler = async () => 1;');
const RUNTIME = lambda.Runtime.NODEJS_22_X;

/**
 * An app with everything that an assembly can hold: nested stacks, stages, an explicit environment, references across
 * stacks, assets.
 */
function synthesize(outdir: string, code: string, context: Record<string, unknown>): void {
  const app = new App({ outdir, context });
  const shop = new Stack(app, 'Shop');
  const dead = new sqs.Queue(shop, 'Dead');
  const jobs = new sqs.Queue(shop, 'Jobs', { deadLetterQueue: { queue: dead, maxReceiveCount: 3 } });
  const layer = new lambda.LayerVersion(shop, 'Tools', { code: lambda.Code.fromAsset(code) });
  const worker = new lambda.Function(shop, 'Worker', {
    runtime: RUNTIME,
    handler: 'index.handler',
    code: lambda.Code.fromAsset(code),
    environment: { QUEUE_URL: jobs.queueUrl },
    layers: [layer],
  });
  worker.addEventSource(new SqsEventSource(jobs, { enabled: false, batchSize: 4 }));
  const url = worker.addFunctionUrl();
  const alias = new lambda.Alias(shop, 'Live', {
    aliasName: 'live',
    version: worker.currentVersion as lambda.IVersion,
  });
  alias.addEventSource(new SqsEventSource(jobs, { enabled: false }));

  const nested = new NestedStack(shop, 'Inner');
  const inner = new lambda.Function(nested, 'Helper', {
    runtime: RUNTIME,
    handler: 'index.handler',
    code: INLINE,
    environment: { QUEUE_URL: jobs.queueUrl, SHOP_URL: url.url },
  });
  inner.addEventSource(new SqsEventSource(jobs));

  const stage = new Stage(app, 'Beta', { env: { account: '123456789012', region: 'ap-south-1' } });
  const data = new Stack(stage, 'Data');
  const orders = new sqs.Queue(data, 'Orders', { fifo: true, queueName: 'beta-orders.fifo' });
  const compute = new Stack(stage, 'Compute');
  const consumer = new lambda.Function(compute, 'Worker', {
    runtime: RUNTIME,
    handler: 'index.handler',
    code: INLINE,
    environment: {
      QUEUE_URL: orders.queueUrl,
      LITERAL: 'https://sqs.ap-south-1.amazonaws.com/123456789012/beta-orders.fifo',
    },
  });
  consumer.addEventSource(new SqsEventSource(orders, { enabled: false }));
  new lambda.CfnEventSourceMapping(compute, 'Literal', {
    eventSourceArn: 'arn:aws:sqs:ap-south-1:123456789012:beta-orders.fifo',
    functionName: consumer.functionArn,
    enabled: false,
  });
  app.synth();
}

describe.each([
  ['as the CDK CLI leaves it', false, 'strong'],
  ['with code where its author keeps it', true, 'strong'],
  ['whose stacks read outputs of one another, as in apps that cdk init makes', true, 'weak'],
])('a CDK assembly, %s', (_, unstaged, references) => {
  let folder: string;
  let application: TemplateApplication;

  beforeAll(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-cdk-')));
    const code = join(folder, 'code');
    mkdirSync(code);
    writeFileSync(join(code, 'index.js'), 'exports.handler = async () => 1;');
    const context = {
      'aws:cdk:enable-path-metadata': true,
      '@aws-cdk/core:defaultCrossStackReferences': references,
      ...(unstaged ? { 'aws:cdk:enable-asset-metadata': true, 'aws:cdk:disable-asset-staging': true } : {}),
    };
    synthesize(join(folder, 'cdk.out'), code, context);
    application = readTemplate(folder, {
      account: '000000000000',
      region: 'eu-west-1',
      sqsOrigin: 'http://127.0.0.1:4000',
      functionUrl: (name) => `http://127.0.0.1:4001/functions/${name}/`,
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const named = (name: string): TemplateFunction | undefined => application.functions.find((fn) => fn.name === name);

  it('names things shortly, and by their stack where that is ambiguous', () => {
    expect(application.functions.map(({ name }) => name).sort()).toEqual([
      'Beta-Compute-Worker',
      'Helper',
      'Shop-Worker',
    ]);
    expect(application.queues.map(({ arn }) => arn.name).sort()).toEqual(['Dead', 'Jobs', 'beta-orders.fifo']);
  });

  it('finds the code of functions and layers', () => {
    const inSources = { kind: 'folder', path: join(folder, 'code') };
    const staged = { kind: 'folder', path: expect.stringMatching(/cdk\.out\/asset\.[0-9a-f]{64}$/) };
    expect(named('Shop-Worker')?.code).toEqual(unstaged ? inSources : staged);
    expect(named('Shop-Worker')?.layers).toEqual([unstaged ? inSources : staged]);
  });

  it('joins stacks, nested stacks and stages', () => {
    expect(named('Shop-Worker')?.environment).toEqual({ QUEUE_URL: 'http://127.0.0.1:4000/000000000000/Jobs' });
    expect(named('Helper')?.environment).toEqual({
      QUEUE_URL: 'http://127.0.0.1:4000/000000000000/Jobs',
      SHOP_URL: 'http://127.0.0.1:4001/functions/Shop-Worker/',
    });
    expect(named('Beta-Compute-Worker')?.environment).toEqual({
      QUEUE_URL: 'http://127.0.0.1:4000/000000000000/beta-orders.fifo',
      LITERAL: 'http://127.0.0.1:4000/000000000000/beta-orders.fifo',
    });
    expect(application.problems).toEqual([]);
  });

  it('finds every mapping, with its qualifier, in the account that is assumed', () => {
    const found = application.mappings.map(({ enabled, mapping }) => [
      mapping.queueArn.name,
      mapping.queueArn.account,
      mapping.functionArn.split(':').slice(6).join(':'),
      mapping.batchSize,
      enabled,
    ]);
    expect(found.sort()).toEqual([
      ['Jobs', '000000000000', 'Helper', 10, true],
      ['Jobs', '000000000000', 'Shop-Worker', 4, false],
      ['Jobs', '000000000000', 'Shop-Worker:live', 10, false],
      ['beta-orders.fifo', '000000000000', 'Beta-Compute-Worker', 10, false],
      ['beta-orders.fifo', '000000000000', 'Beta-Compute-Worker', 10, false],
    ]);
    expect(new Set(application.mappings.map(({ mapping }) => mapping.uuid)).size).toBe(5);
    expect(named('Shop-Worker')).toMatchObject({ aliases: ['live'], url: { cors: {} } });
  });
});
