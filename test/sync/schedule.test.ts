import { describe, expect, it } from 'vitest';
import { scheduleSyncs } from '../../runtime/sync/schedule.ts';
import { ManualTime } from '../support/manual-time.ts';

const HOUR = 3_600_000;

/** `outcomes`: of the syncs, in turn; then all succeed. */
function schedule(
  intervalSeconds: number,
  first: 'now' | 'as-due',
  outcomes: readonly boolean[] = [],
  hasResult = true,
) {
  const time = new ManualTime();
  const at: number[] = [];
  const left = [...outcomes];
  const cancel = scheduleSyncs({
    time,
    // The middle of the jitter: none.
    randomness: { uuid: () => '', fraction: () => 0.5 },
    intervalSeconds,
    hasResult: () => hasResult,
    sync: async () => {
      at.push(time.monotonic());
      if (left.shift() === false) throw new Error('unreachable');
    },
    first,
  });
  return { time, at, cancel };
}

describe('the schedule of syncs', () => {
  it('is every interval, and at once if what is served may be old', async () => {
    const now = schedule(3600, 'now');
    await now.time.advanceAsync(2 * HOUR);
    expect(now.at).toEqual([0, HOUR, 2 * HOUR]);
    const due = schedule(3600, 'as-due');
    await due.time.advanceAsync(2 * HOUR);
    expect(due.at).toEqual([HOUR, 2 * HOUR]);
  });

  it('spreads instances by a tenth of the interval', async () => {
    for (const [fraction, expected] of [
      [0, 0.9 * HOUR],
      [0.999999, 1.0999998 * HOUR],
    ] as const) {
      const time = new ManualTime();
      scheduleSyncs({
        time,
        randomness: { uuid: () => '', fraction: () => fraction },
        intervalSeconds: 3600,
        hasResult: () => true,
        sync: async () => {},
        first: 'as-due',
      });
      expect(time.nextInMs()).toBeCloseTo(expected, 0);
    }
  });

  it('tries again soon after a failure, then ever later, up to ten minutes', async () => {
    const { time, at } = schedule(3600, 'now', [false, false, false, false, false, false, false, false]);
    await time.advanceAsync(HOUR);
    const waits = at.slice(1).map((moment, index) => (moment - (at[index] ?? 0)) / 1000);
    expect(waits).toEqual([15, 30, 60, 120, 240, 480, 600, 600]);
  });

  it('is none with an interval of 0, unless there is nothing to serve yet', async () => {
    const served = schedule(0, 'as-due');
    await served.time.advanceAsync(24 * HOUR);
    expect(served.at).toEqual([]);
    const failing = schedule(0, 'now', [false]);
    await failing.time.advanceAsync(24 * HOUR);
    expect(failing.at).toEqual([0]);
    const empty = schedule(0, 'as-due', [false, true], false);
    await empty.time.advanceAsync(24 * HOUR);
    expect(empty.at).toEqual([15_000, 45_000]);
  });

  it('ends when it is told to', async () => {
    const { time, at, cancel } = schedule(3600, 'now', [false]);
    await time.advanceAsync(1000);
    cancel();
    await time.advanceAsync(24 * HOUR);
    expect(at).toEqual([0]);
    expect(time.pending).toBe(0);
  });
});
