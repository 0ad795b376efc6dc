import { describe, expect, it } from 'vitest';
import { describeApi } from './support/describe-api.ts';
import { discovered, queueArnText, queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const FIFO_URL = queueUrl('jobs.fifo');
const SSE_EXCLUSIVE =
  'You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.';

describeApi('GetQueueAttributes and SetQueueAttributes', (api) => {
  const create = (Attributes: Record<string, string> = {}) => api.ok('CreateQueue', { QueueName: 'jobs', Attributes });
  const createFifo = (Attributes: Record<string, string> = {}) =>
    api.ok('CreateQueue', { QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'true', ...Attributes } });
  const get = async (names: readonly string[] = ['All'], QueueUrl = URL) =>
    (await api.ok('GetQueueAttributes', { QueueUrl, AttributeNames: names })).Attributes ?? {};
  const set = (Attributes: Record<string, string>, QueueUrl = URL) =>
    api.ok('SetQueueAttributes', { QueueUrl, Attributes });
  const refused = (Attributes: Record<string, string>, QueueUrl = URL) =>
    api.refused('SetQueueAttributes', { QueueUrl, Attributes });

  const DEFAULTS = {
    ApproximateNumberOfMessages: '0',
    ApproximateNumberOfMessagesDelayed: '0',
    ApproximateNumberOfMessagesNotVisible: '0',
    CreatedTimestamp: '1735689600',
    LastModifiedTimestamp: '1735689600',
    DelaySeconds: '0',
    MaximumMessageSize: '1048576',
    MessageRetentionPeriod: '345600',
    ReceiveMessageWaitTimeSeconds: '0',
    SqsManagedSseEnabled: 'true',
    VisibilityTimeout: '30',
  };

  it('answer the defaults of SQS', async () => {
    await create();
    expect(await get()).toEqual({ ...DEFAULTS, QueueArn: queueArnText('jobs') });
    await createFifo();
    expect(await get(['All'], FIFO_URL)).toEqual({
      ...DEFAULTS,
      QueueArn: queueArnText('jobs.fifo'),
      FifoQueue: 'true',
      ContentBasedDeduplication: 'false',
      DeduplicationScope: 'queue',
      FifoThroughputLimit: 'perQueue',
    });
  });

  it('answer what was asked for, and nothing if nothing was', async () => {
    await create();
    expect(await api.ok('GetQueueAttributes', { QueueUrl: URL })).not.toHaveProperty('Attributes.QueueArn');
    expect(await get([])).toEqual({});
    expect(await get(['QueueArn', 'DelaySeconds', 'Policy'])).toEqual({
      QueueArn: queueArnText('jobs'),
      DelaySeconds: '0',
    });
    expect(await get(['FifoQueue'])).toEqual({});
    expect(await api.refused('GetQueueAttributes', { QueueUrl: URL, AttributeNames: ['QueueArn', 'Foo'] })).toEqual({
      status: 400,
      code: 'InvalidAttributeName',
      message: 'Unknown Attribute Foo.',
    });
  });

  it('count visible, delayed and hidden messages', async () => {
    await create();
    for (const DelaySeconds of [0, 0, 0, 60]) {
      await api.ok('SendMessage', { QueueUrl: URL, MessageBody: 'x', DelaySeconds });
    }
    await api.ok('ReceiveMessage', { QueueUrl: URL });
    expect(await get()).toMatchObject({
      ApproximateNumberOfMessages: '2',
      ApproximateNumberOfMessagesNotVisible: '1',
      ApproximateNumberOfMessagesDelayed: '1',
    });
  });

  it('set, and say when', async () => {
    await create({ VisibilityTimeout: '20', SqsManagedSseEnabled: 'false' });
    await api.pass(5_000);
    await set({ VisibilityTimeout: '69', DelaySeconds: '420', MaximumMessageSize: '2048' });
    expect(await get()).toMatchObject({
      VisibilityTimeout: '69',
      DelaySeconds: '420',
      MaximumMessageSize: '2048',
      SqsManagedSseEnabled: 'false',
      CreatedTimestamp: '1735689600',
      LastModifiedTimestamp: '1735689605',
    });
  });

  it('keep what two callers set at one time', async () => {
    await create();
    await Promise.all([
      set({ VisibilityTimeout: '69' }),
      set({ DelaySeconds: '42' }),
      api.ok('TagQueue', { QueueUrl: URL, Tags: { a: '1' } }),
      api.ok('TagQueue', { QueueUrl: URL, Tags: { b: '2' } }),
    ]);
    expect(await get()).toMatchObject({ VisibilityTimeout: '69', DelaySeconds: '42' });
    expect(await api.ok('ListQueueTags', { QueueUrl: URL })).toEqual({ Tags: { a: '1', b: '2' } });
  });

  it('know one kind of encryption at a time', async () => {
    await create();
    await set({ KmsMasterKeyId: 'alias/aws/sqs' });
    const names = ['KmsMasterKeyId', 'KmsDataKeyReusePeriodSeconds', 'SqsManagedSseEnabled'];
    expect(await get(names)).toEqual({
      KmsMasterKeyId: 'alias/aws/sqs',
      KmsDataKeyReusePeriodSeconds: '300',
      SqsManagedSseEnabled: 'false',
    });
    await set({ KmsDataKeyReusePeriodSeconds: '6000' });
    expect(await get(names)).toMatchObject({ KmsDataKeyReusePeriodSeconds: '6000' });
    await set({ SqsManagedSseEnabled: 'true' });
    expect(await get(names)).toEqual({ SqsManagedSseEnabled: 'true' });
    expect(await refused({ SqsManagedSseEnabled: 'true', KmsMasterKeyId: 'k' })).toEqual({
      status: 400,
      code: 'InvalidAttributeName',
      message: SSE_EXCLUSIVE,
    });
  });

  it('keep a policy as it is, and take it away', async () => {
    await create();
    const Policy = '{ "Version": "2012-10-17",\n "Statement": {"Sid": "é"} }';
    await set({ Policy });
    expect(await get(['Policy'])).toEqual({ Policy });
    await set({ Policy: '' });
    expect(await get(['Policy'])).toEqual({});
  });

  it('normalize redrive policies, and take them away', async () => {
    await api.ok('CreateQueue', { QueueName: 'dead' });
    await create();
    const arn = queueArnText('dead');
    await set({ RedrivePolicy: `{"maxReceiveCount": "5", "deadLetterTargetArn": "${arn}"}` });
    await set({ RedriveAllowPolicy: `{"sourceQueueArns": ["${arn}"], "redrivePermission": "byQueue"}` });
    expect(await get(['RedrivePolicy', 'RedriveAllowPolicy'])).toEqual({
      RedrivePolicy: `{"deadLetterTargetArn":"${arn}","maxReceiveCount":5}`,
      RedriveAllowPolicy: `{"redrivePermission":"byQueue","sourceQueueArns":["${arn}"]}`,
    });
    await set({ RedriveAllowPolicy: '{"redrivePermission": "allowAll", "sourceQueueArns": null}' });
    expect(await get(['RedriveAllowPolicy'])).toEqual({ RedriveAllowPolicy: '{"redrivePermission":"allowAll"}' });
    await set({ RedrivePolicy: '', RedriveAllowPolicy: '' });
    expect(await get(['RedrivePolicy', 'RedriveAllowPolicy'])).toEqual({});
  });

  it('let a queue be its own dead-letter queue', async () => {
    await create();
    await set({ RedrivePolicy: JSON.stringify({ deadLetterTargetArn: queueArnText('jobs'), maxReceiveCount: 2 }) });
  });

  it('enforce the RedriveAllowPolicy of the dead-letter queue', async () => {
    const policy = (permission: object) => ({ RedriveAllowPolicy: JSON.stringify(permission) });
    await api.ok('CreateQueue', { QueueName: 'dead', Attributes: policy({ redrivePermission: 'denyAll' }) });
    await create();
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: queueArnText('dead'), maxReceiveCount: 2 });
    expect(await refused({ RedrivePolicy })).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message: `Value ${RedrivePolicy} for parameter RedrivePolicy is invalid. Reason: The RedriveAllowPolicy of the dead-letter queue does not permit this source queue.`,
    });
    const other = { redrivePermission: 'byQueue', sourceQueueArns: [queueArnText('other')] };
    await set(policy(other), queueUrl('dead'));
    expect(await refused({ RedrivePolicy })).toMatchObject({ code: 'InvalidParameterValue' });
    const both = { ...other, sourceQueueArns: [queueArnText('other'), queueArnText('jobs')] };
    await set(policy(both), queueUrl('dead'));
    await set({ RedrivePolicy });
  });

  it('set FIFO throughput together with the deduplication scope', async () => {
    await createFifo();
    expect(await refused({ FifoThroughputLimit: 'perMessageGroupId' }, FIFO_URL)).toEqual({
      status: 400,
      code: 'InvalidAttributeValue',
      message: 'The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup',
    });
    await set({ FifoThroughputLimit: 'perMessageGroupId', DeduplicationScope: 'messageGroup' }, FIFO_URL);
    await set({ FifoQueue: 'true', ContentBasedDeduplication: 'true' }, FIFO_URL);
    expect(await get(['All'], FIFO_URL)).toMatchObject({
      FifoThroughputLimit: 'perMessageGroupId',
      DeduplicationScope: 'messageGroup',
      ContentBasedDeduplication: 'true',
    });
  });

  it('are refused on a queue that AWS owns, but can be read', async () => {
    await api.harness.directory.applyDiscovery([discovered('jobs', { delaySeconds: 9 })]);
    expect(await get(['DelaySeconds'])).toEqual({ DelaySeconds: '9' });
    expect(await refused({ DelaySeconds: '1' })).toEqual({
      status: 400,
      code: 'AWS.SimpleQueueService.UnsupportedOperation',
      message:
        'SetQueueAttributes is not supported here: queue jobs belongs to AWS: change it in AWS, then sync (POST /sync).',
    });
  });

  it('need attributes to set', async () => {
    await create();
    expect(await refused({})).toEqual({
      status: 400,
      code: 'MissingParameter',
      message: 'The request must contain the parameter Attribute.Name.',
    });
  });

  describe('refuse', () => {
    it.each<[string, readonly string[]]>([
      ['DelaySeconds', ['', ' 6', '-45', '901', '544.43', 'true', '1e2', '0x10']],
      ['MaximumMessageSize', ['', '1023', '1048577', '2000.4']],
      ['MessageRetentionPeriod', ['59', '1209601']],
      ['ReceiveMessageWaitTimeSeconds', ['-1', '21']],
      ['VisibilityTimeout', ['-1', '43201', '99999999999999999999']],
      ['KmsDataKeyReusePeriodSeconds', ['59', '86401']],
      ['SqsManagedSseEnabled', ['yes', '1', '']],
      ['Policy', ['x', '[]', '"x"', '{"Statement": 5}', ` {"a":"${'x'.repeat(8_192)}"}`]],
      ['KmsMasterKeyId', ['k'.repeat(2_049)]],
    ])('bad values of %s', async (name, values) => {
      await create();
      for (const value of values) {
        expect(await refused({ [name]: value })).toEqual({
          status: 400,
          code: 'InvalidAttributeValue',
          message: `Invalid value for the parameter ${name}.`,
        });
      }
    });

    it.each(['ContentBasedDeduplication', 'DeduplicationScope', 'FifoThroughputLimit'])(
      'bad values of %s',
      async (name) => {
        await createFifo();
        expect(await refused({ [name]: 'x' }, FIFO_URL)).toEqual({
          status: 400,
          code: 'InvalidAttributeValue',
          message: `Invalid value for the parameter ${name}.`,
        });
      },
    );

    it.each<[string, string]>([
      ['Foo', 'Unknown Attribute Foo.'],
      ['All', 'Unknown Attribute All.'],
      ['QueueArn', 'Unknown Attribute QueueArn.'],
      ['constructor', 'Unknown Attribute constructor.'],
      ['FifoQueue', 'Unknown Attribute FifoQueue.'],
      ['ContentBasedDeduplication', 'Unknown Attribute ContentBasedDeduplication.'],
      ['DeduplicationScope', 'You can specify the DeduplicationScope only when FifoQueue is set to true.'],
      ['FifoThroughputLimit', 'You can specify the FifoThroughputLimit only when FifoQueue is set to true.'],
    ])('%s on a standard queue', async (name, message) => {
      await create();
      expect(await refused({ [name]: 'true' })).toEqual({ status: 400, code: 'InvalidAttributeName', message });
    });

    it('another type of an existing queue', async () => {
      await createFifo();
      expect(await refused({ FifoQueue: 'false' }, FIFO_URL)).toEqual({
        status: 400,
        code: 'InvalidAttributeValue',
        message: 'Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.',
      });
    });

    it('a policy of more than twenty statements', async () => {
      await create();
      const Policy = JSON.stringify({ Statement: Array.from({ length: 22 }, () => ({})) });
      expect(await refused({ Policy })).toEqual({
        status: 403,
        code: 'OverLimit',
        message: '22 statements were found in the submitted policy, max allowed is 20',
      });
    });

    const dead = queueArnText('dead');
    it.each<[string, string]>([
      ['{}', 'Redrive policy does not contain mandatory attribute: maxReceiveCount.'],
      ['{"maxReceiveCount":5}', 'Redrive policy does not contain mandatory attribute: deadLetterTargetArn.'],
      ['{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}', 'Invalid value for deadLetterTargetArn.'],
      [`{"deadLetterTargetArn":5,"maxReceiveCount":42}`, 'Invalid value for deadLetterTargetArn.'],
      [
        `{"deadLetterTargetArn":"${dead}","maxReceiveCount":0}`,
        'Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.',
      ],
      [
        `{"deadLetterTargetArn":"${dead}","maxReceiveCount":1001}`,
        'Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.',
      ],
      ...[
        ['{"toString":1}', 'a map'],
        ['[[1]]', 'a list'],
        ['null', 'null'],
        ['"5.5"', '5.5'],
      ].map(([count, shown]): [string, string] => [
        `{"deadLetterTargetArn":"${dead}","maxReceiveCount":${count}}`,
        `Invalid value for maxReceiveCount: ${shown}, valid values are from 1 to 1000 both inclusive.`,
      ]),
      [
        `{"deadLetterTargetArn":"${dead}","maxReceiveCount":5,"x":1}`,
        'Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].',
      ],
      [
        '{"deadLetterTargetArn":"arn:aws:sns:eu-central-1:123456789012:t","maxReceiveCount":5}',
        'Only SQS queues are valid resources for deadLetterTargetArn.',
      ],
      [
        '{"deadLetterTargetArn":"arn:aws:sqs:eu-central-1:123456789012:a b","maxReceiveCount":5}',
        'Invalid value for deadLetterTargetArn.',
      ],
      [`{"deadLetterTargetArn":"${dead}","maxReceiveCount":5}`, 'Dead letter target does not exist.'],
      [
        `{"deadLetterTargetArn":"${dead}.fifo","maxReceiveCount":5}`,
        'Dead-letter queue must be same type of queue as the source.',
      ],
    ])('the redrive policy %s', async (RedrivePolicy, reason) => {
      await create();
      expect(await refused({ RedrivePolicy })).toEqual({
        status: 400,
        code: 'InvalidParameterValue',
        message: `Value ${RedrivePolicy} for parameter RedrivePolicy is invalid. Reason: ${reason}`,
      });
    });

    it.each([' ', '4', '[]', 'null', '{"a"'])('the redrive policy %j, which is no map', async (RedrivePolicy) => {
      await create();
      expect(await refused({ RedrivePolicy })).toEqual({
        status: 400,
        code: 'InvalidAttributeValue',
        message: 'Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a valid JSON map.',
      });
    });

    it('a redrive policy without an end', async () => {
      await create();
      const count = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
      const RedrivePolicy = `{"deadLetterTargetArn":"${dead}","maxReceiveCount":${count}}`;
      expect(await refused({ RedrivePolicy })).toMatchObject({ status: 400, code: 'InvalidAttributeValue' });
    });

    it.each([
      'x',
      '[]',
      '{}',
      '{"redrivePermission":"dummy"}',
      '{"redrivePermission":"allowAll","dummy":1}',
      '{"redrivePermission":"byQueue","sourceQueueArns":"x"}',
      '{"redrivePermission":"byQueue","sourceQueueArns":[{}]}',
    ])('the redrive allow policy %s, which is none', async (RedriveAllowPolicy) => {
      await create();
      expect(await refused({ RedriveAllowPolicy })).toEqual({
        status: 400,
        code: 'InvalidAttributeValue',
        message:
          "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.",
      });
    });

    it.each<[object, string]>([
      [
        { redrivePermission: 'byQueue' },
        'When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.',
      ],
      [
        { redrivePermission: 'byQueue', sourceQueueArns: [] },
        'When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.',
      ],
      [
        { redrivePermission: 'byQueue', sourceQueueArns: null },
        'When you specify the byQueue permission type, you must also specify one or more sourceQueueArns values.',
      ],
      [
        { redrivePermission: 'byQueue', sourceQueueArns: Array.from({ length: 11 }, () => dead) },
        'The maximum number of source queue ARNs you can specify is 10.',
      ],
      [
        { redrivePermission: 'denyAll', sourceQueueArns: [dead] },
        'To specify one or more source queue ARNs, you must set redrivePermission to byQueue.',
      ],
    ])('the redrive allow policy %j', async (policy, reason) => {
      await create();
      const RedriveAllowPolicy = JSON.stringify(policy);
      expect(await refused({ RedriveAllowPolicy })).toEqual({
        status: 400,
        code: 'InvalidParameterValue',
        message: `Value ${RedriveAllowPolicy} for parameter RedriveAllowPolicy is invalid. Reason: Amazon SQS can't create the redrive allow policy. ${reason}`,
      });
    });
  });
});
