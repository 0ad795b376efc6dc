/**
 * Two accounts and three regions on the AWS emulator, one server: it finds, takes, delivers and moves messages in all
 * of them, and a role that is revoked in the middle costs what it leads to, and nothing else.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetQueueUrlCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SyncReport } from '../../runtime/aws/sync/synchroniser.ts';
import { runCli } from '../cli/run-cli.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';
import { type RolesProxy, startRolesProxy } from './support/roles-proxy.ts';

const OTHER = '444455556666';
const ROLE = `arn:aws:iam::${OTHER}:role/karin`;
const EXTERNAL_ID = '4711:karin';
const PASSWORD = 'the password of the test';

interface Scope {
  readonly account: string;
  readonly region: string;
}
const OWN_SCOPES: readonly Scope[] = ['us-east-1', 'eu-west-1'].map((region) => ({ account: MOTO_ACCOUNT, region }));
const ROLE_SCOPES: readonly Scope[] = ['eu-west-1', 'ap-south-1'].map((region) => ({ account: OTHER, region }));
const SCOPES = [...OWN_SCOPES, ...ROLE_SCOPES];
const keyOf = ({ region, account }: Scope) => `${region}:${account}:jobs`;
const arnOf = ({ region, account }: Scope) => `arn:aws:sqs:${region}:${account}:jobs`;

/** The same names everywhere: stages of one application. */
const STAGE = {
  Resources: {
    Jobs: { Type: 'AWS::SQS::Queue', Properties: { QueueName: 'jobs', VisibilityTimeout: 60 } },
    Role: {
      Type: 'AWS::IAM::Role',
      Properties: {
        AssumeRolePolicyDocument: {
          Version: '2012-10-17',
          Statement: [{ Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' }],
        },
      },
    },
    Worker: {
      Type: 'AWS::Lambda::Function',
      Properties: {
        FunctionName: 'worker',
        Runtime: 'nodejs22.x',
        Handler: 'index.handler',
        Timeout: 10,
        Role: { 'Fn::GetAtt': ['Role', 'Arn'] },
        Code: { ZipFile: 'exports.handler = async () => {};\n' },
      },
    },
    Mapping: {
      Type: 'AWS::Lambda::EventSourceMapping',
      Properties: {
        Enabled: false,
        EventSourceArn: { 'Fn::GetAtt': ['Jobs', 'Arn'] },
        FunctionName: { Ref: 'Worker' },
      },
    },
  },
};

let moto: MotoServer;
let redis: RedisServer;
let proxy: RolesProxy;
let server: RunningServer;
let env: Readonly<Record<string, string>>;
const folder = mkdtempSync(join(tmpdir(), 'karin-scopes-'));

beforeAll(async () => {
  [moto, redis] = await Promise.all([MotoServer.start({ mended: true }), RedisServer.start()]);
  proxy = await startRolesProxy(moto.port);
  const template = join(folder, 'stage.json');
  writeFileSync(template, JSON.stringify(STAGE));
  for (const { account, region } of SCOPES) {
    const stack = ['test/deploy/support/create_stack.py', 'stage', template];
    const keys = account === OTHER ? await keysOfOther() : {};
    await command('python3', stack, {
      env: { ...moto.environment, ...keys, AWS_REGION: region, AWS_DEFAULT_REGION: region },
    });
  }
  env = {
    ...moto.environment,
    AWS_ENDPOINT_URL: proxy.url,
    REDIS_URL: redis.url,
    KARIN_REGIONS: 'eu-west-1',
    KARIN_ROLES: `${ROLE}:eu-west-1+ap-south-1:${EXTERNAL_ID}`,
    KARIN_ADMIN_PASSWORD: PASSWORD,
  };
  server = await startServerProcess(env);
  // The doctor asks AWS from this process.
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.stop();
  await proxy.close();
  await Promise.all([moto.stop(), redis.stop()]);
  rmSync(folder, { recursive: true });
});

async function keysOfOther(): Promise<Readonly<Record<string, string>>> {
  const { accessKeyId, secretAccessKey, sessionToken = '' } = await asOther()();
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN: sessionToken };
}

/** The administrator of the other account. */
function asOther() {
  return fromTemporaryCredentials({
    params: { RoleArn: `arn:aws:iam::${OTHER}:role/administrator`, RoleSessionName: 'test' },
    masterCredentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    clientConfig: { region: 'us-east-1', endpoint: moto.addressUrl },
  });
}

/** A client of the real queues of a scope. */
function realSqs({ account, region }: Scope): SQSClient {
  const credentials = account === OTHER ? asOther() : { accessKeyId: 'test', secretAccessKey: 'test' };
  return new SQSClient({ region, endpoint: moto.addressUrl, credentials });
}

const headers = { authorization: `Bearer ${PASSWORD}`, 'content-type': 'application/x-amz-json-1.0' };

async function post(path: string, body: object = {}): Promise<Response> {
  const response = await fetch(`${server.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response;
}

async function send({ region, account }: Scope, text: string): Promise<void> {
  const input = { QueueUrl: `${server.url}/r/${region}/${account}/jobs`, MessageBody: text };
  const target = { ...headers, 'x-amz-target': 'AmazonSQS.SendMessage' };
  const response = await fetch(`${server.url}/`, { method: 'POST', headers: target, body: JSON.stringify(input) });
  expect(response.status, await response.text()).toBe(200);
}

/** Resolves once the function of a scope was given this text, with what it was told of the queue. */
async function delivered(text: string): Promise<unknown> {
  const hasText = (event: unknown): boolean => JSON.stringify(event).includes(JSON.stringify(text));
  const { event } = await moto.invoked((one) => hasText(one.event));
  // The function prints the event of Lambda, which has records.
  const { Records } = event as {
    readonly Records: readonly { readonly eventSourceARN: string; readonly awsRegion: string }[];
  };
  return Records.map(({ eventSourceARN, awsRegion }) => [eventSourceARN, awsRegion]);
}

async function sync(): Promise<SyncReport> {
  // The answer of a server of this version.
  return (await (await post('/sync')).json()) as SyncReport;
}

async function readiness(): Promise<{ readonly ready: boolean; readonly reasons: readonly string[] }> {
  return (await fetch(`${server.url}/readyz`)).json() as Promise<{ ready: boolean; reasons: string[] }>;
}

async function movedBothWays(scope: Scope): Promise<void> {
  const key = keyOf(scope);
  const sqs = realSqs(scope);
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'jobs' }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: `pulled to ${key}` }));
  expect(await (await post('/pull', { queue: key })).text()).toContain('"pulled":1');
  expect(await delivered(`pulled to ${key}`)).toEqual([[arnOf(scope), scope.region]]);

  await post(`/api/v1/queues/${key}/hold`);
  await send(scope, `drained from ${key}`);
  expect(await (await post('/drain', { queue: key })).text()).toContain('"moved":1');
  const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 1 }));
  expect(Messages.map(({ Body }) => Body)).toEqual([`drained from ${key}`]);
  await post(`/api/v1/queues/${key}/resume`);
  sqs.destroy();
}

describe('one server for two accounts and three regions', () => {
  it('finds the queues of all, with the role that its external id lets it assume', async () => {
    const { queues } = (await (await fetch(`${server.url}/api/v1/queues`, { headers })).json()) as {
      readonly queues: readonly { readonly key: string }[];
    };
    expect(queues.map(({ key }) => key).sort()).toEqual(SCOPES.map(keyOf).sort());
    expect(new Set(proxy.assumed.map(({ role, externalId }) => `${role} ${externalId}`))).toEqual(
      new Set([`${ROLE} ${EXTERNAL_ID}`]),
    );
    expect(await readiness()).toMatchObject({ ready: true, reasons: [] });
  });

  it.each(SCOPES)('takes messages for $account in $region and invokes the function there', async (scope) => {
    await send(scope, `for ${keyOf(scope)}`);
    expect(await delivered(`for ${keyOf(scope)}`)).toEqual([[arnOf(scope), scope.region]]);
  });

  it('moves messages between here and the real queue of each scope', async () => {
    await Promise.all(SCOPES.map(movedBothWays));
  });

  it('goes on in all others when a role is revoked, says why, and delivers what waited once it is restored', async () => {
    proxy.revoke(ROLE);
    const { failed = [] } = await sync();
    expect(failed.map(({ source }) => source)).toEqual(
      ROLE_SCOPES.map(({ account, region }) => `AWS (${account}, ${region})`),
    );
    for (const scope of SCOPES) await send(scope, `meanwhile for ${keyOf(scope)}`);
    for (const scope of OWN_SCOPES) {
      expect(await delivered(`meanwhile for ${keyOf(scope)}`)).toEqual([[arnOf(scope), scope.region]]);
    }
    await sync();
    const { ready, reasons } = await readiness();
    expect(ready).toBe(true);
    for (const { region } of ROLE_SCOPES) {
      expect(reasons.filter((text) => text.startsWith(`AWS (account …6666, ${region}) could not be read`))).toEqual([
        expect.stringContaining('(its role cannot be assumed); what was found last is served on'),
      ]);
    }
    expect(reasons.join()).not.toContain(OTHER);
    const status = await runCli(['status'], { KARIN_URL: server.url, KARIN_TOKEN: PASSWORD });
    expect(status.out).toContain(
      `the last sync of AWS (${OTHER}, ap-south-1) failed: the role ${ROLE} cannot be assumed`,
    );
    const doctor = await runCli(['doctor'], env);
    expect(doctor.out).toContain('AWS (us-east-1): 1 disabled SQS mappings can be served');
    expect(doctor.out).toMatch(
      new RegExp(`^WRONG {2}the role ${ROLE} cannot be assumed \\(AccessDenied: .*its trust policy`, 'm'),
    );

    proxy.restore(ROLE);
    expect((await sync()).failed).toBeUndefined();
    for (const scope of ROLE_SCOPES) {
      expect(await delivered(`meanwhile for ${keyOf(scope)}`)).toEqual([[arnOf(scope), scope.region]]);
    }
    expect((await readiness()).reasons.filter((text) => text.includes('could not be read'))).toEqual([]);
  });
});
