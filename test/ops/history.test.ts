import { beforeEach, describe, expect, it } from 'vitest';
import type { EventBus } from '../../runtime/consumer/events.ts';
import { createLog } from '../../runtime/log.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { bars, createHistory, type History, percentile, readHistory } from '../../runtime/ops/history.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import type { Documents } from '../../runtime/store/store.ts';
import { ANSWERED } from '../support/consumer-events.ts';
import { ManualTime } from '../support/manual-time.ts';

const QUEUE = 'eu-west-1:111122223333:jobs';
const BATCH = { mapping: 'uuid', queue: QUEUE, batch: 1 };
const TEN = Array.from({ length: 10 }, (_, at) => `${at}`);

describe('the history of a queue', () => {
  let time: ManualTime;
  let store: MemoryStore;
  let bus: EventBus;
  let writes: number;
  let documents: Documents;

  beforeEach(() => {
    time = new ManualTime();
    store = new MemoryStore({ time });
    bus = createEventBus(() => {});
    writes = 0;
    documents = {
      get: (name) => store.documents.get(name),
      list: (prefix) => store.documents.list(prefix),
      each: (prefix) => store.documents.each(prefix),
      heldBy: () => {},
      remove: (name) => store.documents.remove(name),
      put: (name, value, expected) => {
        writes += 1;
        return store.documents.put(name, value, expected);
      },
    };
  });

  const open = (on: EventBus = bus): History => {
    const history = createHistory({ documents, bus: on, time, log: createLog({ level: 'silent' }) });
    store.subscribe((signal) => history.heard(signal));
    return history;
  };
  const sent = (history: History, messages: number): void => {
    let untold = messages;
    history.sending(QUEUE, () => {
      const taken = untold;
      untold = 0;
      return taken;
    });
  };
  const lastHour = async (history: History) => {
    const found = (await history.read([QUEUE])).get(QUEUE);
    if (found === undefined) throw new Error('each queue that was asked for is answered');
    return bars(found, time.now(), 60, 1)[0];
  };

  it('counts what was sent, handled, failed, moved to the dead-letter queue and throttled', async () => {
    const history = open();
    sent(history, 3);
    bus.emit({ kind: 'succeeded', failedIds: ['3'], durationMs: 40, messageIds: ['1', '2', '3'], ...BATCH });
    bus.emit({ kind: 'deleted', tookMs: 1, messageIds: ['1', '2'], ...BATCH });
    bus.emit({ kind: 'failed', reason: 'function-error', detail: 'x', durationMs: 10, messageIds: ['3'], ...BATCH });
    bus.emit({ kind: 'retrying', attempt: 1, inMs: 5, reason: 'throttled', messageIds: ['3'], ...BATCH });
    bus.emit({ kind: 'dead-lettered', queue: QUEUE, target: 'dead', messageIds: ['3'] });
    expect(await lastHour(history)).toEqual({ sent: 3, handled: 2, failed: 2, throttled: 1, deadLettered: 1 });
  });

  it('writes nothing while nothing happens, and once in five minutes however much does', async () => {
    const history = open();
    await time.advanceAsync(86_400_000);
    expect(writes).toBe(0);
    for (let at = 0; at < 200; at += 1) {
      sent(history, 1);
      await time.advanceAsync(1_000);
    }
    expect(writes).toBe(0);
    await time.advanceAsync(300_000);
    expect(writes).toBe(1);
    await time.advanceAsync(86_400_000);
    expect(writes).toBe(1);
  });

  it('survives a restart, and is one for all servers', async () => {
    const [one, two] = [open(), open(createEventBus(() => {}))];
    sent(one, 1);
    sent(two, 2);
    expect((await lastHour(two))?.sent).toBe(2);
    await Promise.all([one.close(), two.close()]);
    const next = open();
    expect((await lastHour(next))?.sent).toBe(3);
    sent(next, 4);
    expect((await lastHour(next))?.sent).toBe(7);
  });

  it('hears of what another server wrote since', async () => {
    const [one, two] = [open(), open(createEventBus(() => {}))];
    expect((await lastHour(two))?.sent).toBe(0);
    sent(one, 5);
    const told = new Promise<void>((resolve) => {
      store.subscribe((signal) => {
        if (signal.kind === 'document') resolve();
      });
    });
    await one.close();
    await told;
    expect((await lastHour(two))?.sent).toBe(5);
  });

  it('loses no count when a write fails', async () => {
    const history = open();
    const { put } = documents;
    sent(history, 5);
    documents = Object.assign(documents, { put: () => Promise.reject(new Error('away')) });
    await time.advanceAsync(300_000);
    sent(history, 1);
    Object.assign(documents, { put });
    await time.advanceAsync(300_000);
    expect((await lastHour(open()))?.sent).toBe(6);
  });

  it('keeps a day and no more, in at most 16 KB', async () => {
    const history = open();
    for (let minute = 0; minute < 2_000; minute += 1) {
      sent(history, 1_000_000);
      bus.emit({ ...ANSWERED, durationMs: minute, messageIds: TEN, ...BATCH });
      bus.emit({ kind: 'deleted', tookMs: 1, messageIds: TEN, ...BATCH });
      await time.advanceAsync(60_000);
    }
    await history.close();
    const text = (await store.documents.get(`history:${QUEUE}`)) ?? '';
    expect(text.length).toBeLessThanOrEqual(16_384);
    const { minutes } = readHistory(text);
    expect(minutes.size).toBeGreaterThan(1_100);
    expect(Math.min(...minutes.keys())).toBeGreaterThan(time.now() / 60_000 - 1_441);
  });

  it('is removed with its queue', async () => {
    const history = open();
    sent(history, 1);
    await history.close();
    await history.forget(QUEUE);
    expect(await store.documents.get(`history:${QUEUE}`)).toBeUndefined();
  });

  it('tells how long nearly all Invokes took, to a fifth', async () => {
    const history = open();
    for (let ms = 1; ms <= 1_000; ms += 1) {
      bus.emit({ ...ANSWERED, durationMs: ms, messageIds: ['1'], ...BATCH });
    }
    const found = (await history.read([QUEUE])).get(QUEUE);
    if (found === undefined) throw new Error('each queue that was asked for is answered');
    for (const [share, ms] of [
      [0.5, 500],
      [0.95, 950],
    ] as const) {
      const about = percentile(found.durations, share) ?? 0;
      expect(about / ms).toBeGreaterThan(0.8);
      expect(about / ms).toBeLessThan(1.25);
    }
    expect(percentile(found.ages, 0.5)).toBeUndefined();
  });

  it('keeps the last 30 events of each queue over a restart, whatever happens on others', async () => {
    const history = open();
    history.noted(QUEUE, { at: time.now(), level: 'bad', text: 'quiet queue' });
    for (let at = 0; at < 500; at += 1) {
      history.noted('eu-west-1:111122223333:loud', { at: time.now() + at, level: 'info', text: `${at}` });
    }
    await history.close();
    const next = open();
    next.noted(QUEUE, { at: time.now() + 1, level: 'good', text: 'after the restart' });
    const found = await next.read([QUEUE, 'eu-west-1:111122223333:loud']);
    expect(found.get(QUEUE)?.events.map(({ text }) => text)).toEqual(['quiet queue', 'after the restart']);
    const loud = found.get('eu-west-1:111122223333:loud')?.events.map(({ text }) => text);
    expect(loud).toEqual(Array.from({ length: 30 }, (_, at) => `${470 + at}`));
  });
});
