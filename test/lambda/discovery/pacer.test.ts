import { describe, expect, it } from 'vitest';
import { createPacer } from '../../../runtime/aws/discovery/calls.ts';
import { ManualTime } from '../../support/manual-time.ts';

function throttle(): Error {
  return Object.assign(new Error('Rate exceeded'), { name: 'TooManyRequestsException' });
}

describe('the pace of control-plane calls', () => {
  it('begins a burst at once, then so many a second', async () => {
    const time = new ManualTime();
    const pacer = createPacer({ time, parallel: 100, perSecond: 10, burst: 3 });
    let begun = 0;
    const begin = async (): Promise<void> => {
      begun += 1;
    };
    const calls = Array.from({ length: 8 }, () => pacer.run(begin));
    await time.advanceAsync(0);
    expect(begun).toBe(3);
    await time.advanceAsync(100);
    expect(begun).toBe(4);
    await time.advanceAsync(300);
    expect(begun).toBe(7);
    await time.advanceAsync(100);
    await Promise.all(calls);
    expect(begun).toBe(8);
    expect(time.pending).toBe(0);
  });

  it('never has more calls under way than allowed', async () => {
    const time = new ManualTime();
    const pacer = createPacer({ time, parallel: 2, perSecond: 1000, burst: 1000 });
    const ends: (() => void)[] = [];
    const calls = Array.from({ length: 3 }, () => pacer.run(() => new Promise<void>((resolve) => ends.push(resolve))));
    await time.advanceAsync(5000);
    expect(ends).toHaveLength(2);
    ends[0]?.();
    await time.advanceAsync(0);
    expect(ends).toHaveLength(3);
    for (const end of ends) end();
    await Promise.all(calls);
  });

  it('holds everybody back when one call is throttled, and doubles the pause', async () => {
    const time = new ManualTime();
    const pacer = createPacer({ time, parallel: 5, perSecond: 100, burst: 100 });
    let tries = 0;
    const throttled = pacer.run(async () => {
      tries += 1;
      if (tries <= 2) throw throttle();
      return 'done';
    });
    await time.advanceAsync(0);
    let others = 0;
    const other = pacer.run(async () => {
      others += 1;
    });
    await time.advanceAsync(999);
    expect([tries, others]).toEqual([1, 0]);
    await time.advanceAsync(1);
    expect([tries, others]).toEqual([2, 1]);
    await time.advanceAsync(1999);
    expect(tries).toBe(2);
    await time.advanceAsync(1);
    await expect(throttled).resolves.toBe('done');
    await other;
  });

  it('gives up after five throttled tries, and at once on any other error', async () => {
    const time = new ManualTime();
    const pacer = createPacer({ time, parallel: 5, perSecond: 100, burst: 100 });
    let tries = 0;
    const hopeless = pacer.run(async () => {
      tries += 1;
      throw throttle();
    });
    const outcome = expect(hopeless).rejects.toThrow('Rate exceeded');
    await time.advanceAsync(60_000);
    await outcome;
    expect(tries).toBe(5);
    await expect(pacer.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });
});
