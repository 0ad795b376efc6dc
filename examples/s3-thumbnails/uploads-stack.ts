import { join } from 'node:path';
import { SecretValue, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import * as s3 from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinBucketDestination, KarinQueue } from 'karin-queue';
import { KarinBucketDestination, KarinQueue } from '../../constructs/index';

/** Each upload to a bucket becomes a message, and the message an invocation. */
export class UploadsStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(__dirname, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_22_X,
    });
    const failed = new KarinQueue(this, 'Failed');
    const uploads = new KarinQueue(this, 'Jobs', {
      consumer,
      consumerOptions: { reportBatchItemFailures: true },
      deadLetterQueue: { queue: failed, maxReceiveCount: 3 },
      capability: SecretValue.secretsManager('karin/capability'),
    });
    const bucket = new s3.Bucket(this, 'Images');
    bucket.addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(uploads), { suffix: '.jpg' });
  }
}
