import { describe, expect, it } from 'vitest';
import { ProcessLimits } from '../../runtime/consumer/limits.ts';

const MEGABYTE = 1_000_000;

describe('the limits of a process', () => {
  it('gives out as many Invokes as there are', () => {
    const process = new ProcessLimits({ maxInvokes: 2, maxBytes: MEGABYTE });
    const limits = process.share();
    expect([limits.tryTakeInvoke(), limits.tryTakeInvoke(), limits.tryTakeInvoke()]).toEqual([true, true, false]);
    limits.giveBackInvoke();
    expect(limits.tryTakeInvoke()).toBe(true);
  });

  it('reserves what is free, but not less than is of use', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: 10 * MEGABYTE });
    const limits = process.share();
    expect(limits.tryReserve(MEGABYTE, 6 * MEGABYTE)?.bytes).toBe(6 * MEGABYTE);
    const second = limits.tryReserve(MEGABYTE, 6 * MEGABYTE);
    expect(second?.bytes).toBe(4 * MEGABYTE);
    const other = process.share();
    expect(other.tryReserve(MEGABYTE, 6 * MEGABYTE)).toBeUndefined();
    second?.resize(3 * MEGABYTE);
    expect(other.tryReserve(MEGABYTE, 6 * MEGABYTE)?.bytes).toBe(MEGABYTE);
  });

  it('leaves a quarter to others, whatever one mapping asks for, and gives the first of a mapping at once', () => {
    const process = new ProcessLimits({ maxInvokes: 8, maxBytes: 8 * MEGABYTE });
    const busy = process.share();
    let invokes = 0;
    while (busy.tryTakeInvoke()) invokes += 1;
    let bytes = 0;
    for (let more = busy.tryReserve(1, MEGABYTE); more !== undefined; more = busy.tryReserve(1, MEGABYTE)) {
      bytes += more.bytes;
    }
    expect([invokes, bytes]).toEqual([6, 6 * MEGABYTE]);

    const others = [process.share(), process.share(), process.share()];
    expect(others.map((share) => share.tryTakeInvoke())).toEqual([true, true, true]);
    expect(others[0]?.tryReserve(MEGABYTE, 6 * MEGABYTE)?.bytes).toBe(2 * MEGABYTE);
    expect(others[0]?.tryTakeInvoke()).toBe(false);
  });

  it('serves who has nothing before a mapping that has much, though it waited longer', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: 4 * MEGABYTE });
    const [busy, other] = [process.share(), process.share()];
    const called: string[] = [];
    const shares = [busy.take(3 * MEGABYTE), busy.take(MEGABYTE)];
    busy.wait('bytes', MEGABYTE, () => called.push('busy'));
    other.wait('bytes', MEGABYTE, () => called.push('other'));
    shares[1]?.free();
    expect(called).toEqual(['other']);
    shares[0]?.free();
    expect(called).toEqual(['other', 'busy']);
  });

  it('has room for one batch at least, however small it is', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: 1_000 });
    const limits = process.share();
    const share = limits.tryReserve(MEGABYTE, 6 * MEGABYTE);
    expect(share?.bytes).toBe(1_000);
    share?.resize(MEGABYTE);
    expect(limits.tryReserve(MEGABYTE, MEGABYTE)).toBeUndefined();
    share?.free();
    share?.free();
    expect(process.bytes).toBe(0);
  });

  it('calls those who wait in order, each once, as far as the room goes', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const limits = process.share();
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
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const limits = process.share();
    const called: string[] = [];
    const share = limits.tryReserve(MEGABYTE, MEGABYTE);
    limits.tryTakeInvoke();
    limits.wait('invoke-and-bytes', MEGABYTE, () => called.push('both'));
    limits.wait('bytes', MEGABYTE, () => called.push('bytes'));
    share?.free();
    expect(called).toEqual(['bytes']);
  });

  it('goes on to the next if one finds no use for its room', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const limits = process.share();
    const called: string[] = [];
    limits.tryTakeInvoke();
    limits.wait('invoke', 0, () => called.push('no use'));
    limits.wait('invoke', 0, () => called.push('use'));
    limits.giveBackInvoke();
    expect(called).toEqual(['no use', 'use']);
  });

  it('does not call who withdrew, nor for ever who waits again at once', () => {
    const process = new ProcessLimits({ maxInvokes: 1, maxBytes: MEGABYTE });
    const limits = process.share();
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
    const process = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const limits = process.share();
    const flushed: string[] = [];
    const shares = [limits.take(MEGABYTE), limits.take(MEGABYTE)];
    process.idling(() => flushed.push('gone'))();
    process.idling(() => flushed.push('old'));
    process.idling(() => flushed.push('young'));
    limits.wait('invoke', 0, () => {});
    expect(flushed).toEqual([]);
    limits.wait('bytes', 2 * MEGABYTE, () => {});
    limits.wait('bytes', 2 * MEGABYTE, () => {});
    expect(flushed).toEqual(['old']);
    shares[0]?.free();
    expect(flushed).toEqual(['old', 'young']);
  });

  it('flushes for those, too, who waited before the batch began to collect', () => {
    const process = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const limits = process.share();
    const flushed: string[] = [];
    limits.take(2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => {});
    process.idling(() => flushed.push('collecting'));
    expect(flushed).toEqual(['collecting']);
  });

  it('flushes none for bytes that are only reserved until an answer is there', () => {
    const process = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const limits = process.share();
    const flushed: string[] = [];
    const called: string[] = [];
    process.idling(() => flushed.push('collecting'));
    const reserved = limits.tryReserve(MEGABYTE, 2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => called.push('waiter'));
    expect(flushed).toEqual([]);
    reserved?.resize(MEGABYTE / 2);
    expect([called, flushed]).toEqual([['waiter'], []]);
  });

  it('flushes as soon as what was reserved is really there', () => {
    const process = new ProcessLimits({ maxInvokes: 0, maxBytes: 2 * MEGABYTE });
    const limits = process.share();
    const flushed: string[] = [];
    process.idling(() => flushed.push('collecting'));
    const reserved = limits.tryReserve(MEGABYTE, 2 * MEGABYTE);
    limits.wait('bytes', MEGABYTE, () => {});
    reserved?.resize(2 * MEGABYTE);
    expect(flushed).toEqual(['collecting']);
  });
});
