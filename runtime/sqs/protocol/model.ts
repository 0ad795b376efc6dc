/**
 * The actions of SQS and the members of their requests and answers: the service model of 2012-11-05, the only place
 * that knows wire names.
 *
 * `required` members are checked while decoding. Members that the model calls required but whose absence has an error
 * of its own (QueueUrl, QueueName, the members of batch entries) are left to the actions.
 *
 * @module
 */
import { blob, boolean, integer, list, map, plain, required, string, structure, type Value } from './shape.ts';

const attributeValue = structure({
  StringValue: string,
  BinaryValue: blob,
  StringListValues: list('StringListValue', string),
  BinaryListValues: list('BinaryListValue', blob),
  DataType: string,
});
const messageAttributes = map('MessageAttribute', attributeValue);
const messageSystemAttributes = map('MessageSystemAttribute', attributeValue);
const queueAttributes = map('Attribute', string);
const tags = map('Tag', string, 'Key', 'Value');

const outgoing = {
  MessageBody: string,
  DelaySeconds: integer,
  MessageAttributes: messageAttributes,
  MessageSystemAttributes: messageSystemAttributes,
  MessageDeduplicationId: string,
  MessageGroupId: string,
} as const;

const sent = {
  MD5OfMessageBody: string,
  MD5OfMessageAttributes: string,
  MD5OfMessageSystemAttributes: string,
  MessageId: string,
  SequenceNumber: string,
} as const;

const failed = list(
  'BatchResultErrorEntry',
  structure({ Id: string, SenderFault: boolean, Code: string, Message: string }),
);

const received = structure({
  MessageId: string,
  ReceiptHandle: string,
  MD5OfBody: string,
  Body: string,
  Attributes: map('Attribute', string),
  MD5OfMessageAttributes: string,
  MessageAttributes: messageAttributes,
});

const queueUrls = plain('queueUrls', list('QueueUrl', string));

const moveTask = structure({
  TaskHandle: string,
  Status: string,
  SourceArn: string,
  DestinationArn: string,
  MaxNumberOfMessagesPerSecond: integer,
  ApproximateNumberOfMessagesMoved: integer,
  ApproximateNumberOfMessagesToMove: integer,
  FailureReason: string,
  StartedTimestamp: integer,
});

