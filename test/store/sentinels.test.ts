/** A master that Sentinels look after: the store finds it, and follows a fail-over to the server that replaces it. */
import { randomUUID } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { RedisStore, type RedisStoreOptions } from '../../runtime/store/redis/redis-store.ts';
import type { Signal } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { startRedisSentinels } from '../support/redis-sentinels.ts';

const releasers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

async function sentinels() {
  const started = await startRedisSentinels();
  releasers.push(() => started.stop());
  return started;
}

async function open(urls: readonly string[], options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = await RedisStore.open({
    urls,
    instanceId: randomUUID(),
    time: systemTime,
    randomness: systemRandomness,
    ...options,
  });
  releasers.push(() => store.close());
  return store;
}

/** Resolves with the next signal of this kind. */
function heard(store: RedisStore, wanted: (signal: Signal) => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = store.subscribe((signal) => {
      if (!wanted(signal)) return;
      stop();
      resolve();
    });
  });
}

it('finds the master by any Sentinel, although the first of them is away', async () => {
  const { urls } = await sentinels();
  const store = await open(['redis+sentinel://127.0.0.1:1/karin', ...urls]);
  const queue = newQueue(false);
  await store.send(queue, [entry()]);
  expect(await store.peek(queue)).toBe(0);
  expect((await store.health()).warnings).not.toContain('Redis cannot be reached');
});

it('goes on with the replica that replaces a killed master, with every message that was on both', async () => {
  const { urls, master, switched } = await sentinels();
  const store = await open(urls, { durability: { kind: 'replica', replicas: 1 } });
  const queue = newQueue(false);
  const before = entry();
  const confirm = store.confirmation?.(queue);
  await store.send(queue, [before]);
  await confirm?.();
  const other = await open(urls);
  const woken = heard(other, (signal) => signal.kind === 'gap');
  const again = heard(store, (signal) => signal.kind === 'reachable' && signal.reachable);
  const replaced = switched();
  await master.kill();
  await Promise.all([replaced, again, woken]);
  const { leased } = await store.receive(queue, { maxMessages: 10, maxBytes: 100_000, leaseMs: 60_000 });
  expect(leased.map(({ id }) => id)).toEqual([before.id]);
  await store.send(queue, [entry()]);
});

it('leaves a master that became a replica without closing its connections', async () => {
  const { urls, master, replica, switched } = await sentinels();
  const store = await open(urls);
  const queue = newQueue(false);
  await store.send(queue, [entry()]);
  const replaced = switched();
  const again = heard(store, (signal) => signal.kind === 'reachable' && signal.reachable);
  await master.ask((client) => client.call('REPLICAOF', '127.0.0.1', replica.port)).catch(() => undefined);
  await replica.promote();
  master.freeze();
  await replaced;
  master.unfreeze();
  const sent = store.send(queue, [entry()]).catch(() => undefined);
  await Promise.all([again, sent]);
  await store.send(queue, [entry()]);
  expect(await replica.ask((client) => client.dbsize())).toBeGreaterThan(0);
});

it('names the Sentinels and the master when none of them can be reached', async () => {
  const store = open(['redis+sentinel://127.0.0.1:1/karin']);
  await expect(store).rejects.toThrow("redis+sentinel://127.0.0.1:1 (master 'karin')");
});
