import { expect, it } from 'vitest';
import { formatQueueArn } from '../../../runtime/queue/names.ts';
import { forEachStore, groupMessages, mappingOf, message } from '../../support/consumer-world.ts';
import { CRASH, reportFailures, SUCCESS } from '../../support/scriptable-lambda.ts';

forEachStore('DLQ', (open) => {
  it('N invocations, then moved as soon as the last lease ends, with the same MessageId and body', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 3);
    world.lambda.behave(() => CRASH);
    const poison = message('poison');
    await queue.send([poison]);
    world.apply(mappingOf(queue));
    for (let receive = 1; receive <= 3; receive += 1) {
      await world.events.next('failed');
      await world.pass(60_001);
    }

    expect((await world.events.next('dead-lettered')).messageIds).toEqual([poison.id]);
    expect(world.lambda.calls.map(({ records }) => records[0]?.attributes['ApproximateReceiveCount'])).toEqual([
      '1',
      '2',
      '3',
    ]);
    const [dead] = await deadLetters.receive({ maxMessages: 1 });
    expect(dead).toMatchObject({ id: poison.id, body: 'poison', deadLetterSourceArn: formatQueueArn(queue.arn) });
  });

  it('FIFO: the move unlocks the group', async () => {
    const world = await open();
    const deadLetters = await world.queue('dead.fifo');
    const redrivePolicy = { deadLetterTargetArn: formatQueueArn(deadLetters.arn), maxReceiveCount: 1 };
    const queue = await world.queue('jobs.fifo', { redrivePolicy });
    world.lambda.behave(({ bodies }) => (bodies.includes('poison') ? CRASH : SUCCESS));
    await queue.send(groupMessages('a', ['poison', 'next']));
    world.apply(mappingOf(queue, { batchSize: 1 }));
    await world.events.next('failed');
    await world.pass(60_001);

    await world.events.next('dead-lettered');
    await world.events.next('deleted');
    expect(world.lambda.calls.map(({ bodies }) => bodies)).toEqual([['poison'], ['next']]);
    expect(await deadLetters.depth()).toMatchObject({ visible: 1 });
  });

  it('a dead-letter queue with its own mapping is an ordinary queue', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 1);
    world.lambda.behave(({ functionName }) => (functionName === 'undertaker' ? SUCCESS : CRASH));
    world.apply(mappingOf(queue), mappingOf(deadLetters, { functionArn: 'undertaker' }));
    const poison = message('poison');
    await queue.send([poison]);
    await world.events.next('failed');
    await world.pass(60_001);

    expect((await world.events.next('deleted')).messageIds).toEqual([poison.id]);
    const [, buried] = world.lambda.calls;
    expect(buried?.functionName).toBe('undertaker');
    expect(buried?.records[0]).toMatchObject({
      messageId: poison.id,
      attributes: { DeadLetterQueueSourceArn: formatQueueArn(queue.arn) },
    });
  });

  it('maxReceiveCount 1: one invocation', async () => {
    const world = await open();
    const { queue } = await world.queueWithDeadLetters('jobs', 1);
    world.lambda.behave(() => CRASH);
    world.apply(mappingOf(queue));
    await queue.send([message('poison')]);
    await world.events.next('failed');
    await world.pass(60_001);

    await world.events.next('dead-lettered');
    expect(world.lambda.calls).toHaveLength(1);
  });

  it('reported messages of a batch move alone', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 2);
    const bad = message('bad');
    world.lambda.behave(({ records }) =>
      reportFailures(records.filter(({ body }) => body === 'bad').map(({ messageId }) => messageId)),
    );
    world.apply(mappingOf(queue, { reportBatchItemFailures: true }));
    await queue.send([message('good'), bad, message('good too')]);
    await world.events.next('succeeded');
    await world.pass(60_001);
    await world.events.next('succeeded');
    await world.pass(60_001);

    expect((await world.events.next('dead-lettered')).messageIds).toEqual([bad.id]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(await deadLetters.depth()).toMatchObject({ visible: 1 });
  });

  it('any number of dead letters at once does not hold up the messages behind them', async () => {
    const world = await open();
    const { queue } = await world.queueWithDeadLetters('jobs', 1, { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(() => CRASH);
    await queue.send(Array.from({ length: 60 }, (_, index) => message(String(index))));
    const mapping = mappingOf(queue, { batchSize: 1 });
    world.apply(mapping);
    await world.events.until(() => world.events.of('failed').length === 60);
    await world.pass(60_001);
    world.lambda.behave(() => SUCCESS);
    await queue.send([message('behind them')]);

    await world.events.next('deleted');
    expect(world.events.of('dead-lettered').flatMap(({ messageIds }) => messageIds)).toHaveLength(60);
  });
});
