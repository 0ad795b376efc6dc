import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../../support/consumer-world.ts';
import { Gate, SUCCESS } from '../../support/scriptable-lambda.ts';

forEachStore('Client', (open) => {
  it('maxAttempts 1: a server that resets every connection sees each batch once per lease', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const allRunning = new Gate();
    world.lambda.behave(async ({ index }) => {
      if (index === 4) allRunning.open();
      await allRunning.opened;
      return { kind: 'reset' };
    });
    world.apply(mappingOf(queue, { batchSize: 1 }));
    const messages = Array.from({ length: 5 }, (_, index) => message(String(index)));
    await queue.send(messages);
    await world.events.until(() => world.events.of('failed').length === 5);
    await world.quiet();

    expect(world.lambda.calls.flatMap(({ bodies }) => bodies).sort()).toEqual(messages.map(({ body }) => body).sort());
    expect(world.events.of('failed').every(({ reason }) => reason === 'connection-lost')).toBe(true);
  });

  it('200 parallel invokes', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 300, maxBytes: 64 * 1_048_576 } } });
    const queue = await world.queue('jobs');
    const gate = new Gate();
    let running = 0;
    const allRunning = new Gate();
    world.lambda.behave(async () => {
      running += 1;
      if (running === 200) allRunning.open();
      await gate.opened;
      return SUCCESS;
    });
    await queue.send(Array.from({ length: 200 }, (_, index) => message(String(index))));
    world.apply(mappingOf(queue, { batchSize: 1, tags: { 'karin:start-concurrency': '200' } }));

    await allRunning.opened;
    gate.open();
    await world.events.until(() => world.events.of('deleted').length === 200);
  });

  it('an Invoke is waited for as long as AWS lets it last, whatever timeout was last read of the function', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5_400 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 3 }));
    await queue.send([message('long')]);
    await world.lambda.next();
    await world.pass(900_000);
    gate.open();

    expect(await world.events.next('succeeded')).toMatchObject({ durationMs: 900_000 });
    await world.events.next('deleted');
    expect(world.lambda.calls).toHaveLength(1);
  });

  it('on Managed Instances a durable execution of 90 minutes is waited for', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 7_200 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    const durable = {
      functionTimeoutSeconds: 3,
      durableExecutionTimeoutSeconds: 5_400,
      managedInstances: true,
    } as const;
    world.apply(mappingOf(queue, durable));
    await queue.send([message('long')]);
    await world.lambda.next();
    await world.pass(5_400_000);
    gate.open();

    await world.events.next('deleted');
  });

  it('an Invoke that outlasts the timeout that was read keeps its slot of MaximumConcurrency', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5_400 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    const mapping = mappingOf(queue, { functionTimeoutSeconds: 3, maximumConcurrency: 1 });
    world.apply(mapping);
    await queue.send([message('long')]);
    await world.lambda.next();
    for (let tick = 0; tick < 10; tick += 1) {
      // Each tick is the moment at which it is renewed; the store answers before the next.
      await world.pass(18_000);
      expect(await world.store.slots.take(`mapping:${mapping.uuid}`, 'another', 1, 1_000)).not.toBe('taken');
    }
    gate.open();
    await world.events.next('deleted');
  });

  it('900 s call: waited for to the end', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5_400 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 900 }));
    await queue.send([message('long')]);
    await world.lambda.next();
    await world.pass(900_000);
    gate.open();

    expect(await world.events.next('succeeded')).toMatchObject({ durationMs: 900_000 });
    await world.events.next('deleted');
  });

  it('the trace header of the sender is carried on, and stands in the record', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const traceHeader = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
    world.apply(mappingOf(queue));
    await queue.send([message('traced', { traceHeader })]);

    const call = await world.lambda.next();
    expect(call.headers['x-amzn-trace-id']).toMatch(new RegExp(`^${traceHeader};Karin=[0-9a-f]{8}:1$`));
    expect(call.records[0]?.attributes['AWSTraceHeader']).toBe(traceHeader);
  });
});
