import { expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import { StoreFullError } from '../../runtime/store/store.ts';
import { existing, forEachStore, message, type QueueWorld } from './queue-world.ts';

const LEASE_SECONDS = 10;

/** Receives and lets the leases run out, so many times. */
async function failTimes(world: QueueWorld, queue: Queue, times: number, seconds = LEASE_SECONDS): Promise<void> {
  for (let round = 0; round < times; round += 1) {
    expect(await queue.receive({ maxMessages: 10 })).not.toEqual([]);
    world.time.advance(seconds * 1000);
  }
}

async function bodies(queue: Queue): Promise<readonly string[]> {
  return (await queue.receive({ maxMessages: 10 })).map(({ body }) => body);
}

forEachStore('dead letters', (open) => {
  async function pair(maxReceiveCount = 2) {
    const world = await open();
    const target = await world.queue('dead', { visibilityTimeoutSeconds: LEASE_SECONDS });
    const source = await world.queueWithDeadLetters('jobs', target, maxReceiveCount, {
      visibilityTimeoutSeconds: LEASE_SECONDS,
    });
    return { world, source, target };
  }

  it('moves a message at the receive that would be one too many, with its whole history', async () => {
    const { world, source, target } = await pair();
    const sent = message('poison', { attributes: { a: { dataType: 'String', stringValue: 'x' } } });
    const sentAt = world.time.now();
    await source.send([sent]);
    world.time.advance(500);
    await failTimes(world, source, 2);
    expect(await source.receive({ maxMessages: 10 })).toEqual([]);
    expect(await source.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    const [moved] = await target.receive({ maxMessages: 10 });
    expect(moved).toMatchObject({
      id: sent.id,
      body: 'poison',
      attributes: sent.attributes,
      sentAt,
      firstReceivedAt: sentAt + 500,
      // Twice in the source, once here; the move's own receive is not counted.
      receiveCount: 3,
      deadLetterSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:jobs',
    });
    expect(world.events).toEqual([
      { kind: 'dead-lettered', queue: source.key, target: target.key, messageIds: [sent.id] },
    ]);
  });

  it('moves with a message why it failed last, and when', async () => {
    const { world, source, target } = await pair();
    const sent = message('poison');
    await source.send([sent]);
    await failTimes(world, source, 2);
    const failedAt = world.time.now();
    const failure = { errorType: 'Error', message: 'no', functionArn: 'arn', durationMs: 12, attempt: 2 };
    await source.keepFailures(new Map([[sent.id, failure]]));
    world.time.advance(5);
    expect(await source.receive({ maxMessages: 10 })).toEqual([]);
    expect(await target.browse(10)).toMatchObject([{ id: sent.id, failure: { ...failure, at: failedAt } }]);
    const [received] = await target.receive({ maxMessages: 10 });
    expect(JSON.stringify(received)).not.toContain('durationMs');
  });

  it('hands out the good messages of the same receive', async () => {
    const { world, source, target } = await pair(1);
    await source.send([message('poison')]);
    await failTimes(world, source, 1);
    await source.send([message('good')]);
    expect(await bodies(source)).toEqual(['good']);
    expect(await bodies(target)).toEqual(['poison']);
  });

  it('wakes whoever waits at the target', async () => {
    const { world, source, target } = await pair(1);
    await target.receive({ maxMessages: 1 });
    const waiting = target.receive({ maxMessages: 1, waitMs: 20_000 });
    await source.send([message('poison')]);
    await failTimes(world, source, 1);
    await source.receive({ maxMessages: 1 });
    expect((await waiting).map(({ body }) => body)).toEqual(['poison']);
  });

  it('moves as soon as the lease runs out if somebody waits for messages', async () => {
    const { world, source, target } = await pair(1);
    await source.send([message('poison')]);
    await source.receive({ maxMessages: 1 });
    const [waitingHere, waitingThere] = [
      source.receive({ maxMessages: 1, waitMs: 20_000 }),
      target.receive({ maxMessages: 1, waitMs: 20_000 }),
    ];
    world.time.advance(LEASE_SECONDS * 1000);
    expect((await waitingThere).map(({ body }) => body)).toEqual(['poison']);
    world.time.advance(20_000);
    expect(await waitingHere).toEqual([]);
  });

  it('does not move while nobody receives', async () => {
    const { world, source, target } = await pair(1);
    await source.send([message('poison')]);
    await failTimes(world, source, 1);
    world.time.advance(60_000);
    expect(await source.depth()).toMatchObject({ visible: 1 });
    expect(await target.depth()).toMatchObject({ visible: 0 });
  });

  it('counts anew in a dead-letter queue with a redrive policy of its own', async () => {
    const world = await open();
    const last = await world.queue('last');
    const middle = await world.queueWithDeadLetters('middle', last, 2, { visibilityTimeoutSeconds: LEASE_SECONDS });
    const first = await world.queueWithDeadLetters('first', middle, 3, { visibilityTimeoutSeconds: LEASE_SECONDS });
    await first.send([message('poison')]);
    await failTimes(world, first, 3);
    await first.receive({ maxMessages: 1 });
    await failTimes(world, middle, 2);
    expect(await bodies(middle)).toEqual([]);
    const [moved] = await last.receive({ maxMessages: 1 });
    expect(moved).toMatchObject({
      receiveCount: 6,
      deadLetterSourceArn: 'arn:aws:sqs:eu-west-1:123456789012:middle',
    });
  });

  it('lets a queue be its own dead-letter queue: it keeps its messages and hands them out', async () => {
    const world = await open();
    const queue = await world.queue('self', {
      visibilityTimeoutSeconds: LEASE_SECONDS,
      redrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:123456789012:self', maxReceiveCount: 1 },
    });
    await queue.send([message('kept')]);
    await failTimes(world, queue, 3);
    expect(await bodies(queue)).toEqual(['kept']);
    expect(world.events).toEqual([]);
  });

  it('keeps and hands out messages while the target does not exist, and says so once', async () => {
    const world = await open();
    const queue = await world.queue('jobs', {
      visibilityTimeoutSeconds: LEASE_SECONDS,
      redrivePolicy: { deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:123456789012:dead', maxReceiveCount: 1 },
    });
    await queue.send([message('kept')]);
    await failTimes(world, queue, 4);
    expect(world.events).toMatchObject([{ kind: 'queue-warning', what: 'dead-letter-queue-missing' }]);
    const target = await world.queue('dead');
    expect(await bodies(queue)).toEqual([]);
    expect(await bodies(target)).toEqual(['kept']);
  });

  it('does not move to a queue of the other type', async () => {
    const world = await open();
    const target = await world.queue('dead.fifo');
    const queue = await world.queueWithDeadLetters('jobs', target, 1, { visibilityTimeoutSeconds: LEASE_SECONDS });
    await queue.send([message('kept')]);
    await failTimes(world, queue, 1);
    expect(await bodies(queue)).toEqual(['kept']);
    expect(world.events).toMatchObject([{ kind: 'queue-warning', what: 'dead-letter-queue-missing' }]);
  });

  it('stores once what a crash between the two halves of a move repeats', async () => {
    const { world, source, target } = await pair(1);
    const sent = message('poison');
    await source.send([sent]);
    await failTimes(world, source, 1);
    // The first half of a move, by an instance that died then: stored in the target, still in the source.
    await target.send([sent]);
    await source.receive({ maxMessages: 1 });
    expect(await target.depth()).toMatchObject({ visible: 1 });
    expect(await source.depth()).toMatchObject({ visible: 0, inFlight: 0 });
  });
});

forEachStore('dead letters of FIFO queues', (open) => {
  it('go on from queue to queue where two are the dead-letter queue of each other, and are never taken for a repeat', async () => {
    const world = await open();
    const policy = (name: string) => ({
      deadLetterTargetArn: `arn:aws:sqs:eu-west-1:123456789012:${name}`,
      maxReceiveCount: 1,
    });
    // All of it is over before a safety sweep: what one hears of the head while the clock is moved is stale at once.
    const lease = { visibilityTimeoutSeconds: 1 };
    const one = await world.queue('one.fifo', { ...lease, redrivePolicy: policy('other.fifo') });
    const other = await world.queue('other.fifo', { ...lease, redrivePolicy: policy('one.fifo') });
    await one.send([message('wanders', { groupId: 'g', deduplicationId: 'd' })]);
    for (const queue of [one, other, one, other, one]) {
      await failTimes(world, queue, 1, 1);
      expect(await bodies(queue)).toEqual([]);
    }
    expect(await bodies(other)).toEqual(['wanders']);
  });

  it('free their group, count retention anew, and take their id as deduplication id', async () => {
    const world = await open();
    const target = await world.queue('dead.fifo');
    const source = await world.queueWithDeadLetters('jobs.fifo', target, 1, {
      visibilityTimeoutSeconds: LEASE_SECONDS,
    });
    const [poison, next] = [
      message('poison', { groupId: 'g', deduplicationId: 'one' }),
      message('next', { groupId: 'g', deduplicationId: 'two' }),
    ];
    await source.send([poison]);
    await failTimes(world, source, 1);
    await source.send([next]);
    expect(await bodies(source)).toEqual(['next']);
    const [moved] = await target.receive({ maxMessages: 1 });
    expect(moved).toMatchObject({ id: poison.id, groupId: 'g', deduplicationId: poison.id, sentAt: world.time.now() });
  });

  it('are both kept although they share a deduplication id', async () => {
    const world = await open();
    const target = await world.queue('dead.fifo');
    const source = await world.queueWithDeadLetters('jobs.fifo', target, 1, {
      visibilityTimeoutSeconds: LEASE_SECONDS,
      deduplicationScope: 'messageGroup',
    });
    await source.send([
      message('one', { groupId: 'a', deduplicationId: 'd' }),
      message('two', { groupId: 'b', deduplicationId: 'd' }),
    ]);
    await failTimes(world, source, 1);
    await source.receive({ maxMessages: 10 });
    expect(await target.depth()).toMatchObject({ visible: 2 });
  });
});

forEachStore('a move that fails', (open) => {
  it('leaves the message under its lease, does not fail the receive, and is tried again', async () => {
    const world = await open();
    const target = await world.queue('dead');
    const source = await world.queueWithDeadLetters('jobs', target, 1, { visibilityTimeoutSeconds: LEASE_SECONDS });
    await source.send([message('poison')]);
    await failTimes(world, source, 1);
    await source.send([message('good')]);
    const send = world.store.send.bind(world.store);
    // A full store cannot be had for one call alone; everything else here is real.
    world.store.send = () => Promise.reject(new StoreFullError('no room'));
    expect(await bodies(source)).toEqual(['good']);
    world.store.send = send;
    expect(world.events).toMatchObject([{ kind: 'queue-warning', what: 'dead-letter-move-failed', detail: 'no room' }]);
    expect(await source.depth()).toMatchObject({ inFlight: 2 });
    world.time.advance(LEASE_SECONDS * 1000);
    await source.receive({ maxMessages: 10 });
    expect((await existing(world.directory, 'dead').depth()).visible).toBe(2);
  });
});

forEachStore('messages that the consumer moves', (open) => {
  it.each(['', '.fifo'])('jobs%s: go as after too many receives, and free their group', async (suffix) => {
    const world = await open();
    const target = await world.queue(`dead${suffix}`);
    const source = await world.queueWithDeadLetters(`jobs${suffix}`, target, 5, {
      visibilityTimeoutSeconds: LEASE_SECONDS,
    });
    const group = suffix === '' ? {} : { groupId: 'g', deduplicationId: 'one' };
    const looping = message('again', group);
    const sentAt = world.time.now();
    await source.send([looping]);
    await failTimes(world, source, 1);
    const leased = await source.receive({ maxMessages: 1 });
    await source.send([message('next', suffix === '' ? {} : { groupId: 'g', deduplicationId: 'two' })]);

    expect(source.hasDeadLetterQueue()).toBe(true);
    await source.moveToDeadLetterQueue(leased);

    expect(await bodies(source)).toEqual(['next']);
    const [moved] = await target.receive({ maxMessages: 1 });
    expect(moved).toMatchObject({
      id: looping.id,
      // Once in the source, once here; the receive of the move is not counted.
      receiveCount: 2,
      sentAt: suffix === '' ? sentAt : world.time.now(),
      firstReceivedAt: sentAt,
      deadLetterSourceArn: `arn:aws:sqs:eu-west-1:123456789012:jobs${suffix}`,
    });
  });

  it('stay under their leases where there is no dead-letter queue', async () => {
    const world = await open();
    const lonely = await world.queue('jobs');
    await lonely.send([message('again')]);
    const leased = await lonely.receive({ maxMessages: 1 });

    expect(lonely.hasDeadLetterQueue()).toBe(false);
    await lonely.moveToDeadLetterQueue(leased);

    expect(await lonely.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
  });
});
