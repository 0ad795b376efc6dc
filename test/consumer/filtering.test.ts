import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../support/consumer-world.ts';

const WANTED = { filterPatterns: ['{"body":{"wanted":[true]}}'] };

forEachStore('Filters', (open) => {
  it('what no filter matches is deleted and counted', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue, WANTED);
    await queue.send([message('{"wanted":true}'), message('{"wanted":false}'), message('no JSON')]);
    world.apply(mapping);
    await world.events.until(() => world.events.of('deleted').length + world.events.of('filtered-out').length === 2);

    expect(world.lambda.calls.map(({ bodies }) => bodies)).toEqual([['{"wanted":true}']]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(world.counts.byMapping().get(mapping.uuid)).toEqual({
      PolledEventCount: 3,
      FilteredOutEventCount: 2,
      InvokedEventCount: 1,
      FailedInvokeEventCount: 0,
      DeletedEventCount: 3,
    });
  });

  it('a mapping whose filters drop everything is warned of, once', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    // A common mistake: the level "body" is missing.
    const mapping = mappingOf(queue, { filterPatterns: ['{"wanted":[true]}'] });
    world.apply(mapping);
    for (let round = 0; round < 5; round += 1) {
      await queue.send(Array.from({ length: 10 }, () => message('{"wanted":true}')));
      await world.events.until(
        () => world.events.of('filtered-out').flatMap(({ messageIds }) => messageIds).length === (round + 1) * 10,
      );
    }

    expect(world.events.of('warning')).toMatchObject([{ what: 'filters-drop-everything', mapping: mapping.uuid }]);
  });

  it('one match is enough to trust them', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, WANTED));
    await queue.send([message('{"wanted":true}')]);
    await world.events.next('deleted');
    await queue.send(Array.from({ length: 50 }, () => message('{"wanted":false}')));
    await world.events.until(
      () => world.events.of('filtered-out').flatMap(({ messageIds }) => messageIds).length === 50,
    );

    expect(world.events.of('warning')).toEqual([]);
  });

  it('a batch that fails does not bring back what was filtered out of it', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave(() => ({ kind: 'function-error', errorType: 'Error', message: 'no' }));
    await queue.send([message('{"wanted":true}'), message('{"wanted":false}')]);
    world.apply(mappingOf(queue, WANTED));
    await world.events.next('failed');
    await world.events.next('filtered-out');

    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
  });
});
