import {
  CreateQueueCommand,
  DeleteMessageCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
} from '@aws-sdk/client-sqs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { Deployment, type DeploymentOptions } from '../support/deployment.ts';
import { Gate } from '../support/scriptable-lambda.ts';

const FULL_TEXT =
  'The store of messages is full, so none can be added. Receive and delete messages, or give the store more memory.';
const SyncAnswer = z.object({
  broken: z.array(z.object({ queueArn: z.string(), functionArn: z.string(), reason: z.string() })),
  unchanged: z.number(),
});
const Readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

/** Of the running test. */
let karin: Deployment;

async function start(options: DeploymentOptions): Promise<void> {
  const started = await Deployment.start(options);
  onTestFinished(() => started.close());
  karin = started;
}

/** Bodies that Lambda is invoked with, each to be awaited. */
function invocations(): (body: string) => Promise<void> {
  const seen = new Set<string>();
  const waiting = new Map<string, () => void>();
  karin.aws.onInvoke = ({ Records }) => {
    for (const { body } of Records) {
      seen.add(body);
      waiting.get(body)?.();
    }
  };
  return (body) =>
    new Promise((resolve) => {
      if (seen.has(body)) resolve();
      else waiting.set(body, resolve);
    });
}

async function readiness(): Promise<{ status: number; ready: boolean; reasons: readonly string[] }> {
  const answer = await fetch(`${karin.server.url}/readyz`);
  return { status: answer.status, ...Readiness.parse(await answer.json()) };
}

async function sync(): Promise<z.infer<typeof SyncAnswer>> {
  return SyncAnswer.parse(await (await fetch(`${karin.server.url}/sync`, { method: 'POST' })).json());
}

const send = (queue: string, MessageBody: string) =>
  new SendMessageCommand({ QueueUrl: karin.queueUrl(queue), MessageBody });

describe('Redis away', () => {
  it('is a 503 at once that SDKs retry, shows in /readyz, and is over without a restart of the server', async () => {
    await start({ queues: ['jobs'] });
    const invoked = invocations();
    const { pid } = karin.server;
    expect((await readiness()).status).toBe(200);
    await karin.redis.kill();

    await expect(karin.sqs.send(send('jobs', 'refused'))).rejects.toMatchObject({
      name: 'ServiceUnavailable',
      $fault: 'server',
      $metadata: { httpStatusCode: 503 },
    });
    const form = await karin.form('SendMessage', { QueueUrl: karin.queueUrl('jobs'), MessageBody: 'refused' });
    expect(form.status).toBe(503);
    expect(await form.text()).toContain('<Type>Receiver</Type><Code>ServiceUnavailable</Code>');
    expect(await readiness()).toEqual({
      status: 503,
      ready: false,
      reasons: ['the store of messages cannot be reached; requests are answered with 503'],
    });
    expect((await fetch(`${karin.server.url}/healthz`)).status).toBe(200);

    // The SDK by itself: while it makes its second attempt Redis comes back, and a later attempt is served.
    const sqs = karin.client(30);
    let attempts = 0;
    sqs.middlewareStack.add(
      (next) => async (args) => {
        attempts += 1;
        if (attempts === 2) await karin.redis.restart();
        return next(args);
      },
      { step: 'finalizeRequest', priority: 'low' },
    );
    await sqs.send(send('jobs', 'kept trying'));
    sqs.destroy();
    expect(attempts).toBeGreaterThanOrEqual(2);
    await invoked('kept trying');
    expect((await readiness()).status).toBe(200);
    expect(karin.server.pid).toBe(pid);
    await karin.emptied('jobs');
  });
});

describe('Redis full', () => {
  it('refuses sends in words, while messages go on to be received, invoked and deleted, after which there is room again', async () => {
    await start({ queues: ['jobs'], redis: { maxMemory: '12mb' } });
    const { QueueUrl } = await karin.sqs.send(new CreateQueueCommand({ QueueName: 'by-hand' }));
    const shut = new Gate();
    karin.aws.onInvoke = () => shut.opened;
    const body = 'x'.repeat(500_000);
    const fill = async (): Promise<unknown> => {
      for (;;) {
        for (const url of [QueueUrl, karin.queueUrl('jobs')]) {
          const refusal = await karin.sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body })).then(
            () => undefined,
            (error: unknown) => error,
          );
          if (refusal !== undefined) return refusal;
        }
      }
    };
    expect(await fill()).toMatchObject({ name: 'OverLimit', message: FULL_TEXT, $metadata: { httpStatusCode: 403 } });
    const form = await karin.form('SendMessage', { QueueUrl: karin.queueUrl('jobs'), MessageBody: body });
    expect(form.status).toBe(403);
    expect(await form.text()).toContain(`<Code>OverLimit</Code><Message>${FULL_TEXT}</Message>`);

    const { Messages = [] } = await karin.sqs.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    expect(Messages.length).toBeGreaterThan(0);
    for (const { ReceiptHandle } of Messages) {
      await karin.sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
    shut.open();
    await karin.emptied('jobs');
    await karin.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: body }));
  });
});

describe('a mapping whose function is gone', () => {
  it('is reported by the sync that finds out, and the others run', async () => {
    await start({ queues: ['jobs', 'orphan'] });
    const invoked = invocations();
    karin.aws.gone.add('orphan');
    const { broken, unchanged } = await sync();
    expect(unchanged).toBe(1);
    expect(broken).toEqual([
      {
        ...{ queueArn: 'arn:aws:sqs:us-east-1:000000000000:orphan' },
        functionArn: 'arn:aws:lambda:us-east-1:000000000000:function:orphan',
        reason: expect.stringContaining('function'),
      },
    ]);
    // What is sent to it is kept for the day when its function is there again.
    await karin.sqs.send(send('orphan', 'kept'));
    await karin.sqs.send(send('jobs', 'delivered'));
    await invoked('delivered');
    expect(await karin.depth('orphan')).toBe(1);
    expect((await readiness()).status).toBe(200);

    karin.aws.gone.clear();
    expect((await sync()).broken).toEqual([]);
    await invoked('kept');
  });

  it('is reported by the first Invoke that finds out before a sync does, and the others run', async () => {
    await start({ queues: ['jobs', 'orphan'] });
    const invoked = invocations();
    karin.aws.gone.add('orphan');
    const reported = karin.server.saying(/orphan.*ResourceNotFound|ResourceNotFound.*orphan/);
    await karin.sqs.send(send('orphan', 'kept'));
    await karin.sqs.send(send('jobs', 'delivered'));
    await invoked('delivered');
    await reported;
    expect(await karin.depth('orphan')).toBe(1);
  });
});

describe('discovery down at start', () => {
  it('a server runs on the last good result, and says so', async () => {
    await start({ queues: ['jobs'] });
    await karin.server.stop();
    karin.aws.listsFail = true;
    await karin.startServer();
    const invoked = invocations();
    await karin.sqs.send(send('jobs', 'delivered'));
    await invoked('delivered');
    await karin.server.saying(/sync failed; what was found last is served on/);
    expect(await readiness()).toEqual({
      status: 200,
      ready: true,
      reasons: [expect.stringMatching(/^AWS \(us-east-1\) could not be read at .*; what was found last is served on$/)],
    });

    karin.aws.listsFail = false;
    expect((await sync()).unchanged).toBe(1);
    expect((await readiness()).reasons).toEqual([]);
  });
});
