/**
 * Messages of SNS: the envelope, its signature, and the two kinds of message that are about the subscription itself.
 *
 * What a signature proves: that SNS sent this text, with this id, for this topic. It does not prove for which queue:
 * SNS signs the same text for every subscriber. Nor does it prove whose topic it is, because everybody in AWS has
 * topics. So a URL names its topics (`topic=`), and the capability in it names the queue. Message attributes are not
 * signed.
 *
 * Source: SNS developer guide, "Verifying the signatures of Amazon SNS messages" and "HTTP/HTTPS headers and JSON
 * formats".
 *
 * @module
 */
import { verify } from 'node:crypto';
import * as z from 'zod/mini';
import type { Log } from '../../log.ts';
import type { AttributeValue } from '../../sqs/protocol/model.ts';
import { decodeBase64, decodeUtf8 } from '../../sqs/protocol/shape.ts';
import type { Time } from '../../time.ts';
import { DeliveryRefusal } from './refusal.ts';
import { createCertificates, createConnector, type SnsConnector, snsUrl } from './sns-host.ts';
import type { Sources } from './sources.ts';

const text = z.string();
const envelope = z.object({
  Type: z.enum(['Notification', 'SubscriptionConfirmation', 'UnsubscribeConfirmation']),
  MessageId: text,
  TopicArn: text,
  Message: text,
  Timestamp: text,
  SignatureVersion: text,
  Signature: text,
  SigningCertURL: text,
  Subject: z.optional(z.nullable(text)),
  Token: z.optional(text),
  SubscribeURL: z.optional(text),
  MessageAttributes: z.optional(z.nullable(z.record(text, z.object({ Type: text, Value: text })))),
});

export type SnsMessage = z.infer<typeof envelope>;

/** Hash functions by signature version. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['1', 'RSA-SHA1'],
  ['2', 'RSA-SHA256'],
]);
const SIGNED_OF_NOTIFICATION = ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'] as const;
const SIGNED_OF_CONFIRMATION = [
  'Message',
  'MessageId',
  'SubscribeURL',
  'Timestamp',
  'Token',
  'TopicArn',
  'Type',
] as const;

/** What a test brings in the place of the world. */
export interface SnsTrust {
  /** Default: `createConnector`. */
  readonly connector?: SnsConnector;
  /** PEM of the authorities that certificates must lead to; default: those of Node. */
  readonly roots?: readonly string[];
}

export interface SnsParts {
  readonly trust?: SnsTrust;
  /** The endpoint of SNS that the operator named. */
  readonly endpoint?: URL;
  readonly sources: Sources;
  readonly time: Time;
  readonly log: Log;
}

export interface Sns {
  /**
   * Reads a message and proves that SNS sent it, for one of `topics` (none: for any). Errors: `DeliveryRefusal`: 403
   * if that is not so, 503 if the certificate cannot be had.
   */
  open(body: Uint8Array, topics: readonly string[]): Promise<SnsMessage>;
  /**
   * Confirms a subscription by asking SNS for the page that its message names. `queue`: `region:account:name`. Errors:
   * `DeliveryRefusal`.
   */
  confirm(message: SnsMessage, queue: string): Promise<void>;
  /** Notes that a subscription has ended. Nothing is undone: whoever unsubscribed may have meant it. */
  ended(message: SnsMessage, queue: string): void;
}

const PAGE_BYTES = 65_536;

