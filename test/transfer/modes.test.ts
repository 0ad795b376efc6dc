import { beforeEach, describe, expect, it } from 'vitest';
import type { RealQueues, RealSendOutcome } from '../../runtime/aws/real-queues.ts';
import type { QueueMode } from '../../runtime/queue/definition.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { createForwarder } from '../../runtime/transfer/forwarding.ts';
import { ManualTime } from '../support/manual-time.ts';
import { queueAsSqs } from './support/queue-as-sqs.ts';
import { messageOf, openSide, type Side, takeAll } from './support/side.ts';

let time: ManualTime;
let sqs: Side;
let here: Side;

async function open(name: string, mode: QueueMode, realQueues?: RealQueues): Promise<void> {
  time = new ManualTime();
  sqs = await openSide({ store: new MemoryStore({ time }), time, name });
  const forward = createForwarder(realQueues ?? queueAsSqs(sqs.queue));
  here = await openSide({ store: new MemoryStore({ time }), time, name, forward });
  await here.directory.setMode(here.queue, mode);
}

const HELD = { visible: 1, delayed: 0, inFlight: 0 };
const NOTHING = { visible: 0, delayed: 0, inFlight: 0 };

describe.each<QueueMode>(['consume', 'hold'])('mode %s', (mode) => {
  beforeEach(() => open('jobs', mode));

  it('keeps what is sent', async () => {
    const message = messageOf('a');
    expect(await here.queue.send([message])).toEqual([{ id: message.id, duplicate: false }]);
    expect(await here.queue.depth()).toEqual(HELD);
    expect(await sqs.queue.depth()).toEqual(NOTHING);
  });

  it('hands out and deletes what is held', async () => {
    await here.queue.send([messageOf('a')]);
    expect((await takeAll(here.queue)).map(({ body }) => body)).toEqual(['a']);
    expect(await here.queue.depth()).toEqual(NOTHING);
  });

  it('purges what is held, and nothing of the real queue', async () => {
    await sqs.queue.send([messageOf('there')]);
    await here.queue.send([messageOf('here')]);
    await here.queue.purge();
    expect(await here.queue.depth()).toEqual(NOTHING);
    expect(await sqs.queue.depth()).toEqual(HELD);
  });
});

describe('mode forward, standard queue', () => {
  beforeEach(() => open('jobs', 'forward'));

  it('sends on at once and tells the sender the message id of SQS', async () => {
    const message = { ...messageOf('a'), groupId: 'tenant', traceHeader: 'Root=1-2-3' };
    const [sent] = await here.queue.send([message]);
    expect(await here.queue.depth()).toEqual(NOTHING);
    const [arrived] = await sqs.queue.receive({ maxMessages: 10 });
    expect(arrived).toMatchObject({ body: 'a', groupId: 'tenant', traceHeader: 'Root=1-2-3' });
    expect(sent).toEqual({ id: arrived?.id, duplicate: false });
  });

  it('passes delays up to 900 s on, rounded up to whole seconds', async () => {
    await here.queue.send([{ ...messageOf('a'), delayMs: 899_001 }]);
    expect(await here.queue.depth()).toEqual(NOTHING);
    await time.advanceAsync(899_990);
    expect((await sqs.queue.depth()).delayed).toBe(1);
    await time.advanceAsync(20);
    expect(await takeAll(sqs.queue)).toHaveLength(1);
  });

  it('keeps longer delays here until they are over, and answers each message of a batch in its place', async () => {
    const long = { ...messageOf('long'), delayMs: 900_001 };
    const sent = await here.queue.send([messageOf('first'), long, messageOf('last')]);
    expect(await here.queue.depth()).toEqual({ visible: 0, delayed: 1, inFlight: 0 });
    expect(sent[1]?.id).toBe(long.id);
    const arrived = new Map((await takeAll(sqs.queue)).map(({ body, id }) => [body, id]));
    expect([sent[0]?.id, sent[2]?.id]).toEqual([arrived.get('first'), arrived.get('last')]);
  });

  it('still hands out, changes, deletes and purges what is held, and nothing of the real queue', async () => {
    await here.directory.setMode(here.queue, 'hold');
    await here.queue.send([messageOf('a'), messageOf('b')]);
    await here.directory.setMode(here.queue, 'forward');
    await sqs.queue.send([messageOf('there')]);

    const [message] = await here.queue.receive({ maxMessages: 1 });
    const receiptHandle = message?.receiptHandle ?? '';
    expect(await here.queue.changeVisibility([{ receiptHandle, timeoutMs: 60_000 }])).toEqual(['done']);
    expect(await here.queue.delete([receiptHandle])).toEqual(['done']);
    expect(await here.queue.depth()).toEqual(HELD);
    await here.queue.purge();
    expect(await here.queue.depth()).toEqual(NOTHING);
    expect(await sqs.queue.depth()).toEqual(HELD);
  });
});

describe('mode forward, FIFO queue', () => {
  beforeEach(() => open('jobs.fifo', 'forward'));

  it('keeps what is sent, in order, for the forwarding service to move', async () => {
    const message = messageOf('a', 'g');
    const [sent] = await here.queue.send([message]);
    expect(sent).toMatchObject({ id: message.id, duplicate: false });
    expect(await here.queue.depth()).toEqual(HELD);
    expect(await sqs.queue.depth()).toEqual(NOTHING);
  });

  it('recognises the repeat of a message that was sent and handled before the switch', async () => {
    await here.directory.setMode(here.queue, 'consume');
    const message = messageOf('a', 'g');
    await here.queue.send([message]);
    await takeAll(here.queue);
    await here.directory.setMode(here.queue, 'forward');
    const [repeat] = await here.queue.send([messageOf('a', 'g')]);
    expect(repeat).toMatchObject({ id: message.id, duplicate: true });
    expect(await here.queue.depth()).toEqual(NOTHING);
  });
});

describe('mode forward, when SQS does not take a message', () => {
  function sqsThatAnswers(...script: (readonly RealSendOutcome[] | Error)[]): RealQueues {
    const real = queueAsSqs(sqs.queue);
    return {
      ...real,
      send: async () => {
        const answer = script.shift() ?? [];
        if (answer instanceof Error) throw answer;
        return answer;
      },
    };
  }
  const sentAs = (messageId: string): RealSendOutcome => ({ kind: 'sent', messageId });
  const failed: RealSendOutcome = { kind: 'failed', reason: 'InternalError' };

  it('sends what was not accepted again, and answers in order', async () => {
    await open('jobs', 'forward', sqsThatAnswers([failed, sentAs('2'), failed], [sentAs('1'), failed], [sentAs('3')]));
    const sent = await here.queue.send(['a', 'b', 'c'].map((body) => messageOf(body)));
    expect(sent.map(({ id }) => id)).toEqual(['1', '2', '3']);
  });

  it.each([
    ['for a while', [[failed], [failed], [failed]], /InternalError/],
    ['ever', [[{ kind: 'refused', reason: 'InvalidMessageContents' } as const]], /InvalidMessageContents/],
    ['because it cannot be reached', [new Error('ECONNREFUSED')], /ECONNREFUSED/],
    ['and says nothing of it', [[], [], []], /did not accept/],
  ])('tells the sender that the send failed: not %s', async (_name, script, reason) => {
    await open('jobs', 'forward', sqsThatAnswers(...script));
    const sending = here.queue.send([messageOf('a')]);
    await expect(sending).rejects.toThrow(StoreUnavailableError);
    await expect(sending).rejects.toThrow(reason);
    expect(await here.queue.depth()).toEqual(NOTHING);
  });
});
