import { describe, expect, it } from 'vitest';
import type { ActionName } from '../../runtime/sqs/protocol/model.ts';
import type { Scope } from '../../runtime/sqs/request.ts';
import { describeApi } from './support/describe-api.ts';
import { ACCOUNT, callerWith, queueArnText, queueUrl } from './support/harness.ts';

const URL = queueUrl('jobs');
const EVERYTHING = {
  QueueUrl: URL,
  QueueName: 'jobs',
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
  SourceArn: queueArnText('jobs'),
  TaskHandle: Buffer.from(
    JSON.stringify({ taskId: '11111111-1111-4111-8111-111111111111', sourceArn: queueArnText('jobs') }),
  ).toString('base64'),
};

/** Which scopes open which action; the rest of the API is open to each of the three. */
const NEEDS: readonly (readonly [ActionName, readonly Scope[]])[] = [
  ['SendMessage', ['send']],
  ['SendMessageBatch', ['send']],
  ['ReceiveMessage', ['consume']],
  ['DeleteMessage', ['consume']],
  ['DeleteMessageBatch', ['consume']],
  ['ChangeMessageVisibility', ['consume']],
  ['ChangeMessageVisibilityBatch', ['consume']],
  ['AddPermission', ['manage']],
  ['RemovePermission', ['manage']],
  ['CreateQueue', ['manage']],
  ['DeleteQueue', ['manage']],
  ['PurgeQueue', ['manage']],
  ['SetQueueAttributes', ['manage']],
  ['TagQueue', ['manage']],
  ['UntagQueue', ['manage']],
  ['StartMessageMoveTask', ['manage']],
  ['CancelMessageMoveTask', ['manage']],
  ['ListMessageMoveTasks', ['manage']],
  ['GetQueueAttributes', ['send', 'consume', 'manage']],
  ['GetQueueUrl', ['send', 'consume', 'manage']],
  ['ListDeadLetterSourceQueues', ['send', 'consume', 'manage']],
  ['ListQueueTags', ['send', 'consume', 'manage']],
  ['ListQueues', ['send', 'consume', 'manage']],
];