export function createSns({ trust = {}, endpoint: named, sources, time, log }: SnsParts): Sns {
  const endpoint = named === undefined ? {} : { endpoint: named };
  const { connector = createConnector({ time, ...endpoint }), ...roots } = trust;
  const certificates = createCertificates({ connector, ...endpoint, ...roots, now: () => time.now() });
  return {
    open: async (body, topics) => {
      const message = readEnvelope(body);
      if (topics.length > 0 && !topics.includes(message.TopicArn)) {
        throw new DeliveryRefusal(
          403,
          'WrongTopic',
          `The message is of topic ${message.TopicArn.slice(0, 300)}, and this URL takes only those of ${topics.join(' and ')}.`,
        );
      }
      const algorithm = HASHES.get(message.SignatureVersion);
      if (algorithm === undefined) {
        throw new DeliveryRefusal(
          403,
          'WrongSignature',
          `The SignatureVersion ${message.SignatureVersion.slice(0, 20)} is not known; SNS signs with 1 or 2.`,
        );
      }
      const key = await certificates.keyAt(message.SigningCertURL);
      const signed = Buffer.from(stringToSign(message));
      if (!verify(algorithm, signed, key, Buffer.from(message.Signature, 'base64'))) {
        throw new DeliveryRefusal(403, 'WrongSignature', 'The signature is not one of SNS for this message.');
      }
      return message;
    },
    confirm: async (message, queue) => {
      const topic = message.TopicArn;
      const url = snsUrl(message.SubscribeURL ?? '', 'SubscribeURL', named);
      const asksFor = (name: string): string | null => url.searchParams.get(name);
      if (asksFor('Action') !== 'ConfirmSubscription' || asksFor('TopicArn') !== topic) {
        throw new DeliveryRefusal(403, 'NotFromSns', `The SubscribeURL does not confirm a subscription to ${topic}.`);
      }
      sources.subscription(queue, topic, 'waiting');
      const why = await connector.get(url, PAGE_BYTES).then(
        ({ status }) => (status === 200 ? undefined : `SNS answered ${status}`),
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      if (why !== undefined) {
        log.warn({ topic, queue, why }, 'a subscription to an SNS topic could not be confirmed; SNS asks again');
        throw new DeliveryRefusal(
          503,
          'SnsUnreachable',
          `The subscription to ${topic} cannot be confirmed now: ${why}.`,
        );
      }
      sources.subscription(queue, topic, 'confirmed');
      log.info({ topic, queue }, 'a subscription to an SNS topic is confirmed');
    },
    ended: (message, queue) => {
      sources.subscription(queue, message.TopicArn, 'ended');
      log.warn(
        { topic: message.TopicArn, queue },
        'a subscription to an SNS topic has ended: its messages no longer come; deploy or subscribe again if nobody meant that',
      );
    },
  };
}

/**
 * The message attributes that SNS itself makes of a message with raw delivery to SQS. Errors: `DeliveryRefusal` 400,
 * if one is not what its type says.
 */
export function rawAttributes({ MessageAttributes }: SnsMessage): ReadonlyMap<string, AttributeValue> {
  const attributes = new Map<string, AttributeValue>();
  for (const [name, { Type, Value }] of Object.entries(MessageAttributes ?? {})) {
    attributes.set(
      name,
      Type === 'Binary'
        ? { DataType: Type, BinaryValue: bytesOf(name, Value) }
        : // String, Number and String.Array, whose value is JSON text.
          { DataType: Type, StringValue: Value },
    );
  }
  return attributes;
}

/** Errors: `DeliveryRefusal` 403. */
function readEnvelope(body: Uint8Array): SnsMessage {
  let value: unknown;
  try {
    value = JSON.parse(decodeUtf8(body));
  } catch {
    value = undefined;
  }
  const read = envelope.safeParse(value);
  if (read.success) return read.data;
  throw new DeliveryRefusal(
    403,
    'NotFromSns',
    'The body is no message of SNS. Leave raw delivery off at the subscription (raw=true in the URL takes the envelope off); a URL with topic= or raw= takes nothing else.',
  );
}

function stringToSign(message: SnsMessage): string {
  const names = message.Type === 'Notification' ? SIGNED_OF_NOTIFICATION : SIGNED_OF_CONFIRMATION;
  let signed = '';
  for (const name of names) {
    const value = message[name];
    if (value !== undefined && value !== null) signed += `${name}\n${value}\n`;
  }
  return signed;
}

function bytesOf(name: string, value: string): Uint8Array {
  try {
    return decodeBase64(value);
  } catch (error) {
    throw new DeliveryRefusal(400, 'InvalidParameterValue', `The attribute ${name} is of type Binary and not base64.`, {
      cause: error,
    });
  }
}
