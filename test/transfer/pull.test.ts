import { beforeEach, describe, expect, it } from 'vitest';
import type { RealQueues } from '../../runtime/aws/real-queues.ts';
import { TransferError } from '../../runtime/aws/real-queues.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { StoreFullError } from '../../runtime/store/store.ts';
import { systemRandomness } from '../../runtime/time.ts';
import { idFor, type PullOptions, type PullResult, runPull } from '../../runtime/transfer/pull.ts';
import { ManualTime } from '../support/manual-time.ts';
import { TransferEvents } from './support/events.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { messageOf, openSide, type Side, takeAll } from './support/side.ts';

let time: ManualTime;
let store: MemoryStore;
let sqs: Side;
let here: Side;
let events: TransferEvents;

async function open(name: string): Promise<void> {
  time = new ManualTime();
  events = new TransferEvents();
  store = new MemoryStore({ time });
  sqs = await openSide({ store: new MemoryStore({ time }), time, name });
  here = await openSide({ store, time, name });
}

/** Empty receives answer at once, so that the clock can stand still. */
function pull(options: Partial<PullOptions> = {}): Promise<PullResult> {
  return runPull({
    ...here,
    realQueues: queueAsSqs(sqs.queue),
    time,
    randomness: systemRandomness,
    onEvent: events.take,
    waitSeconds: 0,
    ...options,
  });
}

const NOTHING = { visible: 0, delayed: 0, inFlight: 0 };

