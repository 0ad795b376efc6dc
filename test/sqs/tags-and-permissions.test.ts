import { describe, expect, it } from 'vitest';
import { describeApi } from './support/describe-api.ts';
import { ACCOUNT, ANYBODY, discovered, queueArnText, queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const OWNED_BY_AWS = 'queue jobs belongs to AWS: change it in AWS, then sync (POST /sync).';

describeApi('TagQueue, UntagQueue, ListQueueTags', (api) => {
  const create = () => api.ok('CreateQueue', { QueueName: 'jobs' });
  const tag = (Tags: Record<string, string>) => api.ok('TagQueue', { QueueUrl: URL, Tags });
  const tags = async () => (await api.ok('ListQueueTags', { QueueUrl: URL })).Tags ?? {};

  it('add, replace and remove tags', async () => {
    await create();
    expect(await tags()).toEqual({});
    await tag({ tag1: 'value1', tag2: 'value2', tag3: '' });
    await tag({ tag1: 'é ü_.:/=+-@', 'key with spaces': 'x' });
    expect(await tags()).toEqual({ tag1: 'é ü_.:/=+-@', tag2: 'value2', tag3: '', 'key with spaces': 'x' });
    await api.ok('UntagQueue', { QueueUrl: URL, TagKeys: ['tag1', 'tag3', 'never there'] });
    expect(await tags()).toEqual({ tag2: 'value2', 'key with spaces': 'x' });
  });

  it('hold at most fifty', async () => {
    await create();
    const fifty = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`key${index}`, 'x']));
    await tag(fifty);
    await tag({ key0: 'y' });
    expect(await api.refused('TagQueue', { QueueUrl: URL, Tags: { another: 'x' } })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'Too many tags added for queue jobs.',
    });
  });

  it.each<[Record<string, string>, string]>([
    [{ '': 'x' }, 'Tag keys must be between 1 and 128 characters in length.'],
    [{ ['k'.repeat(129)]: 'x' }, 'Tag keys must be between 1 and 128 characters in length.'],
    [{ k: 'v'.repeat(257) }, 'Tag values must be between 0 and 256 characters in length.'],
    [{ 'AWS:k': 'x' }, 'Tag keys cannot start with aws:, which is reserved for tags that AWS sets.'],
    [JSON.parse('{"__proto__":"x"}'), 'Tag keys cannot be __proto__.'],
    [
      { 'a*b': 'x' },
      'Tag keys and values may only contain unicode letters, digits, white space, or one of _ . : / = + - @',
    ],
    [
      { a: '<b>' },
      'Tag keys and values may only contain unicode letters, digits, white space, or one of _ . : / = + - @',
    ],
  ])('refuse %j', async (Tags, message) => {
    await create();
    expect(await api.refused('TagQueue', { QueueUrl: URL, Tags })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message,
    });
  });

  it('need tags', async () => {
    await create();
    const missing = (parameter: string) => ({
      status: 400,
      code: 'MissingParameter',
      message: `The request must contain the parameter ${parameter}.`,
    });
    expect(await api.refused('TagQueue', { QueueUrl: URL, Tags: {} })).toEqual(missing('Tags'));
    expect(await api.refused('UntagQueue', { QueueUrl: URL, TagKeys: [] })).toEqual(missing('TagKeys'));
  });

  it('are read-only on a queue that AWS owns', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs')]);
    expect(await tags()).toEqual({ owner: 'aws' });
    expect(await api.refused('TagQueue', { QueueUrl: URL, Tags: { a: 'b' } })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.UnsupportedOperation',
      message: `TagQueue is not supported here: ${OWNED_BY_AWS}`,
    });
    expect(await api.refused('UntagQueue', { QueueUrl: URL, TagKeys: ['owner'] })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.UnsupportedOperation',
      message: `UntagQueue is not supported here: ${OWNED_BY_AWS}`,
    });
  });
});

