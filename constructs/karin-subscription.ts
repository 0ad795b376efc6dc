import { Names, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as s3 from 'aws-cdk-lib/aws-s3';
import * as sns from 'aws-cdk-lib/aws-sns';
import type { SubscriptionProps } from 'aws-cdk-lib/aws-sns-subscriptions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { defined } from './defined';
import { isLoopback } from './endpoint';
import { checkDeadLetterQueue, checkIngest, checkReachable, ingestQuery, ingestUrlOf } from './ingest';
import { type KarinQueueBase, requireKarinQueue } from './karin-queue-base';
import type { IKarinQueue, KarinDeliveryOptions, KarinTopicOptions } from './queue-interface';

/**
 * How a Karin queue subscribes to a topic: the properties of `SqsSubscriptionProps`, and what becomes of a message.
 */
export interface KarinSubscriptionProps extends SubscriptionProps, KarinTopicOptions {}

/**
 * Use a Karin queue as a subscription target of a topic.
 *
 * `topic.addSubscription(new KarinSubscription(queue))` gives the messages that `SqsSubscription` gives. Amazon SNS
 * posts them to the server over HTTPS; the server confirms the subscription, takes messages of this topic alone, and
 * verifies their signatures.
 */
export class KarinSubscription implements sns.ITopicSubscription {
  /**
   * The queue that subscribes.
   */
  public readonly queue: IKarinQueue;

  private readonly karin: KarinQueueBase;
  private readonly props: KarinSubscriptionProps;

  constructor(queue: IKarinQueue, props: KarinSubscriptionProps = {}) {
    this.queue = queue;
    this.karin = requireKarinQueue(queue, 'KarinSubscription', 'SqsSubscription');
    this.props = props;
  }

  /**
   * Called by `topic.addSubscription()`; not meant to be called directly.
   *
   * @param topic the topic
   */
  public bind(topic: sns.ITopic): sns.TopicSubscriptionConfig {
    const { karin: queue, props } = this;
    checkIngest(queue, { ...props, topic }, { known: true });
    checkReachable(queue, 'Amazon SNS');
    checkDeadLetterQueue(queue, props.deadLetterQueue, 'Amazon SNS');
    if (props.deadLetterQueue?.encryptionType === sqs.QueueEncryption.KMS_MANAGED) {
      throw new Error(
        `${queue.node.path}: Amazon SNS may not use the AWS managed key of the queue '${props.deadLetterQueue.node.path}'; give that queue a key of your own, or the encryption SQS_MANAGED`,
      );
    }
    // In one stack the topic and the queue are in one region. CloudFormation must be told of any other region of the
    // topic.
    const region = Stack.of(topic) === queue.stack && !isElsewhere(topic) ? undefined : topic.env.region;
    return defined<sns.TopicSubscriptionConfig>({
      // Scope and id are those of SqsSubscription: the swap changes one resource.
      subscriberScope: queue,
      subscriberId: Names.nodeUniqueId(topic.node),
      endpoint: ingestUrlOf(queue, { ...props, topic }),
      protocol: isPlain(queue) ? sns.SubscriptionProtocol.HTTP : sns.SubscriptionProtocol.HTTPS,
      filterPolicy: props.filterPolicy,
      filterPolicyWithMessageBody: props.filterPolicyWithMessageBody,
      deadLetterQueue: props.deadLetterQueue,
      region,
    });
  }
}

/** Whether the topic is imported, so that its stack says nothing of its region. */
function isElsewhere(topic: sns.ITopic): boolean {
  return !sns.Topic.isResource(topic) || topic.env.region !== Stack.of(topic).region;
}

/** Only a server on this machine is reached without TLS, by `karin dev`. */
function isPlain(queue: KarinQueueBase): boolean {
  const { server } = queue._access;
  return isLoopback(server) && server.startsWith('http://');
}

/**
 * What becomes of the notifications of a bucket.
 */
export interface KarinBucketDestinationProps extends KarinDeliveryOptions {}

/**
 * Use a Karin queue as the destination of the notifications of a bucket.
 *
 * `bucket.addEventNotification(s3.EventType.OBJECT_CREATED, new KarinBucketDestination(queue))` gives the messages that
 * `SqsDestination` gives. They go by way of a topic, one for each queue and stack; the server takes its envelope off.
 */
export class KarinBucketDestination implements s3.IBucketNotificationDestination {
  /**
   * The queue that is notified.
   */
  public readonly queue: IKarinQueue;

  private readonly karin: KarinQueueBase;
  private readonly props: KarinBucketDestinationProps;

  constructor(queue: IKarinQueue, props: KarinBucketDestinationProps = {}) {
    this.queue = queue;
    this.karin = requireKarinQueue(queue, 'KarinBucketDestination', 'SqsDestination');
    this.props = props;
  }

  /**
   * Called by `bucket.addEventNotification()`; not meant to be called directly.
   *
   * @param scope where the notification is defined
   * @param bucket the bucket
   */
  public bind(scope: Construct, bucket: s3.IBucketRef): s3.BucketNotificationDestinationConfig {
    const topic = this.topicIn(Stack.of(scope));
    topic.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('s3.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: {
          ArnLike: { 'aws:SourceArn': bucket.bucketRef.bucketArn },
          // The name of a bucket may be taken by another account once it is deleted.
          StringEquals: { 'aws:SourceAccount': bucket.env.account },
        },
      }),
    );
    return { arn: topic.topicArn, type: s3.BucketNotificationDestinationType.TOPIC, dependencies: [topic] };
  }

  private topicIn(stack: Stack): sns.Topic {
    const id = `KarinBucketTopic${Names.nodeUniqueId(this.karin.node)}`;
    const existing = stack.node.tryFindChild(id);
    if (existing instanceof BucketTopic) return existing.checked(this.props);
    return new BucketTopic(stack, id, this.karin, this.props);
  }
}

/** The topic between the buckets of a stack and a queue. */
class BucketTopic extends sns.Topic {
  private readonly queue: KarinQueueBase;
  private readonly props: KarinBucketDestinationProps;

  constructor(scope: Construct, id: string, queue: KarinQueueBase, props: KarinBucketDestinationProps) {
    // Version 2 is signed with SHA-256.
    super(scope, id, { signatureVersion: '2' });
    this.queue = queue;
    this.props = props;
    this.addSubscription(new KarinSubscription(queue, { ...props, rawMessageDelivery: true }));
  }

  /** One subscription serves all buckets, so all must want the same of it. */
  public checked(props: KarinBucketDestinationProps): this {
    const texts = [this.props, props].map((wanted) =>
      JSON.stringify([ingestQuery(wanted), wanted.deadLetterQueue?.node.path ?? 'none']),
    );
    if (texts[0] !== texts[1]) {
      throw new Error(
        `${this.queue.node.path}: all buckets of a stack notify the queue by one topic, but two KarinBucketDestinations have different properties; use one KarinBucketDestination for all of them`,
      );
    }
    return this;
  }
}
