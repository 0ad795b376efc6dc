/**
 * Answers that were recorded from SQS in AWS (public recordings of 2022 to 2025 by other projects, and reports of
 * users), as data: what was done before, the call, and what SQS said. Codes and texts are facts of SQS; the queues and
 * messages are our own.
 *
 * @module
 */
import { create, fifo, receive, type Step, send } from './steps.ts';

const sendUnique = (group: string): Step => [
  'SendMessage',
  { QueueUrl: '<url>q.fifo', MessageBody: 'msg', MessageGroupId: group, MessageDeduplicationId: 'same' },
];

export interface RecordedAnswer {
  readonly what: string;
  readonly before: readonly Step[];
  readonly call: Step;
  /** The whole answer. A text in angle brackets is any text. */
  readonly answer: object;
}

const attributes = { Hello: 'There', General: 'Kenobi', 'Help.Me': 'Me' };
const withAttributes: Step = [
  'SendMessage',
  {
    QueueUrl: '<url>q',
    MessageBody: 'msg',
    MessageAttributes: Object.fromEntries(
      Object.entries(attributes).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
    ),
  },
];
const counts = {
  ApproximateNumberOfMessages: '0',
  ApproximateNumberOfMessagesDelayed: '0',
  ApproximateNumberOfMessagesNotVisible: '0',
  CreatedTimestamp: '<time>',
  LastModifiedTimestamp: '<time>',
};
const received = {
  MessageId: '<id>',
  ReceiptHandle: '<handle>',
  MD5OfBody: '6e2baaf3b97dbeef01c0043275f9a0e7',
  Body: 'msg',
};

