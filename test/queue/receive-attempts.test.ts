import { expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import { MOST_REMEMBERED_SIZE } from '../../runtime/queue/receive-attempts.ts';
import { forEachStore, message } from './queue-world.ts';

forEachStore('receive attempts', (open) => {
  async function scene() {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 30 });
    await queue.send(
      ['a', 'b', 'c'].map((body) =>
        message(body, { groupId: `group ${body}`.replace(' ', '-'), deduplicationId: body }),
      ),
    );
    return { world, queue };
  }

  function attempt(queue: Queue, attemptId: string, maxMessages = 1) {
    return queue.receive({ maxMessages, attemptId });
  }

  it('give the same messages and handles again, with leases that begin anew', async () => {
    const { world, queue } = await scene();
    const first = await attempt(queue, 'x', 2);
    world.time.advance(20_000);
    const second = await attempt(queue, 'x', 2);
    expect(second).toEqual(first.map((each) => ({ ...each, leaseEndsAt: world.time.monotonic() + 30_000 })));
    world.time.advance(20_000);
    expect(await queue.delete(second.map(({ receiptHandle }) => receiptHandle))).toEqual(['done', 'done']);
  });

  it('are new under another id', async () => {
    const { queue } = await scene();
    const [first] = await attempt(queue, 'x');
    const [second] = await attempt(queue, 'y');
    expect(second?.id).not.toBe(first?.id);
  });

  it('are new when a message was deleted, or its lease ran out', async () => {
    const { world, queue } = await scene();
    const [first] = await attempt(queue, 'x');
    await queue.delete([first?.receiptHandle ?? '']);
    const [second] = await attempt(queue, 'x');
    expect(second?.id).not.toBe(first?.id);
    world.time.advance(31_000);
    const [third] = await attempt(queue, 'x');
    expect(third?.receiptHandle).not.toBe(second?.receiptHandle);
  });

  it('are new after five minutes', async () => {
    const { world, queue } = await scene();
    const [first] = await queue.receive({ maxMessages: 1, attemptId: 'x', visibilityTimeoutMs: 3_600_000 });
    world.time.advance(300_000);
    const [second] = await attempt(queue, 'x');
    expect(second?.id).not.toBe(first?.id);
  });

  it('share one receive if the second comes while the first still waits', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    await queue.receive({ maxMessages: 1 });
    const both = [1, 2].map(() => queue.receive({ maxMessages: 1, attemptId: 'x', waitMs: 20_000 }));
    await queue.send([message('a', { groupId: 'g', deduplicationId: 'a' })]);
    const [first, second] = await Promise.all(both);
    expect(first).toHaveLength(1);
    expect(second).toEqual(first);
  });

  it('that found nothing are not remembered', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    expect(await attempt(queue, 'x')).toEqual([]);
    await queue.send([message('a', { groupId: 'g', deduplicationId: 'a' })]);
    expect(await attempt(queue, 'x')).toHaveLength(1);
  });

  it('are forgotten before they fill the memory, the oldest first; what they leased stays leased', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 30 });
    const body = 'x'.repeat(1_000_000);
    const most = Math.floor(MOST_REMEMBERED_SIZE / body.length);
    const handles: string[] = [];
    const attempts = async (from: number, to: number): Promise<void> => {
      for (let at = from; at < to; at += 1) {
        await queue.send([message(body, { groupId: `g${at}`, deduplicationId: `d${at}` })]);
        handles.push((await attempt(queue, `a${at}`))[0]?.receiptHandle ?? '');
      }
    };
    await attempts(0, most + 1);
    expect(await attempt(queue, 'a0')).toEqual([]);
    expect((await attempt(queue, 'a1'))[0]?.receiptHandle).toBe(handles[1]);
    // What was deleted makes room: the one that is now the oldest is still remembered after as many more.
    await queue.delete(handles.slice(2));
    await attempts(most + 1, 2 * most);
    expect((await attempt(queue, 'a1'))[0]?.receiptHandle).toBe(handles[1]);
  });

  it('of all queues together are forgotten before they fill the memory', async () => {
    const world = await open();
    const body = 'x'.repeat(1_000_000);
    const most = Math.floor(MOST_REMEMBERED_SIZE / body.length);
    const queues: Queue[] = [];
    for (let at = 0; at <= most; at += 1) {
      const queue = await world.queue(`jobs${at}.fifo`, { visibilityTimeoutSeconds: 30 });
      await queue.send([message(body, { groupId: 'g', deduplicationId: 'd' })]);
      expect(await attempt(queue, 'x')).toHaveLength(1);
      queues.push(queue);
    }
    const again = await Promise.all(queues.map((queue) => attempt(queue, 'x')));
    expect(again.map((messages) => messages.length)).toEqual([0, ...Array.from({ length: most }, () => 1)]);
  });

  it('mean nothing on a standard queue', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('a')]);
    expect(await attempt(queue, 'x')).toHaveLength(1);
    expect(await attempt(queue, 'x')).toEqual([]);
  });
});
