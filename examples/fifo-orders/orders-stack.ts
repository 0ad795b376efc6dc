import { join } from 'node:path';
import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinQueue } from 'karin-queue';
import { KarinQueue } from '../../constructs/index';

/** Steps of orders, in order within each order, several orders at a time. */
export class OrdersStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(__dirname, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_22_X,
      timeout: Duration.seconds(5),
    });
    const failed = new KarinQueue(this, 'Failed', { fifo: true, queueName: 'failed-orders.fifo' });
    new KarinQueue(this, 'Steps', {
      fifo: true,
      queueName: 'orders.fifo',
      contentBasedDeduplication: true,
      // Two orders may have the same step: only within one order is it a repetition.
      deduplicationScope: sqs.DeduplicationScope.MESSAGE_GROUP,
      consumer,
      consumerOptions: { batchSize: 10, reportBatchItemFailures: true },
      deadLetterQueue: { queue: failed, maxReceiveCount: 3 },
    });
  }
}
