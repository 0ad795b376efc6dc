import { expect, it } from 'vitest';
import { createLogTails } from '../../../runtime/consumer/delivery.ts';
import { MemoryStore } from '../../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../../runtime/time.ts';
import { forEachStore, mappingOf, message, type World } from '../../support/consumer-world.ts';
import { type Answer, CRASH, Gate, reportFailures, SUCCESS, THROTTLED } from '../../support/scriptable-lambda.ts';

const EMPTY = { visible: 0, delayed: 0, inFlight: 0 };

/** The message comes back one visibility timeout (60 s) after its receive and not before, one receive older. */
async function expectBackAfterLease(world: World, receiveCount = 2): Promise<void> {
  const before = world.events.of('leased').length;
  // In two steps, so that what follows a pause after trouble with Lambda is over in the moment in which it begins.
  await world.settled();
  await world.pass(1_000);
  await world.settled();
  await world.pass(58_999);
  await world.quiet();
  expect(world.events.of('leased')).toHaveLength(before);
  await world.pass(1);
  const again = await world.events.until(() => world.events.of('leased')[before]);
  expect(again.receiveCounts).toEqual([receiveCount]);
}

forEachStore('Failure', (open) => {
  const functionErrors: readonly [string, Answer, string][] = [
    ['exception', CRASH, 'function-error'],
    [
      'timeout',
      { kind: 'function-error', errorType: 'Sandbox.Timedout', message: 'Task timed out after 3.00 seconds' },
      'timeout',
    ],
    [
      'OOM',
      { kind: 'function-error', errorType: 'Runtime.ExitError', message: 'Error: Runtime exited: signal: killed' },
      'function-error',
    ],
    [
      'init failure',
      { kind: 'function-error', errorType: 'Runtime.ImportModuleError', message: "Error: Cannot find module 'index'" },
      'function-error',
    ],
    [
      'response too large',
      {
        kind: 'function-error',
        errorType: 'Function.ResponseSizeTooLarge',
        message: 'Response payload size exceeded maximum allowed payload size (6291556 bytes).',
      },
      'function-error',
    ],
    ['400', { kind: 'error', status: 400, type: 'RecursiveInvocationException' }, 'rejected'],
    ['413', { kind: 'error', status: 413, type: 'RequestTooLargeException' }, 'rejected'],
    ['415', { kind: 'error', status: 415, type: 'UnsupportedMediaTypeException' }, 'rejected'],
  ];
  it.each(functionErrors)('%s: nothing is deleted, the message is back after its lease', async (_, answer, reason) => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script(answer);
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);

    expect(await world.events.next('failed')).toMatchObject({ reason });
    await expectBackAfterLease(world);
    await world.events.next('deleted');

    expect(world.lambda.calls).toHaveLength(2);
    expect(await queue.depth()).toEqual(EMPTY);
  });

  it('keeps with the message why it failed, in the store alone', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script({ kind: 'function-error', errorType: 'TypeError', message: 'no price', trace: ['a', 'at b'] });
    const mapping = mappingOf(queue);
    world.apply(mapping);
    await queue.send([message('hello')]);
    await world.events.next('failed');

    const failure = { errorType: 'TypeError', message: 'no price', trace: 'a\nat b', attempt: 1 };
    const [seen] = await queue.browse(10);
    expect(seen?.failure).toMatchObject({ ...failure, functionArn: mapping.functionArn });
    await expectBackAfterLease(world);
    await world.events.next('deleted');
    expect(JSON.stringify(world.lambda.calls[1])).not.toContain('no price');
  });

  it('asks for the end of the log where a message came back, keeps it with the failure, and says it nowhere else', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const log = `${'x'.repeat(9_000)}\nthe price was a secret: s3cret`;
    world.lambda.behave(() => ({ kind: 'function-error', errorType: 'Error', message: 'no price', log }));
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);
    await world.events.next('failed');
    const asked = (): unknown[] => world.lambda.calls.map(({ headers }) => headers['x-amz-log-type']);
    expect(asked()).toEqual(['None']);
    expect((await queue.browse(10))[0]?.failure).not.toHaveProperty('logTail');
    await expectBackAfterLease(world);
    const again = await world.events.next('failed');
    expect(asked()).toEqual(['None', 'Tail']);
    const kept = (await queue.browse(10))[0]?.failure?.logTail ?? '';
    expect(kept.endsWith('the price was a secret: s3cret')).toBe(true);
    expect(kept.length).toBeLessThan(4_096);
    expect(JSON.stringify(again)).not.toContain('s3cret');
    // It says nothing of the next run, which asks again.
    world.lambda.mend();
    await expectBackAfterLease(world, 3);
    await world.events.next('deleted');
    expect(asked()).toEqual(['None', 'Tail', 'Tail']);
    expect(JSON.stringify(world.lambda.calls[2]?.event)).not.toContain('s3cret');
  });

  it('asks for the end of the log of every run for ten minutes where an operator wants it', async () => {
    const store = new MemoryStore({ time: systemTime });
    const logTails = await createLogTails(store.documents, systemTime);
    const world = await open({ supervisor: { logTails } });
    const queue = await world.queue('jobs');
    const mapping = mappingOf(queue, { reportBatchItemFailures: true });
    const bad = message('hello');
    world.lambda.script({ ...reportFailures([bad.id]), log: 'why it failed' });
    world.apply(mapping);
    await logTails.keep(mapping.functionArn);
    await queue.send([bad]);
    await world.events.next('succeeded');
    await world.settled();
    expect(world.lambda.calls[0]?.headers['x-amz-log-type']).toBe('Tail');
    expect((await queue.browse(10))[0]?.failure).toMatchObject({
      errorType: 'ReportedFailure',
      logTail: 'why it failed',
    });
  });

  it('keeps with a message that a report names that its function named it', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    const [good, bad] = [message('good'), message('bad')];
    world.lambda.script(reportFailures([bad.id]));
    world.apply(mappingOf(queue, { reportBatchItemFailures: true, batchSize: 2 }));
    await queue.send([good, bad]);
    await world.events.next('deleted');
    await world.settled();
    expect(await queue.browse(10)).toMatchObject([{ id: bad.id, failure: { errorType: 'ReportedFailure' } }]);
  });

  it('429-then-ok: the same batch is invoked again inside its lease, with the same receipt and receive count 1', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script(THROTTLED, THROTTLED);
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);

    expect(await world.events.next('retrying')).toMatchObject({ attempt: 2, inMs: 1_000 });
    await world.pass(1_000);
    expect(await world.events.next('retrying')).toMatchObject({ attempt: 3, inMs: 2_000 });
    await world.pass(2_000);
    await world.events.next('deleted');

    const [first, second, third] = world.lambda.calls;
    expect(world.lambda.calls).toHaveLength(3);
    expect(second?.records).toEqual(first?.records);
    expect(third?.records).toEqual(first?.records);
    expect(first?.records[0]?.attributes['ApproximateReceiveCount']).toBe('1');
  });

  it('429-then-ok: Retry-After is honoured', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script({ kind: 'error', status: 429, type: 'TooManyRequestsException', retryAfterSeconds: 7 });
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);

    expect(await world.events.next('retrying')).toMatchObject({ inMs: 7_000 });
    await world.pass(6_999);
    expect(world.lambda.calls).toHaveLength(1);
    await world.pass(1);

    await world.events.next('deleted');
  });

  it('429-past-lease: given back uncounted, as no function saw it, and invoked again after a pause', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 60 });
    world.lambda.behave(() => THROTTLED);
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 10 }));
    await queue.send([message('hello')]);

    const pauses: number[] = [];
    for (let attempt = 2; attempt <= 7; attempt += 1) {
      const { inMs } = await world.events.next('retrying');
      pauses.push(inMs);
      await world.pass(inMs);
    }
    // The last one begins one function timeout before the end of the lease.
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 19_000]);
    expect(await world.events.next('failed')).toMatchObject({ reason: 'throttled-past-lease' });
    await world.events.next('released');
    expect(await world.events.next('lambda-trouble')).toMatchObject({ detail: expect.stringContaining('TooMany') });
    world.lambda.behave(() => SUCCESS);
    await world.quiet();
    expect(world.events.of('leased')).toHaveLength(1);
    await world.pass(1_000);

    await world.events.next('deleted');
    expect(world.events.of('leased').map(({ receiveCounts }) => receiveCounts)).toEqual([[1], [1]]);
    await world.events.next('lambda-reached');
  });

  it('429: a batch that still waits is given back uncounted when the server stops', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave(() => THROTTLED);
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);
    await world.events.next('retrying');

    await world.supervisor.stop(10_000);

    expect((await queue.receive({ maxMessages: 1 })).map(({ receiveCount }) => receiveCount)).toEqual([1]);
  });

  it.each([
    ['500', 500, 'ServiceException'],
    ['502', 502, 'EC2ThrottledException'],
    ['502 of KMS', 502, 'KMSDisabledException'],
    ['502 of ENI', 502, 'ENILimitReachedException'],
    ['409', 409, 'ResourceConflictException'],
    ['409 of SnapStart', 409, 'SnapStartNotReadyException'],
    ['408 of SnapStart', 408, 'SnapStartTimeoutException'],
  ])('%s: the function did not run, so it is tried again inside the lease', async (_, status, type) => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script({ kind: 'error', status, type });
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);
    await world.events.next('retrying');
    await world.pass(1_000);
    await world.events.next('deleted');

    expect(world.lambda.calls.map(({ records }) => records[0]?.attributes['ApproximateReceiveCount'])).toEqual([
      '1',
      '1',
    ]);
  });

  it('404: asked for ever more rarely until its function is there again; nothing is received meanwhile', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.fail({ kind: 'error', status: 404, type: 'ResourceNotFoundException' });
    world.apply(mappingOf(queue));
    await queue.send([message('1')]);
    await world.events.next('released');
    const until = async (probes: number): Promise<void> => {
      while (world.lambda.probes < probes) await world.pass(0);
      await world.settled();
    };
    let probes = 0;
    for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      await world.pass(pauseMs - 1);
      expect(world.lambda.probes).toBe(probes);
      expect(world.supervisor.snapshot().queues[0]?.mappings[0]).toMatchObject({
        trouble: '404: ResourceNotFoundException of the test',
      });
      await world.pass(1);
      probes += 1;
      await until(probes);
    }
    world.lambda.mend();
    await world.pass(60_000);

    await world.events.next('deleted');
    expect(world.events.of('leased').map(({ receiveCounts }) => receiveCounts)).toEqual([[1], [1]]);
    expect(world.events.of('lambda-trouble')).toHaveLength(1);
  });

  it('disconnect: no second Invoke in the same lease', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.script({ kind: 'reset' });
    world.apply(mappingOf(queue));
    await queue.send([message('hello')]);

    expect(await world.events.next('failed')).toMatchObject({ reason: 'connection-lost' });
    await expectBackAfterLease(world);
    await world.events.next('deleted');

    expect(world.lambda.calls.map(({ records }) => records[0]?.attributes['ApproximateReceiveCount'])).toEqual([
      '1',
      '2',
    ]);
  });

  it('no answer: given up after the longest time that AWS allows and a margin', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 3_600 });
    world.lambda.script({ kind: 'hang' });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 10 }));
    await queue.send([message('hello')]);
    const call = await world.lambda.next();
    await world.pass(914_999);
    expect(world.events.of('failed')).toEqual([]);
    await world.pass(1);

    expect(await world.events.next('failed')).toMatchObject({ reason: 'connection-lost' });
    await call.closed;
    await world.settled();
  });

  it('late success after lease end: deleted, if nobody received the message since', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5 });
    const gate = new Gate();
    world.lambda.behave(async () => {
      await gate.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 60, tags: { 'karin:maximum-concurrency': '1' } }));
    await queue.send([message('slow')]);
    await world.lambda.next();
    await world.pass(20_000);
    gate.open();

    expect((await world.events.next('deleted')).messageIds).toHaveLength(1);
    expect(world.lambda.calls).toHaveLength(1);
    expect(await queue.depth()).toEqual(EMPTY);
  });

  it('late success after lease end: not deleted, if the message was received since', async () => {
    const world = await open();
    const queue = await world.queue('jobs', { visibilityTimeoutSeconds: 5 });
    const gates = [new Gate(), new Gate()];
    world.lambda.behave(async ({ index }) => {
      await gates[index]?.opened;
      return SUCCESS;
    });
    world.apply(mappingOf(queue, { functionTimeoutSeconds: 60 }));
    await queue.send([message('slow')]);
    await world.lambda.next();
    await world.pass(5_001);
    await world.lambda.next();

    gates[0]?.open();
    await world.events.next('succeeded');
    expect(await queue.depth()).toMatchObject({ inFlight: 1 });
    expect(world.events.of('deleted')).toEqual([]);
    gates[1]?.open();

    expect((await world.events.next('deleted')).messageIds).toHaveLength(1);
    expect(await queue.depth()).toEqual(EMPTY);
  });

  it('a message that the function deleted itself is no trouble', async () => {
    const world = await open();
    const queue = await world.queue('jobs');
    world.lambda.behave(async ({ records }) => {
      await queue.delete([records[0]?.receiptHandle ?? '']);
      return SUCCESS;
    });
    world.apply(mappingOf(queue));
    const kept = message('two');
    await queue.send([message('one'), kept]);

    expect((await world.events.next('deleted')).messageIds).toEqual([kept.id]);
    expect(await queue.depth()).toEqual(EMPTY);
  });
});
