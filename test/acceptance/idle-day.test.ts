import { createServer } from 'node:http';
import { expect, it, onTestFinished, vi } from 'vitest';
import { sqsCall } from '../http/running-karin.ts';
import { startAwsEndpoint } from '../support/aws-endpoint.ts';
import { DAY_MS, startIdleServer } from '../support/idle-server.ts';
import { RedisServer } from '../support/redis-server.ts';

const QUEUES = Array.from({ length: 20 }, (_, index) => `idle-${index}`);
const HOUR_MS = DAY_MS / 24;

async function idleServer(environment: Readonly<Record<string, string>> = {}) {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  const aws = await startAwsEndpoint(QUEUES);
  onTestFinished(() => aws.close());
  for (const [name, value] of Object.entries(aws.environment)) vi.stubEnv(name, value);
  onTestFinished(() => void vi.unstubAllEnvs());
  const server = await startIdleServer(redis.url, aws, environment);
  onTestFinished(() => server.close());
  return { redis, aws, server };
}

/** A target of alerts on loopback; `said`: what began or ended, as it comes. */
async function hook() {
  const said: string[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      // The shape of an alert of this server.
      const { began } = JSON.parse(Buffer.concat(chunks).toString()) as { began: { text: string }[] };
      said.push(...began.map(({ text }) => text));
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => new Promise((resolve) => server.close(() => resolve())));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the hook has no port');
  return { url: `http://127.0.0.1:${address.port}/`, said };
}

it('a server with 20 queues asks Redis at most 500 commands in an idle day, and AWS for the lists of mappings and functions every hour', async () => {
  const { aws, server } = await idleServer();
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

it('a server that keeps a history and has an alert standing all day stays within the commands of an idle one', async () => {
  const { url, said } = await hook();
  const { aws, server } = await idleServer({ KARIN_ALERTS: url });
  const call = (action: string, input: Readonly<Record<string, unknown>>) => sqsCall(server.karin.url, action, input);
  const dead = 'arn:aws:sqs:us-east-1:000000000000:dead';
  await call('CreateQueue', { QueueName: 'dead' });
  await call('CreateQueue', {
    ...{ QueueName: 'source' },
    Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead, maxReceiveCount: 3 }) },
  });
  await call('SendMessage', { QueueUrl: 'dead', MessageBody: 'as a dead letter' });
  const invoked = new Promise<void>((resolve) => {
    aws.onInvoke = () => resolve();
  });
  await call('SendMessage', { QueueUrl: 'idle-7', MessageBody: 'for the history' });
  await invoked;
  await server.pass(HOUR_MS);
  expect(said).toContainEqual(expect.stringContaining('1 dead letter of source'));
  const before = said.length;
  await server.startCounting();

  await server.pass(24 * HOUR_MS);
  const day = await server.asked();
  expect(day.redisCommands).toBeLessThanOrEqual(300 + 10 * (QUEUES.length + 2));
  expect(said).toHaveLength(before);
});
