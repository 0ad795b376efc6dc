import { describe, expect, it } from 'vitest';
import { LoopGuard, traceRoot } from '../../runtime/consumer/loop-guard.ts';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { receivedMessage } from '../lambda/received-message.ts';

const LIMITS = { messagesPerMinute: 60, minutes: 5 };
const MINUTE = 60_000;

/** Messages of one trace, sent evenly within the n-th minute. */
function sentInMinute(minute: number, count: number, root = 'r'): readonly ReceivedMessage[] {
  return Array.from({ length: count }, (_, index) =>
    receivedMessage({
      traceHeader: `Root=${root};Parent=53995c3f42cd8ad8;Sampled=1`,
      sentAt: minute * MINUTE + Math.floor((index * MINUTE) / count),
    }),
  );
}

function observeMinutes(guard: LoopGuard, from: number, to: number, perMinute: number): readonly string[] {
  const found: string[] = [];
  for (let minute = from; minute <= to; minute += 1) found.push(...guard.observe(sentInMinute(minute, perMinute)));
  return found;
}

describe('probable loops', () => {
  it('one trace root at a high rate for five minutes is reported once', () => {
    const guard = new LoopGuard(LIMITS);
    expect(observeMinutes(guard, 100, 104, 60)).toEqual([]);
    expect(observeMinutes(guard, 105, 120, 60)).toEqual(['r']);
    expect(sentInMinute(120, 1).every((message) => guard.isSuspicious(message))).toBe(true);
  });

  it('a fan-out is none, however large and however slowly it is worked off', () => {
    const guard = new LoopGuard(LIMITS);
    const found = Array.from({ length: 60 }, () => guard.observe(sentInMinute(100, 1_000)));
    expect(found.flat()).toEqual([]);
  });

  it('a slow chain is none, however long it lasts', () => {
    expect(observeMinutes(new LoopGuard(LIMITS), 100, 300, 59)).toEqual([]);
  });

  it('a break ends it, and it is reported again', () => {
    const guard = new LoopGuard(LIMITS);
    observeMinutes(guard, 100, 105, 60);
    guard.observe(sentInMinute(107, 1));
    expect(sentInMinute(107, 1).some((message) => guard.isSuspicious(message))).toBe(false);
    expect(observeMinutes(guard, 108, 113, 60)).toEqual(['r']);
  });

  it('retries of old messages do not count', () => {
    const guard = new LoopGuard(LIMITS);
    const old = sentInMinute(100, 60);
    for (let minute = 101; minute < 120; minute += 1) {
      expect(guard.observe([...sentInMinute(minute, 1), ...old])).toEqual([]);
    }
  });

  it('messages without a trace are none of its business', () => {
    const guard = new LoopGuard({ messagesPerMinute: 1, minutes: 0 });
    expect(guard.observe([receivedMessage()])).toEqual([]);
    expect(guard.isSuspicious(receivedMessage())).toBe(false);
  });

  it('remembers a bounded number of traces', () => {
    const guard = new LoopGuard(LIMITS);
    observeMinutes(guard, 100, 105, 60);
    for (let other = 0; other < 1_000; other += 1) guard.observe(sentInMinute(105, 1, `other-${other}`));
    expect(sentInMinute(105, 1).some((message) => guard.isSuspicious(message))).toBe(false);
  });

  it.each([
    ['Root=1-5759e988-bd862e3fe1be46a994272793;Parent=x;Sampled=1', '1-5759e988-bd862e3fe1be46a994272793'],
    ['Sampled=0; Root=abc', 'abc'],
    ['Self=1-2;NotRoot=abc', undefined],
    [undefined, undefined],
  ])('the root of %s is %s', (header, root) => {
    expect(traceRoot(header)).toBe(root);
  });
});
