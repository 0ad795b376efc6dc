import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import { createTokenStore } from '../../runtime/http/auth/tokens.ts';
import { formatQueueArn } from '../../runtime/queue/names.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { systemTime } from '../../runtime/time.ts';
import { ManualTime } from '../support/manual-time.ts';
import { arnOf, discoveryOf, ScriptedSource } from '../sync/discoveries.ts';
import { queueAsSqs } from '../transfer/support/queue-as-sqs.ts';
import { openSide } from '../transfer/support/side.ts';
import { jsonOf, runKarin, sqsCall } from './running-karin.ts';

const TOKEN = 'sender-token-sender-token';
const CONSUMER = 'consumer-token-consumer-token';
const PASSWORD = 'correct horse battery';
const KEY = { accessKeyId: 'AKIAKARIN', secretAccessKey: 'a secret of the right length' };
const CLOSED = {
  KARIN_KEYS: `${KEY.accessKeyId}:${KEY.secretAccessKey.replaceAll(' ', '-')}`,
  KARIN_TOKENS: `${TOKEN}:send:app-* ${CONSUMER}:consume`,
  KARIN_ADMIN_PASSWORD: PASSWORD,
};
const GOOD_KEY = { ...KEY, secretAccessKey: KEY.secretAccessKey.replaceAll(' ', '-') };
const ROLE = { accessKeyId: 'ASIATEMPORARY', secretAccessKey: 'of-a-role', sessionToken: 'of-a-role' };

function client(endpoint: string, credentials: typeof GOOD_KEY & { sessionToken?: string } = GOOD_KEY): SQSClient {
  return new SQSClient({ endpoint, region: 'eu-west-1', credentials, maxAttempts: 1 });
}

async function nameOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => 'let in',
    (error: unknown) => (error instanceof Error ? error.name : error),
  );
}

