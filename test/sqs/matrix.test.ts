/**
 * The whole API at a glance: every action, in both protocols and over both stores, with its success and each error it
 * can return. The texts, and the many ways to each error, are the matter of the other suites.
 */
import { describe, expect, it } from 'vitest';
import { SqsError, type SqsErrorCode } from '../../runtime/sqs/errors.ts';
import { type ActionName, MODEL } from '../../runtime/sqs/protocol/model.ts';
import { type Api, describeApi } from './support/describe-api.ts';
import { callerWith, discovered, queueArnText, queueUrl, type RequestOptions, refusalOf } from './support/harness.ts';
import type { PlainInput } from './support/wire.ts';

/** What an input needs of the world: messages that were received, tasks that run. */
interface World {
  readonly api: Api;
  /** Of a message in flight. */
  handle(): Promise<string>;
  /** Of a task that has more to do than it may in its first second. */
  task(): Promise<string>;
}

type Input<N extends ActionName> = (world: World) => PlainInput<N> | Promise<PlainInput<N>>;
type Row<N extends ActionName> = {
  readonly success: Input<N>;
  readonly errors: { readonly [Code in SqsErrorCode]?: Input<N> };
};

/** Of the servers of this suite. */
const IN_FLIGHT_LIMIT = 5;
const URL = queueUrl('jobs');
const OWNED = queueUrl('owned');
const DEAD = queueArnText('dead');
const NOWHERE = queueArnText('nowhere');
const entries = <T extends object>(count: number, entry: T) =>
  Array.from({ length: count }, (_, index) => ({ Id: String(index), ...entry }));
const eightActions = [
  ...['SendMessage', 'ReceiveMessage', 'DeleteMessage', 'ChangeMessageVisibility'],
  ...['GetQueueAttributes', 'GetQueueUrl', 'ListDeadLetterSourceQueues', 'PurgeQueue'],
];
const permission = { QueueUrl: URL, Label: 'l', AWSAccountIds: ['111122223333'], Actions: ['SendMessage'] };
const statements = Array.from({ length: 21 }, (_, index) => ({ Sid: `s${index}`, Effect: 'Allow', Action: 'sqs:*' }));

/** The errors that every batch can return. */
function batchErrors<T extends object>(entry: T) {
  return {
    EmptyBatchRequest: () => ({ QueueUrl: URL, Entries: [] }),
    TooManyEntriesInBatchRequest: () => ({ QueueUrl: URL, Entries: entries(11, entry) }),
    BatchEntryIdsNotDistinct: () => ({ QueueUrl: URL, Entries: [...entries(1, entry), ...entries(1, entry)] }),
    InvalidBatchEntryId: () => ({ QueueUrl: URL, Entries: [{ ...entry, Id: 'a b' }] }),
  };
}

/**
 * `QueueDoesNotExist`, `InvalidAddress` and `AccessDenied` are not written down: every action that can return them is
 * asked for them.
 */
