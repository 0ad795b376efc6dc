import { expect, it } from 'vitest';
import { watchClocks } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { message, QueueWorld } from './queue-world.ts';

it('hears of a wall clock that jumped, once, in both directions, and of no time that merely passed', () => {
  const time = new ManualTime();
  const jumps: number[] = [];
  const cancel = watchClocks(time, (byMs) => jumps.push(byMs));

  time.advance(3_600_000);
  expect(jumps).toEqual([]);
  time.jumpWallClock(3_600_000);
  time.advance(10_000);
  expect(jumps).toEqual([3_600_000]);
  time.jumpWallClock(-3_600_000);
  time.advance(10_000);
  expect(jumps).toEqual([3_600_000, -3_600_000]);
  cancel();
  time.jumpWallClock(3_600_000);
  time.advance(10_000);
  expect(jumps).toHaveLength(2);
});

it('after a jump forward, what became due by the clock of the store reaches who waits as soon as queues are asked anew', async () => {
  const world = await QueueWorld.open('memory', undefined, {});
  try {
    const queue = await world.queue('jobs');
    await queue.send([message('a', { delayMs: 900_000 })]);
    const waiting = queue.receive({ maxMessages: 1, waitMs: 20_000 });
    // What it asks first is answered: from now on it waits for what is known.
    await new Promise(setImmediate);
    world.time.jumpWallClock(3_600_000);
    world.directory.askAnew();
    const received = await waiting;
    expect(received.map(({ body }) => body)).toEqual(['a']);
  } finally {
    await world.close();
  }
});