describe('a server with credentials', () => {
  it('lets in a key that it knows, and says who sent', async () => {
    const karin = await runKarin(CLOSED);
    const sqs = client(karin.url);
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'app-jobs' }));
    expect(QueueUrl).toBe(`${karin.url}/000000000000/app-jobs`);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'signed' }));
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['SenderId'] }),
    );
    expect(Messages).toMatchObject([{ Body: 'signed', Attributes: { SenderId: KEY.accessKeyId } }]);
  });

  it('refuses keys that it does not know, wrong secrets and no credential, in both protocols', async () => {
    const karin = await runKarin(CLOSED);
    expect(await nameOf(client(karin.url, ROLE).send(new ListQueuesCommand({})))).toBe('InvalidClientTokenId');
    const wrong = { ...GOOD_KEY, secretAccessKey: 'wrong' };
    expect(await nameOf(client(karin.url, wrong).send(new ListQueuesCommand({})))).toBe('SignatureDoesNotMatch');

    const json = await sqsCall(karin.url, 'ListQueues', {});
    expect(json.status).toBe(403);
    expect(json.headers.get('x-amzn-query-error')).toBe('AccessDenied;Sender');
    expect(await json.json()).toEqual({
      __type: 'com.amazon.coral.service#AccessDeniedException',
      message: `Access to the resource ${karin.url}/ is denied.`,
    });
    const query = await fetch(`${karin.url}/?Action=ListQueues`);
    expect(query.status).toBe(403);
    expect(await query.text()).toContain(
      `<Code>AccessDenied</Code><Message>Access to the resource ${karin.url}/ is denied.</Message>`,
    );
  });

  it('finds a capability in the QueueUrl of a large message, wherever it stands', async () => {
    const karin = await runKarin(CLOSED);
    await client(karin.url).send(new CreateQueueCommand({ QueueName: 'app-jobs' }));
    const QueueUrl = `${karin.url}/k/${TOKEN}/000000000000/app-jobs`;
    const send = (members: object) => sqsCall(karin.url, 'SendMessage', { ...members });
    // Twice as long in JSON: more than is read of a stranger.
    const escaped = '\n'.repeat(900_000);
    expect((await send({ QueueUrl, MessageBody: escaped })).status).toBe(200);
    expect((await send({ MessageBody: 'x'.repeat(1_000_000), QueueUrl })).status).toBe(200);
    const refused = await send({ MessageBody: escaped, QueueUrl });
    expect(refused.status).toBe(413);
    expect(await refused.text()).toContain('Put the capability into the endpoint, or the QueueUrl before the message.');
    const form = new URLSearchParams({ Action: 'SendMessage', MessageBody: 'x'.repeat(500_000), QueueUrl });
    expect((await fetch(karin.url, { method: 'POST', body: form })).status).toBe(200);
  });

  it('refuses a region that AWS does not have, and a signed query string in which a parameter is repeated', async () => {
    const karin = await runKarin({ ...CLOSED, AWS_REGION: 'eu-central-1' });
    const list = (region: string) =>
      new SQSClient({ endpoint: karin.url, region, credentials: GOOD_KEY, maxAttempts: 1 }).send(
        new ListQueuesCommand({}),
      );
    await expect(list('mars-east-1')).rejects.toThrow("scoped to a valid region, not 'mars-east-1'");
    await expect(list('us-east-9')).rejects.toThrow('valid region');
    await expect(list('ap-south-2')).resolves.toBeDefined();
    const query = new URLSearchParams({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${KEY.accessKeyId}/20250101/us-east-1/sqs/aws4_request`,
      'X-Amz-Date': '20250101T000000Z',
      'X-Amz-Expires': '60',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': '0'.repeat(64),
    });
    const answer = await fetch(`${karin.url}/?Action=ListQueues&${query}&Action=PurgeQueue`);
    expect([answer.status, await answer.text()]).toEqual([403, expect.stringContaining('is repeated')]);
  });

  it('lets a capability in through the endpoint, and gives back URLs that carry it', async () => {
    const karin = await runKarin(CLOSED);
    await client(karin.url).send(new CreateQueueCommand({ QueueName: 'app-jobs' }));
    const endpoint = `${karin.url}/k/${TOKEN}`;
    const sqs = client(endpoint, ROLE);
    const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: 'app-jobs' }));
    expect(QueueUrl).toBe(`${endpoint}/000000000000/app-jobs`);
    expect((await sqs.send(new ListQueuesCommand({}))).QueueUrls).toEqual([QueueUrl]);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'by capability' }));

    const { Messages } = await client(karin.url).send(
      new ReceiveMessageCommand({ QueueUrl: 'app-jobs', MessageSystemAttributeNames: ['SenderId'] }),
    );
    expect(Messages?.[0]?.Attributes?.['SenderId']).toMatch(/^token:[0-9a-f]{12}$/);
  });

  it('finds the capability in the QueueUrl alone, as the SDK for JavaScript sends it', async () => {
    const karin = await runKarin(CLOSED);
    await client(karin.url).send(new CreateQueueCommand({ QueueName: 'app-jobs' }));
    // Without an endpoint of its own the SDK takes the origin of the QueueUrl, and drops its path.
    const sqs = new SQSClient({ region: 'eu-west-1', credentials: ROLE });
    const QueueUrl = `${karin.url}/k/${TOKEN}/000000000000/app-jobs`;
    expect(await nameOf(sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' })))).toBe('let in');

    const form = (url: string) =>
      fetch(`${karin.url}/`, {
        method: 'POST',
        body: new URLSearchParams({ Action: 'SendMessage', QueueUrl: url, MessageBody: 'y' }),
      });
    expect((await form(QueueUrl)).status).toBe(200);
    expect((await form(QueueUrl.replace(TOKEN, `${TOKEN}x`))).status).toBe(403);
    const get = new URLSearchParams({ Action: 'SendMessage', QueueUrl, MessageBody: 'z' });
    expect((await fetch(`${karin.url}/?${get}`)).status).toBe(200);
  });

  it('does not take a capability out of a message', async () => {
    const karin = await runKarin(CLOSED);
    const body = { QueueUrl: 'app-jobs', MessageBody: `{"QueueUrl":"${karin.url}/k/${TOKEN}/000000000000/app-jobs"}` };
    expect((await sqsCall(karin.url, 'SendMessage', body)).status).toBe(403);
  });

  it('keeps a capability to its scopes and queues', async () => {
    const karin = await runKarin(CLOSED);
    const owner = client(karin.url);
    for (const QueueName of ['app-jobs', 'other']) await owner.send(new CreateQueueCommand({ QueueName }));
    const sender = client(`${karin.url}/k/${TOKEN}`, ROLE);
    const consumer = client(`${karin.url}/k/${CONSUMER}`, ROLE);
    const send = (QueueUrl: string) => new SendMessageCommand({ QueueUrl, MessageBody: 'x' });
    const receive = (QueueUrl: string) => new ReceiveMessageCommand({ QueueUrl });

    expect(await nameOf(sender.send(send('app-jobs')))).toBe('let in');
    expect(await nameOf(sender.send(send('other')))).toBe('AccessDenied');
    expect(await nameOf(sender.send(receive('app-jobs')))).toBe('AccessDenied');
    expect(await nameOf(sender.send(new PurgeQueueCommand({ QueueUrl: 'app-jobs' })))).toBe('AccessDenied');
    expect(await nameOf(sender.send(new CreateQueueCommand({ QueueName: 'app-new' })))).toBe('AccessDenied');
    expect(await nameOf(consumer.send(receive('other')))).toBe('let in');
    expect(await nameOf(consumer.send(send('app-jobs')))).toBe('AccessDenied');
    expect((await sender.send(new ListQueuesCommand({}))).QueueUrls).toEqual([
      `${karin.url}/k/${TOKEN}/000000000000/app-jobs`,
    ]);
  });

  it('shows in a report of a sync what a credential reaches, and does not tell what is outside from what is not there', async () => {
    const env = { KARIN_TOKENS: `${TOKEN}:manage:tenant-* ${CONSUMER}:all`, KARIN_DISCOVERY: 'none' };
    const source = new ScriptedSource();
    source.found = discoveryOf(['tenant-jobs', 'payments'], {
      waitingInSqs: { [formatQueueArn(arnOf('payments'))]: 3 },
    });
    const far = new MemoryStore({ time: systemTime });
    const side = await openSide({ store: far, time: systemTime, name: 'far' });
    const realQueues = queueAsSqs(side.queue);
    const karin = await runKarin(env, { source, realQueues });
    const [tenant, all] = [`${karin.url}/k/${TOKEN}`, `${karin.url}/k/${CONSUMER}`];
    const post = (url: string, queue?: string) =>
      fetch(url, { method: 'POST', ...(queue === undefined ? {} : { body: JSON.stringify({ queue }) }) });
    expect(await (await post(`${tenant}/sync`)).text()).not.toContain('payments');
    expect(await (await post(`${all}/sync`)).text()).toContain('payments');
    for (const kind of ['drain', 'pull']) {
      for (const queue of ['payments', 'nowhere', 'tenant-nowhere', 'eu-west-1:111122223333:payments']) {
        const answer = await post(`${tenant}/${kind}`, queue);
        expect([answer.status, await answer.json()]).toEqual([404, { error: `there is no queue ${queue}` }]);
      }
    }
    side.directory.close();
  });

  it('gives a credential its share of sends, whichever way it was made, and others theirs', async () => {
    const env = { ...CLOSED, KARIN_TOKENS: `${TOKEN}:send:*:sends=10 ${CONSUMER}:all` };
    const time = new ManualTime();
    const karin = await runKarin(env, { time: { ...systemTime, now: () => time.now() } });
    const all = `${karin.url}/k/${CONSUMER}`;
    await sqsCall(all, 'CreateQueue', { QueueName: 'jobs' });
    const headers = { authorization: `Bearer ${PASSWORD}` };
    const body = JSON.stringify({ scopes: 'send', sendsPerSecond: 10 });
    const { token } = await jsonOf(await fetch(`${karin.url}/tokens`, { method: 'POST', headers, body }));
    const send = (url: string) => sqsCall(url, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'x' });
    for (const shared of [`${karin.url}/k/${TOKEN}`, `${karin.url}/k/${token}`]) {
      const Entries = Array.from({ length: 9 }, (_, index) => ({ Id: `m${index}`, MessageBody: 'x' }));
      expect((await sqsCall(shared, 'SendMessageBatch', { QueueUrl: 'jobs', Entries })).status).toBe(200);
      expect((await send(shared)).status).toBe(200);
      const refused = await send(shared);
      expect([refused.status, await refused.json()]).toEqual([
        403,
        expect.objectContaining({ __type: 'com.amazonaws.sqs#RequestThrottled' }),
      ]);
      expect((await send(all)).status).toBe(200);
      time.advance(100);
      expect((await send(shared)).status).toBe(200);
      expect((await send(shared)).status).toBe(403);
    }
  });

  const refusal = async (response: Response, code: string, words: string): Promise<void> =>
    expect([response.status, await response.json()]).toEqual([
      403,
      { __type: `com.amazonaws.sqs#${code}`, message: expect.stringContaining(words) },
    ]);

  it('lets a credential make its share of queues, those that are being made counted, and others theirs', async () => {
    const env = { ...CLOSED, KARIN_TOKENS: `${TOKEN}:all:a-*:queues=3 ${CONSUMER}:all:b-*`, KARIN_MAX_QUEUES: '20' };
    const karin = await runKarin(env);
    const create = (token: string, QueueName: string) =>
      sqsCall(`${karin.url}/k/${token}`, 'CreateQueue', { QueueName });
    for (const [token, prefix, share] of [
      [TOKEN, 'a', 3],
      // A quarter of what the server lets all make.
      [CONSUMER, 'b', 5],
    ] as const) {
      const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => create(token, `${prefix}-${index}`)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(share);
      await refusal(await create(token, `${prefix}-more`), 'OverLimit', `${share} queues`);
    }
    const made = karin.directory.all().find(({ arn }) => arn.name.startsWith('a-'))?.arn.name ?? '';
    expect((await create(TOKEN, made)).status).toBe(200);
    await sqsCall(`${karin.url}/k/${TOKEN}`, 'DeleteQueue', { QueueUrl: made });
    expect((await create(TOKEN, 'a-more')).status).toBe(200);
  });

  it.each([
    ['messages', 'messages=4', { maxMessages: 4 }],
    ['bytes', 'bytes=400', { maxBytes: 400 }],
  ])(
    'lets no more %s stand in the queues of a credential than its share, until some are deleted',
    async (what, share, request) => {
      const env = { ...CLOSED, KARIN_TOKENS: `${TOKEN}:send:*:${share} ${CONSUMER}:all` };
      const time = new ManualTime();
      const karin = await runKarin(env, { time: { ...systemTime, now: () => time.now() } });
      const all = `${karin.url}/k/${CONSUMER}`;
      for (const QueueName of ['one', 'two']) await sqsCall(all, 'CreateQueue', { QueueName });
      const headers = { authorization: `Bearer ${PASSWORD}` };
      const body = JSON.stringify({ scopes: 'send', ...request });
      const { token } = await jsonOf(await fetch(`${karin.url}/tokens`, { method: 'POST', headers, body }));
      const send = (QueueUrl: string, url: string) =>
        sqsCall(url, 'SendMessage', { QueueUrl, MessageBody: 'x'.repeat(100) });
      for (const shared of [`${karin.url}/k/${TOKEN}`, `${karin.url}/k/${token}`]) {
        for (const queue of ['one', 'two', 'one', 'two']) expect((await send(queue, shared)).status).toBe(200);
        await refusal(await send('one', shared), 'OverLimit', what);
        expect((await send('one', all)).status).toBe(200);
        for (const QueueUrl of ['one', 'two']) await sqsCall(all, 'PurgeQueue', { QueueUrl });
        // It looks again once a second.
        await refusal(await send('one', shared), 'OverLimit', what);
        time.advance(60_000);
        expect((await send('one', shared)).status).toBe(200);
        for (const QueueUrl of ['one', 'two']) await sqsCall(all, 'PurgeQueue', { QueueUrl });
        time.advance(60_000);
      }
    },
  );

  it('keeps a fifth of the store for those who may manage', async () => {
    class NearlyFull extends MemoryStore {
      usedBytes = 0;
      override async health() {
        return { ...(await super.health()), usedBytes: this.usedBytes, maxBytes: 1_000_000 };
      }
    }
    const time = new ManualTime();
    const store = new NearlyFull({ time: systemTime });
    const env = { ...CLOSED, KARIN_TOKENS: `${TOKEN}:send ${CONSUMER}:all` };
    const karin = await runKarin(env, { store, time: { ...systemTime, monotonic: () => time.monotonic() } });
    const [sender, all] = [`${karin.url}/k/${TOKEN}`, `${karin.url}/k/${CONSUMER}`];
    await sqsCall(all, 'CreateQueue', { QueueName: 'jobs' });
    const send = (url: string) => sqsCall(url, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'x'.repeat(50_000) });
    expect((await send(sender)).status).toBe(200);
    store.usedBytes = 800_000;
    // An eighth of what was left may be sent before the store is asked again.
    const answers = [];
    while (answers.length < 10 && answers.at(-1) !== 403) answers.push((await send(sender)).status);
    expect(answers).toEqual([200, 200, 403]);
    await refusal(await send(sender), 'OverLimit', 'nearly full');
    expect((await send(all)).status).toBe(200);
    store.usedBytes = 100_000;
    time.advance(1_000);
    // The first of them makes the server look.
    await send(sender);
    expect((await send(sender)).status).toBe(200);
  });

  it('creates no more queues than its operator lets it, and those that are there go on', async () => {
    const karin = await runKarin({ ...CLOSED, KARIN_TOKENS: `${TOKEN}:all`, KARIN_MAX_QUEUES: '2' });
    const create = (QueueName: string) => sqsCall(`${karin.url}/k/${TOKEN}`, 'CreateQueue', { QueueName });
    for (const name of ['a', 'b', 'a']) expect((await create(name)).status).toBe(200);
    const refused = await create('c');
    expect([refused.status, await refused.json()]).toEqual([
      403,
      expect.objectContaining({ __type: 'com.amazonaws.sqs#OverLimit', message: expect.stringContaining('2 queues') }),
    ]);
    await sqsCall(`${karin.url}/k/${TOKEN}`, 'DeleteQueue', { QueueUrl: 'a' });
    expect((await create('c')).status).toBe(200);
  });

  it('takes the admin password for everything', async () => {
    const karin = await runKarin(CLOSED);
    const bearer = { authorization: `Bearer ${PASSWORD}` };
    const wrong = { authorization: `Bearer ${PASSWORD}x` };
    expect((await sqsCall(karin.url, 'ListQueues', {}, wrong)).status).toBe(403);
    expect((await sqsCall(karin.url, 'CreateQueue', { QueueName: 'made' }, bearer)).status).toBe(200);
    const basic = { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}` };
    expect((await sqsCall(karin.url, 'ListQueues', {}, basic)).status).toBe(200);
  });

  it('slows down guessing, and still lets in who is right', async () => {
    const karin = await runKarin(CLOSED);
    const guess = (password: string) => sqsCall(karin.url, 'ListQueues', {}, { authorization: `Bearer ${password}` });
    for (let attempt = 0; attempt < 20; attempt++) expect((await guess(`guess-${attempt}`)).status).toBe(403);
    const refused = await guess('guess-20');
    expect(await refused.json()).toMatchObject({ __type: 'com.amazonaws.sqs#RequestThrottled' });

    const basic = { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}` };
    expect((await sqsCall(karin.url, 'ListQueues', {}, basic)).status).toBe(200);
    expect(await nameOf(client(karin.url).send(new ListQueuesCommand({})))).toBe('let in');
    expect(await nameOf(client(`${karin.url}/k/${TOKEN}`, ROLE).send(new ListQueuesCommand({})))).toBe('let in');
    const metrics = await fetch(`${karin.url}/k/${TOKEN}/metrics`);
    expect(metrics.status).toBe(403);
  });

  it('reads the files of keys again when told so, and keeps the old ones if the new are wrong', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'karin-'));
    const file = join(folder, 'keys');
    writeFileSync(file, `AKIAOLD:${GOOD_KEY.secretAccessKey}`);
    const karin = await runKarin({ KARIN_KEYS_FILE: file });
    const list = (accessKeyId: string) =>
      nameOf(client(karin.url, { ...GOOD_KEY, accessKeyId }).send(new ListQueuesCommand({})));
    expect(await list('AKIAOLD')).toBe('let in');
    expect(await list('AKIANEW')).toBe('InvalidClientTokenId');

    writeFileSync(file, `AKIANEW:${GOOD_KEY.secretAccessKey}`);
    karin.reloadCredentials();
    expect(await list('AKIAOLD')).toBe('InvalidClientTokenId');
    expect(await list('AKIANEW')).toBe('let in');

    writeFileSync(file, 'nonsense');
    expect(() => karin.reloadCredentials()).toThrow('KARIN_KEYS_FILE, entry 1');
    expect(await list('AKIANEW')).toBe('let in');
    await rm(folder, { recursive: true });
  });
});

