import { describe, expect, it } from 'vitest';
import { StoreUnavailableError } from '../../runtime/store/store.ts';
import { describeApi } from './support/describe-api.ts';
import { ACCOUNT, discovered, ENDPOINT, queueArnText, queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const DOES_NOT_EXIST = {
  json: 'The specified queue does not exist.',
  query: 'The specified queue does not exist for this wsdl version.',
};

describeApi('CreateQueue, DeleteQueue, GetQueueUrl', (api) => {
  const create = (QueueName: string, Attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName, Attributes });

  it('creates a queue once, with the same attributes or with none', async () => {
    expect(await create('jobs', { DelaySeconds: '7' })).toEqual({ QueueUrl: URL });
    expect(await create('jobs', { DelaySeconds: '7' })).toEqual({ QueueUrl: URL });
    expect(await api.ok('CreateQueue', { QueueName: 'jobs' })).toEqual({ QueueUrl: URL });
  });

  it('creates a FIFO queue and one with tags', async () => {
    await create('jobs.fifo', { FifoQueue: 'true' });
    await create('jobs.fifo', { FifoQueue: 'true', ContentBasedDeduplication: 'false' });
    await api.ok('CreateQueue', { QueueName: 'tagged', tags: { team: 'a', stage: '' } });
    expect(await api.ok('ListQueueTags', { QueueUrl: queueUrl('tagged') })).toEqual({
      Tags: { team: 'a', stage: '' },
    });
  });

  it.each(['True', 'TRUE'])('takes %s for a truth, as Python writes it, and returns it in lower case', async (word) => {
    await create('jobs.fifo', { FifoQueue: word, ContentBasedDeduplication: word, SqsManagedSseEnabled: word });
    const AttributeNames = ['FifoQueue', 'ContentBasedDeduplication', 'SqsManagedSseEnabled'];
    const get = () => api.ok('GetQueueAttributes', { QueueUrl: queueUrl('jobs.fifo'), AttributeNames });
    const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'true', SqsManagedSseEnabled: 'true' };
    expect(await get()).toEqual({ Attributes });
    // The same queue, however its truths are written.
    expect(await create('jobs.fifo', Attributes)).toEqual({ QueueUrl: queueUrl('jobs.fifo') });
    const change = { FifoQueue: word, ContentBasedDeduplication: 'False' };
    await api.ok('SetQueueAttributes', { QueueUrl: queueUrl('jobs.fifo'), Attributes: change });
    expect(await get()).toEqual({ Attributes: { ...Attributes, ContentBasedDeduplication: 'false' } });
  });

  it('finds a queue that AWS names', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs', { delaySeconds: 3 })]);
    expect(await create('jobs', { DelaySeconds: '3' })).toEqual({ QueueUrl: URL });
    expect(await api.refused('CreateQueue', { QueueName: 'jobs', Attributes: { DelaySeconds: '4' } })).toEqual({
      status: 400,
      code: 'QueueAlreadyExists',
      message: 'A queue already exists with the same name and a different value for attribute DelaySeconds',
    });
  });

  it('refuses the name of a queue with other attributes', async () => {
    await create('jobs.fifo', { FifoQueue: 'true', ContentBasedDeduplication: 'true' });
    const Attributes = { FifoQueue: 'true', ContentBasedDeduplication: 'false' };
    expect(await api.refused('CreateQueue', { QueueName: 'jobs.fifo', Attributes })).toEqual({
      status: 400,
      code: 'QueueAlreadyExists',
      message:
        'A queue already exists with the same name and a different value for attribute ContentBasedDeduplication',
    });
  });

  it('forgets with a purge, and with a deletion, which deduplication ids were used', async () => {
    await create('jobs.fifo', { FifoQueue: 'true' });
    const QueueUrl = queueUrl('jobs.fifo');
    const send = (MessageBody: string) =>
      api.ok('SendMessage', { QueueUrl, MessageBody, MessageGroupId: 'g', MessageDeduplicationId: 'd' });
    const bodies = async () => (await api.ok('ReceiveMessage', { QueueUrl })).Messages?.map(({ Body }) => Body);
    await send('before the purge');
    await api.ok('PurgeQueue', { QueueUrl });
    await send('after the purge');
    await send('again');
    expect(await bodies()).toEqual(['after the purge']);
    await api.ok('DeleteQueue', { QueueUrl });
    await api.pass(60_001);
    await create('jobs.fifo', { FifoQueue: 'true' });
    await send('after the deletion');
    expect(await bodies()).toEqual(['after the deletion']);
  });

  it('refuses the name of a queue that was deleted in the last 60 seconds', async () => {
    await create('jobs');
    expect(await api.ok('DeleteQueue', { QueueUrl: URL })).toEqual({});
    expect(await api.refused('CreateQueue', { QueueName: 'jobs' })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.QueueDeletedRecently',
      message: 'You must wait 60 seconds after deleting a queue before you can create another with the same name.',
    });
    await api.pass(60_001);
    await create('jobs');
  });

  it('deletes a queue with its messages', async () => {
    await create('jobs');
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
    await api.ok('DeleteQueue', { QueueUrl: URL });
    expect(await api.refused('DeleteQueue', { QueueUrl: URL })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.NonExistentQueue',
      message: DOES_NOT_EXIST[api.protocol],
    });
    await api.pass(60_001);
    await create('jobs');
    expect((await api.ok('ReceiveMessage', { QueueUrl: URL })).Messages ?? []).toEqual([]);
  });

  it('does not delete a queue that AWS owns', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs')]);
    expect(await api.refused('DeleteQueue', { QueueUrl: URL })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.UnsupportedOperation',
      message:
        'DeleteQueue is not supported here: queue jobs belongs to AWS: change it in AWS, then sync (POST /sync).',
    });
  });

  it('deletes what is left over from AWS', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs')]);
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
    await api.harness.directory.applyDiscovery([]);
    expect(await api.refused('TagQueue', { QueueUrl: URL, Tags: { a: 'b' } })).toMatchObject({
      code: 'AWS.SimpleQueueService.UnsupportedOperation',
    });
    await api.ok('DeleteQueue', { QueueUrl: URL });
    expect(await api.ok('ListQueues', {})).not.toHaveProperty('QueueUrls.0');
  });

  it('answers the URL of a queue, of the own account or another', async () => {
    await create('jobs');
    expect(await api.ok('GetQueueUrl', { QueueName: 'jobs' })).toEqual({ QueueUrl: URL });
    const owned = { QueueName: 'jobs', QueueOwnerAWSAccountId: ACCOUNT };
    expect(await api.ok('GetQueueUrl', owned)).toEqual({ QueueUrl: URL });
    const foreign = { QueueName: 'jobs', QueueOwnerAWSAccountId: '999999999999' };
    for (const input of [foreign, { QueueName: 'nope' }, { QueueName: 'no such name' }]) {
      expect(await api.refused('GetQueueUrl', input)).toEqual({
        status: 400,
        code: 'AWS.SimpleQueueService.NonExistentQueue',
        message: DOES_NOT_EXIST[api.protocol],
      });
    }
  });

  it.each([{}, { QueueName: '' }])('refuses GetQueueUrl of %j', async (input) => {
    expect(await api.refused('GetQueueUrl', input)).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: 'Value for parameter QueueName is invalid. Reason: Must specify a queue name.',
    });
  });

  const badName = 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length';
  const badFifoName =
    'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length';
  it.each<[object, string, string]>([
    [{}, 'InvalidParameterValue', 'Value for parameter QueueName is invalid. Reason: Must specify a queue name.'],
    [{ QueueName: '' }, 'InvalidParameterValue', 'Queue name cannot be empty'],
    [{ QueueName: 'a b' }, 'InvalidParameterValue', badName],
    [{ QueueName: 'x'.repeat(81) }, 'InvalidParameterValue', badName],
    [{ QueueName: `${'x'.repeat(76)}.fifo`, Attributes: { FifoQueue: 'true' } }, 'InvalidParameterValue', badFifoName],
    [{ QueueName: 'jobs.fifo' }, 'InvalidParameterValue', badName],
    [{ QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'false' } }, 'InvalidParameterValue', badName],
    [{ QueueName: 'jobs', Attributes: { FifoQueue: 'true' } }, 'InvalidParameterValue', badFifoName],
    [{ QueueName: 'jobs', Attributes: { FifoQueue: 'false' } }, 'InvalidAttributeName', 'Unknown Attribute FifoQueue.'],
    [{ QueueName: 'jobs', Attributes: { Foo: '1' } }, 'InvalidAttributeName', 'Unknown Attribute Foo.'],
    [
      { QueueName: 'jobs', tags: { 'aws:x': '1' } },
      'InvalidParameterValue',
      'Tag keys cannot start with aws:, which is reserved for tags that AWS sets.',
    ],
  ])('refuses CreateQueue of %j', async (input, code, message) => {
    expect(await api.refused('CreateQueue', input)).toEqual({ status: 400, code, message });
    expect(await api.ok('ListQueues', {})).not.toHaveProperty('QueueUrls.0');
  });
});

