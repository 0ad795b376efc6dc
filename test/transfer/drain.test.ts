import { beforeEach, describe, expect, it } from 'vitest';
import type { RealEntry, RealQueues, RealSendOutcome } from '../../runtime/aws/real-queues.ts';
import { TransferError } from '../../runtime/aws/real-queues.ts';
import type { QueueAttributes } from '../../runtime/queue/definition.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { type DrainOptions, type DrainResult, runDrain } from '../../runtime/transfer/drain.ts';
import { ManualTime } from '../support/manual-time.ts';
import { TransferEvents } from './support/events.ts';
import { flow } from './support/flow.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { arnOf, messageOf, openSide, type Side, takeAll } from './support/side.ts';

let time: ManualTime;
let sqs: Side;
let here: Side;
let events: TransferEvents;

async function open(name: string, attributes: Partial<QueueAttributes> = {}): Promise<void> {
  time = new ManualTime();
  events = new TransferEvents();
  const store = new MemoryStore({ time });
  sqs = await openSide({ store: new MemoryStore({ time }), time, name });
  here = await openSide({ store, time, name, attributes });
}

function drain(options: Partial<DrainOptions> = {}): Promise<DrainResult> {
  return runDrain({
    ...here,
    realQueues: queueAsSqs(sqs.queue),
    time,
    randomness: systemRandomness,
    onEvent: events.take,
    ...options,
  });
}

/** SQS, but for what it says of some sends. */
function sqsThatSays(judge: (entry: RealEntry) => Exclude<RealSendOutcome, { kind: 'sent' }> | undefined): RealQueues {
  const real = queueAsSqs(sqs.queue);
  return {
    ...real,
    send: async (arn, entries) => {
      const outcomes: RealSendOutcome[] = [];
      for (const entry of entries) {
        const verdict = judge(entry);
        outcomes.push(verdict ?? (await real.send(arn, [entry]))[0] ?? { kind: 'failed', reason: 'no answer' });
      }
      return outcomes;
    },
  };
}

const NOTHING = { visible: 0, delayed: 0, inFlight: 0 };
const bodies = (messages: readonly { readonly body: string }[]): readonly string[] => messages.map(({ body }) => body);

