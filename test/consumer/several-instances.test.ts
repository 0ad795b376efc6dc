import { describe, expect, it, vi } from 'vitest';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { highest } from '../../runtime/consumer/instances.ts';
import { forEachStore, mappingOf, message, type OpenWorld, type World } from '../support/consumer-world.ts';
import { type Answer, CRASH, Gate, SUCCESS, THROTTLED } from '../support/scriptable-lambda.ts';

/** Two instances on one store, with one Lambda. */
async function openTwo(open: OpenWorld): Promise<readonly [World, World]> {
  const one = await open({ supervisor: { instance: 'one' } });
  return [one, await open({ besides: one, supervisor: { instance: 'two' } })];
}

forEachStore('MaximumConcurrency over all instances', (open, kind) => {
  it.each([
    ['tag karin:maximum-concurrency=1', 1, { tags: { 'karin:maximum-concurrency': '1' } }],
    ['MaximumConcurrency 2', 2, { maximumConcurrency: 2 }],
  ])('%s holds, and every slot that is freed is used', async (_, maximumConcurrency, settings) => {
    const [one, two] = await openTwo(open);
    let running = 0;
    let most = 0;
    const allTaken = new Gate();
    one.lambda.behave(async () => {
      running += 1;
      most = Math.max(most, running);
      if (running === maximumConcurrency) allTaken.open();
      await allTaken.opened;
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return SUCCESS;
    });
    const queue = await one.queue('jobs');
    await queue.send(Array.from({ length: 60 }, (_, index) => message(String(index))));
    const mapping = mappingOf(queue, { batchSize: 1, ...settings });
    await two.directory.find(queue.key);
    one.apply(mapping);
    two.apply(mapping);

    // Whoever is not preferred begins after two seconds.
    await one.pass(2_000);
    const deleted = (): number => [...one.events.of('deleted'), ...two.events.of('deleted')].length;
    while (deleted() < 60) await new Promise((resolve) => setImmediate(resolve));

    expect(most).toBe(maximumConcurrency);
    expect(one.lambda.calls).toHaveLength(60);
  });

  it.each<[string, Answer, Partial<Mapping>]>([
    ['success', SUCCESS, {}],
    ['function error', CRASH, {}],
    ['malformed report', { kind: 'answer', value: 'no report' }, { reportBatchItemFailures: true }],
    ['rejection', { kind: 'error', status: 404, type: 'ResourceNotFoundException' }, {}],
    ['throttle that outlasts the lease', THROTTLED, {}],
    ['lost connection', { kind: 'reset' }, {}],
    ['no answer', { kind: 'hang' }, {}],
    ['nothing but filtered-out messages', SUCCESS, { filterPatterns: ['{"body":["second"]}'] }],
  ])('a slot is freed after: %s', async (_, answer, settings) => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 3_600 });
    world.lambda.behave(({ bodies }) => (bodies.includes('first') ? answer : SUCCESS));
    world.apply(mappingOf(queue, { batchSize: 1, functionTimeoutSeconds: 10, maximumConcurrency: 1, ...settings }));
    await queue.send([message('first')]);
    await world.events.next('leased');
    await queue.send([message('second')]);
    const handled = (): boolean => world.lambda.calls.some(({ bodies }) => bodies.includes('second'));
    while (!handled()) {
      await world.pass(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }

    expect(await world.events.next('deleted', ({ messageIds }) => messageIds.length === 1)).toBeDefined();
  });

  it('a slot held by an instance that died is free again by its deadline', async () => {
    const one = await open();
    const queue = await one.queue('jobs');
    const mapping = mappingOf(queue, { maximumConcurrency: 1, functionTimeoutSeconds: 10 });
    await one.store.slots.take(`mapping:${mapping.uuid}`, 'an instance that died', 1, 30_000);
    one.apply(mapping);
    await queue.send([message('patient')]);
    await one.quiet();
    await one.pass(29_000);
    await one.quiet();
    expect(one.lambda.calls).toEqual([]);

    await one.pass(1_001);

    await one.events.next('deleted');
  });

  // In memory there is no store that an instance could leave behind.
  if (kind === 'redis') {
    it('an instance that dies in the middle of an Invoke keeps its slot until its deadline, then the other one goes on', async () => {
      const [one, two] = await openTwo(open);
      one.lambda.script({ kind: 'hang' });
      const queue = await one.queue('jobs', { visibilityTimeoutSeconds: 60 });
      await two.directory.find(queue.key);
      const tags = { 'karin:maximum-concurrency': '1' };
      const mapping = mappingOf(queue, { batchSize: 1, functionTimeoutSeconds: 10, tags });
      one.apply(mapping);
      await queue.send([message('cut off')]);
      await one.lambda.next();
      await queue.send([message('behind it')]);
      // From now on it can do nothing that others would see.
      one.directory.close();
      await one.store.close();
      two.apply(mapping);

      // Whoever is not preferred begins after two seconds.
      await two.quiet();
      await two.pass(2_000);
      await two.quiet();
      // The slot lives for the timeout of the function and twenty seconds.
      await two.pass(27_000);
      await two.quiet();
      expect(two.events.of('leased')).toEqual([]);
      await two.pass(4_000);
      await two.events.next('deleted');
      // The lease of what was cut off runs out. In small steps, because Redis answers with times from then: a sweep
      // that is under way while the clock leaps would be late.
      const asTwoSeesIt = two.directory.byKey(queue.key);
      while (two.events.of('deleted').length < 2) {
        await two.pass(1_000);
        await asTwoSeesIt?.depth();
      }

      const counts = two.lambda.calls.map(({ records }) => records[0]?.attributes['ApproximateReceiveCount']);
      expect(counts.sort()).toEqual(['1', '1', '2']);
    });
  }

  it('after a lost connection the slot stays taken until the function must have ended', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script({ kind: 'reset' });
    world.apply(mappingOf(queue, { batchSize: 1, maximumConcurrency: 1, functionTimeoutSeconds: 10 }));
    await queue.send([message('one'), message('two')]);
    await world.events.next('failed');
    await world.pass(9_999);
    await world.quiet();
    expect(world.lambda.calls).toHaveLength(1);

    await world.pass(1);

    await world.events.next('deleted');
    expect(world.lambda.calls).toHaveLength(2);
  });
});

