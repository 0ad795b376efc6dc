import { describe, expect, it } from 'vitest';
import { ProcessLimits } from '../../runtime/consumer/process-limits.ts';

const MEGABYTE = 1_000_000;

describe('the limits of a process', () => {
  it('gives out as many Invokes as there are', () => {
    const limits = new ProcessLimits({ maxInvokes: 2, maxBytes: MEGABYTE });
    expect([limits.tryTakeInvoke(), limits.tryTakeInvoke(), limits.tryTakeInvoke()]).toEqual([true, true, false]);
    limits.giveBackInvoke();
    expect(limits.tryTakeInvoke()).toBe(true);
  });

  it('reserves what is free, but not less than is of use', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: 10 * MEGABYTE });
    expect(limits.tryReserve(MEGABYTE, 6 * MEGABYTE)?.bytes).toBe(6 * MEGABYTE);
    const second = limits.tryReserve(MEGABYTE, 6 * MEGABYTE);
    expect(second?.bytes).toBe(4 * MEGABYTE);
    expect(limits.tryReserve(MEGABYTE, 6 * MEGABYTE)).toBeUndefined();
    second?.resize(3 * MEGABYTE);
    expect(limits.tryReserve(MEGABYTE, 6 * MEGABYTE)?.bytes).toBe(MEGABYTE);
  });

  it('has room for one batch at least, however small it is', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: 1_000 });
    const share = limits.tryReserve(MEGABYTE, 6 * MEGABYTE);
    expect(share?.bytes).toBe(1_000);
    share?.resize(MEGABYTE);
    expect(limits.tryReserve(MEGABYTE, MEGABYTE)).toBeUndefined();
    share?.free();
    share?.free();
    expect(limits.bytes).toBe(0);
  });

  it('calls those who wait in order, each once, as far as the room goes', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const called: string[] = [];
    const take = (name: string) => () => {
      called.push(name);
      limits.tryTakeInvoke();
    };
    limits.tryTakeInvoke();
    limits.wait('invoke-and-bytes', 0, take('first'));
    limits.wait('invoke-and-bytes', 0, take('second'));
    limits.wait('invoke', 0, take('with a lease'), true);
    limits.giveBackInvoke();
    expect(called).toEqual(['with a lease']);
    limits.giveBackInvoke();
    limits.giveBackInvoke();
    expect(called).toEqual(['with a lease', 'first', 'second']);
  });

  it('passes over those whose need is not met', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const called: string[] = [];
    const share = limits.tryReserve(MEGABYTE, MEGABYTE);
    limits.tryTakeInvoke();
    limits.wait('invoke-and-bytes', MEGABYTE, () => called.push('both'));
    limits.wait('bytes', MEGABYTE, () => called.push('bytes'));
    share?.free();
    expect(called).toEqual(['bytes']);
  });

  it('goes on to the next if one finds no use for its room', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const called: string[] = [];
    limits.tryTakeInvoke();
    limits.wait('invoke', 0, () => called.push('no use'));
    limits.wait('invoke', 0, () => called.push('use'));
    limits.giveBackInvoke();
    expect(called).toEqual(['no use', 'use']);
  });

  it('does not call who withdrew, nor for ever who waits again at once', () => {
    const limits = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    let calls = 0;
    const insist = (): void => {
      calls += 1;
      limits.wait('invoke', 0, insist);
    };
    limits.tryTakeInvoke();
    limits.wait('invoke', 0, () => expect.unreachable())();
    limits.wait('invoke', 0, insist);
    limits.giveBackInvoke();
    expect(calls).toBe(1);
  });

  it('flushes the oldest collecting batch for who waits for bytes in memory, one until something is given back', () => {
    const limits = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const flushed: string[] = [];
    const shares = [limits.take(MEGABYTE), limits.take(MEGABYTE)];
    limits.idling(() => flushed.push('gone'))();
    limits.idling(() => flushed.push('old'));
    limits.idling(() => flushed.push('young'));
    limits.wait('invoke', 0, () => {});
    expect(flushed).toEqual([]);
    limits.wait('bytes', 2 * MEGABYTE, () => {});
    limits.wait('bytes', 2 * MEGABYTE, () => {});
    expect(flushed).toEqual(['old']);
    shares[0]?.free();
    expect(flushed).toEqual(['old', 'young']);
  });

  it('flushes for those, too, who waited before the batch began to collect', () => {
    const limits = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const flushed: string[] = [];
    limits.take(2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => {});
    limits.idling(() => flushed.push('collecting'));
    expect(flushed).toEqual(['collecting']);
  });

  it('flushes none for bytes that are only reserved until an answer is there', () => {
    const limits = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const flushed: string[] = [];
    const called: string[] = [];
    limits.idling(() => flushed.push('collecting'));
    const reserved = limits.tryReserve(MEGABYTE, 2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => called.push('waiter'));
    expect(flushed).toEqual([]);
    reserved?.resize(MEGABYTE / 2);
    expect([called, flushed]).toEqual([['waiter'], []]);
  });

  it('flushes as soon as what was reserved is really there', () => {
    const limits = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const flushed: string[] = [];
    limits.idling(() => flushed.push('collecting'));
    const reserved = limits.tryReserve(MEGABYTE, 2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => {});
    reserved?.resize(2 * MEGABYTE);
    expect(flushed).toEqual(['collecting']);
  });
});
