import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { md5OfAttributes } from '../../runtime/queue/message.ts';
import { describeApi } from './support/describe-api.ts';
import { queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const FIFO_URL = queueUrl('jobs.fifo');
const NOT_FOR_THIS_TYPE = 'The request include parameter that is not valid for this queue type.';
/** What SQS says to a character that it does not take. */
const notAllowed = (found: string, where: string): string =>
  `Invalid binary character '${found}' was found in the ${where}, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].`;

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

describeApi('SendMessage', (api) => {
  const create = (attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName: 'jobs', Attributes: attributes });
  const createFifo = (attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'true', ...attributes } });
  const receiveAll = async (url = URL) => {
    const input = { QueueUrl: url, MaxNumberOfMessages: 10, AttributeNames: ['All'], MessageAttributeNames: ['All'] };
    return (await api.ok('ReceiveMessage', input)).Messages ?? [];
  };

  it('stores the message and answers its id and digests', async () => {
    await create();
    const sent = await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'hello' });
    expect(sent).toEqual({ MessageId: expect.stringMatching(/^[0-9a-f-]{36}$/), MD5OfMessageBody: md5('hello') });
    expect(await receiveAll()).toMatchObject([{ MessageId: sent.MessageId, Body: 'hello', MD5OfBody: md5('hello') }]);
  });

  it('digests attributes and system attributes as SQS does', async () => {
    await create();
    const sent = await api.ok('SendMessage', {
      QueueUrl: URL,
      MessageBody: 'Test Message',
      MessageAttributes: { UserId: { DataType: 'Number.bigint', StringValue: '1234567890123456789012' } },
      MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'some-trace-id' } },
    });
    expect(sent).toMatchObject({
      MD5OfMessageBody: 'd1d4180b7e411c4be86b00fb2ee103eb',
      MD5OfMessageAttributes: '797ab158d73dcb5242dedc4412c8e855',
      MD5OfMessageSystemAttributes: 'fdce4f2818803f2f73becc09a54792c0',
    });
    expect(await receiveAll()).toMatchObject([
      {
        Attributes: { AWSTraceHeader: 'some-trace-id' },
        MessageAttributes: { UserId: { DataType: 'Number.bigint', StringValue: '1234567890123456789012' } },
        MD5OfMessageAttributes: '797ab158d73dcb5242dedc4412c8e855',
      },
    ]);
  });

  it.each([
    ['0012.3400', '12.34'],
    ['-0012.3400', '-12.34'],
    ['100', '100'],
    ['1.0', '1'],
    ['1.', '1'],
    ['0.50', '0.5'],
    ['.50', '.5'],
    ['000', '0'],
    ['.0', '0'],
    ['+01', '+1'],
    ['0120e03', '0120e03'],
  ])('hands the number %s out as %s, with the digest of each to whom it concerns', async (given, plain) => {
    await create();
    const attribute = (StringValue: string) => ({ n: { DataType: 'Number.float', StringValue } });
    const digest = (value: string) => md5OfAttributes({ n: { dataType: 'Number.float', stringValue: value } });
    const sent = await api.ok('SendMessage', {
      QueueUrl: URL,
      MessageBody: 'x',
      MessageAttributes: { ...attribute(given), s: { DataType: 'String', StringValue: '00' } },
    });
    expect(sent.MD5OfMessageAttributes).toBe(
      md5OfAttributes({
        n: { dataType: 'Number.float', stringValue: given },
        s: { dataType: 'String', stringValue: '00' },
      }),
    );
    const { Messages } = await api.ok('ReceiveMessage', { QueueUrl: URL, MessageAttributeNames: ['n'] });
    expect(Messages).toMatchObject([{ MessageAttributes: attribute(plain), MD5OfMessageAttributes: digest(plain) }]);
  });

  it('keeps text of every plane, white space and binary attributes as they are', async () => {
    await create();
    const body = ' \t"<&>\'\r\n\u{1F600} \uFFFD\uE000 é ';
    const attributes = {
      bytes: { DataType: 'Binary.gif', BinaryValue: Buffer.from([0, 255, 10, 13]).toString('base64') },
      __proto__name: { DataType: 'String', StringValue: '\r<a>' },
      constructor: { DataType: 'String', StringValue: 'x' },
    };
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: body, MessageAttributes: attributes });
    expect(await receiveAll()).toMatchObject([{ Body: body, MessageAttributes: attributes }]);
  });

  it('takes an attribute called __proto__', async () => {
    await create();
    const MessageAttributes = JSON.parse('{"__proto__":{"DataType":"String","StringValue":"x"}}');
    const sent = await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x', MessageAttributes });
    expect(sent.MD5OfMessageAttributes).toMatch(/^[0-9a-f]{32}$/);
    const [message] = await receiveAll();
    expect(Object.keys(message?.MessageAttributes ?? {})).toEqual(['__proto__']);
  });

  it('takes the trace header of the request unless the message has its own', async () => {
    await create();
    const headers = { 'X-Amzn-Trace-Id': 'Root=1-2-3' };
    const plain = await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'a' }, { headers });
    expect(plain).not.toHaveProperty('MD5OfMessageSystemAttributes');
    const own = { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=9' } };
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'b', MessageSystemAttributes: own }, { headers });
    const traces = (await receiveAll()).map((message) => message.Attributes?.['AWSTraceHeader']);
    expect(traces.sort()).toEqual(['Root=1-2-3', 'Root=9']);
    const endless = { headers: { 'X-Amzn-Trace-Id': 'x'.repeat(8_193) } };
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'c' }, endless);
    await api.pass(31_000);
    const all = (await receiveAll()).map((message) => message.Attributes?.['AWSTraceHeader'] ?? 'none');
    expect(all.sort()).toEqual(['Root=1-2-3', 'Root=9', 'none']);
  });

  it('delays by the message, else by the queue', async () => {
    await create({ DelaySeconds: '5' });
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'queue' });
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'message', DelaySeconds: 900 });
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'now', DelaySeconds: 0 });
    expect((await receiveAll()).map(({ Body }) => Body)).toEqual(['now']);
    await api.pass(5_000);
    expect((await receiveAll()).map(({ Body }) => Body)).toEqual(['queue']);
    await api.pass(895_000);
    expect((await receiveAll()).map(({ Body }) => Body)).toContain('message');
  });

  it('accepts a group id on a standard queue and returns it', async () => {
    await create();
    const sent = await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'a', MessageGroupId: 'tenant-1' });
    expect(sent).not.toHaveProperty('SequenceNumber');
    expect(await receiveAll()).toMatchObject([{ Attributes: { MessageGroupId: 'tenant-1' } }]);
  });

  it('answers a FIFO duplicate with the first message', async () => {
    await createFifo();
    const send = (MessageBody: string) =>
      api.ok('SendMessage', { QueueUrl: FIFO_URL, MessageBody, MessageGroupId: 'g', MessageDeduplicationId: 'd' });
    const first = await send('one');
    const second = await send('another');
    expect(first.SequenceNumber).toMatch(/^\d{20}$/);
    expect(second).toMatchObject({ MessageId: first.MessageId, SequenceNumber: first.SequenceNumber });
    expect(second.MD5OfMessageBody).toBe(md5('another'));
    expect((await receiveAll(FIFO_URL)).map(({ Body }) => Body)).toEqual(['one']);
  });

  it('deduplicates by content where the queue says so', async () => {
    await createFifo({ ContentBasedDeduplication: 'true' });
    const send = () => api.ok('SendMessage', { QueueUrl: FIFO_URL, MessageBody: 'same', MessageGroupId: 'g' });
    const first = await send();
    expect((await send()).MessageId).toBe(first.MessageId);
    const [message] = await receiveAll(FIFO_URL);
    expect(message?.Attributes?.['MessageDeduplicationId']).toBe(createHash('sha256').update('same').digest('hex'));
    await api.pass(300_001);
    expect((await send()).MessageId).not.toBe(first.MessageId);
  });

  it('takes a message of exactly 1 MiB, names and types of attributes counted', async () => {
    await create();
    const MessageAttributes = { name: { DataType: 'String', StringValue: 'value' } };
    const MessageBody = 'x'.repeat(1_048_576 - 'nameStringvalue'.length);
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody, MessageAttributes });
    expect(
      await api.refused('SendMessage', { QueueUrl: URL, MessageBody: `${MessageBody}x`, MessageAttributes }),
    ).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.',
    });
  });

  describe('refuses', () => {
    const standard = { QueueUrl: URL, MessageBody: 'x' };
    const fifo = { QueueUrl: FIFO_URL, MessageBody: 'x', MessageGroupId: 'g', MessageDeduplicationId: 'd' };
    const attribute = (name: string, value: Record<string, unknown>) => ({
      ...standard,
      MessageAttributes: { [name]: value },
    });
    const text = { DataType: 'String', StringValue: 'x' };
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`a${index}`, text]));

    it.each<[string, object, number, string, string]>([
      ['no body', { QueueUrl: URL }, 400, 'MissingParameter', 'The request must contain the parameter MessageBody.'],
      [
        'an empty body',
        { ...standard, MessageBody: '' },
        400,
        'MissingParameter',
        'The request must contain the parameter MessageBody.',
      ],
      [
        'a character outside the allowed range',
        { ...standard, MessageBody: 'a\u0001' },
        400,
        'InvalidMessageContents',
        notAllowed('#x1', 'message body'),
      ],
      [
        'U+FFFE',
        { ...standard, MessageBody: '\uFFFE' },
        400,
        'InvalidMessageContents',
        notAllowed('#xFFFE', 'message body'),
      ],
      [
        'a message larger than its queue allows',
        { QueueUrl: queueUrl('small'), MessageBody: 'x'.repeat(1025) },
        400,
        'InvalidParameterValue',
        'One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.',
      ],
      [
        'a negative delay',
        { ...standard, DelaySeconds: -1 },
        400,
        'InvalidParameterValue',
        'Value -1 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
      ],
      [
        'a delay beyond 900 s',
        { ...standard, DelaySeconds: 901 },
        400,
        'InvalidParameterValue',
        'Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
      ],
      [
        'a deduplication id on a standard queue',
        { ...standard, MessageDeduplicationId: 'd' },
        400,
        'InvalidParameterValue',
        `Value d for parameter MessageDeduplicationId is invalid. Reason: ${NOT_FOR_THIS_TYPE}`,
      ],
      [
        'a group id with a space',
        { ...standard, MessageGroupId: 'a b' },
        400,
        'InvalidParameterValue',
        'Value a b for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.',
      ],
      [
        'a FIFO message with a delay',
        { ...fifo, DelaySeconds: 2 },
        400,
        'InvalidParameterValue',
        `Value 2 for parameter DelaySeconds is invalid. Reason: ${NOT_FOR_THIS_TYPE}`,
      ],
      [
        'a FIFO message without a group',
        { ...fifo, MessageGroupId: undefined },
        400,
        'MissingParameter',
        'The request must contain the parameter MessageGroupId.',
      ],
      [
        'a FIFO message without a deduplication id',
        { ...fifo, MessageDeduplicationId: undefined },
        400,
        'InvalidParameterValue',
        'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
      ],
      [
        'a deduplication id of 129 characters',
        { ...fifo, MessageDeduplicationId: 'd'.repeat(129) },
        400,
        'InvalidParameterValue',
        `Value ${'d'.repeat(129)} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
      ],
      [
        'eleven attributes',
        { ...standard, MessageAttributes: eleven },
        400,
        'InvalidParameterValue',
        'Number of message attributes [11] exceeds the allowed maximum [10].',
      ],
      [
        'an attribute without a name',
        attribute('', text),
        400,
        'InvalidParameterValue',
        'The request must contain non-empty message (user) attribute names.',
      ],
      [
        'an attribute name of 257 characters',
        attribute('n'.repeat(257), text),
        400,
        'InvalidParameterValue',
        'Message (user) attribute name must be shorter than 256 bytes.',
      ],
      [
        'an attribute name with a space',
        attribute('a b', text),
        400,
        'InvalidParameterValue',
        'Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. ',
      ],
      [
        'a reserved attribute name',
        attribute('aws.trace', text),
        400,
        'InvalidParameterValue',
        "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for internal use.",
      ],
      [
        'an attribute name that begins with a dot',
        attribute('.a', text),
        400,
        'InvalidParameterValue',
        "Message (user) attribute name must not begin with character '.'.",
      ],
      [
        'an attribute name that ends with a dot',
        attribute('a.', text),
        400,
        'InvalidParameterValue',
        "Message (user) attribute name must not end with character '.'.",
      ],
      [
        'an attribute name with two dots',
        attribute('a..b', text),
        400,
        'InvalidParameterValue',
        "Message (user) attribute name must not have successive '.' characters.",
      ],
      [
        'an attribute without a value',
        attribute('a', {}),
        400,
        'InvalidParameterValue',
        "The message (user) attribute 'a' must contain a non-empty message attribute value.",
      ],
      [
        'an attribute without a type',
        attribute('a', { StringValue: 'x' }),
        400,
        'InvalidParameterValue',
        "The message (user) attribute 'a' must contain a non-empty message attribute type.",
      ],
      [
        'an attribute of an unknown type',
        attribute('a', { DataType: 'string', StringValue: 'x' }),
        400,
        'InvalidParameterValue',
        "The type of message (user) attribute 'a' is invalid. You must use only the following supported type prefixes: Binary, Number, String.",
      ],
      [
        'an attribute type of more than 256 characters',
        attribute('a', { DataType: `String.${'t'.repeat(250)}`, StringValue: 'x' }),
        400,
        'InvalidParameterValue',
        'Message (user) attribute type must be shorter than 256 bytes.',
      ],
      [
        'an empty attribute',
        attribute('a', { DataType: 'String', StringValue: '' }),
        400,
        'InvalidParameterValue',
        "Message (user) attribute 'a' must contain a non-empty value of type 'String'.",
      ],
      [
        'an attribute with two values',
        attribute('a', { DataType: 'String', StringValue: 'x', BinaryValue: 'eA==' }),
        400,
        'InvalidParameterValue',
        "Message (user) attribute 'a' must have a single value.",
      ],
      [
        'bytes in a text attribute',
        attribute('a', { DataType: 'String', BinaryValue: 'eA==' }),
        400,
        'InvalidParameterValue',
        "Message (user) attribute 'a' with type 'String' must use field 'String'.",
      ],
      [
        'text in a binary attribute',
        attribute('a', { DataType: 'Binary', StringValue: 'x' }),
        400,
        'InvalidParameterValue',
        "Message (user) attribute 'a' with type 'Binary' must use field 'Binary'.",
      ],
      [
        'a list attribute',
        attribute('a', { DataType: 'StringList', StringListValues: ['x'] }),
        400,
        'AWS.SimpleQueueService.UnsupportedOperation',
        'Message attribute list values in SendMessage operation are not supported.',
      ],
      [
        'a number that is none',
        attribute('a', { DataType: 'Number.int', StringValue: '1_000' }),
        400,
        'InvalidParameterValue',
        "Can't cast the value of message (user) attribute 'a' to a number.",
      ],
      [
        'a number that is none, but only at its end',
        attribute('a', { DataType: 'Number', StringValue: `${'1'.repeat(200_000)}x` }),
        400,
        'InvalidParameterValue',
        "Can't cast the value of message (user) attribute 'a' to a number.",
      ],
      [
        'a number out of range',
        attribute('a', { DataType: 'Number', StringValue: '1e127' }),
        400,
        'InvalidParameterValue',
        'Number attribute value 1e127 should be in range (-10**128..10**126)',
      ],
      [
        'a forbidden character in an attribute',
        attribute('a', { DataType: 'String', StringValue: '\u0000' }),
        400,
        'InvalidParameterValue',
        notAllowed('#x0', "message (user) attribute 'a'"),
      ],
      [
        'a forbidden character in the trace header',
        { ...standard, MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'a\u0008' } } },
        400,
        'InvalidParameterValue',
        notAllowed('#x8', "message system attribute 'AWSTraceHeader'"),
      ],
      [
        'an unknown system attribute',
        { ...standard, MessageSystemAttributes: { Hello: text } },
        400,
        'InvalidParameterValue',
        "Message system attribute name 'Hello' is invalid.",
      ],
      [
        'a trace header beyond all measure',
        { ...standard, MessageSystemAttributes: { AWSTraceHeader: { ...text, StringValue: 'x'.repeat(8_193) } } },
        400,
        'InvalidParameterValue',
        "Message system attribute 'AWSTraceHeader' must be shorter than 8192 bytes.",
      ],
      [
        'a trace header that is not a string',
        { ...standard, MessageSystemAttributes: { AWSTraceHeader: { DataType: 'Binary', BinaryValue: 'eA==' } } },
        400,
        'InvalidParameterValue',
        "Message system attribute 'AWSTraceHeader' must be of type 'String'.",
      ],
    ])('%s', async (_what, input, status, code, message) => {
      await create();
      await createFifo();
      await api.ok('CreateQueue', { QueueName: 'small', Attributes: { MaximumMessageSize: '1024' } });
      expect(await api.refused('SendMessage', input)).toEqual({ status, code, message });
      for (const url of [URL, FIFO_URL, queueUrl('small')]) expect(await receiveAll(url)).toEqual([]);
    });

    it.each(['+1', '-0.5', '.5', '1.', '1e10', '0e999', '-1E-5'])('no number like %s', async (StringValue) => {
      await create();
      await api.ok('SendMessage', attribute('a', { DataType: 'Number', StringValue }));
    });
  });
});

describeApi('SendMessageBatch', (api) => {
  const create = () => api.ok('CreateQueue', { QueueName: 'jobs' });
  const createFifo = () => api.ok('CreateQueue', { QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'true' } });
  const send = (entries: readonly object[], url = URL) => ({ QueueUrl: url, Entries: entries });
  const bodies = async (url = URL) => {
    const { Messages = [] } = await api.ok('ReceiveMessage', { QueueUrl: url, MaxNumberOfMessages: 10 });
    return Messages.map(({ Body }) => Body);
  };

  it('stores every entry and answers each with its digests', async () => {
    await create();
    const data1 = { DataType: 'Number', StringValue: '1' };
    const answer = await api.ok(
      'SendMessageBatch',
      send([
        {
          Id: '1',
          MessageBody: 'some message',
          MessageAttributes: { data1, data2: { DataType: 'Number', StringValue: '2' } },
        },
        {
          Id: 'second_entry-2',
          MessageBody: 'some message 2',
          MessageAttributes: { data1 },
          MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'some-value' } },
        },
      ]),
    );
    expect(answer).toEqual({
      Successful: [
        {
          Id: '1',
          MessageId: expect.any(String),
          MD5OfMessageBody: 'df49b60423903e095b80d9b4a92eb065',
          MD5OfMessageAttributes: 'b53b5acf24e7fd9567705bd8027b1c76',
        },
        {
          Id: 'second_entry-2',
          MessageId: expect.any(String),
          MD5OfMessageBody: '36e8a424130490596fc507dba99d2ace',
          MD5OfMessageAttributes: 'cc7f712733e0ad2cc9f1fefbd28bab9c',
          MD5OfMessageSystemAttributes: 'a3263a0cbc09023ccd431feb61438309',
        },
      ],
    });
    expect((await bodies()).sort()).toEqual(['some message', 'some message 2']);
  });

  it('gives FIFO entries growing sequence numbers in the order of the request', async () => {
    await createFifo();
    const entries = ['c', 'a', 'b'].map((Id) => ({
      Id,
      MessageBody: Id,
      MessageGroupId: 'g',
      MessageDeduplicationId: Id,
    }));
    const { Successful = [] } = await api.ok('SendMessageBatch', send(entries, FIFO_URL));
    const numbers = Successful.map(({ SequenceNumber }) => SequenceNumber);
    expect(numbers).toEqual([...numbers].sort());
    expect(await bodies(FIFO_URL)).toEqual(['c', 'a', 'b']);
  });

  it('fails bad entries of a standard queue and stores the others', async () => {
    await create();
    await api.ok('SetQueueAttributes', { QueueUrl: URL, Attributes: { MaximumMessageSize: '1024' } });
    const answer = await api.ok(
      'SendMessageBatch',
      send([
        { Id: 'good', MessageBody: 'good' },
        { Id: 'empty', MessageBody: '' },
        { Id: 'absent' },
        { Id: 'characters', MessageBody: '\u0007' },
        { Id: 'large', MessageBody: 'x'.repeat(1025) },
        { Id: 'delay', MessageBody: 'x', DelaySeconds: 901 },
        { Id: 'dedup', MessageBody: 'x', MessageDeduplicationId: 'd' },
      ]),
    );
    expect(answer.Successful).toMatchObject([{ Id: 'good' }]);
    expect(answer.Failed).toEqual([
      {
        Id: 'empty',
        SenderFault: true,
        Code: 'MissingParameter',
        Message: 'The request must contain the parameter SendMessageBatchRequestEntry.2.MessageBody.',
      },
      {
        Id: 'absent',
        SenderFault: true,
        Code: 'MissingParameter',
        Message: 'The request must contain the parameter SendMessageBatchRequestEntry.3.MessageBody.',
      },
      {
        Id: 'characters',
        SenderFault: true,
        Code: 'InvalidMessageContents',
        Message: notAllowed('#x7', 'message body'),
      },
      {
        Id: 'large',
        SenderFault: true,
        Code: 'InvalidParameterValue',
        Message: 'One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.',
      },
      {
        Id: 'delay',
        SenderFault: true,
        Code: 'InvalidParameterValue',
        Message: 'Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.',
      },
      {
        Id: 'dedup',
        SenderFault: true,
        Code: 'InvalidParameterValue',
        Message: `Value d for parameter MessageDeduplicationId is invalid. Reason: ${NOT_FOR_THIS_TYPE}`,
      },
    ]);
    expect(await bodies()).toEqual(['good']);
  });

  it('answers a batch of bad entries alone', async () => {
    await create();
    const answer = await api.ok('SendMessageBatch', send([{ Id: 'a', MessageBody: '' }]));
    expect(answer).toEqual({ Failed: [expect.objectContaining({ Id: 'a' })] });
  });

  it('measures the batch as SQS does', async () => {
    await create();
    const entries = [
      { Id: '1', MessageBody: 'a'.repeat(524_288) },
      { Id: '2', MessageBody: 'b'.repeat(524_230) },
      {
        Id: '3',
        MessageBody: 'message3',
        MessageAttributes: { Yolo: { DataType: 'Number.customtype', StringValue: '12345678901234567890' } },
      },
      {
        Id: '4',
        MessageBody: 'message4',
        MessageAttributes: { Yolo: { DataType: 'String', StringValue: 'c'.repeat(50) } },
      },
    ];
    expect(await api.refused('SendMessageBatch', send(entries))).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.BatchRequestTooLong',
      message: 'Batch requests cannot be longer than 1048576 bytes. You have sent 1048635 bytes.',
    });
    expect(await bodies()).toEqual([]);
  });

  describe('refuses', () => {
    const entry = (Id: string, extra: object = {}) => ({ Id, MessageBody: 'x', ...extra });
    const fifoEntry = (Id: string, extra: object = {}) =>
      entry(Id, { MessageGroupId: 'g', MessageDeduplicationId: Id, ...extra });
    const badId =
      'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.';

    it.each<[string, object, string, string]>([
      [
        'an empty batch',
        send([]),
        'AWS.SimpleQueueService.EmptyBatchRequest',
        'There should be at least one SendMessageBatchRequestEntry in the request.',
      ],
      [
        'eleven entries',
        send(Array.from({ length: 11 }, (_, index) => entry(`id${index}`))),
        'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
        'Maximum number of entries per request are 10. You have sent 11.',
      ],
      [
        'an entry without an id',
        send([entry('a'), { MessageBody: 'x' }]),
        'MissingParameter',
        'The request must contain the parameter SendMessageBatchRequestEntry.2.Id.',
      ],
      ['an empty id', send([entry('')]), 'AWS.SimpleQueueService.InvalidBatchEntryId', badId],
      ['an id of 81 characters', send([entry('x'.repeat(81))]), 'AWS.SimpleQueueService.InvalidBatchEntryId', badId],
      ['an id with a colon', send([entry('a:b')]), 'AWS.SimpleQueueService.InvalidBatchEntryId', badId],
      [
        'two entries of one id',
        send([entry('same'), entry('same')]),
        'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
        'Id same repeated.',
      ],
      [
        'a FIFO batch with an entry without a group',
        send([fifoEntry('a'), fifoEntry('b', { MessageGroupId: undefined })], FIFO_URL),
        'InvalidParameterValue',
        'The request must contain the parameter MessageGroupId.',
      ],
      [
        'a FIFO batch with an entry without a deduplication id',
        send([fifoEntry('a', { MessageDeduplicationId: undefined })], FIFO_URL),
        'InvalidParameterValue',
        'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly',
      ],
      [
        'a FIFO batch with an entry without a body',
        send([fifoEntry('a'), fifoEntry('b', { MessageBody: '' })], FIFO_URL),
        'MissingParameter',
        'The request must contain the parameter SendMessageBatchRequestEntry.2.MessageBody.',
      ],
      [
        'a FIFO batch with a delayed entry',
        send([fifoEntry('a', { DelaySeconds: 3 })], FIFO_URL),
        'InvalidParameterValue',
        `Value 3 for parameter DelaySeconds is invalid. Reason: ${NOT_FOR_THIS_TYPE}`,
      ],
    ])('%s', async (_what, input, code, message) => {
      await create();
      await createFifo();
      expect(await api.refused('SendMessageBatch', input)).toEqual({ status: 400, code, message });
      expect(await bodies()).toEqual([]);
      expect(await bodies(FIFO_URL)).toEqual([]);
    });

    it('no entries at all, which a form cannot tell from none', async () => {
      await create();
      expect(await api.refused('SendMessageBatch', { QueueUrl: URL })).toMatchObject(
        api.protocol === 'json'
          ? { code: 'MissingParameter', message: 'The request must contain the parameter Entries.' }
          : { code: 'AWS.SimpleQueueService.EmptyBatchRequest' },
      );
    });

    it('a FIFO batch with an entry that is too large', async () => {
      await createFifo();
      await api.ok('SetQueueAttributes', { QueueUrl: FIFO_URL, Attributes: { MaximumMessageSize: '1024' } });
      const entries = [fifoEntry('a'), fifoEntry('b', { MessageBody: 'x'.repeat(1025) })];
      expect(await api.refused('SendMessageBatch', send(entries, FIFO_URL))).toEqual({
        status: 400,
        code: 'InvalidParameterValue',
        message: 'One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.',
      });
      expect(await bodies(FIFO_URL)).toEqual([]);
    });
  });
});

describeApi(
  'delays beyond 900 s, where the operator allows them',
  (api) => {
    it('are accepted up to the allowed maximum, and no further', async () => {
      await api.ok('CreateQueue', { QueueName: 'jobs' });
      await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x', DelaySeconds: 7200 });
      expect(await api.refused('SendMessage', { QueueUrl: URL, MessageBody: 'x', DelaySeconds: 7201 })).toMatchObject({
        message: 'Value 7201 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 7200.',
      });
      await api.pass(7_199_000);
      expect(await api.ok('ReceiveMessage', { QueueUrl: URL })).not.toHaveProperty('Messages.0');
      await api.pass(1_001);
      expect(await api.ok('ReceiveMessage', { QueueUrl: URL })).toMatchObject({ Messages: [{ Body: 'x' }] });
    });

    it('never reach beyond the retention period', async () => {
      await api.ok('CreateQueue', { QueueName: 'jobs', Attributes: { MessageRetentionPeriod: '3600' } });
      expect(await api.refused('SendMessage', { QueueUrl: URL, MessageBody: 'x', DelaySeconds: 3601 })).toMatchObject({
        message: 'Value 3601 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 3600.',
      });
    });
  },
  { maxDelaySeconds: 7200 },
);
