/** What happens when Redis is away, full, too old, wrongly set up, or loses a reply. */
import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { afterEach, describe, expect, it } from 'vitest';
import { parseRedisUrls } from '../../runtime/settings.ts';
import { openStore } from '../../runtime/store/open-store.ts';
import { UnsuitableRedisError } from '../../runtime/store/redis/calls.ts';
import { DOCUMENTS, queueKeys } from '../../runtime/store/redis/keys.ts';
import { RedisStore, type RedisStoreOptions } from '../../runtime/store/redis/redis-store.ts';
import {
  type LeasedEntry,
  type Signal,
  type Store,
  type StoredQueue,
  StoreFullError,
  StoreUnavailableError,
} from '../../runtime/store/store.ts';
import { systemRandomness, systemTime, type Time } from '../../runtime/time.ts';
import { entry, newQueue } from '../contract/store-under-test.ts';
import { ManualTime } from '../support/manual-time.ts';
import { startRedisCluster } from '../support/redis-cluster.ts';
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import { RedisProxy } from './redis-proxy.ts';

const releasers: (() => Promise<void>)[] = [];
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

async function open(url: string, options: Partial<RedisStoreOptions> = {}): Promise<RedisStore> {
  const store = await RedisStore.open({
    urls: [url],
    instanceId: randomUUID(),
    time: systemTime,
    randomness: systemRandomness,
    ...options,
  });
  releasers.push(() => store.close());
  return store;
}

/** What the server is said to refuse calls with, once the store becomes reachable or not, as wanted. */
function heardReachable(store: Store, wanted: boolean): Promise<string | undefined> {
  return new Promise((resolve) => {
    const stop = store.subscribe((signal: Signal) => {
      if (signal.kind !== 'reachable' || signal.reachable !== wanted) return;
      stop();
      resolve(signal.refusal);
    });
  });
}

function reachable(store: Store, wanted: boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = store.subscribe((signal: Signal) => {
      if (signal.kind !== 'reachable' || signal.reachable !== wanted) return;
      stop();
      resolve();
    });
  });
}

/** A fail-over, as its operator or a supervisor of masters does it: no connection is closed by it. */
async function makeReplica(server: RedisServer, master: RedisServer): Promise<void> {
  await ask(server, (client) => client.replicaof('127.0.0.1', master.port));
}

async function makeMaster(server: RedisServer): Promise<void> {
  await ask(server, (client) => client.call('REPLICAOF', 'NO', 'ONE'));
}

async function ask(server: RedisServer, question: (client: Redis) => Promise<unknown>): Promise<void> {
  const client = new Redis(server.url);
  await question(client);
  client.disconnect();
}

async function receiveAll(store: Store, queue: StoredQueue): Promise<LeasedEntry[]> {
  const { leased } = await store.receive(queue, { maxMessages: 5_000, maxBytes: 1e9, leaseMs: 60_000 });
  return [...leased];
}

