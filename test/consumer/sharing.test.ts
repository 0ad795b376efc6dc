import { expect, it } from 'vitest';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { forEachStore, mappingOf, message, type World } from '../support/consumer-world.ts';
import { type Behaviour, CRASH, Gate, SUCCESS, THROTTLED } from '../support/scriptable-lambda.ts';

const FOUR_INVOKES = { supervisor: { limits: { maxInvokes: 4, maxBytes: 64 * 1_048_576 } } };

/** Of four Invokes a mapping of another queue has three, until the gate is opened. */
async function busyElsewhere(world: World, mapping: Mapping, behaviour: Behaviour): Promise<Gate> {
  const elsewhere = await world.queue('elsewhere', { visibilityTimeoutSeconds: 3_600 });
  const gate = new Gate();
  world.lambda.behave(async (call) => {
    if (!call.bodies.includes('elsewhere')) return behaviour(call);
    await gate.opened;
    return SUCCESS;
  });
  world.apply(mapping, mappingOf(elsewhere, { batchSize: 1 }));
  await elsewhere.send([message('elsewhere'), message('elsewhere'), message('elsewhere')]);
  for (let calls = 0; calls < 3; calls += 1) await world.lambda.next();
  return gate;
}

forEachStore('What mappings share', (open) => {
  it('the Invokes of the process: beyond one for each mapping never more at one time, and every queue gets its turn', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 3, maxBytes: 64 * 1_048_576 } } });
    let running = 0;
    let most = 0;
    world.lambda.behave(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return SUCCESS;
    });
    const queues = await Promise.all(['a', 'b', 'c', 'd'].map((name) => world.queue(name)));
    for (const queue of queues) await queue.send(Array.from({ length: 30 }, () => message(queue.arn.name)));
    world.apply(...queues.map((queue) => mappingOf(queue, { batchSize: 1 })));
    await world.events.until(() => world.events.of('deleted').length === 120);

    expect(most).toBeLessThanOrEqual(4);
    // Nobody had to wait until another had worked off its whole backlog.
    const half = world.lambda.calls.slice(0, 60).flatMap(({ bodies }) => bodies);
    for (const queue of queues) expect(half.filter((name) => name === queue.arn.name).length).toBeGreaterThan(5);
  });

  it('the bytes of the process: a batch is leased only when there is room for it', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 10, maxBytes: 2_000_000 } } });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    const queues = await Promise.all(['a', 'b', 'c'].map((name) => world.queue(name)));
    for (const queue of queues) await queue.send([message('x'.repeat(900_000))]);
    world.apply(...queues.map((queue) => mappingOf(queue)));
    await world.lambda.next();
    while (world.supervisor.snapshot().queues.some(({ state }) => state === 'leasing')) {
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect(world.lambda.calls).toHaveLength(1);
    expect(world.supervisor.snapshot().bytesInMemory.used).toBeLessThanOrEqual(2_000_000);
    gate.open();
    await world.events.until(() => world.events.of('deleted').length === 3);
    await world.quiet();
    expect(world.supervisor.snapshot().bytesInMemory.used).toBe(0);
  });

  it('a queue of slow work leaves room for others: a message of another queue does not wait for it', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 50, maxBytes: 64 * 1_048_576 } } });
    const [slow, quick] = [await world.queue('slow', { visibilityTimeoutSeconds: 900 }), await world.queue('quick')];
    const twoMinutes = new Gate();
    world.lambda.behave(async ({ bodies }) => {
      if (bodies.includes('slow')) await twoMinutes.opened;
      return SUCCESS;
    });
    await slow.send(Array.from({ length: 200 }, () => message('slow')));
    world.apply(
      mappingOf(slow, { batchSize: 1, functionTimeoutSeconds: 150, tags: { 'karin:start-concurrency': '200' } }),
      mappingOf(quick),
    );
    while (!world.supervisor.snapshot().queues.some(({ state }) => state === 'waiting')) await world.pass(0);
    const { running } = world.supervisor.snapshot().invokes;
    await quick.send([message('quick')]);

    // The clock stands still: whatever had to wait would wait for ever.
    await world.events.next('deleted', ({ queue }) => queue === quick.key);
    expect(running).toBe(38);
    twoMinutes.open();
    await world.events.until(() => world.events.of('deleted').length === 201);
  });

  it('even where every Invoke is taken, a mapping that has none gets one', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 1, maxBytes: 64 * 1_048_576 } } });
    const gate = new Gate();
    world.lambda.behave(async ({ bodies }) => {
      if (bodies.includes('slow')) await gate.opened;
      return SUCCESS;
    });
    const slow = await Promise.all(['a', 'b', 'c'].map((name) => world.queue(name)));
    for (const queue of slow) await queue.send([message('slow')]);
    const quick = await world.queue('quick');
    world.apply(...slow.map((queue) => mappingOf(queue)), mappingOf(quick));
    for (const _ of slow) await world.lambda.next();
    await quick.send([message('quick')]);

    expect((await world.events.next('deleted')).queue).toBe(quick.key);
    gate.open();
    await world.events.until(() => world.events.of('deleted').length === 4);
  });

  it('a collecting batch holds no Invoke, and is given back uncounted if it finds none before its leases end', async () => {
    const world = await open(FOUR_INVOKES);
    const queue = await world.queue('windowed', { visibilityTimeoutSeconds: 60 });
    const gate = new Gate();
    const mapping = mappingOf(queue, { batchWindowSeconds: 5, functionTimeoutSeconds: 10 });
    await busyElsewhere(world, mapping, async ({ bodies }) => {
      if (bodies.includes('blocks')) await gate.opened;
      return SUCCESS;
    });
    await queue.send([message('blocks')]);
    await world.events.next('leased', (leased) => leased.queue === queue.key);
    expect(world.supervisor.snapshot().invokes.running).toBe(3);
    await world.pass(5_000);
    await world.lambda.next();
    await queue.send([message('collected')]);
    await world.events.next('leased', (leased) => leased.queue === queue.key);
    await world.pass(55_000);

    expect((await world.events.next('released')).why).toBe('no Invoke was free before its leases ended');
    gate.open();
    const leased = await world.events.next('leased', (event) => event.queue === queue.key);
    expect(leased.receiveCounts).toEqual([1]);
  });
});

