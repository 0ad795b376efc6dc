/**
 * What an idle queue costs, and what happens when signals are lost.
 */
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { SafetySweep } from '../../runtime/queue/head-watch.ts';
import { encodeRecord } from '../../runtime/queue/record.ts';
import { ManualTime } from '../support/manual-time.ts';
import { arn, attributes, forEachStore, forStores, message, signalsDelivered, turn, woken } from './queue-world.ts';

const HOUR = 3_600_000;

describe('the safety sweep', () => {
  /** Moments of the sweeps, ms, without jitter. */
  function scene(fraction = 0.5) {
    const time = new ManualTime();
    const sweeps: { readonly at: number; readonly idle: boolean }[] = [];
    const sweep = new SafetySweep({
      time,
      randomness: { uuid: () => '', fraction: () => fraction },
      sweep: (idle) => sweeps.push({ at: time.monotonic(), idle }),
    });
    return { time, sweep, sweeps };
  }

  it('of a queue that was never used comes every six hours', () => {
    const { time, sweeps } = scene();
    time.advance(24 * HOUR);
    expect(sweeps.map(({ at }) => at / HOUR)).toEqual([6, 12, 18, 24]);
  });

  it('comes a minute after the last activity, then at twice the interval each time, up to six hours', () => {
    const { time, sweep, sweeps } = scene();
    sweep.active();
    time.advance(48 * HOUR);
    const moments = sweeps.map(({ at }) => at / 60_000);
    const intervals = moments.map((moment, index) => moment - (moments[index - 1] ?? 0));
    expect(intervals).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, ...intervals.slice(9)]);
    expect(new Set(intervals.slice(9))).toEqual(new Set([360]));
    expect(sweeps.every(({ idle }) => idle)).toBe(true);
  });

  it('begins again with each activity', () => {
    const { time, sweep, sweeps } = scene();
    time.advance(12 * HOUR);
    sweep.active();
    time.advance(60_000);
    expect(sweeps.at(-1)).toEqual({ at: 12 * HOUR + 60_000, idle: true });
  });

  it('offers upkeep only, while the queue is in use', () => {
    const { time, sweep, sweeps } = scene();
    for (let seconds = 0; seconds < 600; seconds += 10) {
      sweep.active();
      time.advance(10_000);
    }
    expect(sweeps.map(({ idle }) => idle)).toEqual(Array.from({ length: 10 }, () => false));
  });

  it('varies by a quarter either way', () => {
    for (const [fraction, minutes] of [
      [0, 0.75],
      [0.999, 1.25],
    ] as const) {
      const { time, sweep, sweeps } = scene(fraction);
      sweep.active();
      time.advance(75_000);
      expect((sweeps[0]?.at ?? 0) / 60_000).toBeCloseTo(minutes, 2);
    }
  });

  it('stops when the queue closes', () => {
    const { time, sweep, sweeps } = scene();
    sweep.active();
    sweep.close();
    sweep.active();
    time.advance(24 * HOUR);
    expect([sweeps.length, time.pending]).toEqual([0, 0]);
  });
});

forEachStore('a wake that is lost', (open) => {
  it('is made up for by the sweep', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    await queue.receive({ maxMessages: 1 });
    // Past the queue, which then still believes that there is nothing: as after a wake that was lost.
    await world.store.send({ key: queue.key, fifo: false }, [
      { id: crypto.randomUUID(), record: encodeRecord(message('a')), delayMs: 0 },
    ]);
    await signalsDelivered(world.store);
    queue.watch.asking().answered(undefined);
    const due = woken(queue);
    world.time.advance(75_000);
    await due;
    expect((await queue.receive({ maxMessages: 1 })).map(({ body }) => body)).toEqual(['a']);
  });
});

