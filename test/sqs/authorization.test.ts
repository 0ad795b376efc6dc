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

  it('asks for both ends of a move task', async () => {
    await api.ok('CreateQueue', { QueueName: 'app-dead' });
    await api.ok('CreateQueue', { QueueName: 'secret' });
    const input = { SourceArn: queueArnText('app-dead'), DestinationArn: queueArnText('secret') };
    expect(await api.refused('StartMessageMoveTask', input, withScopes(['manage'], 'app-'))).toMatchObject({
      code: 'AccessDenied',
    });
  });
});
