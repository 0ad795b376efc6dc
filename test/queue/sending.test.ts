import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import type { OutgoingMessage } from '../../runtime/queue/message.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { MissingDeduplicationIdError } from '../../runtime/queue/record.ts';
import { forEachStore, message, woken } from './queue-world.ts';

async function bodies(queue: Queue): Promise<readonly string[]> {
  return (await queue.receive({ maxMessages: 10 })).map(({ body }) => body);
}

forEachStore('sending', (open) => {
  it('keeps every part of a message', async () => {
    const { queue } = await open().then(async (world) => ({ queue: await world.queue('jobs') }));
    const sent: OutgoingMessage = {
      ...message('häll\r\no 😀'),
      attributes: {
        text: { dataType: 'String.json', stringValue: '{}' },
        bytes: { dataType: 'Binary', binaryValue: Uint8Array.of(0, 255) },
      },
      traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793',
      groupId: 'customer-7',
    };
    await queue.send([sent]);
    const [received] = await queue.receive({ maxMessages: 1 });
    expect(received).toMatchObject(sent);
  });

  it('answers with the id that was given, and no duplicate', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const [first, second] = [message('a'), message('b')];
    expect(await queue.send([first, second])).toEqual([
      { id: first.id, duplicate: false },
      { id: second.id, duplicate: false },
    ]);
  });

  it('stores more messages than one call to the store takes', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send(Array.from({ length: 1_201 }, (_, at) => message(String(at))));
    expect(await queue.depth()).toEqual({ visible: 1_201, delayed: 0, inFlight: 0 });
  });

  it('delays by the queue unless the message says otherwise', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { delaySeconds: 5 });
    await queue.send([
      message('by the queue'),
      message('at once', { delayMs: 0 }),
      message('later', { delayMs: 9_000 }),
    ]);
    expect(await queue.depth()).toEqual({ visible: 1, delayed: 2, inFlight: 0 });
    expect(await bodies(queue)).toEqual(['at once']);
    const due = woken(queue);
    world.time.advance(5_000);
    await due;
    expect(await bodies(queue)).toEqual(['by the queue']);
    world.time.advance(4_000);
    expect(await bodies(queue)).toEqual(['later']);
  });

  it('takes messages back in the order of their due times, whatever the order of the sends', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send([message('world', { delayMs: 10_000 })]);
    await queue.send([message('hello', { delayMs: 5_000 })]);
    world.time.advance(5_000);
    expect(await bodies(queue)).toEqual(['hello']);
    world.time.advance(5_000);
    expect(await bodies(queue)).toEqual(['world']);
  });

  it('finds a delayed message that was sent while another was leased for a shorter time', async () => {
    const world = await open();
    const other = await world.another();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 30 });
    await queue.send([message('first')]);
    const [first] = await queue.receive({ maxMessages: 1 });
    const elsewhere = await other.directory.find(queue.key);
    await elsewhere?.send([message('second', { delayMs: 60_000 })]);
    await queue.delete([first?.receiptHandle ?? '']);
    expect(queue.watch.dueInMs()).toBe(60_000);
  });
});

forEachStore('deduplication', (open) => {
  const fifo = (overrides: Partial<OutgoingMessage> = {}, body = 'same'): OutgoingMessage =>
    message(body, { groupId: 'g', ...overrides });

  it('answers a duplicate with the first message, for five minutes', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    const [first] = await queue.send([fifo({ deduplicationId: 'd' })]);
    const [second] = await queue.send([fifo({ deduplicationId: 'd' })]);
    expect(second).toEqual({ ...first, duplicate: true });
    world.time.advance(300_000);
    const [third] = await queue.send([fifo({ deduplicationId: 'd' })]);
    expect(third?.duplicate).toBe(false);
    expect(await queue.depth()).toMatchObject({ visible: 2 });
  });

  it('numbers messages with twenty digits that grow', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    const [first, second] = await queue.send([fifo({ deduplicationId: 'a' }), fifo({ deduplicationId: 'b' })]);
    expect(first?.sequenceNumber).toMatch(/^\d{20}$/);
    expect(BigInt(second?.sequenceNumber ?? 0)).toBeGreaterThan(BigInt(first?.sequenceNumber ?? 0));
  });

  it('takes SHA-256 of the body where the queue is content-based, and shows it', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { contentBasedDeduplication: true });
    await queue.send([fifo()]);
    const again = await queue.send([fifo({ attributes: { a: { dataType: 'String', stringValue: 'other' } } })]);
    expect(again[0]?.duplicate).toBe(true);
    const [received] = await queue.receive({ maxMessages: 10 });
    expect(received?.deduplicationId).toBe(createHash('sha256').update('same').digest('hex'));
  });

  it('prefers the id given to the content', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { contentBasedDeduplication: true });
    const sent = await queue.send([fifo({ deduplicationId: 'a' }), fifo({ deduplicationId: 'b' })]);
    expect(sent.map(({ duplicate }) => duplicate)).toEqual([false, false]);
  });

  it('looks at the whole queue, or at each group, as the scope says', async () => {
    const world = await open();
    const [whole, grouped] = [
      await world.queue('whole.fifo'),
      await world.queue('grouped.fifo', { deduplicationScope: 'messageGroup' }),
    ];
    const two = [
      fifo({ deduplicationId: 'd', groupId: 'one' }),
      fifo({ deduplicationId: 'd', groupId: 'two' }),
    ] as const;
    expect((await whole.send(two)).map(({ duplicate }) => duplicate)).toEqual([false, true]);
    const again = [fifo({ deduplicationId: 'd', groupId: 'one' }), fifo({ deduplicationId: 'd', groupId: 'two' })];
    expect((await grouped.send(again)).map(({ duplicate }) => duplicate)).toEqual([false, false]);
    expect((await grouped.send([fifo({ deduplicationId: 'd', groupId: 'two' })]))[0]?.duplicate).toBe(true);
  });

  it('refuses a message that has no id and no way to one, and stores nothing', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo');
    await expect(queue.send([fifo({ deduplicationId: 'a' }), fifo()])).rejects.toThrow(MissingDeduplicationIdError);
    expect(await queue.depth()).toMatchObject({ visible: 0 });
  });
});
