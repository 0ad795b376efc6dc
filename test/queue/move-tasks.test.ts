import { randomUUID } from 'node:crypto';
import { expect, it } from 'vitest';
import { MOST_SELECTED, type MoveTask, MoveTaskError, moveTasksName } from '../../runtime/queue/move-task.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { createMoveTasks, type StoredMoveTasks } from '../../runtime/queue/stored-move-tasks.ts';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import type { MessageName } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { existing, forEachStore, type Instance, message, type QueueWorld, settled } from './queue-world.ts';

forEachStore('message move tasks', (open) => {
  /** A source with dead letters of `jobs`, and the engine of one instance. */
  async function scene(dead = 3, fifo = false) {
    const world = await open();
    const suffix = fifo ? '.fifo' : '';
    const source = await world.queue(`dead${suffix}`);
    const jobs = await world.queueWithDeadLetters(`jobs${suffix}`, source, 1, { visibilityTimeoutSeconds: 10 });
    if (dead > 0) await fail(world, jobs, dead, fifo);
    return { world, source, jobs, tasks: await engine(world, world) };
  }

  async function fail(world: QueueWorld, jobs: StoredQueue, count: number, fifo: boolean): Promise<void> {
    const messages = Array.from({ length: count }, (_, at) =>
      message(String(at), fifo ? { groupId: 'g', deduplicationId: String(at) } : {}),
    );
    await jobs.send(messages);
    await jobs.receive({ maxMessages: count });
    world.time.advance(10_000);
    await jobs.receive({ maxMessages: count });
  }

  function engine(world: QueueWorld, { store, directory }: Instance): Promise<StoredMoveTasks> {
    return createMoveTasks({
      store,
      directory,
      time: world.time,
      randomness: systemRandomness,
      notify: () => undefined,
    });
  }

  /** Resolves with the newest task when it is as asked for. */
  function task(
    { store }: Instance,
    tasks: StoredMoveTasks,
    source: Queue,
    matches: (task: MoveTask) => boolean,
  ): Promise<MoveTask> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        tasks.list(source).then(([newest]) => {
          if (newest === undefined || !matches(newest)) return;
          unsubscribe();
          resolve(newest);
        }, reject);
      };
      const unsubscribe = store.subscribe((signal) => {
        if (signal.kind === 'document' && signal.name === moveTasksName(source.key)) look();
      });
      look();
    });
  }

  const completed = ({ status }: MoveTask): boolean => status === 'COMPLETED';

  async function refusal(call: Promise<unknown>): Promise<string> {
    const error: unknown = await call.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error instanceof MoveTaskError) return error.refusal;
    throw new Error(`refused with ${String(error)}`);
  }

  async function bodies(queue: Queue): Promise<readonly string[]> {
    return (await queue.receive({ maxMessages: 100 })).map(({ body }) => body).sort();
  }

  it('take every message back where it came from, as a new message', async () => {
    const { world, source, jobs, tasks } = await scene();
    const [before] = await source.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    world.time.advance(5_000);
    const started = await tasks.start(source);
    expect(started).toMatchObject({
      status: 'RUNNING',
      moved: 0,
      toMove: 3,
      sourceArn: 'arn:aws:sqs:eu-west-1:123456789012:dead',
      startedAt: world.time.now(),
    });
    expect(await task(world, tasks, source, completed)).toMatchObject({ moved: 3, toMove: 3, handle: started.handle });
    const received = await jobs.receive({ maxMessages: 10 });
    expect(received.map(({ body }) => body)).toEqual(['0', '1', '2']);
    for (const each of received) {
      expect(each).toMatchObject({ receiveCount: 1, sentAt: world.time.now() });
      expect(each.deadLetterSourceArn).toBeUndefined();
      expect(each.id).not.toBe(before?.id);
    }
    expect(await source.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    await tasks.close();
  });

  it('begin the count of turns anew, and keep the rest of the trace header', async () => {
    const { world, source, tasks } = await scene(0);
    const other = await world.queue('other');
    await source.send([
      message('traced', { traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793;Karin=0a1b2c3d:16;Sampled=1' }),
      message('turns only', { traceHeader: 'Karin=0a1b2c3d:16' }),
    ]);
    await tasks.start(source, { destination: other });
    await task(world, tasks, source, completed);
    const received = await other.receive({ maxMessages: 10 });
    expect(new Map(received.map(({ body, traceHeader }) => [body, traceHeader]))).toEqual(
      new Map([
        ['traced', 'Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1'],
        ['turns only', undefined],
      ]),
    );
    await tasks.close();
  });

  it('move to another queue if one is named', async () => {
    const { world, source, tasks } = await scene();
    const other = await world.queue('other');
    await tasks.start(source, { destination: other });
    await task(world, tasks, source, completed);
    expect(await bodies(other)).toEqual(['0', '1', '2']);
    await tasks.close();
  });

  /** Names of all messages of a queue, by their bodies. */
  async function namesIn(queue: Queue): Promise<(body: string) => MessageName> {
    const seen = await queue.browse(100);
    return (body) => {
      const one = seen.find(({ message }) => message?.body === body);
      if (one === undefined) throw new Error(`no message ${body}`);
      return { id: one.id, ...(one.sequenceNumber === undefined ? {} : { sequenceNumber: one.sequenceNumber }) };
    };
  }

  it('move only the messages that were selected, at the rate that was asked for', async () => {
    const { world, source, jobs, tasks } = await scene(5);
    const name = await namesIn(source);
    const started = await tasks.start(source, { messages: ['4', '0', '2'].map(name), maxPerSecond: 2 });
    expect(started).toMatchObject({ toMove: 3, moved: 0, left: 0 });
    expect(started).not.toHaveProperty('messages');
    await task(world, tasks, source, ({ moved }) => moved === 2);
    const done = task(world, tasks, source, completed);
    world.time.advance(1_000);
    expect(await done).toMatchObject({ moved: 3, left: 0 });
    expect(await bodies(jobs)).toEqual(['0', '2', '4']);
    expect(await bodies(source)).toEqual(['1', '3']);
    await tasks.close();
  });

  it('count what of a selection is gone or in flight, and leave it alone', async () => {
    const { world, source, jobs, tasks } = await scene(3);
    const name = await namesIn(source);
    const messages = ['0', '1', '2'].map(name);
    const [first, second] = await source.receive({ maxMessages: 2 });
    await source.delete([first?.receiptHandle ?? '']);
    await tasks.start(source, { messages });
    expect(await task(world, tasks, source, completed)).toMatchObject({ moved: 1, toMove: 3, left: 2 });
    expect(await bodies(jobs)).toEqual(['2']);
    expect(await source.delete([second?.receiptHandle ?? ''])).toEqual(['done']);
    await tasks.close();
  });

  it('move the first selected messages of a FIFO group in order, and leave those behind one that stays', async () => {
    const { world, source, jobs, tasks } = await scene(5, true);
    const name = await namesIn(source);
    await tasks.start(source, { messages: ['0', '1', '3'].map(name) });
    expect(await task(world, tasks, source, completed)).toMatchObject({ moved: 2, left: 1 });
    expect((await jobs.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['0', '1']);
    expect((await source.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['2', '3', '4']);
    await tasks.close();
  });

  it('go on with a selection after a restart, where they stopped', async () => {
    const { world, source, jobs, tasks } = await scene(5);
    const name = await namesIn(source);
    await tasks.start(source, { messages: ['0', '1', '2', '3'].map(name), maxPerSecond: 2 });
    await task(world, tasks, source, ({ moved }) => moved === 2);
    await tasks.close();
    const again = await engine(world, world);
    expect(await task(world, again, source, completed)).toMatchObject({ moved: 4, toMove: 4, left: 0 });
    expect(await bodies(source)).toEqual(['4']);
    expect(await bodies(jobs)).toEqual(['0', '1', '2', '3']);
    await again.close();
  });

  it('move nothing of a selection where a server of a version without selections takes it over', async () => {
    const { world, source, jobs, tasks } = await scene(3);
    const name = await namesIn(source);
    await tasks.start(source, { messages: ['0', '1'].map(name), maxPerSecond: 1 });
    await task(world, tasks, source, ({ moved }) => moved === 1);
    await tasks.close();
    const { documents } = world.store;
    const text = await documents.get(moveTasksName(source.key));
    // What that version reads of it.
    const [{ messages, selected, needs, left, ...known }] = JSON.parse(text ?? '');
    expect([messages, selected, needs, left]).toEqual([[expect.any(String)], 2, ['selection'], 0]);
    await documents.put(moveTasksName(source.key), JSON.stringify([known]));
    const earlier = await engine(world, world);
    await task(world, earlier, source, completed);
    expect(await bodies(jobs)).toEqual(['0']);
    expect(await bodies(source)).toEqual(['1', '2']);
    await earlier.close();
  });

  it('are left to others if they ask for what this version does not know, and can be cancelled all the same', async () => {
    const { world, source, jobs, tasks } = await scene(2);
    const { documents } = world.store;
    await tasks.close();
    const later = {
      ...{ id: randomUUID(), sourceArn: formatQueueArn(source.arn), status: 'RUNNING', moved: 0, toMove: 2 },
      ...{ startedAt: world.time.now(), needs: ['selection', 'of a later version'] },
    };
    const text = JSON.stringify([later]);
    await documents.put(moveTasksName(source.key), text);
    // Nobody runs it, so an engine that knew how would begin at once.
    const engines = await engine(world, world);
    expect(await documents.get(moveTasksName(source.key))).toBe(text);
    const [seen] = await engines.list(source);
    expect(seen).toMatchObject({ status: 'RUNNING', moved: 0, toMove: 2 });
    expect(seen).not.toHaveProperty('needs');
    expect(await refusal(engines.start(source))).toBe('already-running');
    await engines.cancel(seen?.handle ?? '');
    await engines.close();
    const next = await engine(world, world);
    await task(world, next, source, ({ status }) => status === 'CANCELLED');
    expect(await bodies(jobs)).toEqual([]);
    expect(await bodies(source)).toEqual(['0', '1']);
    await next.close();
  });

  it('move each message of a selection once although the store failed in the middle', async () => {
    const { world, source, jobs, tasks } = await scene(3);
    const name = await namesIn(source);
    await tasks.close();
    let interrupted: () => void = () => undefined;
    const interruption = new Promise<void>((resolve) => {
      interrupted = resolve;
    });
    const failing = await createMoveTasks({ ...world, randomness: systemRandomness, notify: () => interrupted() });
    const remove = world.store.delete.bind(world.store);
    world.store.delete = async () => {
      world.store.delete = remove;
      throw new Error('the connection is gone');
    };
    await failing.start(source, { messages: ['0', '2'].map(name) });
    await interruption;
    const done = task(world, failing, source, completed);
    world.time.advance(31_000);
    expect(await done).toMatchObject({ moved: 2, left: 0 });
    expect(await bodies(jobs)).toEqual(['0', '2']);
    expect(await bodies(source)).toEqual(['1']);
    await failing.close();
  });

  it('refuse more selected messages than they write down', async () => {
    const { source, tasks } = await scene(0);
    const messages = Array.from({ length: MOST_SELECTED + 1 }, () => ({ id: crypto.randomUUID() }));
    await expect(tasks.start(source, { messages })).rejects.toThrow('1 to 1000 messages can be selected, not 1001');
    await tasks.close();
  });

  it('move FIFO messages in order, although their ids were used a moment ago', async () => {
    const { world, source, jobs, tasks } = await scene(5, true);
    await tasks.start(source);
    await task(world, tasks, source, completed);
    expect((await jobs.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['0', '1', '2', '3', '4']);
    await tasks.close();
  });

  it('move no more messages than there were at the start', async () => {
    const { world, source, jobs, tasks } = await scene(2);
    const messages = world.store.send.bind(world.store);
    let added = false;
    // Messages that fail again at once come back while the task runs.
    world.store.send = async (queue, entries) => {
      if (queue.key === jobs.key && !added) {
        added = true;
        await source.send([message('late')]);
      }
      return messages(queue, entries);
    };
    await tasks.start(source);
    expect(await task(world, tasks, source, completed)).toMatchObject({ moved: 2, toMove: 2 });
    expect(await bodies(source)).toEqual(['late']);
    await tasks.close();
  });

  it('keep the rate', async () => {
    const { world, source, tasks } = await scene(5);
    await tasks.start(source, { maxPerSecond: 2 });
    expect((await task(world, tasks, source, ({ moved }) => moved > 0)).moved).toBe(2);
    world.time.advance(999);
    expect((await tasks.list(source))[0]?.moved).toBe(2);
    world.time.advance(1);
    expect((await task(world, tasks, source, ({ moved }) => moved > 2)).moved).toBe(4);
    const done = task(world, tasks, source, completed);
    world.time.advance(1_000);
    expect((await done).moved).toBe(5);
    await tasks.close();
  });

  it('stop when they are cancelled; what was moved stays moved', async () => {
    const { world, source, jobs, tasks } = await scene(5);
    const { handle } = await tasks.start(source, { maxPerSecond: 2 });
    await task(world, tasks, source, ({ moved }) => moved === 2);
    // By another instance.
    const elsewhere = await engine(world, await world.another());
    expect(await elsewhere.cancel(handle)).toMatchObject({ status: 'CANCELLING', moved: 2 });
    const cancelled = task(world, tasks, source, ({ status }) => status === 'CANCELLED');
    world.time.advance(1_000);
    const { moved } = await cancelled;
    world.time.advance(60_000);
    expect(await jobs.depth()).toMatchObject({ visible: moved });
    expect(await source.depth()).toMatchObject({ visible: 5 - moved });
    expect(await refusal(tasks.cancel(handle))).toBe('not-running');
    await Promise.all([tasks.close(), elsewhere.close()]);
  });

  it('fail on a message that was sent to the dead-letter queue directly, and leave it there', async () => {
    const { world, source, tasks } = await scene(0);
    await source.send([message('direct')]);
    await tasks.start(source);
    expect(await task(world, tasks, source, ({ status }) => status === 'FAILED')).toMatchObject({
      failure: 'CouldNotDetermineMessageSource',
      moved: 0,
    });
    expect(await source.receive({ maxMessages: 10 })).toMatchObject([{ body: 'direct', receiveCount: 1 }]);
    await tasks.close();
  });

  it('leave behind what is past the retention period, however long ago that was looked for', async () => {
    const { world, source, jobs, tasks } = await scene(0);
    await world.directory.setAttributes(source, (each) => ({ ...each, messageRetentionPeriodSeconds: 3_600 }));
    await fail(world, jobs, 2, false);
    world.time.advance(3_585_000);
    expect(await source.depth()).toMatchObject({ visible: 2 });
    await fail(world, jobs, 1, false);
    world.time.advance(10_000);
    await tasks.start(source);
    expect((await task(world, tasks, source, completed)).moved).toBe(1);
    expect(await bodies(jobs)).toEqual(['0']);
    expect(await source.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    await tasks.close();
  });

  it('fail when the queue to go back to is gone', async () => {
    const { world, source, jobs, tasks } = await scene(2);
    await world.queueWithDeadLetters('another', source, 1);
    await world.directory.remove(jobs);
    await tasks.start(source);
    expect(await task(world, tasks, source, ({ status }) => status === 'FAILED')).toMatchObject({
      failure: 'AWS.SimpleQueueService.NonExistentQueue',
    });
    expect(await source.depth()).toMatchObject({ visible: 2 });
    await tasks.close();
  });

  it('are refused for a queue that is nobody’s dead-letter queue', async () => {
    const { jobs, tasks } = await scene(0);
    expect(await refusal(tasks.start(jobs))).toBe('not-a-dead-letter-queue');
    await tasks.close();
  });

  it('are refused with a destination of the other type, or the source itself', async () => {
    const { world, source, tasks } = await scene(0);
    expect(await refusal(tasks.start(source, { destination: await world.queue('other.fifo') }))).toBe(
      'unfit-destination',
    );
    expect(await refusal(tasks.start(source, { destination: source }))).toBe('unfit-destination');
    await tasks.close();
  });

  it('are refused while one runs for the source, on any instance', async () => {
    const { world, source, tasks } = await scene(5);
    const elsewhere = await engine(world, await world.another());
    await tasks.start(source, { maxPerSecond: 1 });
    expect(await refusal(elsewhere.start(source))).toBe('already-running');
    await Promise.all([tasks.close(), elsewhere.close()]);
  });

  it('are known by their handles alone', async () => {
    const { world, source, tasks } = await scene(1);
    const { handle } = await tasks.start(source);
    await task(world, tasks, source, completed);
    for (const text of ['', 'x', Buffer.from('{}').toString('base64'), handle.slice(4)]) {
      expect(await refusal(tasks.cancel(text))).toBe('invalid-handle');
    }
    const other = Buffer.from(
      JSON.stringify({ taskId: crypto.randomUUID(), sourceArn: 'arn:aws:sqs:eu-west-1:123456789012:dead' }),
    ).toString('base64');
    expect(await refusal(tasks.cancel(other))).toBe('no-such-task');
    expect(await refusal(tasks.cancel(handle))).toBe('not-running');
    await tasks.close();
  });

  it('are listed newest first, ten at most', async () => {
    const { world, source, tasks } = await scene(0);
    const handles: string[] = [];
    for (let count = 0; count < 12; count += 1) {
      handles.unshift((await tasks.start(source)).handle);
      await task(world, tasks, source, ({ handle, status }) => handle === handles[0] && status === 'COMPLETED');
    }
    expect((await tasks.list(source)).map(({ handle }) => handle)).toEqual(handles.slice(0, 10));
    await tasks.close();
  });

  it('go on after an orderly restart, at once', async () => {
    const { world, source, jobs, tasks } = await scene(5);
    await tasks.start(source, { maxPerSecond: 2 });
    await task(world, tasks, source, ({ moved }) => moved === 2);
    await tasks.close();
    const again = await engine(world, world);
    const next = await task(world, again, source, ({ moved }) => moved > 2);
    expect(next.status).toBe('RUNNING');
    const done = task(world, again, source, completed);
    world.time.advance(1_000);
    await done;
    expect(await bodies(jobs)).toEqual(['0', '1', '2', '3', '4']);
    await again.close();
  });

  it('are taken over from an instance that is gone', async () => {
    const { world, source, jobs } = await scene(5);
    const other = await world.another();
    await settled(other.directory, () => other.directory.byKey(jobs.key) !== undefined);
    const dying = await createMoveTasks({
      ...other,
      // Its clock never moves again: it takes one step, and is then as good as dead.
      time: { now: () => world.time.now(), monotonic: () => 0, after: () => () => undefined },
      randomness: systemRandomness,
      notify: () => undefined,
    });
    await dying.start(existing(other.directory, 'dead'), { maxPerSecond: 2 });
    await task(world, dying, source, ({ moved }) => moved === 2);
    const heir = await engine(world, world);
    const done = task(world, heir, source, completed);
    // One silence while the text may yet change, and the pauses that keep the rate.
    world.time.advance(30_000);
    await task(world, heir, source, ({ moved }) => moved === 4);
    world.time.advance(1_000);
    expect((await done).moved).toBe(5);
    expect(await bodies(jobs)).toEqual(['0', '1', '2', '3', '4']);
    await heir.close();
  });

  it('try again when the store failed in the middle, and move each message once', async () => {
    const { world, source, jobs, tasks } = await scene(3);
    await tasks.close();
    let interrupted: () => void = () => undefined;
    const interruption = new Promise<void>((resolve) => {
      interrupted = resolve;
    });
    const failing = await createMoveTasks({ ...world, randomness: systemRandomness, notify: () => interrupted() });
    const remove = world.store.delete.bind(world.store);
    // Between the two halves of a step: stored in the destination, still in the source.
    world.store.delete = async () => {
      world.store.delete = remove;
      throw new Error('the connection is gone');
    };
    await failing.start(source);
    await interruption;
    const done = task(world, failing, source, completed);
    world.time.advance(31_000);
    expect((await done).moved).toBe(3);
    expect(await bodies(jobs)).toEqual(['0', '1', '2']);
    expect(await source.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    await failing.close();
  });
});
