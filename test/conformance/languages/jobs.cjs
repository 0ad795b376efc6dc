// The stack of examples/python-cdk, java-cdk and go-cdk in JavaScript: what those languages synthesize must equal it.
const { App, Duration, SecretValue, Stack } = require('aws-cdk-lib');
const lambda = require('aws-cdk-lib/aws-lambda');
const sns = require('aws-cdk-lib/aws-sns');
const { KarinQueue, KarinSubscription } = require('karin-queue');

const stack = new Stack(new App(), 'JobsApp');
const fn = (id, handler) =>
  new lambda.Function(stack, id, {
    runtime: lambda.Runtime.PYTHON_3_13,
    handler,
    code: lambda.Code.fromAsset('handlers'),
    timeout: Duration.seconds(10),
  });

const deadLetters = new KarinQueue(stack, 'DeadLetters', { retentionPeriod: Duration.days(14) });
const jobs = new KarinQueue(stack, 'Jobs', {
  consumer: fn('Consumer', 'consumer.handler'),
  consumerOptions: { reportBatchItemFailures: true },
  capability: SecretValue.secretsManager('karin/capability'),
  deadLetterQueue: { queue: deadLetters, maxReceiveCount: 5 },
});
jobs.bindEnvironment(fn('Producer', 'producer.handler'));
new sns.Topic(stack, 'Uploads').addSubscription(new KarinSubscription(jobs, { rawMessageDelivery: true }));
