import { expect, it } from 'vitest';
import { watchClocks } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';

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
