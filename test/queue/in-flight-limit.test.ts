import { describe, expect, it } from 'vitest';
import { IN_FLIGHT_LIMIT, InFlightLimit } from '../../runtime/queue/in-flight-limit.ts';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { InFlightLimitError, type Queue } from '../../runtime/queue/queue.ts';
import { forStores, message, turn } from './queue-world.ts';

/** Sends as many messages as may be in flight, and some more, and receives all that may be. */
async function fill(queue: Queue, fifo: boolean): Promise<readonly ReceivedMessage[]> {
  const count = IN_FLIGHT_LIMIT + 1_000;
  for (let sent = 0; sent < count; sent += 500) {
    await queue.send(
      Array.from({ length: 500 }, (_, at) => {
        const name = String(sent + at);
        return message('', fifo ? { groupId: name, deduplicationId: name } : {});
      }),
    );
  }
  const received: ReceivedMessage[] = [];
  for (let rest = IN_FLIGHT_LIMIT; rest > 0; rest -= 10_000) {
    received.push(...(await queue.receive({ maxMessages: Math.min(rest, 10_000) })));
  }
  expect(received).toHaveLength(IN_FLIGHT_LIMIT);
  return received;
}

// Redis takes a while for so many messages, and what is tested here is above the store.
forStores(['memory'], 'the in-flight limit', (open) => {
  it('refuses a short poll of a standard queue, and lets a long poll wait', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 43_200 });
    const received = await fill(queue, false);
    await expect(queue.receive({ maxMessages: 1 })).rejects.toThrow(InFlightLimitError);
    const waiting = queue.receive({ maxMessages: 1, waitMs: 20_000 });
    await turn();
    await queue.delete(received.slice(0, 10).map(({ receiptHandle }) => receiptHandle));
    await world.time.advanceAsync(1_000);
    expect(await waiting).toHaveLength(1);
  });

  it('gives nothing more on a FIFO queue', async () => {
    const world = await open();
    const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 43_200 });
    await fill(queue, true);
    expect(await queue.receive({ maxMessages: 1 })).toEqual([]);
  });
});

describe('the allowance below the in-flight limit', () => {
  it('asks the store nothing while the queue is smaller than the limit', async () => {
    let asked = 0;
    const limit = new InFlightLimit(async () => {
      asked += 1;
      return 0;
    });
    for (let total = 0; total < IN_FLIGHT_LIMIT; total += 10_000) {
      expect(await limit.admits()).toBe(true);
      limit.received(10_000, total);
    }
    expect(asked).toBe(0);
  });

  it('asks once for half of what is left, beyond', async () => {
    let asked = 0;
    const limit = new InFlightLimit(async () => {
      asked += 1;
      return 20_000;
    });
    limit.received(10, 1_000_000);
    for (let receives = 0; receives < 5_000; receives += 1) {
      expect(await limit.admits()).toBe(true);
      limit.received(10, 1_000_000);
    }
    expect(asked).toBe(1);
    expect(await limit.admits()).toBe(true);
    expect(asked).toBe(2);
  });

  it('forgets about it when the queue has become small', async () => {
    const limit = new InFlightLimit(async () => IN_FLIGHT_LIMIT);
    limit.received(10, 1_000_000);
    expect(await limit.admits()).toBe(false);
    limit.received(0, 10);
    expect(await limit.admits()).toBe(true);
  });
});
