/** What happens when Redis comes back without anything in it, and when a document in it cannot be read. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import { createDirectory } from '../../runtime/queue/stored-directory.ts';
import { documentFault } from '../../runtime/server/documents.ts';
import { DOCUMENTS } from '../../runtime/store/redis/keys.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Signal, Store } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RedisServer } from '../support/redis-server.ts';

const releasers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).reverse()) await release();
});

const SECRET = 'secret:receipt-handles';
const secretOf = (letter: string): string => `${letter.repeat(43)}=`;

async function startRedis(): Promise<{ server: RedisServer; client: Redis }> {
  const server = await RedisServer.start();
  releasers.push(() => server.stop());
  const client = new Redis(server.url);
  client.on('error', () => undefined);
  releasers.push(async () => client.disconnect());
  return { server, client };
}

async function open(server: RedisServer, time = new ManualTime()): Promise<RedisStore> {
  const store = await RedisStore.open({
    urls: [server.url],
    instanceId: randomUUID(),
    time,
    randomness: systemRandomness,
    documentFault,
  });
  releasers.push(() => store.close());
  return store;
}

function next<K extends Signal['kind']>(store: Store, kind: K): Promise<Extract<Signal, { kind: K }>> {
  return new Promise((resolve) => {
    const stop = store.subscribe((signal) => {
      if (!isOf(signal, kind)) return;
      stop();
      resolve(signal);
    });
  });
}

function isOf<K extends Signal['kind']>(signal: Signal, kind: K): signal is Extract<Signal, { kind: K }> {
  return signal.kind === kind;
}

const held = (name: string): string => JSON.stringify([name]);

describe('a Redis that comes back empty', () => {
  it('gets the definitions back that only the directory of queues has in memory, with all their tags', async () => {
    const { server, client } = await startRedis();
    const time = new ManualTime();
    const store = await open(server, time);
    const directory = await createDirectory({ store, time, randomness: systemRandomness, notify: () => undefined });
    releasers.push(async () => directory.close());
    const tags = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`tag-${at}`, 'x'.repeat(256)]));
    for (const name of ['small', 'large']) {
      const arn = { partition: 'aws', region: 'eu-west-1', account: '123456789012', name };
      await directory.create(arn, DEFAULT_ATTRIBUTES, name === 'large' ? tags : { a: 'b' });
    }
    const before = await client.hgetall(DOCUMENTS);
    await client.flushall();
    await store.documents.get('queue:eu-west-1:123456789012:small');
    const { world: _old, ...definitions } = before;
    const { world: _new, ...restored } = await client.hgetall(DOCUMENTS);
    expect(restored).toEqual(definitions);
  });

  it('is noticed at the first missing document, and everything kept is written again before it is answered', async () => {
    const { server, client } = await startRedis();
    const store = await open(server);
    await store.documents.put('sync:held', held('a'));
    await store.documents.put(SECRET, secretOf('A'));
    const emptied = next(store, 'emptied');
    await client.flushall();

    expect(await store.documents.get('sync:held')).toBe(held('a'));
    expect(await client.hget(DOCUMENTS, SECRET)).toBe(secretOf('A'));
    expect(await emptied).toMatchObject({ restored: 2 });
  });

  it('is noticed by a list that is shorter than it was', async () => {
    const { server, client } = await startRedis();
    const store = await open(server);
    await store.documents.put('sync:held', held('a'));
    await client.flushall();

    expect([...(await store.documents.list('sync:'))]).toEqual([['sync:held', held('a')]]);
  });

  it('is noticed within seconds while messages are sent, although no connection was lost', async () => {
    const { server, client } = await startRedis();
    const time = new ManualTime();
    const store = await open(server, time);
    await store.documents.put('sync:held', held('a'));
    const emptied = next(store, 'emptied');
    await client.flushall();

    const queue = newQueue(false);
    for (let sent = 0; sent < 20; sent += 1) await store.send(queue, [entry()]);
    expect(await client.hget(DOCUMENTS, 'sync:held')).toBeNull();
    time.advance(3_000);
    await emptied;
    expect(await client.hget(DOCUMENTS, 'sync:held')).toBe(held('a'));
  });

  it('is not looked at while there are no calls', async () => {
    const { server, client } = await startRedis();
    const time = new ManualTime();
    const store = await open(server, time);
    await store.documents.put('sync:held', held('a'));
    await client.config('RESETSTAT');
    time.advance(500_000);
    await store.documents.list('none:');
    expect(String(await client.info('commandstats'))).not.toContain('cmdstat_hget:');
  });

  it('gets what either of two servers knew, and both end in one world', async () => {
    const { server, client } = await startRedis();
    const [a, b] = [await open(server), await open(server)];
    await a.documents.put('token:only-a', 'not read by b');
    await a.documents.put(SECRET, secretOf('A'));
    await b.documents.get(SECRET);
    await b.documents.put('sync:held', held('b'));
    await client.flushall();

    await Promise.all([a.documents.get(SECRET), b.documents.get(SECRET)]);
    // A later look finds that the world is the one that was entered.
    expect(await b.documents.get('sync:held')).toBe(held('b'));
    expect(await client.hget(DOCUMENTS, SECRET)).toBe(secretOf('A'));
    expect(await client.hget(DOCUMENTS, 'world')).toContain('continues');
  });

  it('takes over the secret of the old world from a server that started on the empty store', async () => {
    const { server, client } = await startRedis();
    const old = await open(server);
    await old.documents.put(SECRET, secretOf('A'));
    await client.flushall();
    const fresh = await open(server);
    await fresh.documents.put(SECRET, secretOf('B'), null);
    const emptied = next(old, 'emptied');

    expect(await old.documents.get(SECRET)).toBe(secretOf('A'));
    await emptied;
    expect(await fresh.documents.get(SECRET)).toBe(secretOf('A'));
  });

  it('does not bring back what another server removed after it had written everything again', async () => {
    const { server, client } = await startRedis();
    const [a, b] = [await open(server), await open(server)];
    await a.documents.put('sync:held', held('x'));
    await b.documents.get('sync:held');
    await client.flushall();
    expect(await a.documents.remove('sync:held')).toBe(true);

    expect(await b.documents.get('sync:held')).toBeUndefined();
    expect(await client.hget(DOCUMENTS, 'sync:held')).toBeNull();
  });

  it('leaves a document that somebody removed from a store that was not emptied alone', async () => {
    const { server, client } = await startRedis();
    const store = await open(server);
    await store.documents.put('sync:held', held('x'));
    await client.hdel(DOCUMENTS, 'sync:held');

    expect(await store.documents.get('sync:held')).toBeUndefined();
    expect(await client.hget(DOCUMENTS, 'sync:held')).toBeNull();
  });
});

describe('a document that cannot be read', () => {
  it.each([
    ['discovery', '{}'],
    ['discovery', '{"mappings":[{}],"broken":[],"foreign":[],"queues":[],"waitingInSqs":{},"detailsReadAt":1}'],
    ['sync:held', 'x'],
    ['sync:held', '7'],
    ['move-tasks:us-east-1:000000000000:jobs', '[{"id":7}]'],
    ['move-tasks:us-east-1:000000000000:jobs', '{"later":"version"}'],
    ['queue:us-east-1:000000000000:jobs', '{"arn":"arn:aws:sqs:us-east-1:000000000000:jobs"}'],
    ['token:abc', '{"id":"abc","hash":"x","grant":{"scopes":["everything"],"queues":["*"]},"createdAt":1}'],
    ['token:abc', 'null'],
    ['deleted-queue:us-east-1:000000000000:jobs', 'yesterday'],
    ['purged-queue:us-east-1:000000000000:jobs', '{}'],
    ['ended-sessions', '[1]'],
    ['secret:receipt-handles', 'short'],
    ['secret:ops-sessions', ''],
  ])('%s = %s is set aside under another name and counts as none', async (name, text) => {
    const { server, client } = await startRedis();
    await client.hset(DOCUMENTS, name, text);
    const store = await open(server);
    const said = next(store, 'unreadable');

    expect(await store.documents.get(name)).toBeUndefined();
    expect(await client.hgetall(DOCUMENTS)).toMatchObject({ [`unreadable:${name}`]: text });
    expect(await client.hexists(DOCUMENTS, name)).toBe(0);
    expect(await said).toMatchObject({ name, asideAs: `unreadable:${name}`, restored: false });
    expect((await store.documents.list(name)).size).toBe(0);
  });

  it('is replaced by what it held before, if it becomes unreadable while a server runs', async () => {
    const { server, client } = await startRedis();
    const store = await open(server);
    await store.documents.put('sync:held', held('x'));
    await client.hset(DOCUMENTS, 'sync:held', 'x');
    const said = next(store, 'unreadable');

    expect(await store.documents.list('sync:')).toEqual(new Map([['sync:held', held('x')]]));
    expect(await client.hget(DOCUMENTS, 'sync:held')).toBe(held('x'));
    expect(await said).toMatchObject({ restored: true });
  });
});