describeApi('AddPermission and RemovePermission', (api) => {
  const create = () => api.ok('CreateQueue', { QueueName: 'jobs' });
  const permission = (extra: object = {}) => ({
    QueueUrl: URL,
    Label: 'label',
    Actions: ['SendMessage'],
    AWSAccountIds: [ACCOUNT],
    ...extra,
  });
  const add = (extra: object = {}) => api.ok('AddPermission', permission(extra));
  const refused = (extra: object = {}) => api.refused('AddPermission', permission(extra));
  const policy = async () => {
    const { Attributes } = await api.ok('GetQueueAttributes', { QueueUrl: URL, AttributeNames: ['Policy'] });
    return Attributes?.['Policy'] === undefined ? undefined : JSON.parse(Attributes['Policy']);
  };
  const statement = (Sid: string, extra: object = {}) => ({
    Sid,
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
    Action: 'SQS:SendMessage',
    Resource: queueArnText('jobs'),
    ...extra,
  });

  it('write and erase statements of the policy', async () => {
    await create();
    await add();
    await add({ Label: 'second', Actions: ['*'], AWSAccountIds: [ACCOUNT, '210987654321'] });
    const second = statement('second', {
      Action: 'SQS:*',
      Principal: { AWS: [`arn:aws:iam::${ACCOUNT}:root`, 'arn:aws:iam::210987654321:root'] },
    });
    expect(await policy()).toEqual({
      Version: '2008-10-17',
      Id: `${queueArnText('jobs')}/SQSDefaultPolicy`,
      Statement: [statement('label'), second],
    });
    await api.ok('RemovePermission', { QueueUrl: URL, Label: 'label' });
    expect(await policy()).toMatchObject({ Statement: [second] });
    await api.ok('RemovePermission', { QueueUrl: URL, Label: 'second' });
    expect(await policy()).toBeUndefined();
  });

  it('name accounts in the partition of the queue', async () => {
    const caller = { ...ANYBODY, region: 'cn-north-1' };
    await api.ok('CreateQueue', { QueueName: 'jobs' }, { caller });
    await api.ok('AddPermission', { QueueUrl: URL, Label: 'l', Actions: ['*'], AWSAccountIds: [ACCOUNT] }, { caller });
    const { Attributes } = await api.ok(
      'GetQueueAttributes',
      { QueueUrl: URL, AttributeNames: ['Policy'] },
      { caller },
    );
    expect(JSON.parse(Attributes?.['Policy'] ?? '')).toMatchObject({
      Statement: [
        {
          Principal: { AWS: `arn:aws-cn:iam::${ACCOUNT}:root` },
          Resource: `arn:aws-cn:sqs:cn-north-1:${ACCOUNT}:jobs`,
        },
      ],
    });
  });

  it('add to a policy that was set as a whole', async () => {
    await create();
    const own = { Version: '2012-10-17', Statement: { Sid: 'own', Effect: 'Deny' } };
    await api.ok('SetQueueAttributes', { QueueUrl: URL, Attributes: { Policy: JSON.stringify(own) } });
    await add({ Actions: ['SendMessage', 'DeleteMessage'] });
    expect(await policy()).toEqual({
      Version: '2012-10-17',
      Statement: [own.Statement, statement('label', { Action: ['SQS:SendMessage', 'SQS:DeleteMessage'] })],
    });
  });

  it('refuse a label that is there, or is not', async () => {
    await create();
    await add();
    expect(await refused({ Actions: ['DeleteMessage'] })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'Value label for parameter Label is invalid. Reason: Already exists.',
    });
    expect(await api.refused('RemovePermission', { QueueUrl: URL, Label: 'nope' })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: "Value nope for parameter Label is invalid. Reason: can't find label.",
    });
  });

  it('hold at most twenty statements', async () => {
    await create();
    for (let index = 0; index < 20; index += 1) await add({ Label: `label${index}` });
    expect(await refused({ Label: 'one-more' })).toEqual({
      status: 403,
      code: 'OverLimit',
      message: '21 Statements were found, maximum allowed is 20.',
    });
  });

  it('make no policy that is longer than one may be', async () => {
    await create();
    await add();
    const accounts = Array.from({ length: 250 }, (_, index) => String(100_000_000_000 + index));
    const refusal = await refused({ Label: 'wide', AWSAccountIds: accounts });
    expect(refusal).toMatchObject({ status: 403, code: 'OverLimit' });
    expect(refusal.message).toMatch(/^The policy would have \d+ bytes, maximum allowed is 8192\. /);
    expect(await policy()).toMatchObject({ Statement: [statement('label')] });
  });

  describe('refuse', () => {
    const eight = [
      'SendMessage',
      'ReceiveMessage',
      'DeleteMessage',
      'ChangeMessageVisibility',
      'GetQueueAttributes',
      'GetQueueUrl',
      'PurgeQueue',
      'ListDeadLetterSourceQueues',
    ];
    it.each<[object, number, string, string]>([
      [{ Label: '' }, 400, 'MissingParameter', 'The request must contain the parameter Label.'],
      [{ Actions: [] }, 400, 'MissingParameter', 'The request must contain the parameter ActionName.'],
      [{ AWSAccountIds: [] }, 400, 'MissingParameter', 'The request must contain the parameter AWSAccountIds.'],
      [
        { Label: 'a b' },
        400,
        'InvalidParameterValue',
        'Value a b for parameter Label is invalid. Reason: Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length',
      ],
      [{ Actions: eight }, 403, 'OverLimit', '8 Actions were found, maximum allowed is 7.'],
      [
        { Actions: ['CreateQueue'] },
        400,
        'InvalidParameterValue',
        'Value SQS:CreateQueue for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action.',
      ],
      [
        { Actions: ['SendMessageBatch'] },
        400,
        'InvalidParameterValue',
        'Value SQS:SendMessageBatch for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions.',
      ],
      [
        { AWSAccountIds: ['somebody'] },
        400,
        'InvalidParameterValue',
        'Value [somebody] for parameter PrincipalId is invalid. Reason: Unable to verify.',
      ],
    ])('%j', async (extra, status, code, message) => {
      await create();
      expect(await refused(extra)).toEqual({ status, code, message });
      expect(await policy()).toBeUndefined();
    });

    it('to touch a queue that AWS owns', async () => {
      await api.harness.directory.applyDiscovery([discovered('jobs')]);
      expect(await refused()).toEqual({
        status: 400,
        code: 'AWS.SimpleQueueService.UnsupportedOperation',
        message: `AddPermission is not supported here: ${OWNED_BY_AWS}`,
      });
      expect(await api.refused('RemovePermission', { QueueUrl: URL, Label: 'label' })).toMatchObject({
        code: 'AWS.SimpleQueueService.UnsupportedOperation',
      });
    });

    it('to remove a permission without a label', async () => {
      await create();
      expect(await api.refused('RemovePermission', { QueueUrl: URL })).toEqual({
        status: 400,
        code: 'MissingParameter',
        message: 'The request must contain the parameter Label.',
      });
    });
  });
});
