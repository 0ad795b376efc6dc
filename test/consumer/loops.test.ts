import { expect, it } from 'vitest';
import { DEFAULT_SETTINGS } from '../../runtime/consumer/parts.ts';
import { formatQueueArn } from '../../runtime/queue/arn.ts';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import { forEachStore, mappingOf, message, type World } from '../support/consumer-world.ts';
import { CRASH, SUCCESS } from '../support/scriptable-lambda.ts';

const TRACE = 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1';
const STOP = { 'karin:stop-loops': 'true' };
/** Two messages a minute for two minutes are a loop here. */
const SETTINGS = { ...DEFAULT_SETTINGS, loops: { messagesPerMinute: 2, minutes: 2 } };

/** A trace that goes on for three minutes; the message that gives it away is the last one, and is returned. */
async function loop(world: World, queue: StoredQueue) {
  for (let sent = 1; sent < 5; sent += 1) {
    await queue.send([message('again', { traceHeader: TRACE })]);
    await world.events.next('deleted');
    await world.pass(30_000);
  }
  const last = message('once more', { traceHeader: TRACE });
  await queue.send([last]);
  return last;
}

forEachStore('A probable loop', (open) => {
  it('is warned of, and its messages are delivered all the same', async () => {
    const world = await open({ supervisor: { settings: SETTINGS } });
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue);
    world.apply(mapping);
    const last = await loop(world, queue);

    expect(await world.events.next('warning')).toMatchObject({ what: 'probable-loop', mapping: mapping.uuid });
    expect((await world.events.next('deleted')).messageIds).toEqual([last.id]);
  });

  it('where it is to be stopped: its messages go to the dead-letter queue, others are delivered', async () => {
    const world = await open({ supervisor: { settings: SETTINGS } });
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 5);
    world.apply(mappingOf(queue, { tags: STOP }));
    const last = await loop(world, queue);
    expect((await world.events.next('dead-lettered')).messageIds).toEqual([last.id]);
    const innocent = message('innocent');
    await queue.send([innocent]);

    expect((await world.events.next('deleted')).messageIds).toEqual([innocent.id]);
    expect(await deadLetters.receive({ maxMessages: 10 })).toMatchObject([{ id: last.id, body: 'once more' }]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('what is moved keeps its sent time and its receives, and says where it comes from', async () => {
    const world = await open({ supervisor: { settings: SETTINGS } });
    const { queue, deadLetters } = await world.queueWithDeadLetters('jobs', 5, { visibilityTimeoutSeconds: 200 });
    world.lambda.behave(({ bodies }) => (bodies.includes('failed before') ? CRASH : SUCCESS));
    world.apply(mappingOf(queue, { batchSize: 1, tags: STOP }));
    const failed = message('failed before', { traceHeader: TRACE });
    await queue.send([failed]);
    await world.events.next('failed');
    await loop(world, queue);
    await world.events.next('dead-lettered');
    await world.pass(100_000);

    expect((await world.events.next('dead-lettered')).messageIds).toEqual([failed.id]);
    const dead = (await deadLetters.receive({ maxMessages: 10 })).find(({ id }) => id === failed.id);
    const { SentTimestamp, ApproximateFirstReceiveTimestamp } = world.lambda.calls[0]?.records[0]?.attributes ?? {};
    expect(dead).toMatchObject({
      // Invoked once, and received here once; the receive of the move is not counted.
      receiveCount: 2,
      sentAt: Number(SentTimestamp),
      firstReceivedAt: Number(ApproximateFirstReceiveTimestamp),
      deadLetterSourceArn: formatQueueArn(queue.arn),
      traceHeader: TRACE,
    });
  });

  it('where it is to be stopped and there is no dead-letter queue: the mapping is paused, nothing is dropped', async () => {
    const world = await open({ supervisor: { settings: { ...SETTINGS, stopLoops: true } } });
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue);
    world.apply(mapping);
    const last = await loop(world, queue);

    expect((await world.events.next('mapping-stopped')).why).toContain('a probable loop');
    await world.events.next('released');
    await world.quiet();
    expect(await queue.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
    expect(world.supervisor.snapshot().queues[0]?.mappings[0]?.paused).toContain('a probable loop');
    // A sync that finds the mapping as it was does not wake it.
    world.apply({ ...mapping, lastModified: 0 });
    await world.quiet();
    expect(await queue.depth()).toMatchObject({ visible: 1 });

    world.supervisor.resume(mapping.uuid);

    expect((await world.events.next('deleted')).messageIds).toEqual([last.id]);
  });
});
