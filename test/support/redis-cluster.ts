/**
 * A real Redis Cluster of three masters for tests, each with a replica if that is wanted.
 *
 * @module
 */
import calculateSlot from 'cluster-key-slot';
import { RedisServer, type RedisTls } from './redis-server.ts';

const SLOTS = 16_384;
const NODES = 3;
const KEYS_AT_A_TIME = 100;
const MIGRATE_MS = 30_000;

export interface RedisCluster {
  /** The masters. */
  readonly nodes: readonly RedisServer[];
  /** One for each master, in the same order; empty if none were asked for. */
  readonly replicas: readonly RedisServer[];
  /** The URLs of the masters. */
  readonly urls: readonly string[];
  stop(): Promise<void>;
}

/** Starts three nodes, shares the slots out and waits until every node says that the cluster is whole. */
export async function startRedisCluster(
  options: { readonly withReplicas?: boolean; readonly tls?: RedisTls } = {},
): Promise<RedisCluster> {
  const tls = options.tls === undefined ? {} : { tls: options.tls };
  const start = (): Promise<RedisServer> => RedisServer.start({ cluster: true, ...tls });
  const nodes = await Promise.all(Array.from({ length: NODES }, start));
  const replicas = await Promise.all(Array.from({ length: options.withReplicas === true ? NODES : 0 }, start));
  const all = [...nodes, ...replicas];
  const whole = Promise.all(all.map((node) => node.logged('Cluster state changed: ok')));
  // A node that has met another may no longer choose its epoch, so nobody meets before all have chosen.
  await Promise.all(nodes.map(settle));
  await Promise.all(all.map((node) => introduce(node, all)));
  await whole;
  await Promise.all(replicas.map((replica, at) => attach(replica, nodes[at])));
  return {
    nodes,
    replicas,
    urls: nodes.map((node) => node.url),
    stop: async () => {
      await Promise.all(all.map((node) => node.stop()));
    },
  };
}

/** Gives `node` its epoch and its share of the slots. */
async function settle(node: RedisServer, index: number): Promise<void> {
  const first = Math.ceil((SLOTS * index) / NODES);
  const last = Math.ceil((SLOTS * (index + 1)) / NODES) - 1;
  await node.ask(async (client) => {
    await client.cluster('SET-CONFIG-EPOCH', index + 1);
    await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
  });
}

/** Tells `node` of the others. */
async function introduce(node: RedisServer, nodes: readonly RedisServer[]): Promise<void> {
  await node.ask(async (client) => {
    for (const other of nodes) {
      if (other !== node) await client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, other.busPort);
    }
  });
}

/** Makes it a replica of this master; resolves when it has a copy and the master counts it. */
async function attach(replica: RedisServer, master: RedisServer | undefined): Promise<void> {
  if (master === undefined) throw new Error('a replica needs a master');
  const id = await master.ask((client) => client.call('CLUSTER', 'MYID'));
  const copied = replica.logged('MASTER <-> REPLICA sync: Finished with success');
  await replica.ask((client) => client.call('CLUSTER', 'REPLICATE', String(id)));
  await copied;
  await master.ask((client) => client.call('WAIT', 1, 0));
}

/** Moves every slot that holds keys to the next of the masters, slot by slot, as an operator does under load. */
export async function reshard({ nodes }: RedisCluster): Promise<void> {
  const kept = await Promise.all(nodes.map((node) => node.ask((client) => client.keys('*'))));
  for (const [at, from] of nodes.entries()) {
    const to = nodes[(at + 1) % nodes.length] ?? from;
    for (const slot of new Set(kept[at]?.map((key) => calculateSlot(key)))) await moveSlot(slot, from, to, nodes);
  }
}

/** Source: redis.io, CLUSTER SETSLOT, "Redis Cluster live resharding explained". */
async function moveSlot(slot: number, from: RedisServer, to: RedisServer, all: readonly RedisServer[]): Promise<void> {
  const [fromId, toId] = await Promise.all([from, to].map((node) => node.ask((client) => client.cluster('MYID'))));
  await to.ask((client) => client.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId)));
  await from.ask(async (client) => {
    await client.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId));
    for (;;) {
      const keys = await client.cluster('GETKEYSINSLOT', slot, KEYS_AT_A_TIME);
      if (keys.length === 0) return;
      await client.call('MIGRATE', '127.0.0.1', to.port, '', 0, MIGRATE_MS, 'KEYS', ...keys);
    }
  });
  // The new owner first: a slot that nobody owned would refuse calls.
  for (const node of [to, from, ...all.filter((other) => other !== to && other !== from)])
    await node.ask((client) => client.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(toId)));
}
