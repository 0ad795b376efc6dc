// Synthesizes a stack with every construct, as a CommonJS app does.
const { App, SecretValue, Stack } = require('aws-cdk-lib');
const apigateway = require('aws-cdk-lib/aws-apigateway');
const apigatewayv2 = require('aws-cdk-lib/aws-apigatewayv2');
const { Template } = require('aws-cdk-lib/assertions');
const events = require('aws-cdk-lib/aws-events');
const lambda = require('aws-cdk-lib/aws-lambda');
const s3 = require('aws-cdk-lib/aws-s3');
const secretsmanager = require('aws-cdk-lib/aws-secretsmanager');
const sns = require('aws-cdk-lib/aws-sns');
const {
  KarinAccountAccess,
  KarinBucketDestination,
  KarinDrain,
  KarinHttpIntegration,
  KarinQueue,
  KarinRestIntegration,
  KarinRuntimeIdentity,
  KarinSubscription,
  KarinTarget,
  KarinWebSocketIntegration,
  SyncOnDeploy,
} = require('karin-queue');

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
  capability: SecretValue.secretsManager('karin/capability'),
  deadLetterQueue: { queue: dead, maxReceiveCount: 5 },
});
queue.bindEnvironment(consumer);
queue.metricApproximateNumberOfMessagesVisible();
new SyncOnDeploy(stack, 'Sync', { credential: new secretsmanager.Secret(stack, 'Admin') });

new sns.Topic(stack, 'Topic').addSubscription(new KarinSubscription(queue, { rawMessageDelivery: true }));
new events.Rule(stack, 'Rule', { eventPattern: { source: ['shop'] }, targets: [new KarinTarget(queue)] });
new s3.Bucket(stack, 'Bucket').addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(queue));
new apigatewayv2.HttpApi(stack, 'HttpApi').addRoutes({
  path: '/jobs',
  methods: [apigatewayv2.HttpMethod.POST],
  integration: new KarinHttpIntegration('Jobs', queue),
});
new apigatewayv2.WebSocketApi(stack, 'WebSocketApi').addRoute('job', {
  integration: new KarinWebSocketIntegration('Jobs', queue),
});
new apigateway.RestApi(stack, 'RestApi').root.addMethod('POST', new KarinRestIntegration(queue));

new KarinAccountAccess(stack, 'Access', {
  serverIdentityArn: 'arn:aws:iam::999999999999:role/karin-server',
  externalId: 'acme:karin:4711',
});

const template = Template.fromStack(stack);
template.hasResourceProperties('AWS::Lambda::EventSourceMapping', { Enabled: false });
template.resourceCountIs('Custom::KarinSync', 1);
template.resourceCountIs('AWS::SNS::Subscription', 2);
template.resourceCountIs('AWS::Events::ApiDestination', 1);
template.resourceCountIs('AWS::ApiGatewayV2::Integration', 2);
process.stdout.write(`synthesized with aws-cdk-lib ${require('aws-cdk-lib/package.json').version}\n`);
