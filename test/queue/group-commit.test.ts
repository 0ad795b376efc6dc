import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GroupCommit } from '../../runtime/queue/group-commit.ts';
import { StoreFullError, StoreUnavailableError } from '../../runtime/store/store.ts';
import { forEachStore, message } from './queue-world.ts';

/** A call that the test answers. */
interface Call {
  readonly items: readonly string[];
  /** Answers each item with itself and the number of the call. */
  answer(): void;
  fail(error: Error): void;
}

/** A group commit whose calls wait for the test. `next` resolves with the call after the last one that was taken. */
function world(mostItems = 4, mostBytes = 100) {
  const calls: Call[] = [];
  const watchers: (() => void)[] = [];
  let taken = 0;
  const group = new GroupCommit<string, string>({
    call: (items) =>
      new Promise((resolve, reject) => {
        const number = calls.length;
        calls.push({ items, answer: () => resolve(items.map((item) => `${item}@${number}`)), fail: reject });
        for (const watch of watchers.splice(0)) watch();
      }),
    sizeOf: (item) => item.length,
    mostItems,
    mostBytes,
  });
  const next = async (): Promise<Call> => {
    const at = taken++;
    for (;;) {
      const call = calls[at];
      if (call !== undefined) return call;
      await new Promise<void>((resolve) => watchers.push(resolve));
    }
  };
  return { group, calls, next };
}

describe('group commit', () => {
  it('lets a lone call leave in the same turn of the event loop', () => {
    const { group, calls } = world();
    void group.commit(['a']);
    expect(calls.map(({ items }) => items)).toEqual([['a']]);
  });

  it('gathers who comes while a call is under way into one call, and answers each from its part', async () => {
    const { group, calls, next } = world();
    const answers = [group.commit(['a']), group.commit(['b', 'c']), group.commit(['d'])];
    expect(calls).toHaveLength(1);
    (await next()).answer();
    const second = await next();
    expect(second.items).toEqual(['b', 'c', 'd']);
    second.answer();
    expect(await Promise.all(answers)).toEqual([['a@0'], ['b@1', 'c@1'], ['d@1']]);
  });

  it('lets the next lone call leave at once when everybody was answered', async () => {
    const { group, calls, next } = world();
    const first = group.commit(['a']);
    (await next()).answer();
    await first;
    await Promise.resolve();
    void group.commit(['b']);
    expect(calls.map(({ items }) => items)).toEqual([['a'], ['b']]);
  });

  it('never takes a caller apart, and lets nobody overtake one who does not fit', async () => {
    const { group, next } = world(4);
    void group.commit(['a']);
    for (const items of [['b', 'c', 'd'], ['e', 'f'], ['g']]) void group.commit(items);
    (await next()).answer();
    const second = await next();
    expect(second.items).toEqual(['b', 'c', 'd']);
    second.answer();
    expect((await next()).items).toEqual(['e', 'f', 'g']);
  });

  it('bounds a call by bytes, but lets a caller through who alone brings more', async () => {
    const { group, next } = world(10, 5);
    void group.commit(['a']);
    for (const item of ['bbb', 'cc', 'd', 'eeeeeeee', 'f']) void group.commit([item]);
    const calls: (readonly string[])[] = [];
    for (let n = 0; n < 5; n += 1) {
      const call = await next();
      calls.push(call.items);
      call.answer();
    }
    expect(calls).toEqual([['a'], ['bbb', 'cc'], ['d'], ['eeeeeeee'], ['f']]);
  });

  it('tells every caller when the outcome of their call is unknown, and tries nobody again', async () => {
    const { group, calls, next } = world();
    const first = group.commit(['a']);
    const waiting = [group.commit(['b']), group.commit(['c'])];
    (await next()).answer();
    await first;
    (await next()).fail(new StoreUnavailableError('gone'));
    expect(await Promise.allSettled(waiting)).toEqual([
      { status: 'rejected', reason: new StoreUnavailableError('gone') },
      { status: 'rejected', reason: new StoreUnavailableError('gone') },
    ]);
    expect(calls).toHaveLength(2);
  });

  it('tries each caller alone when nothing was done, so that exactly those fail who must', async () => {
    const { group, next } = world();
    void group.commit(['a']);
    const waiting = [group.commit(['b']), group.commit(['too large']), group.commit(['c'])];
    (await next()).answer();
    (await next()).fail(new StoreFullError('no room'));
    (await next()).answer();
    (await next()).fail(new StoreFullError('no room'));
    (await next()).answer();
    expect(await Promise.allSettled(waiting)).toEqual([
      { status: 'fulfilled', value: ['b@2'] },
      { status: 'rejected', reason: new StoreFullError('no room') },
      { status: 'fulfilled', value: ['c@4'] },
    ]);
  });

  it('goes on after a lone call that failed', async () => {
    const { group, next } = world();
    const first = group.commit(['a']);
    const second = group.commit(['b']);
    (await next()).fail(new StoreUnavailableError('gone'));
    await expect(first).rejects.toThrow('gone');
    (await next()).answer();
    expect(await second).toEqual(['b@1']);
  });

  it('does everything once, in order, and answers everybody, whoever comes when and whatever fails', async () => {
    const step = fc.oneof(
      fc.record({ bring: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }) }),
      fc.record({ end: fc.constantFrom('answer' as const, 'unavailable' as const, 'full' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { group, calls } = world(5, 20);
        let ended = 0;
        let serial = 0;
        const outcomes: Promise<PromiseSettledResult<readonly string[]>[]>[] = [];
        const brought: (readonly string[])[] = [];
        const end = (how: 'answer' | 'unavailable' | 'full'): void => {
          const call = calls[ended];
          if (call === undefined) return;
          ended += 1;
          if (how === 'answer') call.answer();
          else call.fail(how === 'full' ? new StoreFullError('full') : new StoreUnavailableError('gone'));
        };
        for (const one of steps) {
          if ('bring' in one) {
            const items = one.bring.map((digit) => `${serial++}:${digit}`);
            brought.push(items);
            outcomes.push(Promise.allSettled([group.commit(items)]));
          } else end(one.end);
          // Lets every answer reach whom it is for.
          for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
          expect(calls.length - ended).toBeLessThanOrEqual(1);
        }
        while (ended < calls.length) {
          end('answer');
          for (let turn = 0; turn < 6; turn += 1) await Promise.resolve();
        }
        const settled = (await Promise.all(outcomes)).flat();
        for (const [at, outcome] of settled.entries())
          if (outcome.status === 'fulfilled')
            expect(outcome.value.map((answer) => answer.split('@')[0])).toEqual(brought[at]);
        const first = new Map<string, number>();
        for (const [number, { items }] of calls.entries())
          for (const item of items) if (!first.has(item)) first.set(item, number);
        expect([...first.keys()]).toEqual(brought.flat());
      }),
    );
  });
});

