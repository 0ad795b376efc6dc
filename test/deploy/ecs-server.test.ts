/**
 * `KarinService` by `cdk deploy`: the emulator makes load balancer, cluster, task definition and service, and runs no
 * container. So the test does what ECS would: it reads the task definition, resolves its secrets, and starts the server
 * with that environment, on a port of its own and without the image.
 */
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { CreateSecretCommand, GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startServerProcess } from '../support/karin-process.ts';
import { MOTO_ACCOUNT, MotoServer } from '../support/moto-server.ts';
import { RedisServer } from '../support/redis-server.ts';
import { command } from './support/command.ts';

const TOKEN = 'a-token-for-the-tests-1234';
const ADMIN_PASSWORD = 'an-admin-password-for-tests';
const CDK = resolve('node_modules/.bin/cdk');

const Task = z.object({
  taskDefinition: z.object({
    containerDefinitions: z.tuple([
      z.object({
        environment: z.array(z.object({ name: z.string(), value: z.string() })),
        secrets: z.array(z.object({ name: z.string(), valueFrom: z.string() })),
        healthCheck: z.object({ command: z.tuple([z.literal('CMD'), z.string()]).rest(z.string()) }),
      }),
    ]),
  }),
});
const Service = z.object({
  services: z.tuple([
    z.object({
      desiredCount: z.literal(1),
      taskDefinition: z.string(),
    }),
  ]),
});

const TargetGroups = z.object({
  TargetGroups: z.tuple([z.looseObject({ HealthCheckPath: z.string(), Port: z.number() })]),
});

let moto: MotoServer;
let redis: RedisServer;
let secrets: SecretsManagerClient;

beforeAll(async () => {
  [moto, redis] = await Promise.all([
    MotoServer.start({ mended: true, generatedSecret: ADMIN_PASSWORD }),
    RedisServer.start(),
  ]);
  secrets = new SecretsManagerClient({
    region: 'us-east-1',
    endpoint: moto.addressUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  await secrets.send(new CreateSecretCommand({ Name: 'karin/redis', SecretString: redis.url }));
  await secrets.send(new CreateSecretCommand({ Name: 'karin/tokens', SecretString: `${TOKEN}:send` }));
});
afterAll(async () => {
  secrets.destroy();
  await Promise.all([redis.stop(), moto.stop()]);
});

/** What boto3 is answered by a service whose SDK the tests do not have. */
async function aws(service: string, call: string): Promise<unknown> {
  const env = { ...moto.environment, AWS_ENDPOINT_URL: moto.addressUrl };
  const script = `import boto3, json\naws = boto3.client('${service}')\nprint(json.dumps(${call}, default=str))`;
  return JSON.parse(await command('python3', ['-c', script], { env }));
}

async function secretValue(arn: string): Promise<string> {
  const { SecretString = '' } = await secrets.send(new GetSecretValueCommand({ SecretId: arn }));
  return SecretString;
}

describe('a server on Amazon ECS', () => {
  it('is deployed by cdk deploy, and with what its task is told it serves a queue of another stack', async () => {
    const env = { ...moto.environment, CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: 'true' };
    const out = await mkdtemp(join(tmpdir(), 'karin-ecs-'));
    await command(CDK, ['bootstrap', `aws://${MOTO_ACCOUNT}/us-east-1`], { env });
    const app = `node --import tsx ${resolve('test/deploy/support/ecs-server.ts')}`;
    const certificate = await aws('acm', "aws.request_certificate(DomainName='karin.example.com')['CertificateArn']");
    const how = [
      '--all',
      '-c',
      `certificate=${certificate}`,
      '--require-approval',
      'never',
      '--method=direct',
      '--output',
      out,
    ];
    await command(CDK, ['deploy', '--app', app, ...how], { env });
    await rm(out, { recursive: true });

    const listed = Service.parse(
      await aws(
        'ecs',
        "(lambda c: aws.describe_services(cluster=c, services=aws.list_services(cluster=c)['serviceArns']))(aws.list_clusters()['clusterArns'][0])",
      ),
    );
    const { taskDefinition } = Task.parse(
      await aws('ecs', `aws.describe_task_definition(taskDefinition='${listed.services[0].taskDefinition}')`),
    );
    expect(TargetGroups.parse(await aws('elbv2', 'aws.describe_target_groups()')).TargetGroups).toMatchObject([
      { HealthCheckPath: '/healthz', Port: 4000 },
    ]);
    const [container] = taskDefinition.containerDefinitions;
    const settings = Object.fromEntries(container.environment.map(({ name, value }) => [name, value]));
    const secret = Object.fromEntries(
      await Promise.all(container.secrets.map(async ({ name, valueFrom }) => [name, await secretValue(valueFrom)])),
    );
    expect(settings['KARIN_PUBLIC_URL']).toBe('https://karin.example.com');
    expect(secret).toEqual({
      REDIS_URL: redis.url,
      KARIN_TOKENS: `${TOKEN}:send`,
      KARIN_ADMIN_PASSWORD: ADMIN_PASSWORD,
    });

    const place = { HOST: '127.0.0.1', PORT: '0', KARIN_ACCOUNT_ID: MOTO_ACCOUNT };
    const karin = await startServerProcess({ ...moto.environment, ...settings, ...secret, ...place });
    const [, program, ...parameters] = container.healthCheck.command;
    await command(program, parameters, { env: { PORT: new URL(karin.url).port } });
    const sqs = new SQSClient({
      region: 'us-east-1',
      endpoint: `${karin.url}/k/${TOKEN}`,
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    });
    const QueueUrl = `${karin.url}/k/${TOKEN}/${MOTO_ACCOUNT}/jobs`;
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'to the task' }));
    const run = await moto.invoked(({ event }) => JSON.stringify(event).includes('to the task'));
    expect(run.failed).toBe(false);
    sqs.destroy();
    await karin.stop();
  });
});

describe('the example in the guide to hosts', () => {
  it('synthesizes as it stands there, with an image made of nothing but what belongs into it', async () => {
    const guide = await readFile('docs/guides/hosting.md', 'utf8');
    const code = /^```ts\n(.*?)^```/ms.exec(guide)?.[1] ?? '';
    const folder = await mkdtemp(join(tmpdir(), 'karin-guide-'));
    await symlink(resolve('node_modules'), join(folder, 'node_modules'));
    await symlink(resolve('.'), join(folder, 'karin'));
    const here = code.replace("'karin-queue'", "'./karin/constructs/index.ts'").replace("'../karin'", "'./karin/'");
    await writeFile(join(folder, 'app.ts'), here);
    const out = join(folder, 'cdk.out');
    await command(process.execPath, ['--import', 'tsx', 'app.ts'], { cwd: folder, env: { CDK_OUTDIR: out } });
    const assets = (await readdir(out)).filter((name) => name.startsWith('asset.'));
    expect(assets).toHaveLength(1);
    expect((await readdir(join(out, assets[0] ?? ''))).sort()).toEqual([
      '.dockerignore',
      'package-lock.json',
      'package.json',
      'runtime',
    ]);
    await rm(folder, { recursive: true });
  });
});
