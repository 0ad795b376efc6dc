import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { runCli } from '../cli/run-cli.ts';
import { type RunningServer, startServerProcess } from '../support/karin-process.ts';
import { RedisServer } from '../support/redis-server.ts';

const ANY = { accessKeyId: 'ASIAROLEOFTHEFUNCTION', secretAccessKey: 'nobody here knows it' };
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const Created = z.object({ id: z.string(), token: z.string(), endpoint: z.string() });

/** A Redis, and the settings of a server on it without AWS. */
async function settings() {
  const redis = await RedisServer.start();
  onTestFinished(() => redis.stop());
  return { REDIS_URL: redis.url, AWS_REGION: 'eu-west-1', KARIN_DISCOVERY: 'none' };
}

async function start(env: Readonly<Record<string, string>>): Promise<RunningServer> {
  const server = await startServerProcess(env);
  onTestFinished(async () => void (await server.kill()));
  return server;
}

function client(endpoint: string, credentials = ANY): SQSClient {
  return new SQSClient({ endpoint, region: 'eu-west-1', credentials, maxAttempts: 1 });
}

/** How a call ends: by the name of its error, or `let in`. */
async function outcome(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'let in',
    (error: unknown) => (error instanceof Error ? error.name : String(error)),
  );
}

/** Asks until the answer is the one awaited: an instance hears of changes a moment after they are stored. */
async function becomes(ask: () => Promise<string>, awaited: string): Promise<void> {
  while ((await ask()) !== awaited) await new Promise((resolve) => setImmediate(resolve));
}

describe('karin start on an address that others can reach', () => {
  it('ends with status 1 and says how to make a credential, if there is none', async () => {
    const env = await settings();
    const ended = await startServerProcess({ ...env, HOST: '0.0.0.0' }).catch((error: unknown) => String(error));
    expect(ended).toContain('ended with status 1');
    expect(ended).toContain('no credential is configured');
    expect(ended).toContain('KARIN_ADMIN_PASSWORD="$(openssl rand -base64 24)"');
    expect(ended).toContain('karin token create');
    expect(ended).not.toContain('karin.ts:');
  });

  it('names every problem of its settings at once', async () => {
    const env = { HOST: '0.0.0.0', PORT: 'http', KARIN_MAX_DELAY_SECONDS: '1', AWS_REGION: 'eu-west-1' };
    const ended = await startServerProcess(env).catch((error: unknown) => String(error));
    for (const named of ['REDIS_URL', 'PORT', 'KARIN_MAX_DELAY_SECONDS']) expect(ended).toContain(named);
  });
});

describe('capability tokens', () => {
  it('are made and revoked in Redis by the command line, seen by a running server, and come back in the URLs that it gives', async () => {
    const env = await settings();
    const running = await start({ ...env, KARIN_ADMIN_PASSWORD: 'correct horse battery' });
    const cli = { REDIS_URL: env.REDIS_URL, KARIN_PUBLIC_URL: running.url };
    const args = ['token', 'create', '--scope', 'send', '--scope', 'manage', '--queue', 'app-*', '--json'];
    const { id, token, endpoint } = Created.parse(JSON.parse((await runCli(args, cli)).out));
    expect(endpoint).toBe(`${running.url}/k/${token}`);
    const sqs = client(endpoint);
    const list = () => outcome(sqs.send(new ListQueuesCommand({})));
    await becomes(list, 'let in');

    const QueueUrl = `${endpoint}/000000000000/app-jobs`;
    expect((await sqs.send(new CreateQueueCommand({ QueueName: 'app-jobs' }))).QueueUrl).toBe(QueueUrl);
    expect((await sqs.send(new GetQueueUrlCommand({ QueueName: 'app-jobs' }))).QueueUrl).toBe(QueueUrl);
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toEqual([QueueUrl]);
    // As the SDK takes it from a function's environment: the URL alone.
    const byUrl = new SQSClient({ region: 'eu-west-1', credentials: ANY, maxAttempts: 1 });
    expect(await outcome(byUrl.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' })))).toBe('let in');
    expect(await outcome(sqs.send(new ReceiveMessageCommand({ QueueUrl })))).toBe('AccessDenied');
    expect(await outcome(sqs.send(new CreateQueueCommand({ QueueName: 'other' })))).toBe('AccessDenied');
    expect(await outcome(client(running.url).send(new ListQueuesCommand({})))).toBe('InvalidClientTokenId');
    expect((await runCli(['token', 'list'], cli)).out).toContain(id);

    await runCli(['token', 'revoke', id], cli);
    await becomes(list, 'InvalidClientTokenId');
    for (const secret of [token, 'correct horse battery']) expect(running.said.join('\n')).not.toContain(secret);
  });
});

describe('access keys in a file', () => {
  it('are exchanged by SIGHUP, both valid meanwhile, and a wrong file changes nothing', async () => {
    const env = await settings();
    const folder = await mkdtemp(join(tmpdir(), 'karin-'));
    const file = join(folder, 'keys');
    await writeFile(file, `AKIAOLD:${SECRET}`);
    const running = await start({ ...env, KARIN_KEYS_FILE: file });
    const uses = (accessKeyId: string) =>
      outcome(client(running.url, { accessKeyId, secretAccessKey: SECRET }).send(new ListQueuesCommand({})));
    const rereads = async (text: string, said: RegExp): Promise<void> => {
      await writeFile(file, text);
      const before = running.said.length;
      running.signal('SIGHUP');
      await running.saying(said, before);
    };
    expect([await uses('AKIAOLD'), await uses('AKIANEW')]).toEqual(['let in', 'InvalidClientTokenId']);
    await rereads(`AKIAOLD:${SECRET}\nAKIANEW:${SECRET}`, /were read again/);
    expect([await uses('AKIAOLD'), await uses('AKIANEW')]).toEqual(['let in', 'let in']);
    await rereads(`AKIANEW:${SECRET}`, /were read again/);
    expect([await uses('AKIAOLD'), await uses('AKIANEW')]).toEqual(['InvalidClientTokenId', 'let in']);
    await rereads('nonsense', /stay as they were/);
    expect(await uses('AKIANEW')).toBe('let in');
    await rm(folder, { recursive: true });
  });
});
