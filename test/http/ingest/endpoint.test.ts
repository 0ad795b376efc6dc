import { createHash } from 'node:crypto';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { beforeEach, describe, expect, it } from 'vitest';
import { type RunningKarin, runKarin, sqsCall } from '../running-karin.ts';

const TOKEN = 'ingest-token-0123456789abcdef';
const READER = 'reader-token-0123456789abcdef';
const KEY = { accessKeyId: 'AKIAINGESTINGESTINGE', secretAccessKey: 'ingest-secret-0123456789abcdefghijklm' };
const ACCOUNT = '000000000000';

interface Received {
  readonly Body: string;
  readonly MessageId: string;
  readonly MessageAttributes?: Readonly<Record<string, { readonly DataType: string; readonly StringValue?: string }>>;
  readonly Attributes?: Readonly<Record<string, string>>;
}

let karin: RunningKarin;

async function start(env: Readonly<Record<string, string>> = {}): Promise<void> {
  karin = await runKarin({
    KARIN_TOKENS: `${TOKEN}:send:*,${READER}:consume+manage:*`,
    KARIN_KEYS: `${KEY.accessKeyId}:${KEY.secretAccessKey}`,
    ...env,
  });
  for (const [QueueName, Attributes] of [
    ['jobs', {}],
    ['jobs.fifo', { FifoQueue: 'true' }],
  ] as const) {
    const answer = await sqsCall(`${karin.url}/k/${READER}`, 'CreateQueue', { QueueName, Attributes });
    expect(answer.status).toBe(200);
  }
}

const deliver = (
  pathAndQuery: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Readonly<Record<string, string>> = {},
) => fetch(`${karin.url}/k/${TOKEN}/in/${ACCOUNT}/${pathAndQuery}`, { method: 'POST', body, headers });

async function received(queue = 'jobs'): Promise<readonly Received[]> {
  const answer = await sqsCall(`${karin.url}/k/${READER}`, 'ReceiveMessage', {
    QueueUrl: `/${ACCOUNT}/${queue}`,
    MaxNumberOfMessages: 10,
    MessageAttributeNames: ['All'],
    AttributeNames: ['All'],
  });
  // The answer of our own server; what is not as the test expects shows in its assertions.
  return ((await answer.json()) as { readonly Messages?: readonly Received[] }).Messages ?? [];
}

const jsonOf = async (answer: Response) => (await answer.json()) as Readonly<Record<string, string>>;

beforeEach(async () => start());

