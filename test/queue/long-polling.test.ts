import { describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { createDirectory } from '../../runtime/queue/stored-directory.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { Store } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { arn, attributes, existing, forEachStore, message, turn } from './queue-world.ts';

const WAIT = { maxMessages: 1, waitMs: 20_000 };

function bodies(messages: readonly ReceivedMessage[]): readonly string[] {
  return messages.map(({ body }) => body);
}

forEachStore('long polling', (open) => {
  it('waits for a message', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const waiting = queue.receive(WAIT);
    await queue.send([message('a')]);
    expect(bodies(await waiting)).toEqual(['a']);
  });

  it('answers empty when its time is over', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const waiting = queue.receive(WAIT);
    world.time.advance(20_000);
    expect(await waiting).toEqual([]);
  });

  it('hears of messages that another instance sends', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const elsewhere = await (await world.another()).directory.find(queue.key);
    await queue.receive({ maxMessages: 1 });
    const waiting = queue.receive(WAIT);
    await elsewhere?.send([message('a')]);
    expect(bodies(await waiting)).toEqual(['a']);
  });

  it('serves those who wait in the order in which they came', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const order: string[] = [];
    const waiting = ['first', 'second', 'third'].map(async (name) => {
      const [received] = await queue.receive(WAIT);
      order.push(`${name} got ${received?.body}`);
    });
    await queue.send([message('a'), message('b'), message('c')]);
    await Promise.all(waiting);
    expect(order).toEqual(['first got a', 'second got b', 'third got c']);
  });

  it('wakes at the end of a delay and of a lease', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 3 });
    await queue.send([message('a', { delayMs: 5_000 })]);
    const first = queue.receive(WAIT);
    world.time.advance(5_000);
    expect(bodies(await first)).toEqual(['a']);
    const second = queue.receive(WAIT);
    world.time.advance(3_000);
    expect((await second)[0]?.receiveCount).toBe(2);
  });

  it('lets a caller go who is gone, and gives the message to the next', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const gone = new AbortController();
    const [first, second] = [queue.receive({ ...WAIT, signal: gone.signal }), queue.receive(WAIT)];
    gone.abort();
    expect(await first).toEqual([]);
    await queue.send([message('a')]);
    expect(bodies(await second)).toEqual(['a']);
  });

  it('gives back uncounted what was received for a caller who went away meanwhile', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const gone = new AbortController();
    const [first, second] = [queue.receive({ ...WAIT, signal: gone.signal }), queue.receive(WAIT)];
    // The first is being served from the moment the message is there.
    queue.watch.subscribe(() => gone.abort());
    await queue.send([message('a')]);
    expect(await first).toEqual([]);
    expect(await second).toMatchObject([{ body: 'a', receiveCount: 1 }]);
  });

  it('gives back uncounted what a caller does not wait for any more, without waiting himself', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a')]);
    const gone = new AbortController();
    const receiving = queue.receive({ maxMessages: 1, signal: gone.signal });
    gone.abort();
    expect(await receiving).toEqual([]);
    expect(await queue.receive({ maxMessages: 1 })).toMatchObject([{ body: 'a', receiveCount: 1 }]);
  });

  it('does not begin for a caller who is gone already', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    expect(await queue.receive({ ...WAIT, signal: AbortSignal.abort() })).toEqual([]);
  });

  it('ends empty when the queue is deleted', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const waiting = queue.receive(WAIT);
    await world.directory.remove(queue);
    expect(await waiting).toEqual([]);
  });

  it('fails with the store, and only those whose call failed', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    const waiting = queue.receive(WAIT);
    await world.store.close();
    await expect(queue.receive({ maxMessages: 1, waitMs: 0 })).resolves.toEqual([]);
    queue.watch.forget();
    await expect(waiting).rejects.toThrow();
  });
});

describe('long polling and the store', () => {
  /** Counts the calls to a real store. */
  function counted(store: Store): { readonly store: Store; calls(name: keyof Store): number } {
    const counts = new Map<PropertyKey, number>();
    const proxy = new Proxy(store, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => {
          counts.set(name, (counts.get(name) ?? 0) + 1);
          return Reflect.apply(member, target, args);
        };
      },
    });
    return { store: proxy, calls: (name) => counts.get(name) ?? 0 };
  }

  async function scene() {
    const time = new ManualTime();
    const { store, calls } = counted(new MemoryStore({ time }));
    const directory = await createDirectory({ store, time, randomness: systemRandomness, notify: () => undefined });
    await directory.create(arn('jobs'), attributes(), {});
    return { time, calls, directory, queue: existing(directory, 'jobs') };
  }

  it('costs one call for one message, whoever waits', async () => {
    const { queue, calls, directory } = await scene();
    await queue.receive({ maxMessages: 1 });
    const waiting = [queue.receive(WAIT), queue.receive(WAIT), queue.receive(WAIT)];
    const before = calls('receive');
    await queue.send([message('a')]);
    await waiting[0];
    expect(calls('receive')).toBe(before + 1);
    directory.close();
  });

  it('asks the store a few times when thousands begin to wait at once, and once for the message that comes', async () => {
    const { queue, calls, directory } = await scene();
    const waiting = Array.from({ length: 3_000 }, () => queue.receive(WAIT));
    const first = Promise.race(waiting);
    for (let n = 0; n < 10; n += 1) await turn();
    expect(calls('receive')).toBeLessThanOrEqual(20);
    const before = calls('receive');
    await queue.send([message('a')]);
    expect(bodies(await first)).toEqual(['a']);
    expect(calls('receive')).toBe(before + 1);
    directory.close();
    await Promise.all(waiting);
  });

  it('costs less than fifty calls a day while nothing is sent', async () => {
    const { time, queue, calls, directory } = await scene();
    const before = calls('receive') + calls('peek') + calls('trim');
    for (let polls = 0; polls < 86_400 / 20; polls += 1) {
      const waiting = queue.receive(WAIT);
      await time.advanceAsync(20_000);
      expect(await waiting).toEqual([]);
    }
    expect(calls('receive') + calls('peek') + calls('trim') - before).toBeLessThan(50);
    directory.close();
  });

  it('serves a burst faster than one call after another', async () => {
    const { queue, directory } = await scene();
    await queue.receive({ maxMessages: 1 });
    const waiting = Array.from({ length: 40 }, () => queue.receive(WAIT));
    await queue.send(Array.from({ length: 40 }, (_, at) => message(String(at))));
    const received = (await Promise.all(waiting)).flat().map(({ body }) => Number(body));
    expect(received).toEqual(Array.from({ length: 40 }, (_, at) => at));
    await turn();
    directory.close();
  });
});
