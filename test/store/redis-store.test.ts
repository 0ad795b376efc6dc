import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { storeContract } from '../contract/store-contract.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer } from '../support/redis-server.ts';

const KINDS = [
  {
    name: 'Redis',
    start: async () => {
      const server = await RedisServer.start();
      return { urls: [server.url], stop: () => server.stop() };
    },
  },
  { name: 'a Redis cluster of three nodes', start: startRedisCluster },
];

for (const { name, start } of KINDS) {
  storeContract(name, async () => {
    const { urls, stop } = await start();
    const time = new ManualTime();
    const open = (instanceId: string): Promise<RedisStore> =>
      RedisStore.open({ urls, instanceId, time: systemTime, randomness: systemRandomness, clock: () => time.now() });
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
