import { SendMessageCommand, SQSServiceException } from '@aws-sdk/client-sqs';
import { Redis } from 'ioredis';
import { expect, it, onTestFinished } from 'vitest';
import { Deployment } from '../support/deployment.ts';

async function start(): Promise<Deployment> {
  const karin = await Deployment.start({ queues: ['jobs'], redis: { appendOnly: false } });
  onTestFinished(() => karin.close());
  return karin;
}

/** Bodies that Lambda is invoked with. */
function invoked(karin: Deployment): { readonly bodies: Set<string>; all(wanted: ReadonlySet<string>): Promise<void> } {
  const bodies = new Set<string>();
  let look = (): void => {};
  karin.aws.onInvoke = ({ Records }) => {
    for (const { body } of Records) bodies.add(body);
    look();
  };
  return {
    bodies,
    all: (wanted) =>
      new Promise((resolve) => {
        look = () => {
          if ([...wanted].every((body) => bodies.has(body))) resolve();
        };
        look();
      }),
  };
}

it('serves on after Redis was killed and started empty under load: every refusal is a 503, and what is accepted afterwards is delivered', async () => {
  const karin = await start();
  const seen = invoked(karin);
  const refusals: unknown[] = [];
  const afterwards = new Set<string>();
  let restarted = false;
  let stop = false;
  const sender = async (id: number): Promise<void> => {
    for (let count = 0; !stop; count += 1) {
      const body = `${id}-${count}`;
      const counts = restarted;
      try {
        await karin.sqs.send(new SendMessageCommand({ QueueUrl: karin.queueUrl('jobs'), MessageBody: body }));
        if (counts && afterwards.add(body).size >= 400) stop = true;
      } catch (error) {
        refusals.push(error instanceof SQSServiceException ? error.$metadata.httpStatusCode : error);
      }
    }
  };
  const senders = Promise.all(Array.from({ length: 8 }, (_, id) => sender(id)));
  await karin.redis.kill();
  await karin.redis.restart();
  restarted = true;
  await senders;

  expect(new Set(refusals)).toEqual(new Set([503]));
  await seen.all(afterwards);
  const readiness = await (await fetch(`${karin.server.url}/readyz`)).text();
  expect(readiness).toContain('came back empty');
}, 180_000);

it('starts over documents that cannot be read, sets each aside, and reads AWS anew', async () => {
  const karin = await start();
  const client = new Redis(karin.redis.url);
  onTestFinished(() => client.disconnect());
  await karin.server.kill();
  const names = await client.hkeys('karin:documents');
  for (const name of [...names, 'sync:held', 'move-tasks:eu-west-1:123456789012:jobs']) {
    await client.hset('karin:documents', name, '{}');
  }
  await karin.startServer();

  await karin.sqs.send(new SendMessageCommand({ QueueUrl: karin.queueUrl('jobs'), MessageBody: 'hello' }));
  expect(await client.hkeys('karin:documents')).toContain('unreadable:discovery');
}, 180_000);
