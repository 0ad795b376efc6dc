import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { moveTasksName, readMoveTasks, type StoredMoveTask } from '../../runtime/queue/move-task.ts';
import { formatQueueArn, type QueueArn, queueKey } from '../../runtime/queue/names.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ServerProcess } from './server-process.ts';

/** A server that is there already waits for two silences of half a minute, one that comes later for one. */
const HEIRS = process.env['KARIN_TEST_SIZE'] === 'full' ? ['later', 'already there'] : ['later'];
/** Steps of a hundred, back to back: the server is killed in the middle of one of the first. */
const MESSAGES = 3_000;
const ACCOUNT = '111122223333';
const JOBS = arn('jobs');
const DEAD = arn('dead');

describe('A message move task whose server was killed', () => {
  let redis: RedisServer;
  let observer: Store;
  let servers: ServerProcess[] = [];
  let clients: SQSClient[] = [];

  beforeEach(async () => {
    redis = await RedisServer.start();
    const time = { time: systemTime, randomness: systemRandomness };
    observer = await RedisStore.open({ urls: [redis.url], instanceId: 'observer', ...time });
  });
  afterEach(async () => {
    for (const client of clients) client.destroy();
    await Promise.all(servers.map((server) => server.kill()));
    servers = [];
    clients = [];
    await observer.close();
    await redis.stop();
  });

  async function startServer() {
    const nobody = 'http://127.0.0.1:9';
    const server = await ServerProcess.start({ redisUrl: redis.url, lambdaEndpoint: nobody, discovery: discovery() });
    const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
    const client = new SQSClient({ endpoint: server.url, region: JOBS.region, credentials });
    servers.push(server);
    clients.push(client);
    return { server, client, urlOf: ({ name }: QueueArn) => `${server.url}/${ACCOUNT}/${name}` };
  }

  /** The newest task, as soon as it is so. */
  function task(matches: (task: StoredMoveTask) => boolean): Promise<StoredMoveTask> {
    const name = moveTasksName(queueKey(DEAD));
    return new Promise((resolve, reject) => {
      const look = async (): Promise<void> => {
        const [newest] = readMoveTasks(await observer.documents.get(name));
        if (newest === undefined || !matches(newest)) return;
        unsubscribe();
        resolve(newest);
      };
      const unsubscribe = observer.subscribe((signal) => {
        if (signal.kind === 'document' && signal.name === name) look().catch(reject);
      });
      look().catch(reject);
    });
  }

  it.each(HEIRS)(
    'is finished by another that was started %s: every message is moved, and none twice',
    async (when) => {
      const first = await startServer();
      const early = when === 'already there' ? await startServer() : undefined;
      await send(first.client, first.urlOf(DEAD));
      const begun = task(({ moved }) => moved > 0);
      const request = { SourceArn: formatQueueArn(DEAD), DestinationArn: formatQueueArn(JOBS) };
      await first.client.send(new StartMessageMoveTaskCommand(request));
      await begun;
      await first.server.kill();
      const left = await task(() => true);
      expect(left).toMatchObject({ status: 'RUNNING', runner: expect.any(String) });
      expect(left.moved).toBeLessThan(MESSAGES);

      const heir = early ?? (await startServer());
      const done = await task(({ status }) => status !== 'RUNNING');
      expect(done.status).toBe('COMPLETED');
      expect(done.runner).not.toBe(left.runner);
      expect(await receiveAll(heir.client, heir.urlOf(JOBS))).toEqual(Array.from({ length: MESSAGES }, (_, i) => i));
      const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
      const { Attributes } = await heir.client.send(
        new GetQueueAttributesCommand({ QueueUrl: heir.urlOf(DEAD), AttributeNames: [...names] }),
      );
      expect(Attributes).toEqual({ [names[0]]: '0', [names[1]]: '0' });
    },
    240_000,
  );
});

function arn(name: string): QueueArn {
  return { partition: 'aws', region: 'eu-west-1', account: ACCOUNT, name };
}

/** `jobs` with its dead-letter queue, and no function that would take the messages away again. */
function discovery(): Discovery {
  const redrivePolicy = { deadLetterTargetArn: formatQueueArn(DEAD), maxReceiveCount: 3 };
  const attributes = { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: 43_200 };
  return {
    mappings: [],
    broken: [],
    foreign: [],
    queues: [
      { arn: JOBS, attributes: { ...attributes, redrivePolicy }, tags: {} },
      { arn: DEAD, attributes, tags: {} },
    ],
    waitingInSqs: {},
    problems: [],
    detailsReadAt: 0,
  };
}

/** Messages whose bodies are the numbers from 0 on. */
async function send(client: SQSClient, QueueUrl: string): Promise<void> {
  for (let from = 0; from < MESSAGES; from += 10) {
    const Entries = Array.from({ length: 10 }, (_, at) => ({ Id: String(at), MessageBody: String(from + at) }));
    await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  }
}

/** The numbers in all messages, sorted. */
async function receiveAll(client: SQSClient, QueueUrl: string): Promise<readonly number[]> {
  const numbers: number[] = [];
  for (;;) {
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    if (Messages.length === 0) return numbers.sort((a, b) => a - b);
    numbers.push(...Messages.map(({ Body }) => Number(Body)));
  }
}