describeApi('QueueUrl', (api) => {
  const send = (QueueUrl: string | undefined) => ({ QueueUrl, MessageBody: 'x' });

  it.each([
    'jobs',
    `/${ACCOUNT}/jobs`,
    `${ENDPOINT}/${ACCOUNT}/jobs`,
    `http://127.0.0.1:4000/k/secret-token/${ACCOUNT}/jobs`,
    `https://sqs.eu-central-1.amazonaws.com/${ACCOUNT}/jobs`,
    `https://sqs.eu-central-1.amazonaws.com/${ACCOUNT}/jobs/?x=/y/z#/w`,
  ])('%s names the queue', async (url) => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    await api.ok('SendMessage', send(url));
  });

  it.each([undefined, '', 'nope', `https://host/${ACCOUNT}/nope`, `https://host/999999999999/jobs`, 'https://host'])(
    '%s names no queue that exists',
    async (url) => {
      await api.ok('CreateQueue', { QueueName: 'jobs' });
      expect(await api.refused('SendMessage', send(url))).toEqual({
        status: 400,
        code: 'AWS.SimpleQueueService.NonExistentQueue',
        message: DOES_NOT_EXIST[api.protocol],
      });
    },
  );

  it('may be the path of the request; one among the parameters wins over it', async () => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    await api.ok('CreateQueue', { QueueName: 'other' });
    const path = `/${ACCOUNT}/jobs`;
    await api.ok('SendMessage', { MessageBody: 'by path' }, { path });
    await api.ok('SendMessage', { QueueUrl: queueUrl('other'), MessageBody: 'by parameter' }, { path });
    expect(await api.ok('ReceiveMessage', { QueueUrl: 'jobs' })).toMatchObject({ Messages: [{ Body: 'by path' }] });
    expect(await api.ok('ReceiveMessage', {}, { path: `/${ACCOUNT}/other` })).toMatchObject({
      Messages: [{ Body: 'by parameter' }],
    });
  });

  it.each([
    'AddPermission',
    'ChangeMessageVisibility',
    'ChangeMessageVisibilityBatch',
    'DeleteMessage',
    'DeleteMessageBatch',
    'DeleteQueue',
    'GetQueueAttributes',
    'ListDeadLetterSourceQueues',
    'ListQueueTags',
    'PurgeQueue',
    'ReceiveMessage',
    'RemovePermission',
    'SendMessage',
    'SendMessageBatch',
    'SetQueueAttributes',
    'TagQueue',
    'UntagQueue',
  ] as const)('of a queue that does not exist, or of something else, is refused by %s', async (action) => {
    const everything = {
      QueueUrl: queueUrl('nope'),
      Label: 'l',
      Actions: ['SendMessage'],
      AWSAccountIds: [ACCOUNT],
      ReceiptHandle: 'x',
      VisibilityTimeout: 1,
      Entries: [{ Id: 'a', MessageBody: 'x', ReceiptHandle: 'x', VisibilityTimeout: 1 }],
      MessageBody: 'x',
      Attributes: { DelaySeconds: '1' },
      Tags: { a: 'b' },
      TagKeys: ['a'],
    };
    expect(await api.refused(action, everything)).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.NonExistentQueue',
      message: DOES_NOT_EXIST[api.protocol],
    });
    expect(await api.refused(action, { ...everything, QueueUrl: 'https://host/some/jobs' })).toEqual({
      status: 404,
      code: 'InvalidAddress',
      message: 'The address https://host/some/jobs is not valid for this endpoint.',
    });
  });
});

