import { describe, expect, it } from 'vitest';
import type { ConsumerEvent } from '../../runtime/consumer/events.ts';
import { createLog } from '../../runtime/log.ts';
import { createActivityLog, createEventBus, logEvents } from '../../runtime/ops/activity.ts';
import { INVOKED, LEASED } from '../support/consumer-events.ts';

const OF = { mapping: 'uuid-a', queue: 'eu-west-1:111122223333:a' };
const BATCH = { ...OF, batch: 1, messageIds: ['1', '2'] };
const warning = (what: 'probable-loop' | 'store-error', mapping = 'uuid-a'): ConsumerEvent => ({
  kind: 'warning',
  what,
  detail: 'see',
  ...OF,
  mapping,
});

function open() {
  const bus = createEventBus(() => {});
  let now = 0;
  const activity = createActivityLog(bus, () => ++now);
  return { bus, activity };
}

describe('recent activity', () => {
  it('is told in sentences, newest first', () => {
    const { bus, activity } = open();
    bus.emit({ kind: 'mapping-started', ...OF });
    bus.emit({ ...LEASED, ...BATCH });
    bus.emit({
      ...INVOKED,
      functionArn: 'arn:aws:lambda:r:1:function:f:live',
      payloadBytes: 9,
      ...BATCH,
    });
    bus.emit({ kind: 'succeeded', failedIds: ['2'], durationMs: 12.3, ...BATCH });
    bus.emit({ kind: 'failed', reason: 'timeout', detail: 'after 3 s', durationMs: 1, ...BATCH });
    bus.emit({ kind: 'dead-lettered', queue: OF.queue, target: 'eu-west-1:111122223333:dead', messageIds: ['1'] });
    expect(activity.recent().map(({ text, level }) => [level, text])).toEqual([
      ['bad', '1 message moved to dead'],
      ['bad', '2 messages failed, timeout: after 3 s'],
      ['bad', '1 of 2 messages reported as failed'],
      ['info', '2 messages sent to f:live, 9 bytes'],
      ['good', 'mapping served'],
    ]);
  });

  it('is told of one message too, as far back as two hundred events reach', () => {
    const { bus, activity } = open();
    bus.emit({ ...INVOKED, functionArn: 'arn:aws:lambda:r:1:function:f', payloadBytes: 9, ...BATCH });
    bus.emit({ kind: 'failed', reason: 'timeout', detail: 'after 3 s', durationMs: 1, ...BATCH });
    bus.emit({ kind: 'released', why: 'it stops', tookMs: 1, ...BATCH, messageIds: ['3'] });
    const texts = (id: string, queue = OF.queue) => activity.ofMessage(queue, id).map(({ text }) => text);
    expect(texts('2')).toEqual(['2 messages sent to f, 9 bytes', '2 messages failed, timeout: after 3 s']);
    expect(texts('3')).toEqual(['1 message given back: it stops']);
    expect(texts('2', 'eu-west-1:111122223333:b')).toEqual([]);
    for (let count = 0; count < 200; count++) {
      bus.emit({ kind: 'released', why: 'it stops', tookMs: 1, ...BATCH, messageIds: ['3'] });
    }
    expect(texts('2')).toEqual([]);
    expect(texts('3')).toHaveLength(200);
  });

  it('is bounded', () => {
    const { bus, activity } = open();
    for (let count = 0; count < 1000; count++) bus.emit({ kind: 'expired', queue: OF.queue, count });
    expect(activity.recent()).toHaveLength(200);
    expect(activity.recent()[0]?.text).toContain('999');
  });
});

describe('a transfer', () => {
  it('is told while it goes on, in one line however many steps it takes', () => {
    const { bus, activity } = open();
    const of = { queue: OF.queue };
    activity.transferred({ kind: 'mode-changed', from: 'hold', to: 'forward', ...of });
    bus.emit({ kind: 'expired', count: 1, ...of });
    for (let step = 1; step <= 300; step++) activity.transferred({ kind: 'moved', count: 10, total: step * 10, ...of });
    activity.transferred({ kind: 'waiting', visible: 0, delayed: 1, inFlight: 0, ...of });
    activity.transferred({ kind: 'pulled', count: 1, total: 1, queue: 'eu-west-1:111122223333:b' });
    activity.transferred({ kind: 'moved', count: 1, total: 3001, ...of });
    activity.transferEnded(OF.queue, 'the drain is done: 3001 moved', 'good');
    activity.transferred({ kind: 'moved', count: 2, total: 2, ...of });
    expect(activity.recent().map(({ text }) => text)).toEqual([
      '2 messages moved to SQS',
      'the drain is done: 3001 moved',
      '3001 messages moved to SQS',
      '1 message brought here from SQS',
      '1 past the retention period, removed',
      'mode hold became forward',
    ]);
  });

  it('tells what goes wrong', () => {
    const { activity } = open();
    const of = { queue: OF.queue };
    activity.transferred({ kind: 'retrying', inMs: 1000, reason: 'SQS does not answer', ...of });
    activity.transferred({ kind: 'refused', messageId: 'm', reason: 'too large', ...of });
    expect(activity.recent().map(({ text, level }) => [level, text])).toEqual([
      ['bad', 'SQS refused message m: too large'],
      ['info', 'SQS does not answer; again in 1000 ms'],
    ]);
  });
});

describe('warnings', () => {
  it('stand once for each cause, until their mapping is gone', () => {
    const { bus, activity } = open();
    for (const event of [warning('probable-loop'), warning('store-error', 'uuid-b'), warning('probable-loop')])
      bus.emit(event);
    activity.queueWarned({ kind: 'queue-warning', queue: OF.queue, what: 'cannot-forward', detail: 'no SQS' });
    expect(activity.warnings().map(({ text }) => text)).toEqual([
      'cannot-forward: no SQS',
      'probable-loop: see',
      'store-error: see',
    ]);
    bus.emit({ kind: 'mapping-stopped', why: 'gone', ...OF });
    expect(activity.warnings().map(({ text }) => text)).toEqual(['cannot-forward: no SQS', 'store-error: see']);
  });
});

describe('the log of events', () => {
  it('leaves out what a function said: it may quote a message', () => {
    const lines: string[] = [];
    const write = logEvents(createLog({ level: 'debug', write: (line) => lines.push(line) }));
    write({
      kind: 'failed',
      reason: 'function-error',
      detail: 'Error: cannot read {"card":"4111"}',
      durationMs: 1,
      ...BATCH,
    });
    write({ kind: 'failed', reason: 'rejected', detail: 'AccessDeniedException', durationMs: 1, ...BATCH });
    expect(lines[0]).not.toContain('4111');
    expect(lines[0]).toContain('function-error');
    expect(lines[1]).toContain('AccessDeniedException');
  });
});
