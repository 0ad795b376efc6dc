import { Annotations, Fn, Lazy, RemovalPolicy, Token } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { checkConsumers, visibilitySeconds } from './consumer-checks';
import { defined } from './defined';
import { type Access, resolveAccess } from './endpoint';
import { ImportedKarinQueue, type KarinQueueAttributes } from './imported-karin-queue';
import { KarinEventSource } from './karin-event-source';
import { isKarinQueueBase, KarinQueueBase } from './karin-queue-base';
import type { KarinQueueProps } from './karin-queue-props';
import { MANAGED_TAG, MANAGED_TAG_VALUE } from './managed-tag';
import { anchorEncryption } from './queue-encryption';
import type { IKarinQueue } from './queue-interface';
import { determineFifo, validateQueueProps } from './queue-limits';
import { deadLetterTarget, redriveAllowPolicy } from './redrive';
import type { IKarinRuntimeIdentity } from './runtime-identity';

/** Which part of `https://sqs.<region>.amazonaws.com/<account>/<name>` the name is. */
const NAME_IN_URL = 4;

/**
 * An SQS queue whose Lambda trigger costs nothing while it is idle.
 *
 * In AWS it is an ordinary, always empty queue (the anchor) with a disabled event source mapping. Its messages are kept
 * by a Karin server, which invokes the functions as AWS Lambda's poller would. Swapping `sqs.Queue` for `KarinQueue`,
 * or back, updates the queue and its mapping in place.
 *
 * @stateful
 */
export class KarinQueue extends KarinQueueBase {
  /**
   * Use a Karin queue that is defined elsewhere, by its ARN.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param queueArn ARN of the anchor; the endpoint comes from the context value `karin:endpoint`
   */
  public static fromQueueArn(scope: Construct, id: string, queueArn: string): IKarinQueue {
    return KarinQueue.fromKarinQueueAttributes(scope, id, { queueArn });
  }

  /**
   * Use a Karin queue that is defined elsewhere.
   *
   * @param scope the parent construct
   * @param id the construct's name
   * @param attrs what is known of the queue
   */
  public static fromKarinQueueAttributes(scope: Construct, id: string, attrs: KarinQueueAttributes): IKarinQueue {
    return new ImportedKarinQueue(scope, id, attrs);
  }

  /**
   * Whether a value is a Karin queue, defined or imported.
   *
   * @param x any value
   */
  public static isKarinQueue(x: unknown): x is IKarinQueue {
    return isKarinQueueBase(x);
  }

  /**
   * The ARN of the anchor: what event source mappings and IAM policies name.
   * @attribute
   */
  public readonly queueArn: string;

  /**
   * The name of the queue, in AWS and in Karin.
   * @attribute
   */
  public readonly queueName: string;

  /**
   * The URL of the queue on the Karin server, with the capability if there is one: `<endpoint>/<account>/<name>`, or
   * `<endpoint>/r/<region>/<account>/<name>` with `regionInUrl`.
   *
   * The URL of the anchor at Amazon SQS is not given out: a message sent there would be read by nobody.
   * @attribute
   */
  public readonly queueUrl: string;

  public readonly endpoint: string;

  public readonly fifo: boolean;

  public readonly encryptionMasterKey?: kms.IKey;

  public readonly encryptionType?: sqs.QueueEncryption;

  /**
   * Where a message goes that was received too often, if anywhere.
   */
  public readonly deadLetterQueue?: sqs.DeadLetterQueue;

  /** @internal */
  public readonly _anchor: sqs.CfnQueue;

  /** @internal */
  public readonly _literalName?: string;

  /** @internal */
  public readonly _access: Access;

