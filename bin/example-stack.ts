import { join } from 'node:path';
import { CfnOutput, Duration, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct, IConstruct } from 'constructs';
import { KarinDrain, KarinQueue, KarinRuntimeIdentity, SyncOnDeploy } from '../constructs/index';

const HANDLERS = join(__dirname, '..', 'examples', 'hello');

export interface ExampleStackProps extends StackProps {
  /** Name of the secret with the server's admin password, if there is one already. By default one is generated. */
  readonly adminSecretName?: string;
}

/**
 * Everything Karin needs in AWS, in one stack: the identity and the admin password of the server, a queue with its
 * dead-letter queue, consumer and producer, and the sync of each later deployment.
 *
 * The stack creates the key and the password of the server, so the first deployment comes before the server. Its sync
 * says that nobody answered.
 */
export class ExampleStack extends Stack {
  constructor(scope: Construct, id: string, props: ExampleStackProps = {}) {
    super(scope, id, props);

    const runtime = KarinRuntimeIdentity.user(this, 'Runtime', {
      tagged: false,
      functionUrls: true,
      drain: KarinDrain.BOTH,
      drainQueueNames: ['*'],
    });
    const adminPassword = this.adminPassword(props.adminSecretName);

    const consumer = new NodejsFunction(this, 'Consumer', {
      entry: join(HANDLERS, 'consumer.ts'),
      runtime: lambda.Runtime.NODEJS_24_X,
      timeout: Duration.seconds(10),
    });
    const deadLetters = new KarinQueue(this, 'DeadLetters', {
      retentionPeriod: Duration.days(14),
      enforceSSL: true,
      runtime,
    });
    const jobs = new KarinQueue(this, 'Jobs', {
      consumer,
      consumerOptions: { reportBatchItemFailures: true },
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: 5 },
      enforceSSL: true,
      runtime,
    });

    const producer = new NodejsFunction(this, 'Producer', {
      entry: join(HANDLERS, 'producer.ts'),
      runtime: lambda.Runtime.NODEJS_24_X,
      timeout: Duration.seconds(10),
      bundling: { bundleAwsSDK: true },
    });
    jobs.bindEnvironment(producer);
    const url = producer.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.NONE });

    const sync = new SyncOnDeploy(this, 'Sync', { credential: adminPassword });

    new CfnOutput(this, 'TryIt', { value: `curl ${url.url}` });
    new CfnOutput(this, 'RuntimeCredentials', {
      value: runtime.credentials?.secretArn ?? '',
      description: 'Secret with the access key of the Karin server',
    });
    new CfnOutput(this, 'AdminPasswordSecret', { value: adminPassword.secretArn });

    acknowledge(runtime, {
      'AwsSolutions-IAM5[Resource::*]':
        'AWS knows no resource to which listing mappings or functions could be restricted.',
      [`AwsSolutions-IAM5[Resource::${arnOf('lambda')}:event-source-mapping:*]`]:
        'Each mapping of the account may turn out to be one that the server has to serve; they can be read, not changed.',
      [`AwsSolutions-IAM5[Resource::${arnOf('lambda')}:function:*]`]:
        'The directory of function URLs shows the URLs of all functions; they can be listed, not changed.',
      [`AwsSolutions-IAM5[Resource::${arnOf('sqs')}:*]`]:
        'Messages may be moved to and from each queue, so that each can be migrated; drainQueueNames narrows it.',
      'AwsSolutions-SMG4':
        'The key is rotated by raising keySerial, because the server must be restarted with it then.',
    });
    for (const construct of [consumer, producer, sync]) {
      acknowledge(construct, {
        'AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]':
          'The policy only lets a function write its own logs.',
      });
    }
  }

  private adminPassword(existing: string | undefined): secretsmanager.ISecret {
    if (existing !== undefined) return secretsmanager.Secret.fromSecretNameV2(this, 'AdminPassword', existing);
    const secret = new secretsmanager.Secret(this, 'AdminPassword', {
      description: 'KARIN_ADMIN_PASSWORD of the Karin server',
      generateSecretString: { passwordLength: 40, excludePunctuation: true },
    });
    acknowledge(secret, {
      'AwsSolutions-SMG4': 'The password is configuration of the server, which a rotation function cannot change.',
    });
    // The cast is for `exactOptionalPropertyTypes`, for which aws-cdk-lib is not written; without that option it is not
    // needed.
    return secret as secretsmanager.ISecret;
  }
}

/** How cdk-nag writes the beginning of an ARN of this account and region. */
function arnOf(service: string): string {
  return `arn:<AWS::Partition>:${service}:<AWS::Region>:<AWS::AccountId>`;
}

/** Findings of cdk-nag (AwsSolutions) on a construct that are meant to be, and why. */
function acknowledge(construct: IConstruct, reasons: Readonly<Record<string, string>>): void {
  for (const [id, reason] of Object.entries(reasons)) Validations.of(construct).acknowledge({ id, reason });
}
