import { expect, it } from 'vitest';
import { forEachStore, groupMessages, mappingOf } from '../../support/consumer-world.ts';
import { CRASH, Gate, type LambdaCall, reportFailures, SUCCESS } from '../../support/scriptable-lambda.ts';

/** The message group of a batch, where it has one. */
function groupOf(call: LambdaCall): string | undefined {
  return call.records[0]?.attributes['MessageGroupId'];
}

forEachStore('FIFO', (open) => {
  it('order per group: each group in the order of sending', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    const numbers = Array.from({ length: 25 }, (_, index) => String(index));
    for (const group of ['a', 'b', 'c']) await queue.send(groupMessages(group, numbers));
    world.apply(mappingOf(queue));
    await world.events.until(() => world.counts.byMapping().values().next().value?.DeletedEventCount === 75);

    const records = world.lambda.calls.flatMap((call) => call.records);
    for (const group of ['a', 'b', 'c']) {
      const seen = records.filter(({ attributes }) => attributes['MessageGroupId'] === group).map(({ body }) => body);
      expect(seen).toEqual(numbers);
    }
  });

  it('order per group: one batch of a group in flight, others beside it', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    const gates = { a: new Gate(), b: new Gate() };
    const running = new Set<string>();
    world.lambda.behave(async (call) => {
      const group = groupOf(call) ?? '';
      expect(running).not.toContain(group);
      running.add(group);
      await (group === 'a' ? gates.a : gates.b).opened;
      running.delete(group);
      return SUCCESS;
    });
    await queue.send([...groupMessages('a', ['1', '2', '3', '4']), ...groupMessages('b', ['1', '2', '3', '4'])]);
    world.apply(mappingOf(queue, { batchSize: 2 }));

    expect([groupOf(await world.lambda.next()), groupOf(await world.lambda.next())].sort()).toEqual(['a', 'b']);
    gates.a.open();
    expect(groupOf(await world.lambda.next())).toBe('a');
    gates.b.open();
    await world.events.until(() => world.events.of('deleted').length === 4);

    expect(world.lambda.calls).toHaveLength(4);
  });

  it('a batch is filled from several groups, so that there are as many Invokes as with Lambda', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    await queue.send(Array.from({ length: 100 }, (_, index) => groupMessages(`g${index}`, ['x'])).flat());
    world.apply(mappingOf(queue));
    await world.events.until(() => world.events.of('deleted').flatMap(({ messageIds }) => messageIds).length === 100);

    expect(world.lambda.calls).toHaveLength(10);
  });

  it('a group that always fails takes others with it once, and is invoked alone from then on', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(({ bodies }) => (bodies.includes('poison') ? CRASH : SUCCESS));
    await queue.send(['poison', 'b', 'c'].flatMap((body) => groupMessages(body, [body])));
    world.apply(mappingOf(queue));
    await world.events.next('failed');
    await world.settled();
    await world.pass(60_001);
    await world.events.until(() => world.events.of('deleted').length === 2);
    await world.events.next('failed');
    // The next receive meets the group together with new ones of others.
    await queue.send(['d', 'e'].flatMap((body) => groupMessages(body, [body])));
    await world.events.until(() => world.events.of('deleted').length === 3);
    await world.settled();
    await world.pass(60_001);
    await world.events.next('failed');

    const poisoned = world.lambda.calls.map(({ bodies }) => bodies).filter((bodies) => bodies.includes('poison'));
    expect(poisoned.map((bodies) => bodies.length)).toEqual([3, 1, 1]);
  });

  it('group lock across failure: failed messages come back first, later ones of the group wait', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 60 });
    world.lambda.script(CRASH);
    await queue.send(groupMessages('a', ['1', '2', '3']));
    world.apply(mappingOf(queue, { batchSize: 2 }));
    await world.events.next('failed');
    await queue.send(groupMessages('a', ['4']));
    await world.pass(59_999);
    await world.quiet();
    expect(world.lambda.calls).toHaveLength(1);

    await world.pass(1);
    await world.events.until(() => world.events.of('deleted').length === 2);

    expect(world.lambda.calls.map(({ bodies }) => bodies)).toEqual([
      ['1', '2'],
      ['1', '2'],
      ['3', '4'],
    ]);
  });

  it('other groups proceed while one fails', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    world.lambda.behave((call) => (groupOf(call) === 'poison' ? CRASH : SUCCESS));
    await queue.send([...groupMessages('poison', ['1', '2']), ...groupMessages('well', ['1', '2', '3'])]);
    world.apply(mappingOf(queue, { batchSize: 1 }));

    await world.events.until(() => world.events.of('deleted').length === 3);
    await world.quiet();

    expect(world.lambda.calls.filter((call) => groupOf(call) === 'poison').map(({ bodies }) => bodies)).toEqual([
      ['1'],
    ]);
  });

  it('partial failure redelivers before later messages', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(({ index, records }) =>
      reportFailures(index === 0 ? records.slice(1).map(({ messageId }) => messageId) : []),
    );
    await queue.send(groupMessages('a', ['1', '2', '3']));
    world.apply(mappingOf(queue, { reportBatchItemFailures: true, batchSize: 3 }));
    await world.events.next('deleted');
    await queue.send(groupMessages('a', ['4', '5']));
    await world.quiet();
    expect(world.lambda.calls).toHaveLength(1);
    await world.pass(60_001);
    await world.events.until(() => world.events.of('deleted').flatMap(({ messageIds }) => messageIds).length === 5);

    const bodies = world.lambda.calls.flatMap((call) => call.bodies);
    expect(bodies).toEqual(['1', '2', '3', '2', '3', '4', '5']);
  });

  it('partial failure: messages that were not reported are deleted, also behind a failed one of their group', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    world.lambda.behave(({ index, records }) => reportFailures(index === 0 ? [records[1]?.messageId ?? ''] : []));
    await queue.send(groupMessages('a', ['1', '2', '3', '4']));
    world.apply(mappingOf(queue, { reportBatchItemFailures: true }));
    await world.events.next('deleted');
    await world.pass(60_001);
    await world.events.next('deleted');

    expect(world.lambda.calls.map(({ bodies }) => bodies)).toEqual([['1', '2', '3', '4'], ['2']]);
  });

  it('messages behind an oversize one of their group wait for it to become a dead letter', async () => {
    const world = await open();
    const deadLetters = await world.queue('dead.fifo');
    const redrivePolicy = {
      deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:111122223333:dead.fifo',
      maxReceiveCount: 1,
    };
    const queue = await world.queue('jobs.fifo', { redrivePolicy });
    await queue.send(groupMessages('a', ['1', '\u0001'.repeat(1_048_576), '3']));
    world.apply(mappingOf(queue));
    expect((await world.lambda.next()).bodies).toEqual(['1']);
    await world.events.next('failed');
    await world.events.next('deleted');
    await world.quiet();
    expect(world.lambda.calls).toHaveLength(1);
    await world.pass(60_001);

    await world.events.next('dead-lettered');
    expect((await world.lambda.next()).bodies).toEqual(['3']);
    expect(await deadLetters.depth()).toMatchObject({ visible: 1 });
  });
});
