import { SendMessageBatchCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { Deployment } from '../support/deployment.ts';

interface Scene {
  readonly worldDelay: number;
  readonly helloDelay: number;
  /** Which protocol the batch travels in; the single message takes the other. */
  readonly batch: 'json' | 'query';
}

const SCENES: readonly Scene[] = [
  { worldDelay: 10, helloDelay: 5, batch: 'json' },
  { worldDelay: 4, helloDelay: 2, batch: 'query' },
];

describe('delayed messages', () => {
  it.concurrent.each(SCENES)(
    'world after $worldDelay s (in a batch, $batch) and hello after $helloDelay s survive the death of the server and of Redis',
    async ({ worldDelay, helloDelay, batch }) => {
      const karin = await Deployment.start({
        queues: ['jobs'],
        // Should both be due by the time the server is back, one batch shows their order.
        aws: { mapping: { BatchSize: 10 } },
        env: { KARIN_SYNC_INTERVAL: '0' },
      });
      try {
        const arrived: { readonly body: string; readonly at: number }[] = [];
        const bothArrived = new Promise<void>((resolve) => {
          karin.aws.onInvoke = ({ Records }) => {
            for (const { body } of Records) arrived.push({ body, at: Date.now() });
            if (arrived.length >= 2) resolve();
          };
        });

        const sentAt = Date.now();
        await sendBatch(karin, batch, 'world', worldDelay);
        await send(karin, batch === 'json' ? 'query' : 'json', 'hello', helloDelay);
        await karin.server.kill();
        await karin.redis.kill();
        await karin.redis.restart();
        await karin.startServer();
        await bothArrived;

        expect(arrived.map(({ body }) => body)).toEqual(['hello', 'world']);
        const [hello, world] = arrived.map(({ at }) => at - sentAt);
        expect(hello).toBeGreaterThanOrEqual(helloDelay * 1000);
        expect(world).toBeGreaterThanOrEqual(worldDelay * 1000);
        await karin.emptied('jobs');
        expect(arrived).toHaveLength(2);
      } finally {
        await karin.close();
      }
    },
  );
});

async function sendBatch(karin: Deployment, protocol: Scene['batch'], body: string, delay: number): Promise<void> {
  const QueueUrl = karin.queueUrl('jobs');
  if (protocol === 'json') {
    const Entries = [{ Id: 'one', MessageBody: body, DelaySeconds: delay }];
    const { Successful } = await karin.sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    expect(Successful).toHaveLength(1);
    return;
  }
  const answer = await karin.form('SendMessageBatch', {
    QueueUrl,
    'SendMessageBatchRequestEntry.1.Id': 'one',
    'SendMessageBatchRequestEntry.1.MessageBody': body,
    'SendMessageBatchRequestEntry.1.DelaySeconds': String(delay),
  });
  expect(await answer.text()).toContain('<SendMessageBatchResultEntry>');
}

async function send(karin: Deployment, protocol: Scene['batch'], body: string, delay: number): Promise<void> {
  const QueueUrl = karin.queueUrl('jobs');
  if (protocol === 'json') {
    await karin.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body, DelaySeconds: delay }));
    return;
  }
  const answer = await karin.form('SendMessage', { QueueUrl, MessageBody: body, DelaySeconds: String(delay) });
  expect(await answer.text()).toContain('<MessageId>');
}
