import type { Durability } from '../../runtime/settings.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { storeContract } from '../contract/store-contract.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';

interface Kind {
  readonly name: string;
  readonly start: () => Promise<{ readonly urls: readonly string[]; stop(): Promise<void> }>;
  readonly durability?: Durability;
}

const KINDS: readonly Kind[] = [
  {
    name: 'Redis',
    start: async () => {
      const server = await RedisServer.start();
      return { urls: [server.url], stop: () => server.stop() };
    },
  },
  { name: 'a Redis cluster of three nodes', start: () => startRedisCluster() },
  {
    name: 'a Redis cluster whose replicas confirm each send',
    start: () => startRedisCluster({ withReplicas: true }),
    durability: { kind: 'replica', replicas: 1 },
  },
];

for (const { name, start, durability } of KINDS) {
  storeContract(name, async () => {
    const { urls, stop } = await start();
    const time = new ManualTime();
    const open = async (instanceId: string): Promise<RedisStore> => {
      const store = await RedisStore.open({
        urls,
        instanceId,
        time: systemTime,
        randomness: systemRandomness,
        clock: () => time.now(),
        ...(durability === undefined ? {} : { durability }),
      });
      return durability === undefined ? store : confirming(store);
    };
    const [store, other] = await Promise.all([open('one'), open('two')]);
    return {
      store,
      other,
      time,
      close: async () => {
        await Promise.all([store.close(), other.close()]);
        await stop();
      },
    };
  });
}

/** The same store, whose sends resolve when they are confirmed, as those of a queue do. */
function confirming(store: RedisStore): RedisStore {
  const send = store.send.bind(store);
  store.send = async (queue, entries) => {
    const confirm = store.confirmation?.(queue);
    const reply = await send(queue, entries);
    await confirm?.();
    return reply;
  };
  return store;
}
