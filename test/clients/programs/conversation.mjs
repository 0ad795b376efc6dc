/**
 * What every client says to the server, and what it saw: the same calls in the same order for each, so that their
 * observations can be compared.
 *
 * @module
 */

/** Two-byte and four-byte characters, markup, and the carriage return that XML would lose. */
const BODY = 'h\u00e9llo <&>\r\n\u{1f600}';

/**
 * `client.call(action, input)` makes a call and answers its output as the AWS SDKs for JavaScript give it;
 * `client.describe(error)` says what a caller sees of a refusal; `client.bytes` is a binary value as this client takes
 * it, `client.readBytes` turns one it received into numbers.
 */
export async function converse(client, name) {
  const call = (action, input) => client.call(action, input);
  const failed = async (action, input) => {
    try {
      await call(action, input);
      return 'no error';
    } catch (error) {
      return client.describe(error);
    }
  };
  const receive = async (QueueUrl, WaitTimeSeconds = 0) => {
    const names = { AttributeNames: ['All'], MessageAttributeNames: ['All'] };
    return (
      (await call('ReceiveMessage', { QueueUrl, WaitTimeSeconds, MaxNumberOfMessages: 10, ...names })).Messages ?? []
    );
  };

  const { QueueUrl } = await call('CreateQueue', {
    QueueName: name,
    Attributes: { VisibilityTimeout: '45' },
    tags: { team: 'clients' },
  });
  const found = await call('GetQueueUrl', { QueueName: name });
  const listed = await call('ListQueues', { QueueNamePrefix: name });
  await call('SetQueueAttributes', { QueueUrl, Attributes: { MaximumMessageSize: '65536' } });
  const { Attributes } = await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] });
  const { Tags } = await call('ListQueueTags', { QueueUrl });

  const sent = await call('SendMessage', {
    QueueUrl,
    MessageBody: BODY,
    MessageAttributes: {
      text: { DataType: 'String', StringValue: '\u00e9\r' },
      number: { DataType: 'Number', StringValue: '12.5' },
      bytes: { DataType: 'Binary', BinaryValue: client.bytes },
    },
    MessageSystemAttributes: { AWSTraceHeader: { DataType: 'String', StringValue: 'Root=1-2-3' } },
  });
  const batch = await call('SendMessageBatch', {
    QueueUrl,
    Entries: [
      { Id: 'second', MessageBody: 'second' },
      { Id: 'third', MessageBody: 'third' },
      { Id: 'late', MessageBody: 'too late', DelaySeconds: 901 },
    ],
  });
  const received = await receive(QueueUrl);
  const first = received.find(({ MessageId }) => MessageId === sent.MessageId);
  await call('ChangeMessageVisibility', { QueueUrl, ReceiptHandle: first.ReceiptHandle, VisibilityTimeout: 0 });
  const [again] = await receive(QueueUrl, 5);
  const others = received.filter((message) => message !== first);
  const hidden = await call('ChangeMessageVisibilityBatch', {
    QueueUrl,
    Entries: others.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle, VisibilityTimeout: 60 })),
  });
  await call('DeleteMessage', { QueueUrl, ReceiptHandle: again.ReceiptHandle });
  const deleted = await call('DeleteMessageBatch', {
    QueueUrl,
    Entries: [
      ...others.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle })),
      { Id: 'bad', ReceiptHandle: 'not a handle' },
    ],
  });
  await call('SendMessage', { QueueUrl, MessageBody: 'delayed', DelaySeconds: 1 });
  const [delayed] = await receive(QueueUrl, 20);

  const fifo = await call('CreateQueue', { QueueName: `${name}.fifo`, Attributes: { FifoQueue: 'true' } });
  const sequence = [];
  for (const body of ['1', '2', '2', '3']) {
    const input = { QueueUrl: fifo.QueueUrl, MessageBody: body, MessageGroupId: 'g', MessageDeduplicationId: body };
    sequence.push((await call('SendMessage', input)).SequenceNumber);
  }
  const ordered = await receive(fifo.QueueUrl);

  const missing = await failed('SendMessage', { QueueUrl: `${QueueUrl}-nope`, MessageBody: 'x' });
  const badHandle = await failed('DeleteMessage', { QueueUrl, ReceiptHandle: 'not a handle' });
  const badValue = await failed('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 11 });
  await call('PurgeQueue', { QueueUrl });
  const left = await call('GetQueueAttributes', {
    QueueUrl,
    AttributeNames: ['ApproximateNumberOfMessagesNotVisible'],
  });
  await call('DeleteQueue', { QueueUrl });
  await call('DeleteQueue', { QueueUrl: fifo.QueueUrl });

  return {
    url: QueueUrl,
    found: found.QueueUrl,
    listed: listed.QueueUrls,
    visibilityTimeout: Attributes.VisibilityTimeout,
    maximumMessageSize: Attributes.MaximumMessageSize,
    tags: Tags,
    sentId: sent.MessageId,
    batched: batch.Successful.map(({ Id }) => Id),
    refused: batch.Failed.map(({ Id, Code, SenderFault }) => ({ Id, Code, SenderFault })),
    receivedBodies: received.map(({ Body }) => Body).sort(),
    firstId: first.MessageId,
    firstText: first.MessageAttributes.text.StringValue,
    firstNumber: first.MessageAttributes.number.StringValue,
    firstBytes: client.readBytes(first.MessageAttributes.bytes.BinaryValue),
    firstTrace: first.Attributes.AWSTraceHeader,
    receiveCount: again.Attributes.ApproximateReceiveCount,
    hidden: hidden.Successful.length,
    deleted: deleted.Successful.length,
    notDeleted: deleted.Failed.map(({ Id, Code, SenderFault }) => ({ Id, Code, SenderFault })),
    delayed: delayed.Body,
    ordered: ordered.map(({ Body }) => Body),
    duplicateHasFirstNumber: sequence[1] === sequence[2],
    missing,
    badHandle,
    badValue,
    left: left.Attributes.ApproximateNumberOfMessagesNotVisible,
  };
}
