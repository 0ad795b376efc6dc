/**
 * A deployment whose server does not answer: by the user's choice it warns and stands, or fails and is rolled back.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LambdaClient, ListEventSourceMappingsCommand } from '@aws-sdk/client-lambda';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { ListQueuesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MotoServer } from '../support/moto-server.ts';
import { command } from './support/command.ts';

let moto: MotoServer;

beforeAll(async () => {
  moto = await MotoServer.start({ mended: true });
});
afterAll(() => moto.stop());

const access = () => ({
  region: 'us-east-1',
  endpoint: moto.addressUrl,
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
});

beforeEach(async () => {
  await moto.reset();
  const secrets = new SecretsManagerClient(access());
  await secrets.send(new CreateSecretCommand({ Name: 'karin/admin', SecretString: 'an-admin-password' }));
  secrets.destroy();
});

async function deploy(onFailure: 'warn' | 'fail'): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'karin-failing-sync-'));
  const app = 'node --import tsx test/deploy/support/failing-sync.ts';
  const context = ['-c', `karin:endpoint=http://127.0.0.1:${await unusedPort()}`, '-c', `onFailure=${onFailure}`];
  const how = ['--require-approval', 'never', '--method=direct', '--output', folder];
  const env = { ...moto.environment, CDK_DISABLE_VERSION_CHECK: '1', CDK_DISABLE_CLI_TELEMETRY: 'true' };
  try {
    return await command('node_modules/.bin/cdk', ['deploy', '--app', app, ...context, ...how], { env });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** What of the stack is there: states of mappings, and how many queues. */
async function deployed(): Promise<{ readonly mappings: readonly unknown[]; readonly queues: number }> {
  const lambda = new LambdaClient(access());
  const sqs = new SQSClient(access());
  const { EventSourceMappings = [] } = await lambda.send(new ListEventSourceMappingsCommand({}));
  const { QueueUrls = [] } = await sqs.send(new ListQueuesCommand({}));
  lambda.destroy();
  sqs.destroy();
  return { mappings: EventSourceMappings.map(({ State }) => State), queues: QueueUrls.length };
}

describe('cdk deploy where no server answers', () => {
  it('warns: the output says why, and what was deployed stands', async () => {
    const output = await deploy('warn');
    expect(output).toMatch(/SyncSummary\w+ = Karin was not synced: .*; run 'karin sync' once this is mended/);
    expect(await deployed()).toEqual({ mappings: ['Disabled'], queues: 1 });
  });

  it('fails on request: the command says why, and CloudFormation takes everything back', async () => {
    await expect(deploy('fail')).rejects.toThrow(/ended with status 1:[\s\S]*Karin was not synced: /);
    expect(await deployed()).toEqual({ mappings: [], queues: 0 });
  });
});

/** A port on which nobody listens, at least a moment ago. */
async function unusedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Listening on a TCP port: the address is never the name of a pipe.
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