describe('draining a standard queue', () => {
  beforeEach(() => open('jobs'));

  it('switches to forward and moves everything that is due', async () => {
    await here.queue.send(Array.from({ length: 25 }, (_, index) => messageOf(String(index))));
    expect(await drain()).toEqual({ moved: 25, left: NOTHING, refused: new Map() });
    expect(here.queue.definition.mode).toBe('forward');
    expect(await takeAll(sqs.queue)).toHaveLength(25);
    expect(events.of('mode-changed')).toEqual([
      { kind: 'mode-changed', queue: here.queue.key, from: 'consume', to: 'forward' },
    ]);
    expect(events.of('moved').at(-1)?.total).toBe(25);
  });

  it('has nothing to do for an empty queue but the switch', async () => {
    expect(await drain()).toEqual({ moved: 0, left: NOTHING, refused: new Map() });
    expect(here.queue.definition.mode).toBe('forward');
  });

  it('leaves delayed messages until they are due', async () => {
    await here.queue.send([messageOf('now'), { ...messageOf('later'), delayMs: 30_000 }]);
    expect(await drain()).toMatchObject({ moved: 1, left: { visible: 0, delayed: 1, inFlight: 0 } });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['now']);
    await time.advanceAsync(30_000);
    expect(await drain()).toMatchObject({ moved: 1, left: NOTHING });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['later']);
  });

  it('waits for delayed messages if told to, and adds no delay of the real queue', async () => {
    await sqs.directory.setAttributes(sqs.queue, { ...sqs.queue.definition.attributes, delaySeconds: 60 });
    await here.queue.send([{ ...messageOf('later'), delayMs: 30_000 }]);
    const draining = drain({ waitForDelayed: true, parallel: 1 });
    await events.until('waiting', ({ delayed }) => delayed === 1);
    await time.advanceAsync(30_000);
    expect(await draining).toMatchObject({ moved: 1, left: NOTHING });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['later']);
  });

  it('sends messages ahead whose delay SQS takes, with what remains of it', async () => {
    const delays = [100_000, 600_000, 899_500, 900_500, 3_600_000];
    await here.queue.send(delays.map((delayMs) => ({ ...messageOf(String(delayMs)), delayMs, groupId: 'tenant' })));
    await time.advanceAsync(100);
    const started = time.monotonic();
    expect(await drain()).toMatchObject({ moved: 2, left: { visible: 0, delayed: 3, inFlight: 0 } });
    expect(time.monotonic()).toBe(started);
    await time.advanceAsync(599_000);
    expect(await takeAll(sqs.queue)).toEqual([]);
    await time.advanceAsync(1_900);
    expect(await takeAll(sqs.queue)).toMatchObject([{ body: '600000', groupId: 'tenant' }]);
    await time.advanceAsync(299_500);
    expect(bodies(await takeAll(sqs.queue))).toEqual(['899500']);
    expect(await drain()).toMatchObject({ moved: 2, left: { visible: 0, delayed: 1, inFlight: 0 } });
  });

  it('sends many ahead, but not while another instance does', async () => {
    await here.queue.send(
      Array.from({ length: 35 }, (_, index) => ({ ...messageOf(String(index)), delayMs: 600_000 })),
    );
    const slot = `transfer-ahead:${here.queue.key}`;
    await here.queue.store.slots.take(slot, 'another', 1, 10_000);
    expect(await drain()).toMatchObject({ moved: 0, left: { delayed: 35 } });
    await here.queue.store.slots.free(slot, 'another', 1);
    expect(await drain()).toMatchObject({ moved: 35, left: NOTHING });
    expect((await sqs.queue.depth()).delayed).toBe(35);
    expect(await here.queue.store.slots.take(slot, 'next', 1, 10_000)).toBe('taken');
  });

  it('keeps what SQS will never take until its time, and sends the rest ahead', async () => {
    const delayed = Array.from({ length: 25 }, (_, index) => ({ ...messageOf(String(index)), delayMs: 600_000 }));
    await here.queue.send(delayed);
    const refusing = sqsThatSays(({ body }) =>
      Number(body) % 2 === 0 ? { kind: 'refused', reason: 'no' } : undefined,
    );
    const result = await drain({ realQueues: refusing });
    expect(result).toMatchObject({ moved: 12, left: { visible: 0, delayed: 13, inFlight: 0 } });
    expect(result.refused.size).toBe(13);
    expect(events.of('refused')).toHaveLength(13);
  });

  it('waits for what a function has in flight, and moves it if it failed', async () => {
    await here.queue.send([messageOf('handled'), messageOf('failing')]);
    const inFlight = await here.queue.receive({ maxMessages: 10, visibilityTimeoutMs: 20_000 });
    const draining = drain({ parallel: 1 });
    await events.until('waiting', (event) => event.inFlight === 2);
    await here.queue.delete(
      inFlight.filter(({ body }) => body === 'handled').map(({ receiptHandle }) => receiptHandle),
    );
    await time.advanceAsync(20_000);
    expect(await draining).toMatchObject({ moved: 1, left: NOTHING });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['failing']);
  });

  it('does not push messages to the dead-letter queue when SQS fails again and again', async () => {
    await here.directory.create(arnOf('dead'), here.queue.definition.attributes, {});
    await here.directory.setAttributes(here.queue, {
      ...here.queue.definition.attributes,
      redrivePolicy: { deadLetterTargetArn: formatQueueArn(arnOf('dead')), maxReceiveCount: 1 },
    });
    await here.queue.send([messageOf('a')]);
    let failures = 5;
    const failing = sqsThatSays(() => {
      failures -= 1;
      return failures < 0 ? undefined : { kind: 'failed', reason: 'InternalError' };
    });
    expect(await flow(time, drain({ realQueues: failing }))).toMatchObject({ moved: 1, left: NOTHING });
    expect(events.of('retrying')).toHaveLength(5);
    expect(bodies(await takeAll(sqs.queue))).toEqual(['a']);
  });

  it('keeps what SQS will never take, says so, and moves the rest', async () => {
    await here.queue.send(['good', 'bad', 'fine'].map((body) => messageOf(body)));
    const refusing = sqsThatSays(({ body }) =>
      body === 'bad' ? { kind: 'refused', reason: 'InvalidMessageContents: no' } : undefined,
    );
    const result = await drain({ realQueues: refusing });
    expect(result).toMatchObject({ moved: 2, left: { visible: 0, delayed: 0, inFlight: 1 } });
    expect([...result.refused.values()]).toEqual(['InvalidMessageContents: no']);
    expect(events.of('refused')).toHaveLength(1);
    expect(bodies(await takeAll(sqs.queue)).toSorted()).toEqual(['fine', 'good']);
  });

  it('can be ended and begun again', async () => {
    const stop = new AbortController();
    await here.queue.send([messageOf('a')]);
    await here.queue.receive({ maxMessages: 1, visibilityTimeoutMs: 20_000 });
    const draining = drain({ signal: stop.signal });
    await events.until('waiting');
    stop.abort();
    expect(await draining).toMatchObject({ moved: 0, left: { visible: 0, delayed: 0, inFlight: 1 } });
    expect(here.queue.definition.mode).toBe('forward');
    await time.advanceAsync(20_000);
    expect(await drain()).toMatchObject({ moved: 1, left: NOTHING });
  });

  it('begins nothing when it was ended before', async () => {
    await here.queue.send([messageOf('a')]);
    expect(await drain({ signal: AbortSignal.abort() })).toMatchObject({ moved: 0, left: { visible: 1 } });
    expect(here.queue.definition.mode).toBe('consume');
  });

  it('leaves the mode alone when there is no such queue in AWS', async () => {
    const missing: RealQueues = {
      ...queueAsSqs(sqs.queue),
      depth: () => Promise.reject(new TransferError('the queue does not exist in AWS')),
    };
    await expect(drain({ realQueues: missing })).rejects.toThrow(TransferError);
    expect(here.queue.definition.mode).toBe('consume');
    expect(events.all).toEqual([]);
  });

  it('puts the mode back when AWS refuses the first send, and gives the messages back', async () => {
    await here.directory.setMode(here.queue, 'hold');
    await here.queue.send([messageOf('a'), messageOf('b')]);
    const refusing: RealQueues = {
      ...queueAsSqs(sqs.queue),
      send: () => Promise.reject(new TransferError('AWS refused sqs:SendMessage')),
    };
    await expect(drain({ realQueues: refusing })).rejects.toThrow(/refused sqs:SendMessage/);
    expect(here.queue.definition.mode).toBe('hold');
    expect(await here.queue.depth()).toEqual({ visible: 2, delayed: 0, inFlight: 0 });
    const [message] = await here.queue.receive({ maxMessages: 1 });
    expect(message?.receiveCount).toBe(1);
  });
});

