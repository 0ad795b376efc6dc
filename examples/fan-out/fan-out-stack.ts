import { join } from 'node:path';
import { SecretValue, Stack, type StackProps } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
// In an app of your own: import { KarinQueue, KarinSubscription } from 'karin-queue';
import { KarinQueue, KarinSubscription, type KarinSubscriptionProps } from '../../constructs/index';

/** One topic, three queues: one takes everything, one filters by an attribute, one by the body. */
export class FanOutStack extends Stack {
  constructor(scope: Construct, id: string, props?: StackProps) {
    super(scope, id, props);

    const orders = new sns.Topic(this, 'Orders', { signatureVersion: '2' });
    // A real queue, which costs nothing while it is empty: no mapping polls it.
    const undelivered = new sqs.Queue(this, 'Undelivered');
    const subscribe = (name: string, options: KarinSubscriptionProps): void => {
      const consumer = new NodejsFunction(this, `${name}Consumer`, {
        entry: join(__dirname, 'consumer.ts'),
        runtime: lambda.Runtime.NODEJS_22_X,
      });
      const queue = new KarinQueue(this, name, {
        consumer,
        capability: SecretValue.secretsManager('karin/capability'),
      });
      orders.addSubscription(new KarinSubscription(queue, { deadLetterQueue: undelivered, ...options }));
    };

    subscribe('Archive', {});
    subscribe('Mails', {
      rawMessageDelivery: true,
      filterPolicy: { kind: sns.SubscriptionFilter.stringFilter({ allowlist: ['paid', 'shipped'] }) },
    });
    subscribe('Large', {
      rawMessageDelivery: true,
      filterPolicyWithMessageBody: {
        total: sns.FilterOrPolicy.filter(sns.SubscriptionFilter.numericFilter({ greaterThanOrEqualTo: 1000 })),
      },
    });
  }
}
