/**
 * One application, deployed through four front doors, and one result: the server finds exactly the disabled mapping and runs the deployed handler.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';

const ADMIN_PASSWORD = 'an-admin-password-for-tests';
const TOKEN = 'a-token-for-the-tests-1234';
const OSLS = 'examples/broadcast/node_modules/.bin/serverless';
const QUIET = {
  CDK_DISABLE_VERSION_CHECK: '1',
  CDK_DISABLE_CLI_TELEMETRY: 'true',
  SLS_TELEMETRY_DISABLED: '1',
  SLS_NOTIFICATIONS_MODE: 'off',
};

let moto: MotoServer;
let redis: RedisServer;
let karin: RunningServer;

beforeAll(async () => {
  moto = await MotoServer.start({ runsFunctions: true, generatedSecret: ADMIN_PASSWORD });
  if (!existsSync(OSLS)) await command('npm', ['ci'], { cwd: 'examples/broadcast', env: {} });
});
afterEach(async () => {
  await karin.stop();
  await redis.stop();
  await moto.reset();
});
afterAll(() => moto.stop());

/** `karin start` with discovery from the emulator, nothing deployed yet. */
async function startKarin(): Promise<void> {
  redis = await RedisServer.start();
  karin = await startServerProcess({
    ...moto.environment,
    REDIS_URL: redis.url,
    KARIN_ACCOUNT_ID: MOTO_ACCOUNT,
    KARIN_ADMIN_PASSWORD: ADMIN_PASSWORD,
    KARIN_TOKENS: `${TOKEN}:send`,
  });
}

interface Found {
  readonly added: readonly { readonly queueArn: string; readonly functionArn: string }[];
  readonly broken: readonly unknown[];
  readonly unchanged: number;
}

async function sync(): Promise<Found> {
  const response = await fetch(`${karin.url}/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_PASSWORD}` },
  });
  expect(response.status).toBe(200);
  // The shape is what the assertions below look at.
  return (await response.json()) as Found;
}

/** Sends through the SDK and waits until the deployed handler has printed the message. */
async function expectDelivery(queueArn: string, prints: (body: string) => RegExp): Promise<void> {
  const sqs = new SQSClient({
    region: 'us-east-1',
    endpoint: `${karin.url}/k/${TOKEN}`,
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const queueName = queueArn.split(':').at(-1);
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: `${karin.url}/k/${TOKEN}/${MOTO_ACCOUNT}/${queueName}`,
      MessageBody: 'through the door',
    }),
  );
  sqs.destroy();
  const run = await moto.invoked(({ event }) => JSON.stringify(event).includes('through the door'));
  expect(run.printed).toMatch(prints('through the door'));
  expect(run.failed).toBe(false);
  expect(run.event).toMatchObject({
    Records: [{ eventSourceARN: queueArn, awsRegion: 'us-east-1', eventSource: 'aws:sqs' }],
  });
}

describe('the same application, deployed by', () => {
  it('cdk deploy, which also tells the server', async () => {
    await startKarin();
    const folder = await mkdtemp(join(tmpdir(), 'karin-cdk-'));
    const env = { ...moto.environment, ...QUIET };
    await command('npx', ['cdk', 'bootstrap', `aws://${MOTO_ACCOUNT}/us-east-1`], { env });
    await command(
      'npx',
      [
        ...['cdk', 'deploy', '--require-approval', 'never', '--method=direct', '-c', `karin:endpoint=${karin.url}`],
        ...['--output', join(folder, 'cdk.out'), '--outputs-file', join(folder, 'outputs.json')],
      ],
      { env },
    );
    const { KarinExample: outputs }: { KarinExample: Record<string, string> } = JSON.parse(
      await readFile(join(folder, 'outputs.json'), 'utf8'),
    );
    await rm(folder, { recursive: true });
    const summary = Object.entries(outputs).find(([name]) => name.startsWith('SyncSummary'))?.[1];
    expect(summary).toBe('1 added, 0 changed, 0 removed, 0 unchanged');

    const found = await sync();
    expect(found).toMatchObject({ added: [], broken: [], unchanged: 1 });
    const mapped = moto.invocations.length;
    const queueArn = await onlyQueueWithMapping();
    await expectDelivery(queueArn, (body) => new RegExp(body));
    expect(moto.invocations.length).toBeGreaterThan(mapped);
  });

  it('osls deploy, which also tells the server', async () => {
    await startKarin();
    const output = await command(join(process.cwd(), OSLS), ['deploy'], {
      env: {
        ...moto.environment,
        ...QUIET,
        AWS_ENDPOINT_URL: moto.addressUrl,
        // As the functions get it; the capability is not what opens /sync.
        KARIN_ENDPOINT: `${karin.url}/k/${TOKEN}`,
        KARIN_ADMIN_PASSWORD: ADMIN_PASSWORD,
      },
      cwd: 'test/deploy/front-doors/serverless',
    });
    expect(output).toContain('Karin: 1 added, 0 changed, 0 removed, 0 as before');
    expect(await sync()).toMatchObject({ added: [], broken: [], unchanged: 1 });
    await expectDelivery(await onlyQueueWithMapping(), (body) => new RegExp(`got ${body}`));
  });

  it('a SAM template', async () => {
    await startKarin();
    await command(
      'python3',
      ['test/deploy/support/create_stack.py', 'sam', 'test/deploy/front-doors/sam.yaml', '--sam'],
      { env: moto.environment },
    );
    await expectOneResult();
  });

  it('a plain CloudFormation template', async () => {
    await startKarin();
    await command('python3', ['test/deploy/support/create_stack.py', 'plain', 'test/deploy/front-doors/plain.json'], {
      env: moto.environment,
    });
    await expectOneResult();
  });
});

/** What every door must lead to: one mapping, nothing broken, its dead-letter queue known, and the deployed handler run. */
async function expectOneResult(): Promise<void> {
  const found = await sync();
  expect(found).toMatchObject({ broken: [], unchanged: 0 });
  expect(found.added).toHaveLength(1);
  await expectDelivery(found.added[0]?.queueArn ?? '', (body) => new RegExp(`got ${body}`));
}

/** The queue of the one disabled mapping that the emulator has. */
async function onlyQueueWithMapping(): Promise<string> {
  const response = await fetch(`${moto.addressUrl}/2015-03-31/event-source-mappings/`, {
    headers: {
      authorization:
        'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0',
    },
  });
  // The shape of lambda:ListEventSourceMappings.
  const { EventSourceMappings: mappings } = (await response.json()) as {
    EventSourceMappings: readonly { EventSourceArn: string; State: string }[];
  };
  expect(mappings.map(({ State }) => State)).toEqual(['Disabled']);
  return mappings[0]?.EventSourceArn ?? '';
}
