import { describe, expect, it } from 'vitest';
import { newMessageId } from '../../runtime/queue/message.ts';
import type { KeptMessage, Page, RestoredEntry, StoredQueue } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { type Context, entry, leases, newQueue, texts } from './store-under-test.ts';

/** What moving messages from one store to another asks of both. */
export function movingContract(context: Context): void {
  const pagesOf = async (queue: StoredQueue, limit = 3, maxBytes = 1_000_000): Promise<Page[]> => {
    const pages: Page[] = [];
    let after: string | undefined;
    do {
      const page = await context.store.page(queue, { limit, maxBytes, ...(after === undefined ? {} : { after }) });
      pages.push(page);
      after = page.next;
    } while (after !== undefined);
    return pages;
  };
  const allOf = async (queue: StoredQueue, limit?: number): Promise<KeptMessage[]> =>
    (await pagesOf(queue, limit)).flatMap(({ messages }) => messages);
  const numbered = (messages: readonly KeptMessage[]): RestoredEntry[] =>
    messages.map((message, index) => ({ ...message, position: index + 1 }));
  /** Bytes of different classes are equal if they read alike. */
  const comparable = (messages: readonly KeptMessage[]) =>
    messages.map(({ record, ...rest }) => ({ ...rest, text: Buffer.from(record).toString('latin1') }));

  for (const fifo of [false, true]) {
    const grouped = (group: string, text: string, delayMs = 0) => entry({ text, delayMs, ...(fifo ? { group } : {}) });

    /** Nine messages in all states, of two groups, and the bytes of one are no text. */
    const filled = async (): Promise<StoredQueue> => {
      const queue = newQueue(fifo);
      await context.store.send(queue, [grouped('a', 'flown'), grouped('a', 'tried'), grouped('b', 'waits')]);
      context.time.advance(7);
      const held = (await context.receive(queue, { maxMessages: 2, leaseMs: 20_000 })).leased;
      await context.store.changeVisibility(
        queue,
        leases(held[1]).map((lease) => ({ ...lease, leaseMs: 0 })),
      );
      await context.store.send(queue, [
        grouped('b', 'delayed', 60_000),
        { ...grouped('c', ''), record: Buffer.from([0, 255, 13, 10, 0]) },
        ...['1', '2', '3', '4'].map((text) => grouped('c', text)),
      ]);
      return queue;
    };

    describe(fifo ? 'moving a FIFO queue' : 'moving a standard queue', () => {
      it('gives every message once, page by page, whatever its state', async () => {
        const queue = await filled();
        const all = await allOf(queue, 500);
        expect(all).toHaveLength(9);
        expect(all.map(({ state }) => state).sort()).toEqual(['delayed', 'in-flight', ...Array(7).fill('visible')]);
        for (const limit of [1, 2, 3, 8, 9]) {
          expect(comparable(await allOf(queue, limit)), `${limit} on a page`).toEqual(comparable(all));
        }
        const now = context.time.now();
        const textOf = (text: string) => all.find(({ record }) => Buffer.from(record).toString() === text);
        expect(textOf('flown')).toMatchObject({ receiveCount: 1, firstReceivedAt: now, dueAt: now + 20_000 });
        expect(textOf('tried')).toMatchObject({ receiveCount: 1, firstReceivedAt: now, sentAt: now - 7 });
        expect(textOf('delayed')).toMatchObject({ receiveCount: 0, firstReceivedAt: 0, dueAt: now + 60_000 });
        if (fifo) expect((await pagesOf(queue))[0]?.lastSequence).toBe(9);
      });

      it('ends a page at the bound of bytes, but gives at least one message', async () => {
        const queue = newQueue(fifo);
        await context.store.send(
          queue,
          ['aaaa', 'bbbb', 'cccc'].map((text) => grouped('g', text)),
        );
        expect((await pagesOf(queue, 500, 8)).map(({ messages }) => messages.length)).toEqual([2, 1]);
        expect((await pagesOf(queue, 500, 1)).map(({ messages }) => messages.length)).toEqual([1, 1, 1]);
        expect(await pagesOf(newQueue(fifo))).toMatchObject([{ messages: [] }]);
      });

      it('finds its place again when the message that it ended at is gone', async () => {
        const queue = newQueue(fifo);
        const names = Array.from({ length: 12 }, (_, index) => `m${index}`);
        // Each alone, so that all of a standard queue are due in one moment and their ids order them.
        for (const text of names) await context.store.send(queue, [grouped('g', text)]);
        const order = texts((await allOf(queue, 500)).map((message) => ({ ...message, dueInMs: 0 })));
        const first = await context.store.page(queue, { limit: 5, maxBytes: 1_000 });
        const held = (await context.receive(queue, { maxMessages: 5 })).leased;
        await context.store.delete(queue, leases(...held));
        const rest = await context.store.page(queue, { limit: 500, maxBytes: 1_000, after: first.next ?? '' });
        expect(texts(rest.messages.map((message) => ({ ...message, dueInMs: 0 })))).toEqual(order.slice(5));
        expect(rest.next).toBeUndefined();
      });

      it('puts everything back into an empty queue as it was', async () => {
        const from = await filled();
        const [{ lastSequence = 0 } = {}] = await pagesOf(from);
        const before = await allOf(from);
        const to = newQueue(fifo);
        const { outcomes } = await context.store.restore(to, { source: 's', entries: numbered(before), lastSequence });
        expect(outcomes).toEqual(before.map(() => 'restored'));
        // Nobody holds a lease of what is put back: on a FIFO queue the message is delayed instead.
        const expected = comparable(before).map((message) => ({
          ...message,
          state: fifo && message.state === 'in-flight' ? ('delayed' as const) : message.state,
        }));
        expect(comparable(await allOf(to))).toEqual(expected);
        expect((await context.store.depth(to)).visible).toBe(7);
        expect(await context.store.peek(to)).toBe(0);
      });

      it('does nothing twice, even when what was put back is consumed by then', async () => {
        const from = await filled();
        const entries = numbered(await allOf(from));
        const to = newQueue(fifo);
        await context.store.restore(to, { source: 's', entries: entries.slice(0, 5) });
        const held = (await context.receive(to)).leased;
        await context.store.delete(to, leases(...held));
        const again = await context.store.restore(to, { source: 's', entries });
        expect(again.outcomes).toEqual([...Array(5).fill('earlier'), ...Array(4).fill('restored')]);
        const other = await context.store.restore(to, { source: 'another', entries: entries.slice(5) });
        expect(other.outcomes).toEqual(Array(4).fill('present'));
        expect(await allOf(to)).toHaveLength(9 - held.length);
        await context.store.purge(to);
        expect((await context.store.restore(to, { source: 's', entries })).outcomes).toEqual(Array(9).fill('restored'));
      });

      it('counts an id that comes twice in one call once', async () => {
        const to = newQueue(fifo);
        const [message] = numbered(await allOf(await filled()));
        if (message === undefined) throw new Error('there is no message');
        const entries = [message, { ...message, position: 2 }];
        expect((await context.store.restore(to, { source: 's', entries })).outcomes).toEqual(['restored', 'present']);
        expect(await allOf(to)).toHaveLength(1);
      });

      it('hands out what was put back when it is due, with the receive count that it had', async () => {
        const to = newQueue(fifo);
        const entries = numbered(await allOf(await filled()));
        const reply = await context.store.restore(to, { source: 's', entries });
        expect(reply.headLoweredToMs).toBe(0);
        const early = (await context.receive(to, { leaseMs: 120_000 })).leased;
        context.time.advance(20_000);
        const late = (await context.receive(to, { leaseMs: 120_000 })).leased;
        context.time.advance(40_000);
        const last = (await context.receive(to, { leaseMs: 120_000 })).leased;
        const countOf = (text: string) =>
          [...early, ...late, ...last].find(({ record }) => Buffer.from(record).toString() === text)?.receiveCount;
        expect(countOf('flown')).toBe(2);
        expect(countOf('tried')).toBe(2);
        expect(countOf('waits')).toBe(1);
        expect(texts(early)).not.toContain('flown');
        // Behind a message that was in flight its group waits.
        expect(texts(late)).toEqual(fifo ? ['flown', 'tried'] : ['flown']);
        // On a FIFO queue it stands behind another message of its group, which is leased.
        expect(texts(last)).toEqual(fifo ? [] : ['delayed']);
      });

      it('tells the other instances when the head is lowered', async () => {
        const to = newQueue(fifo);
        const wakes = context.wakesOf(to);
        const now = context.time.now();
        const one = (position: number, dueAt: number): RestoredEntry => ({
          ...{ id: newMessageId(systemRandomness), record: Buffer.from('x'), sentAt: now - 10, dueAt, position },
          ...{ receiveCount: 0, firstReceivedAt: 0, state: 'delayed' as const },
          ...(fifo ? { group: `g${position}`, sequenceNumber: String(position).padStart(20, '0') } : {}),
        });
        await context.store.restore(to, { source: 's', entries: [one(1, now + 9_000)] });
        expect(await wakes.next()).toBe(9_000);
        const reply = await context.store.restore(to, { source: 's', entries: [one(2, now + 10_000)] });
        expect(reply.headLoweredToMs).toBeUndefined();
        await context.store.restore(to, { source: 's', entries: [one(3, now - 5)] });
        expect(await wakes.next()).toBe(0);
      });

      it('keeps the failures of what was put back', async () => {
        const to = newQueue(fifo);
        const entries = numbered(await allOf(await filled()));
        await context.store.restore(to, { source: 's', entries });
        const tried = entries.find(({ receiveCount }) => receiveCount > 0)?.id ?? '';
        await context.store.keepFailures(to, [{ id: tried, text: 'why', at: 1_700_000_000_000 }]);
        expect(await context.store.failures(to, [tried])).toEqual(
          new Map([[tried, { text: 'why', at: 1_700_000_000_000 }]]),
        );
      });
    });
  }

  describe('moving a FIFO queue into one that is used', () => {
    const sent = (group: string, text: string, deduplicationKey?: string) =>
      entry({ group, text, ...(deduplicationKey === undefined ? {} : { deduplicationKey }) });

    it('goes on with larger sequence numbers, also of a queue without messages', async () => {
      const to = newQueue(true);
      await context.store.restore(to, { source: 's', entries: [], lastSequence: 41 });
      const reply = await context.store.send(to, [sent('g', 'x')]);
      expect(reply.sent[0]?.sequenceNumber).toBe('00000000000000000042');
    });

    it('tells when messages were sent to it before, and not when all that it has was put back', async () => {
      const to = newQueue(true);
      const from = newQueue(true);
      await context.store.send(from, [sent('g', '1'), sent('g', '2')]);
      const [first, second] = numbered(await allOf(from));
      if (first === undefined || second === undefined) throw new Error('there are no messages');
      const restore = (source: string, lastSequence: number, ...entries: RestoredEntry[]) =>
        context.store.restore(to, { source, entries, lastSequence });
      expect((await restore('one', 1)).sentBefore).toBe(false);
      await restore('one', 1, first);
      expect((await restore('two', 2)).sentBefore).toBe(false);
      await restore('two', 2, second);
      await context.store.send(to, [sent('g', 'new')]);
      expect((await restore('one', 1)).sentBefore).toBe(false);
      expect((await restore('three', 9)).sentBefore).toBe(true);
      expect((await restore('three', 9)).sentBefore).toBe(false);
    });

    it('keeps the order of each group when messages were sent before the last part came', async () => {
      const from = newQueue(true);
      await context.store.send(
        from,
        ['1', '2', '3', '4'].map((text) => sent('g', text)),
      );
      const entries = numbered(await allOf(from));
      const to = newQueue(true);
      await context.store.restore(to, { source: 's', entries: entries.slice(0, 2), lastSequence: 4 });
      await context.store.send(to, [sent('g', '5')]);
      await context.store.restore(to, { source: 's', entries: entries.slice(2) });
      expect(texts((await context.receive(to)).leased)).toEqual(['1', '2', '3', '4', '5']);
    });

    it('lets what came before a delayed message go at once', async () => {
      const from = newQueue(true);
      await context.store.send(from, [sent('g', 'first')]);
      const entries = numbered(await allOf(from));
      const to = newQueue(true);
      await context.store.restore(to, { source: 'other', entries: [], lastSequence: 5 });
      await context.store.send(to, [{ ...sent('g', 'second'), delayMs: 30_000 }]);
      const reply = await context.store.restore(to, { source: 's', entries });
      expect(reply.headLoweredToMs).toBe(0);
      expect(texts((await context.receive(to)).leased)).toEqual(['first']);
    });

    it('knows the deduplication keys of the last five minutes, and no longer', async () => {
      const from = newQueue(true);
      await context.store.send(from, [sent('g', 'first', 'key')]);
      const entries = numbered(await allOf(from)).map((message) => ({ ...message, deduplicationKey: 'key' }));
      const to = newQueue(true);
      context.time.advance(100_000);
      await context.store.restore(to, { source: 's', entries });
      const [again] = (await context.store.send(to, [sent('g', 'again', 'key')])).sent;
      expect(again).toMatchObject({ id: entries[0]?.id, duplicate: true, sequenceNumber: entries[0]?.sequenceNumber });
      context.time.advance(200_000);
      expect((await context.store.send(to, [sent('g', 'again', 'key')])).sent[0]?.duplicate).toBe(false);
      const late = newQueue(true);
      await context.store.restore(late, { source: 's', entries });
      expect((await context.store.send(late, [sent('g', 'again', 'key')])).sent[0]?.duplicate).toBe(false);
    });
  });
}
