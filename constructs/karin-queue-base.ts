import { Annotations, type ResourceProps, Stack, Token } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct, IConstruct } from 'constructs';
import { functionBehind, invokedFunctionArn } from './consumer-mapping';
import { counterpartOfPrincipal } from './counterparts';
import type { Access } from './endpoint';
import { bindFunctionEnvironment } from './function-environment';
import { ingestUrlOf } from './ingest';
import { MANAGED_TAG, MANAGED_TAG_VALUE } from './managed-tag';
import type { BindEnvironmentOptions, IKarinQueue, KarinIngestUrlOptions } from './queue-interface';
import type { IKarinRuntimeIdentity } from './runtime-identity';
import { StageRegistry } from './stage-registry';

/** CloudWatch namespace of the metrics of a Karin queue: its server publishes them, if it is told to. */
const METRIC_NAMESPACE = 'Karin';
/** What a server publishes there. */
const PUBLISHED_METRICS: readonly string[] = [
  'ApproximateAgeOfOldestMessage',
  'ApproximateNumberOfMessagesDelayed',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesVisible',
  'NumberOfMessagesSent',
];

const KARIN_QUEUE = Symbol.for('karin-queue.KarinQueue');

/**
 * What queues that are defined here and imported queues have in common; not meant to be extended.
 */
export abstract class KarinQueueBase extends sqs.QueueBase implements IKarinQueue {
  public abstract readonly endpoint: string;

  /**
   * The anchor, if it is defined in this app.
   *
   * @internal
   */
  public abstract readonly _anchor?: sqs.CfnQueue;

  /**
   * The name of the queue, if it is known before deployment.
   *
   * @internal
   */
  public abstract readonly _literalName?: string;

  /**
   * Where the server is, and what lets clients send.
   *
   * @internal
   */
  public abstract readonly _access: Access;

  /**
   * The identity that may invoke the consumers of this queue by their ARNs.
   *
   * @internal
   */
  public _runtime?: IKarinRuntimeIdentity;

  protected readonly autoCreatePolicy: boolean = false;

  private readonly mappings = new Set<lambda.CfnEventSourceMapping>();
  private readonly consumeGrants: Array<{ readonly grantee: IConstruct; readonly grant: iam.Grant }> = [];
  private readonly allowedReferences = new Set<IConstruct>();
  private metricsWarned = false;

  private usedAsDeadLetterQueue = false;

  constructor(scope: Construct, id: string, props: ResourceProps) {
    super(scope, id, props);
    Object.defineProperty(this, KARIN_QUEUE, { value: true });
    StageRegistry.of(this).add(this);
  }

  public bindEnvironment(fn: lambda.Function, options: BindEnvironmentOptions = {}): void {
    bindFunctionEnvironment(this, fn, options);
  }

  public ingestUrl(options: KarinIngestUrlOptions = {}): string {
    return ingestUrlOf(this, options);
  }

  public allowAnchorReference(construct: IConstruct, reason: string): void {
    construct.node.addMetadata('karin-queue:anchorReferenceAllowed', { queue: this.node.path, reason });
    this.allowedReferences.add(construct);
  }

  /**
   * Refuses every statement: a resource policy on the anchor would let another service or account send to a queue that
   * nobody reads.
   *
   * @param statement the statement, which is not added
   */
  public override addToResourcePolicy(statement: iam.PolicyStatement): iam.AddToResourcePolicyResult {
    // Service principals are tokens, because their names differ between partitions.
    const { Principal: principal } = Stack.of(this).resolve(statement.toStatementJson());
    const names: unknown[] =
      typeof principal === 'object' && principal !== null ? Object.values(principal).flat() : [principal];
    const who = names.map((name) => (typeof name === 'string' ? `'${name}'` : 'another account')).join(', ');
    const line = names.map(counterpartOfPrincipal).find((found) => found !== undefined);
    const mend =
      line === undefined
        ? 'send through a Lambda function that calls queue.bindEnvironment(fn), post to queue.ingestUrl(), or use an sqs.Queue for this source'
        : `write ${line}, or use an sqs.Queue if this is a dead-letter queue`;
    throw new Error(
      `${this.node.path}: ${who} would deliver to Amazon SQS, not to Karin: a resource policy opens the anchor queue, which stays empty and which nobody reads, so the messages would be lost; ${mend}`,
    );
  }

  /**
   * Grant an identity the SQS actions for consuming from the anchor.
   *
   * AWS demands them of a function before it accepts an event source mapping, although nothing ever polls. The Karin
   * server does not look at IAM: what lets a client receive from Karin is a credential of the server with the scope
   * `consume`.
   *
   * @param grantee who may consume
   */
  public override grantConsumeMessages(grantee: iam.IGrantable): iam.Grant {
    const grant = super.grantConsumeMessages(grantee);
    if (isConstruct(grantee)) this.consumeGrants.push({ grantee, grant });
    return grant;
  }