const MATRIX: { readonly [N in ActionName]: Row<N> } = {
  AddPermission: {
    success: () => permission,
    errors: {
      OverLimit: () => ({ ...permission, Actions: eightActions }),
      InvalidParameterValue: () => ({ ...permission, Label: 'a b' }),
      MissingParameter: () => ({ QueueUrl: URL }),
      UnsupportedOperation: () => ({ ...permission, QueueUrl: OWNED }),
    },
  },
  CancelMessageMoveTask: {
    success: async ({ task }) => ({ TaskHandle: await task() }),
    errors: {
      ResourceNotFoundException: () => ({ TaskHandle: taskHandle() }),
      InvalidParameterValue: () => ({ TaskHandle: 'x' }),
      MissingParameter: () => ({}),
    },
  },
  ChangeMessageVisibility: {
    success: async ({ handle }) => ({ QueueUrl: URL, ReceiptHandle: await handle(), VisibilityTimeout: 5 }),
    errors: {
      ReceiptHandleIsInvalid: () => ({ QueueUrl: URL, ReceiptHandle: 'x', VisibilityTimeout: 5 }),
      InvalidParameterValue: async ({ handle }) => ({
        ...{ QueueUrl: URL, ReceiptHandle: await handle() },
        VisibilityTimeout: 43_201,
      }),
      MissingParameter: () => ({ QueueUrl: URL, ReceiptHandle: 'x' }),
    },
  },
  ChangeMessageVisibilityBatch: {
    success: async ({ handle }) => ({
      ...{ QueueUrl: URL },
      Entries: entries(1, { ReceiptHandle: await handle(), VisibilityTimeout: 5 }),
    }),
    errors: batchErrors({ ReceiptHandle: 'x', VisibilityTimeout: 5 }),
  },
  CreateQueue: {
    success: () => ({ QueueName: 'new' }),
    errors: {
      InvalidParameterValue: () => ({ QueueName: 'a b' }),
      InvalidAttributeName: () => ({ QueueName: 'new', Attributes: { Foo: '1' } }),
      InvalidAttributeValue: () => ({ QueueName: 'new', Attributes: { DelaySeconds: '901' } }),
      QueueNameExists: () => ({ QueueName: 'jobs', Attributes: { DelaySeconds: '7' } }),
      QueueDeletedRecently: async ({ api }) => {
        await api.ok('DeleteQueue', { QueueUrl: URL });
        return { QueueName: 'jobs' };
      },
    },
  },
  DeleteMessage: {
    success: async ({ handle }) => ({ QueueUrl: URL, ReceiptHandle: await handle() }),
    errors: {
      ReceiptHandleIsInvalid: () => ({ QueueUrl: URL, ReceiptHandle: 'x' }),
      MissingParameter: () => ({ QueueUrl: URL }),
    },
  },
  DeleteMessageBatch: {
    success: async ({ handle }) => ({ QueueUrl: URL, Entries: entries(1, { ReceiptHandle: await handle() }) }),
    errors: batchErrors({ ReceiptHandle: 'x' }),
  },
  DeleteQueue: {
    success: () => ({ QueueUrl: URL }),
    errors: { UnsupportedOperation: () => ({ QueueUrl: OWNED }) },
  },
  GetQueueAttributes: {
    success: () => ({ QueueUrl: OWNED, AttributeNames: ['All'] }),
    errors: { InvalidAttributeName: () => ({ QueueUrl: URL, AttributeNames: ['Foo'] }) },
  },
  GetQueueUrl: {
    success: () => ({ QueueName: 'jobs' }),
    errors: {
      InvalidParameterValue: () => ({}),
      QueueDoesNotExist: () => ({ QueueName: 'nope' }),
    },
  },
  ListDeadLetterSourceQueues: {
    success: () => ({ QueueUrl: queueUrl('dead') }),
    errors: { InvalidParameterValue: () => ({ QueueUrl: queueUrl('dead'), MaxResults: 1_001 }) },
  },
  ListMessageMoveTasks: {
    success: () => ({ SourceArn: DEAD }),
    errors: {
      ResourceNotFoundException: () => ({ SourceArn: NOWHERE }),
      InvalidParameterValue: () => ({ SourceArn: DEAD, MaxResults: 11 }),
      MissingParameter: () => ({}),
    },
  },
  ListQueueTags: { success: () => ({ QueueUrl: OWNED }), errors: {} },
  ListQueues: {
    success: () => ({ QueueNamePrefix: 'j' }),
    errors: { InvalidParameterValue: () => ({ MaxResults: 1_001 }) },
  },
  PurgeQueue: {
    success: () => ({ QueueUrl: OWNED }),
    errors: {
      PurgeQueueInProgress: async ({ api }) => {
        await api.ok('PurgeQueue', { QueueUrl: URL });
        return { QueueUrl: URL };
      },
    },
  },
  ReceiveMessage: {
    success: () => ({ QueueUrl: URL, MaxNumberOfMessages: 10 }),
    errors: {
      InvalidParameterValue: () => ({ QueueUrl: URL, MaxNumberOfMessages: 11 }),
      OverLimit: async ({ api }) => {
        await api.ok('SendMessageBatch', { QueueUrl: URL, Entries: entries(10, { MessageBody: 'x' }) });
        await api.ok('ReceiveMessage', { QueueUrl: URL, MaxNumberOfMessages: IN_FLIGHT_LIMIT });
        return { QueueUrl: URL };
      },
    },
  },
  RemovePermission: {
    success: async ({ api }) => {
      await api.ok('AddPermission', permission);
      return { QueueUrl: URL, Label: 'l' };
    },
    errors: {
      InvalidParameterValue: () => ({ QueueUrl: URL, Label: 'unknown' }),
      MissingParameter: () => ({ QueueUrl: URL }),
      UnsupportedOperation: () => ({ QueueUrl: OWNED, Label: 'l' }),
    },
  },
  SendMessage: {
    success: () => ({ QueueUrl: OWNED, MessageBody: 'x' }),
    errors: {
      InvalidMessageContents: () => ({ QueueUrl: URL, MessageBody: '\u0001' }),
      InvalidParameterValue: () => ({ QueueUrl: URL, MessageBody: 'x', DelaySeconds: 901 }),
      MissingParameter: () => ({ QueueUrl: URL }),
      UnsupportedOperation: () => ({
        ...{ QueueUrl: URL, MessageBody: 'x' },
        MessageAttributes: { a: { DataType: 'String', StringListValues: ['x'] } },
      }),
    },
  },
  SendMessageBatch: {
    success: () => ({ QueueUrl: OWNED, Entries: entries(10, { MessageBody: 'x' }) }),
    errors: {
      ...batchErrors({ MessageBody: 'x' }),
      BatchRequestTooLong: () => ({ QueueUrl: URL, Entries: entries(2, { MessageBody: 'x'.repeat(600_000) }) }),
      InvalidParameterValue: () => ({ QueueUrl: queueUrl('jobs.fifo'), Entries: entries(1, { MessageBody: 'x' }) }),
    },
  },
  SetQueueAttributes: {
    success: () => ({ QueueUrl: URL, Attributes: { DelaySeconds: '5' } }),
    errors: {
      InvalidAttributeName: () => ({ QueueUrl: URL, Attributes: { Foo: '1' } }),
      InvalidAttributeValue: () => ({ QueueUrl: URL, Attributes: { DelaySeconds: '901' } }),
      InvalidParameterValue: () => ({
        ...{ QueueUrl: URL },
        Attributes: { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: NOWHERE, maxReceiveCount: 1 }) },
      }),
      MissingParameter: () => ({ QueueUrl: URL }),
      OverLimit: () => ({
        ...{ QueueUrl: URL },
        Attributes: { Policy: JSON.stringify({ Version: '2012-10-17', Statement: statements }) },
      }),
      UnsupportedOperation: () => ({ QueueUrl: OWNED, Attributes: { DelaySeconds: '5' } }),
    },
  },
  StartMessageMoveTask: {
    success: () => ({ SourceArn: DEAD }),
    errors: {
      ResourceNotFoundException: () => ({ SourceArn: NOWHERE }),
      InvalidParameterValue: () => ({ SourceArn: queueArnText('owned') }),
      MissingParameter: () => ({}),
    },
  },
  TagQueue: {
    success: () => ({ QueueUrl: URL, Tags: { a: '1' } }),
    errors: {
      InvalidParameterValue: () => ({ QueueUrl: URL, Tags: { 'aws:a': '1' } }),
      MissingParameter: () => ({ QueueUrl: URL }),
      UnsupportedOperation: () => ({ QueueUrl: OWNED, Tags: { a: '1' } }),
    },
  },
  UntagQueue: {
    success: () => ({ QueueUrl: URL, TagKeys: ['a'] }),
    errors: {
      MissingParameter: () => ({ QueueUrl: URL }),
      UnsupportedOperation: () => ({ QueueUrl: OWNED, TagKeys: ['a'] }),
    },
  },
};

