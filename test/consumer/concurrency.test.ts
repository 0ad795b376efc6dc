import { describe, expect, it } from 'vitest';
import { MappingConcurrency } from '../../runtime/consumer/limits.ts';
import { ManualTime } from '../support/manual-time.ts';

function create(ceiling = 100) {
  const time = new ManualTime();
  let calls = 0;
  const concurrency = new MappingConcurrency({
    time,
    start: 5,
    ceiling,
    growthIntervalMs: 200,
    onRoom: () => {
      calls += 1;
    },
  });
  const takeAll = (): void => {
    while (concurrency.tryTake());
  };
  return { time, concurrency, takeAll, calls: () => calls };
}

describe('the concurrency of a mapping', () => {
  it('starts at five, or at its ceiling', () => {
    expect(create().concurrency.limit).toBe(5);
    expect(create(2).concurrency.limit).toBe(2);
  });

  it('grows by five a second while messages wait and every slot is taken', () => {
    const { time, concurrency, takeAll, calls } = create();
    for (let step = 0; step < 5; step += 1) {
      takeAll();
      concurrency.wanted();
      time.advance(200);
    }
    expect(concurrency.limit).toBe(10);
    expect(calls()).toBe(5);
  });

  it('does not grow beyond its ceiling, and then runs no timer', () => {
    const { time, concurrency, takeAll } = create(6);
    takeAll();
    concurrency.wanted();
    time.advance(200);
    takeAll();
    concurrency.wanted();
    expect(concurrency.limit).toBe(6);
    expect(time.pending).toBe(0);
  });

  it('does not grow when a slot became free in the meantime', () => {
    const { time, concurrency, takeAll } = create();
    takeAll();
    concurrency.wanted();
    concurrency.giveBack();
    time.advance(200);
    expect(concurrency.limit).toBe(5);
  });

  it('is halved by a failure, down to one, and restored by successes', () => {
    const { concurrency } = create();
    const limits = [1, 2, 3].map(() => {
      concurrency.backOff();
      return concurrency.limit;
    });
    expect(limits).toEqual([2, 1, 1]);
    for (let success = 0; success < 10; success += 1) concurrency.succeeded();
    expect(concurrency.limit).toBe(5);
  });

  it('does not grow between a failure and the next success', () => {
    const { time, concurrency, takeAll } = create();
    takeAll();
    concurrency.backOff();
    concurrency.wanted();
    time.advance(10_000);
    expect(concurrency.limit).toBe(2);
    concurrency.succeeded();
    concurrency.wanted();
    time.advance(200);
    expect(concurrency.limit).toBe(4);
  });

  it('gives out nothing while more run than a lowered limit allows', () => {
    const { concurrency, takeAll } = create();
    takeAll();
    concurrency.backOff();
    for (let ended = 0; ended < 3; ended += 1) concurrency.giveBack();
    expect(concurrency.tryTake()).toBe(false);
    concurrency.giveBack();
    expect(concurrency.tryTake()).toBe(true);
  });

  it('falls back to its start when nothing waits and nothing runs', () => {
    const { time, concurrency, takeAll } = create();
    takeAll();
    concurrency.wanted();
    time.advance(200);
    concurrency.idle();
    expect(concurrency.limit).toBe(6);
    for (let ended = 0; ended < 5; ended += 1) concurrency.giveBack();
    concurrency.idle();
    expect(concurrency.limit).toBe(5);
  });

  it('follows a change of the mapping', () => {
    const { concurrency } = create();
    concurrency.retune(5, 1);
    expect(concurrency.limit).toBe(1);
    concurrency.retune(20, 50);
    expect(concurrency.limit).toBe(20);
  });
});
