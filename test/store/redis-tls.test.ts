/**
 * Redis over TLS with a certificate of a private authority, which the process trusts by `NODE_EXTRA_CA_CERTS`: Node
 * reads that at its start, so the server is a process of its own. The nodes of the cluster tell clients to come by
 * name, as those of ElastiCache and MemoryDB do.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { makeRedisTls, RedisServer, type RedisTls } from '../support/redis-server.ts';

const TOKEN = 'redis-over-tls-redis-over-tls';
const QUEUES = ['one', 'two', 'three', 'four', 'five', 'six'];

const releasers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

async function makeTls(): Promise<RedisTls> {
  const directory = await mkdtemp(join(tmpdir(), 'karin-tls-'));
  releasers.push(() => rm(directory, { recursive: true, force: true }));
  return makeRedisTls(directory);
}

async function startKarin(redis: string, tls: RedisTls): Promise<RunningServer> {
  const server = await startServerProcess({
    REDIS_URL: redis,
    NODE_EXTRA_CA_CERTS: tls.authorityFile,
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    AWS_REGION: 'eu-west-1',
  });
  releasers.push(() => server.stop());
  return server;
}

/** Sends to each of some queues, which in a cluster are on all nodes, and receives what was sent. */
async function roundTrips({ url }: RunningServer): Promise<readonly string[]> {
  const call = async (action: string, input: object): Promise<string> => {
    const response = await fetch(`${url}/k/${TOKEN}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
      body: JSON.stringify(input),
    });
    return response.text();
  };
  const received: string[] = [];
  for (const name of QUEUES) {
    await call('CreateQueue', { QueueName: name });
    const QueueUrl = `${url}/000000000000/${name}`;
    await call('SendMessage', { QueueUrl, MessageBody: `for ${name}` });
    received.push(/"Body":"([^"]*)"/.exec(await call('ReceiveMessage', { QueueUrl }))?.[1] ?? '');
  }
  return received;
}

const all = QUEUES.map((name) => `for ${name}`);

it('serves from one server that speaks TLS alone', async () => {
  const tls = await makeTls();
  const redis = await RedisServer.start({ tls, password: 'a/secret' });
  releasers.push(() => redis.stop());
  expect(await roundTrips(await startKarin(redis.url, tls))).toEqual(all);
});

it('serves from a cluster with one address, whose nodes speak TLS alone and are known by their names', async () => {
  const tls = await makeTls();
  const cluster = await startRedisCluster({ tls });
  releasers.push(() => cluster.stop());
  expect(await roundTrips(await startKarin(`${cluster.urls[0]}?cluster=true`, tls))).toEqual(all);
});

it('says that the certificate is not trusted where nobody named its authority', async () => {
  const tls = await makeTls();
  const redis = await RedisServer.start({ tls });
  releasers.push(() => redis.stop());
  const failure = startServerProcess({ REDIS_URL: redis.url, KARIN_DISCOVERY: 'none', AWS_REGION: 'eu-west-1' });
  await expect(failure).rejects.toThrow(/certificate/);
});
