import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readServerlessFile } from '../../runtime/dev/project/serverless.ts';
import { readApplication } from '../../runtime/dev/template/application.ts';
import type { TemplateApplication } from '../../runtime/dev/template/model.ts';

describe('the queues that Lift makes of a serverless.yml', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'karin-lift-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  const read = (text: string): TemplateApplication => {
    const file = join(folder, 'serverless.yml');
    writeFileSync(file, `service: shop\nprovider: { name: aws, stage: test, timeout: 20 }\n${text}`);
    const settings = { account: '000000000000', region: 'eu-west-1' };
    const stack = readServerlessFile(file, { ...settings, folder, environment: {} });
    return readApplication([stack], { ...settings, sqsOrigin: 'http://127.0.0.1:4000', functionUrl: () => '' });
  };

  it('have the settings that it gives by itself', () => {
    const application = read('constructs: { jobs: { type: queue, worker: { handler: worker.handler } } }\n');
    expect(application.queues.map(({ arn, attributes }) => [arn.name, attributes])).toEqual([
      ['shop-test-jobs', expect.objectContaining({ visibilityTimeoutSeconds: 36, delaySeconds: 0 })],
      ['shop-test-jobs-dlq', expect.objectContaining({ messageRetentionPeriodSeconds: 1_209_600 })],
    ]);
    expect(application.queues[0]?.attributes.redrivePolicy).toEqual({
      deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:000000000000:shop-test-jobs-dlq',
      maxReceiveCount: 3,
    });
    expect(application.functions.map(({ name }) => name)).toEqual(['shop-test-jobsWorker']);
    expect(application.mappings.map(({ mapping, enabled }) => ({ ...mapping, enabled }))).toEqual([
      expect.objectContaining({ batchSize: 1, batchWindowSeconds: 0, reportBatchItemFailures: true, enabled: true }),
    ]);
    expect(application.problems).toEqual([]);
  });

  it('have the settings that the app gives, and what it changes of the resources', () => {
    const application = read(`
constructs:
  jobs:
    type: queue
    fifo: true
    maxRetries: 7
    batchSize: 4
    maxConcurrency: 9
    maxBatchingWindow: 30
    delay: 60
    worker: { handler: worker.handler, timeout: 10 }
    extensions: { queue: { Properties: { MessageRetentionPeriod: 600 } } }
`);
    expect(application.queues.map(({ arn, attributes }) => [arn.name, attributes])).toEqual([
      [
        'shop-test-jobs.fifo',
        expect.objectContaining({
          visibilityTimeoutSeconds: 90,
          delaySeconds: 60,
          messageRetentionPeriodSeconds: 600,
          contentBasedDeduplication: true,
        }),
      ],
      [
        'shop-test-jobs-dlq.fifo',
        expect.objectContaining({ messageRetentionPeriodSeconds: 1_209_600, contentBasedDeduplication: false }),
      ],
    ]);
    expect(application.mappings[0]?.mapping).toMatchObject({ batchSize: 4, maximumConcurrency: 9 });
  });

  it('are named by variables, and may have a function of the app as their worker', () => {
    const application = read(`
constructs: { jobs: { type: queue, worker: work } }
functions:
  work:
    handler: worker.handler
    events: [{ sqs: 'arn:aws:sqs:eu-west-1:000000000000:other' }]
    environment:
      URL: \${construct:jobs.queueUrl}
      ARN: \${construct:jobs.queueArn}
      DEAD_URL: \${construct:jobs.dlqUrl}
      DEAD_ARN: \${construct:jobs.dlqArn}
`);
    expect(application.functions.map(({ environment }) => environment)).toEqual([
      {
        URL: 'http://127.0.0.1:4000/000000000000/shop-test-jobs',
        ARN: 'arn:aws:sqs:eu-west-1:000000000000:shop-test-jobs',
        DEAD_URL: 'http://127.0.0.1:4000/000000000000/shop-test-jobs-dlq',
        DEAD_ARN: 'arn:aws:sqs:eu-west-1:000000000000:shop-test-jobs-dlq',
      },
    ]);
    expect(application.mappings.map(({ mapping }) => mapping.queueArn.name).sort()).toEqual([
      'other',
      'shop-test-jobs',
    ]);
  });

  it('are told apart from other constructs and from a worker that is not there', () => {
    const { problems } = read(`
constructs:
  site: { type: static-website, path: dist }
  jobs: { type: queue, worker: gone }
functions:
  sender: { handler: sender.handler, environment: { SITE: '\${construct:site.url}' } }
`);
    expect(problems).toEqual([
      'constructs.site (static-website) is made by the plugin Lift, which runs in the framework only; install both in the ' +
        'project (npm install --save-dev osls serverless-lift)',
      'constructs.jobs: its worker gone is no function of the app, so nothing consumes the queue',
      expect.stringContaining('the variable SITE cannot be resolved (the variable ${construct:site.url} is only known'),
    ]);
  });
});
