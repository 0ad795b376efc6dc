/**
 * Sends that are answered only when a replica or the disk has them (`runtime/store/redis/confirmations.ts`). WAIT is
 * real, with a replica. WAITAOF is answered by a proxy, because Redis 7.0, the oldest that Karin takes, does not know
 * it; `test/chaos/durable-sends.test.ts` asks for it where the server does.
 */
import slotOf from 'cluster-key-slot';
import { afterEach, describe, expect, it } from 'vitest';
import type { Durability } from '../../runtime/settings.ts';
import { queueKeys } from '../../runtime/store/redis/keys.ts';
import { RedisStore, type RedisStoreOptions } from '../../runtime/store/redis/redis-store.ts';
import { type NewEntry, type StoredQueue, StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import { RedisProxy } from './redis-proxy.ts';

const REPLICA: Durability = { kind: 'replica', replicas: 1 };
const FSYNC: Durability = { kind: 'fsync' };

const releasers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

async function startServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await RedisServer.start(options);
  releasers.push(() => server.stop());
  return server;
}

async function startProxy(server: RedisServer): Promise<RedisProxy> {
  const proxy = await RedisProxy.start(server.port);
  releasers.push(() => proxy.stop());
  return proxy;
}

async function open(url: string, durability: Durability, options: Partial<RedisStoreOptions> = {}) {
  const store = await RedisStore.open({
    urls: [url],
    instanceId: systemRandomness.uuid(),
    time: systemTime,
    randomness: systemRandomness,
    durability,
    ...options,
  });
  releasers.push(() => store.close());
  return store;
}

/** No machine is so slow that this ends a test. */
const PATIENT = { confirmMs: 60_000 };

async function sendConfirmed(store: RedisStore, queue: StoredQueue, entries: readonly NewEntry[]): Promise<void> {
  const confirm = store.confirmation?.(queue);
  await store.send(queue, entries);
  await confirm?.();
}

/** Resolves when so many connections of the server are held by a command that waits. */
async function blocked(server: RedisServer, count: number): Promise<void> {
  await server.ask(async (client) => {
    while (!(await client.info('clients')).includes(`blocked_clients:${count}\r\n`));
  });
}

/** Answers what follows a marker instead of the server: with what `reply` gives. */
function answerWaits(proxy: RedisProxy, command: 'WAIT' | 'WAITAOF', reply: () => string): void {
  proxy.answerInstead = (request) => {
    // The probe of the examination has a time of 1 ms.
    if (request.includes(`${command}\r\n`) && request.includes('3000')) {
      return (request.includes(':marker') ? '+OK\r\n' : '') + reply();
    }
    return command === 'WAITAOF' && request.includes('WAITAOF\r\n') ? '*2\r\n:1\r\n:0\r\n' : undefined;
  };
}

