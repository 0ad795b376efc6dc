import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../support/consumer-world.ts';
import { Gate, SUCCESS } from '../support/scriptable-lambda.ts';

forEachStore('Stopping', (open) => {
  it('open Invokes finish, nothing new is leased', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue));
    const open1 = message('open');
    await queue.send([open1]);
    await world.lambda.next();
    const stopped = world.supervisor.stop(60_000);
    await queue.send([message('too late')]);
    gate.open();
    await stopped;

    expect(world.events.of('deleted').map(({ messageIds }) => messageIds)).toEqual([[open1.id]]);
    expect(world.lambda.calls).toHaveLength(1);
    expect(await queue.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
  });

  it('after the grace period what is still open is given up, and waits out its lease', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave(() => ({ kind: 'hang' }));
    world.apply(mappingOf(queue));
    await queue.send([message('slow')]);
    const call = await world.lambda.next();
    const stopped = world.supervisor.stop(5_000);
    await world.pass(5_000);
    await stopped;
    await call.closed;

    expect(world.events.of('failed')).toMatchObject([{ reason: 'connection-lost' }]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
  });

  it('a second call waits for the first, and nothing is served afterwards', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue));
    await Promise.all([world.supervisor.stop(1_000), world.supervisor.stop(0)]);
    await queue.send([message('late')]);
    world.apply(mappingOf(queue));
    await world.quiet();

    expect(world.lambda.calls).toEqual([]);
  });

  it('leaves no timer behind', async () => {
    const world = await open();
    const before = world.time.pending;
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { batchWindowSeconds: 300, maximumConcurrency: 1 }));
    await queue.send([message('collected')]);
    await world.events.next('leased');
    await world.supervisor.stop(60_000);
    world.directory.close();

    expect(world.time.pending).toBe(before);
  });
});
