import { describe, expect, it } from 'vitest';
import { createIdleMemory, giveMemoryBack } from '../../runtime/ops/idle-memory.ts';
import { ManualTime } from '../support/manual-time.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;

function world() {
  const time = new ManualTime();
  const collectedAt: number[] = [];
  const memory = createIdleMemory(time, () => collectedAt.push(time.monotonic() - began));
  const began = time.monotonic();
  return { time, memory, collectedAt };
}

describe('memory is given back', () => {
  it('half a minute after the start, and then not again while nothing happens', () => {
    const { time, collectedAt } = world();
    time.advance(24 * 60 * MINUTE);
    expect(collectedAt).toEqual([30 * SECOND]);
  });

  it('only once nothing has happened for half a minute', () => {
    const { time, memory, collectedAt } = world();
    for (let n = 0; n < 10; n += 1) {
      time.advance(20 * SECOND);
      memory.happened();
    }
    time.advance(29 * SECOND);
    expect(collectedAt).toEqual([]);
    time.advance(SECOND);
    expect(collectedAt).toEqual([230 * SECOND]);
  });

  it('at most once in ten minutes, however often it becomes quiet', () => {
    const { time, memory, collectedAt } = world();
    for (let minute = 1; minute <= 25; minute += 1) {
      time.advance(MINUTE);
      memory.happened();
    }
    expect(collectedAt).toEqual([0.5, 10.5, 20.5].map((minutes) => minutes * MINUTE));
  });

  it('no more after the end', () => {
    const { time, memory, collectedAt } = world();
    memory.close();
    memory.happened();
    time.advance(60 * MINUTE);
    expect(collectedAt).toEqual([]);
  });
});

it('is V8 that gives it back, in a process without any flag', () => {
  const kept = Array.from({ length: 200_000 }, (_, n) => ({ n }));
  const before = process.memoryUsage().heapUsed;
  kept.length = 0;
  giveMemoryBack();
  expect(process.memoryUsage().heapUsed).toBeLessThan(before);
});
