import { expect, it } from 'vitest';
import type { Failure } from '../../runtime/queue/failure.ts';
import type { Queue, SearchHit } from '../../runtime/queue/queue.ts';
import { StoreFullError } from '../../runtime/store/store.ts';
import { forEachStore, message, turn, woken } from './queue-world.ts';

const FAILURE: Failure = {
  errorType: 'TypeError',
  message: 'x is not a function',
  functionArn: 'arn:aws:lambda:eu-west-1:123456789012:function:f',
  durationMs: 12,
  attempt: 1,
};
const ARN = 'arn:aws:sqs:eu-west-1:123456789012:';
const DEDUPLICATED = { contentBasedDeduplication: true };
const BOUNDS = { messages: 1_000, bytes: 4_000_000, hits: 50 };

forEachStore('single messages', (open) => {
  const bodies = async (queue: Queue): Promise<readonly string[]> =>
    (await queue.receive({ maxMessages: 10 })).map(({ body }) => body);

  for (const name of ['jobs', 'jobs.fifo']) {
    const grouped = (body: string, overrides = {}) => message(body, { groupId: 'g', ...overrides });

    it(`finds a message of ${name} by its id alone, with why it failed`, async () => {
      const world = await open();
      const queue = await world.queue(name, DEDUPLICATED);
      const [failed, other] = [grouped('failed'), grouped('other')];
      await queue.send([failed, other]);
      await queue.receive({ maxMessages: 1 });
      await queue.keepFailures(new Map([[failed.id, FAILURE]]));
      const found = await queue.messages.find([{ id: other.id }, { id: grouped('absent').id }, { id: failed.id }]);
      expect(found).toMatchObject([
        { id: other.id, state: 'visible', receiveCount: 0, message: { body: 'other' } },
        { id: failed.id, state: 'in-flight', receiveCount: 1, failure: { errorType: 'TypeError', attempt: 1 } },
      ]);
    });

    it(`leaves a message of ${name} alone that a handler has, and acts once its delivery has failed`, async () => {
      const world = await open();
      const queue = await world.queue(name, DEDUPLICATED);
      const sent = grouped('tried');
      await queue.send([sent]);
      await queue.receive({ maxMessages: 1 });
      expect(await queue.messages.retryNow([sent])).toEqual(['in-flight']);
      expect(await queue.messages.delete([sent])).toEqual(['in-flight']);
      await queue.keepFailures(new Map([[sent.id, { ...FAILURE, errorType: 'connection-lost' }]]));
      expect(await queue.messages.retryNow([sent])).toEqual(['in-flight']);
      await queue.keepFailures(new Map([[sent.id, FAILURE]]));
      const wake = woken(queue);
      expect(await queue.messages.retryNow([sent])).toEqual(['done']);
      await wake;
      expect(await bodies(queue)).toEqual(['tried']);
      expect(await queue.messages.delete([sent])).toEqual(['in-flight']);
      await queue.keepFailures(new Map([[sent.id, { ...FAILURE, attempt: 2 }]]));
      expect(await queue.messages.delete([sent])).toEqual(['done']);
      expect(await queue.messages.delete([sent])).toEqual(['missing']);
    });

    it(`makes a delayed message of ${name} due, and wakes whoever waits for it`, async () => {
      const world = await open();
      const queue = await world.queue(name, DEDUPLICATED);
      const late = grouped('late', { delayMs: 80_000 });
      await queue.send([late]);
      const waiting = queue.receive({ maxMessages: 1, waitMs: 20_000 });
      await turn();
      expect(await queue.messages.retryNow([late])).toEqual(['done']);
      expect((await waiting).map(({ body }) => body)).toEqual(['late']);
    });

    it(`moves messages of ${name} to another queue as new ones, with the rest of their delay`, async () => {
      const world = await open();
      const queue = await world.queue(name, DEDUPLICATED);
      const target = await world.queue(`other-${name}`);
      const attributes = { a: { dataType: 'String', stringValue: 'x' } };
      const now = grouped('now', { attributes, deadLetterSourceArn: `${ARN}somewhere` });
      const late = grouped('late', { groupId: 'h', delayMs: 8_000 });
      await queue.send([now, late]);
      world.time.advance(3_000);
      const moved = await queue.messages.move([now, late], `${ARN}other-${name}`);
      if (moved === 'no-such-queue') throw new Error('the queue is there');
      expect(moved.map(({ outcome }) => outcome)).toEqual(['done', 'done']);
      expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
      const found = await target.messages.find(moved.map(({ newId = '' }) => ({ id: newId })));
      expect(found).toMatchObject([
        { state: 'visible', receiveCount: 0, message: { body: 'now', attributes } },
        { state: 'delayed', dueInMs: 5_000 },
      ]);
      expect(found[0]?.message).not.toHaveProperty('deadLetterSourceArn');
    });
  }

  it('leaves everything as it was when the other queue cannot take what is moved', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const target = await world.queue('full');
    const [now, late, gone] = [message('now'), message('late', { delayMs: 9_000 }), message('gone')];
    await queue.send([now, late]);
    target.store.send = () => Promise.reject(new StoreFullError('full'));
    await expect(queue.messages.move([now, late, gone], `${ARN}full`)).rejects.toThrow(StoreFullError);
    expect(await queue.receive({ maxMessages: 10 })).toMatchObject([{ body: 'now', receiveCount: 1 }]);
    world.time.advance(8_999);
    expect(await bodies(queue)).toEqual([]);
    world.time.advance(1);
    expect(await bodies(queue)).toEqual(['late']);
    expect(await queue.messages.move([now], `${ARN}nowhere`)).toBe('no-such-queue');
    expect(await queue.messages.move([now], `${ARN}jobs.fifo`)).toBe('no-such-queue');
  });

  it('keeps the order of a group: a message moves only if none stands before it', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', DEDUPLICATED);
    await world.queue('other.fifo');
    const [first, second] = [message('first', { groupId: 'g' }), message('second', { groupId: 'g' })];
    await queue.send([first, second]);
    expect(await queue.messages.move([second], `${ARN}other.fifo`)).toEqual([{ outcome: 'behind' }]);
    const moved = await queue.messages.move([first, second], `${ARN}other.fifo`);
    expect(moved).toMatchObject([{ outcome: 'done' }, { outcome: 'done' }]);
    expect(await queue.depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
  });

  it('searches bodies whatever their case, in parts that a cursor joins, each within its bounds', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const sent = Array.from({ length: 260 }, (_, at) =>
      message(`{"order": "${at % 4 === 0 ? 'Ünique' : 'plain'} ${at}"}`),
    );
    for (let at = 0; at < sent.length; at += 130) await queue.send(sent.slice(at, at + 130));
    const hits: SearchHit[] = [];
    let cursor: string | undefined;
    let read = 0;
    do {
      const reply = await queue.messages.search('üNIQUE', { ...BOUNDS, messages: 70 }, cursor);
      expect(reply.messages).toBeLessThanOrEqual(70);
      hits.push(...reply.hits);
      read += reply.messages;
      cursor = reply.cursor;
    } while (cursor !== undefined);
    expect(read).toBe(260);
    expect(hits.map(({ id }) => id).sort()).toEqual(
      sent
        .filter((_, at) => at % 4 === 0)
        .map(({ id }) => id)
        .sort(),
    );
    expect(hits.find(({ id }) => id === sent[0]?.id)).toMatchObject({ line: '{"order": "Ünique 0"}', from: 0 });
    expect(await queue.depth()).toMatchObject({ visible: 260, inFlight: 0 });
  });

  it('stops a search at its bound of bytes and of hits, and shows only what stands around a hit', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const padding = 'x'.repeat(300_000);
    await queue.send(Array.from({ length: 6 }, () => message(`${padding}needle${padding}`)));
    const first = await queue.messages.search('needle', { ...BOUNDS, bytes: 1_000_000 });
    expect(first.messages).toBeLessThan(4);
    expect(first.hits[0]).toMatchObject({ from: 300_000 - 60, line: `${'x'.repeat(60)}needle${'x'.repeat(60)}` });
    expect(first.cursor).toBeDefined();
    const few = await queue.messages.search('needle', { ...BOUNDS, hits: 1 });
    expect(few.hits.length).toBeLessThan(6);
    const all = await queue.messages.search('nothing like it', BOUNDS, 'no cursor at all');
    expect(all).toMatchObject({ hits: [], messages: 6 });
  });

  it('tells what is scheduled by due time, page by page, and reads no more of it than one look does', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const large = message('x'.repeat(1_000_000), { delayMs: 40_000 });
    const delayed = [30, 10, 20].map((seconds) =>
      message(`in ${seconds} s`, { delayMs: seconds * 1_000, groupId: 'g' }),
    );
    await queue.send([...delayed, message('now'), large]);
    await queue.send([message('y'.repeat(1_000_000), { delayMs: 50_000 }), message('z', { delayMs: 60_000 })]);
    const { messages, total } = await queue.messages.scheduled(1, 4);
    expect(total).toBe(6);
    expect(messages.map(({ dueInMs, found }) => [dueInMs, found?.state, found?.message?.body.slice(0, 9)])).toEqual([
      [20_000, 'delayed', 'in 20 s'],
      [30_000, 'delayed', 'in 30 s'],
      [40_000, 'delayed', 'xxxxxxxxx'],
      [50_000, 'delayed', 'yyyyyyyyy'],
    ]);
    const again = message('w'.repeat(900_000), { delayMs: 45_000 });
    await queue.send([again]);
    const cut = await queue.messages.scheduled(3, 10);
    expect(cut.messages.map(({ found }) => found !== undefined)).toEqual([true, true, false, false]);
    expect(cut.messages[1]?.id).toBe(again.id);
  });
});
