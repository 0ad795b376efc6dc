import { describe, expect, it } from 'vitest';
import { type CliContext, CliError } from '../../runtime/cli/context.ts';
import { act, tail } from '../../runtime/cli/operate.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const ADMIN = { authorization: `Bearer ${PASSWORD}` };

/** A server with two queues; the first holds two messages. */
async function server() {
  const karin = await runKarin({
    KARIN_ADMIN_PASSWORD: PASSWORD,
    AWS_REGION: 'eu-west-1',
    KARIN_ACCOUNT_ID: '111122223333',
  });
  for (const name of ['jobs', 'mails']) await sqsCall(karin.url, 'CreateQueue', { QueueName: name }, ADMIN);
  const url = `${karin.url}/111122223333/jobs`;
  await sqsCall(karin.url, 'SendMessage', { QueueUrl: url, MessageBody: 'one\u009b2J' }, ADMIN);
  await sqsCall(karin.url, 'SendMessage', { QueueUrl: url, MessageBody: 'later', DelaySeconds: 900 }, ADMIN);
  return { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
}

/** The exit status of a refusal. */
async function refusalOf(args: readonly string[], env: Readonly<Record<string, string>>) {
  const error = await runCli(args, env).catch((reason: unknown) => reason);
  if (!(error instanceof CliError)) throw error;
  return { status: error.status, message: error.message };
}

describe('the commands over the API of the server', () => {
  it('ask before a purge, and do nothing without a yes', async () => {
    const env = await server();
    expect(await refusalOf(['purge', 'jobs'], env)).toMatchObject({ status: 2 });
    const context: CliContext = { env, out: () => {}, err: () => {}, ask: async () => false };
    await runCli(['hold', `${env.KARIN_URL}/111122223333/mails`], env);
    expect((await runCli(['queues', '--show', 'held'], env)).out).toMatch(/^mails /m);
    await expect(act('purge', 'jobs', {}, context)).rejects.toThrow('nothing was done');
    expect((await runCli(['peek', 'jobs'], env)).out).toContain('received 0 times');
    await act('purge', 'jobs', {}, { ...context, ask: async () => true });
    expect((await runCli(['peek', 'jobs'], env)).out).toBe('the queue is empty\n');
  });

  it('follow what happens from the moment on, and tell it later', async () => {
    const env = await server();
    expect((await runCli(['logs'], env)).out).toBe('');
    const call = (action: string, input: Readonly<Record<string, unknown>>) =>
      sqsCall(env.KARIN_URL, action, input, ADMIN);
    const RedrivePolicy = JSON.stringify({
      deadLetterTargetArn: 'arn:aws:sqs:eu-west-1:111122223333:mails',
      maxReceiveCount: 1,
    });
    await call('CreateQueue', { QueueName: 'orders', Attributes: { RedrivePolicy } });
    const QueueUrl = `${env.KARIN_URL}/111122223333/orders`;
    const end = new AbortController();
    const lines: string[] = [];
    const context: CliContext = {
      env,
      err: () => {},
      signal: end.signal,
      out: (text) => {
        lines.push(text);
        end.abort();
      },
    };
    const followed = tail('orders', {}, context);
    // When the stream has begun is known to the server alone, so dead letters are made until it tells of one.
    while (!end.signal.aborted) {
      await call('SendMessage', { QueueUrl, MessageBody: 'bad' });
      await call('ReceiveMessage', { QueueUrl, VisibilityTimeout: 0 });
      await call('ReceiveMessage', { QueueUrl });
    }
    await followed;
    expect(lines[0]).toMatch(/^\S+ orders: 1 message moved to mails\n$/);
    expect((await runCli(['logs', 'orders'], env)).out).toContain('orders: 1 message moved to mails\n');
    expect((await runCli(['logs', 'jobs'], env)).out).toBe('');
    expect(await refusalOf(['logs', 'job'], env)).toMatchObject({ status: 3 });
    expect(await refusalOf(['tail', 'job'], env)).toMatchObject({ status: 3 });
  });

  it('end with a status that tells scripts what kind of refusal it was', async () => {
    const env = await server();
    expect(await refusalOf(['peek', 'job'], env)).toMatchObject({
      status: 3,
      message: expect.stringContaining('there is no queue job; did you mean jobs'),
    });
    expect(await refusalOf(['redrive', 'jobs', '--yes'], env)).toMatchObject({ status: 4 });
    expect(await refusalOf(['queues', '--url', 'http://127.0.0.1:1'], env)).toMatchObject({ status: 5 });
    expect(await refusalOf(['queues'], { ...env, KARIN_ADMIN_PASSWORD: 'a wrong password' })).toMatchObject({
      status: 4,
      message: expect.stringContaining('set KARIN_ADMIN_PASSWORD to the password of the server'),
    });
  });
});