describe('a send that a replica must have', () => {
  it('is answered when the replica has it, and not before; others go on meanwhile', async () => {
    const master = await startServer();
    const replica = await startServer({ replicaOf: master });
    const store = await open(master.url, REPLICA, PATIENT);
    const queue = newQueue(false);
    await sendConfirmed(store, queue, [entry({ text: 'first' })]);

    replica.freeze();
    let isConfirmed = false;
    const second = sendConfirmed(store, queue, [entry({ text: 'second' })]).then(() => {
      isConfirmed = true;
    });
    await blocked(master, 1);
    expect((await store.receive(queue, { maxMessages: 10, maxBytes: 1e9, leaseMs: 1000 })).leased).toHaveLength(2);
    expect(isConfirmed).toBe(false);
    replica.unfreeze();
    await second;
  });

  it('shares one wait with all that were sent to any queue in the same moment', async () => {
    const master = await startServer();
    await startServer({ replicaOf: master });
    const store = await open(master.url, REPLICA, PATIENT);
    const waits = async (): Promise<number> =>
      Number(/cmdstat_wait:calls=(\d+)/.exec(await master.ask((client) => client.info('commandstats')))?.[1] ?? 0);
    const before = await waits();
    await Promise.all(
      Array.from({ length: 64 }, (_, at) => sendConfirmed(store, newQueue(at % 2 === 0), [entry({ group: 'g' })])),
    );
    expect((await waits()) - before).toBeLessThanOrEqual(32);
  });

  it('waits on a further connection while others wait, an eighth of a second after them', async () => {
    const time = new ManualTime();
    const master = await startServer();
    const replica = await startServer({ replicaOf: master });
    const store = await open(master.url, REPLICA, { time, ...PATIENT });
    const queue = newQueue(false);
    await sendConfirmed(store, queue, [entry()]);

    replica.freeze();
    const first = sendConfirmed(store, queue, [entry()]);
    await blocked(master, 1);
    const second = sendConfirmed(store, queue, [entry()]);
    // It has been answered, and stands in the line, when a call that left after it is.
    await store.depth(queue);
    await new Promise((resolve) => setImmediate(resolve));
    time.advance(125);
    await blocked(master, 2);
    replica.unfreeze();
    await Promise.all([first, second]);
  });

  it('fails if the replica does not have it in time, and says that it may be there', async () => {
    const master = await startServer();
    const proxy = await startProxy(master);
    const store = await open(proxy.url, { kind: 'replica', replicas: 2 });
    answerWaits(proxy, 'WAIT', () => ':1\r\n');
    const failure = await sendConfirmed(store, newQueue(false), [entry()]).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreUnavailableError);
    expect(String(failure)).toContain('1 of 2 replicas had it within 3 seconds');
    answerWaits(proxy, 'WAIT', () => ':2\r\n');
    await sendConfirmed(store, newQueue(false), [entry()]);
  });

  it('that repeats another by its deduplication id waits for that one too', async () => {
    const master = await startServer();
    const proxy = await startProxy(master);
    const store = await open(proxy.url, REPLICA);
    const queue = newQueue(true);
    const order = { group: 'g', deduplicationKey: 'one' };
    answerWaits(proxy, 'WAIT', () => ':0\r\n');
    await expect(sendConfirmed(store, queue, [entry(order)])).rejects.toThrow('0 of 1 replicas');
    await expect(sendConfirmed(store, queue, [entry(order)])).rejects.toThrow('0 of 1 replicas');
    answerWaits(proxy, 'WAIT', () => ':1\r\n');
    await sendConfirmed(store, queue, [entry(order)]);
    expect((await store.depth(queue)).visible).toBe(1);
  });

  it('is not confirmed by a server that was promoted meanwhile and may lack it', async () => {
    const master = await startServer();
    const replica = await startServer({ replicaOf: master });
    const proxy = await startProxy(master);
    const store = await open(proxy.url, REPLICA, PATIENT);
    const queue = newQueue(false);
    const confirm = store.confirmation?.(queue);
    await store.send(queue, [entry()]);
    // The promoted server has a replica of its own, which has everything that the promoted server has.
    await replica.promote();
    await startServer({ replicaOf: replica });
    proxy.leadTo(replica.port);
    const reachable = new Promise<void>((resolve) => {
      store.subscribe((signal) => {
        if (signal.kind === 'reachable' && signal.reachable) resolve();
      });
    });
    proxy.dropConnections();
    await reachable;
    await expect(confirm?.()).rejects.toThrow('the connection was lost meanwhile');
    await sendConfirmed(store, queue, [entry()]);
  });

  it('is not confirmed by a server to which only the connection that waits leads', async () => {
    const [master, other] = await Promise.all([startServer(), startServer()]);
    const proxy = await startProxy(master);
    const store = await open(proxy.url, REPLICA, PATIENT);
    await startServer({ replicaOf: other });
    proxy.leadTo(other.port);
    await expect(sendConfirmed(store, newQueue(false), [entry()])).rejects.toThrow(
      'the address leads to another server by now',
    );
    // And once it leads back, sends are confirmed again.
    await startServer({ replicaOf: master });
    proxy.leadTo(master.port);
    await sendConfirmed(store, newQueue(false), [entry()]);
  });

  it('fails when the server dies while it waits', async () => {
    const master = await startServer();
    const replica = await startServer({ replicaOf: master });
    const store = await open(master.url, REPLICA, PATIENT);
    replica.freeze();
    const sent = sendConfirmed(store, newQueue(false), [entry()]);
    const failed = expect(sent).rejects.toThrow(StoreUnavailableError);
    await blocked(master, 1);
    await master.kill();
    await failed;
  });

  it('is warned about where the server has fewer replicas, which does not keep Karin from starting', async () => {
    const master = await startServer();
    const store = await open(master.url, { kind: 'replica', replicas: 2 });
    const { warnings, description } = await store.health();
    expect(description).toContain('standalone, each send is on 2 replicas');
    expect(warnings).toContainEqual(
      'Redis has 0 replicas connected and KARIN_DURABILITY waits for 2: sends fail until there are as many',
    );
  });
});

