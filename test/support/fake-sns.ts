/**
 * SNS as it looks from outside: it signs messages with a key of its own, and serves the certificate and the pages that
 * confirm subscriptions.
 *
 * @module
 */
import { sign } from 'node:crypto';
import type { Fetched, SnsConnector } from '../../runtime/http/ingest/sns-host.ts';
import { type Made, makeCertificate } from './certificates.ts';

export const TOPIC = 'arn:aws:sns:us-east-1:123456789012:orders';
export const SNS_HOST = 'https://sns.us-east-1.amazonaws.com';

export type Envelope = Record<string, unknown>;

export class FakeSns implements SnsConnector {
  /** Trusted; issued the intermediate that issued the certificate. */
  readonly root = makeCertificate({ name: 'Test Root', isAuthority: true });
  readonly intermediate = makeCertificate({ name: 'Test Intermediate', isAuthority: true, issuer: this.root });
  readonly certificate = makeCertificate({ name: 'sns.amazonaws.com', issuer: this.intermediate });
  readonly certificateUrl = `${SNS_HOST}/SimpleNotificationService-0123456789abcdef.pem`;
  /** What it was asked for, in order. */
  readonly asked: string[] = [];
  /** What it answers, by URL; default: a certificate with its issuer, and 200 to confirmations. */
  readonly answers = new Map<string, Fetched | Error>();
  #ids = 0;

  constructor() {
    this.reset();
  }

  /** Forgets what it was asked for, and answers as at first. */
  reset(): void {
    this.asked.length = 0;
    this.answers.clear();
    this.serve(this.certificateUrl, this.certificate, this.intermediate);
  }

  get trust(): { readonly connector: SnsConnector; readonly roots: readonly string[] } {
    return { connector: this, roots: [this.root.pem] };
  }

  serve(url: string, ...certificates: readonly Made[]): void {
    this.answers.set(url, { status: 200, body: Buffer.from(certificates.map(({ pem }) => pem).join('')) });
  }

  get(url: URL): Promise<Fetched> {
    this.asked.push(url.href);
    const answer = this.answers.get(url.href) ?? { status: 200, body: Buffer.from('<ConfirmSubscriptionResponse/>') };
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }

  /** A signed notification. `over`: members in the place of the usual ones, before it is signed. */
  notification(over: Envelope = {}, by: Made = this.certificate): Envelope {
    this.#ids += 1;
    return signed(
      {
        Type: 'Notification',
        MessageId: `00000000-0000-4000-8000-${String(this.#ids).padStart(12, '0')}`,
        TopicArn: TOPIC,
        Subject: 'a subject',
        Message: 'hello\n"world" é',
        Timestamp: '2026-01-01T00:00:00.000Z',
        SignatureVersion: '2',
        SigningCertURL: this.certificateUrl,
        UnsubscribeURL: `${SNS_HOST}/?Action=Unsubscribe&SubscriptionArn=${TOPIC}:1`,
        ...over,
      },
      by,
    );
  }

  confirmation(over: Envelope = {}, by: Made = this.certificate): Envelope {
    return signed(
      {
        Type: 'SubscriptionConfirmation',
        MessageId: '10000000-0000-4000-8000-000000000001',
        Token: 'a-token',
        TopicArn: TOPIC,
        Message: 'You have chosen to subscribe to the topic.',
        SubscribeURL: `${SNS_HOST}/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=a-token`,
        Timestamp: '2026-01-01T00:00:00.000Z',
        SignatureVersion: '1',
        SigningCertURL: this.certificateUrl,
        ...over,
      },
      by,
    );
  }
}

const ORDER = ['Message', 'MessageId', 'Subject', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];

function signed(envelope: Envelope, by: Made): Envelope {
  const text = ORDER.filter((name) => typeof envelope[name] === 'string')
    .map((name) => `${name}\n${envelope[name]}\n`)
    .join('');
  const hash = envelope['SignatureVersion'] === '1' ? 'RSA-SHA1' : 'RSA-SHA256';
  return { ...envelope, Signature: sign(hash, Buffer.from(text), by.privateKey).toString('base64') };
}

/** The headers that SNS sends with a message. */
export function snsHeaders(envelope: Envelope): Record<string, string> {
  return {
    'content-type': 'text/plain; charset=UTF-8',
    'user-agent': 'Amazon Simple Notification Service Agent',
    'x-amz-sns-message-type': String(envelope['Type']),
    'x-amz-sns-message-id': String(envelope['MessageId']),
    'x-amz-sns-topic-arn': String(envelope['TopicArn']),
  };
}
