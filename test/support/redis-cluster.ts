/**
 * A real Redis Cluster of three masters for tests.
 *
 * @module
 */
import { Redis } from 'ioredis';
import { RedisServer } from './redis-server.ts';

const SLOTS = 16_384;
const NODES = 3;

export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  /** The URLs of all nodes. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Starts three nodes, shares the slots out and waits until every node says that the cluster is whole. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await Promise.all(Array.from({ length: NODES }, () => RedisServer.start({ cluster: true })));
  const whole = Promise.all(nodes.map((node) => node.logged('Cluster state changed: ok')));
  // A node that has met another may no longer choose its epoch, so nobody meets before all have chosen.
  await Promise.all(nodes.map(settle));
  await Promise.all(nodes.map((node) => introduce(node, nodes)));
  await whole;
  return {
    nodes,
    urls: nodes.map((node) => node.url),
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

/** Gives `node` its epoch and its share of the slots. */
async function settle(node: RedisServer, index: number): Promise<void> {
  const first = Math.ceil((SLOTS * index) / NODES);
  const last = Math.ceil((SLOTS * (index + 1)) / NODES) - 1;
  await asClient(node, async (client) => {
    await client.cluster('SET-CONFIG-EPOCH', index + 1);
    await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
  });
}

/** Tells `node` of the others. */
async function introduce(node: RedisServer, nodes: readonly RedisServer[]): Promise<void> {
  await asClient(node, async (client) => {
    for (const other of nodes) {
      if (other !== node) await client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort);
    }
  });
}

async function asClient(node: RedisServer, use: (client: Redis) => Promise<void>): Promise<void> {
  const client = new Redis(node.url);
  try {
    await use(client);
  } finally {
    client.disconnect();
  }
}
