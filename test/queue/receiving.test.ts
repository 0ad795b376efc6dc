import { encode } from '@msgpack/msgpack';
import { describe, expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import { createDirectory } from '../../runtime/queue/stored-directory.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { type ReceiveOptions, type StoredQueue, StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { arn, attributes, existing, forEachStore, message, woken } from './queue-world.ts';

const TWELVE_HOURS = 43_200_000;

async function receiveOne(queue: Queue) {
  const [received] = await queue.receive({ maxMessages: 1 });
  if (received === undefined) throw new Error('nothing was received');
  return received;
}

forEachStore('receiving', (open) => {
  it('reports when a message was sent, first received, and how often', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    const sentAt = world.time.now();
    await queue.send([message('a')]);
    world.time.advance(1_000);
    expect(await receiveOne(queue)).toMatchObject({ sentAt, firstReceivedAt: sentAt + 1_000, receiveCount: 1 });
    world.time.advance(10_000);
    expect(await receiveOne(queue)).toMatchObject({ sentAt, firstReceivedAt: sentAt + 1_000, receiveCount: 2 });
  });

  it('tells when a message was sent and when it was due, on the clock of this process', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    const sentAt = world.time.monotonic();
    await queue.send([{ ...message('a'), delayMs: 2_000 }]);
    world.time.advance(2_500);
    expect(await receiveOne(queue)).toMatchObject({ bornAt: sentAt, dueAt: sentAt + 2_000 });
    world.time.advance(10_100);
    expect(await receiveOne(queue)).toMatchObject({ bornAt: sentAt, dueAt: sentAt + 12_500 });
  });

  it('hides a message for the visibility timeout of the queue, or of the request', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    const { leaseEndsAt } = await receiveOne(queue);
    expect(leaseEndsAt).toBe(world.time.monotonic() + 10_000);
    expect(await queue.receive({ maxMessages: 1 })).toEqual([]);
    world.time.advance(10_000);
    const [again] = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 90_000 });
    expect(again?.leaseEndsAt).toBe(world.time.monotonic() + 90_000);
    expect(queue.watch.dueInMs()).toBe(90_000);
  });

  it('gives a new handle on each receive, and the old one deletes nothing', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    const first = await receiveOne(queue);
    world.time.advance(10_000);
    const second = await receiveOne(queue);
    expect(second.receiptHandle).not.toBe(first.receiptHandle);
    expect(await queue.delete([first.receiptHandle, second.receiptHandle, second.receiptHandle, 'x'])).toEqual([
      'superseded',
      'done',
      'missing',
      'invalid',
    ]);
  });

  it('keeps watching a lease when an older handle is used', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    const first = await receiveOne(queue);
    world.time.advance(10_000);
    await receiveOne(queue);
    await queue.delete([first.receiptHandle]);
    expect(queue.watch.dueInMs()).toBe(10_000);
  });

  it('deletes a standard message after its lease ran out, if nobody received it since', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    world.time.advance(10_001);
    expect(await queue.delete([receiptHandle])).toEqual(['done']);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('refuses to delete a FIFO message whose lease ran out', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a', { groupId: 'g', deduplicationId: 'd' })]);
    const { receiptHandle } = await receiveOne(queue);
    world.time.advance(10_001);
    expect(await queue.delete([receiptHandle])).toEqual(['expired']);
  });

  it('does not take a handle of another queue', async () => {
    const world = await open();
    const [queue, other] = [await world.queue('jobs'), await world.queue('other')];
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    expect(await other.delete([receiptHandle])).toEqual(['invalid']);
  });

  it('takes a handle of another instance', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    const elsewhere = await (await world.another()).directory.find(queue.key);
    expect(await elsewhere?.delete([receiptHandle])).toEqual(['done']);
  });

  it('moves the end of a lease, earlier and later', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    expect(await queue.changeVisibility([{ receiptHandle, timeoutMs: 60_000 }])).toEqual(['done']);
    expect(queue.watch.dueInMs()).toBe(60_000);
    expect(await queue.changeVisibility([{ receiptHandle, timeoutMs: 0 }])).toEqual(['done']);
    expect((await receiveOne(queue)).receiveCount).toBe(2);
  });

  it('keeps a message invisible for twelve hours from its receive at most', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 43_200 });
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    expect(await queue.changeVisibility([{ receiptHandle, timeoutMs: TWELVE_HOURS }])).toEqual(['done']);
    world.time.advance(3_600_000);
    expect(
      await queue.changeVisibility([
        { receiptHandle, timeoutMs: TWELVE_HOURS - 3_599_000 },
        { receiptHandle: 'x', timeoutMs: 0 },
        { receiptHandle, timeoutMs: TWELVE_HOURS - 3_600_000 },
      ]),
    ).toEqual(['beyond-maximum', 'invalid', 'done']);
  });

  it('gives messages back uncounted', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    await queue.release([receiptHandle, 'not a handle']);
    expect(await receiveOne(queue)).toMatchObject({ body: 'a', receiveCount: 1 });
  });

  it('hands messages of different FIFO groups out together, each group in order, and then locks them', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    const grouped = (groupId: string, body: string) => message(body, { groupId, deduplicationId: body });
    await queue.send([grouped('a', 'a1'), grouped('b', 'b1'), grouped('a', 'a2'), grouped('b', 'b2')]);
    const received = await queue.receive({ maxMessages: 10 });
    expect(received.map(({ body }) => body)).toEqual(['a1', 'a2', 'b1', 'b2']);
    await queue.send([grouped('a', 'a3')]);
    expect(await queue.receive({ maxMessages: 10 })).toEqual([]);
  });

  it('stops at the bytes asked for', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('x'.repeat(600)), message('y'.repeat(600))]);
    expect(await queue.receive({ maxMessages: 10, maxBytes: 1_000 })).toHaveLength(1);
  });

  it('forgets everything at a purge', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a'), message('b', { delayMs: 1_000 })]);
    await queue.receive({ maxMessages: 1 });
    await queue.purge();
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('leaves a message that it cannot read in the queue, says so, and hands out the others', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const id = crypto.randomUUID();
    await queue.store.send([{ id, record: encode([99, 'from a later version']), delayMs: 0 }]);
    await queue.send([message('readable')]);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['readable']);
    expect(world.events).toMatchObject([{ kind: 'queue-warning', queue: queue.key, what: 'unreadable-record' }]);
    expect(await queue.depth()).toMatchObject({ inFlight: 2 });
  });

  it('lets nothing overtake an unreadable message of its FIFO group', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 10 });
    await queue.store.send([{ id: crypto.randomUUID(), record: encode([99]), delayMs: 0, group: 'a' }]);
    await queue.send([
      message('a2', { groupId: 'a', deduplicationId: 'a2' }),
      message('b1', { groupId: 'b', deduplicationId: 'b1' }),
    ]);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['b1']);
    world.time.advance(10_000);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['b1']);
  });

  it.each(['jobs', 'jobs.fifo'])(
    'leaves what it cannot read in %s alone for longer each time, whatever the visibility timeout, and says so once',
    async (name) => {
      const world = await open();
      const queue = await world.queue(name, { visibilityTimeoutSeconds: 0 });
      const group = name.endsWith('.fifo') ? { group: 'a' } : {};
      await queue.store.send([{ id: crypto.randomUUID(), record: encode([99]), delayMs: 0, ...group }]);
      let receives = 0;
      for (let elapsed = 0; elapsed < 3_600_000; elapsed += 100) {
        if (queue.watch.isDue()) {
          await queue.receive({ maxMessages: 1 });
          receives += 1;
        }
        world.time.advance(100);
      }
      expect(receives).toBeLessThan(25);
      expect(world.events.length).toBeLessThanOrEqual(receives);
      expect(world.events.length).toBeGreaterThan(0);
    },
  );

  it('is woken by its own lease when nobody deletes the message', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 10 });
    await queue.send([message('a')]);
    await receiveOne(queue);
    const due = woken(queue);
    world.time.advance(10_000);
    await due;
    expect((await receiveOne(queue)).receiveCount).toBe(2);
  });
});

