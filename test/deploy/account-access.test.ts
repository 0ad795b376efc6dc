/**
 * Two member accounts as the guide to accounts and regions sets them up, on the AWS emulator: one by
 * `KarinAccountAccess`, one by the template that `karin iam --template` prints. The server assumes their roles by what
 * they say themselves, and serves there; producers send by the URLs of the constructs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  GetPolicyCommand,
  GetPolicyVersionCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListAttachedRolePoliciesCommand,
  ListAttachedUserPoliciesCommand,
  ListRolePoliciesCommand,
} from '@aws-sdk/client-iam';
import { GetSecretValueCommand, ListSecretsCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import { App, CfnOutput, DefaultStackSynthesizer, type IStackSynthesizer, Stack } from 'aws-cdk-lib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { KarinAccountAccess, KarinQueue, KarinRuntimeIdentity } from '../../constructs/index.ts';
import { scopeProblems, scopesOf } from '../../runtime/aws/scope.ts';
import { readConfig } from '../../runtime/settings.ts';
import { systemTime } from '../../runtime/time.ts';
import { isAllowed, type Statement } from '../constructs/support/policy-evaluator.ts';
import { asDeclared, testFunction } from '../constructs/support/stacks.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';
import { type RoleRequest, type RolesProxy, startRolesProxy } from './support/roles-proxy.ts';

const BY_CONSTRUCT = '444455556666';
const BY_TEMPLATE = '777788889999';
const ROLES = [BY_CONSTRUCT, BY_TEMPLATE].map((account) => `arn:aws:iam::${account}:role/karin`);
const EXTERNAL_ID = 'acme:karin:4711';
const PASSWORD = 'the password of the test';
const TOKEN = 'a-token-for-the-tests-1234';
const SCOPES = [
  { account: BY_CONSTRUCT, region: 'eu-west-1' },
  { account: BY_CONSTRUCT, region: 'ap-south-1' },
  { account: BY_TEMPLATE, region: 'eu-west-1' },
] as const;
type Scope = (typeof SCOPES)[number];

let moto: MotoServer;
let redis: RedisServer;
let proxy: RolesProxy;
let server: RunningServer;
/** The user that the server runs as. */
let identity: { readonly arn: string; readonly accessKeyId: string; readonly secretAccessKey: string };
/** What the stacks with the roles say to put into `KARIN_ROLES`. */
const entries: string[] = [];
/** Outputs of the stack with the queue, by scope. */
const queues = new Map<Scope, Readonly<Record<string, string>>>();
const folder = mkdtempSync(join(tmpdir(), 'karin-access-'));

beforeAll(async () => {
  [moto, redis] = await Promise.all([MotoServer.start({ mended: true }), RedisServer.start()]);
  proxy = await startRolesProxy(moto.port, mayAssume);

  const own = await deploy('identity', { account: MOTO_ACCOUNT, region: 'us-east-1' }, (stack) => {
    const { identityArn } = KarinRuntimeIdentity.user(stack, 'Runtime', { memberRoleArns: ROLES });
    new CfnOutput(stack, 'Identity', { value: identityArn });
  });
  identity = await keyOf(own['Identity'] ?? '');
  const serverIdentityArn = identity.arn;
  const access = await deploy('access', { account: BY_CONSTRUCT, region: 'us-east-1' }, (stack) => {
    const regions = ['eu-west-1', 'ap-south-1'];
    new KarinAccountAccess(stack, 'Karin', { serverIdentityArn, externalId: EXTERNAL_ID, regions });
  });
  const recipe = 'docs/guides/recipes/karin-role.yaml';
  const trust = [`ServerIdentity=${serverIdentityArn}`, `ExternalId=${EXTERNAL_ID}`];
  const member = { account: BY_TEMPLATE, region: 'us-east-1' };
  const byTemplate = await createStack('access', member, recipe, [...trust, 'Regions=eu-west-1']);
  await createStack('unnamed', member, recipe, [...trust, 'RoleName=unnamed']);
  entries.push(...Object.values(access), ...Object.values(byTemplate));

  server = await startServerProcess({
    ...serverEnvironment(),
    REDIS_URL: redis.url,
    KARIN_ROLES: entries.join(' '),
    KARIN_ADMIN_PASSWORD: PASSWORD,
    KARIN_TOKENS: `${TOKEN}:send:*/*/*`,
  });
  for (const scope of SCOPES) {
    const outputs = await deploy('stage', scope, (stack) => {
      const endpoint = `${server.url}/k/${TOKEN}`;
      const queue = new KarinQueue(stack, 'Jobs', { endpoint, regionInUrl: true, consumer: testFunction(stack) });
      new CfnOutput(stack, 'Url', { value: queue.queueUrl });
      new CfnOutput(stack, 'Endpoint', { value: queue.endpoint });
      new CfnOutput(stack, 'Ingest', { value: queue.ingestUrl() });
      new CfnOutput(stack, 'Arn', { value: queue.queueArn });
    });
    queues.set(scope, outputs);
  }
  const synced = await fetch(`${server.url}/sync`, {
    method: 'POST',
    headers: { authorization: `Bearer ${PASSWORD}` },
  });
  expect(synced.status, await synced.text()).toBe(200);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server.stop();
  await proxy.close();
  await Promise.all([moto.stop(), redis.stop()]);
  rmSync(folder, { recursive: true });
});

