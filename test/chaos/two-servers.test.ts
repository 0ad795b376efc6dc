import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { mappingOf } from '../support/consumer-world.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ScriptableLambda } from '../support/scriptable-lambda.ts';
import { discoveryOf } from './discovery.ts';
import { ServerProcess } from './server-process.ts';

const MESSAGES = process.env['KARIN_TEST_SIZE'] === 'full' ? 10_000 : 2_000;
const ACCOUNT = '111122223333';
/** So many that both servers are preferred for some. */
const QUEUES = Array.from({ length: 20 }, (_, index) => `jobs-${index}`);

describe('Two servers on one Redis', () => {
  let redis: RedisServer;
  let lambda: ScriptableLambda;
  let servers: readonly ServerProcess[] = [];

  beforeEach(async () => {
    redis = await RedisServer.start();
    lambda = await ScriptableLambda.start();
    const options = { redisUrl: redis.url, lambdaEndpoint: lambda.endpoint, discovery: discovery() };
    servers = await Promise.all([ServerProcess.start(options), ServerProcess.start(options)]);
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    await lambda.close();
    await redis.stop();
  });

  it(
    `${MESSAGES} messages: none lost, none invoked twice while leases hold`,
    async () => {
      const invoked = new Map<string, number>();
      let allInvoked: () => void = () => {};
      const done = new Promise<void>((resolve) => {
        allInvoked = resolve;
      });
      lambda.behave(({ records }) => {
        for (const { messageId } of records) invoked.set(messageId, (invoked.get(messageId) ?? 0) + 1);
        if (invoked.size === MESSAGES) allInvoked();
        return { kind: 'answer', value: null };
      });

      const clients = servers.map(({ url }) => clientOf(url));
      const sent = new Set<string>();
      await Promise.all(
        clients.map(async (client, half) => {
          for (let index = half; index < MESSAGES / 10; index += clients.length) {
            const { url } = servers[half] ?? { url: '' };
            for (const id of await sendTen(client, `${url}/${ACCOUNT}/${QUEUES[index % QUEUES.length]}`)) sent.add(id);
          }
        }),
      );
      await done;
      const deleted = async (): Promise<number> =>
        (await Promise.all(servers.map((server) => server.deleted()))).reduce((sum, count) => sum + count, 0);
      while ((await deleted()) < MESSAGES) await new Promise((resolve) => setImmediate(resolve));

      expect(sent.size).toBe(MESSAGES);
      expect(new Set(invoked.keys())).toEqual(sent);
      expect([...invoked.values()].filter((times) => times !== 1)).toEqual([]);
      // Both took part.
      for (const server of servers) expect(await server.deleted()).toBeGreaterThan(0);
      for (const client of clients) client.destroy();
    },
    MESSAGES * 30,
  );
});

/** All queues, each with a mapping. */
function discovery(): Discovery {
  const arns = QUEUES.map((name) => ({ partition: 'aws', region: 'eu-west-1', account: ACCOUNT, name }));
  return discoveryOf({
    mappings: arns.map((arn) => mappingOf({ arn })),
    queues: arns.map((arn) => ({
      arn,
      attributes: { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: 600 },
      tags: {},
    })),
  });
}

function clientOf(endpoint: string): SQSClient {
  return new SQSClient({ endpoint, region: 'eu-west-1', credentials: { accessKeyId: 'any', secretAccessKey: 'any' } });
}

async function sendTen(client: SQSClient, queueUrl: string): Promise<readonly string[]> {
  const entries = Array.from({ length: 10 }, (_, index) => ({ Id: String(index), MessageBody: `message ${index}` }));
  const { Successful } = await client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries }));
  return (Successful ?? []).map(({ MessageId }) => MessageId ?? '');
}
