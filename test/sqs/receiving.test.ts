import { describe, expect, it } from 'vitest';
import { describeApi } from './support/describe-api.ts';
import { discovered, queueArnText, queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const FIFO_URL = queueUrl('jobs.fifo');

describeApi('ReceiveMessage', (api) => {
  const create = (attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName: 'jobs', Attributes: attributes });
  const createFifo = () =>
    api.ok('CreateQueue', {
      QueueName: 'jobs.fifo',
      Attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true' },
    });
  const send = (MessageBody: string, extra: object = {}) =>
    api.ok('SendMessage', { QueueUrl: URL, MessageBody, ...extra });
  const receive = async (extra: object = {}) =>
    (await api.ok('ReceiveMessage', { QueueUrl: URL, ...extra })).Messages ?? [];

  it('answers nothing from an empty queue', async () => {
    await create();
    expect(await receive()).toEqual([]);
  });

  it('answers one message unless more are asked for', async () => {
    await create();
    for (const body of ['a', 'b', 'c']) await send(body);
    expect(await receive()).toHaveLength(1);
    expect(await receive({ MaxNumberOfMessages: 10 })).toHaveLength(2);
  });

  it('answers no attributes that were not asked for', async () => {
    await create();
    const text = { DataType: 'String', StringValue: 'x' };
    await send('a', { MessageAttributes: { text } });
    const [message] = await receive();
    expect(Object.keys(message ?? {}).sort()).toEqual(['Body', 'MD5OfBody', 'MessageId', 'ReceiptHandle']);
  });

  it('answers the system attributes asked for, by the old name and the new', async () => {
    await create();
    const sent = await send('a');
    const [first] = await receive({ AttributeNames: ['SenderId', 'SequenceNumber'], VisibilityTimeout: 0 });
    expect(first?.Attributes).toEqual({ SenderId: 'AIDATESTER' });
    await api.pass(1_000);
    const [second] = await receive({ MessageSystemAttributeNames: ['ApproximateReceiveCount'], VisibilityTimeout: 0 });
    expect(second?.Attributes).toEqual({ ApproximateReceiveCount: '2' });
    await api.pass(1_000);
    const [third] = await receive({ AttributeNames: ['All'] });
    expect(third?.Attributes).toEqual({
      SenderId: 'AIDATESTER',
      SentTimestamp: '1735689600000',
      ApproximateReceiveCount: '3',
      ApproximateFirstReceiveTimestamp: '1735689600000',
    });
    expect(third?.MessageId).toBe(sent.MessageId);
  });

  it.each<[readonly string[], readonly string[], string | undefined]>([
    [['All'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['.*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['*'], ['General', 'Hello', 'Help.Me'], '4c360f3fdafd970e05fae2f149d997f5'],
    [['Hel*'], [], undefined],
    [['Hello', 'General'], ['General', 'Hello'], 'fca026605781cb4126a1e9044df24232'],
    [['Hello', 'Nope'], ['Hello'], 'a311262e065454b75da111d535b8dacd'],
    [['Hel.*'], ['Hello', 'Help.Me'], '83fee93c1bcd8b9a5a923ffacdc636c7'],
    [['Foo', 'Help'], [], undefined],
    [['AWS.', '..foo'], [], undefined],
  ])('selects message attributes by %j and digests what it selected', async (names, selected, digest) => {
    await create();
    const MessageAttributes = {
      Help: undefined,
      Hello: { DataType: 'String', StringValue: 'There' },
      General: { DataType: 'String', StringValue: 'Kenobi' },
      'Help.Me': { DataType: 'String', StringValue: 'Me' },
    };
    await send('msg', { MessageAttributes: JSON.parse(JSON.stringify(MessageAttributes)) });
    const [message] = await receive({ MessageAttributeNames: names });
    expect(Object.keys(message?.MessageAttributes ?? {}).sort()).toEqual(selected);
    expect(message?.MD5OfMessageAttributes).toBe(digest);
  });

  it('hides what it answered for the visibility timeout of the request, else of the queue', async () => {
    await create({ VisibilityTimeout: '10' });
    await send('a');
    expect(await receive()).toHaveLength(1);
    await api.pass(9_000);
    expect(await receive()).toEqual([]);
    await api.pass(1_001);
    expect(await receive({ VisibilityTimeout: 60 })).toHaveLength(1);
    await api.pass(59_000);
    expect(await receive()).toEqual([]);
    await api.pass(1_001);
    expect(await receive()).toHaveLength(1);
  });

  it('waits for a first message', async () => {
    await create({ ReceiveMessageWaitTimeSeconds: '20' });
    expect((await api.ok('GetQueueAttributes', { QueueUrl: URL, AttributeNames: ['All'] })).Attributes).toMatchObject({
      ApproximateNumberOfMessages: '0',
    });
    const waiting = receive();
    await send('late');
    expect(await waiting).toMatchObject([{ Body: 'late' }]);
  });

  it('ends the wait when the caller goes away', async () => {
    await create();
    const gone = new AbortController();
    const waiting = api.ok('ReceiveMessage', { QueueUrl: URL, WaitTimeSeconds: 20 }, { signal: gone.signal });
    gone.abort();
    expect((await waiting).Messages ?? []).toEqual([]);
    await send('for another');
    expect(await receive()).toHaveLength(1);
  });

  it('answers several messages of a FIFO group at once, then locks the group', async () => {
    await createFifo();
    for (const body of ['1', '2', '3']) {
      await api.ok('SendMessage', { QueueUrl: FIFO_URL, MessageBody: body, MessageGroupId: 'g' });
    }
    const take = async (MaxNumberOfMessages: number) => {
      const input = { QueueUrl: FIFO_URL, MaxNumberOfMessages, AttributeNames: ['All'] };
      return (await api.ok('ReceiveMessage', input)).Messages ?? [];
    };
    const first = await take(2);
    expect(first.map(({ Body }) => Body)).toEqual(['1', '2']);
    expect(first[0]?.Attributes).toMatchObject({
      MessageGroupId: 'g',
      SequenceNumber: expect.stringMatching(/^\d{20}$/),
      MessageDeduplicationId: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(await take(10)).toEqual([]);
  });

  it('answers a repeated receive attempt with the same messages and handles', async () => {
    await createFifo();
    await api.ok('SendMessage', { QueueUrl: FIFO_URL, MessageBody: 'a', MessageGroupId: 'g' });
    const input = { QueueUrl: FIFO_URL, ReceiveRequestAttemptId: 'attempt-1' };
    const first = await api.ok('ReceiveMessage', input);
    const second = await api.ok('ReceiveMessage', input);
    expect(second.Messages).toEqual(first.Messages);
    expect((await api.ok('ReceiveMessage', { QueueUrl: FIFO_URL })).Messages ?? []).toEqual([]);
  });

  it('accepts an attempt id on a standard queue, where it means nothing', async () => {
    await create();
    await send('a');
    expect(await receive({ ReceiveRequestAttemptId: 'x y' })).toHaveLength(1);
  });

  it('moves a message that was received too often to the dead-letter queue, with its history', async () => {
    await api.ok('CreateQueue', { QueueName: 'dead' });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: queueArnText('dead'), maxReceiveCount: 1 });
    await create({ VisibilityTimeout: '1', RedrivePolicy });
    const sent = await send('poison');
    expect(await receive()).toHaveLength(1);
    await api.pass(1_001);
    expect(await receive()).toEqual([]);
    const input = { QueueUrl: queueUrl('dead'), AttributeNames: ['All'] };
    const { Messages = [] } = await api.ok('ReceiveMessage', input);
    expect(Messages).toMatchObject([
      {
        MessageId: sent.MessageId,
        Body: 'poison',
        Attributes: {
          DeadLetterQueueSourceArn: queueArnText('jobs'),
          SentTimestamp: '1735689600000',
          ApproximateReceiveCount: '2',
        },
      },
    ]);
  });

  it('drops a message that is older than the retention period', async () => {
    await create({ MessageRetentionPeriod: '60' });
    await send('old');
    await api.pass(60_001);
    expect(await receive()).toEqual([]);
  });

  it.each<[string, object, string]>([
    [
      'no messages',
      { MaxNumberOfMessages: 0 },
      'Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
    ],
    [
      'eleven messages',
      { MaxNumberOfMessages: 11 },
      'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
    ],
    [
      'a negative wait',
      { WaitTimeSeconds: -1 },
      'Value -1 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.',
    ],
    [
      'a wait of 21 seconds',
      { WaitTimeSeconds: 21 },
      'Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.',
    ],
    [
      'a visibility timeout beyond twelve hours',
      { VisibilityTimeout: 43_201 },
      'Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= 43200, if provided.',
    ],
  ])('refuses %s', async (_what, extra, message) => {
    await create();
    await send('a');
    const refusal = await api.refused('ReceiveMessage', { QueueUrl: URL, ...extra });
    expect(refusal).toEqual({ status: 400, code: 'InvalidParameterValue', message });
    expect(await receive({ AttributeNames: ['ApproximateReceiveCount'] })).toMatchObject([
      { Attributes: { ApproximateReceiveCount: '1' } },
    ]);
  });

  it('refuses an attempt id with a space on a FIFO queue', async () => {
    await createFifo();
    expect(await api.refused('ReceiveMessage', { QueueUrl: FIFO_URL, ReceiveRequestAttemptId: 'x y' })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message:
        'Value x y for parameter ReceiveRequestAttemptId is invalid. Reason: ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.',
    });
  });

  it('serves a queue that AWS names', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs')]);
    await send('a');
    expect(await receive()).toHaveLength(1);
  });
});

describeApi('DeleteMessage and ChangeMessageVisibility', (api) => {
  const create = (attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName: 'jobs', Attributes: attributes });
  const createFifo = () =>
    api.ok('CreateQueue', {
      QueueName: 'jobs.fifo',
      Attributes: { FifoQueue: 'true', ContentBasedDeduplication: 'true', VisibilityTimeout: '10' },
    });
  const sendAndReceive = async (url = URL, body = 'a'): Promise<string> => {
    const group = url === FIFO_URL ? { MessageGroupId: 'g' } : {};
    await api.ok('SendMessage', { QueueUrl: url, MessageBody: body, ...group });
    return (await receive(url))[0]?.ReceiptHandle ?? '';
  };
  const receive = async (url = URL) =>
    (await api.ok('ReceiveMessage', { QueueUrl: url, MaxNumberOfMessages: 10 })).Messages ?? [];
  const invalidHandle = (handle: string) => ({
    status: 404,
    code: 'ReceiptHandleIsInvalid',
    message: `The input receipt handle "${handle}" is not a valid receipt handle.`,
  });
  const expired = (handle: string) => ({
    status: 400,
    code: 'InvalidParameterValue',
    message: `Value ${handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.`,
  });
  const unavailable = (handle: string) => ({
    status: 400,
    code: 'InvalidParameterValue',
    message: `Value ${handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.`,
  });

  it('deletes, twice with one handle, and after the lease of a standard queue ran out', async () => {
    await create({ VisibilityTimeout: '10' });
    const ReceiptHandle = await sendAndReceive();
    await api.pass(10_001);
    expect(await api.ok('DeleteMessage', { QueueUrl: URL, ReceiptHandle })).toEqual({});
    await api.ok('DeleteMessage', { QueueUrl: URL, ReceiptHandle });
    expect(await receive()).toEqual([]);
  });

  it('deletes a standard message by the handle of an earlier receive', async () => {
    await create({ VisibilityTimeout: '10' });
    const ReceiptHandle = await sendAndReceive();
    await api.pass(10_001);
    expect(await receive()).toHaveLength(1);
    await api.ok('DeleteMessage', { QueueUrl: URL, ReceiptHandle });
    await api.pass(10_001);
    expect(await receive()).toHaveLength(0);
  });

  it('refuses the handle of an expired FIFO lease', async () => {
    await createFifo();
    const ReceiptHandle = await sendAndReceive(FIFO_URL);
    await api.pass(10_001);
    expect(await api.refused('DeleteMessage', { QueueUrl: FIFO_URL, ReceiptHandle })).toEqual(expired(ReceiptHandle));
    const input = { QueueUrl: FIFO_URL, ReceiptHandle, VisibilityTimeout: 1 };
    expect(await api.refused('ChangeMessageVisibility', input)).toEqual(expired(ReceiptHandle));
    expect(await receive(FIFO_URL)).toHaveLength(1);
    expect(await api.refused('DeleteMessage', { QueueUrl: FIFO_URL, ReceiptHandle })).toEqual(expired(ReceiptHandle));
  });

  it.each(['x', 'AQEB/+==', 'A'.repeat(300)])('refuses the handle %s', async (ReceiptHandle) => {
    await create();
    expect(await api.refused('DeleteMessage', { QueueUrl: URL, ReceiptHandle })).toEqual(invalidHandle(ReceiptHandle));
    const input = { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 1 };
    expect(await api.refused('ChangeMessageVisibility', input)).toEqual(invalidHandle(ReceiptHandle));
  });

  it('refuses the handle of another queue', async () => {
    await create();
    await api.ok('CreateQueue', { QueueName: 'other' });
    const ReceiptHandle = await sendAndReceive();
    const input = { QueueUrl: queueUrl('other'), ReceiptHandle };
    expect(await api.refused('DeleteMessage', input)).toEqual(invalidHandle(ReceiptHandle));
  });

  it('changes the visibility of what is in flight, and of what became visible again', async () => {
    await create({ VisibilityTimeout: '10' });
    const ReceiptHandle = await sendAndReceive();
    await api.ok('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 60 });
    await api.pass(59_000);
    expect(await receive()).toEqual([]);
    await api.pass(1_001);
    await api.ok('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 5 });
    expect(await receive()).toEqual([]);
    await api.ok('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 0 });
    expect(await receive()).toHaveLength(1);
  });

  it('does not change the visibility of a deleted message', async () => {
    await create();
    const ReceiptHandle = await sendAndReceive();
    await api.ok('DeleteMessage', { QueueUrl: URL, ReceiptHandle });
    const input = { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 1 };
    expect(await api.refused('ChangeMessageVisibility', input)).toEqual(unavailable(ReceiptHandle));
  });

  it('changes the visibility of a standard message by the handle of an earlier receive', async () => {
    await create({ VisibilityTimeout: '10' });
    const ReceiptHandle = await sendAndReceive();
    await api.pass(10_001);
    expect(await receive()).toHaveLength(1);
    const input = { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 0 };
    await api.ok('ChangeMessageVisibility', input);
    expect(await receive()).toHaveLength(1);
  });

  it('keeps a message hidden for twelve hours in all', async () => {
    await create();
    const ReceiptHandle = await sendAndReceive();
    await api.ok('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 43_200 });
    await api.pass(3_600_000);
    expect(
      await api.refused('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 39_700 }),
    ).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message:
        'Value 39700 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]',
    });
    await api.ok('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout: 39_500 });
  });

  it.each([-1, 43_201])('refuses a visibility timeout of %d', async (VisibilityTimeout) => {
    await create();
    const ReceiptHandle = await sendAndReceive();
    expect(await api.refused('ChangeMessageVisibility', { QueueUrl: URL, ReceiptHandle, VisibilityTimeout })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: `Value ${VisibilityTimeout} for parameter VisibilityTimeout is invalid. Reason: Must be between 0 and 43200.`,
    });
  });

  it('refuses calls without a handle or a timeout', async () => {
    await create();
    const missing = (parameter: string) => ({
      status: 400,
      code: 'MissingParameter',
      message: `The request must contain the parameter ${parameter}.`,
    });
    expect(await api.refused('DeleteMessage', { QueueUrl: URL })).toEqual(missing('ReceiptHandle'));
    expect(await api.refused('DeleteMessage', { QueueUrl: URL, ReceiptHandle: '' })).toEqual(missing('ReceiptHandle'));
    const noHandle = { QueueUrl: URL, VisibilityTimeout: 1 };
    expect(await api.refused('ChangeMessageVisibility', noHandle)).toEqual(missing('ReceiptHandle'));
    const noTimeout = { QueueUrl: URL, ReceiptHandle: 'x' };
    expect(await api.refused('ChangeMessageVisibility', noTimeout)).toEqual(missing('VisibilityTimeout'));
  });

  describe('in batches', () => {
    it('deletes good handles and reports bad ones', async () => {
      await create();
      const good = await sendAndReceive();
      const answer = await api.ok('DeleteMessageBatch', {
        QueueUrl: URL,
        Entries: [{ Id: 'good', ReceiptHandle: good }, { Id: 'bad', ReceiptHandle: 'dummy' }, { Id: 'none' }],
      });
      expect(answer.Successful).toEqual([{ Id: 'good' }]);
      expect([...(answer.Failed ?? [])].sort((a, b) => String(a.Id).localeCompare(String(b.Id)))).toEqual([
        {
          Id: 'bad',
          SenderFault: true,
          Code: 'ReceiptHandleIsInvalid',
          Message: 'The input receipt handle "dummy" is not a valid receipt handle.',
        },
        {
          Id: 'none',
          SenderFault: true,
          Code: 'MissingParameter',
          Message: 'The request must contain the parameter ReceiptHandle.',
        },
      ]);
    });

    it('reports an expired FIFO handle', async () => {
      await createFifo();
      const ReceiptHandle = await sendAndReceive(FIFO_URL);
      await api.pass(10_001);
      const answer = await api.ok('DeleteMessageBatch', {
        QueueUrl: FIFO_URL,
        Entries: [{ Id: 'a', ReceiptHandle }],
      });
      expect(answer).toEqual({
        Failed: [
          { Id: 'a', SenderFault: true, Code: 'InvalidParameterValue', Message: expired(ReceiptHandle).message },
        ],
      });
    });

    it('changes visibility and reports what it could not', async () => {
      await create();
      const good = await sendAndReceive();
      const answer = await api.ok('ChangeMessageVisibilityBatch', {
        QueueUrl: URL,
        Entries: [
          { Id: '1-good', ReceiptHandle: good, VisibilityTimeout: 0 },
          { Id: '2-bad', ReceiptHandle: 'dummy', VisibilityTimeout: 20 },
          { Id: '3-range', ReceiptHandle: good, VisibilityTimeout: -20 },
          { Id: '4-timeout', ReceiptHandle: good },
          { Id: '5-handle', VisibilityTimeout: 20 },
        ],
      });
      expect(answer.Successful).toEqual([{ Id: '1-good' }]);
      expect([...(answer.Failed ?? [])].sort((a, b) => String(a.Id).localeCompare(String(b.Id)))).toEqual([
        {
          Id: '2-bad',
          SenderFault: true,
          Code: 'ReceiptHandleIsInvalid',
          Message: 'The input receipt handle "dummy" is not a valid receipt handle.',
        },
        {
          Id: '3-range',
          SenderFault: true,
          Code: 'InvalidParameterValue',
          Message:
            'Value -20 for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and 43200.',
        },
        {
          Id: '4-timeout',
          SenderFault: true,
          Code: 'MissingParameter',
          Message:
            'The request must contain the parameter ChangeMessageVisibilityBatchRequestEntry.4.VisibilityTimeout.',
        },
        {
          Id: '5-handle',
          SenderFault: true,
          Code: 'MissingParameter',
          Message: 'The request must contain the parameter ReceiptHandle.',
        },
      ]);
      expect(await receive()).toHaveLength(1);
    });

    it.each(['DeleteMessageBatch', 'ChangeMessageVisibilityBatch'] as const)(
      'refuses a malformed %s',
      async (action) => {
        await create();
        const refused = (Entries: readonly object[]) => api.refused(action, { QueueUrl: URL, Entries });
        const entry = (Id: string) => ({ Id, ReceiptHandle: 'x', VisibilityTimeout: 1 });
        expect(await refused([])).toEqual({
          status: 400,
          code: 'AWS.SimpleQueueService.EmptyBatchRequest',
          message: `There should be at least one ${action}RequestEntry in the request.`,
        });
        expect(await refused(Array.from({ length: 20 }, (_, index) => entry(`${index}`)))).toEqual({
          status: 400,
          code: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
          message: 'Maximum number of entries per request are 10. You have sent 20.',
        });
        expect(await refused([entry('a'), { ReceiptHandle: 'x' }])).toEqual({
          status: 400,
          code: 'MissingParameter',
          message: `The request must contain the parameter ${action}RequestEntry.2.Id.`,
        });
        expect(await refused([entry('é')])).toMatchObject({ code: 'AWS.SimpleQueueService.InvalidBatchEntryId' });
        expect(await refused([entry('a'), entry('a')])).toEqual({
          status: 400,
          code: 'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
          message: 'Id a repeated.',
        });
      },
    );
  });
});
