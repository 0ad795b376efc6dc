import { expect, it } from 'vitest';
import { forEachStore, groupMessages, mappingOf, message } from '../../support/consumer-world.ts';
import { type Answer, SUCCESS } from '../../support/scriptable-lambda.ts';

const FUNCTION = 'arn:aws:lambda:eu-west-1:111122223333:function:worker';

forEachStore('Mapping', (open) => {
  it('invokes aliases, versions and $LATEST as the mapping gives them', async () => {
    const world = await open();
    const arns = [FUNCTION, `${FUNCTION}:live`, `${FUNCTION}:3`, `${FUNCTION}:$LATEST`];
    const queues = await Promise.all(arns.map((_, index) => world.queue(`jobs-${index}`)));
    world.apply(...queues.map((queue, index) => mappingOf(queue, { functionArn: arns[index] ?? '' })));
    for (const queue of queues) await queue.send([message(queue.key)]);
    await world.events.until(() => world.events.of('deleted').length === arns.length);

    const invoked = new Map(world.lambda.calls.map(({ bodies, functionName }) => [bodies[0], functionName]));
    expect(queues.map(({ key }) => invoked.get(key))).toEqual(arns);
  });

  it('sets a mapping whose function is gone (404) apart and goes on with the others', async () => {
    const world = await open();
    const gone: Answer = { kind: 'error', status: 404, type: 'ResourceNotFoundException' };
    world.lambda.behave(({ functionName }) => (functionName.endsWith('orphan') ? gone : SUCCESS));
    const orphaned = await world.queue('orphaned');
    const healthy = await world.queue('healthy');
    world.apply(mappingOf(orphaned, { functionArn: `${FUNCTION}-orphan` }), mappingOf(healthy));
    await orphaned.send([message('waits')]);
    await world.events.next('failed');
    await healthy.send([message('handled')]);

    await world.events.next('deleted');
    await world.events.next('released');
    expect(await orphaned.depth()).toMatchObject({ visible: 1, inFlight: 0 });
    expect(await healthy.depth()).toMatchObject({ inFlight: 0, visible: 0 });
  });

  it('shares the messages of one queue between two functions, each message to one of them', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const bodies = Array.from({ length: 100 }, (_, index) => String(index));
    for (const ten of [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]) {
      await queue.send(bodies.slice(ten, ten + 10).map((body) => message(body)));
    }
    world.apply(
      mappingOf(queue, { functionArn: `${FUNCTION}:blue`, batchSize: 5 }),
      mappingOf(queue, { functionArn: `${FUNCTION}:green`, batchSize: 5 }),
    );
    await world.events.until(() => world.events.of('deleted').flatMap(({ messageIds }) => messageIds).length === 100);

    expect(world.lambda.calls.flatMap((call) => call.bodies).sort()).toEqual([...bodies].sort());
    expect(new Set(world.lambda.calls.map(({ functionName }) => functionName)).size).toBe(2);
    expect(world.events.of('warning').map(({ what }) => what)).toEqual(['several-mappings']);
  });

  it('holds a mapping whose filter cannot be computed back and runs the others', async () => {
    const world = await open();
    const strange = await world.queue('strange');
    const healthy = await world.queue('healthy');
    const broken = mappingOf(strange, { filterPatterns: ['{"body":{"a":[{"no-such-operator":1}]}}'] });
    const diff = world.apply(broken, mappingOf(healthy));
    await strange.send([message('{"a":1}')]);
    await healthy.send([message('x')]);
    await world.events.next('deleted');
    await world.quiet();

    expect(diff.broken).toMatchObject([{ uuid: broken.uuid }]);
    expect(diff.broken[0]?.reason).toContain('no-such-operator');
    expect(world.supervisor.snapshot().broken).toEqual(diff.broken);
    expect(await strange.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
  });

  it('stops consuming for a mapping that is no longer given and ends what is on its way as always', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue);
    world.apply(mapping);
    await queue.send([message('before')]);
    await world.lambda.next();
    const diff = world.apply();
    await queue.send([message('after')]);
    await world.events.next('deleted');
    await world.quiet();

    expect(diff.removed).toEqual([mapping]);
    expect(await world.events.next('mapping-stopped')).toMatchObject({ mapping: mapping.uuid });
    expect(world.lambda.calls).toHaveLength(1);
    expect(await queue.depth()).toMatchObject({ visible: 1 });
  });

  it('keeps queues of the same name in two accounts apart', async () => {
    const world = await open();
    const ours = await world.queue('jobs', {}, '111122223333');
    const theirs = await world.queue('jobs', {}, '444455556666');
    world.apply(mappingOf(ours, { functionArn: 'ours' }), mappingOf(theirs, { functionArn: 'theirs' }));
    await theirs.send([message('for them')]);
    await world.events.next('deleted');
    await ours.send([message('for us')]);
    await world.events.next('deleted');

    expect(world.lambda.calls.map(({ functionName, bodies }) => [functionName, bodies[0]])).toEqual([
      ['theirs', 'for them'],
      ['ours', 'for us'],
    ]);
  });

  it('an unchanged mapping does not notice a sync', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue, { batchWindowSeconds: 300 });
    world.apply(mapping);
    await queue.send([message('collected')]);
    await world.events.next('leased');

    // As it comes back from the store after a restart: its members in another order.
    const { uuid, ...members } = mapping;
    const diff = world.apply({ ...members, lastModified: mapping.lastModified + 1, uuid });

    expect(diff).toEqual({
      added: [],
      changed: [],
      removed: [],
      broken: [],
      leftAlone: [],
      unchanged: 1,
      warnings: [],
    });
    expect(world.supervisor.snapshot().queues[0]?.mappings[0]?.collecting).toBe(1);
  });

  it('a mapping is served as soon as its queue exists, and no longer than that', async () => {
    const world = await open();
    const arn = { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'later' };
    const mapping = mappingOf({ arn });
    world.apply(mapping);
    expect(world.supervisor.snapshot().withoutQueue).toEqual([mapping.uuid]);

    const queue = await world.queue('later');
    await queue.send([message('hello')]);
    await world.events.next('deleted');
    await world.directory.remove(queue);

    expect(world.supervisor.snapshot().withoutQueue).toEqual([mapping.uuid]);
    expect(await world.events.next('mapping-stopped')).toMatchObject({ why: 'its queue was deleted' });
  });

  it.each(['hold', 'forward'] as const)(
    'mode %s: kept and not invoked, until the mode is consume again',
    async (mode) => {
      const world = await open();
      const queue = await world.queue('jobs');
      await queue.send([message('kept')]);
      await world.directory.setMode(queue, mode);
      world.apply(mappingOf(queue));
      await world.quiet();
      expect(await queue.depth()).toMatchObject({ visible: 1 });
      expect(world.supervisor.snapshot().queues[0]?.state).toBe('held');

      await world.directory.setMode(queue, 'consume');

      await world.events.next('mapping-started');
      await world.events.next('deleted');
    },
  );

  it('mode hold: an open batch window is given back', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { batchWindowSeconds: 300 }));
    await queue.send([message('kept')]);
    await world.events.next('leased');
    await world.directory.setMode(queue, 'hold');

    expect((await world.events.next('released')).why).toBe('the queue is in mode hold');
    expect(await queue.depth()).toMatchObject({ visible: 1, inFlight: 0 });
  });

  it('a mapping moved to another queue goes with its settings', async () => {
    const world = await open();
    const [before, after] = [await world.queue('before'), await world.queue('after.fifo')];
    const mapping = mappingOf(before);
    world.apply(mapping);
    world.apply({ ...mapping, queueArn: after.arn });
    await before.send([message('stays')]);
    await after.send(groupMessages('g', ['goes']));
    await world.events.next('deleted');
    await world.quiet();

    expect(world.lambda.calls.map(({ bodies }) => bodies)).toEqual([['goes']]);
    expect(await before.depth()).toMatchObject({ visible: 1 });
  });
});
