/**
 * A CDK app with a server on Amazon ECS, and in another stack a queue of that server. `certificate` of the context: its
 * ARN.
 */
import { App, Stack } from 'aws-cdk-lib';
import * as acm from 'aws-cdk-lib/aws-certificatemanager';
import * as ecs from 'aws-cdk-lib/aws-ecs';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { KarinFrontDoor, KarinQueue, KarinService } from '../../../constructs/index.ts';

const app = new App();
const server = new Stack(app, 'Server');
const secret = (name: string): ecs.Secret =>
  ecs.Secret.fromSecretsManager(secretsmanager.Secret.fromSecretNameV2(server, name, `karin/${name}`));
const service = new KarinService(server, 'Karin', {
  // Left out it is 1 in AWS; an emulator need not know that.
  desiredCount: 1,
  image: ecs.ContainerImage.fromRegistry('karin'),
  redisUrl: secret('redis'),
  secrets: { KARIN_TOKENS: secret('tokens') },
  frontDoor: KarinFrontDoor.https({
    domainName: 'karin.example.com',
    certificate: acm.Certificate.fromCertificateArn(server, 'Certificate', app.node.getContext('certificate')),
  }),
});

const shop = new Stack(app, 'Shop');
new KarinQueue(shop, 'Jobs', {
  queueName: 'jobs',
  endpoint: service.endpoint,
  runtime: service.identity,
  consumer: new lambda.Function(shop, 'Consumer', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async () => {}'),
  }),
});