/** Actions without `output` answer with an empty body (JSON), or with metadata alone (Query). */
export const MODEL = {
  AddPermission: {
    input: structure({
      QueueUrl: string,
      Label: required('Label', string),
      Actions: required('ActionName', list('ActionName', string)),
      AWSAccountIds: required('AWSAccountIds', list('AWSAccountId', string)),
    }),
  },
  CancelMessageMoveTask: {
    input: structure({ TaskHandle: required('TaskHandle', string) }),
    output: structure({ ApproximateNumberOfMessagesMoved: integer }),
  },
  ChangeMessageVisibility: {
    input: structure({
      QueueUrl: string,
      ReceiptHandle: required('ReceiptHandle', string),
      VisibilityTimeout: required('VisibilityTimeout', integer),
    }),
  },
  ChangeMessageVisibilityBatch: {
    input: structure({
      QueueUrl: string,
      Entries: list(
        'ChangeMessageVisibilityBatchRequestEntry',
        structure({ Id: string, ReceiptHandle: string, VisibilityTimeout: integer }),
      ),
    }),
    output: structure({
      Successful: list('ChangeMessageVisibilityBatchResultEntry', structure({ Id: string })),
      Failed: failed,
    }),
  },
  CreateQueue: {
    input: structure({ QueueName: string, Attributes: queueAttributes, tags }),
    output: structure({ QueueUrl: string }),
  },
  DeleteMessage: {
    input: structure({ QueueUrl: string, ReceiptHandle: required('ReceiptHandle', string) }),
  },
  DeleteMessageBatch: {
    input: structure({
      QueueUrl: string,
      Entries: list('DeleteMessageBatchRequestEntry', structure({ Id: string, ReceiptHandle: string })),
    }),
    output: structure({
      Successful: list('DeleteMessageBatchResultEntry', structure({ Id: string })),
      Failed: failed,
    }),
  },
  DeleteQueue: { input: structure({ QueueUrl: string }) },
  GetQueueAttributes: {
    input: structure({ QueueUrl: string, AttributeNames: list('AttributeName', string) }),
    output: structure({ Attributes: queueAttributes }),
  },
  GetQueueUrl: {
    input: structure({ QueueName: string, QueueOwnerAWSAccountId: string }),
    output: structure({ QueueUrl: string }),
  },
  ListDeadLetterSourceQueues: {
    input: structure({ QueueUrl: string, NextToken: string, MaxResults: integer }),
    output: structure({ queueUrls, NextToken: string }),
  },
  ListMessageMoveTasks: {
    input: structure({ SourceArn: required('SourceArn', string), MaxResults: integer }),
    output: structure({ Results: list('ListMessageMoveTasksResultEntry', moveTask) }),
  },
  ListQueues: {
    input: structure({ QueueNamePrefix: string, NextToken: string, MaxResults: integer }),
    output: structure({ QueueUrls: queueUrls, NextToken: string }),
  },
  ListQueueTags: {
    input: structure({ QueueUrl: string }),
    output: structure({ Tags: tags }),
  },
  PurgeQueue: { input: structure({ QueueUrl: string }) },
  ReceiveMessage: {
    input: structure({
      QueueUrl: string,
      AttributeNames: list('AttributeName', string),
      MessageSystemAttributeNames: list('MessageSystemAttributeName', string),
      MessageAttributeNames: list('MessageAttributeName', string),
      MaxNumberOfMessages: integer,
      VisibilityTimeout: integer,
      WaitTimeSeconds: integer,
      ReceiveRequestAttemptId: string,
    }),
    output: structure({ Messages: plain('messages', list('Message', received)) }),
  },
  RemovePermission: { input: structure({ QueueUrl: string, Label: required('Label', string) }) },
  SendMessage: {
    input: structure({ QueueUrl: string, ...outgoing }),
    output: structure(sent),
  },
  SendMessageBatch: {
    input: structure({
      QueueUrl: string,
      Entries: list('SendMessageBatchRequestEntry', structure({ Id: string, ...outgoing })),
    }),
    output: structure({
      Successful: list('SendMessageBatchResultEntry', structure({ Id: string, ...sent })),
      Failed: failed,
    }),
  },
  SetQueueAttributes: {
    input: structure({ QueueUrl: string, Attributes: required('Attribute.Name', queueAttributes) }),
  },
  StartMessageMoveTask: {
    input: structure({
      SourceArn: required('SourceArn', string),
      DestinationArn: string,
      MaxNumberOfMessagesPerSecond: integer,
    }),
    output: structure({ TaskHandle: string }),
  },
  TagQueue: { input: structure({ QueueUrl: string, Tags: required('Tags', tags) }) },
  UntagQueue: { input: structure({ QueueUrl: string, TagKeys: required('TagKeys', list('TagKey', string)) }) },
} as const;

export type ActionName = keyof typeof MODEL;

/** What an action is given. */
export type Input<N extends ActionName> = Value<(typeof MODEL)[N]['input']>;

/** What an action answers; `undefined` for those without a result. */
export type Output<N extends ActionName> = (typeof MODEL)[N] extends { readonly output: infer O }
  ? Value<O>
  : undefined;

/** A message as SendMessage and the entries of SendMessageBatch give it. */
export type MessageInput = Omit<Input<'SendMessage'>, 'QueueUrl'>;
/** A message attribute on the wire. */
export type AttributeValue = Value<typeof attributeValue>;
/** A failed entry of a batch. */
export type FailedEntry = Value<typeof failed>[number];
/** A message as ReceiveMessage answers it. */
export type ReceivedEntry = Value<typeof received>;

/** Whether this is an action of SQS. */
export function isActionName(name: string): name is ActionName {
  return Object.hasOwn(MODEL, name);
}

export const ACTION_NAMES: readonly ActionName[] = Object.keys(MODEL).filter(isActionName);
