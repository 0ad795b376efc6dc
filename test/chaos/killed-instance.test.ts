import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import { highest } from '../../runtime/consumer/instances.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { queueKey } from '../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import { slotsKey } from '../../runtime/store/redis/keys.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { mappingOf, message } from '../support/consumer-world.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Gate, ScriptableLambda, SUCCESS } from '../support/scriptable-lambda.ts';
import { discoveryOf } from './discovery.ts';
import { ServerProcess } from './server-process.ts';

/** So many that the server that will be killed is surely preferred for one. */
const QUEUES = Array.from({ length: 40 }, (_, index) => `jobs-${index}`);

describe('A server that is killed in the middle of an Invoke', () => {
  let redis: RedisServer;
  let admin: Redis;
  let lambda: ScriptableLambda;
  let store: RedisStore;
  let directory: StoredDirectory;
  let servers: ServerProcess[] = [];
  /** As this process hears it, which is an instance too, but consumes nothing. */
  let instances: readonly string[] = [];
  let instancesChanged: () => void = () => {};

  beforeEach(async () => {
    redis = await RedisServer.start();
    admin = new Redis(redis.url);
    lambda = await ScriptableLambda.start();
    const shared = { time: systemTime, randomness: systemRandomness };
    store = await RedisStore.open({ urls: [redis.url], instanceId: 'observer', ...shared });
    store.subscribe((signal) => {
      if (signal.kind !== 'instances') return;
      instances = signal.ids;
      instancesChanged();
    });
    directory = await createDirectory({ store, notify: () => {}, ...shared });
    await directory.applyDiscovery(discovery().queues);
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    servers = [];
    directory.close();
    await store.close();
    await lambda.close();
    admin.disconnect();
    await redis.stop();
  });

  const start = async (): Promise<ServerProcess> => {
    const server = await ServerProcess.start({
      redisUrl: redis.url,
      lambdaEndpoint: lambda.endpoint,
      discovery: discovery(),
    });
    servers.push(server);
    return server;
  };
  const instancesAre = async (count: number): Promise<void> => {
    while (instances.length !== count) {
      await new Promise<void>((resolve) => {
        instancesChanged = resolve;
      });
    }
  };

  it('keeps its slot of MaximumConcurrency until the deadline and no longer, and is soon preferred for nothing', async () => {
    const doomed = await start();
    await instancesAre(2);
    const doomedId = instances.find((id) => id !== 'observer');
    await start();
    await instancesAre(3);
    const preferringDoomed = discovery().queues.find(({ arn }) => highest(instances, queueKey(arn)) === doomedId);
    const queue = directory.byKey(preferringDoomed === undefined ? '' : queueKey(preferringDoomed.arn));
    if (queue === undefined) throw new Error('the server is preferred for none of the queues');

    const arrived = new Gate();
    const redisTimes: number[] = [];
    lambda.behave(async ({ index }) => {
      redisTimes.push(await redisTime(admin));
      if (index > 0) return SUCCESS;
      arrived.open();
      return { kind: 'hang' };
    });
    await queue.send([message('cut off')]);
    await arrived.opened;
    await doomed.kill();
    // Whoever is alive holds no slot now: this is the dead one's.
    const deadline = await onlyDeadline(admin, queue.arn.name);
    await queue.send([message('behind it')]);
    await lambda.next();
    await lambda.next();
    await lambda.next();

    // Neither the one behind it nor the repeat was invoked before the slot ended.
    for (const time of redisTimes.slice(1)) expect(time).toBeGreaterThanOrEqual(deadline);
    const seen = lambda.calls.map(({ records: [record] }) => [
      record?.body,
      record?.attributes['ApproximateReceiveCount'],
    ]);
    expect(seen[0]).toEqual(['cut off', '1']);
    expect(seen.slice(1)).toContainEqual(['cut off', '2']);
    expect(seen.slice(1)).toContainEqual(['behind it', '1']);

    // The other one had to wait for it in vain, and asked after it.
    await instancesAre(2);
    expect(instances).not.toContain(doomedId);
  }, 120_000);
});

/** All queues, each with a mapping that allows one Invoke at a time. */
function discovery(): Discovery {
  const arns = QUEUES.map((name) => ({ partition: 'aws', region: 'eu-west-1', account: '111122223333', name }));
  return discoveryOf({
    mappings: arns.map((arn) =>
      mappingOf(
        { arn },
        {
          uuid: `uuid-${arn.name}`,
          batchSize: 1,
          functionTimeoutSeconds: 1,
          tags: { 'karin:maximum-concurrency': '1' },
        },
      ),
    ),
    queues: arns.map((arn) => ({ arn, attributes: { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: 2 }, tags: {} })),
  });
}

/** Milliseconds. */
async function redisTime(admin: Redis): Promise<number> {
  const [seconds = 0, microseconds = 0] = (await admin.time()).map(Number);
  return seconds * 1000 + Math.floor(microseconds / 1000);
}

/** The end of the only slot that is taken of the queue's mapping, milliseconds on the clock of Redis. */
async function onlyDeadline(admin: Redis, queueName: string): Promise<number> {
  const [holder, deadline, ...others] = await admin.zrange(
    slotsKey(`mapping:uuid-${queueName}`),
    '0',
    '-1',
    'WITHSCORES',
  );
  if (deadline === undefined || others.length > 0) throw new Error(`not one slot is taken, but ${holder}, ${others}`);
  return Number(deadline);
}
