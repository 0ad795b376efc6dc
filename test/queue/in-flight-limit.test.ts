import { describe, expect, it } from 'vitest';
import type { ReceivedMessage } from '../../runtime/queue/message.ts';
import { InFlightLimitError, type Queue } from '../../runtime/queue/queue.ts';
import { IN_FLIGHT_LIMIT, InFlightLimit } from '../../runtime/queue/receiving.ts';
import type { Store } from '../../runtime/store/store.ts';
import { forEachStore, message, turn } from './queue-world.ts';

/** In full the real limit, which takes Redis half a minute to reach; else a small one. */
const LIMIT = process.env['KARIN_TEST_SIZE'] === 'full' ? IN_FLIGHT_LIMIT : 3_000;
const TIMEOUT_MS = 60_000 + LIMIT * 2;

/** Sends as many messages as may be in flight, and some more, and receives all that may be. */
async function fill(queue: Queue, fifo: boolean): Promise<readonly ReceivedMessage[]> {
  for (let sent = 0; sent < LIMIT + 1_000; sent += 500) {
    await queue.send(
      Array.from({ length: 500 }, (_, at) => {
        const name = String(sent + at);
        return message('', fifo ? { groupId: name, deduplicationId: name } : {});
      }),
    );
  }
  const received: ReceivedMessage[] = [];
  for (let rest = LIMIT; rest > 0; rest -= 1_000) {
    received.push(...(await queue.receive({ maxMessages: Math.min(rest, 1_000) })));
  }
  expect(received).toHaveLength(LIMIT);
  return received;
}

/** Resolves when the store has answered once more how many messages are in flight. */
function nextDepth(store: Store): Promise<void> {
  const depth = store.depth.bind(store);
  return new Promise((resolve) => {
    store.depth = async (queue) => {
      store.depth = depth;
      const reply = await depth(queue);
      resolve();
      return reply;
    };
  });
}

forEachStore('the in-flight limit', (open) => {
  it(
    'refuses a short poll of a standard queue, and lets a long poll wait',
    async () => {
      const world = await open({ inFlightLimit: LIMIT });
      const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 43_200 });
      const received = await fill(queue, false);
      await expect(queue.receive({ maxMessages: 1 })).rejects.toThrow(InFlightLimitError);
      expect(await queue.depth()).toEqual({ visible: 1_000, delayed: 0, inFlight: LIMIT });
      const counted = nextDepth(world.store);
      const waiting = queue.receive({ maxMessages: 1, waitMs: 20_000 });
      await counted;
      await turn();
      await queue.delete(received.slice(0, 10).map(({ receiptHandle }) => receiptHandle));
      world.time.advance(1_000);
      expect(await waiting).toHaveLength(1);
    },
    TIMEOUT_MS,
  );

  it(
    'gives nothing more on a FIFO queue, until something was deleted',
    async () => {
      const world = await open({ inFlightLimit: LIMIT });
      const queue = await world.queue('jobs.fifo', { visibilityTimeoutSeconds: 43_200 });
      const received = await fill(queue, true);
      expect(await queue.receive({ maxMessages: 1 })).toEqual([]);
      await queue.delete(received.slice(0, 1).map(({ receiptHandle }) => receiptHandle));
      expect(await queue.receive({ maxMessages: 1 })).toHaveLength(1);
      expect(await queue.receive({ maxMessages: 1 })).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe('the allowance below the in-flight limit', () => {
  it('asks the store nothing while the queue is smaller than the limit', async () => {
    let asked = 0;
    const limit = new InFlightLimit(IN_FLIGHT_LIMIT, async () => {
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
    const limit = new InFlightLimit(IN_FLIGHT_LIMIT, async () => {
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
    const limit = new InFlightLimit(IN_FLIGHT_LIMIT, async () => IN_FLIGHT_LIMIT);
    limit.received(10, 1_000_000);
    expect(await limit.admits()).toBe(false);
    limit.received(0, 10);
    expect(await limit.admits()).toBe(true);
  });
});
