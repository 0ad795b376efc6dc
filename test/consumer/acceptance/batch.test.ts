import { expect, it } from 'vitest';
import { forEachStore, mappingOf, message } from '../../support/consumer-world.ts';
import { CRASH, SUCCESS } from '../../support/scriptable-lambda.ts';

/** Six bytes in JSON. */
const CONTROL = '\u0001';
const LARGEST_EVENT = 6_291_456;

forEachStore('Batch', (open) => {
  it('size: as many messages as there are, up to BatchSize', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send(['a', 'b', 'c', 'd', 'e'].map((body) => message(body)));
    world.apply(mappingOf(queue, { batchSize: 2 }));

    const calls = [await world.lambda.next(), await world.lambda.next(), await world.lambda.next()];

    expect(calls.map(({ bodies }) => bodies.length).sort()).toEqual([1, 2, 2]);
    expect(calls.flatMap(({ bodies }) => bodies).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('size: up to thousands of messages with a window', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    for (let sent = 0; sent < 1_200; sent += 300) {
      await queue.send(Array.from({ length: 300 }, (_, index) => message(String(sent + index))));
    }
    world.apply(mappingOf(queue, { batchSize: 1_100, batchWindowSeconds: 5 }));

    const full = await world.lambda.next();
    await world.events.next('leased', ({ messageIds }) => messageIds.length === 100);
    await world.pass(5_000);
    const rest = await world.lambda.next();

    expect([full.bodies.length, rest.bodies.length]).toEqual([1_100, 100]);
    expect(new Set([...full.bodies, ...rest.bodies]).size).toBe(1_200);
  });

  it('window: collects from the first message until the window ends', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { batchWindowSeconds: 5 }));
    await queue.send([message('first')]);
    await world.events.next('leased');
    await world.pass(3_000);
    await queue.send([message('second')]);
    await world.events.next('leased');
    await world.pass(1_999);
    expect(world.lambda.calls).toEqual([]);

    await world.pass(1);

    expect((await world.lambda.next()).bodies).toEqual(['first', 'second']);
  });

  it('window: flushed as soon as the batch is full', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { batchWindowSeconds: 300, batchSize: 2 }));
    await queue.send([message('first')]);
    await world.events.next('leased');
    await queue.send([message('second')]);

    expect((await world.lambda.next()).bodies).toEqual(['first', 'second']);
  });

  it('window: a failure makes the messages due one visibility timeout after the flush at the end of the window', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(() => CRASH);
    world.apply(mappingOf(queue, { batchWindowSeconds: 20 }));
    await queue.send([message('early')]);
    await world.events.next('leased');
    await world.pass(15_000);
    await queue.send([message('late')]);
    await world.events.next('leased');
    await world.pass(5_000);
    await world.events.next('failed');
    await world.settled();

    await world.pass(59_000);
    await world.quiet();
    expect(world.events.of('leased')).toHaveLength(2);
    await world.pass(1_001);

    const again = await world.events.next('leased', ({ receiveCounts }) => receiveCounts.includes(2));
    expect(again.receiveCounts).toEqual([2, 2]);
  });

  it('window: a failure makes the messages due one visibility timeout after a flush on size', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(() => CRASH);
    world.apply(mappingOf(queue, { batchWindowSeconds: 200, batchSize: 2 }));
    await queue.send([message('early')]);
    await world.events.next('leased');
    await world.pass(10_000);
    await queue.send([message('late')]);
    await world.events.next('failed');
    // The leases were shortened before the Invoke, but not waited for.
    await world.settled();

    await world.pass(59_000);
    await world.quiet();
    expect(world.events.of('leased')).toHaveLength(2);
    await world.pass(1_001);

    const again = await world.events.next('leased', ({ receiveCounts }) => receiveCounts.includes(2));
    expect(again.receiveCounts).toEqual([2, 2]);
  });

  it('window: a message moved by the function itself comes back when the function said', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(async (call) => {
      if (call.index > 0) return SUCCESS;
      await queue.changeVisibility([{ receiptHandle: call.records[0]?.receiptHandle ?? '', timeoutMs: 5_000 }]);
      return CRASH;
    });
    world.apply(mappingOf(queue, { batchWindowSeconds: 200, batchSize: 1 }));
    await queue.send([message('impatient')]);
    await world.events.next('failed');

    await world.pass(5_001);

    expect((await world.events.next('leased', ({ receiveCounts }) => receiveCounts[0] === 2)).messageIds).toHaveLength(
      1,
    );
  });

  it('window: an open batch is given back uncounted when the server stops', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { batchWindowSeconds: 300 }));
    await queue.send([message('patient')]);
    await world.events.next('leased');

    await world.supervisor.stop(10_000);

    expect(world.lambda.calls).toEqual([]);
    expect(world.events.of('released').map(({ messageIds }) => messageIds.length)).toEqual([1]);
    const received = await queue.receive({ maxMessages: 10 });
    expect(received.map(({ body, receiveCount }) => [body, receiveCount])).toEqual([['patient', 1]]);
  });

  it('window: an open batch is flushed early when others starve for memory', async () => {
    const world = await open({ supervisor: { limits: { maxInvokes: 10, maxBytes: 1_200_000 } } });
    const collecting = await world.queue('collecting');
    const waiting = await world.queue('waiting');
    world.apply(
      mappingOf(collecting, { batchWindowSeconds: 300, functionArn: 'collector' }),
      mappingOf(waiting, { functionArn: 'hasty' }),
    );
    await collecting.send([message('x'.repeat(600_000))]);
    await world.events.next('leased');
    await waiting.send([message('urgent')]);

    expect((await world.lambda.next()).functionName).toBe('collector');
    expect((await world.lambda.next()).bodies).toEqual(['urgent']);
  });

  it('6,291,456-byte split: events are cut before the limit, counted as serialised', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send(Array.from({ length: 10 }, () => message(CONTROL.repeat(200_000))));
    world.apply(mappingOf(queue));

    const calls = [await world.lambda.next(), await world.lambda.next()];
    await world.events.until(() => world.events.of('deleted').length === 2);

    expect(calls.map(({ records }) => records.length)).toEqual([5, 5]);
    expect(calls.every(({ bytes }) => bytes <= LARGEST_EVENT)).toBe(true);
    expect(new Set(calls.flatMap(({ records }) => records.map(({ messageId }) => messageId))).size).toBe(10);
    expect(world.events.of('leased')).toHaveLength(1);
  });

  it('6,291,456-byte split: what finds no free slot is given back uncounted', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send(Array.from({ length: 10 }, () => message(CONTROL.repeat(200_000))));
    world.apply(mappingOf(queue, { maximumConcurrency: 1 }));

    const calls = [await world.lambda.next(), await world.lambda.next()];

    expect(world.events.of('released').map(({ messageIds }) => messageIds.length)).toEqual([5]);
    expect(calls.flatMap(({ records }) => records.map((r) => r.attributes['ApproximateReceiveCount']))).toEqual(
      Array.from({ length: 10 }, () => '1'),
    );
  });

  it('single oversize record: never invoked, in the end a dead letter; the others are delivered', async () => {
    const world = await open();
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 1);
    const oversize = message(CONTROL.repeat(1_048_576));
    await queue.send([message('before'), oversize, message('after')]);
    world.apply(mappingOf(queue));

    const failed = await world.events.next('failed');
    expect(failed).toMatchObject({ reason: 'oversize-record', messageIds: [oversize.id] });
    expect((await world.lambda.next()).bodies).toEqual(['before', 'after']);
    await world.events.next('deleted');
    await world.pass(60_001);

    expect((await world.events.next('dead-lettered')).messageIds).toEqual([oversize.id]);
    expect(world.lambda.calls).toHaveLength(1);
    expect(await deadLetters.depth()).toMatchObject({ visible: 1 });
  });

  it('empty never invoked: a batch whose messages are all filtered out', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(mappingOf(queue, { filterPatterns: ['{"body":{"wanted":[true]}}'] }));
    await queue.send([message('{"wanted":false}'), message('not JSON')]);

    expect((await world.events.next('filtered-out')).messageIds).toHaveLength(2);
    await world.quiet();

    expect(world.lambda.calls).toEqual([]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('filter before size: only matches count towards BatchSize', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.apply(
      mappingOf(queue, { batchSize: 2, batchWindowSeconds: 300, filterPatterns: ['{"body":{"wanted":[true]}}'] }),
    );
    await queue.send([message('{"wanted":true,"n":1}')]);
    await world.events.next('leased');
    await queue.send([message('{"wanted":false}')]);
    await world.events.next('filtered-out');
    expect(world.lambda.calls).toEqual([]);
    await queue.send([message('{"wanted":true,"n":2}')]);

    expect((await world.lambda.next()).bodies).toEqual(['{"wanted":true,"n":1}', '{"wanted":true,"n":2}']);
  });

  it('a changed mapping flushes what it had collected and goes on with the new settings', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue, { batchWindowSeconds: 300 });
    world.apply(mapping);
    await queue.send([message('collected')]);
    await world.events.next('leased');

    world.apply({ ...mapping, batchWindowSeconds: 0, lastModified: mapping.lastModified + 1 });
    expect((await world.lambda.next()).bodies).toEqual(['collected']);
    await queue.send([message('at once')]);

    expect((await world.lambda.next()).bodies).toEqual(['at once']);
  });
});
