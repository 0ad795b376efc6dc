import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createEventBus } from '../../runtime/consumer/events.ts';
import { releaseMessages } from '../../runtime/consumer/settlement.ts';
import { slotsKey } from '../../runtime/store/redis/keys.ts';
import { STEP, settleInSteps } from '../../runtime/store/steps.ts';
import { StoreNotAskedError, StoreUnavailableError } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { mappingOf, message, World } from '../support/consumer-world.ts';
import { RecordedEvents } from '../support/recorded-events.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Gate, SUCCESS } from '../support/scriptable-lambda.ts';

function settlementParts() {
  const bus = createEventBus((error) => {
    throw error;
  });
  const aborting = new AbortController().signal;
  return {
    parts: { time: systemTime, randomness: systemRandomness, events: bus, aborting },
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
    let failure: unknown;
    while (!(failure instanceof StoreNotAskedError)) {
      failure = await queue.depth().catch((error: unknown) => error);
      await new Promise((resolve) => setImmediate(resolve));
    }
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

  it('with the answer to a release: it is not repeated, because it may have been carried out', async () => {
    const queue = await world.queue('jobs');
    await queue.send([message('given back once')]);
    const messages = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 600_000 });
    const carryOut = queue.release.bind(queue);
    const release = vi.spyOn(queue, 'release').mockImplementation(async (handles) => {
      await carryOut(handles);
      throw new StoreUnavailableError('the answer was lost');
    });
    const name = { mapping: 'mapping', queue: queue.key, batch: 1 };
    const { parts } = settlementParts();
    await releaseMessages(queue, messages, name, 'no function was shown them', parts);

    expect(release).toHaveBeenCalledTimes(1);
    expect((await queue.receive({ maxMessages: 1 })).map(({ receiveCount }) => receiveCount)).toEqual([1]);
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

describe('A settlement in several steps', () => {
  const items = Array.from({ length: STEP + 1 }, (_, index) => index);
  const failure = (failsAt: number): Promise<unknown> => {
    let steps = 0;
    return settleInSteps(items, async (step) => {
      if (steps++ === failsAt) throw new StoreNotAskedError('away');
      return { outcomes: step.map(() => 'done') };
    }).catch((error: unknown) => error);
  };

  it('passes for one that was not begun only if its first step was not asked for', async () => {
    expect(await failure(0)).toBeInstanceOf(StoreNotAskedError);
    expect(await failure(1)).toBeInstanceOf(StoreUnavailableError);
    expect(await failure(1)).not.toBeInstanceOf(StoreNotAskedError);
  });
});
