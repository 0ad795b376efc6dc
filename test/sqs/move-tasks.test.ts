import { describe, expect, it } from 'vitest';
import { describeApi } from './support/describe-api.ts';
import { queueArnText, queueUrl } from './support/harness.ts';

const DEAD = queueArnText('dead');
const SOURCE = queueArnText('jobs');

describeApi('message move tasks', (api) => {
  /** `jobs` with the dead-letter queue `dead`, which holds `count` messages that came from it. */
  const createDeadLetters = async (count: number): Promise<void> => {
    await api.ok('CreateQueue', { QueueName: 'dead' });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: DEAD, maxReceiveCount: 1 });
    const Attributes = { RedrivePolicy, VisibilityTimeout: '1' };
    await api.ok('CreateQueue', { QueueName: 'jobs', Attributes });
    for (let index = 0; index < count; index += 1) {
      await api.ok('SendMessage', { QueueUrl: queueUrl('jobs'), MessageBody: `message ${index}` });
    }
    const receive = () => api.ok('ReceiveMessage', { QueueUrl: queueUrl('jobs'), MaxNumberOfMessages: 10 });
    await receive();
    await api.pass(1_001);
    await receive();
    expect(await visible('dead')).toBe(String(count));
  };
  const visible = async (name: string) => {
    const AttributeNames = ['ApproximateNumberOfMessages'];
    const { Attributes = {} } = await api.ok('GetQueueAttributes', { QueueUrl: queueUrl(name), AttributeNames });
    return Attributes['ApproximateNumberOfMessages'];
  };
  const start = (extra: object = {}) => api.ok('StartMessageMoveTask', { SourceArn: DEAD, ...extra });
  const list = async (extra: object = {}) =>
    (await api.ok('ListMessageMoveTasks', { SourceArn: DEAD, ...extra })).Results ?? [];
  /** Lets time pass until no task runs. */
  const finished = async () => {
    for (;;) {
      await api.pass(1_000);
      const [task] = await list();
      if (task?.Status !== 'RUNNING' && task?.Status !== 'CANCELLING') return task;
    }
  };

  it('move messages back to where they came from', async () => {
    await createDeadLetters(2);
    expect(await start()).toEqual({ TaskHandle: expect.stringMatching(/^[A-Za-z0-9+/=]+$/) });
    expect(await finished()).toEqual({
      Status: 'COMPLETED',
      SourceArn: DEAD,
      ApproximateNumberOfMessagesMoved: 2,
      ApproximateNumberOfMessagesToMove: 2,
      StartedTimestamp: 1_735_689_601_001,
    });
    expect(await visible('dead')).toBe('0');
    expect(await visible('jobs')).toBe('2');
  });

  it('move to another queue, at a rate, and can be cancelled', async () => {
    await createDeadLetters(3);
    await api.ok('CreateQueue', { QueueName: 'elsewhere' });
    const task = { DestinationArn: queueArnText('elsewhere'), MaxNumberOfMessagesPerSecond: 1 };
    const { TaskHandle } = await start(task);
    expect(await list()).toMatchObject([{ ...task, Status: 'RUNNING', SourceArn: DEAD, TaskHandle }]);
    const again = await api.refused('StartMessageMoveTask', { SourceArn: DEAD });
    expect(again).toEqual({
      status: 400,
      code: 'InvalidParameterValue',
      message:
        'There is already a task running. Only one active task is allowed for a source queue arn at a given time.',
    });
    const { ApproximateNumberOfMessagesMoved } = await api.ok('CancelMessageMoveTask', { TaskHandle });
    expect(ApproximateNumberOfMessagesMoved).toBeLessThan(3);
    const ended = await finished();
    expect(ended).toMatchObject({ ...task, Status: 'CANCELLED', ApproximateNumberOfMessagesToMove: 3 });
    expect(ended).not.toHaveProperty('TaskHandle');
    expect(Number(await visible('elsewhere')) + Number(await visible('dead'))).toBe(3);
    expect(await api.refused('CancelMessageMoveTask', { TaskHandle })).toMatchObject({
      status: 400,
      code: 'InvalidParameterValue',
    });
  });

  it('are listed newest first, one unless more are asked for', async () => {
    await createDeadLetters(0);
    expect(await list()).toEqual([]);
    await start();
    await finished();
    await start({ DestinationArn: SOURCE });
    await finished();
    expect(await list()).toMatchObject([{ DestinationArn: SOURCE }]);
    expect(await list({ MaxResults: 10 })).toMatchObject([{ DestinationArn: SOURCE }, { Status: 'COMPLETED' }]);
  });

  it('say why they failed', async () => {
    await createDeadLetters(0);
    await api.ok('SendMessage', { QueueUrl: queueUrl('dead'), MessageBody: 'sent here directly' });
    await start();
    expect(await finished()).toMatchObject({ Status: 'FAILED', FailureReason: 'CouldNotDetermineMessageSource' });
    expect(await visible('dead')).toBe('1');
  });

  describe('refuse', () => {
    const notFound = (parameter: string) => ({
      status: 404,
      code: 'ResourceNotFoundException',
      message: `The resource that you specified for the ${parameter} parameter doesn't exist.`,
    });
    const invalid = (message: string) => ({ status: 400, code: 'InvalidParameterValue', message });
    const arnFormat = (parameter: string) =>
      invalid(
        `You must use this format to specify the ${parameter}: arn:<partition>:<service>:<region>:<account-id>:<resource-id>`,
      );
    const missing = (parameter: string) => ({
      status: 400,
      code: 'MissingParameter',
      message: `The request must contain the parameter ${parameter}.`,
    });
    const handle = (content: object) => Buffer.from(JSON.stringify(content)).toString('base64');
    const taskId = '11111111-1111-4111-8111-111111111111';

    it.each<[object, object]>([
      [{ SourceArn: undefined }, missing('SourceArn')],
      [{ SourceArn: 'jobs' }, arnFormat('SourceArn')],
      [{ DestinationArn: '' }, arnFormat('DestinationArn')],
      [{ SourceArn: queueArnText('nope') }, notFound('SourceArn')],
      [{ DestinationArn: queueArnText('nope') }, notFound('DestinationArn')],
      [{ SourceArn: SOURCE }, invalid('Source queue must be configured as a Dead Letter Queue.')],
      [{ DestinationArn: DEAD }, invalid('Source queue arn and destination queue arn cannot be the same.')],
      [
        { DestinationArn: queueArnText('jobs.fifo') },
        invalid('The source queue and destination queue must be of the same queue type.'),
      ],
      [
        { MaxNumberOfMessagesPerSecond: 0 },
        invalid(
          "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and 500.",
        ),
      ],
      [
        { MaxNumberOfMessagesPerSecond: 501 },
        invalid(
          "Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and 500.",
        ),
      ],
    ])('to start with %j', async (extra, refusal) => {
      await createDeadLetters(0);
      await api.ok('CreateQueue', { QueueName: 'jobs.fifo', Attributes: { FifoQueue: 'true' } });
      expect(await api.refused('StartMessageMoveTask', { SourceArn: DEAD, ...extra })).toEqual(refusal);
      expect(await list()).toEqual([]);
    });

    it.each<[string | undefined, object]>([
      [undefined, missing('TaskHandle')],
      ['x', invalid('Value for parameter TaskHandle is invalid.')],
      [handle({ taskId, sourceArn: 'jobs' }), invalid('Value for parameter TaskHandle is invalid.')],
      [handle({ taskId, sourceArn: queueArnText('nope') }), notFound('SourceArn')],
      [
        handle({ taskId, sourceArn: DEAD }),
        { status: 404, code: 'ResourceNotFoundException', message: 'Task does not exist.' },
      ],
    ])('to cancel %s', async (TaskHandle, refusal) => {
      await createDeadLetters(0);
      expect(await api.refused('CancelMessageMoveTask', { TaskHandle })).toEqual(refusal);
    });

    it.each<[object, object]>([
      [{ SourceArn: undefined }, missing('SourceArn')],
      [{ SourceArn: 'jobs' }, arnFormat('SourceArn')],
      [{ SourceArn: queueArnText('nope') }, notFound('SourceArn')],
      [
        { MaxResults: 11 },
        invalid("Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and 10."),
      ],
    ])('to list with %j', async (extra, refusal) => {
      await createDeadLetters(0);
      expect(await api.refused('ListMessageMoveTasks', { SourceArn: DEAD, ...extra })).toEqual(refusal);
    });
  });
});