forEachStore('A throttled batch', (open) => {
  it('holds no Invoke while it waits, and takes one before newcomers', async () => {
    const world = await open(FOUR_INVOKES);
    const queue = await world.queue('jobs');
    const gate = new Gate();
    let throttled = false;
    await busyElsewhere(world, mappingOf(queue, { batchSize: 1 }), async ({ bodies }) => {
      if (bodies.includes('first') && !throttled) {
        throttled = true;
        return THROTTLED;
      }
      if (bodies.includes('second')) await gate.opened;
      return SUCCESS;
    });
    await queue.send([message('first')]);
    await world.events.next('retrying');
    await queue.send([message('second'), message('third')]);
    for (const body of ['first', 'second']) expect((await world.lambda.next()).bodies).toEqual([body]);
    await world.pass(1_000);
    expect(world.supervisor.snapshot().invokes.running).toBe(4);
    gate.open();

    const again = await world.lambda.next();
    expect(again.bodies).toEqual(['first']);
    expect(again.records[0]?.attributes['ApproximateReceiveCount']).toBe('1');
    expect((await world.lambda.next()).bodies).toEqual(['third']);
    await world.events.until(() => world.events.of('deleted').length === 3);
  });

  it('that finds no Invoke before its lease ends is given back uncounted, because no function saw it', async () => {
    const world = await open(FOUR_INVOKES);
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    const gate = new Gate();
    const mapping = mappingOf(queue, { batchSize: 1, functionTimeoutSeconds: 10 });
    await busyElsewhere(world, mapping, async ({ index, bodies }) => {
      if (index === 3) return THROTTLED;
      if (bodies.includes('blocks')) await gate.opened;
      return SUCCESS;
    });
    await queue.send([message('patient')]);
    await world.events.next('retrying');
    await queue.send([message('blocks')]);
    await world.lambda.next();
    await world.lambda.next();
    await world.pass(49_999);
    expect(world.events.of('failed')).toEqual([]);
    await world.pass(1);
    expect(await world.events.next('failed')).toMatchObject({ reason: 'throttled-past-lease' });
    await world.events.next('released');
    gate.open();
    await world.events.next('deleted');
    await world.pass(1_000);

    expect((await world.lambda.next()).records[0]?.attributes['ApproximateReceiveCount']).toBe('1');
    await world.events.next('deleted');
  });

  it('whose slot in the store was lost to others while it waited is not invoked again', async () => {
    const world = await open(FOUR_INVOKES);
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 600 });
    const gate = new Gate();
    const mapping = mappingOf(queue, { batchSize: 1, functionTimeoutSeconds: 1, maximumConcurrency: 4 });
    await busyElsewhere(world, mapping, async ({ index, bodies }) => {
      if (index === 3) return THROTTLED;
      if (bodies.includes('blocks')) await gate.opened;
      return SUCCESS;
    });
    await queue.send([message('patient')]);
    await world.events.next('retrying');
    await queue.send([message('blocks')]);
    for (const body of ['patient', 'blocks']) expect((await world.lambda.next()).bodies).toEqual([body]);
    await world.pass(22_000);
    const slots = `mapping:${mapping.uuid}`;
    for (const holder of ['another', 'a third', 'a fourth', 'a fifth']) {
      expect(await world.store.slots.take(slots, holder, 5, 600_000)).toBe('taken');
    }
    gate.open();

    expect(await world.events.next('failed')).toMatchObject({ reason: 'throttled-past-lease' });
    expect(world.lambda.calls).toHaveLength(5);
  });

  it('is given back uncounted when others have no memory left, and leaves them its room', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 10, maxBytes: 2_000_000 } } });
    const [throttled, others] = [await world.queue('throttled'), await world.queue('others')];
    world.lambda.behave(({ index }) => (index === 0 ? THROTTLED : SUCCESS));
    world.apply(mappingOf(throttled, { tags: { 'karin:start-concurrency': '1' } }), mappingOf(others));
    await throttled.send([message('x'.repeat(900_000))]);
    await world.events.next('retrying');
    await others.send([message('needs the room')]);

    const given = await world.events.next('released');
    expect(given).toMatchObject({ queue: throttled.key, why: expect.stringContaining('no memory left') });
    await world.events.next('deleted');
    await world.quiet();
    // It is not throttled again before its pause is over.
    await world.pass(999);
    await world.quiet();
    expect(world.lambda.calls).toHaveLength(2);
    await world.pass(1);
    await world.events.next('deleted');
    expect(world.lambda.calls.map(({ bodies: [body] }) => body?.length)).toEqual([900_000, 14, 900_000]);
    expect(world.lambda.calls[2]?.records[0]?.attributes['ApproximateReceiveCount']).toBe('1');
    await world.quiet();
    expect(world.supervisor.snapshot().bytesInMemory.used).toBe(0);
  });

  it('that waits for an Invoke when the server stops is given back uncounted', async () => {
    const world = await open(FOUR_INVOKES);
    const queue = await world.queue('jobs');
    const gate = new Gate();
    const elsewhere = await busyElsewhere(world, mappingOf(queue, { batchSize: 1 }), async ({ index }) => {
      if (index === 3) return THROTTLED;
      await gate.opened;
      return SUCCESS;
    });
    await queue.send([message('kept')]);
    await world.events.next('retrying');
    await queue.send([message('blocks')]);
    await world.lambda.next();
    await world.lambda.next();
    await world.pass(1_000);
    const stopped = world.supervisor.stop(60_000);
    expect((await world.events.next('released')).why).toBe('the server stops before the function took the batch');
    gate.open();
    elsewhere.open();
    await stopped;
    expect(await queue.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
  });
});