describe('Redis away', () => {
  it('makes calls fail at once, says so, and is found again without a restart', async () => {
    const server = await startServer({ appendOnly: true });
    const store = await open(server.url);
    const queue = newQueue(false);
    await store.send(queue, [entry()]);
    const [gone, back] = [reachable(store, false), reachable(store, true)];
    await server.kill();
    await gone;
    await expect(store.send(queue, [entry()])).rejects.toThrow(StoreUnavailableError);
    await expect(store.peek(queue)).rejects.toThrow(`cannot reach Redis at redis://127.0.0.1:${server.port}`);
    expect(await store.health()).toMatchObject({
      reachable: false,
      warnings: expect.arrayContaining([expect.stringContaining('cannot reach Redis')]),
    });
    await server.restart();
    await back;
    expect(await receiveAll(store, queue)).toHaveLength(1);
    expect((await store.health()).reachable).toBe(true);
  });

  it.each([false, true])('loses nothing with an append-only file when it is killed (FIFO: %s)', async (fifo) => {
    const server = await startServer({ appendOnly: true });
    const store = await open(server.url);
    const queue = newQueue(fifo);
    const ids: string[] = [];
    for (let batch = 0; batch < 10; batch += 1) {
      const entries = Array.from({ length: 100 }, (_, index) => entry({ group: `g${index % 10}` }));
      await store.send(queue, entries);
      ids.push(...entries.map(({ id }) => id));
    }
    const deleted = await store.receive(queue, { maxMessages: 50, maxBytes: 1e9, leaseMs: 60_000 });
    await store.delete(queue, deleted.leased);
    const back = reachable(store, false).then(() => reachable(store, true));
    await server.kill();
    await server.restart();
    await back;
    const left = new Set((await receiveAll(store, queue)).map(({ id }) => id));
    for (const { id } of deleted.leased) ids.splice(ids.indexOf(id), 1);
    expect([...left].sort()).toEqual(ids.sort());
  });

  it('that hangs makes calls fail in time and has its connection replaced', async () => {
    const server = await startServer();
    const store = await open(server.url);
    const queue = newQueue(false);
    await store.send(queue, [entry()]);
    const [gone, back] = [reachable(store, false), reachable(store, true)];
    server.freeze();
    await expect(store.peek(queue)).rejects.toThrow('Command timed out');
    await gone;
    server.unfreeze();
    await back;
    expect(await store.peek(queue)).toBe(0);
  });

  it('in part: a cluster that lost a node serves the queues of the others, and all again when it is back', async () => {
    const cluster = await startRedisCluster();
    releasers.push(() => cluster.stop());
    const [node] = cluster.nodes;
    const store = await open('', { urls: cluster.urls });
    const queues = Array.from({ length: 24 }, () => newQueue(false));
    const trySends = () => Promise.allSettled(queues.map((queue) => store.send(queue, [entry()])));
    await node?.kill();
    const results = await trySends();
    const failures = results.flatMap((result): unknown[] => (result.status === 'rejected' ? [result.reason] : []));
    expect(failures.length).toBeGreaterThan(0);
    expect(failures.length).toBeLessThan(queues.length);
    for (const failure of failures) expect(failure).toBeInstanceOf(StoreUnavailableError);
    const whole = node?.logged('Cluster state changed: ok');
    await node?.restart();
    await whole;
    expect((await trySends()).map(({ status }) => status)).toEqual(queues.map(() => 'fulfilled'));
  });

  it('that became a replica is left for the master to which its address leads after a fail-over', async () => {
    // Stopped in reverse: a master waits for its replicas before it ends.
    const [next, old] = [await startServer(), await startServer()];
    const proxy = await startProxy(old);
    const store = await open(proxy.url);
    const queue = newQueue(false);
    await store.send(queue, [entry()]);
    const [gone, back] = [reachable(store, false), reachable(store, true)];
    const signals: string[] = [];
    store.subscribe(({ kind }) => signals.push(kind));
    await makeReplica(old, next);
    await expect(store.send(queue, [entry()])).rejects.toThrow('READONLY');
    await gone;
    await expect(store.send(queue, [entry()])).rejects.toThrow('it is a replica, which takes no writes');
    expect((await store.health()).reachable).toBe(false);
    proxy.leadTo(next.port);
    await back;
    await store.send(queue, [entry()]);
    // What the old master had not passed on is lost, and nobody else tells of it.
    expect(signals).toContain('gap');
  });

  it('that became a replica is used again once it is the master', async () => {
    const [other, server] = [await startServer(), await startServer()];
    const store = await open(server.url);
    const queue = newQueue(false);
    await store.send(queue, [entry()]);
    const [gone, back] = [reachable(store, false), reachable(store, true)];
    await makeReplica(server, other);
    await expect(store.send(queue, [entry()])).rejects.toThrow('READONLY');
    await gone;
    await makeMaster(server);
    await back;
    await store.send(queue, [entry()]);
  });

  it.each([
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots, but it cannot persist to disk.',
    'LOADING Redis is loading the dataset in memory',
    "READONLY You can't write against a read only replica.",
  ])('is asked again when it answered %s', async (refusal) => {
    const proxy = await startProxy(await startServer());
    let refusals = 0;
    proxy.answerInstead = (request) => {
      if (!/\$4\r\neval\r\n/i.test(request) || refusals > 0) return undefined;
      refusals += 1;
      return `-${refusal}\r\n`;
    };
    const store = await open(proxy.url, { startUnreachable: true });
    await reachable(store, true);
    expect(refusals).toBe(1);
    await store.send(newQueue(false), [entry()]);
  });

  it('that refuses every call on an open connection counts as unreachable, with its words, until it takes calls again', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const time = new ManualTime();
    const store = await open(proxy.url, { time });
    const words = 'ERR max requests limit exceeded. Limit: 500000, Usage: 500000.';
    // Each command of a piece.
    proxy.answerInstead = (request) => `-${words}\r\n`.repeat(request.match(/^\*\d+\r$/gm)?.length ?? 0);
    const red = heardReachable(store, false);
    await expect(store.documents.get('x')).rejects.toThrow(words);
    expect(await red).toBe(`the plan of the Redis provider is used up (${words})`);
    await expect(store.documents.get('x')).rejects.toThrow('refuses calls: the plan of the Redis provider is used up');
    expect((await store.health()).warnings.join()).toContain('the plan of the Redis provider is used up');

    proxy.answerInstead = () => undefined;
    const green = heardReachable(store, true);
    await time.advance(15_000);
    expect(await green).toBeUndefined();
    expect(await store.documents.get('x')).toBeUndefined();
  });

  it('that refuses one call for a reason of its own stays reachable', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const store = await open(proxy.url);
    const examined = new Promise<void>((resolve) => {
      proxy.answerInstead = (request) => {
        if (/\binfo\b/i.test(request)) resolve();
        return undefined;
      };
    });
    const signals: Signal[] = [];
    store.subscribe((signal) => signals.push(signal));
    await ask(server, (client) => client.set(DOCUMENTS, 'no hash'));
    await expect(store.documents.get('x')).rejects.toThrow('WRONGTYPE');
    await examined;
    await ask(server, (client) => client.del(DOCUMENTS));
    expect(await store.documents.get('x')).toBeUndefined();
    expect(signals.filter(({ kind }) => kind === 'reachable')).toEqual([]);
  });

  it('whose user lost his permissions counts as unreachable, too', async () => {
    const server = await startServer();
    const store = await open(server.url);
    const red = heardReachable(store, false);
    await ask(server, (client) => client.call('ACL', 'SETUSER', 'default', '-@all', '+acl'));
    await expect(store.documents.get('x')).rejects.toThrow('NOPERM');
    expect(await red).toContain('NOPERM');
  });

  it('that is unsuitable is examined again, because its operator can change that', async () => {
    const proxy = await startProxy(await startServer());
    let examineAgain = (_run: () => void): void => {};
    const unsuitable = new Promise<() => void>((resolve) => {
      examineAgain = resolve;
    });
    const time: Time = {
      now: () => systemTime.now(),
      monotonic: () => systemTime.monotonic(),
      after: (ms, run) => {
        if (ms !== 15_000) return systemTime.after(ms, run);
        examineAgain(run);
        return () => {};
      },
    };
    const store = await open(proxy.url, { time });
    const [gone, back] = [reachable(store, false), reachable(store, true)];
    proxy.answerInstead = (request) =>
      /\$4\r\neval\r\n/i.test(request) ? '-ERR syntax error script: 0, on @user_script:1.\r\n' : undefined;
    proxy.dropConnections();
    await gone;
    const run = await unsuitable;
    await expect(store.send(newQueue(false), [entry()])).rejects.toThrow('Karin needs Redis 7.0 or newer');
    proxy.answerInstead = () => undefined;
    run();
    await back;
    await store.send(newQueue(false), [entry()]);
  });

  it('stores a message once when the reply was lost and the driver sends it again, and still tells of the head', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const store = await open(proxy.url);
    for (const fifo of [false, true]) {
      const queue = newQueue(fifo);
      // Loads the script, so that the next call is a single command.
      await store.send(newQueue(fifo), [entry({ group: 'a' })]);
      const lost = proxy.loseReplyTo(queue.key);
      const back = reachable(store, false).then(() => reachable(store, true));
      const reply = store.send(queue, [entry({ group: 'a', deduplicationKey: 'key' })]);
      await lost;
      expect(await reply).toMatchObject({ sent: [{ duplicate: false }], headLoweredToMs: 0 });
      await back;
      expect(await receiveAll(store, queue)).toHaveLength(1);
    }
  });
});