describe('the preferred instance', () => {
  forEachStore('claims at once', (open, kind) => {
    // Memory is one process: nobody else is there to be preferred.
    if (kind === 'memory') {
      it('alone: always this one', async () => {
        const world = await open();
        const queue = await world.queue('jobs');
        world.apply(mappingOf(queue));
        expect(world.supervisor.snapshot().queues[0]?.preferred).toBe(true);
      });
      return;
    }

    it('the other one leaves it two seconds, and takes what is left', async () => {
      const [one, two] = await openTwo(open);
      const queue = await one.queue('jobs');
      await two.directory.find(queue.key);
      const [preferred, other] = highest(['one', 'two'], queue.key) === 'one' ? [one, two] : [two, one];
      const heard = (world: World): boolean =>
        one.supervisor.snapshot().queues.length + two.supervisor.snapshot().queues.length === 2 &&
        world.supervisor.snapshot().queues[0]?.preferred === (world === preferred);
      one.apply(mappingOf(queue));
      two.apply(mappingOf(queue));
      while (!heard(one) || !heard(two)) await new Promise((resolve) => setImmediate(resolve));

      const doubt = vi.spyOn(other.store, 'doubt');
      await queue.send([message('for the preferred one')]);
      await preferred.events.next('deleted');
      while (other.supervisor.snapshot().queues[0]?.state !== 'deferring') {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await other.pass(2_000);
      // It found nothing, so there is nothing to hold against the preferred one.
      while (other.supervisor.snapshot().queues[0]?.state !== 'idle') {
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(doubt).not.toHaveBeenCalled();
      await preferred.supervisor.stop(0);
      await queue.send([message('for the other one')]);
      while (other.supervisor.snapshot().queues[0]?.state !== 'deferring') {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await other.pass(1_999);
      expect(other.events.of('leased')).toEqual([]);
      await other.pass(1);

      await other.events.next('deleted');
      expect(one.lambda.calls).toHaveLength(2);
      expect(doubt.mock.calls).toEqual([[preferred === one ? 'one' : 'two']]);
    });

    it('the other one helps with a backlog without waiting each time', async () => {
      const [one, two] = await openTwo(open);
      const queue = await one.queue('jobs');
      await two.directory.find(queue.key);
      const [preferred, other] = highest(['one', 'two'], queue.key) === 'one' ? [one, two] : [two, one];
      const gate = new Gate();
      one.lambda.behave(async () => {
        await gate.opened;
        return SUCCESS;
      });
      preferred.apply(mappingOf(queue, { batchSize: 1, tags: { 'karin:start-concurrency': '1' } }));
      await queue.send(Array.from({ length: 30 }, (_, index) => message(String(index))));
      await preferred.lambda.next();

      other.apply(mappingOf(queue, { batchSize: 1 }));
      while (other.supervisor.snapshot().queues[0]?.state !== 'deferring') {
        await new Promise((resolve) => setImmediate(resolve));
      }
      await other.pass(2_000);

      await other.events.until(() => other.events.of('invoked').length >= 3);
      gate.open();
    });

    it('the other one helps at once when the preferred one has no room', async () => {
      const limits = { maxInvokes: 1, maxBytes: 64 * 1_048_576 };
      const one = await open({ supervisor: { instance: 'one', limits } });
      const two = await open({ besides: one, supervisor: { instance: 'two', limits } });
      const queue = await one.queue('jobs');
      await two.directory.find(queue.key);
      const [preferred, other] = highest(['one', 'two'], queue.key) === 'one' ? [one, two] : [two, one];
      const stateOf = (world: World) => world.supervisor.snapshot().queues[0]?.state;
      one.apply(mappingOf(queue, { batchSize: 1 }));
      two.apply(mappingOf(queue, { batchSize: 1 }));
      while (other.supervisor.snapshot().queues[0]?.preferred !== false) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const gate = new Gate();
      one.lambda.behave(async () => {
        await gate.opened;
        return SUCCESS;
      });
      const doubt = vi.spyOn(other.store, 'doubt');
      const asked = vi.spyOn(preferred.store, 'askForHelp');
      await queue.send(Array.from({ length: 10 }, (_, index) => message(String(index))));

      // The clock stands still: nobody waits two seconds.
      await other.events.next('invoked');
      expect(stateOf(preferred)).toBe('waiting');
      expect(asked.mock.calls).toEqual([[queue.key]]);
      expect(doubt).not.toHaveBeenCalled();
      gate.open();
      const deleted = (): number => one.events.of('deleted').length + two.events.of('deleted').length;
      while (deleted() < 10) await new Promise((resolve) => setImmediate(resolve));
    });
  });
});

forEachStore('a batch window', (open, kind) => {
  if (kind === 'redis') {
    it('whose server dies hides its messages for the short lease only, however long window and visibility timeout are', async () => {
      const [one, two] = await openTwo(open);
      const queue = await one.queue('jobs', { visibilityTimeoutSeconds: 600 });
      await two.directory.find(queue.key);
      one.apply(mappingOf(queue, { batchWindowSeconds: 300, functionTimeoutSeconds: 10 }));
      await queue.send([message('collected by the dead')]);
      await one.events.next('leased');
      // From now on it can do nothing that others would see.
      one.directory.close();
      await one.store.close();
      two.apply(mappingOf(queue, { functionTimeoutSeconds: 10 }));
      await two.quiet();

      // The lease, and the two seconds that whoever is not preferred waits.
      const asTwoSeesIt = two.directory.byKey(queue.key);
      for (let second = 0; second < 28 && two.lambda.calls.length === 0; second += 1) {
        await two.pass(1_000);
        await asTwoSeesIt?.depth();
        await two.quiet();
      }
      expect(two.lambda.calls.flatMap(({ bodies }) => bodies)).toEqual(['collected by the dead']);
    });
  }

  it('longer than its leases keeps the messages hidden from others, and invokes once, at its end', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 30 });
    world.apply(mappingOf(queue, { batchWindowSeconds: 120, functionTimeoutSeconds: 10 }));
    await queue.send([message('collected')]);
    await world.events.next('leased');
    for (let passed = 0; passed < 115; passed += 5) {
      await world.pass(5_000);
      await world.settled();
    }
    expect(world.lambda.calls).toEqual([]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
    await world.pass(5_000);

    await world.events.next('deleted');
    expect(world.lambda.calls).toHaveLength(1);
    expect(world.events.of('leased')).toHaveLength(1);
  });

  it('invokes no message whose lease it has lost', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 30 });
    world.apply(mappingOf(queue, { batchWindowSeconds: 10, functionTimeoutSeconds: 10 }));
    await queue.send([message('purged'), message('purged as well')]);
    await world.events.next('leased');
    await queue.purge();
    await world.pass(10_000);

    const { detail } = await world.events.next('warning', ({ what }) => what === 'store-error');
    expect(detail).toContain('2 of 2 were received again, or are gone');
    await world.quiet();
    expect(world.lambda.calls).toEqual([]);
  });
});

forEachStore('a queue without a visibility timeout', (open) => {
  it('a message that fails is invoked again after a second, not as fast as it fails', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 0 });
    world.lambda.script(CRASH);
    world.apply(mappingOf(queue));
    await queue.send([message('fails once')]);
    await world.events.next('failed');
    await world.settled();
    expect(world.lambda.calls).toHaveLength(1);
    await world.pass(1_000);

    await world.events.next('deleted');
    expect(world.lambda.calls).toHaveLength(2);
  });
});
