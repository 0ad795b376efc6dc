/**
 * The stores that the API is tested over, all on the clock of the test.
 *
 * @module
 */
import { Redis } from 'ioredis';
import { MemoryStore } from '../../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../../runtime/store/redis/redis-store.ts';
import type { Store } from '../../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../../runtime/time.ts';
import type { ManualTime } from '../../support/manual-time.ts';
import { RedisServer } from '../../support/redis-server.ts';

export interface StoreFactory {
  readonly name: string;
  /** Once, before the first `open`. */
  start(): Promise<void>;
  /** An empty store. */
  open(time: ManualTime): Promise<Store>;
  stop(): Promise<void>;
}

export function storeFactories(): readonly StoreFactory[] {
  return [memoryFactory(), redisFactory()];
}

function memoryFactory(): StoreFactory {
  return {
    name: 'memory',
    start: async () => {},
    open: async (time) => new MemoryStore({ time }),
    stop: async () => {},
  };
}

function redisFactory(): StoreFactory {
  let server: RedisServer | undefined;
  let databases = 0;
  return {
    name: 'redis',
    async start() {
      server = await RedisServer.start();
    },
    async open(time) {
      if (server === undefined) throw new Error('the Redis server was not started');
      // A database of its own for each test, of the sixteen that a server has; it is emptied when its turn comes again.
      const url = `${server.url}/${databases % 16}`;
      databases += 1;
      await flush(url);
      return RedisStore.open({
        urls: [url],
        instanceId: 'tester',
        time: systemTime,
        randomness: systemRandomness,
        clock: () => time.now(),
      });
    },
    async stop() {
      await server?.stop();
    },
  };
}

async function flush(url: string): Promise<void> {
  const redis = new Redis(url);
  await redis.flushdb();
  redis.disconnect();
}
