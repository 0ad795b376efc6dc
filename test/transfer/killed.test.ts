import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { RedisServer } from '../support/redis-server.ts';
import { transferWithKills } from './support/killed-transfer.ts';
import { bodiesByGroup, messageOf, openSide, type Side, takeAll } from './support/side.ts';
import { type SqsServer, startSqsServer } from './support/sqs-server.ts';

const [MESSAGES, KILLS] = process.env['KARIN_TEST_SIZE'] === 'full' ? [10_000, 20] : [600, 2];
/** Each process takes its time to start, and then waits until what the one before it had in its hands comes back. */
const TIMEOUT_MS = 60_000 + KILLS * 15_000;

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis.stop());

/** Redis on one side, an SQS server of its own on the other. */
async function both(name: string): Promise<{ here: Side; sqs: SqsServer; close: () => Promise<void> }> {
  const common = { time: systemTime, randomness: systemRandomness };
  const store = await RedisStore.open({ ...common, urls: [redis.url], instanceId: crypto.randomUUID() });
  const here = await openSide({ store, time: systemTime, name });
  const sqs = await startSqsServer(name);
  const close = async (): Promise<void> => {
    here.directory.close();
    await store.close();
    await sqs.close();
  };
  return { here, sqs, close };
}

describe.each(['drain', 'pull'] as const)('%s, its process killed', (direction) => {
  it.each([`${direction}-jobs`, `${direction}-jobs.fifo`])(
    'loses nothing of %s and keeps its order',
    async (name) => {
      const fifo = name.endsWith('.fifo');
      const { here, sqs, close } = await both(name);
      const [from, to] = direction === 'drain' ? [here, sqs] : [sqs, here];
      const messages = Array.from({ length: MESSAGES }, (_, index) =>
        messageOf(String(index), fifo ? `g${index % 7}` : undefined),
      );
      await from.queue.send(messages);

      const order = { direction, redisUrl: redis.url, endpoint: sqs.endpoint, arn: here.queue.arn, hiddenSeconds: 2 };
      const killed = await transferWithKills(order, KILLS);

      expect(killed).toBeGreaterThan(0);
      expect(await from.queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
      const arrived = await takeAll(to.queue);
      if (fifo) expect(bodiesByGroup(arrived, true)).toEqual(bodiesByGroup(messages, true));
      else expect(new Set(arrived.map(({ body }) => body))).toEqual(new Set(messages.map(({ body }) => body)));
      await close();
    },
    TIMEOUT_MS,
  );
});
