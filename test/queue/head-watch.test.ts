import { describe, expect, it } from 'vitest';
import { createHeadWatch, type HeadWatch } from '../../runtime/queue/head-watch.ts';
import { ManualTime } from '../support/manual-time.ts';

interface Scene {
  readonly time: ManualTime;
  readonly watch: HeadWatch;
  /** How often the listener was woken. */
  wakes(): number;
}

/** A watch with one listener that only counts. */
function scene(): Scene {
  const time = new ManualTime();
  const watch = createHeadWatch({ time });
  let count = 0;
  watch.subscribe(() => {
    count += 1;
  });
  return { time, watch, wakes: () => count };
}

/** The same, told by the store when the next message is due. */
function told(nextDueInMs: number | undefined): Scene {
  const made = scene();
  made.watch.asking().answered(nextDueInMs);
  return made;
}

describe('a head-watch', () => {
  it('is due while nothing is known, and wakes nobody by itself', () => {
    const { time, watch, wakes } = scene();
    expect(watch.isDue()).toBe(true);
    expect(watch.dueInMs()).toBe(0);
    time.advance(86_400_000);
    expect(wakes()).toBe(0);
  });

  it('sleeps without a timer when the queue is empty', () => {
    const { time, watch } = told(undefined);
    expect(watch.isDue()).toBe(false);
    expect(watch.dueInMs()).toBeUndefined();
    expect(time.pending).toBe(0);
  });

  it('wakes at the moment the store named', () => {
    const { time, watch, wakes } = told(5_000);
    expect(watch.dueInMs()).toBe(5_000);
    time.advance(4_999);
    expect([watch.isDue(), wakes()]).toEqual([false, 0]);
    time.advance(1);
    expect([watch.isDue(), wakes()]).toEqual([true, 1]);
  });

  it('wakes at once when an answer says that something is due', () => {
    expect(told(0).wakes()).toBe(1);
  });

  it('takes the earlier of what it knew and what was lowered', () => {
    const { time, watch, wakes } = told(5_000);
    watch.lowered(9_000);
    expect(watch.dueInMs()).toBe(5_000);
    watch.lowered(1_000);
    expect(watch.dueInMs()).toBe(1_000);
    time.advance(1_000);
    expect(wakes()).toBe(1);
  });

  it('does not wake again for a head that is due already', () => {
    const { watch, wakes } = told(0);
    watch.lowered(0);
    expect(wakes()).toBe(1);
  });

  it('merges what was lowered during an ask into its answer', () => {
    const { watch, wakes } = told(undefined);
    const ask = watch.asking();
    watch.lowered(0);
    expect(wakes()).toBe(1);
    ask.answered(undefined);
    expect(watch.isDue()).toBe(true);
    expect(wakes()).toBe(2);
  });

  it('merges a later moment as the moment it was, not counted from the answer', () => {
    const { time, watch } = told(undefined);
    const ask = watch.asking();
    watch.lowered(3_000);
    time.advance(1_000);
    ask.answered(60_000);
    expect(watch.dueInMs()).toBe(2_000);
  });

  it('lets an answer raise the head', () => {
    const { watch } = told(0);
    watch.asking().answered(7_000);
    expect(watch.dueInMs()).toBe(7_000);
  });

  describe('with leases', () => {
    it('is due when one runs out that was not settled', () => {
      const { time, watch, wakes } = told(undefined);
      watch.leased('a', 30_000);
      expect(watch.dueInMs()).toBe(30_000);
      time.advance(30_000);
      expect([watch.isDue(), wakes()]).toEqual([true, 1]);
    });

    it('never asks again once all of them are settled', () => {
      const { time, watch, wakes } = told(undefined);
      for (const id of ['a', 'b', 'c']) watch.leased(id, 30_000);
      for (const id of ['b', 'a', 'c']) watch.settled(id);
      time.advance(86_400_000);
      expect([watch.isDue(), wakes(), time.pending]).toEqual([false, 0, 0]);
    });

    it('keeps them apart from the head: settling one does not hide the next message', () => {
      const { watch } = told(undefined);
      const ask = watch.asking();
      watch.leased('a', 30_000);
      ask.answered(50_000);
      expect(watch.dueInMs()).toBe(30_000);
      watch.settled('a');
      expect(watch.dueInMs()).toBe(50_000);
    });

    it('wakes nobody between a receive and its answer', () => {
      const { watch, wakes } = told(0);
      const ask = watch.asking();
      watch.leased('a', 30_000);
      ask.answered(undefined);
      expect([watch.isDue(), wakes()]).toEqual([false, 1]);
    });

    it('learns from the end of a lease what was hidden behind it', () => {
      const { time, watch, wakes } = told(undefined);
      watch.leased('a', 30_000);
      const ask = watch.asking();
      watch.settled('a');
      ask.answered(40_000);
      time.advance(39_999);
      expect(wakes()).toBe(0);
      time.advance(1);
      expect(wakes()).toBe(1);
    });

    it('takes a new end for a lease whose visibility was changed', () => {
      const { time, watch, wakes } = told(undefined);
      watch.leased('a', 30_000);
      watch.leased('a', 90_000);
      time.advance(89_999);
      expect(wakes()).toBe(0);
      time.advance(1);
      expect(wakes()).toBe(1);
    });

    it('is due at once for a lease of no length', () => {
      const { watch } = told(undefined);
      watch.leased('a', 0);
      expect(watch.isDue()).toBe(true);
    });
  });

  describe('after lost signals', () => {
    it('is unknown again and wakes its listeners', () => {
      const { watch, wakes } = told(60_000);
      watch.forget();
      expect([watch.isDue(), wakes()]).toEqual([true, 1]);
    });

    it('does not believe an answer that was under way to say that there is nothing', () => {
      const { watch } = told(60_000);
      const ask = watch.asking();
      watch.forget();
      ask.answered(undefined);
      expect(watch.isDue()).toBe(true);
    });

    it('lets a caller who asks at once wake nobody before the answer', () => {
      const { watch, wakes } = told(60_000);
      const ask = watch.relearn();
      expect([watch.isDue(), wakes()]).toEqual([true, 0]);
      ask.answered(undefined);
      expect([watch.isDue(), wakes()]).toEqual([false, 0]);
    });

    it('lets an old answer lower the head that a newer one told', () => {
      const { watch } = told(60_000);
      const old = watch.asking();
      watch.relearn().answered(20_000);
      old.answered(10_000);
      expect(watch.dueInMs()).toBe(10_000);
    });
  });

  describe('after a failed ask', () => {
    it('is unknown, wakes nobody at once, and everybody after a pause that doubles', () => {
      const { time, watch, wakes } = told(undefined);
      watch.asking().failed();
      expect([watch.isDue(), wakes()]).toEqual([true, 0]);
      time.advance(1_000);
      expect(wakes()).toBe(1);
      watch.asking().failed();
      time.advance(1_999);
      expect(wakes()).toBe(1);
      time.advance(1);
      expect(wakes()).toBe(2);
    });

    it('pauses half a minute at most', () => {
      const { time, watch, wakes } = told(undefined);
      for (let failure = 0; failure < 20; failure += 1) {
        watch.asking().failed();
        time.advance(30_000);
      }
      expect(wakes()).toBe(20);
      expect(time.pending).toBe(0);
    });

    it('is not put off by further failures', () => {
      const { time, watch, wakes } = told(undefined);
      for (let failure = 0; failure < 10; failure += 1) {
        watch.asking().failed();
        time.advance(100);
      }
      expect(wakes()).toBe(1);
    });

    it('begins with the short pause again after an answer', () => {
      const { time, watch, wakes } = told(undefined);
      for (let failure = 0; failure < 5; failure += 1) {
        watch.asking().failed();
        time.advance(30_000);
      }
      watch.asking().answered(undefined);
      watch.asking().failed();
      time.advance(1_000);
      expect(wakes()).toBe(6);
    });
  });

  it('wakes only those who listen', () => {
    const { time, watch } = told(1_000);
    let woken = 0;
    const unsubscribe = watch.subscribe(() => {
      woken += 1;
    });
    unsubscribe();
    time.advance(1_000);
    expect(woken).toBe(0);
  });

  it('lets a listener ask and subscribe while it is called', () => {
    const time = new ManualTime();
    const watch = createHeadWatch({ time });
    const order: string[] = [];
    watch.subscribe(() => {
      order.push('first');
      watch.subscribe(() => order.push('late'));
      watch.asking().answered(undefined);
    });
    watch.subscribe(() => order.push('second'));
    watch.asking().answered(0);
    expect(order).toEqual(['first', 'second']);
    expect(watch.isDue()).toBe(false);
  });

  it('is silent for good once closed', () => {
    const { time, watch, wakes } = told(1_000);
    watch.leased('a', 500);
    watch.close();
    watch.lowered(0);
    watch.asking().failed();
    watch.forget();
    time.advance(86_400_000);
    expect([watch.isDue(), watch.dueInMs(), wakes(), time.pending]).toEqual([false, undefined, 0, 0]);
  });
});
