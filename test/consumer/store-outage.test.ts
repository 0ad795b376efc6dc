import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { releaseMessages } from '../../runtime/consumer/settlement.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import { slotsKey } from '../../runtime/store/redis/keys.ts';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime, type Time } from '../../runtime/time.ts';
import { mappingOf, message, World } from '../support/consumer-world.ts';
import { ManualTime } from '../support/manual-time.ts';
import { RecordedEvents } from '../support/recorded-events.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Gate, SUCCESS } from '../support/scriptable-lambda.ts';

function settlementParts(time: Time = systemTime) {
  const bus = createEventBus((error) => {
    throw error;
  });
  const aborting = new AbortController().signal;
  return {
    parts: { time, randomness: systemRandomness, events: bus, aborting },
    events: new RecordedEvents(bus),
  };
}

describe('Redis goes away', () => {
  let redis: RedisServer;
  let world: World;

  beforeEach(async () => {
    redis = await RedisServer.start({ appendOnly: true });
    world = await World.open('redis', redis, { time: systemTime });
  });
  afterEach(async () => {
    await world.close();
    await redis.stop();
  });

  it('while the function runs: what it handled is deleted once Redis is back, and not delivered again', async () => {
    const queue = await world.queue('jobs');
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue));
    await queue.send([message('handled once')]);
    await world.lambda.next();
    await redis.kill();
    gate.open();
    await world.events.next('warning', ({ what }) => what === 'store-error');
    await redis.restart();

    expect((await world.events.next('deleted')).messageIds).toHaveLength(1);
    expect(world.lambda.calls).toHaveLength(1);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('before messages are given back: they are visible and not counted once Redis is back', async () => {
    const queue = await world.queue('jobs');
    await queue.send([message('shown to nobody')]);
    const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
    await redis.kill();
    while ((await world.store.health()).reachable) await new Promise((resolve) => setImmediate(resolve));
    const name = { mapping: 'mapping', queue: queue.key, batch: 1 };
    const { parts, events } = settlementParts();
    const released = releaseMessages(queue, messages, name, 'no function was shown them', parts);
    await events.next('warning', ({ detail }) => detail.includes('could not be given back yet'));
    await redis.restart();
    await released;

    const again = await queue.receive({ maxMessages: 1 });
    expect(again.map(({ id, receiveCount }) => ({ id, receiveCount }))).toEqual([
      { id: messages[0]?.id, receiveCount: 1 },
    ]);
  });

  it('while nothing happens: messages are consumed again as soon as it is back', async () => {
    const queue = await world.queue('jobs');
    await queue.send([message('waits')]);
    const down = redis.kill();
    world.apply(mappingOf(queue));
    await down;
    await world.events.next('warning', ({ what }) => what === 'store-error');
    await redis.restart();

    await world.events.next('deleted');
    expect(world.lambda.calls.flatMap(({ bodies }) => bodies)).toEqual(['waits']);
  });

  it('only its signals are lost: a slot that was given back meanwhile is found all the same', async () => {
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue, { maximumConcurrency: 1 });
    await world.store.slots.take(`mapping:${mapping.uuid}`, 'another instance', 1, 600_000);
    world.apply(mapping);
    await queue.send([message('waits for the slot')]);
    while (world.supervisor.snapshot().queues[0]?.state !== 'waiting') {
      await new Promise((resolve) => setImmediate(resolve));
    }
    const client = new Redis(redis.url);
    await client.unlink(slotsKey(`mapping:${mapping.uuid}`));
    await client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    client.disconnect();

    await world.events.next('deleted');
  });
});

describe('The store fails a release', () => {
  const NAME = { mapping: 'mapping', queue: 'queue', batch: 1 };
  const ANSWER_LOST = new StoreUnavailableError('the answer was lost');

  for (const kind of ['memory', 'redis'] as const) {
    for (const name of ['jobs', 'jobs.fifo']) {
      const open = async (): Promise<StoredQueue> => {
        const redis = kind === 'redis' ? await RedisServer.start() : undefined;
        if (redis !== undefined) onTestFinished(() => redis.stop());
        const world = await World.open(kind, redis, { time: systemTime });
        onTestFinished(() => world.close());
        const queue = await world.queue(name);
        await queue.send([message('shown to nobody', name === 'jobs' ? {} : { groupId: 'g', deduplicationId: 'd' })]);
        return queue;
      };
      const counts = async (queue: StoredQueue) => (await queue.browse(1)).map(({ receiveCount }) => receiveCount);

      it(`and its answer is lost: it is repeated, and undoes the receive once (${name} in ${kind})`, async () => {
        const queue = await open();
        const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
        const carryOut = queue.release.bind(queue);
        const release = vi.spyOn(queue, 'release').mockImplementationOnce(async (handles) => {
          await carryOut(handles);
          throw ANSWER_LOST;
        });
        const { parts, events } = settlementParts();
        await releaseMessages(queue, messages, NAME, 'no function was shown them', parts);

        expect(release).toHaveBeenCalledTimes(2);
        expect(events.of('released').map(({ messageIds }) => messageIds)).toEqual([messages.map(({ id }) => id)]);
        expect(await counts(queue)).toEqual([0]);
        expect((await queue.receive({ maxMessages: 1 })).map(({ receiveCount }) => receiveCount)).toEqual([1]);
      });

      it(`without carrying it out: it is repeated, and the receive is not counted (${name} in ${kind})`, async () => {
        const queue = await open();
        const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
        vi.spyOn(queue, 'release').mockRejectedValueOnce(ANSWER_LOST);
        await releaseMessages(queue, messages, NAME, 'no function was shown them', settlementParts().parts);

        expect((await queue.receive({ maxMessages: 1 })).map(({ receiveCount }) => receiveCount)).toEqual([1]);
      });

      it(`and another server receives the message before it is repeated: that lease stays (${name} in ${kind})`, async () => {
        const queue = await open();
        const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
        const carryOut = queue.release.bind(queue);
        let others = messages;
        vi.spyOn(queue, 'release').mockImplementationOnce(async (handles) => {
          await carryOut(handles);
          others = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
          throw ANSWER_LOST;
        });
        const { parts, events } = settlementParts();
        await releaseMessages(queue, messages, NAME, 'no function was shown them', parts);

        expect(events.of('released')).toEqual([]);
        expect(others.map(({ receiveCount }) => receiveCount)).toEqual([1]);
        expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
        expect(await queue.delete(others.map(({ receiptHandle }) => receiptHandle))).toEqual(['done']);
      });
    }
  }

  it('again and again: it is given up when the leases end', async () => {
    const time = new ManualTime();
    const world = await World.open('memory', undefined, { time });
    onTestFinished(() => world.close());
    const queue = await world.queue('jobs');
    await queue.send([message('shown to nobody')]);
    const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 60_000 });
    const endsAt = messages[0]?.leaseEndsAt;
    const tried: number[] = [];
    vi.spyOn(queue, 'release').mockImplementation(() => {
      tried.push(time.monotonic());
      return Promise.reject(ANSWER_LOST);
    });
    const { parts, events } = settlementParts(time);
    let over = false;
    const released = releaseMessages(queue, messages, NAME, 'no function was shown them', parts).then(() => {
      over = true;
    });
    while (!over) {
      time.advance(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await released;

    expect(tried.length).toBeGreaterThan(10);
    expect(tried.at(-1)).toBeLessThanOrEqual(endsAt ?? 0);
    const [last] = events.of('warning').slice(-1);
    expect(last?.detail).toBe('messages could not be given back, and wait out their lease: the answer was lost');
  });
});