describe('tokens made at run time', () => {
  const admin = { authorization: `Basic ${Buffer.from(`admin:${PASSWORD}`).toString('base64')}` };
  const tokens = (url: string, init: RequestInit & { path?: string } = {}) =>
    fetch(`${url}/tokens${init.path ?? ''}`, { ...init, headers: admin });

  it('work at once on every instance, until they are revoked', async () => {
    const store = new MemoryStore({ time: systemTime });
    const one = await runKarin(CLOSED, { store });
    const other = await runKarin(CLOSED, { store });
    const made = await tokens(one.url, {
      method: 'POST',
      body: JSON.stringify({ scopes: 'send+consume', queues: 'app-*' }),
    });
    expect(made.status).toBe(201);
    const { token, id, endpoint } = await jsonOf(made);
    expect(token).toMatch(/^karin_[A-Za-z0-9_-]{43}$/);
    expect(endpoint).toBe(`${one.url}/k/${token}`);

    const list = async (url: string) => (await sqsCall(`${url}/k/${token}`, 'ListQueues', {})).status;
    expect([await list(one.url), await list(other.url)]).toEqual([200, 200]);
    const shown = await jsonOf(await tokens(other.url));
    expect(shown.tokens).toMatchObject([{ id, scopes: ['send', 'consume'], queues: ['app-*'], expired: false }]);
    expect(JSON.stringify(shown)).not.toContain(token);
    expect(JSON.stringify([...(await store.documents.list('')).values()])).not.toContain(token);

    expect((await tokens(other.url, { method: 'DELETE', path: `/${id}` })).status).toBe(204);
    expect([await list(one.url), await list(other.url)]).toEqual([403, 403]);
    expect((await tokens(other.url, { method: 'DELETE', path: `/${id}` })).status).toBe(404);
  });

  it('end with their time', async () => {
    const { time, advance } = movableTime();
    const karin = await runKarin(CLOSED, { time });
    const body = JSON.stringify({ scopes: 'send', expiresInSeconds: 3600 });
    const { token } = await jsonOf(await tokens(karin.url, { method: 'POST', body }));
    const call = () => sqsCall(`${karin.url}/k/${token}`, 'ListQueues', {});
    advance(3_500_000);
    expect((await call()).status).toBe(200);
    advance(100_000);
    expect(await (await call()).json()).toMatchObject({
      message: 'The security token included in the request is expired.',
    });
  });

  it('are for the admin alone to make: a key with every scope is not enough', async () => {
    const karin = await runKarin({ ...CLOSED, KARIN_TOKENS: `${TOKEN}:all` });
    const answer = await fetch(`${karin.url}/k/${TOKEN}/tokens`, { method: 'POST', body: '{"scopes":"all"}' });
    expect(answer.status).toBe(403);
    expect((await fetch(`${karin.url}/tokens`)).status).toBe(401);
  });

  it.each([
    ['{}', 'no scope is given'],
    ['not json', 'no scope is given'],
    ['{"scopes":"fly"}', '"fly" is not a scope'],
    ['{"scopes":"send","queues":"a b"}', '"a b" is not a pattern'],
    ['{"scopes":"send","expiresInSeconds":1}', 'a token may live from 60'],
  ])('must be asked for properly: %s', async (body, error) => {
    const karin = await runKarin(CLOSED);
    const answer = await tokens(karin.url, { method: 'POST', body });
    expect(answer.status).toBe(400);
    expect((await jsonOf(answer)).error).toContain(error);
  });
});

