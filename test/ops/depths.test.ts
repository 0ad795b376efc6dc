import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createDepths, type Depths } from '../../runtime/ops/depths.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { createDirectory } from '../../runtime/queue/stored-directory.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { DepthsReply, Signal, StoredQueue } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';

describe('the one reader of depths', () => {
  let time: ManualTime;
  let store: MemoryStore;
  let depths: Depths;
  let queues: Queue[];
  let directory: Awaited<ReturnType<typeof createDirectory>>;
  /** The keys of each read, in the order of the reads. */
  let reads: string[][];
  let tell: (signal: Signal) => void;
  let fails: boolean;

  beforeEach(async () => {
    time = new ManualTime();
    store = new MemoryStore({ time });
    directory = await createDirectory({ store, time, randomness: systemRandomness, notify: () => {} });
    for (const name of ['a', 'b', 'c']) {
      await directory.create(
        { partition: 'aws', region: 'eu-west-1', account: '1'.repeat(12), name },
        DEFAULT_ATTRIBUTES,
        {},
      );
    }
    queues = [...directory.all()];
    reads = [];
    fails = false;
    depths = createDepths({
      directory,
      time,
      store: {
        subscribe: (listener) => {
          tell = listener;
          return store.subscribe(listener);
        },
        depths: async (asked: readonly StoredQueue[]): Promise<DepthsReply> => {
          if (fails) throw new Error('the store is away');
          reads.push(asked.map(({ key }) => key.split(':').at(-1) ?? ''));
          return { ...(await store.depths(asked)), commands: 1 };
        },
      },
    });
  });
  afterEach(async () => {
    depths.close();
    directory.close();
    await store.close();
  });

  const send = (queue: Queue | undefined, delaySeconds = 0): Promise<unknown> => {
    if (queue === undefined) throw new Error('the queue is there');
    const message = { id: systemRandomness.uuid(), body: 'x', attributes: {}, senderId: 'me' };
    return queue.send([{ ...message, delayMs: delaySeconds * 1000 }]);
  };
  /** One look of a watcher. */
  const look = async (): Promise<void> => {
    time.advance(5_000);
    await depths.refresh();
  };

  it('reads all queues in one call for the first who looks, and nothing while nobody does', async () => {
    time.advance(600_000);
    expect(reads).toEqual([]);
    await Promise.all([depths.refresh(), depths.refresh()]);
    await depths.refresh();
    expect(reads).toEqual([['a', 'b', 'c']]);
  });

  it('costs nothing while somebody looks and nothing happens, with any number of tabs', async () => {
    for (let tab = 0; tab < 5; tab += 1) depths.watch(() => {});
    await depths.refresh();
    for (let at = 0; at < 100; at += 1) await look();
    expect(reads).toEqual([['a', 'b', 'c']]);
    expect(depths.commandsLately()).toBe(0);
  });

  it('reads again what was used here, once more afterwards, and tells the watchers', async () => {
    let heard = 0;
    depths.watch(() => {
      heard += 1;
    });
    await depths.refresh();
    expect(heard).toBe(1);
    await send(queues[1]);
    await look();
    expect(depths.of(queues[1]?.key ?? '')).toMatchObject({ visible: 1, waitsMs: 5_000 });
    expect(depths.totals()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
    expect(heard).toBe(2);
    await look();
    await look();
    expect(reads).toEqual([['a', 'b', 'c'], ['b'], ['b']]);
    expect(depths.waitsMs(queues[1]?.key ?? '')).toBe(15_000);
    expect(heard).toBe(2);
  });

  it('reads again when a delay ends', async () => {
    await send(queues[0], 20);
    await depths.refresh();
    depths.watch(() => {});
    await look();
    reads.length = 0;
    for (let at = 0; at < 3; at += 1) await look();
    expect(reads).toEqual([['a']]);
    expect(depths.of(queues[0]?.key ?? '')).toMatchObject({ visible: 1, delayed: 0 });
  });

  it('reads everything again while other processes are there, more rarely while nothing changes', async () => {
    tell({ kind: 'instances', ids: ['one', 'two'] });
    depths.watch(() => {});
    await depths.refresh();
    for (let at = 0; at < 60; at += 1) await look();
    const inFiveMinutes = reads.length;
    expect(inFiveMinutes).toBeLessThanOrEqual(9);
    for (let at = 0; at < 12; at += 1) await look();
    expect(reads.length - inFiveMinutes).toBe(1);
  });

  it('sees within a minute what another process did without a word', async () => {
    tell({ kind: 'instances', ids: ['one', 'two'] });
    depths.watch(() => {});
    await depths.refresh();
    for (let at = 0; at < 60; at += 1) await look();
    const [queue] = queues;
    if (queue === undefined) throw new Error('the queue is there');
    await store.send({ key: queue.key, fifo: false }, [
      { id: systemRandomness.uuid(), record: new Uint8Array(1), delayMs: 0 },
    ]);
    for (let at = 0; at < 12; at += 1) await look();
    expect(depths.of(queue.key)).toMatchObject({ visible: 1 });
  });

  it('keeps what it knew when the store fails, says so, and goes on', async () => {
    const heard: boolean[] = [];
    depths.watch((failed) => heard.push(failed));
    await depths.refresh();
    await send(queues[2]);
    fails = true;
    await time.advanceAsync(5_000);
    expect(heard).toEqual([false, true]);
    expect(depths.of(queues[2]?.key ?? '')).toMatchObject({ visible: 0 });
    fails = false;
    await look();
    expect(depths.of(queues[2]?.key ?? '')).toMatchObject({ visible: 1 });
  });

  it('forgets a queue that was removed', async () => {
    const [queue] = queues;
    if (queue === undefined) throw new Error('the queue is there');
    await send(queue);
    await depths.refresh();
    await directory.remove(queue);
    await look();
    expect(depths.totals()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(depths.of(queue.key)).toBeUndefined();
  });

  it('reads nothing any more once nobody watches', async () => {
    const stop = depths.watch(() => {});
    await depths.refresh();
    stop();
    await send(queues[0]);
    time.advance(60_000);
    expect(reads).toEqual([['a', 'b', 'c']]);
  });
});
