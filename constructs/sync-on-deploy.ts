import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CfnOutput, CustomResource, Duration, Lazy, Stack } from 'aws-cdk-lib';
import type * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { Construct, Dependable, type IConstruct, type IDependable } from 'constructs';
import { functionTimeout } from './consumer-mapping';
import { defined } from './defined';
import { type KarinServerProps, resolveServer } from './endpoint';
import { isKarinQueueBase } from './karin-queue-base';
import type { AnchoredQueue, IKarinQueue } from './queue-interface';
import { renderResource } from './rendered-resource';
import { isConsumerAccess } from './runtime-policy';
import { StageRegistry } from './stage-registry';

/**
 * A deployment should not hang for longer on a server that does not come up; the hourly sync finds the change all the
 * same.
 */
const MAX_TIMEOUT_SECONDS = 300;

/** Time for reading the secret and reporting to CloudFormation, on top of the time for the server. */
const OVERHEAD_SECONDS = 30;

/**
 * What a deployment does when the Karin server cannot be told.
 */
export class SyncFailure {
  /**
   * The deployment goes on; its output says what went wrong. The server finds the change at its next hourly sync.
   */
  public static readonly WARN = new SyncFailure('warn');

  /**
   * The deployment fails, and CloudFormation rolls it back. If the server still does not answer then, the rollback
   * fails too and must be continued by hand.
   */
  public static readonly FAIL = new SyncFailure('fail');

  /** @internal */
  public readonly _value: string;

  private constructor(value: string) {
    this._value = value;
  }
}

/**
 * Where the server is, and how to authenticate there.
 */
export interface SyncOnDeployProps extends KarinServerProps {
  /**
   * The secret that holds the admin password of the server, or a token with the scope `manage`.
   */
  readonly credential: secretsmanager.ISecret;

  /**
   * The field of the secret, if it is a JSON object.
   *
   * @default - the whole secret is the credential
   */
  readonly credentialField?: string;

  /**
   * The queues whose changes are told.
   *
   * @default - all Karin queues of this stack, and all that a function of this stack consumes
   */
  readonly queues?: IKarinQueue[];

  /**
   * What to do when the server cannot be reached or refuses.
   *
   * @default SyncFailure.WARN
   */
  readonly onFailure?: SyncFailure;

  /**
   * How long to try.
   *
   * From 5 to 300 seconds.
   *
   * @default Duration.seconds(60)
   */
  readonly timeout?: Duration;

  /**
   * The network of a server that cannot be reached from the internet. It must also lead to Secrets Manager and to
   * CloudFormation's bucket for replies.
   *
   * @default - the function runs outside of any VPC
   */
  readonly vpc?: ec2.IVpc;

  /**
   * The subnets in `vpc`.
   *
   * @default - private subnets
   */
  readonly vpcSubnets?: ec2.SubnetSelection;
}

/**
 * Tell the Karin server of changed event source mappings while `cdk deploy` runs.
 *
 * After the mappings exist, a custom resource calls `POST /sync` on the server, and again whenever a mapping, an anchor
 * or the timeout of a consumer changed. What the server found stands in the outputs of the deployment.
 *
 * CloudFormation deletes what left a stack only after everything else: of a mapping that went the server learns at its
 * next hourly sync, or by `karin sync`.
 */
export class SyncOnDeploy extends Construct {
  /**
   * What the server found, as a sentence; known after deployment.
   */
  public readonly summary: string;

  private readonly queues: readonly IKarinQueue[] | undefined;

  constructor(scope: Construct, id: string, props: SyncOnDeployProps) {
    super(scope, id);
    this.queues = props.queues;
    const timeout = props.timeout ?? Duration.seconds(60);
    if (!timeout.isUnresolved() && (timeout.toSeconds() < 5 || timeout.toSeconds() > MAX_TIMEOUT_SECONDS)) {
      throw new Error(
        `${this.node.path}: timeout must be between 5 and ${MAX_TIMEOUT_SECONDS} seconds, but ${timeout.toSeconds()} was provided`,
      );
    }
    const handler = new lambda.Function(
      this,
      'Handler',
      defined<lambda.FunctionProps>({
        description: 'Tells the Karin server of changed event source mappings',
        runtime: lambda.Runtime.NODEJS_24_X,
        handler: 'index.handler',
        // Inline, so that a stack without assets stays deployable without a bootstrap bucket.
        code: lambda.Code.fromInline(readFileSync(join(__dirname, 'sync-handler.js'), 'utf8')),
        timeout: timeout.plus(Duration.seconds(OVERHEAD_SECONDS)),
        vpc: props.vpc,
        vpcSubnets: props.vpcSubnets,
      }),
    );
    props.credential.grantRead(handler);

    const resource = new CustomResource(this, 'Resource', {
      serviceToken: handler.functionArn,
      resourceType: 'Custom::KarinSync',
      serviceTimeout: timeout.plus(Duration.seconds(2 * OVERHEAD_SECONDS)),
      properties: defined<Record<string, string>>({
        Endpoint: resolveServer(this, props.endpoint),
        SecretId: props.credential.secretArn,
        SecretField: props.credentialField,
        OnFailure: (props.onFailure ?? SyncFailure.WARN)._value,
        TimeoutSeconds: String(timeout.toSeconds()),
        // CloudFormation runs a custom resource again only when one of its properties changed.
        Mappings: Lazy.string({ produce: () => this.fingerprint() }),
      }),
    });
    resource.node.addDependency(this.prerequisites());
    this.summary = resource.getAttString('Summary');
    new CfnOutput(this, 'Summary', { value: this.summary, description: 'What the Karin server found' });
  }

  private watchedQueues(): readonly AnchoredQueue[] {
    const stack = Stack.of(this);
    if (this.queues !== undefined) return this.queues.filter(isKarinQueueBase);
    return StageRegistry.of(this).queues.filter(
      (queue) =>
        Stack.of(queue) === stack || Array.from(queue._mappings).some((mapping) => Stack.of(mapping) === stack),
    );
  }

  /** Changes with everything that the server reads from AWS for these queues. */
  private fingerprint(): string {
    const hash = createHash('sha256');
    for (const queue of this.watchedQueues()) {
      if (queue._anchor !== undefined) hash.update(JSON.stringify(renderResource(queue._anchor).properties));
      for (const mapping of queue._mappings) {
        const { properties } = renderResource(mapping);
        hash.update(
          JSON.stringify({ properties, functionTimeout: functionTimeout(mapping)?.toSeconds() ?? 'unknown' }),
        );
      }
    }
    return hash.digest('hex');
  }

  /**
   * What the server must be able to see first: the mappings, and its own permissions. They are only known once Aspects
   * have run; CDK asks for the roots of a dependency after that.
   */
  private prerequisites(): IDependable {
    const dependable = {};
    const roots = (): IConstruct[] =>
      this.watchedQueues().flatMap((queue) => [
        ...queue._mappings,
        ...(queue._runtime === undefined
          ? []
          : [queue._runtime, ...Stack.of(this).node.children.filter(isConsumerAccess)]),
      ]);
    Dependable.implement(dependable, {
      get dependencyRoots() {
        return roots();
      },
    });
    return dependable;
  }
}