forStores(['memory'], 'a gap in the signals', (open) => {
  async function scene() {
    const world = await open();
    const listeners = new Set<Parameters<typeof world.store.subscribe>[0]>();
    const subscribe = world.store.subscribe.bind(world.store);
    // The memory store never loses a signal; this lets one happen.
    world.store.subscribe = (listener) => {
      listeners.add(listener);
      return subscribe(listener);
    };
    const instance = await world.another();
    return {
      world,
      instance,
      gap: () => {
        for (const listener of listeners) listener({ kind: 'gap' });
      },
    };
  }

  it('has every queue peeked that somebody waits for, and the others forgotten', async () => {
    const { world, instance, gap } = await scene();
    await world.queue('waited');
    await world.queue('idle');
    await turn();
    await turn();
    const [waited, idle] = ['waited', 'idle'].map((name) => instance.directory.byKey(`eu-west-1:123456789012:${name}`));
    if (waited === undefined || idle === undefined) throw new Error('the queues are not there');
    await Promise.all([waited.receive({ maxMessages: 1 }), idle.receive({ maxMessages: 1 })]);
    const waiting = waited.receive({ maxMessages: 1, waitMs: 20_000 });
    gap();
    expect([waited.watch.isDue(), idle.watch.isDue()]).toEqual([true, true]);
    await turn();
    expect([waited.watch.isDue(), idle.watch.isDue()]).toEqual([false, true]);
    world.time.advance(20_000);
    expect(await waiting).toEqual([]);
  });

  it('has all definitions read again', async () => {
    const { world, instance, gap } = await scene();
    const queue = await world.queue('jobs');
    await turn();
    await turn();
    const documents = world.store.documents;
    const text = (await documents.get(`queue:${queue.key}`)) ?? '';
    // Written while nobody hears.
    const silent = text.replace('"consume"', '"hold"');
    await documents.put(`queue:${queue.key}`, silent);
    gap();
    await turn();
    await turn();
    expect(instance.directory.byKey(queue.key)?.definition.mode).toBe('hold');
  });
});

forStores(['redis'], 'an idle instance', (open) => {
  it('costs Redis ten commands per queue and day at most', async () => {
    const world = await open();
    const count = 20;
    for (let at = 0; at < count; at += 1) {
      await world.directory.create(arn(`jobs-${at}`), attributes(), {});
    }
    // Somebody listens to each queue, as its actor would, and knows that it is empty.
    for (const queue of world.directory.all()) {
      queue.watch.subscribe(() => undefined);
      await queue.receive({ maxMessages: 1 });
    }
    const url = world.redis?.url ?? '';
    /** Commands of one day, whose hours pass in steps of `hourMs`. */
    const day = async (hourMs: number): Promise<number> => {
      const before = await commands(url);
      for (let hours = 0; hours < 24; hours += 1) {
        world.time.advance(hourMs);
        // Everything that was sent before it has reached the server when this comes back.
        await signalsDelivered(world.store);
      }
      return (await commands(url)) - before;
    };
    const ofTheTest = await day(0);
    const first = (await day(HOUR)) - ofTheTest;
    const second = (await day(HOUR)) - ofTheTest;
    // The first day holds the sweeps at short intervals after the activity above; the second is an idle one.
    expect(first).toBeLessThanOrEqual(15 * count);
    expect(second).toBeLessThanOrEqual(10 * count);
    expect(second).toBeGreaterThanOrEqual(3 * count);
  });

  it('costs three calls for a message that is sent, received and deleted, and nothing afterwards', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 30 });
    // The first use of each script may take a call of its own to load it.
    await queue.send([message('first')]);
    const [first] = await queue.receive({ maxMessages: 10 });
    await queue.delete([first?.receiptHandle ?? '']);
    // As an actor: asks when something is due, and deletes what it gets.
    let handled: () => void = () => undefined;
    queue.watch.subscribe(async () => {
      if (!queue.watch.isDue()) return;
      const received = await queue.receive({ maxMessages: 10 });
      await queue.delete(received.map(({ receiptHandle }) => receiptHandle));
      handled();
    });
    const url = world.redis?.url ?? '';
    const before = await scripts(url);
    for (let sent = 0; sent < 10; sent += 1) {
      const done = new Promise<void>((resolve) => {
        handled = resolve;
      });
      await queue.send([message(String(sent))]);
      await done;
      world.time.advance(1_000);
    }
    // Beyond the ends of all leases, but not to the next sweep.
    world.time.advance(40_000);
    expect((await scripts(url)) - before).toBe(3 * 10);
  });

  async function statistics(url: string): Promise<ReadonlyMap<string, number>> {
    const client = new Redis(url);
    const text = await client.info('commandstats');
    client.disconnect();
    return new Map(
      [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [name, Number(calls)]),
    );
  }

  /** All commands that the server has run, those inside scripts counted, but for those of this function. */
  async function commands(url: string): Promise<number> {
    const own = new Set(['info', 'hello', 'client|setname', 'client|setinfo', 'auth', 'select']);
    return [...(await statistics(url))].filter(([name]) => !own.has(name)).reduce((sum, [, calls]) => sum + calls, 0);
  }

  async function scripts(url: string): Promise<number> {
    const calls = await statistics(url);
    return (calls.get('eval') ?? 0) + (calls.get('evalsha') ?? 0);
  }
});
