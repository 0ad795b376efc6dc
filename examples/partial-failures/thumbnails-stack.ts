import { join } from 'node:path';
import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinEventSource, KarinQueue } from 'karin-queue';
import { KarinEventSource, KarinQueue } from '../../constructs/index';

/** A queue consumed in batches of a window, by a filter, with failures reported message by message. */
export class ThumbnailsStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(__dirname, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_22_X,
      timeout: Duration.seconds(5),
    });
    const failed = new KarinQueue(this, 'Failed', { queueName: 'failed-uploads' });
    const uploads = new KarinQueue(this, 'Uploads', {
      queueName: 'uploads',
      visibilityTimeout: Duration.seconds(30),
      deadLetterQueue: { queue: failed, maxReceiveCount: 2 },
    });
    consumer.addEventSource(
      new KarinEventSource(uploads, {
        batchSize: 100,
        maxBatchingWindow: Duration.seconds(3),
        reportBatchItemFailures: true,
        filters: [lambda.FilterCriteria.filter({ body: { type: lambda.FilterRule.isEqual('image') } })],
        maxConcurrency: 2,
      }),
    );
  }
}
