/**
 * What every store must do: one suite, run against each implementation. The clock of the store stands still until a test advances it.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  Lease,
  LeasedEntry,
  NewEntry,
  ReceiveReply,
  Signal,
  Store,
  StoredQueue,
} from '../../runtime/store/store.ts';
import type { ManualTime } from '../support/manual-time.ts';

/** A store to examine and the clock that it goes by. */
export interface StoreUnderTest {
  readonly store: Store;
  /** What another instance on the same data would be; a store need not signal its own calls to itself. */
  readonly other: Store;
  readonly time: ManualTime;
  /** Closes the store and ends what it ran on. */
  close(): Promise<void>;
}

const ANY_SIZE = 1_000_000_000;

let queues = 0;

/** An empty queue that no other test uses. */
export function newQueue(fifo: boolean): StoredQueue {
  queues += 1;
  return { key: `eu-west-1:000000000000:queue-${queues}${fifo ? '.fifo' : ''}`, fifo };
}

export function entry(overrides: Partial<NewEntry> & { readonly text?: string } = {}): NewEntry {
  const { text, ...rest } = overrides;
  return { id: randomUUID(), record: Buffer.from(text ?? 'record'), delayMs: 0, ...rest };
}

export function texts(entries: readonly LeasedEntry[]): string[] {
  return entries.map(({ record }) => Buffer.from(record).toString());
}

