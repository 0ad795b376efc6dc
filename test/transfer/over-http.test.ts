import { createServer } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { batchesOf, createAwsRealQueues, type RealQueues, TransferError } from '../../runtime/aws/real-queues.ts';
import type { Message } from '../../runtime/queue/message.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { runDrain } from '../../runtime/transfer/drain.ts';
import { createForwarder } from '../../runtime/transfer/forwarding.ts';
import { runPull } from '../../runtime/transfer/pull.ts';
import { arnOf, bodiesByGroup, messageOf, openSide, type Side, takeAll } from './support/side.ts';
import { type SqsServer, startSqsServer } from './support/sqs-server.ts';

const CREDENTIALS = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
const closers: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const close of closers.splice(0).reverse()) await close();
});

interface Both {
  readonly sqs: SqsServer;
  readonly here: Side;
  readonly realQueues: RealQueues;
}

async function open(name: string): Promise<Both> {
  const sqs = await startSqsServer(name);
  closers.push(() => sqs.close());
  const realQueues = createAwsRealQueues({ region: 'eu-west-1', endpoint: sqs.endpoint, credentials: CREDENTIALS });
  closers.push(() => realQueues.close());
  const store = new MemoryStore({ time: systemTime });
  const here = await openSide({ store, time: systemTime, name, forward: createForwarder(realQueues) });
  closers.push(() => here.directory.close());
  return { sqs, here, realQueues };
}

const common = { time: systemTime, randomness: systemRandomness };
const NOTHING = { visible: 0, delayed: 0, inFlight: 0 };

/** A message with everything that one can have. */
const RICH: Message = {
  ...messageOf('{"a": "ä🙂\\r\\n"}\r\n', 'tenant-7'),
  traceHeader: 'Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1',
  attributes: {
    Text: { dataType: 'String', stringValue: 'Grüße' },
    Custom: { dataType: 'String.x', stringValue: 'y' },
    Number: { dataType: 'Number', stringValue: '12.5' },
    Binary: { dataType: 'Binary.gif', binaryValue: new Uint8Array([0, 127, 128, 255]) },
  },
};

describe('over HTTP, with the AWS SDK', () => {
  it('drains a message with everything in it, and pulls it back the same', async () => {
    const { sqs, here, realQueues } = await open('jobs');
    const { deduplicationId: _, ...message } = RICH;
    await here.queue.send([message]);
    expect(await runDrain({ ...here, ...common, realQueues })).toMatchObject({ moved: 1, left: NOTHING });
    const [there] = await sqs.queue.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    const { body, groupId, traceHeader } = message;
    expect(there).toMatchObject({ body, groupId, traceHeader });

    const pulled = await runPull({ ...here, ...common, realQueues, waitSeconds: 0 });
    expect(pulled).toEqual({ pulled: 1, left: NOTHING, mode: 'consume' });
    const [back] = await here.queue.receive({ maxMessages: 1 });
    expect(back).toMatchObject({ id: there?.id, body, groupId, traceHeader, sentAt: there?.sentAt, receiveCount: 2 });
    expect(back?.attributes).toEqual(there?.attributes);
    expect(Object.keys(back?.attributes ?? {}).toSorted()).toEqual(Object.keys(message.attributes).toSorted());
    expect(back?.attributes['Binary']).toEqual(message.attributes['Binary']);
  });

  it('keeps the order of FIFO groups there and back, with Karin ids as deduplication ids', async () => {
    const { sqs, here, realQueues } = await open('jobs.fifo');
    const messages = Array.from({ length: 60 }, (_, index) => messageOf(String(index), `g${index % 4}`));
    await here.queue.send(messages);
    expect(await runDrain({ ...here, ...common, realQueues })).toMatchObject({ moved: 60, left: NOTHING });
    const [first] = await sqs.queue.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    expect(messages.map(({ id }) => id)).toContain(first?.deduplicationId);

    await runPull({ ...here, ...common, realQueues, waitSeconds: 0 });
    expect(bodiesByGroup(await takeAll(here.queue), true)).toEqual(bodiesByGroup(messages, true));
  });

  it('moves messages of the largest size one by one', async () => {
    const { sqs, here, realQueues } = await open('jobs');
    const large = ['a', 'b', 'c'].map((letter) => messageOf(letter.repeat(1_048_576)));
    await here.queue.send(large);
    await runDrain({ ...here, ...common, realQueues });
    const arrived = bodiesByGroup(await takeAll(sqs.queue), false);
    expect(arrived).toEqual(bodiesByGroup(large, false));
  });

  it('forwards a send with its delay', async () => {
    const { sqs, here } = await open('jobs');
    await here.directory.setMode(here.queue, 'forward');
    const [sent] = await here.queue.send([{ ...messageOf('a'), delayMs: 600_000 }]);
    expect(sent?.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await sqs.queue.depth()).toEqual({ visible: 0, delayed: 1, inFlight: 0 });
  });

  it('counts visible, delayed and in flight apart', async () => {
    const { sqs, realQueues } = await open('jobs');
    await sqs.queue.send([messageOf('a'), messageOf('b'), { ...messageOf('c'), delayMs: 60_000 }]);
    await sqs.queue.receive({ maxMessages: 1 });
    expect(await realQueues.depth(sqs.queue.arn)).toEqual({ visible: 1, delayed: 1, inFlight: 1 });
  });

  it('says which of several messages SQS will never take', async () => {
    const { sqs, realQueues } = await open('jobs');
    const entries = ['good', '\u0001no', 'fine'].map((body) => ({ body, attributes: {} }));
    expect(await realQueues.send(sqs.queue.arn, entries)).toEqual([
      { kind: 'sent', messageId: expect.any(String) },
      { kind: 'refused', reason: expect.stringContaining('InvalidMessageContents') },
      { kind: 'sent', messageId: expect.any(String) },
    ]);
  });

  it('sends messages one by one when SQS refuses them together', async () => {
    const { sqs, realQueues } = await open('jobs');
    const entries = ['a', 'b'].map((letter) => ({ body: letter.repeat(1_048_576), attributes: {} }));
    const outcomes = await realQueues.send(sqs.queue.arn, [...entries, { body: '', attributes: {} }]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['sent', 'sent', 'refused']);
    expect((await takeAll(sqs.queue)).map(({ body }) => body.length)).toEqual([1_048_576, 1_048_576]);
  });

  it('goes where AWS_ENDPOINT_URL_SQS says', async () => {
    const { sqs } = await open('jobs');
    vi.stubEnv('AWS_ENDPOINT_URL_SQS', sqs.endpoint);
    const plain = createAwsRealQueues({ region: 'eu-west-1', credentials: CREDENTIALS });
    closers.push(() => plain.close());
    expect(await plain.depth(sqs.queue.arn)).toEqual(NOTHING);
  });
});

