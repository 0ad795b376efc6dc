/**
 * What SNS, EventBridge and S3 deliver to deployed queues, beside what each of them gives a queue of Amazon SQS that
 * listens at the same place.
 *
 * Stacks make the subscriptions, the API destination and the notification of the bucket; the emulator posts over HTTP
 * as AWS does, with the signatures and the confirmation that moto lacks (test/support/aws_deliveries.py). The server
 * asks the emulator in the place of `sns.us-east-1.amazonaws.com` for the certificate and the confirmation. Only the
 * queues of Amazon SQS that are compared with are made here.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  GetSubscriptionAttributesCommand,
  ListSubscriptionsCommand,
  PublishCommand,
  SNSClient,
  SubscribeCommand,
} from '@aws-sdk/client-sns';
import {
  CreateQueueCommand,
  ListQueuesCommand,
  type Message,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';

const ADMIN_PASSWORD = 'an-admin-password-for-tests';
const TOKEN = 'a-token-for-the-tests-1234';
const CDK = resolve('node_modules/.bin/cdk');

let moto: MotoServer;
let redis: RedisServer;
let karin: RunningServer;
let sns: SNSClient;
let sqs: SQSClient;

beforeAll(async () => {
  [moto, redis] = await Promise.all([MotoServer.start({ mended: true }), RedisServer.start()]);
  const access = {
    region: 'us-east-1',
    endpoint: moto.addressUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  };
  sns = new SNSClient(access);
  sqs = new SQSClient(access);
  const secrets = new SecretsManagerClient(access);
  await secrets.send(new CreateSecretCommand({ Name: 'karin/capability', SecretString: TOKEN }));
  secrets.destroy();
  karin = await startServerProcess({
    ...moto.environment,
    REDIS_URL: redis.url,
    KARIN_ACCOUNT_ID: MOTO_ACCOUNT,
    KARIN_ADMIN_PASSWORD: ADMIN_PASSWORD,
    KARIN_TOKENS: `${TOKEN}:send`,
  });
  await deploy();
});
afterAll(async () => {
  sns.destroy();
  sqs.destroy();
  await karin.stop();
  await Promise.all([redis.stop(), moto.stop()]);
});

/** Every app, by `cdk deploy` in its folder, and a server that knows what they have. */
async function deploy(): Promise<void> {
  const env = { ...moto.environment, CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: 'true' };
  await command(CDK, ['bootstrap', `aws://${MOTO_ACCOUNT}/us-east-1`], { env });
  const out = await mkdtemp(join(tmpdir(), 'karin-deliveries-'));
  const how = ['--require-approval', 'never', '--method=direct', '-c', `karin:endpoint=${karin.url}`, '--output'];
  const app = `node --import tsx ${resolve('test/deploy/support/placed-orders.ts')}`;
  await Promise.all([
    command(CDK, ['deploy', ...how, join(out, 'fan-out')], { env, cwd: 'examples/fan-out' }),
    command(CDK, ['deploy', ...how, join(out, 's3-thumbnails')], { env, cwd: 'examples/s3-thumbnails' }),
    command(CDK, ['deploy', '--app', app, ...how, join(out, 'placed-orders')], { env }),
  ]);
  await rm(out, { recursive: true });
  const headers = { authorization: `Bearer ${ADMIN_PASSWORD}` };
  const response = await fetch(`${karin.url}/sync`, { method: 'POST', headers });
  expect(await response.json()).toMatchObject({ broken: [] });
}

/** Runs Python with boto3, for the services whose SDK the tests do not have. */
function boto(script: string): Promise<string> {
  // By address, so that buckets stand in the path.
  const env = { ...moto.environment, AWS_ENDPOINT_URL: moto.addressUrl };
  return command('python3', ['-c', `import boto3, json\n${script}`], { env });
}

const Event = z.object({ Records: z.array(z.looseObject({ body: z.string(), eventSourceARN: z.string() })) });
type Record = z.infer<typeof Event>['Records'][number];

/** The record with which a function was invoked for a message of the queue of this name. */
async function recordOf(queue: string, holds: (body: string) => boolean): Promise<Record> {
  const find = (event: unknown): Record | undefined =>
    Event.safeParse(event).data?.Records.find(
      ({ body, eventSourceARN }) => eventSourceARN.split(':').at(-1)?.startsWith(queue) === true && holds(body),
    );
  const { event } = await moto.invoked((invocation) => find(invocation.event) !== undefined);
  const record = find(event);
  if (record === undefined) throw new Error(`no record of ${queue}`);
  return record;
}

interface SqsQueue {
  readonly url: string;
  readonly arn: string;
}

/** A queue of Amazon SQS. */
async function createSqsQueue(name: string): Promise<SqsQueue> {
  const { QueueUrl: url = '' } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
  return { url, arn: `arn:aws:sqs:us-east-1:${MOTO_ACCOUNT}:${name}` };
}