/** Listing shows a caller what its credential reaches, and be it nothing. */
const OPEN_TO_ALL: ReadonlySet<ActionName> = new Set(['ListQueues']);
// The keys of the table are exactly the actions, by its type.
const ACTIONS = Object.keys(MATRIX) as ActionName[];

describe('the matrix', () => {
  it('has every action', () => {
    expect(ACTIONS).toHaveLength(23);
    expect(ACTIONS.toSorted()).toEqual(Object.keys(MODEL).toSorted());
  });
});

describeApi(
  'the matrix',
  (api) => {
    /** `jobs` sends its dead letters to `dead`, `owned` belongs to AWS. */
    const makeWorld = async (): Promise<World> => {
      await api.harness.directory.applyDiscovery([discovered('owned')]);
      await api.ok('CreateQueue', { QueueName: 'dead' });
      const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: DEAD, maxReceiveCount: 1 });
      await api.ok('CreateQueue', { QueueName: 'jobs', Attributes: { RedrivePolicy } });
      await api.ok('CreateQueue', { QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'true' } });
      return {
        api,
        handle: async () => {
          await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
          const { Messages: [message] = [] } = await api.ok('ReceiveMessage', { QueueUrl: URL });
          return message?.ReceiptHandle ?? '';
        },
        task: async () => {
          await api.ok('SendMessageBatch', { QueueUrl: queueUrl('dead'), Entries: entries(3, { MessageBody: 'x' }) });
          const task = { SourceArn: DEAD, DestinationArn: queueArnText('owned'), MaxNumberOfMessagesPerSecond: 1 };
          const { TaskHandle } = await api.ok('StartMessageMoveTask', task);
          return TaskHandle ?? '';
        },
      };
    };
    const refusedAs = async (
      action: ActionName,
      code: SqsErrorCode,
      input: object,
      options: RequestOptions = {},
    ): Promise<void> => {
      const { status, code: queryCode } = refusalOf(await api.harness.call(api.protocol, action, input, options));
      const error = new SqsError(code);
      expect({ status, code: queryCode }).toEqual({ status: error.status, code: error.queryCode });
    };
    const takesQueueUrl = (action: ActionName): boolean => 'QueueUrl' in MODEL[action].input.members;

    it.each(ACTIONS)('%s', async (action) => {
      const input = await MATRIX[action].success(await makeWorld());
      const { status, body } = await api.harness.call(api.protocol, action, input);
      expect(status, body).toBe(200);
    });

    it.each(ACTIONS.filter(takesQueueUrl))('%s: QueueDoesNotExist and InvalidAddress', async (action) => {
      const input = await MATRIX[action].success(await makeWorld());
      await refusedAs(action, 'QueueDoesNotExist', { ...input, QueueUrl: queueUrl('nope') });
      await refusedAs(action, 'InvalidAddress', { ...input, QueueUrl: 'https://host/one' });
    });

    it.each(ACTIONS.filter((action) => !OPEN_TO_ALL.has(action)))('%s: AccessDenied', async (action) => {
      const input = await MATRIX[action].success(await makeWorld());
      await refusedAs(action, 'AccessDenied', input, { caller: callerWith([]) });
    });

    describe.each(ACTIONS.filter((action) => Object.keys(MATRIX[action].errors).length > 0))('%s', (action) => {
      // The keys of a row's errors are codes, by its type.
      it.each(Object.keys(MATRIX[action].errors) as SqsErrorCode[])('%s', async (code) => {
        const make = MATRIX[action].errors[code];
        if (make === undefined) throw new Error(`${action} has no way to ${code}`);
        await refusedAs(action, code, await make(await makeWorld()));
      });
    });
  },
  { inFlightLimit: IN_FLIGHT_LIMIT },
);

/** A well-formed handle of a task that never was. */
function taskHandle(): string {
  const task = { taskId: '11111111-1111-4111-8111-111111111111', sourceArn: DEAD };
  return Buffer.from(JSON.stringify(task)).toString('base64');
}