  /**
   * Grant an identity the SQS actions for sending to the anchor.
   *
   * It documents intent, and keeps a producer working when the queue becomes an `sqs.Queue` again. The Karin server
   * does not look at IAM: what lets a producer send to Karin is the capability in the queue's endpoint, or a key that
   * the server knows, with the scope `send`.
   *
   * @param grantee who may send
   */
  public override grantSendMessages(grantee: iam.IGrantable): iam.Grant {
    return super.grantSendMessages(grantee);
  }

  /**
   * Grant an identity the SQS actions for purging the anchor.
   *
   * The Karin server does not look at IAM: what lets a client purge in Karin is a credential of the server with the
   * scope `manage`.
   *
   * @param grantee who may purge
   */
  public override grantPurge(grantee: iam.IGrantable): iam.Grant {
    return super.grantPurge(grantee);
  }

  /**
   * A metric of this queue, in the CloudWatch namespace `Karin` with the dimension `QueueName`.
   *
   * The metrics that AWS publishes describe the anchor, which is always empty: an alarm on them would stay green for
   * ever. Into the namespace `Karin` the server publishes, every minute, for the queues that its setting
   * `KARIN_CLOUDWATCH_QUEUES` names: how many messages are visible, in flight and delayed, how long the first one has
   * been due, and how many were sent. It writes them to its standard output, which must go to CloudWatch Logs (ECS, App
   * Runner, an agent on EC2). AWS takes $0.30 a month for each of the five. A server elsewhere is watched by its
   * Prometheus endpoint `/metrics`.
   *
   * Every other metric is refused, also those of the methods `metricNumberOfMessagesDeleted`,
   * `metricNumberOfMessagesReceived`, `metricNumberOfEmptyReceives` and `metricSentMessageSize`: nobody publishes them,
   * and an alarm on them would never change its state.
   *
   * @param metricName name of the metric, as Amazon SQS has it
   * @param props statistic, period and the like
   */
  public override metric(metricName: string, props?: cloudwatch.MetricOptions): cloudwatch.Metric {
    if (!Token.isUnresolved(metricName) && !PUBLISHED_METRICS.includes(metricName)) {
      throw new Error(
        `${this.node.path}: nobody publishes the metric '${metricName}' of a KarinQueue, so an alarm on it would never change its state; there are ${PUBLISHED_METRICS.join(', ')}; watch the rest by the Prometheus endpoint /metrics of the server, or use new cloudwatch.Metric() if you publish this one yourself`,
      );
    }
    if (!this.metricsWarned) {
      this.metricsWarned = true;
      Annotations.of(this).addWarningV2(
        'karin-queue:metrics',
        `metrics of a KarinQueue are in the CloudWatch namespace '${METRIC_NAMESPACE}', to which AWS publishes nothing: set KARIN_CLOUDWATCH_QUEUES on a server whose standard output goes to CloudWatch Logs ($0.30 a month for each metric), or an alarm on them stays in INSUFFICIENT_DATA`,
      );
    }
    return new cloudwatch.Metric({
      namespace: METRIC_NAMESPACE,
      metricName,
      dimensionsMap: { QueueName: this.queueName },
      ...props,
    }).attachTo(this);
  }

  /**
   * Makes a mapping on this queue one that Karin consumes: disabled, tagged, and created after the permissions AWS asks
   * for.
   *
   * @internal
   */
  public _adopt(mapping: lambda.CfnEventSourceMapping): void {
    mapping.enabled = false;
    if (this.mappings.has(mapping)) return;
    this.mappings.add(mapping);
    mapping.cdkTagManager.setTag(MANAGED_TAG, MANAGED_TAG_VALUE);
    functionBehind(mapping)?.tags.setTag(MANAGED_TAG, MANAGED_TAG_VALUE);
    this._runtime?.grantInvokeArn(mapping, invokedFunctionArn(mapping));
    for (const { grantee, grant } of this.consumeGrants) {
      if (mapping.node.scopes.includes(grantee)) grant.applyBefore(mapping);
    }
  }

  /**
   * The mappings on this queue; complete once Aspects have run.
   *
   * @internal
   */
  public get _mappings(): ReadonlySet<lambda.CfnEventSourceMapping> {
    return this.mappings;
  }

  /** @internal */
  public _markAsDeadLetterQueue(): void {
    this.usedAsDeadLetterQueue = true;
  }

  /** @internal */
  public get _isDeadLetterQueue(): boolean {
    return this.usedAsDeadLetterQueue;
  }

  /** @internal */
  public _mayReferTo(resource: IConstruct): boolean {
    return resource.node.scopes.some((scope) => this.allowedReferences.has(scope));
  }
}

/** By a symbol and not by class: an app may hold two copies of this package. */
export function isKarinQueueBase(x: unknown): x is KarinQueueBase {
  return typeof x === 'object' && x !== null && KARIN_QUEUE in x;
}

/** Throws if `queue` is no Karin queue, which the interface alone cannot tell where types are not checked. */
export function requireKarinQueue(queue: IKarinQueue, construct: string, ordinary: string): KarinQueueBase {
  if (isKarinQueueBase(queue)) return queue;
  throw new Error(`${construct} takes a KarinQueue; for an sqs.Queue use ${ordinary}`);
}

function isConstruct(grantee: iam.IGrantable): grantee is iam.IGrantable & IConstruct {
  return 'node' in grantee;
}
