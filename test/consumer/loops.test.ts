import { expect, it } from 'vitest';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import { forEachStore, mappingOf, message, type World } from '../support/consumer-world.ts';
import { SUCCESS } from '../support/scriptable-lambda.ts';

/** The function sends what it received to its own queue, with the trace header of its invocation, as AWS SDKs do. */
function sendBack(world: World, queue: StoredQueue): void {
  world.lambda.behave(async ({ bodies, headers }) => {
    const traceHeader = String(headers['x-amzn-trace-id']);
    await queue.send(bodies.map((body) => message(body, { traceHeader })));
    return SUCCESS;
  });
}

forEachStore('A loop', (open) => {
  it('is stopped after sixteen invocations, its message in the dead-letter queue; others are delivered', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 5);
    sendBack(world, queue);
    const mapping = mappingOf(queue);
    world.apply(mapping);
    await queue.send([message('round and round')]);

    expect(await world.events.next('warning')).toMatchObject({ what: 'probable-loop', mapping: mapping.uuid });
    await world.events.next('dead-lettered');
    expect(world.lambda.calls).toHaveLength(16);
    const [dead] = await deadLetters.receive({ maxMessages: 10 });
    expect(dead).toMatchObject({ body: 'round and round', receiveCount: 1 });
    world.lambda.behave(() => SUCCESS);
    const innocent = message('innocent');
    await queue.send([innocent]);
    await world.events.next('deleted', ({ messageIds }) => messageIds.includes(innocent.id));
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('is no loop because many messages of one trace come: none is lost', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 5);
    world.apply(mappingOf(queue));
    const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
    for (let minute = 0; minute < 8; minute += 1) {
      await queue.send(Array.from({ length: 70 }, (_, index) => message(String(index), { traceHeader })));
      await world.pass(60_000);
      await world.settled();
    }
    await world.events.until(() => world.events.of('deleted').flatMap(({ messageIds }) => messageIds).length === 560);

    expect(world.events.of('warning')).toEqual([]);
    expect(await deadLetters.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('that is meant goes on, with a warning', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    sendBack(world, queue);
    world.apply(mappingOf(queue, { tags: { 'karin:stop-loops': 'false' } }));
    await queue.send([message('until the server ends')]);
    await world.events.until(() => world.lambda.calls.length === 40);
    world.lambda.behave(() => SUCCESS);

    expect(world.events.of('warning').map(({ what }) => what)).toEqual(['probable-loop']);
  });

  it('without a dead-letter queue pauses its mapping, drops nothing, and goes on for sixteen turns when resumed', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    sendBack(world, queue);
    const mapping = mappingOf(queue);
    world.apply(mapping);
    await queue.send([message('round and round')]);

    expect((await world.events.next('mapping-stopped')).why).toContain('a loop');
    await world.events.next('released');
    await world.settled();
    expect(await queue.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
    // A sync that finds the mapping as it was does not wake it.
    world.apply({ ...mapping, lastModified: 0 });
    await world.settled();
    expect(world.lambda.calls).toHaveLength(16);

    world.supervisor.resume(mapping.uuid);
    await world.events.next('mapping-stopped');
    expect(world.lambda.calls).toHaveLength(32);
    await world.events.next('released');
    await world.settled();
  });
});
