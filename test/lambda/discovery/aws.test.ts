import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatQueueArn } from '../../../runtime/queue/arn.ts';
import { DENIED, FUNCTION, QUEUE, ScriptedAws, THROTTLED, wireMapping } from './scripted-aws.ts';

const MAPPING_ARN = 'arn:aws:lambda:us-east-1:123456789012:event-source-mapping';

describe('discovery from AWS', () => {
  let aws: ScriptedAws;

  beforeEach(async () => {
    aws = new ScriptedAws();
    await aws.start();
  });
  afterEach(() => aws.stop());

  it('M1 serves disabled mappings of queues alone; those in any other state are foreign', async () => {
    aws.script.pages = [
      [
        wireMapping('a'),
        wireMapping('b', { State: 'Enabled' }),
        wireMapping('c', { State: 'Disabling' }),
        wireMapping('d', { EventSourceArn: 'arn:aws:kinesis:us-east-1:123456789012:stream/x' }),
        wireMapping('e', { EventSourceArn: null }),
      ],
    ];
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings.map(({ uuid }) => uuid)).toEqual(['a']);
    expect(found.foreign).toEqual([
      expect.objectContaining({ uuid: 'b', state: 'Enabled', functionArn: FUNCTION }),
      expect.objectContaining({ uuid: 'c', state: 'Disabling' }),
    ]);
    expect(found.broken).toEqual([]);
    expect(found.problems).toBeUndefined();
  });

  it('M2 reads every page, a hundred at a time and without a filter, and goes on after an empty page that has a marker', async () => {
    const many = Array.from({ length: 230 }, (_, index) => wireMapping(`m${String(index).padStart(3, '0')}`));
    aws.script.pages = [many.slice(0, 100), [], many.slice(100, 200), many.slice(200)];
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings).toHaveLength(230);
    expect(aws.take().filter((call) => call.startsWith('ListEventSourceMappings'))).toEqual([
      'ListEventSourceMappings 0 MaxItems',
      'ListEventSourceMappings 1 MaxItems',
      'ListEventSourceMappings 2 MaxItems',
      'ListEventSourceMappings 3 MaxItems',
    ]);
  });

  it('M3 keeps aliases, versions and $LATEST as given, and asks for the timeout of exactly those', async () => {
    const qualified = [FUNCTION, `${FUNCTION}:live`, `${FUNCTION}:3`, `${FUNCTION}:$LATEST`];
    aws.script.pages = [qualified.map((FunctionArn, index) => wireMapping(`m${index}`, { FunctionArn }))];
    qualified.forEach((arn, index) => {
      aws.script.functions[arn] = { Timeout: 10 + index, State: 'Active' };
    });
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings.map((mapping) => [mapping.functionArn, mapping.functionTimeoutSeconds])).toEqual(
      qualified.map((arn, index) => [arn, 10 + index]),
    );
  });

  it('M4 reports a mapping whose function is gone, keeps its queue, and serves the others', async () => {
    const orphan = { FunctionArn: `${FUNCTION}-gone`, EventSourceArn: `${QUEUE}-orphaned` };
    aws.script.pages = [[wireMapping('a', orphan), wireMapping('b')]];
    aws.script.queues['123456789012/jobs-orphaned'] = { attributes: { VisibilityTimeout: '77' } };
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings.map(({ uuid }) => uuid)).toEqual(['b']);
    expect(found.broken).toEqual([
      expect.objectContaining({
        uuid: 'a',
        functionArn: `${FUNCTION}-gone`,
        reason: expect.stringContaining(`the function ${FUNCTION}-gone does not exist`),
      }),
    ]);
    expect(found.queues.map(({ arn, attributes }) => [arn.name, attributes.visibilityTimeoutSeconds])).toEqual([
      ['jobs', 30],
      ['jobs-orphaned', 77],
    ]);
  });

  it.each(['Failed', 'ActiveNonInvocable', 'Deleting'])('reports a mapping whose function is %s', async (State) => {
    aws.script.pages = [[wireMapping('a')]];
    aws.script.functions[FUNCTION] = { Timeout: 3, State, StateReason: 'because' };
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings).toEqual([]);
    expect(found.broken[0]?.reason).toContain(`is in state ${State}: because`);
  });

  it.each(['Active', 'Pending', 'Inactive'])('serves a mapping whose function is %s', async (State) => {
    aws.script.pages = [[wireMapping('a')]];
    aws.script.functions[FUNCTION] = { Timeout: 3, State };
    expect((await aws.source().discover(undefined, false)).mappings).toHaveLength(1);
  });

  describe('M6 filters under a customer key', () => {
    const encrypted = { KMSKeyArn: 'arn:aws:kms:us-east-1:123456789012:key/k' };

    it('asks GetEventSourceMapping for them, and only for such mappings', async () => {
      aws.script.pages = [[wireMapping('plain'), wireMapping('secret', encrypted)]];
      aws.script.whole['secret'] = { FilterCriteria: { Filters: [{ Pattern: '{"body":{"a":[1]}}' }] } };
      const found = await aws.source().discover(undefined, false);
      expect(found.mappings.map(({ filterPatterns }) => filterPatterns)).toEqual([[], ['{"body":{"a":[1]}}']]);
      expect(aws.take().filter((call) => call.startsWith('GetEventSourceMapping'))).toEqual([
        'GetEventSourceMapping secret',
      ]);
    });

    it('does not serve the mapping when AWS cannot decrypt them', async () => {
      const failure = { ErrorCode: 'KMSAccessDenied', Message: 'no key' };
      aws.script.pages = [[wireMapping('a', { FilterCriteriaError: failure }), wireMapping('secret', encrypted)]];
      aws.script.whole['secret'] = { FilterCriteria: null, FilterCriteriaError: failure };
      const found = await aws.source().discover(undefined, false);
      expect(found.mappings).toEqual([]);
      expect(found.broken.map(({ uuid }) => uuid)).toEqual(['a', 'secret']);
      expect(found.broken[1]?.reason).toContain('KMSAccessDenied: no key');
      expect(found.broken[1]?.reason).toContain('kms:Decrypt');
    });

    it('does not serve the mapping when it may not be read', async () => {
      aws.script.pages = [[wireMapping('secret', encrypted)]];
      aws.script.whole['secret'] = DENIED;
      const found = await aws.source().discover(undefined, false);
      expect(found.mappings).toEqual([]);
      expect(found.broken[0]?.reason).toContain('lambda:GetEventSourceMapping');
    });
  });

  it('M8 keeps queues of one name in two accounts apart', async () => {
    const other = QUEUE.replace('123456789012', '999999999999');
    aws.script.pages = [[wireMapping('a'), wireMapping('b', { EventSourceArn: other })]];
    aws.script.queues['123456789012/jobs'] = { attributes: { VisibilityTimeout: '60' } };
    aws.script.queues['999999999999/jobs'] = { attributes: { VisibilityTimeout: '90' } };
    const found = await aws.source().discover(undefined, false);
    expect(
      found.queues.map(({ arn, attributes }) => [formatQueueArn(arn), attributes.visibilityTimeoutSeconds]),
    ).toEqual([
      [QUEUE, 60],
      [other, 90],
    ]);
  });

  it('reads the settings of a mapping and its tags', async () => {
    aws.script.pages = [
      [
        wireMapping('a', {
          BatchSize: 500,
          MaximumBatchingWindowInSeconds: 20,
          FilterCriteria: { Filters: [{ Pattern: '{"body":["x"]}' }, { Pattern: '{"body":["y"]}' }] },
          FunctionResponseTypes: ['ReportBatchItemFailures'],
          ScalingConfig: { MaximumConcurrency: 7 },
        }),
        wireMapping('b', { ProvisionedPollerConfig: { MinimumPollers: 2, MaximumPollers: 5 } }),
        wireMapping('c', { ProvisionedPollerConfig: { MinimumPollers: 2 } }),
      ],
    ];
    aws.script.tags[`${MAPPING_ARN}:a`] = { 'karin:managed': 'true' };
    const [a, b, c] = (await aws.source().discover(undefined, false)).mappings;
    expect(a).toEqual({
      uuid: 'a',
      mappingArn: `${MAPPING_ARN}:a`,
      queueArn: { partition: 'aws', region: 'us-east-1', account: '123456789012', name: 'jobs' },
      functionArn: FUNCTION,
      batchSize: 500,
      batchWindowSeconds: 20,
      filterPatterns: ['{"body":["x"]}', '{"body":["y"]}'],
      reportBatchItemFailures: true,
      maximumConcurrency: 7,
      functionTimeoutSeconds: 30,
      lastModified: 1_789_481_238_763,
      tags: { 'karin:managed': 'true' },
    });
    expect(b).toMatchObject({ startConcurrency: 20, maximumConcurrency: 50 });
    expect(c).toMatchObject({ startConcurrency: 20, maximumConcurrency: 2000 });
  });

  describe('queues', () => {
    const redrive = (name: string): Record<string, string> => ({
      RedrivePolicy: JSON.stringify({
        deadLetterTargetArn: `arn:aws:sqs:us-east-1:123456789012:${name}`,
        maxReceiveCount: '3',
      }),
    });

    it('follows redrive policies to their end, round loops too', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.queues = {
        '123456789012/jobs': { attributes: redrive('dead') },
        '123456789012/dead': { attributes: redrive('deader') },
        '123456789012/deader': { attributes: redrive('jobs') },
      };
      const found = await aws.source().discover(undefined, false);
      expect(found.queues.map(({ arn }) => arn.name)).toEqual(['dead', 'deader', 'jobs']);
      expect(found.queues[0]?.attributes.redrivePolicy).toEqual({
        deadLetterTargetArn: 'arn:aws:sqs:us-east-1:123456789012:deader',
        maxReceiveCount: 3,
      });
    });

    it('reads every attribute and the tags', async () => {
      aws.script.pages = [[wireMapping('a', { EventSourceArn: `${QUEUE}.fifo` })]];
      aws.script.queues['123456789012/jobs.fifo'] = {
        tags: { team: 'blue', app: 'shop' },
        attributes: {
          VisibilityTimeout: '61',
          DelaySeconds: '2',
          MessageRetentionPeriod: '600',
          MaximumMessageSize: '2048',
          ReceiveMessageWaitTimeSeconds: '4',
          FifoQueue: 'true',
          ContentBasedDeduplication: 'true',
          DeduplicationScope: 'messageGroup',
          FifoThroughputLimit: 'perMessageGroupId',
          RedriveAllowPolicy: '{"redrivePermission":"byQueue","sourceQueueArns":["arn:x"]}',
          Policy: '{"Version":"2012-10-17"}',
          KmsMasterKeyId: 'alias/k',
          KmsDataKeyReusePeriodSeconds: '120',
          SqsManagedSseEnabled: 'false',
        },
      };
      const [queue] = (await aws.source().discover(undefined, false)).queues;
      expect(queue?.tags).toEqual({ app: 'shop', team: 'blue' });
      expect(queue?.attributes).toEqual({
        visibilityTimeoutSeconds: 61,
        delaySeconds: 2,
        messageRetentionPeriodSeconds: 600,
        maximumMessageSizeBytes: 2048,
        receiveMessageWaitTimeSeconds: 4,
        contentBasedDeduplication: true,
        deduplicationScope: 'messageGroup',
        fifoThroughputLimit: 'perMessageGroupId',
        redriveAllowPolicy: { redrivePermission: 'byQueue', sourceQueueArns: ['arn:x'] },
        policy: '{"Version":"2012-10-17"}',
        kmsMasterKeyId: 'alias/k',
        kmsDataKeyReusePeriodSeconds: 120,
        sqsManagedSseEnabled: false,
      });
    });

    it('counts what still sits in the real queue: visible, delayed and in flight', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.queues['123456789012/jobs'] = {
        attributes: {
          ApproximateNumberOfMessages: '4',
          ApproximateNumberOfMessagesDelayed: '2',
          ApproximateNumberOfMessagesNotVisible: '1',
          ...redrive('dead'),
        },
      };
      // Dead letters of the past are where their owner looks for them.
      aws.script.queues['123456789012/dead'] = { attributes: { ApproximateNumberOfMessages: '9' } };
      expect((await aws.source().discover(undefined, false)).waitingInSqs).toEqual({ [QUEUE]: 7 });
    });

    it('serves a queue that may not be read with the defaults of AWS, and says so', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.queues['123456789012/jobs'] = { refusal: { status: 403, code: 'AccessDenied', message: 'no' } };
      const found = await aws.source().discover(undefined, false);
      expect(found.mappings).toHaveLength(1);
      expect(found.queues[0]?.attributes.visibilityTimeoutSeconds).toBe(30);
      expect(found.problems?.map(({ text }) => text)).toEqual([
        expect.stringMatching(
          /attributes of queue .*:jobs cannot be read, AWS's default.*allow sqs:GetQueueAttributes/,
        ),
      ]);
    });

    it('does not serve a mapping whose queue is gone', async () => {
      aws.script.pages = [[wireMapping('a', { EventSourceArn: `${QUEUE}-gone` }), wireMapping('b')]];
      const found = await aws.source().discover(undefined, false);
      expect(found.mappings.map(({ uuid }) => uuid)).toEqual(['b']);
      expect(found.broken[0]?.reason).toContain(`the queue ${QUEUE}-gone does not exist in AWS any more`);
    });
  });

  describe('what is asked again', () => {
    it('is nothing but the list while nothing changes', async () => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b', { FunctionArn: `${FUNCTION}-gone` })]];
      const source = aws.source();
      const first = await source.discover(undefined, false);
      aws.take();
      const second = await source.discover(first, false);
      expect(aws.take()).toEqual(['ListEventSourceMappings 0 MaxItems']);
      expect(second).toEqual(first);
    });

    it('is the details of what changed, and of the queue it draws from', async () => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b', { EventSourceArn: `${QUEUE}2` })]];
      aws.script.queues['123456789012/jobs2'] = {};
      const source = aws.source();
      const first = await source.discover(undefined, false);
      aws.take();
      aws.script.pages = [
        [
          wireMapping('a', { LastModified: 1_789_481_299, BatchSize: 5 }),
          wireMapping('b', { EventSourceArn: `${QUEUE}2` }),
        ],
      ];
      const second = await source.discover(first, false);
      expect(second.mappings.map(({ batchSize }) => batchSize)).toEqual([5, 10]);
      expect(aws.take()).toEqual([
        `GetFunctionConfiguration ${FUNCTION}`,
        'GetQueueAttributes 123456789012/jobs',
        'ListEventSourceMappings 0 MaxItems',
        'ListQueueTags 123456789012/jobs',
        `ListTags ${MAPPING_ARN}:a`,
      ]);
    });

    it('is everything on a full read', async () => {
      aws.script.pages = [[wireMapping('a')]];
      const source = aws.source();
      const first = await source.discover(undefined, false);
      aws.take();
      aws.script.functions[FUNCTION] = { Timeout: 77, State: 'Active' };
      const second = await source.discover(first, true);
      expect(second.mappings[0]?.functionTimeoutSeconds).toBe(77);
      expect(aws.take()).toHaveLength(5);
    });

    it('is once per function, however many mappings it has', async () => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b'), wireMapping('c')]];
      await aws.source().discover(undefined, false);
      expect(aws.take().filter((call) => call.startsWith('GetFunctionConfiguration'))).toHaveLength(1);
    });

    it('includes what failed for a passing reason, and keeps what was known meanwhile', async () => {
      aws.script.pages = [[wireMapping('a')]];
      const source = aws.source();
      const first = await source.discover(undefined, false);
      const busy = { status: 500, code: 'ServiceException', message: 'busy' };
      aws.script.functions[FUNCTION] = busy;
      aws.script.queues['123456789012/jobs'] = { refusal: busy };
      const second = await source.discover(first, true);
      expect(second.mappings[0]?.functionTimeoutSeconds).toBe(30);
      expect(second.problems?.map(({ passing }) => passing)).toEqual([true, true]);
      aws.script.functions[FUNCTION] = { Timeout: 31, State: 'Active' };
      aws.script.queues['123456789012/jobs'] = { attributes: { VisibilityTimeout: '99' } };
      const third = await source.discover(second, false);
      expect(third.mappings[0]?.functionTimeoutSeconds).toBe(31);
      expect(third.queues[0]?.attributes.visibilityTimeoutSeconds).toBe(99);
      expect(third.problems).toBeUndefined();
    });

    it('leaves out what was refused for good, and goes on saying so', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.functions[FUNCTION] = DENIED;
      aws.script.tags[`${MAPPING_ARN}:a`] = DENIED;
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.mappings[0]?.functionTimeoutSeconds).toBe(900);
      expect(first.problems?.map(({ about }) => about).sort()).toEqual(['a', FUNCTION].sort());
      aws.take();
      const second = await source.discover(first, false);
      expect(aws.take()).toEqual(['ListEventSourceMappings 0 MaxItems']);
      expect(second.problems).toEqual(first.problems);
    });
  });

  it('M7 moves a mapping that was enabled since to the foreign ones', async () => {
    aws.script.pages = [[wireMapping('a')]];
    const source = aws.source();
    const first = await source.discover(undefined, false);
    aws.script.pages = [[wireMapping('a', { State: 'Enabled' })]];
    const second = await source.discover(first, false);
    expect(second.mappings).toEqual([]);
    expect(second.foreign.map(({ uuid }) => uuid)).toEqual(['a']);
  });

  it('waits and asks again when the control plane throttles', async () => {
    aws.script.pages = [[wireMapping('a')]];
    aws.script.refuseFirst = [THROTTLED, THROTTLED];
    expect((await aws.source().discover(undefined, false)).mappings).toHaveLength(1);
    expect(aws.take().filter((call) => call.startsWith('refused'))).toHaveLength(2);
  });

  it('fails, naming the region and the permission, when the list itself cannot be had', async () => {
    aws.script.refuseFirst = [DENIED];
    await expect(aws.source().discover(undefined, false)).rejects.toMatchObject({
      name: 'DiscoveryError',
      message: expect.stringMatching(/us-east-1.*AccessDeniedException.*lambda:ListEventSourceMappings/),
    });
  });

  it('fails rather than reading for ever when the list repeats itself', async () => {
    aws.script.pages = [[wireMapping('a')], [wireMapping('b')]];
    aws.script.markers = ['1', '1'];
    await expect(aws.source().discover(undefined, false)).rejects.toThrow('the same marker twice');
  });

  it('describes itself by region', () => {
    expect(aws.source().description).toBe('AWS (us-east-1)');
  });
});