/** How the server reaches AWS: by the key of its own user, and nothing else. */
function serverEnvironment(): Readonly<Record<string, string>> {
  return {
    ...moto.environment,
    AWS_ENDPOINT_URL: proxy.url,
    AWS_ACCESS_KEY_ID: identity.accessKeyId,
    AWS_SECRET_ACCESS_KEY: identity.secretAccessKey,
  };
}

/** Synthesizes and deploys what `define` puts into a stack, and gives its outputs. */
async function deploy(
  name: string,
  env: { readonly account: string; readonly region: string },
  define: (stack: Stack) => void,
): Promise<Readonly<Record<string, string>>> {
  const app = new App({ outdir: mkdtempSync(join(folder, 'cdk-')) });
  const synthesizer = asDeclared<IStackSynthesizer>(
    new DefaultStackSynthesizer({ generateBootstrapVersionRule: false }),
  );
  const stack = new Stack(app, 'Stack', { env, synthesizer });
  define(stack);
  const template = join(folder, `${name}-${env.account}-${env.region}.json`);
  writeFileSync(template, JSON.stringify(app.synth().getStackArtifact(stack.artifactId).template));
  return await createStack(name, env, template);
}

async function createStack(
  name: string,
  { account, region }: { readonly account: string; readonly region: string },
  template: string,
  parameters: readonly string[] = [],
): Promise<Readonly<Record<string, string>>> {
  const args = ['test/deploy/support/create_stack.py', name, template, ...parameters];
  const { accessKeyId, secretAccessKey, sessionToken = '' } = await administrator(account)();
  const keys = {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    ...(sessionToken === '' ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  };
  const said = await command('python3', args, {
    env: { ...moto.environment, ...keys, AWS_REGION: region, AWS_DEFAULT_REGION: region },
  });
  return JSON.parse(said.trim().split('\n').at(-1) ?? '');
}

function administrator(account: string) {
  const own = { accessKeyId: 'test', secretAccessKey: 'test', sessionToken: '' };
  if (account === MOTO_ACCOUNT) return async () => own;
  return fromTemporaryCredentials({
    params: { RoleArn: `arn:aws:iam::${account}:role/administrator`, RoleSessionName: 'test' },
    masterCredentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    clientConfig: { region: 'us-east-1', endpoint: moto.addressUrl },
  });
}

function iamOf(account: string): IAMClient {
  return new IAMClient({ region: 'us-east-1', endpoint: moto.addressUrl, credentials: administrator(account) });
}

/** The identity with the key that its stack keeps in Secrets Manager. */
async function keyOf(arn: string): Promise<typeof identity> {
  const secrets = new SecretsManagerClient({
    region: 'us-east-1',
    endpoint: moto.addressUrl,
    credentials: administrator(MOTO_ACCOUNT),
  });
  const { SecretList: [secret] = [] } = await secrets.send(new ListSecretsCommand({}));
  const { SecretString = '' } = await secrets.send(new GetSecretValueCommand({ SecretId: secret?.ARN }));
  secrets.destroy();
  // As KarinRuntimeIdentity.user stores it.
  const key = JSON.parse(SecretString) as { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string };
  return { arn, accessKeyId: key.AWS_ACCESS_KEY_ID, secretAccessKey: key.AWS_SECRET_ACCESS_KEY };
}

/** Decides as AWS does between accounts: the trust of the role and the policies of the caller must both allow it. */
async function mayAssume({ role, externalId, accessKeyId }: RoleRequest): Promise<boolean> {
  if (accessKeyId !== identity.accessKeyId) return false;
  const iam = iamOf(role.split(':')[4] ?? '');
  const { Role } = await iam.send(new GetRoleCommand({ RoleName: role.split('/').at(-1) }));
  iam.destroy();
  const trusting = statementsOf(Role?.AssumeRolePolicyDocument).filter(
    // A statement of a trust policy has a principal and no resource.
    (statement) => Reflect.get(Reflect.get(statement, 'Principal') ?? {}, 'AWS') === identity.arn,
  );
  const context = externalId === null ? {} : { 'sts:ExternalId': externalId };
  const trusted = trusting.map((statement) => ({ ...statement, Resource: '*' }));
  return (
    isAllowed(trusted, { action: 'sts:AssumeRole', resource: '*', context }) &&
    isAllowed(await identityStatements(), { action: 'sts:AssumeRole', resource: role })
  );
}

async function identityStatements(): Promise<readonly Statement[]> {
  const iam = iamOf(MOTO_ACCOUNT);
  const UserName = identity.arn.split('/').at(-1);
  const { AttachedPolicies = [] } = await iam.send(new ListAttachedUserPoliciesCommand({ UserName }));
  const statements = await managedStatements(iam, AttachedPolicies);
  iam.destroy();
  return statements;
}

/** What a role may do, by its managed policies and its own. */
async function roleStatements(role: string): Promise<readonly Statement[]> {
  const iam = iamOf(role.split(':')[4] ?? '');
  const RoleName = role.split('/').at(-1);
  const { AttachedPolicies = [] } = await iam.send(new ListAttachedRolePoliciesCommand({ RoleName }));
  const { PolicyNames = [] } = await iam.send(new ListRolePoliciesCommand({ RoleName }));
  const own = await Promise.all(
    PolicyNames.map(async (PolicyName) => {
      const { PolicyDocument } = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
      return statementsOf(PolicyDocument);
    }),
  );
  const managed = await managedStatements(iam, AttachedPolicies);
  iam.destroy();
  return [...own.flat(), ...managed];
}

async function managedStatements(
  iam: IAMClient,
  policies: readonly { readonly PolicyArn?: string | undefined }[],
): Promise<readonly Statement[]> {
  const documents = await Promise.all(
    policies.map(async ({ PolicyArn }) => {
      const { Policy } = await iam.send(new GetPolicyCommand({ PolicyArn }));
      const VersionId = Policy?.DefaultVersionId;
      const { PolicyVersion } = await iam.send(new GetPolicyVersionCommand({ PolicyArn, VersionId }));
      return statementsOf(PolicyVersion?.Document);
    }),
  );
  return documents.flat();
}

function statementsOf(document = ''): readonly Statement[] {
  // The emulator shows an inline policy of a stack as Python writes it; no text in it has a quote.
  const text = decodeURIComponent(document).replaceAll("'", '"');
  const { Statement: statements }: { Statement: readonly Statement[] } = JSON.parse(text);
  return statements;
}

/** Resolves once a function was given this text, with the queue that it was told of. */
async function deliveredFrom(text: string): Promise<readonly string[]> {
  const { event } = await moto.invoked((run) => JSON.stringify(run.event).includes(JSON.stringify(text)));
  // The emulator gives the event of Lambda, which has records.
  const { Records } = event as { readonly Records: readonly { readonly eventSourceARN: string }[] };
  return Records.map(({ eventSourceARN }) => eventSourceARN);
}

describe('a server with roles in member accounts', () => {
  it('is told by each stack what to put into KARIN_ROLES', () => {
    expect(entries).toEqual([
      `${ROLES[0]}:eu-west-1+ap-south-1:${EXTERNAL_ID}`,
      `${ROLES[1]}:eu-west-1:${EXTERNAL_ID}`,
    ]);
  });

  it('assumes each with the external id, as its trust and the policy of the server demand', () => {
    expect(new Set(proxy.assumed.map(({ role, externalId }) => `${role} ${externalId}`))).toEqual(
      new Set(ROLES.map((role) => `${role} ${EXTERNAL_ID}`)),
    );
  });

  it.each(SCOPES)(
    'delivers in $account, $region what a producer anywhere sends by the URL of the construct',
    async (scope) => {
      const { Url: QueueUrl = '', Endpoint: endpoint = '', Arn: arn = '' } = queues.get(scope) ?? {};
      expect(QueueUrl).toContain(`/r/${scope.region}/${scope.account}/`);
      // Of a region of its own, as a function signs that has the capability.
      const credentials = { accessKeyId: 'any', secretAccessKey: 'any' };
      const producer = new SQSClient({ region: 'us-west-2', endpoint, credentials });
      const text = `sent to ${scope.account} ${scope.region}`;
      await producer.send(new SendMessageCommand({ QueueUrl, MessageBody: text }));
      producer.destroy();
      expect(await deliveredFrom(text)).toEqual([arn]);
    },
  );

  it.each(SCOPES)('delivers in $account, $region what is posted to the address of the construct', async (scope) => {
    const { Ingest: url = '', Arn: arn = '' } = queues.get(scope) ?? {};
    const text = `posted to ${scope.account} ${scope.region}`;
    const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: text });
    expect(answer.status, await answer.text()).toBe(200);
    expect(await deliveredFrom(text)).toEqual([arn]);
  });

  it('calls nothing in a member account that its role does not allow', async () => {
    const tagged = { 'aws:ResourceTag/karin:managed': 'true' };
    for (const role of ROLES) {
      const statements = await roleStatements(role);
      const calls = proxy.calls.flatMap(({ role: used, call }) => (used === role ? [call] : []));
      expect(new Set(calls.map(({ action }) => action))).toContain('lambda:InvokeFunction');
      const regions = role === ROLES[0] ? ['eu-west-1', 'ap-south-1'] : ['eu-west-1'];
      for (const call of calls) {
        const inSome = regions.some((region) =>
          isAllowed(statements, { ...call, context: { ...tagged, 'aws:RequestedRegion': region } }),
        );
        expect(inSome, `${call.action} on ${call.resource}`).toBe(true);
      }
    }
  });

  it.each([
    ['another external id', `${ROLES[0]}:eu-west-1:somebody-else`],
    ['none', `${ROLES[0]}:eu-west-1`],
    [
      'a role that trusts it, but that its own policy does not name',
      `arn:aws:iam::${BY_TEMPLATE}:role/unnamed:eu-west-1:${EXTERNAL_ID}`,
    ],
  ])('is refused with %s', async (_, entry) => {
    for (const [name, value] of Object.entries(serverEnvironment())) vi.stubEnv(name, value);
    const own = { REDIS_URL: redis.url, AWS_REGION: 'us-east-1', KARIN_REGIONS: 'none' };
    const [scope] = scopesOf(readConfig({ ...own, KARIN_ROLES: entry }, 'start', scopeProblems), systemTime);
    await expect(scope?.credentials?.()).rejects.toThrow(/cannot be assumed \(AccessDenied/);
  });
});
