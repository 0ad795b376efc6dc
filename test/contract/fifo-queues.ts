import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { StoredQueue } from '../../runtime/store/store.ts';
import { type Context, entry, leases, newQueue, texts } from './store-under-test.ts';

/** What only FIFO queues do. */
export function fifoQueueContract(context: Context): void {
  describe('FIFO queues', () => {
    it('takes no release of an earlier message of the same id for the repeat of a later one', async () => {
      const queue = newQueue(true);
      const sent = entry({ group: 'g' });
      const take = async () => leases(...(await context.receive(queue)).leased);
      await context.store.send(queue, [sent]);
      const earlier = await take();
      await context.store.delete(queue, earlier);
      await context.store.send(queue, [sent]);
      const later = await take();
      expect((await context.store.release(queue, later)).outcomes).toEqual(['done']);
      expect((await context.store.release(queue, earlier)).outcomes).toEqual(['superseded']);
      expect((await context.store.release(queue, later)).outcomes).toEqual(['done']);
    });

    it('refuses to look at single delays', async () => {
      const queue = newQueue(true);
      await expect(context.store.delayed(queue, { fromMs: 0, toMs: 1, limit: 1 })).rejects.toThrow(RangeError);
      await expect(context.store.deleteDelayed(queue, [randomUUID()])).rejects.toThrow(RangeError);
    });

    it('shows its first messages by group and in order, and changes nothing', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2']);
      await sendTexts(queue, 'b', ['b1']);
      await context.store.send(queue, [entry({ text: 'c1', group: 'c', delayMs: 50 })]);
      const { leased } = await context.receive(queue, { maxMessages: 1, leaseMs: 90 });
      expect(texts(leased)).toEqual(['a1']);
      const seen = await context.store.browse(queue, { limit: 10, maxBytes: 1_000 });
      expect(
        seen.map(({ record, group, state, dueInMs, receiveCount, sequenceNumber }) => [
          Buffer.from(record).toString(),
          group,
          state,
          dueInMs,
          receiveCount,
          Number(sequenceNumber),
        ]),
      ).toEqual([
        ['b1', 'b', 'visible', 0, 0, 3],
        ['c1', 'c', 'delayed', 50, 0, 4],
        ['a1', 'a', 'in-flight', 90, 1, 1],
        ['a2', 'a', 'visible', 0, 0, 2],
      ]);
      expect(texts(await context.store.browse(queue, { limit: 3, maxBytes: 1_000 }))).toEqual(['b1', 'c1', 'a1']);
      expect(texts(await context.store.browse(queue, { limit: 10, maxBytes: 4 }))).toEqual(['b1', 'c1']);
      expect((await context.store.delete(queue, leases(...leased))).outcomes).toEqual(['done']);
      expect(texts((await context.receive(queue)).leased)).toEqual(['a2', 'b1']);
    });

    it('tells how late a message is received: after its send, and after its group could be served', async () => {
      const queue = newQueue(true);
      const late = async (): Promise<readonly number[]> =>
        (await context.receive(queue, { leaseMs: 100 })).leased.map(({ lateMs }) => lateMs);
      await sendTexts(queue, 'a', ['a1']);
      context.time.advance(10);
      await sendTexts(queue, 'a', ['a2']);
      context.time.advance(5);
      expect(await late()).toEqual([15, 5]);
      context.time.advance(102);
      expect(await late()).toEqual([2, 2]);
    });

    it('locks a group until all its leased messages are settled, and hands the rest out in order', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2', 'a3']);
      const { leased } = await context.receive(queue, { maxMessages: 2 });
      expect(texts(leased)).toEqual(['a1', 'a2']);
      expect((await context.receive(queue)).leased).toEqual([]);
      expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 2 });
      expect(await context.store.delete(queue, leases(leased[1]))).toEqual({ outcomes: ['done'], nextDueInMs: 30_000 });
      expect((await context.receive(queue)).leased).toEqual([]);
      expect(await context.store.delete(queue, leases(leased[0]))).toEqual({
        outcomes: ['done'],
        headLoweredToMs: 0,
        nextDueInMs: 0,
      });
      expect(texts((await context.receive(queue)).leased)).toEqual(['a3']);
    });

    it('hands failed messages of a group out first, in order', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2', 'a3', 'a4']);
      const { leased } = await context.receive(queue, { maxMessages: 3 });
      await context.store.delete(queue, leases(leased[0]));
      await context.store.changeVisibility(
        queue,
        leases(leased[1], leased[2]).map((held) => ({ ...held, leaseMs: 0 })),
      );
      expect(texts((await context.receive(queue)).leased)).toEqual(['a2', 'a3', 'a4']);
    });

    it('serves what stands before the first message in flight, and nothing behind it', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2']);
      const { leased } = await context.receive(queue, { leaseMs: 1_000 });
      await sendTexts(queue, 'a', ['a3']);
      await context.store.changeVisibility(
        queue,
        leases(leased[0]).map((held) => ({ ...held, leaseMs: 0 })),
      );
      expect(await context.store.depth(queue)).toEqual({ visible: 2, delayed: 0, inFlight: 1 });
      expect(texts((await context.receive(queue, { leaseMs: 500 })).leased)).toEqual(['a1']);
      expect(await context.receive(queue)).toEqual({ leased: [], nextDueInMs: 500, total: 3 });
      context.time.advance(1_000);
      expect(texts((await context.receive(queue)).leased)).toEqual(['a1', 'a2', 'a3']);
    });

    it('does nothing for a lease that ran out, even if nobody received the message since', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1']);
      const { leased } = await context.receive(queue, { leaseMs: 10 });
      context.time.advance(10);
      expect((await context.store.delete(queue, leased)).outcomes).toEqual(['expired']);
      expect((await context.store.release(queue, leased)).outcomes).toEqual(['expired']);
      expect(
        await context.store.changeVisibility(
          queue,
          leased.map((held) => ({ ...held, leaseMs: 9 })),
        ),
      ).toEqual({
        outcomes: ['expired'],
        nextDueInMs: 0,
      });
      expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
    });

    it('fills a receive from several groups, each in order', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2']);
      context.time.advance(1);
      await sendTexts(queue, 'b', ['b1', 'b2']);
      const one = await context.receive(queue, { maxMessages: 2, leaseMs: 10 });
      expect(texts(one.leased)).toEqual(['a1', 'a2']);
      expect(one.nextDueInMs).toBe(0);
      context.time.advance(10);
      expect(texts((await context.receive(queue, { maxMessages: 3 })).leased)).toEqual(['b1', 'b2', 'a1']);
    });

    it('lets a group that was just served queue up behind those that wait', async () => {
      const queue = newQueue(true);
      await sendTexts(queue, 'a', ['a1', 'a2', 'a3']);
      context.time.advance(1);
      await sendTexts(queue, 'b', ['b1']);
      context.time.advance(1);
      const { leased } = await context.receive(queue, { maxMessages: 1 });
      await context.store.delete(queue, leased);
      expect(texts((await context.receive(queue, { maxMessages: 2 })).leased)).toEqual(['b1', 'a2']);
    });

    it('lets a delayed message hold back what was sent to its group after it', async () => {
      const queue = newQueue(true);
      await context.store.send(queue, [
        entry({ text: 'a1', group: 'a' }),
        entry({ text: 'a2', group: 'a', delayMs: 1_000 }),
        entry({ text: 'a3', group: 'a' }),
      ]);
      const { leased } = await context.receive(queue);
      expect(texts(leased)).toEqual(['a1']);
      expect(await context.store.delete(queue, leased)).toEqual({
        outcomes: ['done'],
        headLoweredToMs: 1_000,
        nextDueInMs: 1_000,
      });
      expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 1, inFlight: 0 });
      context.time.advance(1_000);
      expect(texts((await context.receive(queue)).leased)).toEqual(['a2', 'a3']);
    });

    it('gives growing sequence numbers of twenty digits, the same when received', async () => {
      const queue = newQueue(true);
      const numbers: (string | undefined)[] = [];
      for (const group of ['a', 'b', 'a']) {
        const reply = await context.store.send(queue, [entry({ group }), entry({ group })]);
        numbers.push(...reply.sent.map(({ sequenceNumber }) => sequenceNumber));
      }
      expect(numbers.every((number) => number !== undefined && /^\d{20}$/.test(number))).toBe(true);
      expect(numbers).toEqual([...new Set(numbers)].sort());
      const received = (await context.receive(queue)).leased.map(({ sequenceNumber }) => sequenceNumber);
      expect([...received].sort()).toEqual(numbers);
    });

    it('answers a duplicate with the first message, for five minutes by the clock of the store', async () => {
      const queue = newQueue(true);
      const send = async (deduplicationKey: string, group = 'a') =>
        (await context.store.send(queue, [entry({ group, deduplicationKey })])).sent;
      const [first] = await send('key');
      context.time.advance(1);
      expect(await send('key', 'b')).toEqual([{ ...first, duplicate: true }]);
      const { leased } = await context.receive(queue);
      expect(leased).toHaveLength(1);
      await context.store.delete(queue, leased);
      context.time.advance(299_998);
      expect(await send('key')).toEqual([{ ...first, duplicate: true }]);
      expect((await send('other'))[0]).toMatchObject({ duplicate: false });
      context.time.advance(1);
      const [second] = await send('key');
      expect(second?.id).not.toBe(first?.id);
      expect(second?.duplicate).toBe(false);
      expect(await send('key')).toEqual([{ ...second, duplicate: true }]);
    });

    it('finds duplicates within a batch, not after a purge, and not in the sender repeating itself', async () => {
      const queue = newQueue(true);
      const one = entry({ group: 'a', deduplicationKey: 'key' });
      const two = entry({ group: 'a', deduplicationKey: 'key' });
      expect((await context.store.send(queue, [one, two])).sent.map(({ id, duplicate }) => [id, duplicate])).toEqual([
        [one.id, false],
        [one.id, true],
      ]);
      await context.store.purge(queue);
      // The same call again, as after a lost connection: it was purged with the message.
      expect((await context.store.send(queue, [one])).sent).toMatchObject([{ id: one.id, duplicate: false }]);
      expect(await context.store.peek(queue)).toBeUndefined();
      expect((await context.store.send(queue, [two])).sent).toMatchObject([{ id: two.id, duplicate: false }]);
      const three = entry({ group: 'a', deduplicationKey: 'key' });
      expect((await context.store.send(queue, [three])).sent).toMatchObject([{ id: two.id, duplicate: true }]);
      expect((await context.receive(queue)).leased.map(({ id }) => id)).toEqual([two.id]);
    });

    const sendTexts = (queue: StoredQueue, group: string, names: readonly string[]) =>
      context.store.send(
        queue,
        names.map((text) => entry({ text, group })),
      );
  });
}
