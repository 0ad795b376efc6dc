/**
 * What SQS in AWS was recorded to refuse, as data; where the recordings come from: `recorded-answers.ts`.
 *
 * @module
 */
import { create, fifo, receive, type Step, send } from './steps.ts';

export interface RecordedRefusal {
  readonly what: string;
  readonly before?: readonly Step[];
  readonly call: Step;
  readonly status: number;
  /** Of the Query protocol, as botocore shows it in either. */
  readonly code: string;
  /** `json` and `query` where SQS words them differently. */
  readonly message: string | { readonly json: string; readonly query: string };
}

const entries = (count: number, entry: object) =>
  Array.from({ length: count }, (_, index) => ({ Id: `message-${index}`, ...entry }));

const NOT_FOR_THIS_TYPE = 'The request include parameter that is not valid for this queue type.';
const BATCH_ID =
  'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.';
const NO_DEDUPLICATION =
  'The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly';

export const RECORDED_REFUSALS: readonly RecordedRefusal[] = [
  {
    what: 'more messages than a receive can give',
    before: [create],
    call: ['ReceiveMessage', { QueueUrl: '<url>q', MaxNumberOfMessages: 11 }],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.',
  },
  {
    what: 'a longer wait than a receive can take',
    before: [create],
    call: ['ReceiveMessage', { QueueUrl: '<url>q', WaitTimeSeconds: 21 }],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.',
  },
  {
    what: 'a message larger than its queue takes, attributes included',
    before: [['CreateQueue', { QueueName: 'q', Attributes: { MaximumMessageSize: '1024' } }]],
    call: [
      'SendMessage',
      {
        QueueUrl: '<url>q',
        MessageBody: 'a'.repeat(1024 - 7),
        MessageAttributes: { k: { DataType: 'String', StringValue: 'x' } },
      },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.',
  },
  ...['!', '"', '§', '(', '?'].map(
    (character): RecordedRefusal => ({
      what: `an attribute with ${character} in its name`,
      before: [create],
      call: [
        'SendMessage',
        {
          QueueUrl: '<url>q',
          MessageBody: 'x',
          MessageAttributes: { [`a${character}b`]: { DataType: 'String', StringValue: 'x' } },
        },
      ],
      status: 400,
      code: 'InvalidParameterValue',
      message:
        'Message (user) attributes name can only contain upper and lower score characters, digits, periods, hyphens and underscores. ',
    }),
  ),
  {
    what: 'an attribute that is an empty text',
    before: [create],
    call: [
      'SendMessage',
      {
        QueueUrl: '<url>q',
        MessageBody: 'x',
        MessageAttributes: { ErrorDetails: { DataType: 'String', StringValue: '' } },
      },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message: "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.",
  },
  {
    what: 'a control character in a body',
    before: [create],
    call: ['SendMessage', { QueueUrl: '<url>q', MessageBody: 'a\u0007' }],
    status: 400,
    code: 'InvalidMessageContents',
    message:
      "Invalid binary character '#x7' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
  },
  {
    what: 'a noncharacter in a body',
    before: [create],
    call: ['SendMessage', { QueueUrl: '<url>q', MessageBody: '\uFFFF' }],
    status: 400,
    code: 'InvalidMessageContents',
    message:
      "Invalid binary character '#xFFFF' was found in the message body, the set of allowed characters is #x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
  },
  {
    what: 'more entries than a batch of sends can have',
    before: [create],
    call: ['SendMessageBatch', { QueueUrl: '<url>q', Entries: entries(20, { MessageBody: 'x' }) }],
    status: 400,
    code: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
    message: 'Maximum number of entries per request are 10. You have sent 20.',
  },
  {
    what: 'more entries than a batch of deletes can have',
    before: [create],
    call: ['DeleteMessageBatch', { QueueUrl: '<url>q', Entries: entries(20, { ReceiptHandle: 'x' }) }],
    status: 400,
    code: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
    message: 'Maximum number of entries per request are 10. You have sent 20.',
  },
  ...['', 'testLongId'.repeat(10), 'invalid:id'].map(
    (Id): RecordedRefusal => ({
      what: `the id of an entry '${Id.slice(0, 12)}'`,
      before: [create],
      call: ['DeleteMessageBatch', { QueueUrl: '<url>q', Entries: [{ Id, ReceiptHandle: 'x' }] }],
      status: 400,
      code: 'AWS.SimpleQueueService.InvalidBatchEntryId',
      message: BATCH_ID,
    }),
  ),
  {
    what: 'a batch that is too large in all',
    before: [create],
    call: [
      'SendMessageBatch',
      {
        QueueUrl: '<url>q',
        Entries: [
          { Id: '1', MessageBody: 'a'.repeat(1_048_576) },
          { Id: '2', MessageBody: 'a' },
        ],
      },
    ],
    status: 400,
    code: 'AWS.SimpleQueueService.BatchRequestTooLong',
    // Recorded with 262144, the bound of its time.
    message: 'Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.',
  },
  ...['', 'a'.repeat(129), 'group 123'].flatMap((value): RecordedRefusal[] => [
    {
      what: `the group '${value.slice(0, 12)}' on a standard queue`,
      before: [create],
      call: ['SendMessage', { QueueUrl: '<url>q', MessageBody: 'x', MessageGroupId: value }],
      status: 400,
      code: 'InvalidParameterValue',
      message: `Value ${value} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
    },
    {
      what: `the deduplication id '${value.slice(0, 12)}'`,
      before: [fifo()],
      call: [
        'SendMessage',
        { QueueUrl: '<url>q.fifo', MessageBody: 'x', MessageGroupId: 'g', MessageDeduplicationId: value },
      ],
      status: 400,
      code: 'InvalidParameterValue',
      message: `Value ${value} for parameter MessageDeduplicationId is invalid. Reason: MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
    },
  ]),
  {
    what: 'a message of its own delay on a FIFO queue',
    before: [fifo({ ContentBasedDeduplication: 'true' })],
    call: ['SendMessage', { QueueUrl: '<url>q.fifo', MessageBody: 'x', MessageGroupId: 'g', DelaySeconds: 2 }],
    status: 400,
    code: 'InvalidParameterValue',
    message: `Value 2 for parameter DelaySeconds is invalid. Reason: ${NOT_FOR_THIS_TYPE}`,
  },
  {
    what: 'a message without a group on a FIFO queue',
    before: [fifo()],
    call: ['SendMessage', { QueueUrl: '<url>q.fifo', MessageBody: 'x', MessageDeduplicationId: 'd' }],
    status: 400,
    code: 'MissingParameter',
    message: 'The request must contain the parameter MessageGroupId.',
  },
  {
    what: 'a message that nothing deduplicates on a FIFO queue',
    before: [fifo()],
    call: ['SendMessage', { QueueUrl: '<url>q.fifo', MessageBody: 'x', MessageGroupId: 'g' }],
    status: 400,
    code: 'InvalidParameterValue',
    message: NO_DEDUPLICATION,
  },
  {
    what: 'a batch for a FIFO queue with an entry without a group',
    before: [fifo()],
    call: [
      'SendMessageBatch',
      { QueueUrl: '<url>q.fifo', Entries: entries(1, { MessageBody: 'x', MessageDeduplicationId: 'd' }) },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'The request must contain the parameter MessageGroupId.',
  },
  {
    what: 'a batch for a FIFO queue with an entry that nothing deduplicates',
    before: [fifo()],
    call: [
      'SendMessageBatch',
      { QueueUrl: '<url>q.fifo', Entries: entries(1, { MessageBody: 'x', MessageGroupId: 'g' }) },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message: NO_DEDUPLICATION,
  },
  {
    what: 'a queue of the same name and another value',
    before: [['CreateQueue', { QueueName: 'q', Attributes: { DelaySeconds: '1' } }]],
    call: ['CreateQueue', { QueueName: 'q', Attributes: { DelaySeconds: '2' } }],
    status: 400,
    code: 'QueueAlreadyExists',
    message: 'A queue already exists with the same name and a different value for attribute DelaySeconds',
  },
  {
    what: 'a queue that was deleted just now',
    before: [create, ['DeleteQueue', { QueueUrl: '<url>q' }]],
    call: create,
    status: 400,
    code: 'AWS.SimpleQueueService.QueueDeletedRecently',
    message: 'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
  },
  {
    what: 'a queue that is not there',
    call: ['GetQueueUrl', { QueueName: 'q' }],
    status: 400,
    code: 'AWS.SimpleQueueService.NonExistentQueue',
    message: {
      json: 'The specified queue does not exist.',
      query: 'The specified queue does not exist for this wsdl version.',
    },
  },
  {
    what: 'a redrive policy that names no ARN',
    call: [
      'CreateQueue',
      { QueueName: 'q', Attributes: { RedrivePolicy: '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}' } },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message:
      'Value {"deadLetterTargetArn": "dummy", "maxReceiveCount": 42} for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.',
  },
  {
    what: 'both kinds of encryption',
    before: [create],
    call: [
      'SetQueueAttributes',
      { QueueUrl: '<url>q', Attributes: { SqsManagedSseEnabled: 'true', KmsMasterKeyId: 'key' } },
    ],
    status: 400,
    code: 'InvalidAttributeName',
    message:
      'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.',
  },
  {
    what: 'FifoQueue on a standard queue, even as false',
    call: ['CreateQueue', { QueueName: 'q', Attributes: { FifoQueue: 'false' } }],
    status: 400,
    code: 'InvalidAttributeName',
    message: 'Unknown Attribute FifoQueue.',
  },
  ...[
    ['ContentBasedDeduplication', 'true', 'Unknown Attribute ContentBasedDeduplication.'],
    ['DeduplicationScope', 'queue', 'You can specify the DeduplicationScope only when FifoQueue is set to true.'],
    ['FifoThroughputLimit', 'perQueue', 'You can specify the FifoThroughputLimit only when FifoQueue is set to true.'],
  ].map(
    ([name = '', value, message = '']): RecordedRefusal => ({
      what: `${name} on a standard queue`,
      call: ['CreateQueue', { QueueName: 'q', Attributes: { [name]: value } }],
      status: 400,
      code: 'InvalidAttributeName',
      message,
    }),
  ),
  {
    what: 'a FIFO queue that is to become a standard one',
    before: [fifo()],
    call: ['SetQueueAttributes', { QueueUrl: '<url>q.fifo', Attributes: { FifoQueue: 'false' } }],
    status: 400,
    code: 'InvalidAttributeValue',
    message: 'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.',
  },
  {
    what: 'a second purge within a minute',
    before: [create, ['PurgeQueue', { QueueUrl: '<url>q' }]],
    call: ['PurgeQueue', { QueueUrl: '<url>q' }],
    status: 403,
    code: 'AWS.SimpleQueueService.PurgeQueueInProgress',
    message: 'Only one PurgeQueue operation on q is allowed every 60 seconds.',
  },
  {
    what: 'a label that a policy has already',
    before: [
      create,
      [
        'AddPermission',
        { QueueUrl: '<url>q', Label: 'l', AWSAccountIds: ['111122223333'], Actions: ['ReceiveMessage'] },
      ],
    ],
    call: [
      'AddPermission',
      { QueueUrl: '<url>q', Label: 'l', AWSAccountIds: ['111122223333'], Actions: ['ReceiveMessage'] },
    ],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'Value l for parameter Label is invalid. Reason: Already exists.',
  },
  {
    what: 'a label that no policy has',
    before: [create],
    call: ['RemovePermission', { QueueUrl: '<url>q', Label: 'l' }],
    status: 400,
    code: 'InvalidParameterValue',
    message: "Value l for parameter Label is invalid. Reason: can't find label.",
  },
  {
    what: 'a receipt handle that is none',
    before: [create],
    call: ['DeleteMessage', { QueueUrl: '<url>q', ReceiptHandle: 'garbage' }],
    status: 404,
    code: 'ReceiptHandleIsInvalid',
    message: 'The input receipt handle "garbage" is not a valid receipt handle.',
  },
  {
    what: 'the visibility of a message that was deleted',
    before: [create, send, receive, ['DeleteMessage', { QueueUrl: '<url>q', ReceiptHandle: '<handle>' }]],
    call: ['ChangeMessageVisibility', { QueueUrl: '<url>q', ReceiptHandle: '<handle>', VisibilityTimeout: 0 }],
    status: 400,
    code: 'InvalidParameterValue',
    message:
      'Value <handle> for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.',
  },
  {
    what: 'a move from a queue that is no dead-letter queue',
    before: [create],
    call: ['StartMessageMoveTask', { SourceArn: '<arn>q' }],
    status: 400,
    code: 'InvalidParameterValue',
    message: 'Source queue must be configured as a Dead Letter Queue.',
  },
  {
    what: 'a move from a queue that is not there',
    call: ['StartMessageMoveTask', { SourceArn: '<arn>q' }],
    status: 404,
    code: 'ResourceNotFoundException',
    message: "The resource that you specified for the SourceArn parameter doesn't exist.",
  },
];
