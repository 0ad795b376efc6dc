/**
 * Messages in the shape in which services of AWS put them into a queue, for trying out what consumes them.
 *
 * Members stand in the order in which AWS writes them. What only AWS knows, such as a signature or the id of a request,
 * is a value of the right form; nobody can verify it.
 *
 * Sources: SNS developer guide, "HTTP/HTTPS notification JSON format" and "Message attributes and raw message
 * delivery"; S3 user guide, "Event message structure"; EventBridge user guide, "Event structure".
 *
 * @module
 */
import { createHash, createHmac } from 'node:crypto';
import { partitionOf, urlSuffixOf } from '../queue/names.ts';

/** What differs from one message to the next, handed in so that tests know it. */
export interface Occasion {
  /** Wall clock, milliseconds since the epoch. */
  readonly now: number;
  uuid(): string;
}

/** A message attribute as a person names it: text, or a number where it is written as `name:Number=5`. */
export interface GivenAttribute {
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

export interface TopicMessage {
  /** ARN of the topic. */
  readonly topicArn: string;
  readonly message: string;
  readonly subject?: string;
  readonly attributes?: readonly GivenAttribute[];
}

const TOPIC_ARN = /^arn:[a-z-]+:sns:([a-z0-9-]+):(\d{12}):[A-Za-z0-9_-]{1,256}(?:\.fifo)?$/;

/** Whether a text is the ARN of a topic. */
export function isTopicArn(text: string): boolean {
  return TOPIC_ARN.test(text);
}

/** What SNS puts into a queue that is subscribed without raw delivery; with it, the message is the body as it is. */
export function snsEnvelope({ topicArn, message, subject, attributes = [] }: TopicMessage, occasion: Occasion): string {
  const [, region = ''] = TOPIC_ARN.exec(topicArn) ?? [];
  const host = `https://sns.${region}.${urlSuffixOf(region)}`;
  const id = occasion.uuid();
  return JSON.stringify({
    Type: 'Notification',
    MessageId: id,
    TopicArn: topicArn,
    ...(subject === undefined ? {} : { Subject: subject }),
    Message: message,
    Timestamp: new Date(occasion.now).toISOString(),
    SignatureVersion: '1',
    // The length of a signature by a key of 2,048 bits.
    Signature: Buffer.concat(['a', 'b', 'c', 'd'].map((part) => digest('sha512', part + id))).toString('base64'),
    SigningCertURL: `${host}/SimpleNotificationService-${digest('md5', region).toString('hex')}.pem`,
    UnsubscribeURL: `${host}/?Action=Unsubscribe&SubscriptionArn=${topicArn}:${uuidOf(topicArn)}`,
    ...(attributes.length === 0
      ? {}
      : {
          MessageAttributes: Object.fromEntries(
            attributes.map(({ name, type, value }) => [name, { Type: type, Value: value }]),
          ),
        }),
  });
}

export interface ObjectEvent {
  readonly bucket: string;
  /** As a program writes it; the event has it encoded as in a form, with `+` for a space. */
  readonly key: string;
  /** For example `ObjectCreated:Put`, without `s3:`. */
  readonly eventName: string;
  readonly region: string;
}

/** What S3 sends to a queue, directly or by way of a topic with raw delivery. */
export function s3Event({ bucket, key, eventName, region }: ObjectEvent, { now, uuid }: Occasion): string {
  const request = uuid();
  const isThere = !eventName.startsWith('ObjectRemoved:') && !eventName.startsWith('LifecycleExpiration:');
  return JSON.stringify({
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: region,
        eventTime: new Date(now).toISOString(),
        eventName,
        userIdentity: { principalId: 'AWS:AIDAEXAMPLEEXAMPLE12' },
        requestParameters: { sourceIPAddress: '127.0.0.1' },
        responseElements: {
          'x-amz-request-id': digest('md5', request).toString('hex').slice(0, 16).toUpperCase(),
          'x-amz-id-2': digest('sha512', request).toString('base64').slice(0, 76),
        },
        s3: {
          s3SchemaVersion: '1.0',
          configurationId: uuidOf(bucket),
          bucket: {
            name: bucket,
            ownerIdentity: { principalId: 'A3NL1KOZZKEXAMPLE' },
            arn: `arn:${partitionOf(region)}:s3:::${bucket}`,
          },
          object: {
            key: encodedKey(key),
            // Of an object that is gone S3 tells neither.
            ...(isThere ? { size: 1024, eTag: digest('md5', key).toString('hex') } : {}),
            sequencer: `00${now.toString(16).toUpperCase().padStart(16, '0')}`,
          },
        },
      },
    ],
  });
}

/** Letters, digits and `-._*` stay, and so do slashes; a space is `+`. */
function encodedKey(key: string): string {
  return new URLSearchParams([['', key]]).toString().slice(1).replaceAll('%2F', '/');
}

export interface BusEvent {
  readonly detailType: string;
  readonly source: string;
  readonly detail: unknown;
  readonly region: string;
  readonly account: string;
}

/** What a rule of EventBridge puts into its target without an input transformer. */
export function busEvent({ detailType, source, detail, region, account }: BusEvent, occasion: Occasion): string {
  return JSON.stringify({
    version: '0',
    id: occasion.uuid(),
    'detail-type': detailType,
    source,
    account,
    // Whole seconds, as EventBridge has them.
    time: new Date(occasion.now).toISOString().replace(/\.\d{3}Z$/, 'Z'),
    region,
    resources: [],
    detail,
  });
}

function digest(algorithm: 'md5' | 'sha512', text: string): Buffer {
  return createHash(algorithm).update(text).digest();
}

/** The same id for the same name, of the form that AWS gives to subscriptions and configurations. */
function uuidOf(name: string): string {
  const hex = createHmac('sha256', 'karin').update(name).digest('hex');
  return hex.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12}).*$/, '$1-$2-4$3-8$4-$5');
}