describeApi('ListQueues and ListDeadLetterSourceQueues', (api) => {
  const create = (QueueName: string, Attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName, Attributes });

  it('answer nothing where there is nothing', async () => {
    expect(await api.ok('ListQueues', {})).toEqual({});
    await create('dead');
    expect(await api.ok('ListDeadLetterSourceQueues', { QueueUrl: queueUrl('dead') })).toEqual({});
  });

  it('list by name, by prefix and in pages', async () => {
    for (const name of ['b2', 'a', 'b1', 'c', 'b3']) await create(name);
    const urls = (names: readonly string[]) => names.map(queueUrl);
    expect(await api.ok('ListQueues', {})).toEqual({ QueueUrls: urls(['a', 'b1', 'b2', 'b3', 'c']) });
    expect(await api.ok('ListQueues', { QueueNamePrefix: 'b' })).toEqual({ QueueUrls: urls(['b1', 'b2', 'b3']) });
    const first = await api.ok('ListQueues', { QueueNamePrefix: 'b', MaxResults: 2 });
    expect(first).toEqual({ QueueUrls: urls(['b1', 'b2']), NextToken: expect.any(String) });
    const second = await api.ok('ListQueues', { QueueNamePrefix: 'b', MaxResults: 2, NextToken: first.NextToken });
    expect(second).toEqual({ QueueUrls: urls(['b3']) });
  });

  it('stay right when a queue goes between two pages', async () => {
    for (const name of ['a', 'b', 'c']) await create(name);
    const { NextToken } = await api.ok('ListQueues', { MaxResults: 1 });
    await api.ok('DeleteQueue', { QueueUrl: 'a' });
    expect(await api.ok('ListQueues', { MaxResults: 1, NextToken })).toMatchObject({ QueueUrls: [queueUrl('b')] });
  });

  it('answer at most 1,000 queues, without a token unless pages were asked for', async () => {
    const names = Array.from({ length: 1_001 }, (_, index) => `q${String(index).padStart(4, '0')}`);
    await api.harness.directory.applyDiscovery(names.map((name) => discovered(name)));
    const all = await api.ok('ListQueues', {});
    expect(all.QueueUrls).toHaveLength(1_000);
    expect(all).not.toHaveProperty('NextToken');
    const paged = await api.ok('ListQueues', { MaxResults: 1_000 });
    expect(await api.ok('ListQueues', { MaxResults: 1_000, NextToken: paged.NextToken })).toEqual({
      QueueUrls: [queueUrl('q1000')],
    });
  });

  it('list the sources of a dead-letter queue in pages', async () => {
    await create('dead');
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: queueArnText('dead'), maxReceiveCount: 5 });
    for (const name of ['s2', 's1', 's3']) await create(name, { RedrivePolicy });
    await create('unrelated');
    const input = { QueueUrl: queueUrl('dead') };
    const list = (extra: object = {}) => api.ok('ListDeadLetterSourceQueues', { ...input, ...extra });
    expect(await list()).toEqual({ queueUrls: ['s1', 's2', 's3'].map(queueUrl) });
    expect(await list({ MaxResults: 0 })).toEqual({ queueUrls: ['s1', 's2', 's3'].map(queueUrl) });
    const page = await list({ MaxResults: 2 });
    expect(page.queueUrls).toEqual(['s1', 's2'].map(queueUrl));
    expect(await list({ MaxResults: 2, NextToken: page.NextToken })).toEqual({ queueUrls: [queueUrl('s3')] });
  });

  describe.each(['ListQueues', 'ListDeadLetterSourceQueues'] as const)('%s', (action) => {
    it.each([-1, 1_001])('refuses pages of %d', async (MaxResults) => {
      await create('dead');
      expect(await api.refused(action, { QueueUrl: queueUrl('dead'), MaxResults })).toEqual({
        status: 400,
        code: 'InvalidParameterValue',
        message: 'Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and 1000.',
      });
    });

    it('refuses a token that it did not give', async () => {
      await create('dead');
      expect(await api.refused(action, { QueueUrl: queueUrl('dead'), NextToken: 'invalid' })).toEqual({
        status: 400,
        code: 'InvalidParameterValue',
        message: 'Invalid or expired next token.',
      });
    });
  });
});