describe('draining a FIFO queue', () => {
  beforeEach(() => open('jobs.fifo'));

  it('brings both of two messages that were sent with one deduplication id more than five minutes apart', async () => {
    await here.queue.send([{ ...messageOf('first', 'g'), deduplicationId: 'same' }]);
    await time.advanceAsync(300_001);
    await here.queue.send([{ ...messageOf('second', 'g'), deduplicationId: 'same' }]);
    expect(await drain()).toMatchObject({ moved: 2 });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['first', 'second']);
  });

  it('stops a group at a message that SQS will never take; the others go on', async () => {
    await here.queue.send([messageOf('a1', 'a'), messageOf('a2', 'a'), messageOf('a3', 'a'), messageOf('b1', 'b')]);
    const refusing = sqsThatSays(({ body }) => (body === 'a2' ? { kind: 'refused', reason: 'no' } : undefined));
    const result = await drain({ realQueues: refusing });
    expect(result).toMatchObject({ moved: 2, left: { visible: 1, delayed: 0, inFlight: 1 } });
    expect(bodies(await takeAll(sqs.queue)).toSorted()).toEqual(['a1', 'b1']);
  });

  it('sends what arrives in mode forward after what was there before', async () => {
    await here.queue.send([messageOf('1', 'g'), messageOf('2', 'g')]);
    await drain();
    await here.queue.send([messageOf('3', 'g')]);
    expect(await drain()).toMatchObject({ moved: 1 });
    expect(bodies(await takeAll(sqs.queue))).toEqual(['1', '2', '3']);
  });
});
