/** Sends of a store that confirms them (`KARIN_DURABILITY`): what waits for the confirmation, and what does not. */
import { expect, it } from 'vitest';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { forEachStore, message, type QueueWorld } from './queue-world.ts';

/** Lets the store of a world confirm sends as the test says. */
function confirmBy(world: QueueWorld, confirm: () => Promise<void>): void {
  Object.assign(world.store, { confirmation: () => confirm });
}

forEachStore('confirmed sends', (open) => {
  it('are answered when they are confirmed; the next ones leave meanwhile, and the messages are handed out', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const confirmations: (() => void)[] = [];
    confirmBy(world, () => new Promise((resolve) => confirmations.push(resolve)));
    let answers = 0;
    const sends = ['first', 'second'].map(async (body) => {
      await queue.send([message(body)]);
      answers += 1;
    });
    const found = [
      ...(await queue.receive({ maxMessages: 1, waitMs: 20_000 })),
      ...(await queue.receive({ maxMessages: 1, waitMs: 20_000 })),
    ];
    expect(found.map(({ body }) => body)).toEqual(['first', 'second']);
    expect(answers).toBe(0);
    while (confirmations.length < 2) await new Promise((resolve) => setImmediate(resolve));
    for (const confirm of confirmations) confirm();
    await Promise.all(sends);
  });

  it('wait once for all parts of more messages than one call takes', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    let waits = 0;
    confirmBy(world, async () => {
      waits += 1;
    });
    await queue.send(Array.from({ length: 1_200 }, (_, n) => message(String(n))));
    expect(waits).toBe(1);
    await queue.send([]);
    expect(waits).toBe(1);
  });

  it('that are not confirmed fail as those of a store that is away, and the message may be there', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    confirmBy(world, () => Promise.reject(new StoreUnavailableError('no replica has it')));
    await expect(queue.send([message('a')])).rejects.toThrow(StoreUnavailableError);
    expect((await queue.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['a']);
  });

  it('include the move to a dead-letter queue: until it is confirmed the message stays where it was', async () => {
    const world = await open();
    const target = await world.queue('dead');
    const source = await world.queueWithDeadLetters('jobs', target, 1, { visibilityTimeoutSeconds: 10 });
    await source.send([message('poison')]);
    await source.receive({ maxMessages: 1 });
    world.time.advance(10_000);

    confirmBy(world, () => Promise.reject(new StoreUnavailableError('no replica has it')));
    expect(await source.receive({ maxMessages: 1 })).toEqual([]);
    expect(await source.depth()).toMatchObject({ visible: 0, inFlight: 1 });

    confirmBy(world, () => Promise.resolve());
    world.time.advance(10_000);
    expect(await source.receive({ maxMessages: 1 })).toEqual([]);
    expect(await source.depth()).toMatchObject({ visible: 0, inFlight: 0 });
    expect((await target.receive({ maxMessages: 10 })).map(({ body }) => body)).toEqual(['poison']);
  });
});
