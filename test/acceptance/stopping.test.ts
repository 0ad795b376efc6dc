import { CreateQueueCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Deployment } from '../support/deployment.ts';
import { Gate } from '../support/scriptable-lambda.ts';

describe('SIGTERM', () => {
  it('lets open Invokes finish, leases nothing new, answers long polls, and ends with status 0', async () => {
    const karin = await Deployment.start({
      queues: ['jobs'],
      aws: { mapping: { ScalingConfig: { MaximumConcurrency: 2 } } },
    });
    onTestFinished(() => karin.close());
    const shut = new Gate();
    const invoked: string[] = [];
    const bothRun = new Promise<void>((resolve) => {
      karin.aws.onInvoke = ({ Records }) => {
        invoked.push(...Records.map(({ body }) => body));
        if (invoked.length === 2) resolve();
        return shut.opened;
      };
    });
    const QueueUrl = karin.queueUrl('jobs');
    for (const MessageBody of ['one', 'two', 'three'])
      await karin.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody }));
    await bothRun;
    const { Messages: [third] = [] } = await karin.sqs.send(
      new ReceiveMessageCommand({ QueueUrl, VisibilityTimeout: 0 }),
    );
    expect(third?.Body).toBe('three');

    const { QueueUrl: empty } = await karin.sqs.send(new CreateQueueCommand({ QueueName: 'empty' }));
    const poll = karin.sqs.send(new ReceiveMessageCommand({ QueueUrl: empty, WaitTimeSeconds: 20 }));
    const stopped = karin.server.stop();
    expect((await poll).Messages).toBeUndefined();
    await karin.server.saying(/"stopping"/);
    expect((await fetch(`${karin.server.url}/readyz`)).status).toBe(503);
    // Functions that run now may still send.
    await karin.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'four' }));
    shut.open();
    expect(await stopped).toBe(0);
    expect(invoked.sort()).toEqual(['one', 'two']);

    await karin.startServer();
    await karin.emptied('jobs');
    expect(invoked.sort()).toEqual(['four', 'one', 'three', 'two']);
  });
});