forEachStore('sends and deletes that wait together', (open) => {
  it('keep the order of one caller and of a FIFO group', async () => {
    const queue = await (await open()).queue('jobs.fifo');
    const sends = Array.from({ length: 40 }, (_, n) =>
      queue.send([message(String(n), { groupId: 'one', deduplicationId: String(n) })]),
    );
    await Promise.all(sends);
    const received: string[] = [];
    for (;;) {
      const messages = await queue.receive({ maxMessages: 10 });
      if (messages.length === 0) break;
      received.push(...messages.map(({ body }) => body));
      await Promise.all(messages.map(({ receiptHandle }) => queue.delete([receiptHandle])));
    }
    expect(received).toEqual(Array.from({ length: 40 }, (_, n) => String(n)));
  });

  it('recognise a duplicate among those that leave together', async () => {
    const queue = await (await open()).queue('jobs.fifo');
    const send = (n: number) => queue.send([message('x', { groupId: 'one', deduplicationId: String(n) })]);
    const answers = (await Promise.all([send(0), send(1), send(2), send(1)])).flat();
    expect(answers.map(({ duplicate }) => duplicate)).toEqual([false, false, false, true]);
    expect(answers[3]?.id).toBe(answers[1]?.id);
    expect(await queue.depth()).toEqual({ visible: 3, delayed: 0, inFlight: 0 });
  });

  it('answer each caller with the outcome of its own receipt handle', async () => {
    const queue = await (await open()).queue('jobs');
    await queue.send([message('a'), message('b'), message('c')]);
    const handles = (await queue.receive({ maxMessages: 10 })).map(({ receiptHandle }) => receiptHandle);
    await queue.delete(handles.slice(1, 2));
    const outcomes = await Promise.all(handles.map((handle) => queue.delete([handle])));
    expect(outcomes).toEqual([['done'], ['missing'], ['done']]);
  });

  it('give each receive its own messages, in the order of the queue and no more than it asked for', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    for (let n = 0; n < 20; n += 1) {
      await queue.send([message(String(n))]);
      world.time.advance(1);
    }
    const received = await Promise.all([3, 1, 10, 2, 10].map((maxMessages) => queue.receive({ maxMessages })));
    expect(received.map((messages) => messages.length)).toEqual([3, 1, 10, 2, 4]);
    expect(received.flat().map(({ body }) => body)).toEqual(Array.from({ length: 20 }, (_, n) => String(n)));
  });

  it('give messages to every receive although they are so large that one call does not take them all', async () => {
    const queue = await (await open()).queue('jobs');
    for (let n = 0; n < 5; n += 1) await queue.send([message('x'.repeat(100_000))]);
    const received = await Promise.all(
      Array.from({ length: 5 }, () => queue.receive({ maxMessages: 1, maxBytes: 150_000 })),
    );
    expect(received.map((messages) => messages.length)).toEqual([1, 1, 1, 1, 1]);
  });

  it('lease each message for as long as its own receive says', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.send(Array.from({ length: 4 }, (_, n) => message(String(n))));
    const timeouts = [30_000, 1_000, 30_000, 1_000];
    await Promise.all(timeouts.map((visibilityTimeoutMs) => queue.receive({ maxMessages: 1, visibilityTimeoutMs })));
    world.time.advance(1_000);
    expect(await queue.depth()).toEqual({ visible: 2, delayed: 0, inFlight: 2 });
  });

  it('hand out messages of one FIFO group to one receive at a time', async () => {
    const queue = await (await open()).queue('jobs.fifo');
    for (const body of ['a', 'b']) await queue.send([message(body, { groupId: 'one', deduplicationId: body })]);
    const received = await Promise.all([1, 1].map((maxMessages) => queue.receive({ maxMessages })));
    expect(received.flat().map(({ body }) => body)).toEqual(['a']);
  });
});