describeApi('authorization', (api) => {
  const withScopes = (scopes: readonly Scope[], prefix = '') => ({ caller: callerWith(scopes, prefix) });
  const codeOf = async (action: ActionName, options: ReturnType<typeof withScopes>) => {
    const response = await api.harness.call(api.protocol, action, EVERYTHING, options);
    return response.status === 200 ? 'ok' : response.body;
  };

  describe.each(NEEDS)('%s', (action, scopes) => {
    it.each<Scope>(['send', 'consume', 'manage'])('with the scope %s alone', async (scope) => {
      await api.ok('CreateQueue', { QueueName: 'jobs' });
      const answer = await codeOf(action, withScopes([scope]));
      if (scopes.includes(scope)) expect(answer).not.toContain('AccessDenied');
      else expect(answer).toContain('AccessDenied');
    });

    it('with every scope, for other queues', async () => {
      await api.ok('CreateQueue', { QueueName: 'jobs' });
      const answer = await codeOf(action, withScopes(['send', 'consume', 'manage'], 'other-'));
      // Listing is no call on a queue; it shows none of the others.
      if (action === 'ListQueues') expect(answer).toBe('ok');
      else expect(answer).toContain('AccessDenied');
    });
  });

  it('says which scope is missing, and nothing about the queue', async () => {
    const input = { QueueUrl: queueUrl('nope'), MessageBody: 'x' };
    expect(await api.refused('SendMessage', input, withScopes(['consume', 'manage']))).toEqual({
      status: 403,
      code: 'AccessDenied',
      message:
        'AIDATESTER is not authorized to perform: sqs:SendMessage on queue nope. Its credential needs the scope "send" for it.',
    });
  });

  it('shows a caller the queues that its credential reaches', async () => {
    for (const name of ['app-a', 'app-b', 'secret']) await api.ok('CreateQueue', { QueueName: name });
    expect(await api.ok('ListQueues', {}, withScopes(['send'], 'app-'))).toEqual({
      QueueUrls: [queueUrl('app-a'), queueUrl('app-b')],
    });
  });

  describe('keeps a credential for app-* to its queues', () => {
    const app = withScopes(['send', 'consume', 'manage'], 'app-');
    const redrive = (name: string) => JSON.stringify({ deadLetterTargetArn: queueArnText(name), maxReceiveCount: 1 });
    const allow = (...names: string[]) =>
      JSON.stringify({ redrivePermission: 'byQueue', sourceQueueArns: names.map(queueArnText) });

    /** Lets time pass until no task of the source runs. */
    const finished = async (SourceArn: string) => {
      for (;;) {
        await api.harness.pass(1000);
        const [task] = (await api.ok('ListMessageMoveTasks', { SourceArn })).Results ?? [];
        if (task?.Status !== 'RUNNING') return task;
      }
    };

    it('in a RedrivePolicy: a target outside is one that does not exist', async () => {
      for (const QueueName of ['app-jobs', 'payments']) await api.ok('CreateQueue', { QueueName });
      const answers = [];
      for (const target of ['payments', 'nowhere', 'app-nowhere']) {
        const Attributes = { RedrivePolicy: redrive(target) };
        const set = await api.refused('SetQueueAttributes', { QueueUrl: queueUrl('app-jobs'), Attributes }, app);
        const made = await api.refused('CreateQueue', { QueueName: 'app-new', Attributes }, app);
        answers.push([set, made].map(({ code, message }) => `${code} ${message.replaceAll(target, 'X')}`));
      }
      expect(answers[0]?.[0]).toContain('Dead letter target does not exist.');
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
      const { Attributes } = await api.ok('GetQueueAttributes', {
        QueueUrl: queueUrl('app-jobs'),
        AttributeNames: ['All'],
      });
      expect(Attributes).not.toHaveProperty('RedrivePolicy');
    });

    it('in a RedriveAllowPolicy, written and read', async () => {
      for (const QueueName of ['app-dead', 'payments']) await api.ok('CreateQueue', { QueueName });
      const QueueUrl = queueUrl('app-dead');
      for (const source of ['payments', 'nowhere']) {
        const Attributes = { RedriveAllowPolicy: allow('app-jobs', source) };
        expect(await api.refused('SetQueueAttributes', { QueueUrl, Attributes }, app)).toMatchObject({
          code: 'AccessDenied',
        });
        expect(await api.refused('CreateQueue', { QueueName: 'app-new', Attributes }, app)).toMatchObject({
          code: 'AccessDenied',
        });
      }
      await api.ok('SetQueueAttributes', {
        QueueUrl,
        Attributes: { RedriveAllowPolicy: allow('app-jobs', 'payments') },
      });
      const shown = await api.ok('GetQueueAttributes', { QueueUrl, AttributeNames: ['RedriveAllowPolicy'] }, app);
      expect(shown.Attributes).toEqual({ RedriveAllowPolicy: allow('app-jobs') });
    });

    it('in the list of sources of a dead-letter queue', async () => {
      await api.ok('CreateQueue', { QueueName: 'app-dead' });
      const Attributes = { RedrivePolicy: redrive('app-dead') };
      for (const QueueName of ['app-jobs', 'payments']) await api.ok('CreateQueue', { QueueName, Attributes });
      expect(await api.ok('ListDeadLetterSourceQueues', { QueueUrl: queueUrl('app-dead') }, app)).toEqual({
        queueUrls: [queueUrl('app-jobs')],
      });
    });

    it('in a redrive: what came from a queue outside does not go back there', async () => {
      await api.ok('CreateQueue', { QueueName: 'app-dead' });
      const Attributes = { RedrivePolicy: redrive('app-dead'), VisibilityTimeout: '0' };
      await api.ok('CreateQueue', { QueueName: 'payments', Attributes });
      const QueueUrl = queueUrl('payments');
      await api.ok('SendMessage', { QueueUrl, MessageBody: 'a payment' });
      await api.ok('ReceiveMessage', { QueueUrl });
      await api.ok('ReceiveMessage', { QueueUrl });
      const SourceArn = queueArnText('app-dead');
      // Its only source is outside, so for this credential it is no dead-letter queue.
      expect(await api.refused('StartMessageMoveTask', { SourceArn }, app)).toMatchObject({
        message: 'Source queue must be configured as a Dead Letter Queue.',
      });
      await api.ok('CreateQueue', { QueueName: 'app-jobs', Attributes });
      await api.ok('StartMessageMoveTask', { SourceArn }, app);
      expect([await finished(SourceArn)]).toMatchObject([
        { Status: 'FAILED', FailureReason: 'AWS.SimpleQueueService.NonExistentQueue' },
      ]);
      expect(await api.ok('ReceiveMessage', { QueueUrl })).toEqual({});
      await api.ok('StartMessageMoveTask', { SourceArn });
      await finished(SourceArn);
      expect(await api.ok('ReceiveMessage', { QueueUrl })).toMatchObject({ Messages: [{ Body: 'a payment' }] });
    });

    it('in the list of move tasks and in cancelling one: a task to a queue outside does not exist', async () => {
      await api.ok('CreateQueue', { QueueName: 'app-dead' });
      await api.ok('CreateQueue', { QueueName: 'payments' });
      await api.ok('CreateQueue', { QueueName: 'app-jobs', Attributes: { RedrivePolicy: redrive('app-dead') } });
      for (let message = 0; message < 3; message++) {
        await api.ok('SendMessage', { QueueUrl: queueUrl('app-dead'), MessageBody: 'x' });
      }
      const SourceArn = queueArnText('app-dead');
      const { TaskHandle = '' } = await api.ok('StartMessageMoveTask', {
        SourceArn,
        DestinationArn: queueArnText('payments'),
        MaxNumberOfMessagesPerSecond: 1,
      });
      expect(await api.ok('ListMessageMoveTasks', { SourceArn }, app)).not.toHaveProperty('Results.0');
      const missing = Buffer.from(
        JSON.stringify({ taskId: '11111111-1111-4111-8111-111111111111', sourceArn: SourceArn }),
      ).toString('base64');
      const refused = await api.refused('CancelMessageMoveTask', { TaskHandle }, app);
      expect(refused).toEqual(await api.refused('CancelMessageMoveTask', { TaskHandle: missing }, app));
      expect(refused).toMatchObject({ code: 'ResourceNotFoundException' });
      await api.ok('CancelMessageMoveTask', { TaskHandle });
    });
  });

  it('asks for both ends of a move task', async () => {
    await api.ok('CreateQueue', { QueueName: 'app-dead' });
    await api.ok('CreateQueue', { QueueName: 'secret' });
    const input = { SourceArn: queueArnText('app-dead'), DestinationArn: queueArnText('secret') };
    expect(await api.refused('StartMessageMoveTask', input, withScopes(['manage'], 'app-'))).toMatchObject({
      code: 'AccessDenied',
    });
  });
});
