import { describe, expect, it } from 'vitest';
import type { ConsumerEvent } from '../../runtime/consumer/events.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { countMetrics } from '../../runtime/ops/counts.ts';
import { DELETED, INVOKED, LEASED } from '../support/consumer-events.ts';

const BATCH = { mapping: 'm', queue: 'q', batch: 1, messageIds: ['a', 'b'] } as const;
const EXPIRED: ConsumerEvent = { kind: 'expired', queue: 'q', count: 1 };

describe('the event bus', () => {
  it('calls its listeners in order, until they end', () => {
    const bus = createEventBus(() => expect.unreachable());
    const heard: string[] = [];
    bus.subscribe(() => heard.push('first'));
    const end = bus.subscribe(() => heard.push('second'));
    bus.emit(EXPIRED);
    end();
    end();
    bus.emit(EXPIRED);
    expect(heard).toEqual(['first', 'second', 'first']);
  });

  it('a listener may listen twice', () => {
    const bus = createEventBus(() => expect.unreachable());
    let heard = 0;
    const listener = (): void => {
      heard += 1;
    };
    const end = bus.subscribe(listener);
    bus.subscribe(listener);
    end();
    bus.emit(EXPIRED);
    expect(heard).toBe(1);
  });

  it('a listener that throws is reported, and the others are called', () => {
    const reported: unknown[] = [];
    const bus = createEventBus((error, event) => reported.push([error, event]));
    const heard: ConsumerEvent[] = [];
    const fault = new Error('a bug');
    bus.subscribe(() => {
      throw fault;
    });
    bus.subscribe((event) => heard.push(event));
    bus.emit(EXPIRED);
    expect(heard).toEqual([EXPIRED]);
    expect(reported).toEqual([[fault, EXPIRED]]);
  });
});

describe('metric counts', () => {
  it("count messages under AWS's names", () => {
    const bus = createEventBus(() => expect.unreachable());
    const counts = countMetrics(bus);
    const events: readonly ConsumerEvent[] = [
      { ...LEASED, ...BATCH, messageIds: ['a', 'b', 'c'] },
      { kind: 'filtered-out', ...BATCH, messageIds: ['c'] },
      { ...INVOKED, ...BATCH },
      { kind: 'retrying', ...BATCH, attempt: 2, inMs: 1_000, reason: 'throttled' },
      { ...INVOKED, ...BATCH, attempt: 2 },
      { kind: 'succeeded', ...BATCH, failedIds: ['b'], durationMs: 1 },
      { ...DELETED, ...BATCH, messageIds: ['a'] },
      { kind: 'failed', ...BATCH, reason: 'function-error', detail: '', durationMs: 1 },
      { kind: 'failed', ...BATCH, reason: 'oversize-record', detail: '', durationMs: 0 },
      EXPIRED,
    ];
    for (const event of events) bus.emit(event);
    expect([...counts.byMapping()]).toEqual([
      [
        'm',
        {
          PolledEventCount: 3,
          FilteredOutEventCount: 1,
          InvokedEventCount: 4,
          FailedInvokeEventCount: 3,
          DeletedEventCount: 2,
        },
      ],
    ]);
  });
});
