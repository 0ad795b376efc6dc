import { describe, expect, it } from 'vitest';
import { scheduleSyncs } from '../../runtime/aws/sync/schedule.ts';
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
  const full: boolean[] = [];
  const left = [...outcomes];
  let heard = (): void => {};
  const found: { unsettled: string | undefined } = { unsettled: undefined };
  const cancel = scheduleSyncs({
    time,
    // The middle of the jitter: none.
    randomness: { uuid: () => '', fraction: () => 0.5 },
    intervalSeconds,
    hasResult: () => hasResult,
    unsettled: () => found.unsettled,
    onSynced: (listener) => {
      heard = listener;
      return () => {
        heard = () => {};
      };
    },
    sync: async (options) => {
      at.push(time.monotonic());
      full.push(options.full);
      if (left.shift() === false) throw new Error('unreachable');
      heard();
    },
    first,
  });
  /** A sync that somebody asked for has succeeded. */
  const synced = (): void => heard();
  const waits = (): readonly number[] => at.map((moment, index) => (moment - (at[index - 1] ?? 0)) / 1000);
  return { time, at, full, found, synced, waits, cancel };
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
        unsettled: () => undefined,
        onSynced: () => () => {},
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

  it('reads all details when a server goes on with a stored result, until that succeeds once', async () => {
    const { time, full } = schedule(3600, 'now', [false, true]);
    await time.advanceAsync(2 * HOUR);
    expect(full).toEqual([true, true, false]);
    const due = schedule(3600, 'as-due');
    await due.time.advanceAsync(HOUR);
    expect(due.full).toEqual([false]);
  });
});

describe('what will not stay as it was found', () => {
  it('is looked at again within seconds, then ever later, until the interval is reached', async () => {
    const { time, found, synced, waits } = schedule(3600, 'as-due');
    found.unsettled = 'a mapping is being updated';
    synced();
    await time.advanceAsync(4 * HOUR);
    expect(waits()).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600]);
  });

  it('is looked at no more than hourly once it is settled, and soon again when something else is found', async () => {
    const { time, found, synced, at } = schedule(3600, 'as-due');
    found.unsettled = 'one';
    synced();
    await time.advanceAsync(7_000);
    expect(at).toEqual([2_000, 6_000]);
    found.unsettled = 'another';
    await time.advanceAsync(7_000 + 2_000);
    expect(at.slice(2)).toEqual([14_000, 16_000]);
    found.unsettled = undefined;
    await time.advanceAsync(4_000);
    expect(at.slice(4)).toEqual([20_000]);
    await time.advanceAsync(HOUR - 1);
    expect(at).toHaveLength(5);
  });

  it('is looked at again whoever asked for the sync that found it, and without an interval for some ten minutes', async () => {
    const { time, found, synced, waits } = schedule(0, 'as-due');
    await time.advanceAsync(5_000);
    found.unsettled = 'a mapping is being disabled';
    synced();
    await time.advanceAsync(24 * HOUR);
    expect(waits()).toEqual([7, 4, 8, 16, 32, 64, 128, 256, 512]);
    expect(time.pending).toBe(0);
  });
});
