/**
 * One application, deployed through four front doors, and one result: the server finds exactly the disabled mapping and
 * runs the deployed handler.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  IAMClient,
  ListAttachedUserPoliciesCommand,
  ListUsersCommand,
} from '@aws-sdk/client-iam';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../cli/run-cli.ts';
import { type Call, isAllowed, type Statement } from '../constructs/support/policy-evaluator.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';
import { startRecordingProxy } from './support/recording-proxy.ts';

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
  moto = await MotoServer.start({ mended: true, generatedSecret: ADMIN_PASSWORD });
  if (!existsSync(OSLS)) await command('npm', ['ci'], { cwd: 'examples/broadcast', env: {} });
});
afterEach(async () => {
  await karin.stop();
  await redis.stop();
  await moto.reset();
});
afterAll(() => moto.stop());

/** `karin start` with discovery from the emulator, nothing deployed yet. */
async function startKarin(aws: Readonly<Record<string, string>> = {}): Promise<void> {
  redis = await RedisServer.start();
  karin = await startServerProcess({
    ...moto.environment,
    ...aws,
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
    const proxy = await startRecordingProxy({ port: moto.port, account: MOTO_ACCOUNT, region: 'us-east-1' });
    await startKarin({ AWS_ENDPOINT_URL: proxy.url });
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

    await useEverything(queueArn);
    await proxy.close();
    const deployed = await deployedStatements();
    const printed = await printedStatements();
    for (const call of proxy.calls) {
      expect(call).toSatisfy((made: Call) => isAllowed(deployed, made), 'a call that the deployed identity may make');
      expect(call).toSatisfy((made: Call) => isAllowed(printed, made), 'a call that the policy of karin iam allows');
    }
    // Asked only where AWS cannot show the filters of a mapping in its list, which the emulator always can.
    const made = new Set([...proxy.calls.map(({ action }) => action), 'lambda:GetEventSourceMapping']);
    expect(actionsOf(deployed)).toEqual([...made].sort());
    expect(actionsOf(printed)).toEqual([...made].sort());
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

/**
 * What every door must lead to: one mapping, nothing broken, its dead-letter queue known, and the deployed handler run.
 */
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

/**
 * What the server does only when it is asked to: it lists function URLs, and moves messages in from SQS and out to it.
 */
async function useEverything(queueArn: string): Promise<void> {
  const password = new URLSearchParams({ password: ADMIN_PASSWORD });
  const login = await fetch(`${karin.url}/ops/login`, { method: 'POST', body: password, redirect: 'manual' });
  const cookie = login.headers.getSetCookie().map((text) => text.replace(/;.*/, ''));
  const page = await fetch(`${karin.url}/functions`, { headers: { cookie: cookie.join('; ') } });
  expect(await page.text()).toMatch(/href="https:\/\/\w+\.lambda-url\.us-east-1\.on\.aws/);
  const name = queueArn.split(':').at(-1) ?? '';
  const sqs = new SQSClient({
    region: 'us-east-1',
    endpoint: moto.addressUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  await sqs.send(
    new SendMessageCommand({ QueueUrl: `${moto.addressUrl}/${MOTO_ACCOUNT}/${name}`, MessageBody: 'left in SQS' }),
  );
  sqs.destroy();
  const door = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: ADMIN_PASSWORD };
  expect(await runCli(['pull', name], door)).toMatchObject({ status: 0 });
  await moto.invoked(({ event }) => JSON.stringify(event).includes('left in SQS'));
  await sendLater(name);
  expect(await runCli(['drain', name], door)).toMatchObject({ status: 0 });
}

/** A message that Karin still holds when it is drained. */
async function sendLater(name: string): Promise<void> {
  const endpoint = `${karin.url}/k/${TOKEN}`;
  const sqs = new SQSClient({
    region: 'us-east-1',
    endpoint,
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
  });
  const QueueUrl = `${endpoint}/${MOTO_ACCOUNT}/${name}`;
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'later', DelaySeconds: 600 }));
  sqs.destroy();
}

/** What the user that the stack defines may do, as the emulator has it. */
async function deployedStatements(): Promise<readonly Statement[]> {
  const iam = new IAMClient({
    region: 'us-east-1',
    endpoint: moto.addressUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  const { Users: [user] = [] } = await iam.send(new ListUsersCommand({}));
  const { AttachedPolicies = [] } = await iam.send(new ListAttachedUserPoliciesCommand({ UserName: user?.UserName }));
  const statements = await Promise.all(
    AttachedPolicies.map(async ({ PolicyArn }) => {
      const { Policy } = await iam.send(new GetPolicyCommand({ PolicyArn }));
      const VersionId = Policy?.DefaultVersionId;
      const { PolicyVersion } = await iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId }));
      return statementsOf(decodeURIComponent(PolicyVersion?.Document ?? ''));
    }),
  );
  iam.destroy();
  return statements.flat();
}

/** The policy that `karin iam` prints for what is deployed. */
async function printedStatements(): Promise<readonly Statement[]> {
  const args = ['--import', 'tsx', 'runtime/cli/karin.ts', 'iam', '--deployed', '--drain', '--pull', '--function-urls'];
  const output = await command(process.execPath, args, { env: { ...moto.environment, NODE_NO_WARNINGS: '1' } });
  return statementsOf(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1));
}

function statementsOf(document: string): readonly Statement[] {
  const { Statement: statements }: { Statement: readonly Statement[] } = JSON.parse(document);
  return statements;
}

function actionsOf(statements: readonly Statement[]): readonly string[] {
  return [...new Set(statements.flatMap(({ Action }) => Action))].sort();
}