describeApi('PurgeQueue', (api) => {
  it('removes every message, once a minute', async () => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    const send = () => api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
    const receive = async () => (await api.ok('ReceiveMessage', { QueueUrl: URL })).Messages ?? [];
    await send();
    expect(await api.ok('PurgeQueue', { QueueUrl: URL })).toEqual({});
    expect(await receive()).toEqual([]);
    await send();
    await api.pass(59_000);
    expect(await api.refused('PurgeQueue', { QueueUrl: URL })).toEqual({
      status: 403,
      code: 'AWS.SimpleQueueService.PurgeQueueInProgress',
      message: 'Only one PurgeQueue operation on jobs is allowed every 60 seconds.',
    });
    await api.pass(1_001);
    await api.ok('PurgeQueue', { QueueUrl: URL });
    expect(await receive()).toEqual([]);
  });

  it('may be tried again at once when it failed', async () => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x' });
    const { store } = api.harness;
    const purge = store.purge.bind(store);
    store.purge = () => Promise.reject(new StoreUnavailableError('the connection is gone'));
    expect(await api.refused('PurgeQueue', { QueueUrl: URL })).toMatchObject({ status: 503 });
    store.purge = purge;
    await api.ok('PurgeQueue', { QueueUrl: URL });
    expect((await api.ok('ReceiveMessage', { QueueUrl: URL })).Messages ?? []).toEqual([]);
  });

  it('forgets a queue that was deleted', async () => {
    await api.ok('CreateQueue', { QueueName: 'jobs' });
    await api.ok('PurgeQueue', { QueueUrl: URL });
    await api.ok('DeleteQueue', { QueueUrl: URL });
    expect(await api.harness.store.documents.list('purged-queue:')).toEqual(new Map());
  });
});
