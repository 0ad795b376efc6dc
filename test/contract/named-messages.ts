import { describe, expect, it } from 'vitest';
import type { FreeMessage, NewEntry, StoredQueue } from '../../runtime/store/store.ts';
import { type Context, entry, leases, newQueue, texts } from './store-under-test.ts';

/** What is done to messages that are named one by one, whatever their state. */
export function namedMessagesContract(context: Context): void {
  for (const fifo of [false, true]) {
    const grouped = (group: string, overrides: Partial<NewEntry> & { text?: string } = {}): NewEntry =>
      entry({ ...overrides, group });
    const nameOf = ({ id, group }: NewEntry): FreeMessage => ({ id, ...(group === undefined ? {} : { group }) });
    const receivedTexts = async (queue: StoredQueue): Promise<string[]> => texts((await context.receive(queue)).leased);

    describe(fifo ? 'messages of a FIFO queue by their names' : 'messages of a standard queue by their names', () => {
      it('finds messages in every state, in the order of their names, and changes nothing', async () => {
        const queue = newQueue(fifo);
        const taken = grouped('a', { text: 'taken' });
        await context.store.send(queue, [taken]);
        await context.receive(queue, { leaseMs: 90 });
        const waiting = grouped('b', { text: 'waiting' });
        const late = grouped('c', { text: 'late', delayMs: 50 });
        await context.store.send(queue, [waiting, late]);
        const names = [late, grouped('b'), waiting, taken].map(nameOf);
        const { found, looked } = await context.store.named.lookUp(queue, names, 1_000);
        expect(looked).toBe(4);
        expect(
          found.map(({ record, state, dueInMs, group, receiveCount, sequenceNumber }) => [
            Buffer.from(record).toString(),
            ...[state, dueInMs, group, receiveCount, sequenceNumber !== undefined],
          ]),
        ).toEqual([
          ['late', 'delayed', 50, 'c', 0, fifo],
          ['waiting', 'visible', 0, 'b', 0, fifo],
          ['taken', 'in-flight', 90, 'a', 1, fifo],
        ]);
        expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 1, inFlight: 1 });
      });

      it('tells that a message is there whose group was not named, without its state', async () => {
        const queue = newQueue(fifo);
        const sent = grouped('a', { text: 'here' });
        await context.store.send(queue, [sent]);
        const { found } = await context.store.named.lookUp(queue, [{ id: sent.id }], 1_000);
        expect(texts(found)).toEqual(['here']);
        expect(found[0]).not.toHaveProperty('state');
        expect((await context.store.named.delete(queue, [{ id: sent.id }])).outcomes).toEqual(['out-of-reach']);
        expect(await receivedTexts(queue)).toEqual(['here']);
      });

      it('stops reading at the bound of bytes, and says how many names it looked at', async () => {
        const queue = newQueue(fifo);
        const sent = [0, 1, 2].map((at) => grouped('a', { text: `message ${at}` }));
        await context.store.send(queue, sent);
        const absent = grouped('a');
        const look = (maxBytes: number) => context.store.named.lookUp(queue, [absent, ...sent].map(nameOf), maxBytes);
        expect(await look(0)).toMatchObject({ looked: 2, found: [{ id: sent[0]?.id }] });
        expect(await look(18)).toMatchObject({ looked: 3 });
        expect(await look(27)).toMatchObject({ looked: 4 });
      });

      it('tells which messages have a delay that runs, earliest first, from any place on', async () => {
        const queue = newQueue(fifo);
        const [third, first, now, second] = [30, 10, 0, 20].map((delayMs) => grouped(`g${delayMs}`, { delayMs }));
        await context.store.send(
          queue,
          [third, first, now, second].filter((one) => one !== undefined),
        );
        expect(await context.store.named.scheduled(queue, 0, 2)).toEqual({
          scheduled: [
            { id: first?.id, dueInMs: 10 },
            { id: second?.id, dueInMs: 20 },
          ],
          total: 3,
        });
        context.time.advance(10);
        expect(await context.store.named.scheduled(queue, 1, 2)).toEqual({
          scheduled: [{ id: third?.id, dueInMs: 20 }],
          total: 2,
        });
        expect(await context.store.named.scheduled(queue, 2, 2)).toEqual({ scheduled: [], total: 2 });
      });

      it('reads records alone, within a bound of bytes, and says how many ids it looked at', async () => {
        const queue = newQueue(fifo);
        const sent = Array.from({ length: 40 }, (_, at) => grouped('a', { text: `message ${at + 10}` }));
        await context.store.send(queue, sent);
        const ids = [grouped('a').id, ...sent.map(({ id }) => id)];
        const read = async (maxBytes: number) => {
          const { records, looked } = await context.store.named.records(queue, ids, maxBytes);
          return [looked, [...records].map(([id, record]) => [ids.indexOf(id), Buffer.from(record).toString()])];
        };
        const first = Array.from({ length: 20 }, (_, at) => [at + 1, `message ${at + 10}`]);
        expect(await read(0)).toEqual([2, first.slice(0, 1)]);
        expect(await read(200)).toEqual([21, first.slice(0, 20)]);
        const { records, looked } = await context.store.named.records(queue, ids, 1_000);
        expect([records.size, looked]).toEqual([40, 41]);
        expect((await context.store.named.records(queue, ids.slice(0, 1), 10)).records.size).toBe(0);
      });

      it('deletes what nobody has received, with what is kept of its failure, and nothing in flight', async () => {
        const queue = newQueue(fifo);
        const taken = grouped('a');
        await context.store.send(queue, [taken]);
        await context.receive(queue);
        const [waiting, late] = [grouped('b'), grouped('c', { delayMs: 50 })];
        const history = { sentAt: 1, receiveCount: 2, firstReceivedAt: 1 };
        const failed = grouped('d', { history });
        await context.store.send(queue, [waiting, late, failed]);
        await context.store.keepFailures(queue, [{ id: failed.id, text: 'it failed' }]);
        const { outcomes, nextDueInMs } = await context.store.named.delete(
          queue,
          [taken, waiting, late, failed, grouped('e')].map(nameOf),
        );
        expect(outcomes).toEqual(['in-flight', 'done', 'done', 'done', 'missing']);
        expect(nextDueInMs).toBe(30_000);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
        expect(await context.store.failures(queue, [failed.id])).toEqual(new Map());
      });

      it('makes a delayed message due now, and tells everybody', async () => {
        const queue = newQueue(fifo);
        const late = grouped('a', { text: 'late', delayMs: 90_000 });
        const wakes = context.wakesOf(queue);
        await context.store.send(queue, [late]);
        expect(await wakes.next()).toBe(90_000);
        expect(await context.store.named.makeDue(queue, [nameOf(late)])).toEqual({
          ...{ outcomes: ['done'], headLoweredToMs: 0, nextDueInMs: 0 },
        });
        expect(await wakes.next()).toBe(0);
        expect(await context.store.depth(queue)).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
        expect(await context.store.named.makeDue(queue, [nameOf(late)])).toEqual({
          outcomes: ['done'],
          nextDueInMs: 0,
        });
        expect(await receivedTexts(queue)).toEqual(['late']);
      });

      it('touches a message in flight only if it is the receive that was given up', async () => {
        const queue = newQueue(fifo);
        const sent = grouped('a', { text: 'failing' });
        await context.store.send(queue, [sent]);
        const { leased } = await context.receive(queue);
        const made = (givenUp?: number) =>
          context.store.named.makeDue(queue, [{ ...nameOf(sent), ...(givenUp === undefined ? {} : { givenUp }) }]);
        expect((await made()).outcomes).toEqual(['in-flight']);
        expect((await made(2)).outcomes).toEqual(['in-flight']);
        expect(await made(1)).toEqual({ outcomes: ['done'], headLoweredToMs: 0, nextDueInMs: 0 });
        const again = await context.receive(queue);
        expect(again.leased).toMatchObject([{ id: sent.id, receiveCount: 2 }]);
        expect((await made(1)).outcomes).toEqual(['in-flight']);
        expect((await context.store.named.delete(queue, [{ ...nameOf(sent), givenUp: 1 }])).outcomes).toEqual([
          'in-flight',
        ]);
        expect((await context.store.delete(queue, leases(leased[0]))).outcomes).toEqual(['superseded']);
        expect((await context.store.named.delete(queue, [{ ...nameOf(sent), givenUp: 2 }])).outcomes).toEqual(['done']);
        expect((await context.store.delete(queue, leases(again.leased[0]))).outcomes).toEqual(['missing']);
      });

      it('takes messages under a lease that its taker can end, and brings nothing forward', async () => {
        const queue = newQueue(fifo);
        const [now, late] = [grouped('a', { text: 'now' }), grouped('b', { text: 'late', delayMs: 5_000 })];
        await context.store.send(queue, [now, late]);
        const taken = await context.store.named.take(queue, [now, late, grouped('c')].map(nameOf), 1_000);
        expect(taken.outcomes).toEqual(['done', 'done', 'missing']);
        expect(taken.leases).toMatchObject([
          { id: now.id, leaseNumber: 1 },
          { id: late.id, leaseNumber: 1 },
        ]);
        expect(taken.nextDueInMs).toBe(1_000);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 2 });
        context.time.advance(1_000);
        expect(await receivedTexts(queue)).toEqual(['now']);
        expect(await context.store.peek(queue)).toBe(4_000);
        expect((await context.store.delete(queue, taken.leases)).outcomes).toEqual(['superseded', 'done']);
      });

      it('gives back what was taken with the receive count that it had', async () => {
        const queue = newQueue(fifo);
        const sent = grouped('a', { text: 'back' });
        await context.store.send(queue, [sent]);
        const taken = await context.store.named.take(queue, [nameOf(sent)], 1_000);
        await context.store.release(queue, taken.leases);
        const { leases: again } = await context.store.named.take(queue, [nameOf(sent)], 1_000);
        expect((await context.store.release(queue, taken.leases)).outcomes).toEqual(['superseded']);
        expect(await context.store.depth(queue)).toEqual({ visible: 0, delayed: 0, inFlight: 1 });
        expect((await context.store.release(queue, again)).outcomes).toEqual(['done']);
        expect((await context.receive(queue)).leased).toMatchObject([{ id: sent.id, receiveCount: 1 }]);
      });

      it('names all its messages, in parts', async () => {
        const queue = newQueue(fifo);
        const sent = Array.from({ length: 700 }, (_, at) => grouped(`group ${at % 7}`, { delayMs: (at % 2) * 50 }));
        await context.store.send(queue, sent.slice(0, 400));
        await context.store.send(queue, sent.slice(400));
        const named = new Map<string, FreeMessage>();
        let cursor: string | undefined;
        do {
          const reply = await context.store.named.names(queue, 100, cursor);
          for (const name of reply.names) named.set(name.id, name);
          cursor = reply.cursor;
        } while (cursor !== undefined);
        expect(new Set(named.keys())).toEqual(new Set(sent.map(({ id }) => id)));
        const some = [...named.values()].slice(0, 50);
        const { found } = await context.store.named.lookUp(queue, some, 1_000_000);
        expect(found.map(({ state }) => state)).not.toContain(undefined);
        expect(found.map(({ id }) => id)).toEqual(some.map(({ id }) => id));
        expect(await context.store.named.names(newQueue(fifo), 100)).toEqual({ names: [] });
      });

      it('tells which of many queues have a message', async () => {
        const queues = Array.from({ length: 120 }, (_, at) => newQueue(at % 2 === 0 ? fifo : !fifo));
        const [first, last] = [queues[0], queues.at(-1)];
        if (first === undefined || last === undefined) throw new Error('there are queues');
        const sent = grouped('a');
        await context.store.send(first, [sent]);
        await context.store.send(last, [sent]);
        expect((await context.store.named.holders(queues, sent.id)).holders).toEqual([first.key, last.key]);
        expect((await context.store.named.holders(queues, grouped('a').id)).holders).toEqual([]);
      });

      it('refuses names that only a fault in Karin could give', async () => {
        const queue = newQueue(fifo);
        await expect(context.store.named.lookUp(queue, [], 1)).rejects.toThrow('1 to 500');
        await expect(context.store.named.delete(queue, [{ id: 'x' }])).rejects.toThrow('UUID');
        const { id } = grouped('a');
        await expect(context.store.named.delete(queue, [{ id }, { id }])).rejects.toThrow('twice');
      });
    });
  }

  describe('the order of a FIFO group, whatever is done to its messages by their names', () => {
    const inA = (text: string, overrides: Partial<NewEntry> = {}): NewEntry =>
      entry({ text, group: 'a', ...overrides });
    const name = ({ id }: NewEntry): FreeMessage => ({ id, group: 'a' });

    it('keeps a message behind one in flight, and behind a first one that is delayed', async () => {
      const queue = newQueue(true);
      const [first, second, third] = [inA('first'), inA('second', { delayMs: 9_000 }), inA('third')];
      await context.store.send(queue, [first, second, third]);
      const { leased } = await context.receive(queue);
      expect(texts(leased)).toEqual(['first']);
      expect((await context.store.named.makeDue(queue, [second, third].map(name))).outcomes).toEqual([
        'behind',
        'behind',
      ]);
      await context.store.delete(queue, leases(leased[0]));
      expect((await context.store.named.makeDue(queue, [name(third)])).outcomes).toEqual(['behind']);
      expect((await context.store.named.makeDue(queue, [name(second)])).outcomes).toEqual(['done']);
      expect(texts((await context.receive(queue)).leased)).toEqual(['second', 'third']);
    });

    it('goes on with the next message when the first is deleted, and not before its delay ends', async () => {
      const queue = newQueue(true);
      const [first, second, third] = [inA('first'), inA('second'), inA('third', { delayMs: 700 })];
      await context.store.send(queue, [first, second, third]);
      expect((await context.store.named.delete(queue, [second].map(name))).outcomes).toEqual(['done']);
      expect(await context.store.peek(queue)).toBe(0);
      expect((await context.store.named.delete(queue, [first].map(name))).nextDueInMs).toBe(700);
      context.time.advance(700);
      expect(texts((await context.receive(queue)).leased)).toEqual(['third']);
    });

    it('deletes behind a message in flight without making anything available', async () => {
      const queue = newQueue(true);
      const sent = [inA('first'), inA('second'), inA('third')];
      await context.store.send(queue, sent);
      const { leased } = await context.receive(queue, { maxMessages: 1 });
      expect((await context.store.named.delete(queue, sent.map(name))).outcomes).toEqual(['in-flight', 'done', 'done']);
      expect((await context.receive(queue)).leased).toEqual([]);
      await context.store.delete(queue, leases(leased[0]));
      expect(await context.store.peek(queue)).toBeUndefined();
    });

    it('takes from the first message on and without a gap', async () => {
      const queue = newQueue(true);
      const [first, second, third] = [inA('first'), inA('second'), inA('third')];
      await context.store.send(queue, [first, second, third]);
      const take = async (...entries: readonly NewEntry[]) =>
        (await context.store.named.take(queue, entries.map(name), 1_000)).outcomes;
      expect(await take(second)).toEqual(['behind']);
      expect(await take(first, third)).toEqual(['done', 'behind']);
      expect(await take(second)).toEqual(['behind']);
      context.time.advance(1_000);
      expect(await take(first, second, third)).toEqual(['done', 'done', 'done']);
      expect((await context.receive(queue)).leased).toEqual([]);
    });

    it('finds a message by its sequence number, and by its group if that number is not its own any more', async () => {
      const queue = newQueue(true);
      const [first, second] = [inA('first'), inA('second')];
      const { sent } = await context.store.send(queue, [first, second]);
      const [of1, of2] = sent.map(({ sequenceNumber = '' }) => sequenceNumber);
      const look = async (sequenceNumber = '') =>
        (await context.store.named.lookUp(queue, [{ ...name(second), sequenceNumber }], 100)).found;
      for (const asked of [of2, of1, 'x']) expect(await look(asked)).toMatchObject([{ sequenceNumber: of2 }]);
    });
  });
}
