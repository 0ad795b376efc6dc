import { describe, expect, it } from 'vitest';
import { type LeasedEntry, MOST_FAILURES, type NewEntry } from '../../runtime/store/store.ts';
import { type Context, entry, leases, newQueue, texts } from './store-under-test.ts';

/** What both kinds of queue do alike. */
export function anyQueueContract(context: Context): void {
  for (const fifo of [false, true]) {
    const grouped = (group: string, overrides: Partial<NewEntry> & { text?: string } = {}): NewEntry =>
      entry({ ...overrides, ...(fifo ? { group } : {}) });

    describe(fifo ? 'any queue, as FIFO' : 'any queue, as standard', () => {
      it('gives back what was sent, once, and says when', async () => {
        const queue = newQueue(fifo);
        const sent = grouped('g', { record: Buffer.from([0, 255, 13, 10, 0]) });
        const reply = await context.store.send(queue, [sent]);
        expect(reply.headLoweredToMs).toBe(0);
        expect(reply.sent).toEqual([
          {
            id: sent.id,
            sentAt: context.time.now(),
            duplicate: false,
            ...(fifo ? { sequenceNumber: expect.stringMatching(/^\d{20}$/) } : {}),
          },
        ]);
        const sentAt = context.time.now();
        context.time.advance(5);
        const received = await context.receive(queue);
        expect(received.total).toBe(1);
        expect(received.nextDueInMs).toBeUndefined();
        expect(received.leased).toHaveLength(1);
        expect(received.leased[0]).toMatchObject({
          id: sent.id,
          sentAt,
          receiveCount: 1,
          firstReceivedAt: context.time.now(),
        });
        expect(Buffer.from(received.leased[0]?.record ?? [])).toEqual(sent.record);
        expect((await context.receive(queue)).leased).toEqual([]);
      });

      it('keeps the order of a batch', async () => {
        const queue = newQueue(fifo);
        const names = Array.from({ length: 40 }, (_, index) => `m${index}`);
        await context.store.send(
          queue,
          names.map((text) => grouped('g', { text })),
        );
        expect(texts((await context.receive(queue, { maxMessages: 40 })).leased)).toEqual(names);
      });

      it('changes nothing when an id that is still stored is sent again, alone or in a batch', async () => {
        const queue = newQueue(fifo);
        const first = grouped('g', { text: 'first' });
        const [before] = (await context.store.send(queue, [first])).sent;
        context.time.advance(1_000);
        expect((await context.store.send(queue, [{ ...first, record: Buffer.from('second') }])).sent).toEqual([before]);
        const other = grouped('g', { text: 'other' });
        const batch = await context.store.send(queue, [first, other, other]);
        expect(batch.sent.map(({ id, duplicate }) => ({ id, duplicate }))).toEqual(
          [first, other, other].map(({ id }) => ({ id, duplicate: false })),
        );
        expect(batch.sent[0]).toEqual(before);
        expect(batch.headLoweredToMs).toBe(0);
        expect(texts((await context.receive(queue)).leased)).toEqual(['first', 'other']);
      });

      it('holds a delayed message back to the millisecond', async () => {
        const queue = newQueue(fifo);
        expect((await context.store.send(queue, [grouped('g', { delayMs: 900 })])).headLoweredToMs).toBe(900);
        context.time.advance(899);
        expect(await context.receive(queue)).toEqual({ leased: [], nextDueInMs: 1, total: 1 });
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 1, inFlight: 0 });
        context.time.advance(1);
        expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
        expect((await context.receive(queue)).leased).toHaveLength(1);
      });

      it('tells the depths of many queues at once, with how long the first has waited and when the next is due', async () => {
        const [empty, ...used] = [newQueue(fifo), newQueue(fifo), newQueue(!fifo)] as const;
        for (const [at, queue] of used.entries()) {
          const group = queue.fifo ? { group: 'g' } : {};
          const late = queue.fifo ? { group: 'late' } : {};
          await context.store.send(queue, [entry(group), entry({ ...late, delayMs: 700 + at })]);
        }
        context.time.advance(250);
        const { depths } = await context.store.depths([...used, empty, ...used]);
        const [first, second] = [450, 451].map((nextDueInMs) => ({
          ...{ visible: 1, delayed: 1, inFlight: 0 },
          ...{ waitsMs: 250, nextDueInMs },
        }));
        expect(depths).toEqual([first, second, { visible: 0, delayed: 0, inFlight: 0 }, first, second]);

        const [queue] = used;
        await context.receive(queue, { leaseMs: 300 });
        expect((await context.store.depths([queue])).depths).toEqual([
          { visible: 0, delayed: 1, inFlight: 1, nextDueInMs: 300 },
        ]);
      });

      it('tells the depths of more queues than one call takes', async () => {
        const queues = Array.from({ length: 205 }, () => newQueue(fifo));
        const last = queues.at(-1);
        if (last === undefined) throw new Error('there are queues');
        await context.store.send(last, [grouped('g')]);
        const { depths } = await context.store.depths(queues);
        expect(depths.map(({ visible }) => visible)).toEqual([...Array.from({ length: 204 }, () => 0), 1]);
      });

      it('hands a message out again when its lease runs out, counting receives and keeping the first time', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('g')]);
        await context.receive(queue, { leaseMs: 500 });
        const firstReceivedAt = context.time.now();
        expect(await context.store.peek(queue)).toBe(500);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
        context.time.advance(500);
        expect(await context.store.peek(queue)).toBe(0);
        expect((await context.receive(queue)).leased[0]).toMatchObject({ receiveCount: 2, firstReceivedAt });
      });

      it('counts a receive with a lease of no length, and leaves the message due', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('g')]);
        expect((await context.receive(queue, { leaseMs: 0 })).leased[0]).toMatchObject({ receiveCount: 1 });
        expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
        expect((await context.receive(queue, { leaseMs: 0 })).leased[0]).toMatchObject({ receiveCount: 2 });
      });

      it('deletes for the holder of a lease only, and says how it was', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a'), grouped('b')]);
        const [a, b] = (await context.receive(queue, { leaseMs: 100 })).leased;
        expect((await context.store.delete(queue, leases(a))).outcomes).toEqual(['done']);
        expect((await context.store.delete(queue, leases(a))).outcomes).toEqual(['missing']);
        context.time.advance(100);
        await context.receive(queue);
        expect((await context.store.delete(queue, leases(b, b, a))).outcomes).toEqual([
          'superseded',
          'superseded',
          'missing',
        ]);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
      });

      it('deletes once what is named twice', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a')]);
        const [a] = (await context.receive(queue)).leased;
        expect((await context.store.delete(queue, leases(a, a))).outcomes).toEqual(['done', 'missing']);
        expect(await context.store.peek(queue)).toBeUndefined();
      });

      it('moves the end of a lease either way, and says when the head became earlier', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a')]);
        const [a] = (await context.receive(queue, { leaseMs: 10_000 })).leased;
        const change = async (leaseMs: number) =>
          context.store.changeVisibility(
            queue,
            leases(a).map((lease) => ({ ...lease, leaseMs })),
          );
        expect(await change(20_000)).toEqual({ outcomes: ['done'], nextDueInMs: 20_000 });
        expect(await context.store.peek(queue)).toBe(20_000);
        expect(await change(5_000)).toEqual({ outcomes: ['done'], headLoweredToMs: 5_000, nextDueInMs: 5_000 });
        expect(await change(0)).toEqual({ outcomes: ['done'], headLoweredToMs: 0, nextDueInMs: 0 });
        expect((await context.receive(queue)).leased[0]).toMatchObject({ receiveCount: 2 });
        expect((await change(1)).outcomes).toEqual(['superseded']);
      });

      it('undoes a receive: due at once, not counted, and the lease is gone', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a')]);
        const [a] = (await context.receive(queue)).leased;
        expect(await context.store.release(queue, leases(a))).toEqual({
          outcomes: ['done'],
          headLoweredToMs: 0,
          nextDueInMs: 0,
        });
        expect((await context.store.delete(queue, leases(a))).outcomes).toEqual(['superseded']);
        context.time.advance(7);
        expect((await context.receive(queue)).leased[0]).toMatchObject({
          receiveCount: 1,
          firstReceivedAt: context.time.now(),
        });
        context.time.advance(30_000);
        const [again] = (await context.receive(queue)).leased;
        await context.store.release(queue, leases(again));
        expect((await context.receive(queue)).leased[0]).toMatchObject({
          receiveCount: 2,
          firstReceivedAt: context.time.now() - 30_000,
        });
      });

      it('answers a repeated release as the first one, once or many times, and undoes the receive once', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a'), grouped('b')]);
        context.time.advance(5);
        const { leased } = await context.receive(queue);
        await context.store.release(queue, leases(...leased));
        const seen = await context.store.browse(queue, { limit: 10, maxBytes: 1_000 });
        expect(seen).toMatchObject(leased.map(() => ({ receiveCount: 0, firstReceivedAt: 0, state: 'visible' })));
        for (const _ of [1, 2]) {
          expect(await context.store.release(queue, leases(...leased, ...leased))).toEqual({
            outcomes: ['done', 'done', 'done', 'done'],
            nextDueInMs: 0,
          });
        }
        expect(await context.store.browse(queue, { limit: 10, maxBytes: 1_000 })).toEqual(seen);
        expect((await context.receive(queue)).leased).toMatchObject([{ receiveCount: 1 }, { receiveCount: 1 }]);
      });

      it('numbers each lease higher than those before it, and lets no release touch a later lease', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a')]);
        const earlier: LeasedEntry[] = [];
        for (const round of [1, 2, 3, 4]) {
          const [held] = (await context.receive(queue)).leased;
          if (held === undefined) throw new Error('a message was expected and none was received');
          expect(held).toMatchObject({ receiveCount: 1 });
          expect(Math.max(0, ...earlier.map(({ leaseNumber }) => leaseNumber))).toBeLessThan(held.leaseNumber);
          for (const old of earlier) {
            expect((await context.store.release(queue, leases(old))).outcomes).toEqual(['superseded']);
          }
          expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
          earlier.push(held);
          if (round < 4) await context.store.release(queue, leases(held));
        }
        expect((await context.store.delete(queue, leases(earlier.at(-1)))).outcomes).toEqual(['done']);
      });

      it('says on settling a lease when what others sent meanwhile is due', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a')]);
        const { leased } = await context.receive(queue, { leaseMs: 1_000 });
        expect((await context.store.send(queue, [grouped('b', { delayMs: 5_000 })])).headLoweredToMs).toBeUndefined();
        expect(await context.store.delete(queue, leased)).toEqual({ outcomes: ['done'], nextDueInMs: 5_000 });
      });

      it('says of a send that finds the head long past due that the head is due now, to this instance and to the others', async () => {
        const queue = newQueue(fifo);
        const wakes = context.wakesOf(queue);
        await context.store.send(queue, [grouped('a', { delayMs: 1_000 })]);
        expect(await wakes.next()).toBe(1_000);
        context.time.advance(5_000);
        expect((await context.store.send(queue, [grouped('b')])).headLoweredToMs).toBeUndefined();
        context.time.advance(3_600_000);
        expect((await context.store.send(queue, [grouped('c', { delayMs: 5_000 })])).headLoweredToMs).toBe(0);
        expect(await wakes.next()).toBe(0);
      });

      it('keeps the history of a moved message', async () => {
        const queue = newQueue(fifo);
        const history = {
          sentAt: context.time.now() - 5_000,
          receiveCount: 3,
          firstReceivedAt: context.time.now() - 4_000,
        };
        const reply = await context.store.send(queue, [grouped('a', { history })]);
        expect(reply.sent[0]?.sentAt).toBe(history.sentAt);
        expect((await context.receive(queue)).leased[0]).toMatchObject({ ...history, receiveCount: 4 });
      });

      it('stops at the byte bound, takes the first record whatever its size, and says that more is due', async () => {
        const queue = newQueue(fifo);
        await context.store.send(
          queue,
          ['12345', '123', '12', '1'].map((text, index) => grouped(`g${index}`, { text })),
        );
        expect(texts((await context.receive(queue, { maxBytes: 1 })).leased)).toEqual(['12345']);
        const second = await context.receive(queue, { maxBytes: 5 });
        expect(texts(second.leased)).toEqual(['123', '12']);
        expect(second).toMatchObject({ nextDueInMs: 0, total: 4 });
        expect(texts((await context.receive(queue, { maxBytes: 0 })).leased)).toEqual(['1']);
      });

      it('says when the next message is due, other than those just leased', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a'), grouped('b'), grouped('c', { delayMs: 700 })]);
        expect((await context.receive(queue, { maxMessages: 1, leaseMs: 300 })).nextDueInMs).toBe(0);
        expect((await context.receive(queue, { maxMessages: 1, leaseMs: 100 })).nextDueInMs).toBe(300);
        context.time.advance(100);
        expect((await context.receive(queue, { leaseMs: 1 })).nextDueInMs).toBe(200);
      });

      it('receives thousands in one call', async () => {
        const queue = newQueue(fifo);
        for (let i = 0; i < 3; i += 1) {
          const batch = Array.from({ length: 400 }, (_, index) => grouped(`g${i}-${index % 100}`));
          await context.store.send(queue, batch);
        }
        const { leased, total } = await context.receive(queue, { maxMessages: 2_000 });
        expect(total).toBe(1_200);
        expect(new Set(leased.map(({ id }) => id)).size).toBe(1_200);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1_200 });
        const { outcomes } = await context.store.delete(queue, leased);
        expect(outcomes).toEqual(Array.from({ length: 1_200 }, () => 'done'));
        expect(await context.store.peek(queue)).toBeUndefined();
      });

      it('removes every message on a purge', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('a'), grouped('b'), grouped('c', { delayMs: 5_000 })]);
        const { leased } = await context.receive(queue, { maxMessages: 1 });
        await context.store.purge(queue);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
        expect((await context.store.delete(queue, leased)).outcomes).toEqual(['missing']);
        expect(await context.receive(queue)).toEqual({ leased: [], total: 0 });
      });

      it('keeps the last failure of a message that was received, and no other', async () => {
        const queue = newQueue(fifo);
        const [failed, waiting, gone] = [grouped('a'), grouped('b', { delayMs: 5_000 }), grouped('c')];
        await context.store.send(queue, [failed, waiting]);
        await context.receive(queue);
        const of = (id: string, text: string) => ({ id, text });
        await context.store.keepFailures(queue, [of(failed.id, 'first'), of(waiting.id, 'x'), of(gone.id, 'y')]);
        context.time.advance(7);
        await context.store.keepFailures(queue, [of(failed.id, 'zweiter Fehler ü')]);
        const ids = [failed.id, waiting.id, gone.id];
        const kept = [[failed.id, { at: context.time.now(), text: 'zweiter Fehler ü' }]];
        expect([...(await context.store.failures(queue, ids))]).toEqual(kept);
        expect([...(await context.store.failures(newQueue(fifo), ids))]).toEqual([]);
        await context.store.keepFailures(queue, [{ ...of(failed.id, 'moved'), at: 1_234 }]);
        expect([...(await context.store.failures(queue, ids))]).toEqual([[failed.id, { at: 1_234, text: 'moved' }]]);
      });

      it('keeps no failure of a message whose only receive was undone', async () => {
        const queue = newQueue(fifo);
        const sent = grouped('a');
        await context.store.send(queue, [sent]);
        await context.store.release(queue, (await context.receive(queue)).leased);
        await context.store.keepFailures(queue, [{ id: sent.id, text: 'it failed' }]);
        expect([...(await context.store.failures(queue, [sent.id]))]).toEqual([]);
      });

      it('forgets a failure with its message: deleted after another receive, trimmed or purged', async () => {
        const queue = newQueue(fifo);
        const [deleted, trimmed, purged] = [grouped('a'), grouped('b'), grouped('c')];
        const ids = [deleted.id, trimmed.id, purged.id];
        const left = async () => [...(await context.store.failures(queue, ids)).keys()];
        await context.store.send(queue, [deleted, trimmed]);
        await context.receive(queue, { leaseMs: 1_000 });
        context.time.advance(100_000);
        await context.store.send(queue, [purged]);
        await context.receive(queue, { leaseMs: 0 });
        await context.store.keepFailures(
          queue,
          ids.map((id) => ({ id, text: 'it failed' })),
        );
        const { leased } = await context.receive(queue, { leaseMs: 0 });
        await context.store.keepFailures(
          queue,
          leased.map(({ id }) => ({ id, text: 'it failed' })),
        );
        expect((await left()).sort()).toEqual([...ids].sort());
        const again = (await context.receive(queue, { leaseMs: 1_000 })).leased.find(({ id }) => id === deleted.id);
        expect((await context.store.delete(queue, leases(again))).outcomes).toEqual(['done']);
        expect((await left()).sort()).toEqual([trimmed.id, purged.id].sort());
        context.time.advance(1_000);
        expect(await context.store.trim(queue, 50_000, 10)).toBe(1);
        expect(await left()).toEqual([purged.id]);
        await context.store.purge(queue);
        expect(await left()).toEqual([]);
      });

      it('keeps a bounded number of failures, and drops the oldest', async () => {
        const queue = newQueue(fifo);
        const entries = Array.from({ length: MOST_FAILURES + 1 }, (_, index) => grouped(`g${index}`));
        for (let at = 0; at < entries.length; at += 500) await context.store.send(queue, entries.slice(at, at + 500));
        await context.receive(queue, { maxMessages: entries.length });
        for (let at = 0; at < entries.length; at += 500) {
          context.time.advance(1);
          const part = entries.slice(at, at + 500);
          await context.store.keepFailures(
            queue,
            part.map(({ id }) => ({ id, text: 'it failed' })),
          );
        }
        const left = async (part: readonly NewEntry[]) =>
          (
            await context.store.failures(
              queue,
              part.map(({ id }) => id),
            )
          ).size;
        expect(await left(entries.slice(0, 500))).toBe(399);
        expect(await left(entries.slice(500, 1_000))).toBe(500);
        expect(await left(entries.slice(1_000))).toBe(1);
      });

      it('trims visible messages that are too old, and no others', async () => {
        const queue = newQueue(fifo);
        await context.store.send(queue, [grouped('leased', { text: 'leased' })]);
        await context.receive(queue, { leaseMs: 500_000 });
        await context.store.send(queue, [
          grouped('old', { text: 'old' }),
          grouped('late', { text: 'late', delayMs: 200_000 }),
        ]);
        context.time.advance(60_000);
        await context.store.send(queue, [grouped('young', { text: 'young' })]);
        expect(await context.store.trim(queue, 60_000, 10)).toBe(0);
        context.time.advance(1);
        expect(await context.store.trim(queue, 60_000, 10)).toBe(1);
        expect(texts((await context.receive(queue)).leased)).toEqual(['young']);
        context.time.advance(200_000);
        expect(await context.store.trim(queue, 240_000, 10)).toBe(1);
        expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
      });

      it('trims what was received long ago and what was moved here, and no more than asked', async () => {
        const queue = newQueue(fifo);
        const history = {
          sentAt: context.time.now() - 100_000,
          receiveCount: 1,
          firstReceivedAt: context.time.now() - 1,
        };
        await context.store.send(queue, [grouped('a', { history }), grouped('b'), grouped('c')]);
        await context.receive(queue, { leaseMs: 90_000 });
        context.time.advance(90_000);
        expect(await context.store.trim(queue, 100_000, 10)).toBe(1);
        expect(await context.store.trim(queue, 80_000, 1)).toBe(1);
        expect(await context.store.trim(queue, 80_000, 10)).toBe(1);
        expect(await context.store.peek(queue)).toBeUndefined();
      });

      it('signals a wake only if the head became earlier', async () => {
        const queue = newQueue(fifo);
        const wakes = context.wakesOf(queue);
        await context.store.send(queue, [grouped('a', { delayMs: 10_000 })]);
        await context.store.send(queue, [grouped('b', { delayMs: 20_000 })]);
        await context.store.send(queue, [grouped('c', { delayMs: 5_000 })]);
        expect(await wakes.next()).toBe(10_000);
        expect(await wakes.next()).toBe(5_000);
        context.time.advance(20_000);
        const { leased } = await context.receive(queue);
        await context.store.release(queue, leased.slice(0, 1));
        expect(await wakes.next()).toBe(0);
      });

      it('refuses what only a fault in Karin could ask', async () => {
        const queue = newQueue(fifo);
        const ids = Array.from({ length: 501 }, () => grouped('a'));
        await expect(context.store.send(queue, [])).rejects.toThrow(RangeError);
        await expect(context.store.send(queue, ids)).rejects.toThrow('1 to 500');
        await expect(context.store.send(queue, [grouped('a', { id: 'x' })])).rejects.toThrow('UUID');
        await expect(context.store.send(queue, [grouped('a', { delayMs: -1 })])).rejects.toThrow('0 ms or more');
        await expect(context.store.send(queue, [entry({ group: 'a\0b' })])).rejects.toThrow('zero character');
        await expect(context.receive(queue, { maxMessages: 0 })).rejects.toThrow('1 message or more');
        expect(await context.store.peek(queue)).toBeUndefined();
      });
    });
  }
}
