import { expect, it } from 'vitest';
import type { OutgoingMessage } from '../../runtime/queue/message.ts';
import type { Forward } from '../../runtime/queue/stored-queue.ts';
import { forEachStore, message } from './queue-world.ts';

forEachStore('the mode of a queue', (open) => {
  /** A world whose forwarder notes what it is given and answers as SQS would. */
  async function scene(name = 'jobs') {
    const passed: OutgoingMessage[] = [];
    const forward: Forward = async (_queue, messages) => {
      passed.push(...messages);
      return messages.map(({ body }) => ({ id: `sqs-${body}`, duplicate: false }));
    };
    const world = await open({ forward });
    const queue = await world.queue(name);
    return { world, queue, passed };
  }

  it('keeps messages and serves the API on hold', async () => {
    const { world, queue, passed } = await scene();
    await world.directory.setMode(queue, 'hold');
    await queue.send([message('a')]);
    expect(passed).toEqual([]);
    expect(await queue.receive({ maxMessages: 1 })).toHaveLength(1);
  });

  it('forwards sends, and answers with the ids of SQS', async () => {
    const { world, queue, passed } = await scene();
    await world.directory.setMode(queue, 'forward');
    expect(await queue.send([message('a')])).toEqual([{ id: 'sqs-a', duplicate: false }]);
    expect(passed.map(({ body }) => body)).toEqual(['a']);
    expect(await queue.depth()).toMatchObject({ visible: 0 });
  });

  it('keeps delays that SQS would refuse, and answers in the order of the request', async () => {
    const { world, queue, passed } = await scene();
    await world.directory.setMode(queue, 'forward');
    const long = message('long', { delayMs: 900_001 });
    const answers = await queue.send([message('a'), long, message('b', { delayMs: 900_000 })]);
    expect(answers.map(({ id }) => id)).toEqual(['sqs-a', long.id, 'sqs-b']);
    expect(passed.map(({ body }) => body)).toEqual(['a', 'b']);
    expect(await queue.depth()).toMatchObject({ delayed: 1 });
  });

  it('keeps what is sent to a FIFO queue, for whoever moves it on in order', async () => {
    const { world, queue, passed } = await scene('jobs.fifo');
    await world.directory.setMode(queue, 'forward');
    await queue.send([message('a', { groupId: 'g', deduplicationId: 'd' })]);
    expect(passed).toEqual([]);
    expect(await queue.depth()).toMatchObject({ visible: 1 });
  });

  it('goes on handing out and deleting what is held while it forwards', async () => {
    const { world, queue } = await scene();
    await queue.send([message('held')]);
    await world.directory.setMode(queue, 'forward');
    const [held] = await queue.receive({ maxMessages: 1 });
    expect(await queue.delete([held?.receiptHandle ?? ''])).toEqual(['done']);
    await queue.purge();
  });

  it('fails the send if SQS does not take it, and keeps nothing', async () => {
    const world = await open({ forward: () => Promise.reject(new Error('SQS is away')) });
    const queue = await world.queue('jobs');
    await world.directory.setMode(queue, 'forward');
    await expect(queue.send([message('a')])).rejects.toThrow('SQS is away');
    expect(await queue.depth()).toMatchObject({ visible: 0 });
  });

  it('keeps messages, and says so, where there is no way to forward', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await world.directory.setMode(queue, 'forward');
    await queue.send([message('a')]);
    expect(await queue.depth()).toMatchObject({ visible: 1 });
    expect(world.events).toMatchObject([{ kind: 'queue-warning', what: 'cannot-forward' }]);
  });
});