/** The first message of a queue of Amazon SQS whose body `holds`. */
async function messageOf(QueueUrl: string, holds: (body: string) => boolean): Promise<Message> {
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20, MessageAttributeNames: ['All'] }),
    );
    const found = Messages.find(({ Body = '' }) => holds(Body));
    if (found !== undefined) return found;
  }
}

/** The record that Lambda makes of a message of SQS: what is of one delivery alone may be any. */
function asRecord(message: Message): object {
  const attributes = Object.entries(message.MessageAttributes ?? {}).map(([name, attribute]) => [
    name,
    {
      dataType: attribute.DataType,
      ...(attribute.StringValue !== undefined && { stringValue: attribute.StringValue }),
      ...(attribute.BinaryValue !== undefined && {
        binaryValue: Buffer.from(attribute.BinaryValue).toString('base64'),
      }),
      stringListValues: [],
      binaryListValues: [],
    },
  ]);
  return {
    messageId: expect.any(String),
    receiptHandle: expect.any(String),
    body: message.Body,
    attributes: {
      ApproximateReceiveCount: expect.stringMatching(/^\d+$/),
      SentTimestamp: expect.stringMatching(/^\d{13}$/),
      SenderId: expect.any(String),
      ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
    },
    messageAttributes: Object.fromEntries(attributes),
    ...(message.MD5OfMessageAttributes !== undefined && { md5OfMessageAttributes: message.MD5OfMessageAttributes }),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: expect.any(String),
    awsRegion: 'us-east-1',
  };
}

/** What differs between two subscribers of one message: the address that ends the subscription. */
function withoutAddress(body: string): object {
  const { UnsubscribeURL, ...rest } = z.looseObject({ UnsubscribeURL: z.url() }).parse(JSON.parse(body));
  return { ...rest, UnsubscribeURL: UnsubscribeURL.replace(/:[^:]+$/, '') };
}

/** What differs between two notifications of one upload: when each was made, and which configuration asked for it. */
function withoutOccasion(body: string): unknown {
  return JSON.parse(body, (name, value: unknown) =>
    name === 'eventTime' || name === 'Time' || name === 'configurationId' ? typeof value : value,
  );
}

async function topicOf(stack: string): Promise<string> {
  const { Subscriptions = [] } = await sns.send(new ListSubscriptionsCommand({}));
  return Subscriptions.find(({ Endpoint }) => Endpoint?.includes(`/${stack}-`))?.TopicArn ?? '';
}