export function storeContract(name: string, open: () => Promise<StoreUnderTest>): void {
  describe(`the store contract: ${name}`, () => {
    let underTest: StoreUnderTest;
    let store: Store;
    let other: Store;
    let time: ManualTime;

    beforeAll(async () => {
      underTest = await open();
      ({ store, other, time } = underTest);
    });
    afterAll(async () => {
      await underTest.close();
    });

    const receive = (
      queue: StoredQueue,
      options: { maxMessages?: number; maxBytes?: number; leaseMs?: number; singleGroup?: boolean } = {},
    ): Promise<ReceiveReply> =>
      store.receive(queue, { maxMessages: 10, maxBytes: ANY_SIZE, leaseMs: 30_000, ...options });

    /** The wakes of one queue, in order, as another instance hears them. */
    const wakesOf = (queue: StoredQueue): { next(): Promise<number> } => {
      const heard: number[] = [];
      let waiting: ((dueInMs: number) => void) | undefined;
      other.subscribe((signal) => {
        if (signal.kind !== 'wake' || signal.queue !== queue.key) return;
        if (waiting === undefined) heard.push(signal.dueInMs);
        else waiting(signal.dueInMs);
        waiting = undefined;
      });
      return {
        next: () =>
          new Promise((resolve) => {
            const first = heard.shift();
            if (first === undefined) waiting = resolve;
            else resolve(first);
          }),
      };
    };

    /** The next signal about one of these documents or slot sets. */
    const nextSignal = (...names: readonly string[]): Promise<Signal> =>
      new Promise((resolve) => {
        const stop = store.subscribe((signal) => {
          if (!('name' in signal && names.includes(signal.name))) return;
          stop();
          resolve(signal);
        });
      });

    for (const fifo of [false, true]) {
      const grouped = (group: string, overrides: Partial<NewEntry> & { text?: string } = {}): NewEntry =>
        entry({ ...overrides, ...(fifo ? { group } : {}) });

      describe(fifo ? 'any queue, as FIFO' : 'any queue, as standard', () => {
        it('gives back what was sent, once, and says when', async () => {
          const queue = newQueue(fifo);
          const sent = grouped('g', { record: Buffer.from([0, 255, 13, 10, 0]) });
          const reply = await store.send(queue, [sent]);
          expect(reply.headLoweredToMs).toBe(0);
          expect(reply.sent).toEqual([
            {
              id: sent.id,
              sentAt: time.now(),
              duplicate: false,
              ...(fifo ? { sequenceNumber: expect.stringMatching(/^\d{20}$/) } : {}),
            },
          ]);
          const sentAt = time.now();
          time.advance(5);
          const received = await receive(queue);
          expect(received.total).toBe(1);
          expect(received.nextDueInMs).toBeUndefined();
          expect(received.leased).toHaveLength(1);
          expect(received.leased[0]).toMatchObject({
            id: sent.id,
            sentAt,
            receiveCount: 1,
            firstReceivedAt: time.now(),
          });
          expect(Buffer.from(received.leased[0]?.record ?? [])).toEqual(sent.record);
          expect((await receive(queue)).leased).toEqual([]);
        });

        it('keeps the order of a batch', async () => {
          const queue = newQueue(fifo);
          const names = Array.from({ length: 40 }, (_, index) => `m${index}`);
          await store.send(
            queue,
            names.map((text) => grouped('g', { text })),
          );
          expect(texts((await receive(queue, { maxMessages: 40 })).leased)).toEqual(names);
        });

        it('changes nothing when an id that is still stored is sent again, alone or in a batch', async () => {
          const queue = newQueue(fifo);
          const first = grouped('g', { text: 'first' });
          const [before] = (await store.send(queue, [first])).sent;
          time.advance(1_000);
          expect((await store.send(queue, [{ ...first, record: Buffer.from('second') }])).sent).toEqual([before]);
          const other = grouped('g', { text: 'other' });
          const batch = await store.send(queue, [first, other, other]);
          expect(batch.sent.map(({ id, duplicate }) => ({ id, duplicate }))).toEqual(
            [first, other, other].map(({ id }) => ({ id, duplicate: false })),
          );
          expect(batch.sent[0]).toEqual(before);
          expect(batch.headLoweredToMs).toBe(0);
          expect(texts((await receive(queue)).leased)).toEqual(['first', 'other']);
        });

        it('holds a delayed message back to the millisecond', async () => {
          const queue = newQueue(fifo);
          expect((await store.send(queue, [grouped('g', { delayMs: 900 })])).headLoweredToMs).toBe(900);
          time.advance(899);
          expect(await receive(queue)).toEqual({ leased: [], nextDueInMs: 1, total: 1 });
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 1, inFlight: 0 });
          time.advance(1);
          expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
          expect((await receive(queue)).leased).toHaveLength(1);
        });

        it('hands a message out again when its lease runs out, counting receives and keeping the first time', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('g')]);
          await receive(queue, { leaseMs: 500 });
          const firstReceivedAt = time.now();
          expect(await store.peek(queue)).toBe(500);
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
          time.advance(500);
          expect(await store.peek(queue)).toBe(0);
          expect((await receive(queue)).leased[0]).toMatchObject({ receiveCount: 2, firstReceivedAt });
        });

        it('counts a receive with a lease of no length, and leaves the message due', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('g')]);
          expect((await receive(queue, { leaseMs: 0 })).leased[0]).toMatchObject({ receiveCount: 1 });
          expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
          expect((await receive(queue, { leaseMs: 0 })).leased[0]).toMatchObject({ receiveCount: 2 });
        });

        it('deletes for the holder of a lease only, and says how it was', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a'), grouped('b')]);
          const [a, b] = (await receive(queue, { leaseMs: 100 })).leased;
          expect((await store.delete(queue, leases(a))).outcomes).toEqual(['done']);
          expect((await store.delete(queue, leases(a))).outcomes).toEqual(['missing']);
          time.advance(100);
          await receive(queue);
          expect((await store.delete(queue, leases(b, b, a))).outcomes).toEqual([
            'superseded',
            'superseded',
            'missing',
          ]);
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
        });

        it('deletes once what is named twice', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a')]);
          const [a] = (await receive(queue)).leased;
          expect((await store.delete(queue, leases(a, a))).outcomes).toEqual(['done', 'missing']);
          expect(await store.peek(queue)).toBeUndefined();
        });

        it('moves the end of a lease either way, and says when the head became earlier', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a')]);
          const [a] = (await receive(queue, { leaseMs: 10_000 })).leased;
          const change = async (leaseMs: number) =>
            store.changeVisibility(
              queue,
              leases(a).map((lease) => ({ ...lease, leaseMs })),
            );
          expect(await change(20_000)).toEqual({ outcomes: ['done'], nextDueInMs: 20_000 });
          expect(await store.peek(queue)).toBe(20_000);
          expect(await change(5_000)).toEqual({ outcomes: ['done'], headLoweredToMs: 5_000, nextDueInMs: 5_000 });
          expect(await change(0)).toEqual({ outcomes: ['done'], headLoweredToMs: 0, nextDueInMs: 0 });
          expect((await receive(queue)).leased[0]).toMatchObject({ receiveCount: 2 });
          expect((await change(1)).outcomes).toEqual(['superseded']);
        });

        it('undoes a receive: due at once, not counted, and the lease is gone', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a')]);
          const [a] = (await receive(queue)).leased;
          expect(await store.release(queue, leases(a))).toEqual({
            outcomes: ['done'],
            headLoweredToMs: 0,
            nextDueInMs: 0,
          });
          expect((await store.release(queue, leases(a))).outcomes).toEqual(['superseded']);
          time.advance(7);
          expect((await receive(queue)).leased[0]).toMatchObject({ receiveCount: 1, firstReceivedAt: time.now() });
          time.advance(30_000);
          const [again] = (await receive(queue)).leased;
          await store.release(queue, leases(again));
          expect((await receive(queue)).leased[0]).toMatchObject({
            receiveCount: 2,
            firstReceivedAt: time.now() - 30_000,
          });
        });

        it('says on settling a lease when what others sent meanwhile is due', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a')]);
          const { leased } = await receive(queue, { leaseMs: 1_000 });
          expect((await store.send(queue, [grouped('b', { delayMs: 5_000 })])).headLoweredToMs).toBeUndefined();
          expect(await store.delete(queue, leased)).toEqual({ outcomes: ['done'], nextDueInMs: 5_000 });
        });

        it('keeps the history of a moved message', async () => {
          const queue = newQueue(fifo);
          const history = { sentAt: time.now() - 5_000, receiveCount: 3, firstReceivedAt: time.now() - 4_000 };
          const reply = await store.send(queue, [grouped('a', { history })]);
          expect(reply.sent[0]?.sentAt).toBe(history.sentAt);
          expect((await receive(queue)).leased[0]).toMatchObject({ ...history, receiveCount: 4 });
        });

        it('stops at the byte bound, takes the first record whatever its size, and says that more is due', async () => {
          const queue = newQueue(fifo);
          await store.send(
            queue,
            ['12345', '123', '12', '1'].map((text, index) => grouped(`g${index}`, { text })),
          );
          expect(texts((await receive(queue, { maxBytes: 1 })).leased)).toEqual(['12345']);
          const second = await receive(queue, { maxBytes: 5 });
          expect(texts(second.leased)).toEqual(['123', '12']);
          expect(second).toMatchObject({ nextDueInMs: 0, total: 4 });
          expect(texts((await receive(queue, { maxBytes: 0 })).leased)).toEqual(['1']);
        });

        it('says when the next message is due, other than those just leased', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a'), grouped('b'), grouped('c', { delayMs: 700 })]);
          expect((await receive(queue, { maxMessages: 1, leaseMs: 300 })).nextDueInMs).toBe(0);
          expect((await receive(queue, { maxMessages: 1, leaseMs: 100 })).nextDueInMs).toBe(300);
          time.advance(100);
          expect((await receive(queue, { leaseMs: 1 })).nextDueInMs).toBe(200);
        });

        it('receives thousands in one call', async () => {
          const queue = newQueue(fifo);
          for (let i = 0; i < 3; i += 1) {
            const batch = Array.from({ length: 400 }, (_, index) => grouped(`g${i}-${index % 100}`));
            await store.send(queue, batch);
          }
          const { leased, total } = await receive(queue, { maxMessages: 2_000 });
          expect(total).toBe(1_200);
          expect(new Set(leased.map(({ id }) => id)).size).toBe(1_200);
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1_200 });
          const { outcomes } = await store.delete(queue, leased);
          expect(outcomes).toEqual(Array.from({ length: 1_200 }, () => 'done'));
          expect(await store.peek(queue)).toBeUndefined();
        });

        it('removes every message on a purge', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('a'), grouped('b'), grouped('c', { delayMs: 5_000 })]);
          const { leased } = await receive(queue, { maxMessages: 1 });
          await store.purge(queue);
          expect(await store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
          expect((await store.delete(queue, leased)).outcomes).toEqual(['missing']);
          expect(await receive(queue)).toEqual({ leased: [], total: 0 });
        });

        it('trims visible messages that are too old, and no others', async () => {
          const queue = newQueue(fifo);
          await store.send(queue, [grouped('leased', { text: 'leased' })]);
          await receive(queue, { leaseMs: 500_000 });
          await store.send(queue, [
            grouped('old', { text: 'old' }),
            grouped('late', { text: 'late', delayMs: 200_000 }),
          ]);
          time.advance(60_000);
          await store.send(queue, [grouped('young', { text: 'young' })]);
          expect(await store.trim(queue, 60_000, 10)).toBe(0);
          time.advance(1);
          expect(await store.trim(queue, 60_000, 10)).toBe(1);
          expect(texts((await receive(queue)).leased)).toEqual(['young']);
          time.advance(200_000);
          expect(await store.trim(queue, 240_000, 10)).toBe(1);
          expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
        });

        it('trims what was received long ago and what was moved here, and no more than asked', async () => {
          const queue = newQueue(fifo);
          const history = { sentAt: time.now() - 100_000, receiveCount: 1, firstReceivedAt: time.now() - 1 };
          await store.send(queue, [grouped('a', { history }), grouped('b'), grouped('c')]);
          await receive(queue, { leaseMs: 90_000 });
          time.advance(90_000);
          expect(await store.trim(queue, 100_000, 10)).toBe(1);
          expect(await store.trim(queue, 80_000, 1)).toBe(1);
          expect(await store.trim(queue, 80_000, 10)).toBe(1);
          expect(await store.peek(queue)).toBeUndefined();
        });

        it('signals a wake only if the head became earlier', async () => {
          const queue = newQueue(fifo);
          const wakes = wakesOf(queue);
          await store.send(queue, [grouped('a', { delayMs: 10_000 })]);
          await store.send(queue, [grouped('b', { delayMs: 20_000 })]);
          await store.send(queue, [grouped('c', { delayMs: 5_000 })]);
          expect(await wakes.next()).toBe(10_000);
          expect(await wakes.next()).toBe(5_000);
          time.advance(20_000);
          const { leased } = await receive(queue);
          await store.release(queue, leased.slice(0, 1));
          expect(await wakes.next()).toBe(0);
        });

        it('refuses what only a fault in Karin could ask', async () => {
          const queue = newQueue(fifo);
          const ids = Array.from({ length: 501 }, () => grouped('a'));
          await expect(store.send(queue, [])).rejects.toThrow(RangeError);
          await expect(store.send(queue, ids)).rejects.toThrow('1 to 500');
          await expect(store.send(queue, [grouped('a', { id: 'x' })])).rejects.toThrow('UUID');
          await expect(store.send(queue, [grouped('a', { delayMs: -1 })])).rejects.toThrow('0 ms or more');
          await expect(store.send(queue, [entry({ group: 'a\0b' })])).rejects.toThrow('zero character');
          await expect(receive(queue, { maxMessages: 0 })).rejects.toThrow('1 message or more');
          expect(await store.peek(queue)).toBeUndefined();
        });
      });
    }

    describe('standard queues', () => {
      it('lets the holder act after the lease ran out, as long as nobody else received the message', async () => {
        const queue = newQueue(false);
        await store.send(queue, [entry(), entry()]);
        const [a, b] = (await receive(queue, { leaseMs: 10 })).leased;
        time.advance(10);
        expect((await store.changeVisibility(queue, [{ ...lease(a), leaseMs: 50 }])).outcomes).toEqual(['done']);
        expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
        expect((await store.delete(queue, leases(a, b))).outcomes).toEqual(['done', 'done']);
      });

      it('hands out the oldest due first', async () => {
        const queue = newQueue(false);
        await store.send(queue, [entry({ text: 'late', delayMs: 20 }), entry({ text: 'early', delayMs: 10 })]);
        time.advance(20);
        expect(texts((await receive(queue)).leased)).toEqual(['early', 'late']);
      });

      it('looks at messages whose delay still runs, by when it ends', async () => {
        const queue = newQueue(false);
        const delays = [50, 0, 10, 30, 20].map((delayMs) => entry({ text: String(delayMs), delayMs }));
        await store.send(queue, delays);
        const found = async (fromMs: number, toMs: number, limit = 10) =>
          (await store.delayed(queue, { fromMs, toMs, limit })).map(({ id, record, dueInMs }) => {
            expect(delays.find((sent) => sent.id === id)?.delayMs).toBe(Number(Buffer.from(record)));
            return dueInMs;
          });
        expect(await found(0, 1_000)).toEqual([10, 20, 30, 50]);
        expect(await found(20, 30)).toEqual([20, 30]);
        expect(await found(21, 1_000, 1)).toEqual([30]);
        expect(await found(60, 1_000)).toEqual([]);
        time.advance(20);
        expect(await found(0, 1_000)).toEqual([10, 30]);
        expect(await store.depth(queue)).toEqual({ visible: 3, delayed: 2, inFlight: 0 });
      });

      it('deletes messages whose delay still runs, and no others', async () => {
        const queue = newQueue(false);
        const crowd = Array.from({ length: 500 }, () => entry({ delayMs: 50, group: 'crowd' }));
        await store.send(queue, crowd);
        const one = entry({ delayMs: 50, group: 'one' });
        const ended = entry({ delayMs: 10 });
        const never = entry();
        await store.send(queue, [ended, one, never]);
        time.advance(10);
        const ids = [one.id, ended.id, never.id, entry().id];
        expect(await store.deleteDelayed(queue, ids)).toEqual(['done', 'superseded', 'superseded', 'missing']);
        expect(await store.depth(queue)).toEqual({ visible: 2, delayed: 500, inFlight: 0 });
        expect(await store.delayed(queue, { fromMs: 0, toMs: 1_000, limit: 500 })).toHaveLength(500);
        time.advance(40);
        const { leased } = await receive(queue, { maxMessages: 1_000 });
        expect(leased.map(({ id }) => id)).not.toContain(one.id);
        expect(leased).toHaveLength(502);
        expect(
          await store.deleteDelayed(
            queue,
            crowd.map(({ id }) => id),
          ),
        ).toEqual(crowd.map(() => 'superseded'));
      });

      it('lets groups take turns within the look-ahead', async () => {
        const queue = newQueue(false);
        const noisy = Array.from({ length: 150 }, (_, index) => entry({ text: `noisy${index}`, group: 'noisy' }));
        await store.send(queue, noisy);
        time.advance(1);
        await store.send(queue, [
          entry({ text: 'quiet0', group: 'quiet' }),
          entry({ text: 'none' }),
          entry({ text: 'quiet1', group: 'quiet' }),
        ]);
        const { leased } = await receive(queue, { maxMessages: 6 });
        expect(texts(leased)).toEqual(['noisy0', 'quiet0', 'none', 'noisy1', 'quiet1', 'noisy2']);
        expect(leased.map(({ group }) => group)).toEqual(['noisy', 'quiet', undefined, 'noisy', 'quiet', 'noisy']);
        expect((await store.delete(queue, leased)).outcomes).toEqual(Array.from({ length: 6 }, () => 'done'));
      });

      it('looks at no more than 200 due messages to find other groups', async () => {
        const queue = newQueue(false);
        await store.send(
          queue,
          Array.from({ length: 200 }, () => entry({ text: 'noisy', group: 'noisy' })),
        );
        time.advance(1);
        await store.send(queue, [entry({ text: 'quiet', group: 'quiet' })]);
        expect(texts((await receive(queue, { maxMessages: 2 })).leased)).toEqual(['noisy', 'noisy']);
        expect(texts((await receive(queue, { maxMessages: 2 })).leased)).toEqual(['noisy', 'quiet']);
      });
    });

    describe('FIFO queues', () => {
      it('refuses to look at single delays', async () => {
        const queue = newQueue(true);
        await expect(store.delayed(queue, { fromMs: 0, toMs: 1, limit: 1 })).rejects.toThrow(RangeError);
        await expect(store.deleteDelayed(queue, [randomUUID()])).rejects.toThrow(RangeError);
      });

      it('locks a group until all its leased messages are settled, and hands the rest out in order', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1', 'a2', 'a3']);
        const { leased } = await receive(queue, { maxMessages: 2 });
        expect(texts(leased)).toEqual(['a1', 'a2']);
        expect((await receive(queue)).leased).toEqual([]);
        expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 2 });
        expect(await store.delete(queue, leases(leased[1]))).toEqual({ outcomes: ['done'], nextDueInMs: 30_000 });
        expect((await receive(queue)).leased).toEqual([]);
        expect(await store.delete(queue, leases(leased[0]))).toEqual({
          outcomes: ['done'],
          headLoweredToMs: 0,
          nextDueInMs: 0,
        });
        expect(texts((await receive(queue)).leased)).toEqual(['a3']);
      });

      it('hands failed messages of a group out first, in order', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1', 'a2', 'a3', 'a4']);
        const { leased } = await receive(queue, { maxMessages: 3 });
        await store.delete(queue, leases(leased[0]));
        await store.changeVisibility(
          queue,
          leases(leased[1], leased[2]).map((held) => ({ ...held, leaseMs: 0 })),
        );
        expect(texts((await receive(queue)).leased)).toEqual(['a2', 'a3', 'a4']);
      });

      it('keeps a group locked while any lease of it runs', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1', 'a2']);
        const { leased } = await receive(queue, { leaseMs: 1_000 });
        await store.changeVisibility(
          queue,
          leases(leased[0]).map((held) => ({ ...held, leaseMs: 0 })),
        );
        expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
        expect(await receive(queue)).toEqual({ leased: [], nextDueInMs: 1_000, total: 2 });
        time.advance(1_000);
        expect(texts((await receive(queue)).leased)).toEqual(['a1', 'a2']);
      });

      it('does nothing for a lease that ran out, even if nobody received the message since', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1']);
        const { leased } = await receive(queue, { leaseMs: 10 });
        time.advance(10);
        expect((await store.delete(queue, leased)).outcomes).toEqual(['expired']);
        expect((await store.release(queue, leased)).outcomes).toEqual(['expired']);
        expect(
          await store.changeVisibility(
            queue,
            leased.map((held) => ({ ...held, leaseMs: 9 })),
          ),
        ).toEqual({
          outcomes: ['expired'],
          nextDueInMs: 0,
        });
        expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
      });

      it('fills a receive from several groups, each in order, unless one group is asked for', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1', 'a2']);
        time.advance(1);
        await sendTexts(queue, 'b', ['b1', 'b2']);
        const one = await receive(queue, { singleGroup: true, leaseMs: 10 });
        expect(texts(one.leased)).toEqual(['a1', 'a2']);
        expect(one.nextDueInMs).toBe(0);
        time.advance(10);
        expect(texts((await receive(queue, { maxMessages: 3 })).leased)).toEqual(['b1', 'b2', 'a1']);
      });

      it('lets a group that was just served queue up behind those that wait', async () => {
        const queue = newQueue(true);
        await sendTexts(queue, 'a', ['a1', 'a2', 'a3']);
        time.advance(1);
        await sendTexts(queue, 'b', ['b1']);
        time.advance(1);
        const { leased } = await receive(queue, { maxMessages: 1 });
        await store.delete(queue, leased);
        expect(texts((await receive(queue, { maxMessages: 2 })).leased)).toEqual(['b1', 'a2']);
      });

      it('lets a delayed message hold back what was sent to its group after it', async () => {
        const queue = newQueue(true);
        await store.send(queue, [
          entry({ text: 'a1', group: 'a' }),
          entry({ text: 'a2', group: 'a', delayMs: 1_000 }),
          entry({ text: 'a3', group: 'a' }),
        ]);
        const { leased } = await receive(queue);
        expect(texts(leased)).toEqual(['a1']);
        expect(await store.delete(queue, leased)).toEqual({
          outcomes: ['done'],
          headLoweredToMs: 1_000,
          nextDueInMs: 1_000,
        });
        expect(await store.depth(queue)).toEqual({ visible: 1, delayed: 1, inFlight: 0 });
        time.advance(1_000);
        expect(texts((await receive(queue)).leased)).toEqual(['a2', 'a3']);
      });

      it('gives growing sequence numbers of twenty digits, the same when received', async () => {
        const queue = newQueue(true);
        const numbers: (string | undefined)[] = [];
        for (const group of ['a', 'b', 'a']) {
          const reply = await store.send(queue, [entry({ group }), entry({ group })]);
          numbers.push(...reply.sent.map(({ sequenceNumber }) => sequenceNumber));
        }
        expect(numbers.every((number) => number !== undefined && /^\d{20}$/.test(number))).toBe(true);
        expect(numbers).toEqual([...new Set(numbers)].sort());
        const received = (await receive(queue)).leased.map(({ sequenceNumber }) => sequenceNumber);
        expect([...received].sort()).toEqual(numbers);
      });

      it('answers a duplicate with the first message, for five minutes by the clock of the store', async () => {
        const queue = newQueue(true);
        const send = async (deduplicationKey: string, group = 'a') =>
          (await store.send(queue, [entry({ group, deduplicationKey })])).sent;
        const [first] = await send('key');
        time.advance(1);
        expect(await send('key', 'b')).toEqual([{ ...first, duplicate: true }]);
        const { leased } = await receive(queue);
        expect(leased).toHaveLength(1);
        await store.delete(queue, leased);
        time.advance(299_998);
        expect(await send('key')).toEqual([{ ...first, duplicate: true }]);
        expect((await send('other'))[0]).toMatchObject({ duplicate: false });
        time.advance(1);
        const [second] = await send('key');
        expect(second?.id).not.toBe(first?.id);
        expect(second?.duplicate).toBe(false);
        expect(await send('key')).toEqual([{ ...second, duplicate: true }]);
      });

      it('finds duplicates within a batch, after a purge, and not in the sender repeating itself', async () => {
        const queue = newQueue(true);
        const one = entry({ group: 'a', deduplicationKey: 'key' });
        const two = entry({ group: 'a', deduplicationKey: 'key' });
        expect((await store.send(queue, [one, two])).sent.map(({ id, duplicate }) => [id, duplicate])).toEqual([
          [one.id, false],
          [one.id, true],
        ]);
        await store.purge(queue);
        expect((await store.send(queue, [two])).sent).toMatchObject([{ id: one.id, duplicate: true }]);
        expect((await store.send(queue, [one])).sent).toMatchObject([{ id: one.id, duplicate: false }]);
        expect(await store.peek(queue)).toBeUndefined();
      });

      const sendTexts = (queue: StoredQueue, group: string, names: readonly string[]) =>
        store.send(
          queue,
          names.map((text) => entry({ text, group })),
        );
    });

    describe('documents', () => {
      it('writes, compares, lists by prefix and removes', async () => {
        const { documents } = store;
        expect(await documents.get('c:none')).toBeUndefined();
        expect(await documents.put('c:b', 'one', null)).toBe(true);
        expect(await documents.put('c:b', 'two', null)).toBe(false);
        expect(await documents.put('c:b', 'two', 'none')).toBe(false);
        expect(await documents.put('c:b', 'two ü', 'one')).toBe(true);
        expect(await documents.put('c:a', '')).toBe(true);
        expect(await documents.put('c', 'not listed')).toBe(true);
        expect(await documents.get('c:a')).toBe('');
        expect([...(await documents.list('c:'))]).toEqual([
          ['c:a', ''],
          ['c:b', 'two ü'],
        ]);
        expect(await documents.remove('c:b', 'one')).toBe(false);
        expect(await documents.remove('c:b', 'two ü')).toBe(true);
        expect(await documents.remove('c:b')).toBe(false);
        expect(await documents.remove('c:a')).toBe(true);
        expect(await documents.list('c:')).toEqual(new Map());
      });

      it('lets one of many writers win', async () => {
        const wins = await Promise.all(
          Array.from({ length: 10 }, (_, index) => store.documents.put('race', `${index}`, null)),
        );
        expect(wins.filter(Boolean)).toHaveLength(1);
      });

      it('signals writes and removals', async () => {
        const written = nextSignal('signalled');
        await store.documents.put('signalled', '1');
        expect(await written).toEqual({ kind: 'document', name: 'signalled' });
        const removed = nextSignal('signalled');
        await store.documents.remove('signalled');
        expect(await removed).toEqual({ kind: 'document', name: 'signalled' });
      });
    });

    describe('slots', () => {
      it('gives out no more than the limit, one to a holder, and takes back what is held', async () => {
        const { slots } = store;
        expect(await slots.take('s1', 'a', 2, 1_000)).toBe(true);
        expect(await slots.take('s1', 'b', 2, 1_000)).toBe(true);
        expect(await slots.take('s1', 'a', 2, 1_000)).toBe(true);
        expect(await slots.take('s1', 'c', 2, 1_000)).toBe(false);
        await slots.free('s1', 'c', 2);
        expect(await slots.take('s1', 'c', 2, 1_000)).toBe(false);
        await slots.free('s1', 'a', 2);
        expect(await slots.take('s1', 'c', 2, 1_000)).toBe(true);
      });

      it('frees the slot of a holder that died', async () => {
        await store.slots.take('s2', 'a', 1, 1_000);
        time.advance(999);
        expect(await store.slots.take('s2', 'b', 1, 1_000)).toBe(false);
        time.advance(1);
        expect(await store.slots.take('s2', 'b', 1, 1_000)).toBe(true);
      });

      it('signals only when the set was full', async () => {
        const { slots } = store;
        const signal = nextSignal('s3', 's4');
        await slots.take('s3', 'a', 2, 1_000);
        await slots.free('s3', 'a', 2);
        await slots.free('s3', 'a', 2);
        await slots.take('s4', 'a', 1, 1_000);
        await slots.free('s4', 'a', 1);
        expect(await signal).toEqual({ kind: 'slot', name: 's4' });
      });
    });

    it('says how it is', async () => {
      const health = await store.health();
      expect(health.reachable).toBe(true);
      expect(health.description).not.toBe('');
    });
  });
}

/** The leases of received messages; a test that expects one and got none fails here. */
function leases(...entries: readonly (LeasedEntry | undefined)[]): Lease[] {
  return entries.map(lease);
}

function lease(held: LeasedEntry | undefined): Lease {
  if (held === undefined) throw new Error('a message was expected and none was received');
  const { id, receiveCount, group, sequenceNumber } = held;
  return {
    id,
    receiveCount,
    ...(group === undefined ? {} : { group }),
    ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
  };
}
