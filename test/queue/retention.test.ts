import { describe, expect, it } from 'vitest';
import { createStoreClock } from '../../runtime/queue/watched-store.ts';
import { ManualTime } from '../support/manual-time.ts';
import { forEachStore, message } from './queue-world.ts';

forEachStore('retention', (open) => {
  it('deletes an old message instead of handing it out, and says so', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60 });
    await queue.send([message('old')]);
    world.time.advance(61_000);
    await queue.send([message('new')]);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['new']);
    expect(world.events).toEqual([{ kind: 'expired', queue: queue.key, count: 1 }]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
  });

  it('looks on behind old messages in the same receive', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60 });
    await queue.send(Array.from({ length: 30 }, () => message('old')));
    world.time.advance(61_000);
    await queue.send([message('new')]);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['new']);
  });

  it('keeps a message to the end of its period', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60 });
    await queue.send([message('a')]);
    world.time.advance(60_000);
    expect(await queue.receive({ maxMessages: 1 })).toHaveLength(1);
  });

  it('counts from the sent time, not from the last receive', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60, visibilityTimeoutSeconds: 50 });
    await queue.send([message('a')]);
    world.time.advance(20_000);
    expect(await queue.receive({ maxMessages: 1 })).toHaveLength(1);
    world.time.advance(50_000);
    expect(await queue.receive({ maxMessages: 1 })).toEqual([]);
  });

  it('lets the delete of a message that expired in flight succeed or find nothing', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60, visibilityTimeoutSeconds: 120 });
    await queue.send([message('a')]);
    const [received] = await queue.receive({ maxMessages: 1 });
    world.time.advance(90_000);
    expect(await queue.delete([received?.receiptHandle ?? ''])).toEqual(['done']);
  });

  it('keeps the sent time of a message that was moved to a dead-letter queue', async () => {
    const world = await open();
    const target = await world.queue('dead', { messageRetentionPeriodSeconds: 60 });
    const source = await world.queueWithDeadLetters('jobs', target, 1, { visibilityTimeoutSeconds: 40 });
    await source.send([message('a')]);
    await source.receive({ maxMessages: 1 });
    world.time.advance(40_000);
    await source.receive({ maxMessages: 1 });
    expect(await target.depth()).toMatchObject({ visible: 1 });
    world.time.advance(21_000);
    expect(await target.receive({ maxMessages: 1 })).toEqual([]);
  });

  it('removes what nobody receives when somebody counts', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60 });
    await queue.send([message('a'), message('b')]);
    world.time.advance(61_000);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(world.events).toEqual([{ kind: 'expired', queue: queue.key, count: 2 }]);
  });

  it('does not depend on the clock of this machine', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { messageRetentionPeriodSeconds: 60 });
    await queue.send([message('a')]);
    // In memory the machine's clock is the store's.
    if (world.kind === 'redis') {
      const ahead = await world.another({ time: new ManualTime(world.time.now() + 86_400_000) });
      const elsewhere = await ahead.directory.find(queue.key);
      expect(await elsewhere?.receive({ maxMessages: 1 })).toHaveLength(1);
    } else {
      expect(await queue.receive({ maxMessages: 1 })).toHaveLength(1);
    }
  });
});

describe('the clock of the store, as far as replies tell', () => {
  it('is unknown at first', () => {
    expect(createStoreClock(new ManualTime()).now()).toBeUndefined();
  });

  it('goes on from what was read, whatever happens to the clock here', () => {
    const time = new ManualTime();
    const clock = createStoreClock(time);
    clock.readExactly(5_000);
    time.jumpWallClock(1_000_000);
    time.advance(250);
    expect(clock.now()).toBe(5_250);
  });

  it('is never set back by a time that merely had passed, and never ahead', () => {
    const time = new ManualTime();
    const clock = createStoreClock(time);
    clock.readAtLeast(5_000);
    clock.readAtLeast(4_000);
    expect(clock.now()).toBe(5_000);
    clock.readAtLeast(6_000);
    expect(clock.now()).toBe(6_000);
  });

  it('follows a store whose clock was set back', () => {
    const clock = createStoreClock(new ManualTime());
    clock.readExactly(9_000);
    clock.readExactly(5_000);
    expect(clock.now()).toBe(5_000);
  });
});