describe('cdk deploy of queues that other services feed', () => {
  it('makes subscriptions that the server confirms by itself', async () => {
    const { Subscriptions = [] } = await sns.send(new ListSubscriptionsCommand({}));
    expect(Subscriptions).toHaveLength(4);
    for (const { Endpoint = '', SubscriptionArn, Protocol } of Subscriptions) {
      expect(Protocol).toBe('http');
      expect(Endpoint).toContain(`/k/${TOKEN}/in/${MOTO_ACCOUNT}/`);
      const queue = new URL(Endpoint).pathname.split('/').at(-1) ?? '';
      await karin.saying(new RegExp(`${queue}.*is confirmed`));
      const { Attributes } = await sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }));
      expect(Attributes).toMatchObject({ PendingConfirmation: 'false' });
    }
  });

  it('gives functions what is published to a topic as subscriptions of Amazon SQS give it', async () => {
    const TopicArn = await topicOf('FanOut');
    const [enveloped, raw] = await Promise.all([createSqsQueue('enveloped'), createSqsQueue('raw')]);
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: enveloped.arn }));
    const Attributes = { RawMessageDelivery: 'true' };
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint: raw.arn, Attributes }));

    const published = JSON.stringify({ total: 1200, customer: 'Zoë\n"quoted"' });
    await sns.send(
      new PublishCommand({
        TopicArn,
        Subject: 'an order',
        Message: published,
        MessageAttributes: {
          kind: { DataType: 'String', StringValue: 'paid' },
          // SQS takes zeros off the end of a number; the emulator leaves them.
          total: { DataType: 'Number', StringValue: '1200.5' },
          image: { DataType: 'Binary', BinaryValue: Uint8Array.of(0, 127, 128, 255) },
          tags: { DataType: 'String.Array', StringValue: '["new",1,true,null]' },
        },
      }),
    );

    const asPublished = (body: string): boolean => body === published;
    const expected = asRecord(await messageOf(raw.url, asPublished));
    expect(expected).toHaveProperty('messageAttributes.image.binaryValue', 'AH+A/w==');
    expect(await recordOf('FanOut-Mails', asPublished)).toEqual(expected);
    expect(await recordOf('FanOut-Large', asPublished)).toEqual(expected);

    const inEnvelope = (body: string): boolean => body.includes('"an order"');
    const message = await messageOf(enveloped.url, inEnvelope);
    const record = await recordOf('FanOut-Archive', inEnvelope);
    const { Body = '' } = message;
    expect(record).toEqual({ ...asRecord(message), body: expect.any(String), md5OfBody: expect.any(String) });
    expect(withoutAddress(record.body)).toEqual(withoutAddress(Body));
    expect(JSON.parse(record.body)).toMatchObject({
      Type: 'Notification',
      TopicArn,
      Subject: 'an order',
      Message: published,
      MessageAttributes: {
        kind: { Type: 'String', Value: 'paid' },
        total: { Type: 'Number', Value: '1200.5' },
        image: { Type: 'Binary', Value: 'AH+A/w==' },
        tags: { Type: 'String.Array', Value: '["new",1,true,null]' },
      },
    });
  });

  it('takes the bare message of a subscription with raw delivery, with which SNS sends no attributes over HTTP', async () => {
    const TopicArn = await topicOf('FanOut');
    const { Subscriptions = [] } = await sns.send(new ListSubscriptionsCommand({}));
    const archive = Subscriptions.find(({ Endpoint }) => Endpoint?.includes('/FanOut-Archive'))?.Endpoint ?? '';
    const [address = ''] = archive.split('?');
    const said = karin.said.length;
    const Attributes = { RawMessageDelivery: 'true' };
    await sns.send(new SubscribeCommand({ TopicArn, Protocol: 'http', Endpoint: address, Attributes }));
    await karin.saying(/FanOut-Archive.*is confirmed/, said);
    await sns.send(
      new PublishCommand({
        TopicArn,
        Message: 'bare',
        MessageAttributes: { kind: { DataType: 'String', StringValue: 'lost' } },
      }),
    );
    expect(await recordOf('FanOut-Archive', (body) => body === 'bare')).toMatchObject({ messageAttributes: {} });
    const enveloped = await recordOf('FanOut-Archive', (body) => body.includes('"bare"'));
    expect(JSON.parse(enveloped.body)).toMatchObject({
      Message: 'bare',
      MessageAttributes: { kind: { Value: 'lost' } },
    });
  });

  it('gives a function the events of a rule as a queue of Amazon SQS at the same rule gets them', async () => {
    const [QueueUrl = ''] =
      (await sqs.send(new ListQueuesCommand({ QueueNamePrefix: 'PlacedOrders-InSqs' }))).QueueUrls ?? [];
    await boto(`
detail = json.dumps({"orderId": "o-1", "total": 12.5, "note": "Zoë"})
boto3.client("events").put_events(Entries=[
  {"Source": "shop", "DetailType": "OrderPlaced", "Detail": detail, "Resources": ["arn:aws:s3:::orders"]}
])`);
    const ofOrder = (body: string): boolean => body.includes('o-1');
    const record = await recordOf('PlacedOrders-Jobs', ofOrder);
    expect(record).toEqual(asRecord(await messageOf(QueueUrl, ofOrder)));
    expect(JSON.parse(record.body)).toEqual({
      version: '0',
      id: expect.any(String),
      'detail-type': 'OrderPlaced',
      source: 'shop',
      account: MOTO_ACCOUNT,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: 'us-east-1',
      resources: ['arn:aws:s3:::orders'],
      detail: { orderId: 'o-1', total: 12.5, note: 'Zoë' },
    });
    // What let it in stands in the connection alone.
    const queue = record.eventSourceARN.split(':').at(-1);
    const stranger = await fetch(`${karin.url}/in/${MOTO_ACCOUNT}/${queue}`, { method: 'POST', body: record.body });
    expect(stranger.status).toBe(401);
  });

  it('gives a function the notifications of a bucket as a queue of Amazon SQS at the same bucket gets them', async () => {
    const { url, arn } = await createSqsQueue('uploads');
    await boto(`
s3 = boto3.client("s3")
bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if one["Name"].startswith("uploads-"))
topics = s3.get_bucket_notification_configuration(Bucket=bucket)["TopicConfigurations"]
queue = {"QueueArn": "${arn}", "Events": topics[0]["Events"], "Filter": topics[0]["Filter"]}
s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={
  "TopicConfigurations": topics, "QueueConfigurations": [queue]
})
s3.put_object(Bucket=bucket, Key="a photo.txt", Body=b"left out by the filter")
s3.put_object(Bucket=bucket, Key="a photo.jpg", Body=b"an image")`);

    const tests = (body: string): boolean => body.includes('s3:TestEvent');
    const uploads = (body: string): boolean => body.includes('"Records"');
    for (const holds of [tests, uploads]) {
      const message = await messageOf(url, holds);
      const record = await recordOf('Uploads-Jobs', holds);
      expect(record).toEqual({ ...asRecord(message), body: expect.any(String), md5OfBody: expect.any(String) });
      expect(withoutOccasion(record.body)).toEqual(withoutOccasion(message.Body ?? ''));
    }
    await moto.invoked(({ printed }) => /^thumbnail of uploads-.*\/a photo\.jpg$/.test(printed));
  });
});
