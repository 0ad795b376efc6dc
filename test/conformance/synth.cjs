// Synthesizes a stack with every construct, as a CommonJS app does.
const { App, Stack } = require('aws-cdk-lib');
const { Template } = require('aws-cdk-lib/assertions');
const lambda = require('aws-cdk-lib/aws-lambda');
const secretsmanager = require('aws-cdk-lib/aws-secretsmanager');
const { KarinDrain, KarinQueue, KarinRuntimeIdentity, SyncOnDeploy } = require('karin-queue');

const app = new App({ context: { 'karin:endpoint': 'https://karin.example.com' } });
const stack = new Stack(app, 'Stack');
const runtime = KarinRuntimeIdentity.flyMachine(stack, 'Runtime', {
  orgSlug: 'acme',
  appName: 'karin',
  drain: KarinDrain.BOTH,
  drainQueueNames: ['*'],
});
const consumer = new lambda.Function(stack, 'Consumer', {
  runtime: lambda.Runtime.NODEJS_22_X,
  handler: 'index.handler',
  code: lambda.Code.fromInline('exports.handler = async () => {}'),
});
const dead = new KarinQueue(stack, 'Dead', { enforceSSL: true });
const queue = new KarinQueue(stack, 'Jobs', {
  consumer,
  runtime,
  deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
});
queue.bindEnvironment(consumer);
queue.metricApproximateNumberOfMessagesVisible();
new SyncOnDeploy(stack, 'Sync', { credential: new secretsmanager.Secret(stack, 'Admin') });

const template = Template.fromStack(stack);
template.hasResourceProperties('AWS::Lambda::EventSourceMapping', { Enabled: false });
template.resourceCountIs('Custom::KarinSync', 1);
process.stdout.write(`synthesized with aws-cdk-lib ${require('aws-cdk-lib/package.json').version}\n`);