describe('pulling a standard queue', () => {
  beforeEach(() => open('jobs'));

  it('brings everything here', async () => {
    await sqs.queue.send(Array.from({ length: 25 }, (_, index) => messageOf(String(index))));
    expect(await pull()).toEqual({ pulled: 25, left: NOTHING, mode: 'consume' });
    expect(await takeAll(here.queue)).toHaveLength(25);
    expect(events.of('pulled').at(-1)?.total).toBe(25);
  });

  it('keeps id, body, attributes, sender, trace header, group, sent time and receive count', async () => {
    const sent = {
      ...messageOf('{"a": 1}', 'tenant'),
      traceHeader: 'Root=1-2-3',
      attributes: {
        text: { dataType: 'String.x', stringValue: 'y' },
        bytes: { dataType: 'Binary', binaryValue: new Uint8Array([1, 2]) },
      },
    };
    await sqs.queue.send([sent]);
    const [first] = await sqs.queue.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    await time.advanceAsync(60_000);
    await pull();
    const [arrived] = await here.queue.receive({ maxMessages: 1 });
    expect(arrived).toMatchObject({
      id: sent.id,
      body: sent.body,
      senderId: sent.senderId,
      traceHeader: sent.traceHeader,
      groupId: 'tenant',
      sentAt: first?.sentAt,
      firstReceivedAt: first?.firstReceivedAt,
      receiveCount: 2,
    });
    expect(arrived?.attributes['text']).toEqual(sent.attributes.text);
    expect(arrived?.attributes['bytes']).toEqual(sent.attributes.bytes);
  });

  it('adds no delay of the queue here', async () => {
    await here.directory.setAttributes(here.queue, { ...here.queue.definition.attributes, delaySeconds: 60 });
    await sqs.queue.send([messageOf('a')]);
    await pull();
    expect(await here.queue.depth()).toEqual({ visible: 1, delayed: 0, inFlight: 0 });
  });

  it('waits for messages that are delayed or in flight there', async () => {
    await sqs.queue.send([{ ...messageOf('delayed'), delayMs: 10_000 }, messageOf('taken')]);
    await sqs.queue.receive({ maxMessages: 1, visibilityTimeoutMs: 20_000 });
    const pulling = pull({ parallel: 1, waitSeconds: 5 });
    await time.advanceAsync(5_000);
    expect(events.of('waiting')[0]).toMatchObject({ delayed: 1, inFlight: 1 });
    await time.advanceAsync(40_000);
    expect(await pulling).toEqual({ pulled: 2, left: NOTHING, mode: 'consume' });
  });

  it('can be ended and begun again', async () => {
    const stop = new AbortController();
    await sqs.queue.send([{ ...messageOf('delayed'), delayMs: 10_000 }]);
    const pulling = pull({ signal: stop.signal, waitSeconds: 5 });
    await time.advanceAsync(5_000);
    stop.abort();
    expect(await pulling).toEqual({ pulled: 0, left: { ...NOTHING, delayed: 1 }, mode: 'consume' });
    await time.advanceAsync(5_000);
    expect(await pull()).toMatchObject({ pulled: 1 });
  });

  it('switches a queue in mode forward to consume, or what is pulled would go straight back', async () => {
    await here.directory.setMode(here.queue, 'forward');
    await sqs.queue.send([messageOf('a')]);
    expect(await pull()).toMatchObject({ pulled: 1, mode: 'consume' });
    expect(events.of('mode-changed')).toEqual([
      { kind: 'mode-changed', queue: here.queue.key, from: 'forward', to: 'consume' },
    ]);
  });

  it('leaves a queue on hold on hold', async () => {
    await here.directory.setMode(here.queue, 'hold');
    await sqs.queue.send([messageOf('a')]);
    expect(await pull()).toMatchObject({ pulled: 1, mode: 'hold' });
  });

  it('leaves everything there when there is no room here', async () => {
    await sqs.queue.send([messageOf('a')]);
    here.queue.store.send = () => Promise.reject(new StoreFullError('full'));
    await expect(pull()).rejects.toThrow(StoreFullError);
    await time.advanceAsync(120_000);
    expect(await sqs.queue.depth()).toEqual({ ...NOTHING, visible: 1 });
  });

  it('changes nothing when there is no such queue in AWS', async () => {
    await here.directory.setMode(here.queue, 'forward');
    const missing: RealQueues = {
      ...queueAsSqs(sqs.queue),
      depth: () => Promise.reject(new TransferError('the queue does not exist in AWS')),
    };
    await expect(pull({ realQueues: missing })).rejects.toThrow(TransferError);
    expect(here.queue.definition.mode).toBe('forward');
  });

  it('does not count what SQS does not delete, and collapses it when it comes again', async () => {
    await sqs.queue.send([messageOf('a')]);
    const real = queueAsSqs(sqs.queue);
    let refusals = 3;
    const reluctant: RealQueues = {
      ...real,
      delete: async (arn, handles) => {
        refusals -= 1;
        return refusals >= 0 ? handles.map(() => false) : real.delete(arn, handles);
      },
    };
    const pulling = pull({ realQueues: reluctant, parallel: 1, waitSeconds: 5, visibilityTimeoutSeconds: 30 });
    await time.advanceAsync(60_000);
    expect(await pulling).toMatchObject({ pulled: 1, left: NOTHING });
    expect(await here.queue.depth()).toEqual({ ...NOTHING, visible: 1 });
  });
});

describe('pulling a FIFO queue', () => {
  beforeEach(() => open('jobs.fifo'));

  it('keeps order, group and deduplication id', async () => {
    await sqs.queue.send(['1', '2', '3'].map((body) => messageOf(body, 'g')));
    await pull();
    expect(await takeAll(here.queue)).toMatchObject([
      { body: '1', groupId: 'g', deduplicationId: '1' },
      { body: '2', groupId: 'g', deduplicationId: '2' },
      { body: '3', groupId: 'g', deduplicationId: '3' },
    ]);
  });

  it('brings both of two messages that were sent with one deduplication id more than five minutes apart', async () => {
    await sqs.queue.send([{ ...messageOf('first', 'g'), deduplicationId: 'same' }]);
    await time.advanceAsync(300_001);
    await sqs.queue.send([{ ...messageOf('second', 'g'), deduplicationId: 'same' }]);
    await pull();
    expect((await takeAll(here.queue)).map(({ body }) => body)).toEqual(['first', 'second']);
  });
});

describe('the id of a pulled message', () => {
  it('is that of SQS', () => {
    const id = '059f36b4-87a3-44ab-83d2-661975830a7d';
    expect(idFor(id)).toBe(id);
  });

  it('is a UUID made from it, always the same, if SQS gave something else', () => {
    const id = idFor('message-1');
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(idFor('message-1')).toBe(id);
    expect(idFor('message-2')).not.toBe(id);
  });
});
