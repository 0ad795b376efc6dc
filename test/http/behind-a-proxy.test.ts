import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GetQueueUrlCommand, ListQueuesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, it } from 'vitest';
import { runKarin, sqsCall } from './running-karin.ts';

const KEY = { accessKeyId: 'AKIAKARIN', secretAccessKey: 'a-secret-of-the-right-length' };
const TOKEN = 'sender-token-sender-token';
const PASSWORD = 'correct horse battery';
const proxies: Server[] = [];
afterEach(() => {
  for (const proxy of proxies.splice(0)) proxy.close();
});

/** A proxy as they are: takes the base path off (or not), changes Host, and says who the client was. */
async function proxyTo(url: string, options: { readonly strip: string }): Promise<string> {
  const target = new URL(url);
  const proxy = createServer((incoming, outgoing) => {
    const path = (incoming.url ?? '/').startsWith(options.strip)
      ? (incoming.url ?? '').slice(options.strip.length)
      : incoming.url;
    const { authorization, ...headers } = incoming.headers;
    const forwarded = request(
      {
        host: target.hostname,
        port: target.port,
        method: incoming.method ?? 'GET',
        path: path === '' ? '/' : (path ?? '/'),
        headers: {
          ...headers,
          ...(authorization === undefined ? {} : { authorization }),
          host: 'internal.example:4000',
          'x-forwarded-for': `6.6.6.6, ${incoming.headers['x-test-client'] ?? '192.0.2.1'}`,
          'x-forwarded-proto': 'https',
        },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(outgoing);
      },
    );
    incoming.pipe(forwarded);
  });
  proxies.push(proxy);
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  // An AddressInfo, because it listens on a port.
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}

async function behindProxy(strip: string) {
  // Known only once it listens; the server must know its public address before.
  const early = createServer();
  await new Promise<void>((resolve) => early.listen(0, '127.0.0.1', resolve));
  const { port } = early.address() as AddressInfo;
  const publicUrl = `http://127.0.0.1:${port}/base`;
  await new Promise((resolve) => early.close(resolve));
  const karin = await runKarin({
    KARIN_KEYS: `${KEY.accessKeyId}:${KEY.secretAccessKey}`,
    KARIN_TOKENS: `${TOKEN}:all`,
    KARIN_ADMIN_PASSWORD: PASSWORD,
    KARIN_PUBLIC_URL: publicUrl,
    KARIN_TRUSTED_PROXIES: '1',
  });
  const proxy = await proxyTo(karin.url, { strip });
  return { karin, publicUrl, proxy };
}

/** A client of the public address whose requests reach the proxy. */
function client(publicUrl: string, proxy: string): SQSClient {
  const sqs = new SQSClient({ endpoint: publicUrl, region: 'eu-west-1', credentials: KEY, maxAttempts: 1 });
  sqs.middlewareStack.add(
    (next) => (args) => {
      // After the signature was made: the name of the public address leads to the proxy.
      if (isHttpRequest(args.request)) args.request.port = Number(new URL(proxy).port);
      return next(args);
    },
    { step: 'finalizeRequest', priority: 'low' },
  );
  return sqs;
}

function isHttpRequest(value: unknown): value is { port: number } {
  return typeof value === 'object' && value !== null && 'hostname' in value;
}

describe.each([
  ['takes the base path off', '/base'],
  ['leaves the base path', '/nothing'],
])('behind a proxy that changes Host and %s', (_what, strip) => {
  it('signatures for the public address hold, and answers name it', async () => {
    const { publicUrl, proxy } = await behindProxy(strip);
    await sqsCall(`${proxy}/base/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' });
    const sqs = client(publicUrl, proxy);
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'jobs' }));
    expect(QueueUrl).toBe(`${publicUrl}/000000000000/jobs`);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toEqual([QueueUrl]);
  });

  it('capabilities work below the base path', async () => {
    const { publicUrl, proxy } = await behindProxy(strip);
    const made = await sqsCall(`${proxy}/base/k/${TOKEN}`, 'CreateQueue', { QueueName: 'jobs' });
    expect(await made.json()).toEqual({ QueueUrl: `${publicUrl}/k/${TOKEN}/000000000000/jobs` });
  });

  it('pages and redirects stay below the base path', async () => {
    const { proxy } = await behindProxy(strip);
    const page = await fetch(`${proxy}/base/ops`, { redirect: 'manual' });
    expect([page.status, page.headers.get('location')]).toEqual([303, '/base/ops/login']);
    const form = { method: 'POST', body: new URLSearchParams({ password: PASSWORD }), redirect: 'manual' } as const;
    const login = await fetch(`${proxy}/base/ops/login`, form);
    expect(login.headers.get('set-cookie')).toMatch(/; Path=\/base; HttpOnly; SameSite=Strict$/);
  });
});

describe('the address of a client behind a proxy', () => {
  it('is what the trusted proxy says: one who guesses does not lock out another', async () => {
    const { karin } = await behindProxy('/base');
    const proxy = await proxyTo(karin.url, { strip: '/base' });
    const login = (from: string, password: string) =>
      fetch(`${proxy}/base/ops/login`, {
        method: 'POST',
        headers: { 'x-test-client': from },
        body: new URLSearchParams({ password }),
        redirect: 'manual',
      });
    for (let attempt = 0; attempt < 20; attempt++) expect((await login('192.0.2.1', 'a guess')).status).toBe(403);
    expect((await login('192.0.2.1', 'a guess')).status).toBe(429);
    expect((await login('192.0.2.2', 'a guess')).status).toBe(403);
    expect((await login('192.0.2.2', PASSWORD)).status).toBe(303);
  });

  it('does not lock anybody out even where all share it: the right password passes after many wrong ones', async () => {
    const karin = await runKarin({ KARIN_ADMIN_PASSWORD: PASSWORD });
    const login = (password: string) =>
      fetch(`${karin.url}/ops/login`, { method: 'POST', body: new URLSearchParams({ password }), redirect: 'manual' });
    for (let attempt = 0; attempt < 20; attempt++) expect((await login('a guess')).status).toBe(403);
    expect((await login(PASSWORD)).status).toBe(303);
  });

  it('on a Fly machine is what Fly says, and Fly alone: the address of the app stands last for everybody', async () => {
    const PROXIES = { KARIN_ADMIN_PASSWORD: PASSWORD, KARIN_TRUSTED_PROXIES: '1' };
    const onFly = await runKarin({ ...PROXIES, FLY_APP_NAME: 'karin' });
    const elsewhere = await runKarin(PROXIES);
    const guess = async (url: string, client: string) => {
      const headers = { 'x-forwarded-for': `${client}, 66.241.124.1`, 'fly-client-ip': client };
      const answer = await fetch(`${url}/ops/login`, {
        method: 'POST',
        headers,
        body: new URLSearchParams({ password: 'a guess' }),
      });
      return answer.status;
    };
    for (const { url } of [onFly, elsewhere]) {
      for (let attempt = 0; attempt < 20; attempt++) expect(await guess(url, '192.0.2.1')).toBe(403);
      expect(await guess(url, '192.0.2.1')).toBe(429);
    }
    expect(await guess(onFly.url, '192.0.2.2')).toBe(403);
    expect(await guess(elsewhere.url, '192.0.2.2')).toBe(429);
  });
});
