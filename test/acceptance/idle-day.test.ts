import { expect, it, onTestFinished, vi } from 'vitest';
import { sqsCall } from '../http/running-karin.ts';
import { startAwsEndpoint } from '../support/aws-endpoint.ts';
import { DAY_MS, startIdleServer } from '../support/idle-server.ts';
import { RedisServer } from '../support/redis-server.ts';

const QUEUES = Array.from({ length: 20 }, (_, index) => `idle-${index}`);
const HOUR_MS = DAY_MS / 24;

it('a server with 20 queues asks Redis at most 500 commands in an idle day, and AWS for the lists of mappings and functions every hour', async () => {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const aws = await startAwsEndpoint(QUEUES);
  onTestFinished(() => aws.close());
  for (const [name, value] of Object.entries(aws.environment)) vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const server = await startIdleServer(redis.url, aws);
  onTestFinished(() => server.close());
  expect(server.karin.directory.all()).toHaveLength(QUEUES.length);

  // Once a day the details of mappings are read anew; until then the lists are all.
  await server.pass(23 * HOUR_MS);
  expect((await server.asked()).awsOthers).toBe(0);
  await server.pass(HOUR_MS);
  const day = await server.asked();
  expect(day.redisCommands).toBeLessThanOrEqual(500);
  // The mappings and the functions, hourly, give or take the tenth by which instances are spread.
  expect(day.awsLists).toBeGreaterThanOrEqual(2 * 21);
  expect(day.awsLists).toBeLessThanOrEqual(2 * 27);

  // It was idle, not dead.
  const invoked = new Promise<readonly string[]>((resolve) => {
    aws.onInvoke = ({ Records }) => resolve(Records.map(({ body }) => body));
  });
  await sqsCall(server.karin.url, 'SendMessage', { QueueUrl: 'idle-7', MessageBody: 'at last' });
  expect(await invoked).toEqual(['at last']);
});
