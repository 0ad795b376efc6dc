/** A CDK app whose sync nobody answers: `-c onFailure=warn` or `fail`, and `karin:endpoint` as usual. */
import { App, BootstraplessSynthesizer, Duration, Stack } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { KarinQueue, SyncFailure, SyncOnDeploy } from '../../../constructs/index.ts';
import { asDeclared } from '../../constructs/support/stacks.ts';

const app = new App();
const stack = new Stack(app, 'FailingSync', { synthesizer: asDeclared(new BootstraplessSynthesizer()) });
new KarinQueue(stack, 'Jobs', {
  consumer: new lambda.Function(stack, 'Consumer', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = async () => {}'),
  }),
});
new SyncOnDeploy(stack, 'Sync', {
  credential: secretsmanager.Secret.fromSecretNameV2(stack, 'Admin', 'karin/admin'),
  onFailure: app.node.tryGetContext('onFailure') === 'fail' ? SyncFailure.FAIL : SyncFailure.WARN,
  timeout: Duration.seconds(5),
});
