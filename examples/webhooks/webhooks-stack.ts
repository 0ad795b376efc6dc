import { join } from 'node:path';
import { CfnParameter, SecretValue, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinQueue } from 'karin-queue';
import { KarinQueue } from '../../constructs/index';

/** Web hooks of three senders in one queue; the function verifies who sent them. */
export class WebhooksStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const secret = (name: string) => new CfnParameter(this, `${name}Secret`, { noEcho: true }).valueAsString;
    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(__dirname, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_22_X,
      environment: {
        GITHUB_SECRET: secret('GitHub'),
        STRIPE_SECRET: secret('Stripe'),
        SLACK_SECRET: secret('Slack'),
      },
    });
    const failed = new KarinQueue(this, 'Failed');
    new KarinQueue(this, 'Hooks', {
      consumer,
      consumerOptions: { reportBatchItemFailures: true },
      deadLetterQueue: { queue: failed, maxReceiveCount: 3 },
      capability: SecretValue.secretsManager('karin/capability'),
    });
  }
}