describe('a release whose answer is lost with its connection', () => {
  for (const fifo of [false, true]) {
    it(`ends no lease that another server took before the driver sends it again: ${fifo ? 'FIFO' : 'standard'}`, async () => {
      const server = await startServer();
      const proxy = await startProxy(server);
      const [store, other] = [await open(proxy.url), await open(server.url)];
      const queue = newQueue(fifo);
      // Loads the script, so that the release is a single command.
      await store.release(newQueue(fifo), [{ id: entry().id, leaseNumber: 1 }]);
      await store.send(queue, [entry({ group: 'a' })]);
      const held = await receiveAll(store, queue);
      const lost = proxy.loseReplyTo(queue.key);
      const away = reachable(store, false);
      const released = store.release(queue, held).catch((error: unknown) => error);
      await lost;
      proxy.leadTo(1);
      await away;
      const others = await receiveAll(other, queue);
      expect(others).toMatchObject([{ id: held[0]?.id, receiveCount: 1 }]);
      const back = reachable(store, true);
      proxy.leadTo(server.port);
      await back;
      await released;

      expect((await store.release(queue, held)).outcomes).toEqual(['superseded']);
      expect(await other.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
      expect((await other.delete(queue, others)).outcomes).toEqual(['done']);
    });
  }
});

describe('opening a store', () => {
  it('names the server, not the credentials, if it cannot be reached', async () => {
    const server = await startServer();
    await server.kill();
    const url = server.url.replace('//', '//user:secret@');
    const failure = open(url);
    await expect(failure).rejects.toThrow(StoreUnavailableError);
    await expect(failure).rejects.toThrow(
      `cannot reach Redis at redis://127.0.0.1:${server.port}: connect ECONNREFUSED`,
    );
    await expect(failure).rejects.not.toThrow('secret');
  });

  it('says what a server says that takes no more connections', async () => {
    const server = await startServer();
    const client = new Redis(server.url);
    await client.config('SET', 'maxclients', '1');
    await expect(open(server.url)).rejects.toThrow('max number of clients reached');
    client.disconnect();
  });

  it('says so as well when that happens while it works, with what mends it, and goes on when it is mended', async () => {
    const server = await startServer();
    const store = await open(server.url);
    const client = new Redis(server.url);
    releasers.push(async () => client.disconnect());
    const refused = new Promise<string>((resolve) => {
      store.subscribe((signal: Signal) => {
        if (signal.kind === 'reachable' && signal.refusal !== undefined) resolve(signal.refusal);
      });
    });
    await client.config('SET', 'maxclients', '1');
    await client.call('client', 'kill', 'skipme', 'yes');
    const words = 'it takes no more connections (ERR max number of clients reached): raise its maxclients';
    expect(await refused).toContain(words);
    await expect(store.peek(newQueue(false))).rejects.toThrow(words);
    expect((await store.health()).warnings.join()).toContain(words);
    const back = reachable(store, true);
    await client.config('SET', 'maxclients', '100');
    await back;
    await store.peek(newQueue(false));
  });

  it('says that the password is wrong, and takes the right one', async () => {
    const server = await startServer({ password: 'p@ss word' });
    await expect(open(`redis://:wrong@127.0.0.1:${server.port}`)).rejects.toThrow('WRONGPASS');
    await expect(open(`redis://127.0.0.1:${server.port}`)).rejects.toThrow('NOAUTH');
    const store = await open(server.url);
    expect((await store.health()).reachable).toBe(true);
  });

  it('starts without Redis if asked to, and works once Redis is there', async () => {
    const server = await startServer();
    await server.kill();
    const store = await open(server.url, { startUnreachable: true });
    await expect(store.peek(newQueue(false))).rejects.toThrow(StoreUnavailableError);
    const back = reachable(store, true);
    await server.restart();
    await back;
    const queue = newQueue(false);
    await store.send(queue, [entry()]);
    expect(await store.peek(queue)).toBe(0);
  });

  it.each([
    ['redis://a', 0],
    ['redis://a/3', 3],
    ['redis://a?db=3', 3],
    ['redis://a/?family=6&db=3', 3],
    ['redis://a/3?db=3', 3],
  ])('reads the database of %s', (url, database) => {
    expect(parseRedisUrls([url])[0].database).toBe(database);
  });

  it('reads the master, its database and the credentials of both from the URL of a Sentinel', () => {
    expect(
      parseRedisUrls([
        'rediss+sentinel://me:a%2Fb@one/jobs/2?sentinelUsername=who&sentinelPassword=x',
        'rediss+sentinel://two:1/jobs/2',
      ]),
    ).toEqual([
      {
        ...{ host: 'one', port: 26_379, tls: true, username: 'me', password: 'a/b', database: 2 },
        sentinel: { master: 'jobs', username: 'who', password: 'x' },
      },
      { host: 'two', port: 1, tls: true, database: 2, sentinel: { master: 'jobs' } },
    ]);
  });

  it.each([
    [['redis+sentinel://a'], 'URL 1 of Redis is not of the form'],
    [['redis+sentinel://a/jobs/x'], 'URL 1 of Redis is not of the form'],
    [['redis+sentinel://a/jobs', 'redis://secret@b'], 'must all be of Sentinels'],
    [['redis+sentinel://a/jobs', 'redis+sentinel://b/others'], 'name the same master'],
    [['redis+sentinel://a/jobs', 'redis+sentinel://b/jobs/1'], 'the same database'],
    [['redis+sentinel://a/jobs', 'rediss+sentinel://b/jobs'], 'with or all without TLS'],
    [[], 'no URL of Redis is given'],
    [['localhost:6379'], 'URL 1 of Redis is not of the form redis://'],
    [['redis://a', 'http://user:secret@b'], 'URL 2 of Redis is not of the form'],
    [['redis://a/x'], 'URL 1 of Redis is not of the form'],
    [['redis://a/?db=x'], 'URL 1 of Redis is not of the form'],
    [['redis://a/1?db=2'], 'URL 1 of Redis is not of the form'],
    [['redis://a?db=1', 'redis://b'], 'a cluster has no database but 0'],
    [['redis://a/1', 'redis://b'], 'a cluster has no database but 0'],
  ])('refuses the URLs %j', async (urls, message) => {
    const failure = openStore({ urls, instanceId: 'x', time: systemTime, randomness: systemRandomness });
    await expect(failure).rejects.toThrow(RangeError);
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.not.toThrow('secret');
  });

  it('refuses a node of a cluster named alone', async () => {
    const server = await startServer({ cluster: true });
    await expect(open(server.url)).rejects.toThrow('is a node of a cluster: give the URLs of two or more of its nodes');
  });

  it('lets calls under way finish when it closes, and refuses later ones', async () => {
    const server = await startServer();
    const store = await open(server.url);
    const queue = newQueue(false);
    const sends = Array.from({ length: 50 }, () => store.send(queue, [entry()]));
    const closed = store.close();
    const replies = await Promise.all(sends);
    await closed;
    expect(replies).toHaveLength(50);
    await expect(store.send(queue, [entry()])).rejects.toThrow('the store is closed');
    const another = await open(server.url);
    expect(await another.depth(queue)).toMatchObject({ visible: 50 });
  });
});

describe('errors', () => {
  it('carry neither message bodies nor passwords', async () => {
    const server = await startServer({ password: 'the right one', maxMemory: '4mb' });
    const wrong: unknown = await open(`redis://:hunter2@127.0.0.1:${server.port}`).catch((error: unknown) => error);
    expect(inspect(wrong, { depth: 10, showHidden: true })).not.toContain('hunter2');
    const store = await open(server.url);
    const record = Buffer.from('a private message '.repeat(10_000));
    const fill = async (): Promise<void> => {
      for (;;) await store.send(newQueue(false), [entry({ record })]);
    };
    const full: unknown = await fill().catch((error: unknown) => error);
    expect(full).toBeInstanceOf(StoreFullError);
    const text = inspect(full, { depth: 10, showHidden: true });
    expect(text).toContain('OOM');
    expect(text).not.toContain('private');
    expect(text).not.toContain(
      record
        .subarray(0, 8)
        .toString('hex')
        .replace(/(..)(?!$)/g, '$1 '),
    );
  });
});

describe('eviction policies', () => {
  it('that lose messages are refused, unless allowed', async () => {
    const server = await startServer({ evictionPolicy: 'allkeys-lru', maxMemory: '64mb' });
    const failure = open(server.url);
    await expect(failure).rejects.toThrow(UnsuitableRedisError);
    await expect(failure).rejects.toThrow('set maxmemory-policy to noeviction');
    await expect(open(server.url, { startUnreachable: true })).rejects.toThrow(UnsuitableRedisError);
    const store = await open(server.url, { allowEviction: true });
    expect((await store.health()).warnings).toEqual([
      'the eviction policy of Redis is allkeys-lru: messages are thrown away when memory runs short',
      expect.stringContaining('append-only file'),
    ]);
  });

  it('that lose deduplication ids are warned of', async () => {
    const server = await startServer({ evictionPolicy: 'volatile-lru', maxMemory: '64mb', appendOnly: true });
    const store = await open(server.url);
    expect(await store.health()).toMatchObject({
      warnings: [expect.stringContaining('deduplication ids of FIFO queues are forgotten early')],
      maxBytes: 64 * 1024 * 1024,
      usedBytes: expect.any(Number),
      description: expect.stringMatching(/^(redis|valkey) \d+.*, standalone$/),
    });
  });
});

describe('a full Redis', () => {
  it.each([false, true])('refuses sends, and goes on to hand out and delete (FIFO: %s)', async (fifo) => {
    const server = await startServer({ maxMemory: '6mb' });
    const store = await open(server.url);
    const queue = newQueue(fifo);
    const big = () => entry({ record: Buffer.alloc(100_000), group: 'a' });
    const fill = async (): Promise<void> => {
      for (;;) await store.send(queue, [big()]);
    };
    await expect(fill()).rejects.toThrow(StoreFullError);
    expect((await store.health()).warnings).toContainEqual(expect.stringContaining('of its memory limit'));
    const { leased } = await store.receive(queue, { maxMessages: 10, maxBytes: 1e9, leaseMs: 60_000 });
    expect(leased).toHaveLength(10);
    expect((await store.depth(queue)).inFlight).toBe(10);
    expect(
      (
        await store.changeVisibility(
          queue,
          leased.map((one) => ({ ...one, leaseMs: 9_000 })),
        )
      ).outcomes,
    ).toContain('done');
    expect((await store.release(queue, leased.slice(8))).outcomes).toEqual(['done', 'done']);
    expect((await store.delete(queue, leased.slice(0, 8))).outcomes).toEqual(Array.from({ length: 8 }, () => 'done'));
    expect(await store.slots.take('slot', 'holder', 1, 1_000)).toBe('taken');
    expect(await store.documents.put('mode', 'hold')).toBe(true);
    expect((await store.send(queue, [big()])).sent).toHaveLength(1);
    await store.purge(queue);
    expect(await store.peek(queue)).toBeUndefined();
  });
});

describe('other servers', () => {
  const refuseScripts = (proxy: RedisProxy, which: (request: string) => boolean, answer: string): void => {
    proxy.answerInstead = (request) => (/\$4\r\neval\r\n/i.test(request) && which(request) ? answer : undefined);
  };

  it('that do not know flags of scripts get scripts without', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    const seen: string[] = [];
    refuseScripts(
      proxy,
      (request) => {
        seen.push(request);
        return request.includes('#!lua');
      },
      "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'\r\n",
    );
    const store = await open(proxy.url);
    const queue = newQueue(true);
    await store.send(queue, [entry({ group: 'a' })]);
    expect(await receiveAll(store, queue)).toHaveLength(1);
    expect(seen.filter((request) => request.includes('#!lua'))).toHaveLength(1);
  });

  it('that are too old are refused', async () => {
    const server = await startServer();
    const proxy = await startProxy(server);
    refuseScripts(proxy, () => true, '-ERR syntax error script: 0, on @user_script:1.\r\n');
    await expect(open(proxy.url)).rejects.toThrow(/Karin needs Redis 7\.0 or newer.*syntax error/);
  });

  it('that evicted records do not lead in circles', async () => {
    const server = await startServer();
    const store = await open(server.url);
    for (const fifo of [false, true]) {
      const queue = newQueue(fifo);
      await store.send(queue, [entry({ group: 'a' }), entry({ group: 'b' })]);
      const client = new Redis(server.url);
      expect(await client.del(queueKeys(queue.key).messages)).toBe(1);
      client.disconnect();
      await receiveAll(store, queue);
      await receiveAll(store, queue);
      expect(await store.peek(queue)).toBeUndefined();
      expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    }
  });
});

describe('two stores on one Redis', () => {
  it.each([false, true])('hand out each message once while leases hold (FIFO: %s)', async (fifo) => {
    const server = await startServer();
    const stores = [await open(server.url), await open(server.url)];
    const [first] = stores;
    const queue = newQueue(fifo);
    const sent = new Set<string>();
    for (let batch = 0; batch < 10; batch += 1) {
      const entries = Array.from({ length: 200 }, (_, index) => entry({ group: `g${index % 20}` }));
      await first?.send(queue, entries);
      for (const { id } of entries) sent.add(id);
    }
    const received: string[] = [];
    await Promise.all(
      stores.map(async (store) => {
        for (;;) {
          const { leased, total } = await store.receive(queue, { maxMessages: 7, maxBytes: 1e9, leaseMs: 60_000 });
          if (total === 0) return;
          received.push(...leased.map(({ id }) => id));
          await store.delete(queue, leased);
        }
      }),
    );
    expect(received).toHaveLength(sent.size);
    expect(new Set(received)).toEqual(sent);
  });
});