describe('a server without credentials', () => {
  it('lets in everybody of this machine, and names the sender after the key he claims', async () => {
    const karin = await runKarin();
    const sqs = client(karin.url, { ...ROLE });
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'jobs' }));
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'x' }));
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl, MessageSystemAttributeNames: ['All'] }));
    expect(Messages?.[0]?.Attributes?.['SenderId']).toBe(ROLE.accessKeyId);
    expect((await sqsCall(karin.url, 'ListQueues', {})).status).toBe(200);
  });

  it('does not start where other machines can reach it, and says how to make a credential', async () => {
    const start = runKarin({ HOST: '0.0.0.0' });
    await expect(start).rejects.toThrow('KARIN_ADMIN_PASSWORD="$(openssl rand -base64 24)"');
    await expect(runKarin({ HOST: '0.0.0.0', KARIN_TOKENS: TOKEN })).resolves.toHaveProperty('url');
  });

  it('starts where other machines can reach it once a token was made', async () => {
    const store = new MemoryStore({ time: systemTime });
    const local = await runKarin({}, { store });
    const made = await fetch(`${local.url}/tokens`, { method: 'POST', body: '{"scopes":"send"}' });
    const { token } = await jsonOf(made);
    const open = await runKarin({ HOST: '0.0.0.0' }, { store });
    expect((await sqsCall(open.url, 'ListQueues', {})).status).toBe(403);
    expect((await sqsCall(`${open.url}/k/${token}`, 'ListQueues', {})).status).toBe(200);
  });

  it('is closed as soon as there is a token, also one that another instance made, and stays so when it is revoked', async () => {
    const store = new MemoryStore({ time: systemTime });
    const [one, other] = [await runKarin({}, { store }), await runKarin({}, { store })];
    const made = await fetch(`${one.url}/tokens`, { method: 'POST', body: '{"scopes":"all"}' });
    const { token, id } = await jsonOf(made);
    for (const { url } of [one, other]) {
      expect((await sqsCall(url, 'ListQueues', {})).status).toBe(403);
      expect((await fetch(`${url}/tokens`)).status).toBe(401);
      expect((await sqsCall(`${url}/k/${token}`, 'ListQueues', {})).status).toBe(200);
    }
    await createTokenStore(store.documents, () => 0).revoke(id ?? '');
    for (const { url, logged } of [one, other]) {
      expect((await sqsCall(url, 'ListQueues', {})).status).toBe(403);
      expect(logged.filter((line) => line.includes('a credential was made'))).toHaveLength(1);
    }
  });

  it.each([
    ['a page of another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }],
    ['a form of another site', { origin: 'null' }],
    ['a page under a foreign name for this machine', { 'sec-fetch-site': 'same-origin', host: 'evil.example:4000' }],
  ])('refuses %s', async (_what, headers) => {
    const karin = await runKarin();
    expect(await rawStatus(karin.url, headers)).toBe(403);
    expect(await rawStatus(karin.url, { 'sec-fetch-site': 'same-origin', origin: karin.url })).toBe(200);
  });

  it('answers only to names that no stranger can own, whoever asks', async () => {
    const karin = await runKarin({ KARIN_PUBLIC_URL: 'http://queues.internal:8080' });
    for (const host of [
      'localhost',
      'LOCALHOST:4000',
      '127.0.0.1',
      '127.3.2.1:80',
      '[::1]:4000',
      'queues.internal:8080',
    ]) {
      expect(await rawStatus(karin.url, { host }), host).toBe(200);
    }
    const foreign = [
      'evil.example',
      '192.168.0.7:4000',
      '[fe80::1]',
      'localhost.evil.example',
      '127.0.0.1.nip.io:4000',
    ];
    for (const host of [...foreign, 'queues.internal', 'host.docker.internal:4000']) {
      for (const path of ['/?Action=ListQueues', '/ops', '/metrics', '/healthz']) {
        expect(await rawStatus(karin.url, { host }, { path }), `${host} ${path}`).toBe(403);
      }
    }
  });

  it('lets links of other sites lead to its pages, and nowhere else', async () => {
    const karin = await runKarin();
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
    for (const path of ['/ops', '/functions']) expect(await rawStatus(karin.url, link, { path }), path).toBe(200);
    const others = [
      '/?Action=SendMessage&QueueUrl=jobs&MessageBody=x',
      '/000000000000/jobs?Action=ReceiveMessage',
      '/',
    ];
    for (const path of [...others, '/metrics', '/operations']) {
      expect(await rawStatus(karin.url, link, { path }), path).toBe(403);
    }
    expect(await rawStatus(karin.url, link, { path: '/ops/sync', method: 'POST' })).toBe(403);
    expect(await rawStatus(karin.url, { ...link, 'sec-fetch-mode': 'no-cors' }, { path: '/ops' })).toBe(403);
  });
});

