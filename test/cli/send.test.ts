import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { busEvent, s3Event, snsEnvelope } from '../../runtime/dev/envelopes.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const TOPIC = 'arn:aws:sns:us-west-2:123456789012:MyTopic';
// The texts hold what AWS documents; what only AWS can make is replaced by its kind.
const golden: unknown = JSON.parse(readFileSync('test/cli/golden/envelopes.json', 'utf8'));
const occasion = {
  now: Date.parse('2012-05-02T00:54:06.655Z'),
  uuid: () => '22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324',
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'karin-send-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a message in the shape of its source', () => {
  it('is for SNS, S3 and EventBridge what AWS documents, member by member in the same order', () => {
    const sns = snsEnvelope(
      {
        topicArn: TOPIC,
        message: 'Hello world!',
        subject: 'My First Message',
        attributes: [
          { name: 'kind', type: 'String', value: 'order' },
          { name: 'weight', type: 'Number', value: '7' },
        ],
      },
      occasion,
    );
    const object = { bucket: 'mybucket', region: 'us-west-2' };
    const put = s3Event({ ...object, key: 'cats/Happy Face (1).jpg', eventName: 'ObjectCreated:Put' }, occasion);
    const removed = s3Event({ ...object, key: 'one', eventName: 'ObjectRemoved:Delete' }, occasion);
    const event = busEvent(
      { detailType: 'OrderPlaced', source: 'shop', detail: { id: 7 }, region: 'us-west-2', account: '123456789012' },
      occasion,
    );
    expect({ sns: masked(sns), s3Put: masked(put), s3Delete: masked(removed), event }).toEqual(golden);
  });

  it('has no Subject and no MessageAttributes where none was given, and belongs to the partition of its region', () => {
    const text = snsEnvelope({ topicArn: 'arn:aws-cn:sns:cn-north-1:123456789012:t', message: 'm' }, occasion);
    expect(Object.keys(JSON.parse(text))).not.toContain('Subject');
    expect(Object.keys(JSON.parse(text))).not.toContain('MessageAttributes');
    expect(text).toContain('https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-');
  });
});