describe('over HTTP, when AWS refuses', () => {
  it('names a queue that does not exist, and what mends it', async () => {
    const { realQueues } = await open('jobs');
    const asking = realQueues.depth(arnOf('missing'));
    await expect(asking).rejects.toThrow(TransferError);
    await expect(asking).rejects.toThrow(/arn:aws:sqs:eu-west-1:111122223333:missing does not exist.*deploy/);
  });

  it('does not take a network failure for a refusal', async () => {
    const server = createServer((socket) => socket.resetAndDestroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closers.push(() => void server.close());
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    const endpoint = `http://127.0.0.1:${port}`;
    const realQueues = createAwsRealQueues({ region: 'eu-west-1', endpoint, credentials: CREDENTIALS });
    closers.push(() => realQueues.close());
    const failure = await realQueues.depth(arnOf('jobs')).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(TransferError);
  });

  it('says so when there are no credentials', async () => {
    const credentials = () =>
      Promise.reject(Object.assign(new Error('none found'), { name: 'CredentialsProviderError' }));
    const realQueues = createAwsRealQueues({ region: 'eu-west-1', endpoint: 'http://127.0.0.1:9', credentials });
    closers.push(() => realQueues.close());
    await expect(realQueues.depth(arnOf('jobs'))).rejects.toThrow(/no AWS credentials/);
  });
});

describe('batches', () => {
  it('hold ten messages and 1,048,576 bytes, attributes counted, and keep the order', () => {
    const small = Array.from({ length: 23 }, (_, index) => messageOf(String(index)));
    expect(batchesOf(small).map((batch) => batch.length)).toEqual([10, 10, 3]);
    const attribute = { name: { dataType: 'String', stringValue: 'v' } };
    const half = { ...messageOf('x'.repeat(524_288 - 11)), attributes: attribute };
    expect(batchesOf([half, half, half]).map((batch) => batch.length)).toEqual([2, 1]);
    const more = { ...messageOf('x'.repeat(524_288 - 10)), attributes: attribute };
    expect(batchesOf([half, more]).map((batch) => batch.length)).toEqual([1, 1]);
    expect(batchesOf([...small, half]).flat()).toEqual([...small, half]);
    expect(batchesOf([])).toEqual([]);
  });
});
