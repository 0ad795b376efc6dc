/**
 * Which members stand in an answer that has nothing to put into them. Clients see the difference: the AWS SDK for Java
 * asks whether a batch `hasFailed()` by the presence of `Failed`. SQS leaves an empty list or map out in both
 * protocols, also where its model calls the member required.
 */
import { describe, expect, it } from 'vitest';
import { type ActionName, MODEL } from '../../runtime/sqs/protocol/model.ts';
import { type Shape, wireName } from '../../runtime/sqs/protocol/shape.ts';
import { type Api, describeApi } from './support/describe-api.ts';
import { queueArnText, queueUrl } from './support/harness.ts';
import { parseXml } from './support/wire.ts';

const URL = queueUrl('jobs');

interface EmptyMember {
  /** Gives the input of the call, after it made the world that the call needs. */
  readonly input: (api: Api) => Promise<object>;
  /** What stands beside the empty member, in the order of the model. */
  readonly beside: readonly string[];
}

const nothing = async () => ({ QueueUrl: URL });
const received = async (api: Api) => {
  await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
  return { QueueUrl: URL };
};
const receivedWithAttribute = async (api: Api) => {
  const MessageAttributes = { a: { DataType: 'String', StringValue: 'v' } };
  await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x', MessageAttributes });
  return { QueueUrl: URL, MessageAttributeNames: ['*'] };
};
const entries = (entry: object) => async () => ({ QueueUrl: URL, Entries: [{ Id: '1', ...entry }] });
const ofHandle = (entry: object) => async (api: Api) => {
  await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
  const { Messages: [message] = [] } = await api.ok('ReceiveMessage', { QueueUrl: URL });
  return { QueueUrl: URL, Entries: [{ Id: '1', ReceiptHandle: message?.ReceiptHandle, ...entry }] };
};
const MESSAGE = ['MessageId', 'ReceiptHandle', 'MD5OfBody', 'Body'];
const ATTRIBUTE = ['StringValue', 'DataType'];

/** A call for each list and map of each answer; its path says where the member stands. */
const EMPTY: Readonly<Record<string, EmptyMember>> = {
  'ChangeMessageVisibilityBatch.Successful': {
    input: entries({ ReceiptHandle: 'x', VisibilityTimeout: 1 }),
    beside: ['Failed'],
  },
  'ChangeMessageVisibilityBatch.Failed': { input: ofHandle({ VisibilityTimeout: 1 }), beside: ['Successful'] },
  'DeleteMessageBatch.Successful': { input: entries({ ReceiptHandle: 'x' }), beside: ['Failed'] },
  'DeleteMessageBatch.Failed': { input: ofHandle({}), beside: ['Successful'] },
  'GetQueueAttributes.Attributes': { input: nothing, beside: [] },
  'ListDeadLetterSourceQueues.queueUrls': { input: nothing, beside: [] },
  'ListMessageMoveTasks.Results': { input: async () => ({ SourceArn: queueArnText('jobs') }), beside: [] },
  'ListQueues.QueueUrls': { input: async () => ({ QueueNamePrefix: 'other' }), beside: [] },
  'ListQueueTags.Tags': { input: nothing, beside: [] },
  'ReceiveMessage.Messages': { input: nothing, beside: [] },
  'ReceiveMessage.Messages.Attributes': { input: received, beside: MESSAGE },
  'ReceiveMessage.Messages.MessageAttributes': { input: received, beside: MESSAGE },
  'ReceiveMessage.Messages.MessageAttributes.StringListValues': { input: receivedWithAttribute, beside: ATTRIBUTE },
  'ReceiveMessage.Messages.MessageAttributes.BinaryListValues': { input: receivedWithAttribute, beside: ATTRIBUTE },
  'SendMessageBatch.Successful': { input: entries({ MessageBody: '' }), beside: ['Failed'] },
  'SendMessageBatch.Failed': { input: entries({ MessageBody: 'x' }), beside: ['Successful'] },
};

/** The paths of all lists and maps in the answers of the model. */
function collections(shape: Shape, path: string): readonly string[] {
  switch (shape.kind) {
    case 'structure':
      return Object.entries(shape.members).flatMap(([name, member]) => collections(member, `${path}.${name}`));
    case 'list':
    case 'map':
      return [path, ...collections(shape.of, path)];
    default:
      return [];
  }
}

/** The names of the members beside the one at `path` in the answer of a call, by the model. */
function membersBeside(api: Api, action: ActionName, path: readonly string[], body: string): readonly string[] {
  const model = MODEL[action];
  if (!('output' in model)) throw new Error(`${action} has no answer`);
  let shape: Shape = model.output;
  let node: unknown;
  if (api.protocol === 'json') node = JSON.parse(body);
  else node = member(member(parseXml(body), `${action}Response`), `${action}Result`);
  for (const step of path.slice(0, -1)) {
    if (shape.kind !== 'structure') throw new Error(`${step} is no member of ${action}`);
    const next: Shape | undefined = shape.members[step];
    if (next?.kind !== 'list' && next?.kind !== 'map') throw new Error(`${step} is no collection of ${action}`);
    node = member(node, api.protocol === 'json' ? step : wireName(step, next));
    if (Array.isArray(node)) [node] = node;
    else if (next.kind === 'map')
      node = api.protocol === 'json' ? Object.values(node ?? {})[0] : member(node, next.value);
    shape = next.of;
  }
  if (shape.kind !== 'structure') throw new Error(`${path.join('.')} is no member of a structure`);
  const names = Object.entries(shape.members).map(([name, each]) => [wireName(name, each), name] as const);
  const given = Object.keys(typeof node === 'object' && node !== null ? node : {});
  if (api.protocol === 'json') return given;
  return given.map((name) => names.find(([wire]) => wire === name)?.[1] ?? name);
}

function member(node: unknown, name: string): unknown {
  return typeof node === 'object' && node !== null
    ? Object.entries(node).find(([key]) => key === name)?.[1]
    : undefined;
}

describe('the calls of this suite', () => {
  it('are one for each list and map that an answer can have', () => {
    const all = Object.entries(MODEL).flatMap(([action, model]) =>
      'output' in model ? collections(model.output, action) : [],
    );
    expect(Object.keys(EMPTY).sort()).toEqual([...all].sort());
  });
});

describeApi('an empty list or map of an answer', (api) => {
  it.each(Object.entries(EMPTY))('is left out: %s', async (path, { input, beside }) => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    const [action = '', ...steps] = path.split('.');
    // The keys of the table are the model's own, as the test above makes sure.
    const name = action as ActionName;
    const { status, body } = await api.harness.call(api.protocol, name, await input(api));
    expect(status).toBe(200);
    expect(membersBeside(api, name, steps, body)).toEqual(beside);
  });
});