forEachStore('The concurrency of a mapping', (open) => {
  it('grows while a backlog waits, and is halved by failures', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return CRASH;
    });
    await queue.send(Array.from({ length: 50 }, () => message('x')));
    world.apply(mappingOf(queue, { batchSize: 1 }));
    const running = (): number => world.supervisor.snapshot().queues[0]?.mappings[0]?.running ?? 0;
    for (const expected of [5, 6, 7, 8, 9, 10]) {
      await world.events.until(() => world.events.of('invoked').length === expected);
      expect(running()).toBe(expected);
      while (world.supervisor.snapshot().queues[0]?.state !== 'waiting') {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await world.pass(200);
    }
    gate.open();
    await world.events.until(() => world.events.of('failed').length === 50);
    await world.quiet();

    expect(world.supervisor.snapshot().queues[0]?.mappings[0]?.concurrency).toBe(1);
  });

  it('a throttled mapping does not go on leasing', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const allRunning = new Gate();
    world.lambda.behave(async ({ index }) => {
      if (index === 4) allRunning.open();
      await allRunning.opened;
      return THROTTLED;
    });
    await queue.send(Array.from({ length: 50 }, () => message('x')));
    world.apply(mappingOf(queue, { batchSize: 1 }));
    await world.events.until(() => world.events.of('retrying').length === 5);
    await world.pass(900);

    expect(world.events.of('leased')).toHaveLength(5);
    expect(await queue.depth()).toMatchObject({ visible: 45, inFlight: 5 });
  });
});

