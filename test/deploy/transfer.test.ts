import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { type QueueArn, queueKey } from '../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { transferWithKills } from '../transfer/support/killed-transfer.ts';
import { bodiesByGroup, messageOf, takeAll } from '../transfer/support/side.ts';

const MESSAGES = 200;
const KILLS = 3;
const HIDDEN_SECONDS = 2;

let moto: MotoServer;
let redis: RedisServer;
let store: RedisStore;
let directory: StoredDirectory;
let client: SQSClient;

beforeAll(async () => {
  [moto, redis] = await Promise.all([MotoServer.start({ mended: true }), RedisServer.start()]);
  const common = { time: systemTime, randomness: systemRandomness };
  store = await RedisStore.open({ ...common, urls: [redis.url], instanceId: 'deploy-test' });
  directory = await createDirectory({ ...common, store, notify: () => {} });
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  client = new SQSClient({ region: 'us-east-1', endpoint: moto.addressUrl, credentials });
});
afterAll(async () => {
  client.destroy();
  directory.close();
  await store.close();
  await Promise.all([moto.stop(), redis.stop()]);
});

interface Real {
  readonly arn: QueueArn;
  readonly fifo: boolean;
  readonly url: string;
}

/** The queue in the emulator, and the one here. */
async function create(name: string): Promise<Real> {
  const fifo = name.endsWith('.fifo');
  const Attributes = fifo ? { FifoQueue: 'true' } : {};
  const { QueueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes }));
  const arn: QueueArn = { partition: 'aws', region: 'us-east-1', account: MOTO_ACCOUNT, name };
  await directory.create(arn, DEFAULT_ATTRIBUTES, {});
  return { arn, fifo, url: QueueUrl };
}

function here({ arn }: Real) {
  const queue = directory.byKey(queueKey(arn));
  if (queue === undefined) throw new Error(`${arn.name} was not created`);
  return queue;
}

function messagesFor({ fifo }: Real) {
  return Array.from({ length: MESSAGES }, (_, index) => messageOf(String(index), fifo ? `g${index % 5}` : undefined));
}

/** Everything that the emulator hands out. */
async function receiveAll({ url: QueueUrl }: Real): Promise<readonly Message[]> {
  const all: Message[] = [];
  for (;;) {
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, MessageSystemAttributeNames: ['All'] }),
    );
    if (Messages.length === 0) return all;
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
    all.push(...Messages);
  }
}

function run(direction: 'drain' | 'pull', { arn }: Real): Promise<number> {
  const order = { direction, redisUrl: redis.url, endpoint: moto.addressUrl, arn, hiddenSeconds: HIDDEN_SECONDS };
  return transferWithKills(order, KILLS);
}

describe('against the SQS of the AWS emulator, the process killed again and again', () => {
  it('drains a standard queue and loses nothing', async () => {
    const real = await create('drained');
    const messages = messagesFor(real);
    await here(real).send(messages);
    expect(await run('drain', real)).toBeGreaterThan(0);
    expect(await here(real).depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    const arrived = new Set((await receiveAll(real)).map(({ Body }) => Body));
    expect(arrived).toEqual(new Set(messages.map(({ body }) => body)));
  });

  it('drains a FIFO queue, each message once and in the order of its group', async () => {
    const real = await create('drained.fifo');
    const messages = messagesFor(real);
    await here(real).send(messages);
    expect(await run('drain', real)).toBeGreaterThan(0);
    expect(await here(real).depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    const arrived = (await receiveAll(real)).map(({ Body = '', Attributes }) =>
      messageOf(Body, Attributes?.MessageGroupId),
    );
    expect(bodiesByGroup(arrived, true)).toEqual(bodiesByGroup(messages, true));
  });

  it.each(['pulled', 'pulled.fifo'])('pulls %s, each message once', async (name) => {
    const real = await create(name);
    const messages = messagesFor(real);
    for (let from = 0; from < messages.length; from += 10) {
      const Entries = messages.slice(from, from + 10).map(({ body, groupId, deduplicationId }, index) => ({
        Id: String(index),
        MessageBody: body,
        ...(groupId !== undefined && { MessageGroupId: groupId, MessageDeduplicationId: deduplicationId }),
      }));
      await client.send(new SendMessageBatchCommand({ QueueUrl: real.url, Entries }));
    }
    expect(await run('pull', real)).toBeGreaterThan(0);
    expect(await receiveAll(real)).toEqual([]);
    expect(bodiesByGroup(await takeAll(here(real)), real.fifo)).toEqual(bodiesByGroup(messages, real.fifo));
  });
});