describe('a send in a cluster', () => {
  it('waits for a replica of the node that has its queue, and for no other', async () => {
    const cluster = await startRedisCluster({ withReplicas: true });
    releasers.push(() => cluster.stop());
    const store = await open('', REPLICA, { urls: cluster.urls, ...PATIENT });
    const [frozen = newQueue(false), other = newQueue(false)] = await queuesOf(cluster.nodes);
    const [master] = cluster.nodes;
    if (master === undefined) throw new Error('the cluster has no node');
    cluster.replicas[0]?.freeze();
    const waits = sendConfirmed(store, frozen, [entry()]);
    await blocked(master, 1);
    await sendConfirmed(store, other, [entry()]);
    cluster.replicas[0]?.unfreeze();
    await waits;
  });

  it('is confirmed again after a fail-over of its node, once the new master has a replica', async () => {
    const cluster = await startRedisCluster({ withReplicas: true });
    releasers.push(() => cluster.stop());
    const store = await open('', REPLICA, { urls: cluster.urls, ...PATIENT });
    const [queue = newQueue(false)] = await queuesOf(cluster.nodes);
    await sendConfirmed(store, queue, [entry()]);
    const [master] = cluster.nodes;
    await master?.kill();
    await cluster.replicas[0]?.ask((client) => client.call('CLUSTER', 'FAILOVER', 'TAKEOVER'));
    await master?.restart();
    await insist(() => sendConfirmed(store, queue, [entry()]));
    expect((await store.depth(queue)).visible).toBeGreaterThanOrEqual(2);
  });

  it('whose queue has moved to another node fails, because nobody else may carry it out, and then goes there', async () => {
    const cluster = await startRedisCluster({ withReplicas: true });
    releasers.push(() => cluster.stop());
    const store = await open('', REPLICA, { urls: cluster.urls, ...PATIENT });
    const [queue = newQueue(false)] = await queuesOf(cluster.nodes);
    const [, heir] = cluster.nodes;
    const slot = slotOf(queueKeys(queue.key).due);
    const id = await heir?.ask((client) => client.call('CLUSTER', 'MYID'));
    // The slot is empty, so nothing has to be carried over.
    for (const node of [heir, ...cluster.nodes]) {
      await node?.ask((client) => client.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(id)));
    }
    await expect(sendConfirmed(store, queue, [entry()])).rejects.toThrow('MOVED');
    await insist(() => sendConfirmed(store, queue, [entry()]));
    expect((await store.depth(queue)).visible).toBeGreaterThan(0);
  });
});

/** As an SDK does: until it succeeds. */
async function insist(act: () => Promise<void>): Promise<void> {
  while (
    !(await act().then(
      () => true,
      () => false,
    ))
  );
}

/** A queue for each node, in order. */
async function queuesOf(nodes: readonly RedisServer[]): Promise<readonly StoredQueue[]> {
  return Promise.all(
    nodes.map((node) =>
      node.ask(async (client) => {
        for (;;) {
          const queue = newQueue(false);
          // Only the node that has the slot answers.
          const isHere = await client.exists(queueKeys(queue.key).due).then(
            () => true,
            () => false,
          );
          if (isHere) return queue;
        }
      }),
    ),
  );
}

describe('a send that the disk must have', () => {
  it('is answered when the file is synced, and fails if it is not in time', async () => {
    const proxy = await startProxy(await startServer({ appendOnly: true }));
    answerWaits(proxy, 'WAITAOF', () => '*2\r\n:1\r\n:0\r\n');
    const store = await open(proxy.url, FSYNC);
    await sendConfirmed(store, newQueue(false), [entry()]);
    answerWaits(proxy, 'WAITAOF', () => '*2\r\n:0\r\n:1\r\n');
    await expect(sendConfirmed(store, newQueue(false), [entry()])).rejects.toThrow(
      'the append-only file was not on disk within 3 seconds',
    );
  });

  it.each([
    [
      "-ERR unknown command 'WAITAOF', with args beginning with: '1' '0' '1' \r\n",
      /needs the command WAITAOF, which came with Redis 7\.2 and is in Valkey, and this server is redis [\d.]+: run a newer one; or leave KARIN_DURABILITY out and set appendfsync always/,
    ],
    [
      '-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n',
      /needs the append-only file, and redis [\d.]+ keeps none: set appendonly yes/,
    ],
    [
      "-NOPERM User karin has no permissions to run the 'waitaof' command\r\n",
      /KARIN_DURABILITY=fsync cannot be kept by redis [\d.]+, which answered: NOPERM/,
    ],
  ])('needs a server that can tell: %s', async (reply, why) => {
    const proxy = await startProxy(await startServer());
    proxy.answerInstead = (request) => (request.includes('WAITAOF\r\n') ? reply : undefined);
    await expect(open(proxy.url, FSYNC)).rejects.toThrow(why);
  });

  it('needs a server that tells which process answers', async () => {
    const server = await startServer();
    await server.ask((client) => client.call('ACL', 'SETUSER', 'hidden', 'on', '>pw', '~*', '&*', '+@all', '-info'));
    await expect(open(server.url.replace('redis://', 'redis://hidden:pw@'), REPLICA)).rejects.toThrow(
      'needs INFO to tell run_id',
    );
  });
});