describe('A delivery', () => {
  it('becomes a message with the body as it came, and is answered with its id and digest', async () => {
    const body = '{"a" :1,\r\n"é": "😀"}\n';
    const answer = await deliver('jobs', body, { 'content-type': 'application/json', 'x-amzn-trace-id': 'Root=1-2-3' });
    expect(answer.status).toBe(200);
    const said = await jsonOf(answer);
    const [message] = await received();
    expect(message).toMatchObject({ Body: body, MessageId: said['MessageId'] });
    expect(said).toEqual({
      MessageId: message?.MessageId,
      MD5OfMessageBody: createHash('md5').update(body).digest('hex'),
    });
    expect(message?.MessageAttributes).toBeUndefined();
    expect(message?.Attributes).toMatchObject({ AWSTraceHeader: 'Root=1-2-3' });
  });

  it('is let in by a token in the path or in a header, by a password in the URL, and by a signature over its body', async () => {
    const address = `${karin.url}/in/${ACCOUNT}/jobs`;
    const send = async (headers: Readonly<Record<string, string>>) =>
      (await fetch(address, { method: 'POST', body: 'hello', headers })).status;
    expect(await send({ authorization: `Bearer ${TOKEN}` })).toBe(200);
    expect(await send({ authorization: `Basic ${Buffer.from(`any:${TOKEN}`).toString('base64')}` })).toBe(200);
    const signer = new SignatureV4({ service: 'sqs', region: 'us-east-1', credentials: KEY, sha256: Sha256 });
    const { hostname, port, pathname } = new URL(address);
    const { headers } = await signer.sign({
      method: 'POST',
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: pathname,
      headers: { host: `${hostname}:${port}` },
      body: 'hello',
    });
    expect(await send(headers)).toBe(200);
    expect(await send({ ...headers, authorization: `${headers['authorization']}0` })).toBe(403);
    expect(await received()).toHaveLength(3);
  });

  it('is answered below the base path of the public address as well', async () => {
    await start({ KARIN_PUBLIC_URL: 'https://karin.example.com/base' });
    const answer = await fetch(`${karin.url}/base/k/${TOKEN}/in/${ACCOUNT}/jobs`, { method: 'POST', body: 'below' });
    expect(answer.status).toBe(200);
    expect((await received()).map(({ Body }) => Body)).toEqual(['below']);
  });

  it('takes delay, group and dedup from the URL, from headers and from the body', async () => {
    expect((await deliver('jobs?delay=900', 'later')).status).toBe(200);
    expect(await received()).toEqual([]);
    const body = JSON.stringify({ id: 'event-1', detail: { 'a/b': { '~': [{ customer: 42 }] } } });
    const fifo = 'jobs.fifo?group=json:/detail/a~1b/~0/0/customer&dedup=header:X-Request-Id';
    const answers = await Promise.all([
      deliver(fifo, body, { 'x-request-id': 'r-1' }),
      deliver(fifo, body, { 'x-request-id': 'r-1' }),
      deliver('jobs.fifo?group=all&dedup=json:/id', body),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    const sequences = (await Promise.all(answers.map(jsonOf))).map((said) => said['SequenceNumber']);
    expect(sequences[0]).toBe(sequences[1]);
    expect(sequences[2]).toMatch(/^\d{20}$/);
    const groups = (await received('jobs.fifo')).map(({ Attributes }) => [
      Attributes?.['MessageGroupId'],
      Attributes?.['MessageDeduplicationId'],
    ]);
    expect(groups.toSorted()).toEqual([
      ['42', 'r-1'],
      ['all', 'event-1'],
    ]);
  });

  it('keeps the headers that the URL names, and the content type by choice, as message attributes', async () => {
    const headers = { 'x-hub-signature-256': 'sha256=abc', 'x-empty': '', 'content-type': 'application/json' };
    await deliver('jobs?headers=X-Hub-Signature-256,X-Empty,X-Absent&content-type=keep', '{}', headers);
    const [message] = await received();
    expect(message?.MessageAttributes).toEqual({
      'X-Hub-Signature-256': { DataType: 'String', StringValue: 'sha256=abc' },
      'Content-Type': { DataType: 'String', StringValue: 'application/json' },
    });
  });

  it('may be any bytes where the URL asks for base64, and is refused for ever otherwise', async () => {
    const bytes = Buffer.from([0, 255, 254, 7]);
    const refused = await deliver('jobs', bytes);
    expect(refused.status).toBe(400);
    expect(await jsonOf(refused)).toEqual({
      code: 'MalformedInput',
      error: 'The request body is not valid UTF-8. Add encoding=base64 to the URL to keep any bytes.',
    });
    expect((await deliver('jobs', 'a\u0007b')).status).toBe(400);
    expect((await deliver('jobs?encoding=base64', bytes)).status).toBe(200);
    expect((await received()).map(({ Body }) => Body)).toEqual([bytes.toString('base64')]);
  });

  it('obeys every limit of SendMessage, in its words', async () => {
    const most = 1_048_576;
    expect((await deliver('jobs', 'x'.repeat(most))).status).toBe(200);
    const long = await deliver('jobs', 'x'.repeat(most + 1));
    expect([long.status, (await jsonOf(long))['error']]).toEqual([
      400,
      `One or more parameters are invalid. Reason: Message must be shorter than ${most} bytes.`,
    ]);
    expect((await deliver('jobs', 'x'.repeat(3 * most))).status).toBe(413);
    expect((await deliver('jobs', '')).status).toBe(400);
    const error = async (path: string) => (await jsonOf(await deliver(path, 'x')))['error'];
    expect(await error('jobs?delay=901')).toContain('DelaySeconds must be >= 0 and <= 900');
    expect(await error('jobs?dedup=a')).toContain(
      'not valid for this queue type. Take delay= or dedup= out of the URL',
    );
    expect(await error('jobs.fifo')).toContain('MessageGroupId. Add group=<text>');
    expect(await error('jobs.fifo?group=a')).toContain('Add dedup=<text>');
    expect(await error(`jobs.fifo?dedup=a&group=${'g'.repeat(129)}`)).toContain('1 to 128 in length');
    expect(await error('jobs?headers=a..b')).toBe(undefined);
  });

  it('is refused for what its URL says wrongly, with the value, the rule and the mend', async () => {
    const error = async (query: string, body = '{"n": 90071992547409931, "o": {}}') => {
      const answer = await deliver(`jobs.fifo?${query}`, body);
      return `${answer.status} ${(await jsonOf(answer))['error']}`;
    };
    const said = (what: string, why: string) =>
      `400 The parameter ${what} of the URL does not hold for this request: ${why}.`;
    expect(await error('delay=1.5')).toBe(said('delay=1.5', 'it must be a whole number of seconds'));
    expect(await error('raw=yes')).toBe(said('raw=yes', 'it is true or false'));
    expect(await error('encoding=hex')).toBe(said('encoding=hex', 'the only value is base64'));
    expect(await error('topic=orders')).toBe(said('topic=orders', 'it must be the ARN of an SNS topic'));
    expect(await error('group=a&group=b')).toBe(
      said('group=b', 'it is given more than once, and only one value can hold'),
    );
    expect(await error('group=header:X-Customer')).toBe(
      said('group=header:X-Customer', 'the request has no such header'),
    );
    expect(await error('group=json:/missing')).toContain('the body has no text, number or boolean there');
    expect(await error('group=json:/o')).toContain('the body has no text, number or boolean there');
    expect(await error('group=json:/constructor/name')).toContain('the body has no text, number or boolean there');
    expect(await error('group=json:/n')).toContain('the number there is beyond 2^53');
    expect(await error('group=json:/o', 'text')).toContain('the body is not JSON');
    expect(await error('group=json:o')).toContain('must be followed by a JSON pointer');
    expect(await error('headers=a,b,c,d,e,f,g,h,i,j,k')).toContain('a message has at most 10 attributes');
    expect(await error('headers=Authorization')).toContain('credentials are not stored in messages');
    expect(await received('jobs.fifo')).toEqual([]);
  });

  it('leaves parameters alone that mean nothing here, and a GET says so without a credential', async () => {
    expect((await deliver('jobs?utm_source=x&grop=1', 'hello')).status).toBe(200);
    const told = await fetch(`${karin.url}/in/${ACCOUNT}/jobs?grop=1`);
    expect(told.status).toBe(200);
    expect(told.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(await told.text()).toMatch(
      /^POST to this address.*queue jobs[\s\S]*Not known here, and left alone: grop\.\n$/,
    );
    expect(await (await fetch(`${karin.url}/in/${ACCOUNT}/jobs?delay=soon`)).text()).toContain('delay=soon');
    const put = await fetch(`${karin.url}/in/${ACCOUNT}/jobs`, { method: 'PUT', body: 'x' });
    expect([put.status, put.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
  });
});

describe('A delivery that cannot be stored now', () => {
  it('is told to come again where the queue is not known yet, and taken once it is', async () => {
    const early = await deliver('soon', 'first');
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '30']);
    expect((await jsonOf(early))['error']).toContain('There is no queue soon here, or not yet');
    await sqsCall(`${karin.url}/k/${READER}`, 'CreateQueue', { QueueName: 'soon' });
    expect((await deliver('soon', 'again')).status).toBe(200);
  });

  it('is refused for ever where no queue can have the name', async () => {
    for (const path of ['a%20b', 'x/y', `${'q'.repeat(81)}`]) expect((await deliver(path, 'x')).status).toBe(404);
    const wrongAccount = await fetch(`${karin.url}/k/${TOKEN}/in/12/jobs`, { method: 'POST', body: 'x' });
    expect(wrongAccount.status).toBe(404);
  });

  it('is slowed down, not refused, where its credential has used up its share', async () => {
    await start({ KARIN_TOKENS: `${TOKEN}:send:*:sends=1,${READER}:consume+manage:*` });
    const statuses: number[] = [];
    for (let n = 0; n < 11; n += 1) statuses.push((await deliver('jobs', 'x')).status);
    expect(statuses).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
  });
});

describe('A stranger', () => {
  it('is asked for a credential, told apart from who lacks the scope, and nothing of the body is read before', async () => {
    const address = `${karin.url}/in/${ACCOUNT}/jobs`;
    const post = (headers: Readonly<Record<string, string>>, url = address) =>
      fetch(url, { method: 'POST', body: 'x'.repeat(100_000), headers });
    const none = await post({});
    expect([none.status, none.headers.get('www-authenticate'), none.headers.get('connection')]).toEqual([
      401,
      'Basic realm="karin", Bearer realm="karin"',
      'close',
    ]);
    const wrong = await post({}, `${karin.url}/k/${'w'.repeat(30)}/in/${ACCOUNT}/jobs`);
    expect([wrong.status, wrong.headers.get('connection')]).toEqual([403, 'close']);
    const lacking = await post({ authorization: `Bearer ${READER}` });
    expect([lacking.status, lacking.headers.get('connection')]).toEqual([403, 'close']);
    expect((await jsonOf(lacking))['error']).toContain('needs the scope "send"');
    // What a credential does not reach is not told to exist.
    const elsewhere = await post({ authorization: `Bearer ${READER}` }, `${karin.url}/in/${ACCOUNT}/none`);
    expect(elsewhere.status).toBe(403);
    expect(await received()).toEqual([]);
  });

  it('finds no secret in the log, and a refused delivery of a known sender is in the audit trail', async () => {
    await deliver('jobs?delay=901', 'a body that is private');
    const log = karin.logged.join('\n');
    expect(log).not.toContain(TOKEN);
    expect(log).not.toContain('a body that is private');
    expect(log).toMatch(/"what":"delivery-refused","who":"token:[0-9a-f]{12}"/);
  });
});

describe('The operator', () => {
  it('sees in the metrics where messages come from and why deliveries were refused', async () => {
    await deliver('jobs', 'hook');
    await deliver('jobs?from=github', 'named');
    await deliver('jobs', 'event', { 'user-agent': 'Amazon/EventBridge/ApiDestinations' });
    await deliver('jobs?delay=901', 'refused');
    await sqsCall(`${karin.url}/k/${TOKEN}`, 'SendMessage', { QueueUrl: `/${ACCOUNT}/jobs`, MessageBody: 'sdk' });
    const page = await (await fetch(`${karin.url}/metrics`, { headers: { authorization: `Bearer ${READER}` } })).text();
    const queue = 'queue="jobs",account="000000000000",region="us-east-1"';
    for (const line of [
      `karin_sent_messages_total{${queue},source="sdk"} 1`,
      `karin_sent_messages_total{${queue},source="ingest"} 1`,
      `karin_sent_messages_total{${queue},source="ingest",name="github"} 1`,
      `karin_sent_messages_total{${queue},source="eventbridge"} 1`,
      'karin_refused_deliveries_total{reason="InvalidParameterValue"} 1',
    ]) {
      expect(page).toContain(`${line}\n`);
    }
  });
});
