/** Alerts by SNS, to a topic of the AWS emulator whose subscriber is a queue of it. */
import { CreateTopicCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns';
import { CreateQueueCommand, GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import * as z from 'zod';
import { AlertRefusedError, readAlertTargets } from '../../runtime/ops/alert-targets.ts';
import { systemTime } from '../../runtime/time.ts';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { ManualTime } from '../support/manual-time.ts';
import { MotoServer } from '../support/moto-server.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

const Envelope = z.object({ Type: z.literal('Notification'), Subject: z.string(), Message: z.string() });

let moto: MotoServer;
let topic: string;
let sns: SNSClient;
let sqs: SQSClient;
let inbox: string;

beforeAll(async () => {
  moto = await MotoServer.start();
  vi.stubEnv('AWS_ENDPOINT_URL', moto.addressUrl);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  const client = { region: 'us-east-1' };
  [sns, sqs] = [new SNSClient(client), new SQSClient(client)];
  topic = (await sns.send(new CreateTopicCommand({ Name: 'alerts' }))).TopicArn ?? '';
  inbox = (await sqs.send(new CreateQueueCommand({ QueueName: 'inbox' }))).QueueUrl ?? '';
  const asked = new GetQueueAttributesCommand({ QueueUrl: inbox, AttributeNames: ['QueueArn'] });
  const Endpoint = (await sqs.send(asked)).Attributes?.['QueueArn'];
  await sns.send(new SubscribeCommand({ TopicArn: topic, Protocol: 'sqs', Endpoint }));
});
afterAll(async () => {
  sns.destroy();
  sqs.destroy();
  vi.unstubAllEnvs();
  await moto.stop();
});

/** What the subscriber got next. */
async function received(): Promise<z.infer<typeof Envelope>> {
  const asked = new ReceiveMessageCommand({ QueueUrl: inbox, WaitTimeSeconds: 20 });
  const { Messages: [message] = [] } = await sqs.send(asked);
  return Envelope.parse(JSON.parse(message?.Body ?? 'null'));
}

it('a dead letter of a running server reaches the subscriber of the topic, with its queue and a link', async () => {
  const source = new ScriptedSource();
  source.found = discoveryOf([], { queues: [queueOf('jobs', 'dead'), queueOf('dead')] });
  const time = new ManualTime(Date.now());
  const karin = await runKarin(
    {
      ...{ AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_ALERTS: topic },
      KARIN_PUBLIC_URL: 'https://karin.example.com',
    },
    { source, time },
  );
  const letter = { id: crypto.randomUUID(), body: 'the body is a secret', attributes: {}, senderId: 'test' };
  await karin.directory.byKey(keyOf('dead'))?.send([letter]);
  // The tick that sees that a queue was used, and the look half a minute later.
  await time.advanceAsync(120_000);
  const { Subject, Message } = await received();
  expect(Subject).toMatch(/^Karin .*1 thing needs you/);
  expect(Message).toContain('1 dead letter of jobs in dead');
  expect(Message).toContain(`https://karin.example.com/ops/queues/${encodeURIComponent(keyOf('dead'))}`);
  expect(Message).not.toContain('the body is a secret');
});

it('karin alert test sends one, and says what the topic answered', async () => {
  const env = { AWS_REGION: 'us-east-1', KARIN_ALERTS: `oncall=${topic}` };
  const { out, status } = await runCli(['alert', 'test'], env);
  expect([status, out]).toEqual([0, expect.stringContaining('oncall')]);
  expect((await received()).Subject).toContain('Karin');
});

it('a topic that is not there is refused for good, so nothing is tried again', async () => {
  const { targets } = readAlertTargets([topic.replace(/alerts$/, 'nothing')], systemTime);
  const at = new Date(0).toISOString();
  const message = { kind: 'alert', at, server: 'https://x', began: [], resolved: [], leftOut: 0 } as const;
  await expect(targets[0]?.send(message, new AbortController().signal)).rejects.toBeInstanceOf(AlertRefusedError);
});