describe('karin send', () => {
  const CLOSED = {
    KARIN_ADMIN_PASSWORD: PASSWORD,
    KARIN_TOKENS: 'karin_abcdefghijklmnopqrstuvwxyz0123456789:send',
    KARIN_KEYS: 'AKIDKARINEXAMPLE:0123456789abcdef0123456789abcdef:all',
    AWS_REGION: 'eu-west-1',
    KARIN_ACCOUNT_ID: '111122223333',
    KARIN_DISCOVERY: 'none',
  };
  const admin = { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}` };

  async function server(...queues: readonly string[]) {
    const karin = await runKarin(CLOSED);
    for (const QueueName of queues) {
      const Attributes = QueueName.endsWith('.fifo') ? { FifoQueue: 'true' } : {};
      await sqsCall(karin.url, 'CreateQueue', { QueueName, Attributes }, admin);
    }
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD, AWS_REGION: 'eu-west-1' };
    const receive = async (queue: string): Promise<Record<string, unknown>> => {
      const QueueUrl = `${karin.url}/111122223333/${queue}`;
      const input = { QueueUrl, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'] };
      const answer: unknown = await (await sqsCall(karin.url, 'ReceiveMessage', input, admin)).json();
      return expectMessage(answer);
    };
    return { karin, env, receive };
  }

  it('sends a body with attributes, and prints the id of the message', async () => {
    const { env, receive } = await server('jobs');
    const { out } = await runCli(
      ['send', 'jobs', '--body', 'hello', '--attribute', 'kind=a=b', '--attribute', 'n:Number=5'],
      env,
    );
    const message = await receive('jobs');
    expect(message['Body']).toBe('hello');
    expect(out).toBe(`${String(message['MessageId'])}\n`);
    expect(message['MessageAttributes']).toEqual({
      kind: { DataType: 'String', StringValue: 'a=b' },
      n: { DataType: 'Number', StringValue: '5' },
    });
  });

  it('is let in by a token, by a capability in the address and by an access key', async () => {
    const { karin, receive } = await server('jobs');
    const token = 'karin_abcdefghijklmnopqrstuvwxyz0123456789';
    await runCli(['send', 'jobs', '--body', 'token'], { KARIN_URL: karin.url, KARIN_TOKEN: token });
    expect((await receive('jobs'))['Body']).toBe('token');
    await runCli(['send', 'jobs', '--body', 'path', '--url', `${karin.url}/k/${token}`]);
    expect((await receive('jobs'))['Body']).toBe('path');
    const key = {
      AWS_ACCESS_KEY_ID: 'AKIDKARINEXAMPLE',
      AWS_SECRET_ACCESS_KEY: '0123456789abcdef0123456789abcdef',
      AWS_REGION: 'eu-west-1',
    };
    await runCli(['send', 'jobs', '--body', 'key', '--url', karin.url], key);
    expect((await receive('jobs'))['Body']).toBe('key');
  });

  it('makes what a topic puts into a queue, with its envelope and without', async () => {
    const { env, receive } = await server('jobs');
    const topic = ['--sns-topic', TOPIC, '--body', 'hello', '--attribute', 'kind=order'];
    await runCli(['send', 'jobs', ...topic, '--subject', 'greeting'], env);
    const wrapped = await receive('jobs');
    expect(JSON.parse(String(wrapped['Body']))).toMatchObject({
      TopicArn: TOPIC,
      Subject: 'greeting',
      Message: 'hello',
      MessageAttributes: { kind: { Type: 'String', Value: 'order' } },
    });
    expect(wrapped['MessageAttributes']).toBeUndefined();
    await runCli(['send', 'jobs', ...topic, '--raw'], env);
    const raw = await receive('jobs');
    expect(raw['Body']).toBe('hello');
    expect(raw['MessageAttributes']).toEqual({ kind: { DataType: 'String', StringValue: 'order' } });
  });

  it('makes the notification of an object, and the event of a rule from its detail or from a recorded event', async () => {
    const { env, receive } = await server('jobs');
    await runCli(['send', 'jobs', '--s3', 'uploads/cats/one 1.jpg'], env);
    expect(JSON.parse(String((await receive('jobs'))['Body']))).toMatchObject({
      Records: [{ awsRegion: 'eu-west-1', s3: { bucket: { name: 'uploads' }, object: { key: 'cats/one+1.jpg' } } }],
    });
    const detail = join(folder, 'detail.json');
    writeFileSync(detail, '{"id": 7}');
    await runCli(['send', 'jobs', '--event', detail, '--detail-type', 'OrderPlaced', '--source', 'shop'], env);
    expect(JSON.parse(String((await receive('jobs'))['Body']))).toMatchObject({
      'detail-type': 'OrderPlaced',
      account: '111122223333',
      detail: { id: 7 },
    });
    const whole = join(folder, 'event.json');
    const recorded = '{"version":"0","detail-type":"x","source":"y",  "detail":{}}';
    writeFileSync(whole, `${recorded}\n`);
    await runCli(['send', 'jobs', '--event', whole], env);
    expect((await receive('jobs'))['Body']).toBe(recorded);
    await expect(runCli(['send', 'jobs', '--event', detail], env)).rejects.toThrow(
      'is the detail of an event; say with --detail-type and --source what it is of',
    );
  });

  it('needs no group and no deduplication id for a FIFO queue, and sends twice what is asked for twice', async () => {
    const { env, receive } = await server('orders.fifo');
    await runCli(['send', 'orders.fifo', '--body', 'same', '--group', 'one'], env);
    const { out } = await runCli(['send', 'orders.fifo', '--body', 'same', '--json'], env);
    expect(JSON.parse(out)).toEqual({
      MessageId: expect.any(String),
      MD5OfMessageBody: expect.any(String),
      SequenceNumber: expect.stringMatching(/^\d{20}$/),
    });
    const groups = [await receive('orders.fifo'), await receive('orders.fifo')].map(
      ({ Attributes }) => (Attributes as Record<string, string>)['MessageGroupId'],
    );
    expect(groups.toSorted()).toEqual(['karin-send', 'one']);
  });

  it('suggests the name that was meant, and tells nobody the capability in the address', async () => {
    const { karin, env } = await server('orders', 'thumbnails');
    await expect(runCli(['send', 'ordres', '--body', 'x'], env)).rejects.toThrow('did you mean orders?');
    await expect(runCli(['send', 'mails', '--body', 'x'], env)).rejects.toThrow('there are orders, thumbnails');
    const url = `${karin.url}/k/karin_abcdefghijklmnopqrstuvwxyz0123456789`;
    await expect(runCli(['send', 'mails', '--body', 'x', '--url', url])).rejects.not.toThrow('karin_abc');
  });

  it('says what to do when it is not let in, or nobody answers', async () => {
    const { karin } = await server('jobs');
    await expect(runCli(['send', 'jobs', '--body', 'x', '--url', karin.url])).rejects.toThrow(
      'a token with the scope send lets in',
    );
    await expect(runCli(['send', 'jobs', '--body', 'x', '--url', 'http://127.0.0.1:1'])).rejects.toThrow(
      'no server answers at http://127.0.0.1:1',
    );
  });

  it.each([
    [['--body', 'x', '--file', 'y'], '--body and --file are two bodies'],
    [['--s3', 'a/b', '--event', 'x'], 'a message comes from one place: give --s3 or --event'],
    [['--body', 'x', '--subject', 's'], '--subject belongs to --sns-topic'],
    [['--s3', 'bucket/key', '--body', 'x'], '--s3 makes the body itself'],
    [['--sns-topic', 'orders'], 'orders is no ARN of a topic'],
    [[], 'there is nothing to send'],
  ])('refuses %j', async (args, text) => {
    await expect(runCli(['send', 'jobs', ...args])).rejects.toThrow(text);
  });
});

/** Values that only AWS could make, as their kind, if they have its form. */
function masked(text: string): string {
  return text
    .replace(/"Signature":"[A-Za-z0-9+/]{342}=="/, '"Signature":"<SIGNATURE>"')
    .replace(/SimpleNotificationService-[0-9a-f]{32}\.pem/, 'SimpleNotificationService-<HEX>.pem')
    .replace(/(MyTopic:)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/, '$1<UUID>')
    .replace(/("principalId":"(?:AWS:)?)[A-Z0-9]+"/g, '$1<ID>"')
    .replace(/("x-amz-request-id":)"[0-9A-F]{16}"/, '$1"<ID>"')
    .replace(/("x-amz-id-2":)"[A-Za-z0-9+/]{76}"/, '$1"<ID>"')
    .replace(/("configurationId":)"[0-9a-f-]{36}"/, '$1"<ID>"')
    .replace(/("eTag":)"[0-9a-f]{32}"/, '$1"<ID>"')
    .replace(/("sequencer":)"[0-9A-F]{18}"/, '$1"<ID>"');
}

function expectMessage(answer: unknown): Record<string, unknown> {
  expect(answer).toMatchObject({ Messages: [expect.anything()] });
  // The line above has seen that it is so.
  const [message = {}] = (answer as { readonly Messages: readonly Record<string, unknown>[] }).Messages;
  return message;
}