describe('secrets', () => {
  it('never reach the log', async () => {
    const { KARIN_ADMIN_PASSWORD } = CLOSED;
    const karin = await runKarin({ ...CLOSED, LOG_LEVEL: 'trace' });
    await client(karin.url).send(new CreateQueueCommand({ QueueName: 'app-jobs' }));
    await sqsCall(`${karin.url}/k/${TOKEN}`, 'SendMessage', { QueueUrl: 'app-jobs', MessageBody: 'a private body' });
    await sqsCall(karin.url, 'ListQueues', {}, { authorization: `Bearer ${KARIN_ADMIN_PASSWORD}` });
    await fetch(`${karin.url}/ops/login`, { method: 'POST', body: new URLSearchParams({ password: PASSWORD }) });
    karin.log.error({ err: new Error(`GET ${karin.url}/k/${TOKEN}/1/x failed`), url: 'redis://u:pass-word@h' }, 'x');
    karin.log.info(
      { password: PASSWORD, request: { authorization: `Bearer ${PASSWORD}` }, body: 'a private body' },
      'x',
    );
    const log = karin.logged.join('');
    expect(log).toContain('request');
    for (const secret of [TOKEN, CONSUMER, PASSWORD, GOOD_KEY.secretAccessKey, 'a private body', 'pass-word']) {
      expect(log).not.toContain(secret);
    }
  });
});

/** The system's clock, ahead by what was advanced. */
function movableTime() {
  let ahead = 0;
  return {
    time: { ...systemTime, now: () => systemTime.now() + ahead },
    advance: (ms: number) => {
      ahead += ms;
    },
  };
}

/** `fetch` does not let a program set Host and Origin; a socket does. */
async function rawStatus(
  url: string,
  headers: Readonly<Record<string, string>>,
  { path = '/?Action=ListQueues', method = 'GET' } = {},
): Promise<number> {
  const { request } = await import('node:http');
  return new Promise((resolve, reject) => {
    const call = request(`${url}${path}`, { headers, method }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    call.once('error', reject).end();
  });
}
