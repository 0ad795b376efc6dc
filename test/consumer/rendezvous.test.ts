import { describe, expect, it } from 'vitest';
import { highest, Rendezvous } from '../../runtime/consumer/instances.ts';

const QUEUES = Array.from({ length: 300 }, (_, index) => `eu-west-1:111122223333:queue-${index}`);

describe('which instance claims first', () => {
  it('is the same for all, in whatever order they know each other', () => {
    for (const queue of QUEUES) expect(highest(['a', 'b', 'c'], queue)).toBe(highest(['c', 'a', 'b'], queue));
  });

  it('is spread over the instances', () => {
    const counts = { a: 0, b: 0, c: 0 };
    for (const queue of QUEUES) {
      const instance = highest(['a', 'b', 'c'], queue);
      if (instance === 'a' || instance === 'b' || instance === 'c') counts[instance] += 1;
    }
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(60);
  });

  it('moves only the queues of the instance that left', () => {
    for (const queue of QUEUES) {
      const before = highest(['a', 'b', 'c'], queue);
      if (before !== 'c') expect(highest(['a', 'b'], queue)).toBe(before);
    }
  });

  it('is this one while it is alone, and exactly one of several', () => {
    const instances = ['a', 'b', 'c'].map((id) => new Rendezvous(id));
    expect(instances.every((instance) => instance.prefers('q'))).toBe(true);
    for (const instance of instances) instance.update(['a', 'b', 'c']);
    for (const queue of QUEUES) expect(instances.filter((instance) => instance.prefers(queue))).toHaveLength(1);
  });

  it('counts this instance even if it is not listed', () => {
    const instance = new Rendezvous('a');
    instance.update([]);
    expect(instance.prefers('q')).toBe(true);
  });
});