forEachStore('a store that cannot be reached', (open) => {
  it('fails each call, and leaves the watch unknown, to ask again', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a')]);
    const { receiptHandle } = await receiveOne(queue);
    await world.store.close();
    await expect(queue.send([message('b')])).rejects.toThrow(StoreUnavailableError);
    await expect(queue.delete([receiptHandle])).rejects.toThrow(StoreUnavailableError);
    await expect(queue.receive({ maxMessages: 1 })).rejects.toThrow(StoreUnavailableError);
    expect(queue.watch.isDue()).toBe(true);
    const due = woken(queue);
    world.time.advance(30_000);
    await due;
  });
});

describe('many receives at one time', () => {
  /** Answers receives one at a time, when it is told to. */
  class SlowStore extends MemoryStore {
    readonly waiting: (() => void)[] = [];
    override async receive(queue: StoredQueue, options: ReceiveOptions) {
      await new Promise<void>((answer) => this.waiting.push(answer));
      return super.receive(queue, options);
    }
  }

  async function open() {
    const store = new SlowStore({ time: systemTime });
    const options = { store, time: systemTime, randomness: systemRandomness, notify: () => undefined };
    const directory = await createDirectory(options);
    const queue = async (name: string) => {
      await directory.create(arn(name), attributes(), {});
      return existing(directory, name);
    };
    return { store, queue, close: () => directory.close() };
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('have a place for what they may bring before the store is asked, and all are served', async () => {
    const { store, queue, close } = await open();
    // Receives of one queue leave together, those of many do not.
    const queues = await Promise.all(Array.from({ length: 40 }, (_, index) => queue(`large-${index}`)));
    for (const one of queues) await one.send([message('x'.repeat(1_000_000))]);
    const receives = queues.map((one) => one.receive({ maxMessages: 1, maxBytes: 2_097_152, inRoom: true }));
    let most = 0;
    for (let served = 0; served < 40; served += 1) {
      await turn();
      most = Math.max(most, store.waiting.length);
      store.waiting.shift()?.();
    }
    const received = await Promise.all(receives);
    expect(received.flat()).toHaveLength(40);
    // Sixteen megabytes.
    expect(most).toBe(16);
    close();
  });

  it('do not keep small receives of other queues waiting, and let a caller go who does not wait', async () => {
    const { store, queue, close } = await open();
    const small = await queue('small');
    await small.send([message('a')]);
    const large = await Promise.all(Array.from({ length: 17 }, (_, index) => queue(`large-${index}`)));
    for (const one of large) await one.send([message('x'.repeat(1_000_000))]);
    const [last, ...first] = large;
    const gone = new AbortController();
    const others = first.map((one) => one.receive({ maxMessages: 1, maxBytes: 2_097_152, inRoom: true }));
    const left = last?.receive({ maxMessages: 1, maxBytes: 2_097_152, inRoom: true, signal: gone.signal });
    await turn();
    expect(store.waiting).toHaveLength(16);
    const wanted = small.receive({ maxMessages: 10, maxBytes: 2_097_152, inRoom: true });
    await turn();
    expect(store.waiting).toHaveLength(17);
    store.waiting.pop()?.();
    expect(await wanted).toMatchObject([{ body: 'a' }]);
    gone.abort();
    expect(await left).toEqual([]);
    while (store.waiting.length > 0) {
      store.waiting.shift()?.();
      await turn();
    }
    expect((await Promise.all(others)).flat()).toHaveLength(16);
    close();
  });
});