export const RECORDED_ANSWERS: readonly RecordedAnswer[] = [
  {
    what: 'a message with attributes',
    before: [create],
    call: withAttributes,
    answer: {
      MD5OfMessageAttributes: '4c360f3fdafd970e05fae2f149d997f5',
      MD5OfMessageBody: '6e2baaf3b97dbeef01c0043275f9a0e7',
      MessageId: '<id>',
    },
  },
  {
    what: 'a message with an attribute whose name has letters beyond ASCII',
    before: [create],
    call: [
      'SendMessage',
      {
        QueueUrl: '<url>q',
        MessageBody: 'msg',
        MessageAttributes: { 'attr.1øßä': { DataType: 'String', StringValue: 'x' } },
      },
    ],
    answer: {
      MD5OfMessageAttributes: '<digest>',
      MD5OfMessageBody: '6e2baaf3b97dbeef01c0043275f9a0e7',
      MessageId: '<id>',
    },
  },
  {
    what: 'a receive that asks for no attributes',
    before: [create, withAttributes],
    call: receive,
    answer: { Messages: [received] },
  },
  {
    what: 'a receive that asks for names that there are not',
    before: [create, withAttributes],
    call: ['ReceiveMessage', { QueueUrl: '<url>q', MessageAttributeNames: ['Foo', 'Help'] }],
    answer: { Messages: [received] },
  },
  ...['AWS.', '..foo'].map(
    (name): RecordedAnswer => ({
      what: `a receive that asks for '${name}', a name that no attribute can have`,
      before: [create, withAttributes],
      call: ['ReceiveMessage', { QueueUrl: '<url>q', MessageAttributeNames: [name] }],
      answer: { Messages: [received] },
    }),
  ),
  {
    what: 'a receive of a prefix',
    before: [create, withAttributes],
    call: ['ReceiveMessage', { QueueUrl: '<url>q', MessageAttributeNames: ['Hel.*'] }],
    answer: {
      Messages: [
        {
          ...received,
          MD5OfMessageAttributes: '83fee93c1bcd8b9a5a923ffacdc636c7',
          MessageAttributes: {
            Hello: { DataType: 'String', StringValue: 'There' },
            'Help.Me': { DataType: 'String', StringValue: 'Me' },
          },
        },
      ],
    },
  },
  {
    what: 'a message of a FIFO queue with its system attributes',
    before: [
      fifo({ DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }),
      [
        'SendMessage',
        { QueueUrl: '<url>q.fifo', MessageBody: 'msg', MessageGroupId: 'group-1', MessageDeduplicationId: 'dedup-1' },
      ],
    ],
    call: ['ReceiveMessage', { QueueUrl: '<url>q.fifo', AttributeNames: ['All'] }],
    answer: {
      Messages: [
        {
          ...received,
          Attributes: {
            ApproximateFirstReceiveTimestamp: '<time>',
            ApproximateReceiveCount: '1',
            MessageDeduplicationId: 'dedup-1',
            MessageGroupId: 'group-1',
            SenderId: '<sender>',
            SentTimestamp: '<time>',
            SequenceNumber: '<number>',
          },
        },
      ],
    },
  },
  {
    what: 'every attribute of a standard queue',
    before: [
      ['CreateQueue', { QueueName: 'q', Attributes: { MessageRetentionPeriod: '604800', VisibilityTimeout: '20' } }],
      ['SetQueueAttributes', { QueueUrl: '<url>q', Attributes: { DelaySeconds: '420', MaximumMessageSize: '2048' } }],
    ],
    call: ['GetQueueAttributes', { QueueUrl: '<url>q', AttributeNames: ['All'] }],
    answer: {
      Attributes: {
        ...counts,
        DelaySeconds: '420',
        MaximumMessageSize: '2048',
        MessageRetentionPeriod: '604800',
        QueueArn: '<arn>',
        ReceiveMessageWaitTimeSeconds: '0',
        SqsManagedSseEnabled: 'true',
        VisibilityTimeout: '20',
      },
    },
  },
  {
    what: 'every attribute of a FIFO queue',
    before: [fifo({ ContentBasedDeduplication: 'true', MaximumMessageSize: '262144' })],
    call: ['GetQueueAttributes', { QueueUrl: '<url>q.fifo', AttributeNames: ['All'] }],
    answer: {
      Attributes: {
        ...counts,
        ContentBasedDeduplication: 'true',
        DeduplicationScope: 'queue',
        DelaySeconds: '0',
        FifoQueue: 'true',
        FifoThroughputLimit: 'perQueue',
        MaximumMessageSize: '262144',
        MessageRetentionPeriod: '345600',
        QueueArn: '<arn>',
        ReceiveMessageWaitTimeSeconds: '0',
        SqsManagedSseEnabled: 'true',
        VisibilityTimeout: '30',
      },
    },
  },
  {
    what: 'encryption by a key, which ends that of SQS',
    before: [
      create,
      [
        'SetQueueAttributes',
        { QueueUrl: '<url>q', Attributes: { KmsMasterKeyId: 'testKeyId', KmsDataKeyReusePeriodSeconds: '6000' } },
      ],
    ],
    call: [
      'GetQueueAttributes',
      {
        QueueUrl: '<url>q',
        AttributeNames: ['KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'SqsManagedSseEnabled'],
      },
    ],
    answer: {
      Attributes: { KmsDataKeyReusePeriodSeconds: '6000', KmsMasterKeyId: 'testKeyId', SqsManagedSseEnabled: 'false' },
    },
  },
  {
    what: 'encryption by a key that was ended again, with which that of SQS does not come back',
    before: [
      create,
      [
        'SetQueueAttributes',
        { QueueUrl: '<url>q', Attributes: { KmsMasterKeyId: 'testKeyId', KmsDataKeyReusePeriodSeconds: '6000' } },
      ],
      [
        'SetQueueAttributes',
        { QueueUrl: '<url>q', Attributes: { KmsMasterKeyId: '', KmsDataKeyReusePeriodSeconds: '300' } },
      ],
    ],
    call: [
      'GetQueueAttributes',
      {
        QueueUrl: '<url>q',
        AttributeNames: ['KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'SqsManagedSseEnabled'],
      },
    ],
    answer: { Attributes: { SqsManagedSseEnabled: 'false' } },
  },
  {
    what: 'a receive from a FIFO queue with a delay, after a message that was sent with a delay of 0',
    before: [
      fifo({ ContentBasedDeduplication: 'true', DelaySeconds: '2' }),
      ['SendMessage', { QueueUrl: '<url>q.fifo', MessageBody: 'msg', MessageGroupId: '1', DelaySeconds: 0 }],
    ],
    call: ['ReceiveMessage', { QueueUrl: '<url>q.fifo' }],
    answer: {},
  },
  {
    what: 'a receive after one deduplication id was sent in two groups',
    before: [
      fifo(),
      sendUnique('group1'),
      ['ReceiveMessage', { QueueUrl: '<url>q.fifo' }],
      ['DeleteMessage', { QueueUrl: '<url>q.fifo', ReceiptHandle: '<handle>' }],
      sendUnique('group2'),
    ],
    call: ['ReceiveMessage', { QueueUrl: '<url>q.fifo' }],
    answer: {},
  },
  {
    what: 'a receive after one deduplication id was sent in two groups, each with ids of its own',
    before: [
      // Without FifoThroughputLimit: the scope does not need it.
      fifo({ DeduplicationScope: 'messageGroup' }),
      sendUnique('group1'),
      ['ReceiveMessage', { QueueUrl: '<url>q.fifo' }],
      ['DeleteMessage', { QueueUrl: '<url>q.fifo', ReceiptHandle: '<handle>' }],
      sendUnique('group2'),
    ],
    call: ['ReceiveMessage', { QueueUrl: '<url>q.fifo' }],
    answer: { Messages: [received] },
  },
  {
    what: 'a message of a standard queue with its group',
    before: [create, ['SendMessage', { QueueUrl: '<url>q', MessageBody: 'msg', MessageGroupId: 'test' }]],
    call: ['ReceiveMessage', { QueueUrl: '<url>q', AttributeNames: ['All'] }],
    answer: {
      Messages: [
        {
          ...received,
          Attributes: {
            ApproximateFirstReceiveTimestamp: '<time>',
            ApproximateReceiveCount: '1',
            MessageGroupId: 'test',
            SenderId: '<sender>',
            SentTimestamp: '<time>',
          },
        },
      ],
    },
  },
  {
    what: 'tags, of which one is empty',
    before: [create, ['TagQueue', { QueueUrl: '<url>q', Tags: { tag1: 'value1', tag3: '' } }]],
    call: ['ListQueueTags', { QueueUrl: '<url>q' }],
    answer: { Tags: { tag1: 'value1', tag3: '' } },
  },
  {
    what: 'a batch in which one message has a character that SQS does not take',
    before: [create],
    call: [
      'SendMessageBatch',
      {
        QueueUrl: '<url>q',
        Entries: [
          { Id: '0', MessageBody: 'msg' },
          { Id: '9', MessageBody: '\u0001' },
        ],
      },
    ],
    answer: {
      Successful: [{ Id: '0', MD5OfMessageBody: '6e2baaf3b97dbeef01c0043275f9a0e7', MessageId: '<id>' }],
      Failed: [{ Id: '9', SenderFault: true, Code: 'InvalidMessageContents', Message: '<text>' }],
    },
  },
  {
    what: 'the visibility of a message whose timeout ran out',
    before: [create, send, ['ReceiveMessage', { QueueUrl: '<url>q', VisibilityTimeout: 0 }]],
    call: ['ChangeMessageVisibility', { QueueUrl: '<url>q', ReceiptHandle: '<handle>', VisibilityTimeout: 5 }],
    answer: {},
  },
];
