import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DiscoveryProgress } from '../../../runtime/aws/discovery/discovery.ts';
import { unsettledOf } from '../../../runtime/aws/discovery/mapping-state.ts';
import { formatQueueArn } from '../../../runtime/queue/names.ts';
import { DENIED, FUNCTION, QUEUE, ScriptedAws, THROTTLED, wireMapping } from './scripted-aws.ts';

const MAPPING_ARN = 'arn:aws:lambda:us-east-1:123456789012:event-source-mapping';
/** The calls of a sync that finds nothing changed. */
const LISTS = ['ListEventSourceMappings 0 MaxItems', 'ListFunctions'];

const redrive = (name: string): Record<string, string> => ({
  RedrivePolicy: JSON.stringify({
    deadLetterTargetArn: `arn:aws:sqs:us-east-1:123456789012:${name}`,
    maxReceiveCount: '3',
  }),
});

describe('discovery from AWS', () => {
  let aws: ScriptedAws;

  beforeEach(async () => {
    aws = new ScriptedAws();
    await aws.start();
  });
  afterEach(() => aws.stop());

  it('serves disabled mappings of queues alone; those in any other state are foreign', async () => {
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

  it('reads every page, a hundred at a time and without a filter, and goes on after an empty page that has a marker', async () => {
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

  it('keeps aliases, versions and $LATEST as given, and asks for the timeout of exactly those', async () => {
    const qualified = [FUNCTION, `${FUNCTION}:live`, `${FUNCTION}:3`, `${FUNCTION}:$LATEST`];
    aws.script.pages = [qualified.map((FunctionArn, index) => wireMapping(`m${index}`, { FunctionArn }))];
    // $LATEST is the function itself.
    const timeouts = [10, 11, 12, 10];
    qualified.forEach((arn, index) => {
      aws.script.functions[arn] = { Timeout: timeouts[index], State: 'Active' };
    });
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings.map((mapping) => [mapping.functionArn, mapping.functionTimeoutSeconds])).toEqual(
      qualified.map((arn, index) => [arn, timeouts[index]]),
    );
  });

  it('reports a mapping whose function is gone, keeps its queue, and serves the others', async () => {
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

  it('reports a mapping whose function isolates its tenants, as no message names one', async () => {
    aws.script.pages = [[wireMapping('a')]];
    aws.script.functions[FUNCTION] = { Timeout: 3, TenancyConfig: { TenantIsolationMode: 'PER_TENANT' } };
    const found = await aws.source().discover(undefined, false);
    expect(found.mappings).toEqual([]);
    expect(found.broken[0]?.reason).toContain('isolates its tenants');
  });

  it.each(['Active', 'Pending', 'Inactive'])('serves a mapping whose function is %s', async (State) => {
    aws.script.pages = [[wireMapping('a')]];
    aws.script.functions[FUNCTION] = { Timeout: 3, State };
    expect((await aws.source().discover(undefined, false)).mappings).toHaveLength(1);
  });

  describe('filters under a customer key', () => {
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

  it('keeps queues of one name in two accounts apart', async () => {
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
    it('is nothing but the lists while nothing changes', async () => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b', { FunctionArn: `${FUNCTION}:live` })]];
      aws.script.functions[`${FUNCTION}:live`] = { Timeout: 5 };
      const source = aws.source();
      const first = await source.discover(undefined, false);
      aws.take();
      const second = await source.discover(first, false);
      expect(aws.take()).toEqual(LISTS);
      expect(second).toEqual(first);
    });

    it('is what a deployment changed of a function while its mapping stayed as it was', async () => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b', { FunctionArn: `${FUNCTION}2` })]];
      aws.script.functions[FUNCTION] = { Timeout: 3, RevisionId: 'one', LastModified: '2026-11-28T09:00:00.000+0000' };
      aws.script.functions[`${FUNCTION}2`] = { Timeout: 3, RevisionId: 'two' };
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.mappings[0]).not.toHaveProperty('durableExecutionTimeoutSeconds');
      aws.script.functions[FUNCTION] = {
        Timeout: 60,
        RevisionId: 'three',
        DurableConfig: { ExecutionTimeout: 600 },
      };
      aws.script.queues['123456789012/jobs'] = { attributes: { VisibilityTimeout: '360', ...redrive('dead') } };
      aws.script.queues['123456789012/dead'] = {};
      aws.take();
      const second = await source.discover(first, false);
      expect(second.mappings).toMatchObject([
        { functionTimeoutSeconds: 60, durableExecutionTimeoutSeconds: 600 },
        { functionTimeoutSeconds: 3 },
      ]);
      expect(second.queues.find(({ arn }) => arn.name === 'jobs')?.attributes).toMatchObject({
        visibilityTimeoutSeconds: 360,
        redrivePolicy: { maxReceiveCount: 3 },
      });
      // Of the function that did not change nothing was asked.
      expect(aws.take().filter((call) => call.includes(`${FUNCTION}2`) || call.endsWith(':b'))).toEqual([]);
      await source.discover(second, false);
      expect(aws.take()).toEqual(LISTS);
    });

    it('is what was broken, at every sync', async () => {
      aws.script.pages = [[wireMapping('a', { FunctionArn: `${FUNCTION}2` })]];
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.broken).toHaveLength(1);
      aws.take();
      const second = await source.discover(first, false);
      expect(second).toEqual(first);
      // One call tells that the function is still not there, and the queue is looked for, too.
      expect(aws.take()).toEqual([
        `GetFunctionConfiguration ${FUNCTION}2`,
        'GetQueueAttributes 123456789012/jobs',
        ...LISTS,
        'ListQueueTags 123456789012/jobs',
      ]);
      aws.script.functions[`${FUNCTION}2`] = { Timeout: 9 };
      const third = await source.discover(second, false);
      expect(third.mappings).toMatchObject([{ functionTimeoutSeconds: 9 }]);
      expect(third.broken).toEqual([]);
    });

    it('is every function once a day, where the functions may not be listed, and that is said', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.listFunctions = DENIED;
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.mappings).toMatchObject([{ functionTimeoutSeconds: 30 }]);
      expect(first.problems).toMatchObject([{ text: expect.stringMatching(/allow lambda:ListFunctions on \*/) }]);
      aws.script.functions[FUNCTION] = { Timeout: 77 };
      aws.take();
      const second = await source.discover(first, false);
      expect(aws.take()).toEqual(LISTS);
      expect(second).toEqual(first);
      expect((await source.discover(second, true)).mappings).toMatchObject([{ functionTimeoutSeconds: 77 }]);
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
        ...LISTS,
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
      expect(aws.take()).toHaveLength(6);
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
      const alias = `${FUNCTION}:live`;
      aws.script.pages = [[wireMapping('a', { FunctionArn: alias })]];
      aws.script.functions[alias] = DENIED;
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.mappings[0]?.functionTimeoutSeconds).toBe(900);
      expect(first.problems?.map(({ about }) => about)).toEqual([alias]);
      aws.take();
      const second = await source.discover(first, false);
      expect(aws.take()).toEqual(LISTS);
      expect(second.problems).toEqual(first.problems);
    });
  });

  describe('tags that cannot be read', () => {
    it.each([
      ['refused', DENIED, /allow lambda:ListTags on .*:a to the identity/],
      ['throttled', THROTTLED, /asked for again soon/],
    ])('hold a mapping of which none were ever read, and it is looked at again: %s', async (_name, refusal, mend) => {
      aws.script.pages = [[wireMapping('a'), wireMapping('b')]];
      aws.script.tags[`${MAPPING_ARN}:a`] = refusal;
      const source = aws.source();
      const first = await source.discover(undefined, false);
      expect(first.mappings.map(({ uuid }) => uuid)).toEqual(['b']);
      expect(first.broken).toMatchObject([{ uuid: 'a', reason: expect.stringMatching(mend) }]);
      expect(unsettledOf(first)).toContain('a ');
      aws.script.tags[`${MAPPING_ARN}:a`] = { 'karin:consume': 'false' };
      const second = await source.discover(first, false);
      expect(second.mappings.find(({ uuid }) => uuid === 'a')?.tags).toEqual({ 'karin:consume': 'false' });
      expect(unsettledOf(second)).toBeUndefined();
    });

    it('leave those last read in force, and are asked for again', async () => {
      aws.script.pages = [[wireMapping('a')]];
      aws.script.tags[`${MAPPING_ARN}:a`] = { 'karin:consume': 'false' };
      const source = aws.source();
      const first = await source.discover(undefined, false);
      aws.script.tags[`${MAPPING_ARN}:a`] = DENIED;
      const second = await source.discover(first, true);
      expect(second.mappings).toMatchObject([{ tags: { 'karin:consume': 'false' } }]);
      expect(second.problems).toMatchObject([{ about: 'a', text: expect.stringContaining('those last read hold') }]);
      aws.script.tags[`${MAPPING_ARN}:a`] = {};
      expect((await source.discover(second, false)).mappings).toMatchObject([{ tags: {} }]);
    });
  });

  it('holds a mapping whose queue was never read for a passing reason: nobody knows its visibility timeout', async () => {
    aws.script.pages = [[wireMapping('a')]];
    const busy = { status: 503, code: 'ServiceUnavailable', message: 'busy' };
    aws.script.queues['123456789012/jobs'] = { refusal: busy };
    const source = aws.source();
    const first = await source.discover(undefined, false);
    expect(first.mappings).toEqual([]);
    expect(first.broken).toMatchObject([{ uuid: 'a', reason: expect.stringContaining('were never read') }]);
    aws.script.queues['123456789012/jobs'] = { attributes: { VisibilityTimeout: '90' } };
    const second = await source.discover(first, false);
    expect(second.mappings).toHaveLength(1);
    expect(second.queues).toMatchObject([{ attributes: { visibilityTimeoutSeconds: 90 } }]);
  });

  describe('a thousand mappings, with the rate that AWS grants', () => {
    const ARNS = Array.from({ length: 1000 }, (_, index) => `${FUNCTION}${String(index).padStart(4, '0')}`);

    beforeEach(() => {
      const mappings = ARNS.map((FunctionArn) => wireMapping(FunctionArn.slice(-4), { FunctionArn }));
      aws.script.pages = Array.from({ length: 10 }, (_, page) => mappings.slice(page * 100, page * 100 + 100));
      aws.script.functions = Object.fromEntries(ARNS.map((arn) => [arn, { Timeout: 3, RevisionId: 'one' }]));
      aws.script.lambdaPerSecond = 15;
    });

    it('are listed and begun within 30 s, with progress, and all are served after a few looks', async () => {
      const source = aws.source();
      const began = aws.time.monotonic();
      const steps: DiscoveryProgress[] = [];
      let found = await source.discover(undefined, false, (progress) => steps.push(progress));
      expect(aws.time.monotonic() - began).toBeLessThanOrEqual(30_000);
      expect(steps.at(0)).toEqual({ step: 'lists', done: 100 });
      expect(steps.at(-1)).toEqual({ step: 'details', done: 1000, total: 1000 });
      expect(found.mappings.length).toBeGreaterThan(150);
      // What is not known is not served, and each look goes on where the last one ended.
      for (let looks = 1; found.broken.length > 0; looks += 1) {
        expect(looks).toBeLessThan(6);
        const before = found.mappings.length;
        found = await source.discover(found, false);
        expect(found.mappings.length).toBeGreaterThan(before);
      }
      expect(found.mappings).toHaveLength(1000);
      expect(unsettledOf(found)).toBeUndefined();
    });

    it('are served on while they are read again, and what a deployment changed is read first', async () => {
      const source = aws.source();
      aws.script.lambdaPerSecond = undefined;
      let found = await source.discover(undefined, false);
      while (found.broken.length > 0) found = await source.discover(found, false);
      aws.script.lambdaPerSecond = 15;
      aws.script.functions[`${FUNCTION}0999`] = { Timeout: 60, RevisionId: 'two' };
      aws.script.tags[`${MAPPING_ARN}:0999`] = { 'karin:max-concurrency': '2' };
      const second = await source.discover(found, true);
      expect(second.mappings).toHaveLength(1000);
      expect(second.mappings.at(-1)).toMatchObject({
        functionTimeoutSeconds: 60,
        tags: { 'karin:max-concurrency': '2' },
      });
      expect(second.unread?.length).toBeGreaterThan(0);
      expect(second.problems).toMatchObject([{ text: expect.stringContaining('are served as last known') }]);
      expect(unsettledOf(second)).toBeDefined();
      aws.take();
      const third = await source.discover(second, false);
      // Only those that are left.
      expect(third.unread?.length ?? 0).toBeLessThan(second.unread?.length ?? 0);
    });
  });

  it('serves a disabled mapping on while a deployment updates it, and holds nothing for it', async () => {
    aws.script.pages = [[wireMapping('a')]];
    const source = aws.source();
    const first = await source.discover(undefined, false);
    aws.script.pages = [[wireMapping('a', { State: 'Updating', LastModified: 1_789_481_999, BatchSize: 5 })]];
    aws.take();
    const second = await source.discover(first, true);
    expect(second.mappings).toEqual(first.mappings);
    expect(second.queues).toEqual(first.queues);
    expect(second.foreign).toEqual([]);
    expect(second.settling).toMatchObject([{ uuid: 'a', state: 'Updating' }]);
    expect(unsettledOf(second)).toBeDefined();
    aws.script.pages = [[wireMapping('a', { LastModified: 1_789_481_999, BatchSize: 5 })]];
    const third = await source.discover(second, false);
    expect(third.mappings).toMatchObject([{ uuid: 'a', batchSize: 5 }]);
    expect(unsettledOf(third)).toBeUndefined();
  });

  it('holds nothing while a deployment replaces a disabled mapping, and serves neither of the two until the new one is disabled', async () => {
    aws.script.pages = [[wireMapping('old')]];
    const source = aws.source();
    let found = await source.discover(undefined, false);
    for (const pages of [
      [wireMapping('old', { State: 'Deleting' }), wireMapping('new', { State: 'Creating' })],
      [wireMapping('new', { State: 'Creating' })],
    ]) {
      aws.script.pages = [pages];
      found = await source.discover(found, false);
      expect(found.foreign).toEqual([]);
      expect(found.mappings).toEqual([]);
      expect(found.settling).toHaveLength(pages.length);
    }
    aws.script.pages = [[wireMapping('new')]];
    found = await source.discover(found, false);
    expect(found.mappings.map(({ uuid }) => uuid)).toEqual(['new']);
    expect(found).not.toHaveProperty('settling');
  });

  it('moves a mapping that was enabled since to the foreign ones', async () => {
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
