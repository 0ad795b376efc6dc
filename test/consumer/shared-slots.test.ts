import { describe, expect, it } from 'vitest';
import { mappingOfSlotSet, SharedSlots } from '../../runtime/consumer/instances.ts';
import { MemorySlots } from '../../runtime/store/memory/memory-store.ts';
import type { Slots } from '../../runtime/store/store.ts';
import { ManualTime } from '../support/manual-time.ts';

function create(slots: (time: ManualTime) => Slots = (time) => new MemorySlots(time, () => {})) {
  const time = new ManualTime();
  let calls = 0;
  const shared = new SharedSlots({
    slots: slots(time),
    time,
    mapping: 'm',
    onRoom: () => {
      calls += 1;
    },
  });
  return { time, shared, calls: () => calls };
}

describe('the slots of a mapping in the store', () => {
  it('are as many as its limit', async () => {
    const { shared } = create();
    const first = await shared.take('a', 2, 60_000);
    expect(await shared.take('b', 2, 60_000)).toBeDefined();
    expect(await shared.take('c', 2, 60_000)).toBeUndefined();
    await first?.free();
    expect(await shared.take('c', 2, 60_000)).toBeDefined();
  });

  it('a refused taker waits for the signal', async () => {
    const { shared, calls } = create();
    await shared.take('a', 1, 60_000);
    await shared.take('b', 1, 60_000);
    expect(shared.waiting).toBe(true);
    shared.roomPossible();
    expect([shared.waiting, calls()]).toEqual([false, 1]);
  });

  it('a refused taker looks again when the first of the slots that are held now has run out', async () => {
    const { time, shared, calls } = create();
    await shared.take('holder that dies', 1, 60_000);
    time.advance(20_000);
    await shared.take('b', 1, 60_000);
    time.advance(39_999);
    expect([shared.waiting, calls()]).toEqual([true, 0]);
    time.advance(1);
    expect([shared.waiting, calls()]).toEqual([false, 1]);
    expect(await shared.take('b', 1, 60_000)).toBeDefined();
  });

  it('a signal that overtakes a refusal is not lost', async () => {
    let answer: (taken: 'taken' | number) => void = () => {};
    const slots: Slots = {
      take: () => new Promise((resolve) => (answer = resolve)),
      free: async () => {},
    };
    const { shared } = create(() => slots);
    const taking = shared.take('b', 1, 60_000);
    shared.roomPossible();
    answer(60_000);
    await taking;
    expect(shared.waiting).toBe(false);
  });

  it('a slot that is renewed outlives its first deadline', async () => {
    const { time, shared } = create();
    const slot = await shared.take('a', 1, 60_000);
    time.advance(50_000);
    await slot?.renew(60_000);
    time.advance(50_000);
    expect(await shared.take('b', 1, 60_000)).toBeUndefined();
  });

  it('are found by the name in the signal', () => {
    expect(mappingOfSlotSet('mapping:m')).toBe('m');
    expect(mappingOfSlotSet('other:m')).toBeUndefined();
  });
});
