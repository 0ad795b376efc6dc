/**
 * A CDK app whose rule has two targets: a Karin queue and, beside it, a queue of Amazon SQS. `karin:endpoint` as usual.
 */
import { App, SecretValue, Stack } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { KarinQueue, KarinTarget } from '../../../constructs/index.ts';
import { asDeclared } from '../../constructs/support/stacks.ts';

const stack = new Stack(new App(), 'PlacedOrders');
const queue = new KarinQueue(stack, 'Jobs', {
  consumer: new lambda.Function(stack, 'Consumer', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async () => {}'),
  }),
  capability: SecretValue.secretsManager('karin/capability'),
});
const rule = new events.Rule(stack, 'Placed', { eventPattern: { source: ['shop'] } });
rule.addTarget(new KarinTarget(queue));
rule.addTarget(new targets.SqsQueue(asDeclared(new sqs.Queue(stack, 'InSqs'))));
