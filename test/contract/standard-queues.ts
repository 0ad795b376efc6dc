import { describe, expect, it } from 'vitest';
import { type Context, entry, leases, newQueue, texts } from './store-under-test.ts';

/** What only standard queues do. */
export function standardQueueContract(context: Context): void {
  describe('standard queues', () => {
    it('lets the holder act after the lease ran out, as long as nobody else received the message', async () => {
      const queue = newQueue(false);
      await context.store.send(queue, [entry(), entry()]);
      const [a, b] = (await context.receive(queue, { leaseMs: 10 })).leased;
      context.time.advance(10);
      expect(
        (await context.store.changeVisibility(queue, [...leases(a).map((held) => ({ ...held, leaseMs: 50 }))]))
          .outcomes,
      ).toEqual(['done']);
      expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
      expect((await context.store.delete(queue, leases(a, b))).outcomes).toEqual(['done', 'done']);
    });

    it('lets the holder of an earlier lease act where that is asked for, and only there', async () => {
      const queue = newQueue(false);
      await context.store.send(queue, [entry({ text: 'a' }), entry({ text: 'b' })]);
      const earlier = leases(...(await context.receive(queue, { leaseMs: 10 })).leased);
      context.time.advance(10);
      const later = leases(...(await context.receive(queue, { leaseMs: 10 })).leased);
      const both = earlier.map((lease) => ({ ...lease, orEarlier: true }));

      expect((await context.store.delete(queue, earlier)).outcomes).toEqual(['superseded', 'superseded']);
      const changed = await context.store.changeVisibility(
        queue,
        both.map((lease) => ({ ...lease, leaseMs: 50 })),
      );
      expect(changed.outcomes).toEqual(['done', 'done']);
      context.time.advance(49);
      expect((await context.receive(queue)).leased).toEqual([]);
      expect((await context.store.delete(queue, both.slice(0, 1))).outcomes).toEqual(['done']);
      // A release gives back the last receive only.
      expect((await context.store.release(queue, both.slice(1))).outcomes).toEqual(['superseded']);
      expect((await context.store.release(queue, later.slice(1))).outcomes).toEqual(['done']);
      expect((await context.store.delete(queue, both.slice(1))).outcomes).toEqual(['done']);
      expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    });

    it('counts no lease at all of a message whose only receive was undone', async () => {
      const queue = newQueue(false);
      await context.store.send(queue, [entry()]);
      const [lease] = leases(...(await context.receive(queue)).leased).map((held) => ({ ...held, orEarlier: true }));
      if (lease === undefined) throw new Error('a lease was expected');
      await context.store.release(queue, [lease]);
      expect((await context.store.delete(queue, [lease])).outcomes).toEqual(['superseded']);
      expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
    });

    it('counts a lease that was given back for nothing, and earlier ones as before', async () => {
      const queue = newQueue(false);
      await context.store.send(queue, [entry()]);
      const take = async (leaseMs: number) =>
        leases(...(await context.receive(queue, { leaseMs })).leased).map((lease) => ({ ...lease, orEarlier: true }));
      const counted = await take(0);
      const givenBack = await take(1_000);
      await context.store.release(queue, givenBack);
      const change = async (held: typeof counted) =>
        (
          await context.store.changeVisibility(
            queue,
            held.map((lease) => ({ ...lease, leaseMs: 50 })),
          )
        ).outcomes;
      expect(await change(givenBack)).toEqual(['superseded']);
      expect(await change(counted)).toEqual(['done']);
      expect((await context.store.delete(queue, counted)).outcomes).toEqual(['done']);
    });

    it('tells how late each message is received: after its send, its delay, its lease or its release', async () => {
      const queue = newQueue(false);
      const late = async (): Promise<readonly number[]> =>
        (await context.receive(queue, { leaseMs: 100 })).leased.map(({ lateMs }) => lateMs);
      await context.store.send(queue, [entry({ text: 'now' }), entry({ text: 'delayed', delayMs: 20 })]);
      context.time.advance(25);
      expect(await late()).toEqual([25, 5]);
      context.time.advance(107);
      const { leased } = await context.receive(queue);
      expect(leased.map(({ lateMs }) => lateMs)).toEqual([7, 7]);
      await context.store.release(queue, leases(leased[0]));
      context.time.advance(3);
      expect(await late()).toEqual([3]);
    });

    it('hands out the oldest due first', async () => {
      const queue = newQueue(false);
      await context.store.send(queue, [entry({ text: 'late', delayMs: 20 }), entry({ text: 'early', delayMs: 10 })]);
      context.time.advance(20);
      expect(texts((await context.receive(queue)).leased)).toEqual(['early', 'late']);
    });

    it('looks at messages whose delay still runs, by when it ends', async () => {
      const queue = newQueue(false);
      const delays = [50, 0, 10, 30, 20].map((delayMs) => entry({ text: String(delayMs), delayMs }));
      await context.store.send(queue, delays);
      const found = async (fromMs: number, toMs: number, limit = 10) =>
        (await context.store.delayed(queue, { fromMs, toMs, limit })).map(({ id, record, dueInMs }) => {
          expect(delays.find((sent) => sent.id === id)?.delayMs).toBe(Number(Buffer.from(record)));
          return dueInMs;
        });
      expect(await found(0, 1_000)).toEqual([10, 20, 30, 50]);
      expect(await found(20, 30)).toEqual([20, 30]);
      expect(await found(21, 1_000, 1)).toEqual([30]);
      expect(await found(60, 1_000)).toEqual([]);
      context.time.advance(20);
      expect(await found(0, 1_000)).toEqual([10, 30]);
      expect(await context.store.depth(queue)).toEqual({ visible: 3, delayed: 2, inFlight: 0 });
    });

    it('shows its first messages, whatever their state, and changes nothing', async () => {
      const queue = newQueue(false);
      const sentAt = context.time.now();
      await context.store.send(queue, [
        entry({ text: 'received', group: 'g' }),
        entry({ text: 'visible' }),
        entry({ text: 'delayed', delayMs: 50, history: { sentAt: 7, receiveCount: 3, firstReceivedAt: 8 } }),
      ]);
      await context.receive(queue, { maxMessages: 1, leaseMs: 90 });
      const before = await context.store.depth(queue);
      const seen = await context.store.browse(queue, { limit: 10, maxBytes: 1_000 });
      expect(seen.map(({ id: _, record, ...rest }) => ({ text: Buffer.from(record).toString(), ...rest }))).toEqual([
        { text: 'visible', sentAt, receiveCount: 0, firstReceivedAt: 0, state: 'visible', dueInMs: 0 },
        { text: 'delayed', sentAt: 7, receiveCount: 3, firstReceivedAt: 8, state: 'delayed', dueInMs: 50 },
        {
          text: 'received',
          sentAt,
          receiveCount: 1,
          firstReceivedAt: sentAt,
          state: 'in-flight',
          dueInMs: 90,
          group: 'g',
        },
      ]);
      expect(await context.store.depth(queue)).toEqual(before);
      expect(texts((await context.receive(queue)).leased)).toEqual(['visible']);
      expect((await context.store.browse(queue, { limit: 2, maxBytes: 1_000 })).map(({ state }) => state)).toEqual([
        'delayed',
        'in-flight',
      ]);
      expect(texts(await context.store.browse(queue, { limit: 10, maxBytes: 0 }))).toEqual(['delayed']);
      await expect(context.store.browse(queue, { limit: 0, maxBytes: 1 })).rejects.toThrow(RangeError);
    });

    it('deletes messages whose delay still runs, and no others', async () => {
      const queue = newQueue(false);
      const crowd = Array.from({ length: 500 }, () => entry({ delayMs: 50, group: 'crowd' }));
      await context.store.send(queue, crowd);
      const one = entry({ delayMs: 50, group: 'one' });
      const ended = entry({ delayMs: 10 });
      const never = entry();
      await context.store.send(queue, [ended, one, never]);
      context.time.advance(10);
      const ids = [one.id, ended.id, never.id, entry().id];
      expect(await context.store.deleteDelayed(queue, ids)).toEqual(['done', 'superseded', 'superseded', 'missing']);
      expect(await context.store.depth(queue)).toEqual({ visible: 2, delayed: 500, inFlight: 0 });
      expect(await context.store.delayed(queue, { fromMs: 0, toMs: 1_000, limit: 500 })).toHaveLength(500);
      context.time.advance(40);
      const { leased } = await context.receive(queue, { maxMessages: 1_000 });
      expect(leased.map(({ id }) => id)).not.toContain(one.id);
      expect(leased).toHaveLength(502);
      expect(
        await context.store.deleteDelayed(
          queue,
          crowd.map(({ id }) => id),
        ),
      ).toEqual(crowd.map(() => 'superseded'));
    });

    it('lets groups take turns within the look-ahead', async () => {
      const queue = newQueue(false);
      const noisy = Array.from({ length: 150 }, (_, index) => entry({ text: `noisy${index}`, group: 'noisy' }));
      await context.store.send(queue, noisy);
      context.time.advance(1);
      await context.store.send(queue, [
        entry({ text: 'quiet0', group: 'quiet' }),
        entry({ text: 'none' }),
        entry({ text: 'quiet1', group: 'quiet' }),
      ]);
      const { leased } = await context.receive(queue, { maxMessages: 6 });
      expect(texts(leased)).toEqual(['noisy0', 'quiet0', 'none', 'noisy1', 'quiet1', 'noisy2']);
      expect(leased.map(({ group }) => group)).toEqual(['noisy', 'quiet', undefined, 'noisy', 'quiet', 'noisy']);
      expect((await context.store.delete(queue, leased)).outcomes).toEqual(Array.from({ length: 6 }, () => 'done'));
    });

    it('looks at no more than 200 due messages to find other groups', async () => {
      const queue = newQueue(false);
      await context.store.send(
        queue,
        Array.from({ length: 200 }, () => entry({ text: 'noisy', group: 'noisy' })),
      );
      context.time.advance(1);
      await context.store.send(queue, [entry({ text: 'quiet', group: 'quiet' })]);
      expect(texts((await context.receive(queue, { maxMessages: 2 })).leased)).toEqual(['noisy', 'noisy']);
      expect(texts((await context.receive(queue, { maxMessages: 2 })).leased)).toEqual(['noisy', 'quiet']);
    });
  });
}