  constructor(scope: Construct, id: string, props: KarinQueueProps = {}) {
    super(scope, id, props.queueName === undefined ? {} : { physicalName: props.queueName });
    validateQueueProps(this, props);
    this.fifo = determineFifo(this, props);
    const encryption = anchorEncryption(this, props);
    if (encryption.key !== undefined) this.encryptionMasterKey = encryption.key;
    if (encryption.type !== undefined) this.encryptionType = encryption.type;
    if (props.deadLetterQueue !== undefined) this.deadLetterQueue = props.deadLetterQueue;

    this._anchor = new sqs.CfnQueue(
      this,
      // The id that sqs.Queue gives its resource: the same path makes the same logical id.
      'Resource',
      defined<sqs.CfnQueueProps>({
        queueName: this.physicalName,
        fifoQueue: this.fifo ? true : undefined,
        contentBasedDeduplication: props.contentBasedDeduplication,
        deduplicationScope: props.deduplicationScope,
        fifoThroughputLimit: props.fifoThroughputLimit,
        ...encryption.properties,
        redrivePolicy: deadLetterTarget(this, props.deadLetterQueue),
        redriveAllowPolicy: redriveAllowPolicy(this, props.redriveAllowPolicy),
        delaySeconds: props.deliveryDelay?.toSeconds(),
        maximumMessageSize: props.maxMessageSizeBytes,
        messageRetentionPeriod: props.retentionPeriod?.toSeconds(),
        receiveMessageWaitTimeSeconds: props.receiveMessageWaitTime?.toSeconds(),
        visibilityTimeout: Lazy.number({ produce: () => visibilitySeconds(this._mappings, props.visibilityTimeout) }),
      }),
    );
    this._anchor.applyRemovalPolicy(props.removalPolicy ?? RemovalPolicy.DESTROY);
    this._anchor.tags.setTag(MANAGED_TAG, MANAGED_TAG_VALUE);

    this.queueArn = this.getResourceArnAttribute(this._anchor.attrArn, { service: 'sqs', resource: this.physicalName });
    if (!Token.isUnresolved(this.physicalName)) this._literalName = this.physicalName;
    this.queueName = this.getResourceNameAttribute(this._anchor.attrQueueName);
    this._access = resolveAccess(this, props, this.env.region);
    this.endpoint = this._access.endpoint;
    const { regionPath } = this._access;
    const name = this.getResourceNameAttribute(this.nameInUrl());
    this.queueUrl = `${this.endpoint}${regionPath}/${this.env.account}/${name}`;

    if (props.enforceSSL === true) this.enforceTls();
    if (encryption.key !== undefined) this.warnOfEncryption();
    this.node.addValidation({ validate: () => checkConsumers(this, props.visibilityTimeout) });
    if (props.runtime !== undefined) this.grantTo(props.runtime);
    this.addConsumer(props);
  }

  /**
   * The name of the queue, out of the URL of the anchor and not out of its attribute `QueueName`: a producer in another
   * stack then imports the very value that it imports for an `sqs.Queue`. CloudFormation refuses to delete an export
   * that is in use, so with another one neither swap could be deployed.
   */
  private nameInUrl(): string {
    return Fn.select(NAME_IN_URL, Fn.split('/', this._anchor.ref));
  }

  private grantTo(runtime: IKarinRuntimeIdentity): void {
    this._runtime = runtime;
    runtime.grantQueue(this);
    if (this.deadLetterQueue !== undefined) runtime.grantQueue(this.deadLetterQueue.queue);
  }

  private addConsumer(props: KarinQueueProps): void {
    if (props.consumer !== undefined) {
      props.consumer.addEventSource(new KarinEventSource(this, props.consumerOptions));
    } else if (props.consumerOptions !== undefined) {
      throw new Error(`${this.node.path}: consumerOptions says how 'consumer' consumes, but there is no consumer`);
    }
  }

  /**
   * `sqs.Queue` adds this statement to the policy that it creates on demand, which an anchor must not have for anyone
   * else.
   */
  private enforceTls(): void {
    const anchor = sqs.Queue.fromQueueAttributes(this, 'Anchor', {
      queueArn: this._anchor.attrArn,
      queueUrl: this._anchor.ref,
      fifo: this.fifo,
    });
    const policy = new sqs.QueuePolicy(this, 'Policy', { queues: [anchor] });
    policy.document.addStatements(
      new iam.PolicyStatement({
        effect: iam.Effect.DENY,
        actions: ['sqs:*'],
        principals: [new iam.AnyPrincipal()],
        resources: [this.queueArn],
        conditions: { Bool: { 'aws:SecureTransport': 'false' } },
      }),
    );
  }

  private warnOfEncryption(): void {
    Annotations.of(this).addWarningV2(
      'karin-queue:encryption',
      'the KMS key encrypts the anchor, which is always empty; the messages are in the Redis of the Karin server, and its encryption is configured there',
    );
  }
}
