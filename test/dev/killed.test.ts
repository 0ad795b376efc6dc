import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { RedisServer } from '../support/redis-server.ts';
import { type DevProcess, startDevProcess } from './dev-process.ts';

let folder: string;
let redis: RedisServer;
let dev: DevProcess | undefined;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'karin-dev-'));
  redis = await RedisServer.start({ appendOnly: true });
});
afterEach(async () => {
  await dev?.kill();
  await redis.stop();
  rmSync(folder, { recursive: true });
});

it('with REDIS_URL, delayed messages outlive karin dev and Redis, both killed', async () => {
  writeFileSync(
    join(folder, 'serverless.yml'),
    `service: shop
provider: { name: aws, runtime: nodejs22.x }
functions:
  worker: { handler: src/worker.handler, events: [{ sqs: { arn: !GetAtt Jobs.Arn, enabled: false } }] }
resources: { Resources: { Jobs: { Type: AWS::SQS::Queue } } }
`,
  );
  mkdirSync(join(folder, 'src'));
  writeFileSync(
    join(folder, 'src', 'worker.mjs'),
    'export const handler = async ({ Records }) => Records.forEach(({ body }) => console.log(`got ${body}`));',
  );
  const first = await startDevProcess(folder, ['--no-watch'], { REDIS_URL: redis.url });
  dev = first;
  const sqs = new SQSClient({
    endpoint: first.url,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const QueueUrl = `${first.url}/000000000000/Jobs`;
  await sqs.send(
    new SendMessageBatchCommand({ QueueUrl, Entries: [{ Id: 'a', MessageBody: 'world', DelaySeconds: 4 }] }),
  );
  const form = { Action: 'SendMessage', QueueUrl, MessageBody: 'hello', DelaySeconds: '2' };
  expect((await fetch(first.url, { method: 'POST', body: new URLSearchParams(form) })).status).toBe(200);
  sqs.destroy();

  await first.kill();
  await redis.kill();
  await redis.restart();
  const second = await startDevProcess(folder, ['--no-watch'], { REDIS_URL: redis.url });
  dev = second;
  // On a slow machine both are due before it is up, and two workers of a standard queue need not keep their order.
  await Promise.all([second.line(/got world/), second.line(/got hello/)]);
  expect(second.lines.filter((line) => line.includes('got')).sort()).toEqual([
    '[shop-dev-worker] got hello',
    '[shop-dev-worker] got world',
  ]);
});