forEachStore('Tags and names', (open) => {
  it('karin:consume=false and queue names that are not chosen are left alone', async () => {
    const world = await open({ supervisor: { queueNames: ['app-*'] } });
    const [tagged, foreign, chosen] = [
      await world.queue('app-1'),
      await world.queue('other'),
      await world.queue('app-2'),
    ];
    const leftAlone = [mappingOf(tagged, { tags: { 'karin:consume': 'false' } }), mappingOf(foreign)];
    const served = mappingOf(chosen);
    for (const queue of [tagged, foreign, chosen]) await queue.send([message('x')]);
    const diff = world.apply(...leftAlone, served);
    await world.events.next('deleted');
    await world.quiet();

    expect(diff).toMatchObject({ leftAlone, added: [served], broken: [] });
    expect(world.lambda.calls).toHaveLength(1);
  });

  it('a mapping that is opted out later is removed, and its messages are kept', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue);
    world.apply(mapping);
    const out = { ...mapping, tags: { 'karin:consume': 'false' } };
    const diff = world.apply(out);
    await queue.send([message('kept')]);
    await world.quiet();

    expect(diff).toMatchObject({ removed: [mapping], leftAlone: [out], added: [] });
    expect(await queue.depth()).toMatchObject({ visible: 1 });
  });

  it('a tag that cannot be understood breaks its mapping only', async () => {
    const world = await open();
    const [odd, healthy] = [await world.queue('odd'), await world.queue('healthy')];
    const diff = world.apply(mappingOf(odd, { tags: { 'karin:maximum-concurrency': 'one' } }), mappingOf(healthy));

    expect(diff.broken.map(({ reason }) => reason)).toEqual([
      'tag karin:maximum-concurrency is "one", but must be a whole number from 1 to 1000; correct or remove the tag on the event source mapping, then sync',
    ]);
    expect(diff.added).toHaveLength(1);
  });

  it('a tag whose name means nothing is warned of, and the mapping is served', async () => {
    const world = await open();
    const mapping = mappingOf(await world.queue('jobs'), { tags: { 'karin:consum': 'false' } });
    const diff = world.apply(mapping);

    expect(diff.added).toHaveLength(1);
    expect(world.events.of('warning')).toMatchObject([{ what: 'unknown-tag', mapping: mapping.uuid }]);
    expect(diff.warnings).toEqual([
      expect.stringMatching(`^mapping ${mapping.uuid}: the tag karin:consum has no effect.*karin:consume`),
    ]);
    // The event was given; the answer of every sync says it as long as it holds.
    expect(world.apply(mapping).warnings).toEqual(diff.warnings);
    expect(world.events.of('warning')).toHaveLength(1);
    expect(world.apply(mappingOf({ arn: mapping.queueArn }, { uuid: mapping.uuid })).warnings).toEqual([]);
  });

  it('a visibility timeout below the function timeout is warned of once, and again if it comes back', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5 });
    const mapping = mappingOf(queue, { functionTimeoutSeconds: 10 });
    world.apply(mapping);
    world.apply(mapping);
    expect(world.events.of('warning')).toMatchObject([{ what: 'visibility-too-short', mapping: mapping.uuid }]);
    await world.directory.setAttributes(queue, { ...queue.definition.attributes, visibilityTimeoutSeconds: 60 });
    await world.directory.setAttributes(queue, { ...queue.definition.attributes, visibilityTimeoutSeconds: 5 });

    expect(world.events.of('warning')).toHaveLength(2);
  });

  it('a durable execution that may outlast the visibility timeout, or every Invoke, is warned of', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 600 });
    const durable = { functionTimeoutSeconds: 3, durableExecutionTimeoutSeconds: 3_600 };
    expect(world.apply(mappingOf(queue, durable)).warnings).toEqual([
      expect.stringContaining('the visibility timeout of the queue is 600 s, the execution timeout of'),
      expect.stringMatching(/execution timeout of .* is 3600 s, but AWS lets an Invoke last 900 s/),
    ]);

    const managed = mappingOf(queue, { ...durable, managedInstances: true });
    expect(world.apply(managed).warnings).toEqual([
      expect.stringContaining('the visibility timeout of the queue is 600 s, the execution timeout of'),
    ]);
    const short = mappingOf(queue, { ...durable, durableExecutionTimeoutSeconds: 600 });
    expect(world.apply(short).warnings).toEqual([]);
  });
});
