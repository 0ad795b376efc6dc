/**
 * What a Karin queue is to its users, and to the files of this library that check what refers to it. `KarinQueueBase`
 * needs those files, so they know the queue by these interfaces only.
 *
 * @module
 */
import type { Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import type { IConstruct } from 'constructs';
import type { Access } from './endpoint';

/**
 * How a function learns where the queue is.
 */
export interface BindEnvironmentOptions {
  /**
   * Name of the environment variable that receives the queue URL.
   *
   * A function that sends to several queues needs one name for each.
   *
   * @default 'QUEUE_URL'
   */
  readonly urlVariable?: string;

  /**
   * Whether to set `AWS_ENDPOINT_URL_SQS` as well.
   *
   * The SDKs for Python, Go, PHP and current Java go by this variable alone and ignore the host of a queue URL; the SDK
   * for JavaScript goes by the queue URL, and warns on each call where the two differ. The variable redirects **every**
   * SQS client of the function: set this to `false` for a function that also uses queues of Amazon SQS, and give its
   * Karin client the endpoint in code.
   *
   * @default true
   */
  readonly endpointVariable?: boolean;
}

/**
 * An SQS queue whose messages are kept, and whose consumers are invoked, by a Karin server.
 */
export interface IKarinQueue extends sqs.IQueue {
  /**
   * The endpoint to give to an SQS client, without the account and the name of the queue.
   *
   * Ends in `/k/<capability>` if the queue has a capability.
   */
  readonly endpoint: string;

  /**
   * Tell a producer where the queue is: sets its queue URL and `AWS_ENDPOINT_URL_SQS`.
   *
   * No code of the function changes. Calling it again for the same queue and variable changes nothing.
   *
   * @param fn the function that sends
   * @param options names of the variables
   */
  bindEnvironment(fn: lambda.Function, options?: BindEnvironmentOptions): void;

  /**
   * An address at which anybody who can post over HTTPS puts messages into the queue: the body becomes the body of a
   * message.
   *
   * For a topic, a rule, a bucket and an API there is a construct: `KarinSubscription`, `KarinTarget`,
   * `KarinBucketDestination`, `KarinHttpIntegration`, `KarinWebSocketIntegration`, `KarinRestIntegration`. This is for
   * everything else: tasks of Step Functions, pipes, web hooks. The capability of the queue stands in the address, in a
   * template as a dynamic reference.
   *
   * @param options what becomes of a delivery
   */
  ingestUrl(options?: KarinIngestUrlOptions): string;

  /**
   * Let one construct refer to the anchor although AWS may deliver messages there, which nobody reads.
   *
   * Every other reference to the anchor's ARN, name or URL outside of what Karin understands is an error at synthesis.
   *
   * @param construct the construct whose resources may refer to the anchor
   * @param reason why that loses no message; shown beside the resource as metadata
   */
  allowAnchorReference(construct: IConstruct, reason: string): void;
}

/**
 * What becomes of a delivery that is not made by an SQS client.
 */
export interface KarinIngestOptions {
  /**
   * How long each message is hidden before it is delivered.
   *
   * From 0 to 900 seconds; not on a FIFO queue.
   *
   * @default - the delivery delay of the queue
   */
  readonly delay?: Duration;

  /**
   * The message group: a text, `header:<name>` for the value of a request header, or `json:<pointer>` for a value in
   * the body, for example `json:/detail/orderId`.
   *
   * A FIFO queue needs one.
   *
   * @default - no group
   */
  readonly messageGroupId?: string;

  /**
   * By what a FIFO queue knows a delivery that is repeated: a text, `header:<name>` or `json:<pointer>`.
   *
   * @default - the MessageId of Amazon SNS, the id of an EventBridge event; from others the body, if the queue has
   *   content-based deduplication
   */
  readonly messageDeduplicationId?: string;

  /**
   * Request headers that become message attributes, by their names; at most 10.
   *
   * A function can only verify the signature of a web hook if it gets the header that carries it.
   *
   * @default - none
   */
  readonly attributeHeaders?: string[];

  /**
   * Whether the Content-Type of the request becomes a message attribute.
   *
   * @default false
   */
  readonly keepContentType?: boolean;

  /**
   * Whether the body is stored as base64; for bodies that are no UTF-8 text, or have characters that SQS refuses.
   *
   * @default false
   */
  readonly base64?: boolean;
}

/**
 * What becomes of a delivery that another service of AWS makes.
 */
export interface KarinDeliveryOptions extends KarinIngestOptions {
  /**
   * An Amazon SQS queue for what the service could not deliver.
   *
   * It cannot be a Karin queue. It costs nothing while it is idle, as no mapping polls it.
   *
   * @default - what could not be delivered is lost: by Amazon SNS after an hour, by EventBridge after `maxEventAge`
   */
  readonly deadLetterQueue?: sqs.IQueue;
}

/**
 * What becomes of a message that Amazon SNS delivers.
 */
export interface KarinTopicOptions extends KarinIngestOptions {
  /**
   * Whether the message has the body and the attributes that it was published with, and not the envelope of Amazon SNS
   * as its body.
   *
   * The server takes the envelope off, after it has verified its signature. Raw delivery of SNS itself must stay off:
   * over HTTPS it drops the attributes and the signature.
   *
   * @default false
   */
  readonly rawMessageDelivery?: boolean;
}

/**
 * What becomes of a delivery, and who makes it.
 */
export interface KarinIngestUrlOptions extends KarinTopicOptions {
  /**
   * A name for the sender, on the page of the server and in its metrics: up to 64 letters, digits and `_.:/-`.
   *
   * @default - the server tells SNS topics, rules of EventBridge and the rest apart by itself
   */
  readonly senderName?: string;

  /**
   * The one topic whose messages are taken; the server verifies that Amazon SNS signed them.
   *
   * @default - every message that Amazon SNS signed, and every other delivery
   */
  readonly topic?: sns.ITopic;

  /**
   * Whether the capability of the queue stands in the address.
   *
   * Set this to `false` for a sender that can keep a secret, and let it send the header
   * `Authorization: Bearer <capability>`.
   *
   * @default true
   */
  readonly withCapability?: boolean;
}

/**
 * A Karin queue as the rest of this library sees it; `KarinQueueBase` says what the members mean. It has them without
 * saying `implements`: in the languages of jsii a public class can only implement what is public.
 */
export interface AnchoredQueue extends IKarinQueue {
  readonly _anchor?: sqs.CfnQueue;
  readonly _literalName?: string;
  readonly _access: Access;
  readonly _runtime?: IConstruct;
  readonly _mappings: ReadonlySet<lambda.CfnEventSourceMapping>;
  _adopt(mapping: lambda.CfnEventSourceMapping): void;
  _mayReferTo(resource: IConstruct): boolean;
}
