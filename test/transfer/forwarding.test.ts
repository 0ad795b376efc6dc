import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RealQueues } from '../../runtime/aws/real-queues.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { createForwarder, type Forwarding, startForwarding } from '../../runtime/transfer/forwarding.ts';
import { ManualTime } from '../support/manual-time.ts';
import { TransferEvents } from './support/events.ts';
import { flow } from './support/flow.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { bodiesByGroup, messageOf, openSide, type Side, takeAll } from './support/side.ts';

let time: ManualTime;
let store: MemoryStore;
let sqs: Side;
let events: TransferEvents;
let running: Forwarding[];

beforeEach(() => {
  time = new ManualTime();
  store = new MemoryStore({ time });
  events = new TransferEvents();
  running = [];
});

afterEach(async () => {
  for (const forwarding of running) await forwarding.close();
});

/** An instance of the server, as far as forwarding goes. */
async function instance(name: string, realQueues: RealQueues = queueAsSqs(sqs.queue)): Promise<Side> {
  const side = await openSide({ store, time, name, forward: createForwarder(realQueues) });
  const { directory } = side;
  running.push(startForwarding({ directory, realQueues, time, randomness: systemRandomness, onEvent: events.take }));
  return side;
}

async function openSqs(name: string): Promise<void> {
  sqs = await openSide({ store: new MemoryStore({ time }), time, name });
}

function moved(count: number): Promise<unknown> {
  return flow(
    time,
    events.until('moved', () => events.of('moved').reduce((sum, event) => sum + event.count, 0) >= count),
  );
}

const NOTHING = { visible: 0, delayed: 0, inFlight: 0 };

describe('the forwarding service', () => {
  it('moves what is held as soon as the mode is forward, and not before', async () => {
    await openSqs('jobs');
    const { directory, queue } = await instance('jobs');
    await queue.send([messageOf('a'), messageOf('b')]);
    await time.advanceAsync(10_000);
    expect(events.all).toEqual([]);
    await directory.setMode(queue, 'forward');
    await moved(2);
    expect(await queue.depth()).toEqual(NOTHING);
    expect((await takeAll(sqs.queue)).map(({ body }) => body).toSorted()).toEqual(['a', 'b']);
  });

  it('begins at start with queues that are in mode forward already', async () => {
    await openSqs('jobs');
    const before = await openSide({ store, time, name: 'jobs' });
    await before.queue.send([messageOf('a')]);
    await before.directory.setMode(before.queue, 'forward');
    before.directory.close();
    await instance('jobs');
    await moved(1);
    expect(await takeAll(sqs.queue)).toHaveLength(1);
  });

  it('sends a message with a long delay on when it is due', async () => {
    await openSqs('jobs');
    const { directory, queue } = await instance('jobs');
    await directory.setMode(queue, 'forward');
    await queue.send([{ ...messageOf('a'), delayMs: 3_600_000 }]);
    await time.advanceAsync(3_599_000);
    expect(events.of('moved')).toEqual([]);
    await time.advanceAsync(1_001);
    expect(await takeAll(sqs.queue)).toHaveLength(1);
  });

  it('keeps the order of FIFO groups, with two instances at work', async () => {
    await openSqs('jobs.fifo');
    const one = await instance('jobs.fifo');
    const two = await instance('jobs.fifo');
    const messages = Array.from({ length: 40 }, (_, index) => messageOf(String(index), `g${index % 3}`));
    await one.queue.send(messages.slice(0, 20));
    await one.directory.setMode(one.queue, 'forward');
    for (const message of messages.slice(20)) await two.queue.send([message]);
    await moved(40);
    expect(bodiesByGroup(await takeAll(sqs.queue), true)).toEqual(bodiesByGroup(messages, true));
  });

  it('stops when the mode changes, and gives back what it has not sent', async () => {
    await openSqs('jobs');
    const { directory, queue } = await instance('jobs');
    await directory.setMode(queue, 'forward');
    await time.advanceAsync(1_000);
    await directory.setMode(queue, 'hold');
    await queue.send([messageOf('a')]);
    await time.advanceAsync(10_000);
    expect(await queue.depth()).toEqual({ ...NOTHING, visible: 1 });
    const [message] = await queue.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    expect(message?.receiveCount).toBe(1);
    await directory.setMode(queue, 'forward');
    await moved(1);
    expect(await takeAll(sqs.queue)).toHaveLength(1);
  });

  it('goes on trying while SQS fails, ever more slowly', async () => {
    await openSqs('jobs');
    const real = queueAsSqs(sqs.queue);
    let failures = 8;
    const failing: RealQueues = {
      ...real,
      send: (arn, entries) => {
        failures -= 1;
        return failures < 0 ? real.send(arn, entries) : Promise.reject(new Error('ECONNREFUSED'));
      },
    };
    const { directory, queue } = await instance('jobs', failing);
    await queue.send([messageOf('a')]);
    await directory.setMode(queue, 'forward');
    await moved(1);
    const pauses = events.of('retrying').map(({ inMs }) => inMs);
    expect(pauses).toHaveLength(8);
    for (const [index, pause] of pauses.entries()) {
      const longest = Math.min(60_000, 1_000 * 2 ** index);
      expect(pause).toBeGreaterThanOrEqual(0.75 * longest);
      expect(pause).toBeLessThanOrEqual(longest);
    }
  });

  it('finishes what it is sending before it closes', async () => {
    await openSqs('jobs');
    const real = queueAsSqs(sqs.queue);
    let arrived = (): void => {};
    let answer = (): void => {};
    const sending = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const slow: RealQueues = {
      ...real,
      send: async (arn, entries) => {
        arrived();
        await answered;
        return real.send(arn, entries);
      },
    };
    const { directory, queue } = await instance('jobs', slow);
    await queue.send([messageOf('a')]);
    await directory.setMode(queue, 'forward');
    await sending;
    const closing = running[0]?.close();
    answer();
    await closing;
    expect(await queue.depth()).toEqual(NOTHING);
    expect(await takeAll(sqs.queue)).toHaveLength(1);
  });
});
