/**
 * SNS delivers to two servers of one Redis, one of which is killed, and Redis as well, while it sends.
 * `KARIN_TEST_SIZE=full` makes 10,000 deliveries, and Redis stays away for 30 seconds.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateQueueCommand, DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, expect, it } from 'vitest';
import { FakeSns, snsHeaders, TOPIC } from '../support/fake-sns.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
const DELIVERIES = FULL ? 10_000 : 1_000;
/** How long Redis stays away after the first delivery was refused for it, ms. */
const OUTAGE_MS = FULL ? 30_000 : 0;
const AT_ONCE = 32;
const TOKEN = 'deliveries-token-0123456789abcdef';

const endings: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0).reverse()) await end();
});

/** The endpoint of SNS that the servers are told of. */
async function serveCertificate(sns: FakeSns): Promise<string> {
  const server = createServer((_request, response) => response.end(sns.certificate.pem));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endings.push(() => new Promise((resolve) => server.close(resolve)));
  // Of a server that listens on a port.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/**
 * The delivery policy of SNS, 3 tries at once, 2 after a pause and the others with pauses that grow, its clock
 * shortened to one thousandth: an hour is 3.6 s here. It does not give up, because a server and Redis need their real
 * time to come back; that a try may count as final is what the test watches.
 */
async function pause(attempt: number): Promise<void> {
  if (attempt <= 3) return;
  const seconds = attempt <= 5 ? 1 : Math.min(20, attempt - 5);
  await new Promise((resolve) => setTimeout(resolve, seconds));
}

it('loses nothing that was answered with 2xx, ends no delivery with a final 4xx, and every message arrives', async () => {
  const sns = new FakeSns();
  const redis = await RedisServer.start({ appendOnly: true });
  endings.push(() => redis.stop());
  const env = {
    REDIS_URL: redis.url,
    AWS_REGION: 'us-east-1',
    KARIN_DISCOVERY: 'none',
    KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
    AWS_ENDPOINT_URL_SNS: await serveCertificate(sns),
  };
  const start = async (): Promise<RunningServer> => {
    const server = await startServerProcess(env);
    endings.push(async () => {
      if (servers.includes(server)) await server.kill();
    });
    return server;
  };
  const servers: RunningServer[] = [];
  servers.push(await start(), await start());
  const client = new SQSClient({
    endpoint: `${servers[0]?.url}/k/${TOKEN}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    maxAttempts: 10,
  });
  endings.push(async () => client.destroy());
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: 'orders' }));

  const waiting = new Map<string, () => void>();
  /** Resolves with the next answer that begins so. */
  const next = (beginning: string): Promise<void> => new Promise((resolve) => waiting.set(beginning, resolve));
  const deliver = async (n: number): Promise<void> => {
    const envelope = sns.notification({ Message: `order ${n}`, SignatureVersion: n % 2 === 0 ? '1' : '2' });
    const body = JSON.stringify(envelope);
    for (let attempt = 1; ; attempt += 1) {
      const server = servers[(n + attempt) % 2];
      const answer = await fetch(`${server?.url}/k/${TOKEN}/in/000000000000/orders?raw=true&topic=${TOPIC}`, {
        method: 'POST',
        body,
        headers: snsHeaders(envelope),
      }).then(
        async (response) => `${response.status} ${response.ok ? '' : await response.text()}`,
        () => 'no answer',
      );
      waiting.get(answer.slice(0, 3))?.();
      if (answer.startsWith('200')) return;
      expect(answer).not.toMatch(/^4(?!29)/);
      await pause(attempt);
    }
  };

  /** What goes wrong, by how many deliveries have begun. */
  const troubles = new Map<number, () => Promise<unknown>>([
    [
      Math.floor(DELIVERIES / 4),
      async () => {
        const silence = next('no ');
        await servers[1]?.kill();
        await silence;
        servers[1] = await start();
      },
    ],
    [
      Math.floor(DELIVERIES / 2),
      async () => {
        const refusal = next('503');
        await redis.kill();
        await refusal;
        // The outage itself is what is tried, so here real time passes.
        await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS));
        await redis.restart();
      },
    ],
  ]);
  const underWay: Promise<unknown>[] = [];
  let begun = 0;
  const work = async (): Promise<void> => {
    while (begun < DELIVERIES) {
      begun += 1;
      const trouble = troubles.get(begun);
      if (trouble !== undefined) underWay.push(trouble());
      await deliver(begun);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await Promise.all(underWay);

  const arrived = new Set<string>();
  for (;;) {
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
    if (Messages.length === 0) break;
    for (const { Body = '' } of Messages) arrived.add(Body);
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
    await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }));
  }
  expect(arrived.size).toBe(DELIVERIES);
}, 600_000);
