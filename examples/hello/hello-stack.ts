import { join } from 'node:path';
import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinQueue } from 'karin-queue';
import { KarinQueue } from '../../constructs/index';

/** A queue with a dead-letter queue, the function that consumes it, and a function behind a URL that sends to it. */
export class HelloStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(__dirname, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_24_X,
      timeout: Duration.seconds(10),
    });

    const deadLetters = new KarinQueue(this, 'DeadLetters', { retentionPeriod: Duration.days(14) });
    const jobs = new KarinQueue(this, 'Jobs', {
      consumer,
      consumerOptions: { reportBatchItemFailures: true },
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: 5 },
    });

    const producer = new NodejsFunction(this, 'Producer', {
      entry: join(__dirname, 'producer.ts'),
      runtime: lambda.Runtime.NODEJS_24_X,
      timeout: Duration.seconds(10),
      bundling: { bundleAwsSDK: true },
    });
    jobs.bindEnvironment(producer);
    const url = producer.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.NONE });

    new CfnOutput(this, 'TryIt', { value: `curl ${url.url}` });
  }
}
