import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { slotsKey } from '../../runtime/store/redis/keys.ts';
import { systemTime } from '../../runtime/time.ts';
import { mappingOf, message, World } from '../support/consumer-world.ts';
import { RedisServer } from '../support/redis-server.ts';
import { Gate, SUCCESS } from '../support/scriptable-lambda.ts';

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
