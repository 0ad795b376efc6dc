import { createServer } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { createConnector, publicLookup, snsUrl } from '../../../runtime/http/ingest/sns-host.ts';
import { systemTime } from '../../../runtime/time.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { type Envelope, FakeSns, SNS_HOST, snsHeaders, TOPIC } from '../../support/fake-sns.ts';
import { type RunningKarin, runKarin, sqsCall } from '../running-karin.ts';

const ACCOUNT = '000000000000';
const PINNED = `jobs?topic=${TOPIC}`;
const DAY_MS = 86_400_000;

interface Received {
  readonly Body: string;
  readonly MessageAttributes?: Readonly<Record<string, unknown>>;
  readonly Attributes: Readonly<Record<string, string>>;
}

let karin: RunningKarin;
const sns = new FakeSns();

beforeEach(async () => {
  sns.reset();
  karin = await runKarin({}, { sns: sns.trust });
  for (const [QueueName, Attributes] of [
    ['jobs', {}],
    ['other', {}],
    ['jobs.fifo', { FifoQueue: 'true' }],
  ] as const) {
    await sqsCall(karin.url, 'CreateQueue', { QueueName, Attributes });
  }
});

async function deliver(to: string, envelope: Envelope | string, headers?: Readonly<Record<string, string>>) {
  const text = typeof envelope === 'string' ? envelope : JSON.stringify(envelope, undefined, 2);
  const answer = await fetch(`${karin.url}/in/${ACCOUNT}/${to}`, {
    method: 'POST',
    body: text,
    headers: headers ?? (typeof envelope === 'string' ? {} : snsHeaders(envelope)),
  });
  // The answer of our own server; what is not as the test expects shows in its assertions.
  const said = (await answer.json()) as Readonly<Record<string, string>>;
  return { status: answer.status, text, ...said } as { status: number; text: string } & Readonly<
    Record<string, string | number>
  >;
}

async function received(queue = 'jobs'): Promise<readonly Received[]> {
  const answer = await sqsCall(karin.url, 'ReceiveMessage', {
    QueueUrl: `/${ACCOUNT}/${queue}`,
    MaxNumberOfMessages: 10,
    MessageAttributeNames: ['All'],
    AttributeNames: ['All'],
  });
  return ((await answer.json()) as { readonly Messages?: readonly Received[] }).Messages ?? [];
}

describe('A message of SNS', () => {
  it.each(['1', '2'])('with signature version %s is stored with its envelope as it came', async (SignatureVersion) => {
    const { status, text } = await deliver('jobs', sns.notification({ SignatureVersion }));
    expect(status).toBe(200);
    expect((await received()).map(({ Body }) => Body)).toEqual([text]);
  });

  it('loses its envelope where the URL says raw, and its attributes are those of raw delivery to SQS', async () => {
    const MessageAttributes = {
      plain: { Type: 'String', Value: 'text' },
      count: { Type: 'Number', Value: '12.5' },
      bytes: { Type: 'Binary', Value: Buffer.from([0, 1, 255]).toString('base64') },
      list: { Type: 'String.Array', Value: '["a", 1, true, null]' },
    };
    const envelope = sns.notification({ MessageAttributes });
    expect((await deliver('jobs?raw=true', envelope)).status).toBe(200);
    const [message] = await received();
    expect(message?.Body).toBe(envelope['Message']);
    expect(message?.MessageAttributes).toEqual({
      plain: { DataType: 'String', StringValue: 'text' },
      count: { DataType: 'Number', StringValue: '12.5' },
      bytes: { DataType: 'Binary', BinaryValue: 'AAH/' },
      list: { DataType: 'String.Array', StringValue: '["a", 1, true, null]' },
    });
  });

  it('with more than ten attributes is refused for ever where the URL says raw, as SNS discards it, and kept otherwise', async () => {
    const MessageAttributes = Object.fromEntries(
      Array.from({ length: 11 }, (_, n) => [`a${n}`, { Type: 'String', Value: 'x' }]),
    );
    const refused = await deliver('jobs?raw=true', sns.notification({ MessageAttributes }));
    expect(refused).toMatchObject({ status: 400, code: 'InvalidParameterValue' });
    expect(refused['error']).toContain(
      'Number of message attributes [11] exceeds the allowed maximum [10]. Name fewer',
    );
    expect((await deliver('jobs', sns.notification({ MessageAttributes }))).status).toBe(200);
  });

  it('is one message on a FIFO queue, however often SNS tries, unless the URL names another id', async () => {
    const envelope = sns.notification({ Message: '{"order": 7}' });
    for (const to of [
      'jobs.fifo?group=all',
      'jobs.fifo?group=all',
      'jobs.fifo?group=json:/order&dedup=json:/order&raw=true',
    ])
      expect((await deliver(to, envelope)).status).toBe(200);
    const ids = (await received('jobs.fifo')).map(({ Attributes }) => Attributes['MessageDeduplicationId']);
    expect(ids.toSorted()).toEqual([envelope['MessageId'], '7']);
  });

  it('is recognised without the headers of SNS where the URL names topics or says raw, and such a URL takes nothing else', async () => {
    expect((await deliver(PINNED, sns.notification(), {})).status).toBe(200);
    expect((await deliver('jobs?raw=true', sns.notification(), {})).status).toBe(200);
    for (const to of [PINNED, 'jobs?raw=true'])
      expect(await deliver(to, '{"Records": []}')).toMatchObject({ status: 403, code: 'NotFromSns' });
    expect(await received()).toHaveLength(2);
  });

  it('that SNS itself took out of its envelope is not proven: taken on the credential alone, and never at a URL that names topics', async () => {
    const headers: Record<string, string> = { ...snsHeaders(sns.notification()), 'x-amz-sns-rawdelivery': 'true' };
    expect((await deliver('jobs.fifo?group=all', 'hello', headers)).status).toBe(200);
    expect((await deliver(PINNED, 'hello', headers)).status).toBe(403);
    const [message] = await received('jobs.fifo');
    expect(message?.Attributes['MessageDeduplicationId']).toBe(headers['x-amz-sns-message-id']);
  });
});

describe('A message that is not what SNS signed', () => {
  const FORGED: Readonly<Record<string, string>> = {
    Message: 'another text',
    MessageId: '00000000-0000-4000-8000-999999999999',
    Subject: 'another subject',
    Timestamp: '2026-01-01T00:00:00.001Z',
    TopicArn: `${TOPIC}-of-somebody-else`,
    Signature: Buffer.alloc(256, 1).toString('base64'),
  };
  it.each(Object.entries(FORGED))('in its %s is refused for ever, and not stored', async (name, value) => {
    for (const SignatureVersion of ['1', '2']) {
      const envelope = { ...sns.notification({ SignatureVersion }), [name]: value };
      expect(await deliver('jobs', envelope)).toMatchObject({ status: 403, code: 'WrongSignature' });
    }
    expect(await received()).toEqual([]);
  });

  it('is refused without its Subject, or with a Subject that was not there', async () => {
    const { Subject: _, ...without } = sns.notification();
    const added = { ...sns.notification({ Subject: undefined }), Subject: 'new' };
    for (const envelope of [without, added])
      expect(await deliver('jobs', envelope)).toMatchObject({ status: 403, code: 'WrongSignature' });
    expect((await deliver('jobs', sns.notification({ Subject: undefined }))).status).toBe(200);
  });

  it.each([['Token'], ['SubscribeURL'], ['Message'], ['Type']])(
    'is refused as a confirmation with another %s',
    async (name) => {
      const value = name === 'Type' ? 'UnsubscribeConfirmation' : `${sns.confirmation()[name]}x`;
      const envelope = { ...sns.confirmation(), [name]: value };
      expect(await deliver('jobs', envelope)).toMatchObject({ status: 403, code: 'WrongSignature' });
      expect(sns.asked).toEqual([sns.certificateUrl]);
    },
  );

  it('is refused with a signature version that SNS does not have, or with that of the other hash', async () => {
    for (const SignatureVersion of ['0', '3', '', '2 '])
      expect(await deliver('jobs', sns.notification({ SignatureVersion }))).toMatchObject({
        status: 403,
        code: 'WrongSignature',
      });
    const other = { ...sns.notification({ SignatureVersion: '2' }), SignatureVersion: '1' };
    expect(await deliver('jobs', other)).toMatchObject({ status: 403, code: 'WrongSignature' });
  });

  it('is refused where members are missing or of another type', async () => {
    for (const name of ['Type', 'MessageId', 'TopicArn', 'Message', 'Timestamp', 'Signature', 'SigningCertURL']) {
      const { [name]: _, ...without } = sns.notification();
      const headers = snsHeaders(sns.notification());
      expect(await deliver('jobs', without, headers)).toMatchObject({ status: 403, code: 'NotFromSns' });
      expect(await deliver('jobs', { ...without, [name]: 7 }, headers)).toMatchObject({
        status: 403,
        code: 'NotFromSns',
      });
    }
  });

  it('is not recognised for another queue: what is signed is the topic, so the URL names it', async () => {
    const envelope = sns.notification();
    expect((await deliver(PINNED, envelope)).status).toBe(200);
    const elsewhere = await deliver(`other?topic=${TOPIC}-2`, envelope);
    expect(elsewhere).toMatchObject({ status: 403, code: 'WrongTopic' });
    expect(elsewhere['error']).toBe(`The message is of topic ${TOPIC}, and this URL takes only those of ${TOPIC}-2.`);
    expect((await deliver(`other?topic=${TOPIC}-2&topic=${TOPIC}`, envelope)).status).toBe(200);
  });
});

describe('A certificate', () => {
  const wrong = (reason: string) => ({ status: 403, code: 'WrongCertificate', error: expect.stringContaining(reason) });

  it('is fetched once, however many messages wait for it', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => deliver('jobs', sns.notification())));
    expect(answers.every(({ status }) => status === 200)).toBe(true);
    expect(sns.asked).toEqual([sns.certificateUrl]);
  });

  it('whose issuer does not stand in the file is checked with the one that it names, at an authority that SNS uses', async () => {
    const issuerUrl = 'http://crt.r2m01.amazontrust.com/r2m01.cer';
    const leaf = makeCertificate({ name: 'sns.amazonaws.com', issuer: sns.intermediate, issuerUrl });
    sns.serve(sns.certificateUrl, leaf);
    sns.serve(issuerUrl, sns.intermediate);
    expect((await deliver('jobs', sns.notification({}, leaf))).status).toBe(200);
    expect(sns.asked).toEqual([sns.certificateUrl, issuerUrl]);
  });

  it.each([
    'http://crt.amazontrust.com.example.com/a.cer',
    'http://crt.amazontrust.com:8080/a.cer',
    'http://user@crt.amazontrust.com/a.cer',
    'http://evilamazontrust.com/a.cer',
    'http://169.254.169.254/latest',
    'file:///etc/passwd',
  ])('that names its issuer at %s makes no request there', async (issuerUrl) => {
    const leaf = makeCertificate({ name: 'sns.amazonaws.com', issuer: sns.intermediate, issuerUrl });
    sns.serve(sns.certificateUrl, leaf);
    expect(await deliver('jobs', sns.notification({}, leaf))).toMatchObject(wrong('leads to no authority'));
    expect(sns.asked).toEqual([sns.certificateUrl]);
  });

  it('is refused if it has ended, does not hold yet, was made for another name, by nobody known, or for a small key', async () => {
    const issuer = sns.intermediate;
    const name = 'sns.amazonaws.com';
    const [before, after] = [new Date(Date.now() - DAY_MS), new Date(Date.now() + DAY_MS)];
    const stranger = makeCertificate({ name: 'Test Root', isAuthority: true });
    const noAuthority = makeCertificate({ name: 'sns.amazonaws.com', issuer });
    const cases = [
      [makeCertificate({ name, issuer, to: before }), 'it ended on'],
      [makeCertificate({ name, issuer, from: after }), 'it holds only from'],
      [makeCertificate({ name: 'sns.amazonaws.com.example.com', issuer }), 'made for another name'],
      [makeCertificate({ name: 'sqs.amazonaws.com', issuer }), 'made for another name'],
      [makeCertificate({ name }), 'leads to no authority'],
      [makeCertificate({ name, issuer: stranger }), 'leads to no authority'],
      [makeCertificate({ name, issuer: noAuthority }), 'leads to no authority'],
      [makeCertificate({ name, issuer, bits: 1_024 }), 'its key is not RSA of 2,048 bits'],
    ] as const;
    for (const [n, [certificate, reason]] of cases.entries()) {
      const SigningCertURL = `${SNS_HOST}/SimpleNotificationService-${n}.pem`;
      sns.serve(SigningCertURL, certificate, sns.intermediate, stranger, noAuthority);
      expect(await deliver('jobs', sns.notification({ SigningCertURL }, certificate))).toMatchObject(wrong(reason));
    }
    expect(await received()).toEqual([]);
  });

  it('is refused where its issuer has ended, though it holds itself', async () => {
    const ended = makeCertificate({
      name: 'Ended',
      isAuthority: true,
      issuer: sns.root,
      to: new Date(Date.now() - DAY_MS),
    });
    const leaf = makeCertificate({ name: 'sns.amazonaws.com', issuer: ended });
    sns.serve(sns.certificateUrl, leaf, ended);
    expect(await deliver('jobs', sns.notification({}, leaf))).toMatchObject(wrong('it ended on'));
  });

  it('made for the names that SNS uses in regions of their own is accepted', async () => {
    for (const [host, name] of [
      ['sns.us-gov-east-1.amazonaws.com', 'sns-us-gov-west-1.amazonaws.com'],
      ['sns.cn-north-1.amazonaws.com.cn', 'sns-cn-north-1.amazonaws.com.cn'],
      ['sns.ap-east-1.amazonaws.com', 'sns-signing.ap-east-1.amazonaws.com'],
      ['sns.eusc-de-east-1.amazonaws.eu', 'sns-signing.eusc-de-east-1.amazonaws.eu'],
    ] as const) {
      const certificate = makeCertificate({ name, issuer: sns.intermediate });
      const SigningCertURL = `https://${host}/SimpleNotificationService-a.pem`;
      sns.serve(SigningCertURL, certificate, sns.intermediate);
      expect((await deliver('jobs', sns.notification({ SigningCertURL }, certificate))).status).toBe(200);
    }
  });

  it('that cannot be had now, or a file that is none, costs no message that SNS would send again', async () => {
    for (const [n, failure] of [new Error('connect ECONNREFUSED'), { status: 404, body: Buffer.from('') }].entries()) {
      const SigningCertURL = `${SNS_HOST}/SimpleNotificationService-down${n}.pem`;
      sns.answers.set(SigningCertURL, failure);
      const envelope = sns.notification({ SigningCertURL });
      expect(await deliver('jobs', envelope)).toMatchObject({ status: 503, code: 'SnsUnreachable' });
      // Not asked for again at once.
      await deliver('jobs', envelope);
      expect(sns.asked.filter((url) => url === SigningCertURL)).toHaveLength(1);
    }
    const SigningCertURL = `${SNS_HOST}/SimpleNotificationService-page.pem`;
    sns.answers.set(SigningCertURL, { status: 200, body: Buffer.from('<html>') });
    expect(await deliver('jobs', sns.notification({ SigningCertURL }))).toMatchObject(wrong('holds no certificate'));
  });
});

describe('An address that stands in a message', () => {
  const LOOK_ALIKES = [
    'http://sns.us-east-1.amazonaws.com',
    'https://sns.us-east-1.amazonaws.com.example.com',
    'https://sns.us-east-1.amazonaws.com.',
    'https://sns.us-east-1-amazonaws.com',
    'https://sns.us-east-1.amazonaws.org',
    'https://xsns.us-east-1.amazonaws.com',
    'https://sns.evil.com/sns.us-east-1.amazonaws.com',
    'https://sns.us-east-1.amazonaws.com:8443',
    'https://user@sns.us-east-1.amazonaws.com',
    'https://sns.us-east-1.amazonaws.com@example.com',
    'https://sns.us-east-1.amazonaws.com:x@example.com',
    'https://sns.us-east-1.amazonaws.com\\@example.com',
    'https://example.com#sns.us-east-1.amazonaws.com',
    'https://example.com?sns.us-east-1.amazonaws.com',
    'https://sns.us-east-1.s3.amazonaws.com',
    'https://sns.amazonaws.com',
    'https://my-bucket.s3.amazonaws.com',
    'https://sns.us-еast-1.amazonaws.com',
    'https://127.0.0.1',
    'https://2130706433',
    'https://[::1]',
    'https://[::ffff:127.0.0.1]',
    'https://localhost',
    'ftp://sns.us-east-1.amazonaws.com',
    '//sns.us-east-1.amazonaws.com',
    '',
  ];
  it.each(LOOK_ALIKES)('is never asked for if it is %s', async (base) => {
    const SigningCertURL = `${base}/SimpleNotificationService-0123456789abcdef.pem`;
    expect(await deliver('jobs', sns.notification({ SigningCertURL }))).toMatchObject({ status: 403 });
    const SubscribeURL = `${base}/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=a-token`;
    expect(await deliver('jobs', sns.confirmation({ SubscribeURL }))).toMatchObject({ status: 403 });
    expect(sns.asked.filter((url) => url !== sns.certificateUrl)).toEqual([]);
  });

  it.each([
    '/other.pem',
    '/a/SimpleNotificationService-a.pem',
    '/SimpleNotificationService-a.pem?x=1',
    '/SimpleNotificationService-a.pem#x',
    '/SimpleNotificationService-.pem',
    '/SimpleNotificationService-a.pem/..',
  ])('is no certificate with the path %s', (path) => {
    expect(() => snsUrl(`${SNS_HOST}${path}`, 'SigningCertURL')).toThrow(/SNS/);
  });

  it('confirms only a subscription, and only to the topic that was signed', async () => {
    for (const query of [
      `Action=Unsubscribe&TopicArn=${TOPIC}`,
      `Action=ConfirmSubscription&TopicArn=${TOPIC}2`,
      'Action=ConfirmSubscription',
    ])
      expect(await deliver('jobs', sns.confirmation({ SubscribeURL: `${SNS_HOST}/?${query}` }))).toMatchObject({
        status: 403,
        code: 'NotFromSns',
      });
    expect(sns.asked).toEqual([sns.certificateUrl]);
  });
});

describe('The way to SNS', () => {
  const resolvingTo =
    (...addresses: readonly string[]): LookupFunction =>
    (_name, _options, callback) =>
      callback(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
  const resolve = (lookup: LookupFunction, all: boolean) =>
    new Promise((done) =>
      publicLookup(lookup)('sns.us-east-1.amazonaws.com', { all }, (error, found) => done(error?.message ?? found)),
    );

  it.each([
    '127.0.0.1',
    '10.0.0.1',
    '172.16.5.4',
    '172.31.255.255',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    '::ffff:127.0.0.1',
    'fd00::1',
    'fe80::1',
    'ff02::1',
  ])('does not follow a name to %s, not even beside a public address', async (address) => {
    const refusal = `sns.us-east-1.amazonaws.com resolves to ${address}, which is not a public address`;
    expect(await resolve(resolvingTo(address), true)).toBe(refusal);
    expect(await resolve(resolvingTo('54.239.20.1', address), false)).toBe(refusal);
    const connector = createConnector({ time: systemTime, lookup: resolvingTo(address) });
    await expect(connector.get(new URL(sns.certificateUrl), 1_000)).rejects.toThrow(refusal);
  });

  it('follows a name to public addresses', async () => {
    expect(await resolve(resolvingTo('54.239.20.1'), false)).toBe('54.239.20.1');
    expect(await resolve(resolvingTo('54.239.20.1', '2600:1f00::1'), true)).toHaveLength(2);
    expect(await resolve((_name, _options, callback) => callback(null, []), true)).toMatch(/has no address/);
  });

  /** A server in the place of SNS, by the setting for emulators. */
  async function endpoint(
    answer: Parameters<typeof createServer>[1],
  ): Promise<{ url: string; asked: string[]; hosts: Set<string | undefined> }> {
    const asked: string[] = [];
    const hosts = new Set<string | undefined>();
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      hosts.add(request.headers.host);
      answer?.(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    // Of a server that listens on a port.
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked, hosts };
  }

  it('leads to the endpoint that the operator named, whose certificates are trusted for themselves', async () => {
    const certificate = makeCertificate({ name: 'sns.amazonaws.com' });
    const { url, asked, hosts } = await endpoint((request, response) =>
      response.end(request.url?.endsWith('.pem') === true ? certificate.pem : 'confirmed'),
    );
    karin = await runKarin({ AWS_ENDPOINT_URL_SNS: url });
    await sqsCall(karin.url, 'CreateQueue', { QueueName: 'jobs' });
    expect((await deliver(PINNED, sns.confirmation({}, certificate))).status).toBe(200);
    expect((await deliver(PINNED, sns.notification({}, certificate))).status).toBe(200);
    const own = { SigningCertURL: `${url}/_aws/sns/SimpleNotificationService-a1.pem` };
    expect((await deliver(PINNED, sns.notification(own, certificate))).status).toBe(200);
    expect((await deliver(PINNED, sns.notification({}, makeCertificate({ name: 'x', hasOwnKey: true })))).status).toBe(
      403,
    );
    expect(asked).toEqual([
      '/SimpleNotificationService-0123456789abcdef.pem',
      `/?Action=ConfirmSubscription&TopicArn=${TOPIC}&Token=a-token`,
      '/_aws/sns/SimpleNotificationService-a1.pem',
    ]);
    expect([...hosts]).toEqual(['sns.us-east-1.amazonaws.com', new URL(url).host]);
  });

  it('follows no redirect, and takes no more than it asked for', async () => {
    const { url, asked } = await endpoint((request, response) => {
      if (request.url === '/large') response.end(Buffer.alloc(70_000));
      else response.writeHead(302, { location: '/elsewhere' }).end();
    });
    const connector = createConnector({ time: systemTime, endpoint: new URL(url) });
    expect((await connector.get(new URL(`${SNS_HOST}/moved`), 1_000)).status).toBe(302);
    await expect(connector.get(new URL(`${SNS_HOST}/large`), 65_536)).rejects.toThrow('larger than 65536 bytes');
    expect(asked).toEqual(['/moved', '/large']);
  });

  it('is given up when SNS does not answer in time', async () => {
    const timers: (() => void)[] = [];
    const { url } = await endpoint(() => timers.at(-1)?.());
    const time = {
      after: (_ms: number, run: () => void) => {
        timers.push(run);
        return () => {};
      },
    };
    const connector = createConnector({ time, endpoint: new URL(url) });
    await expect(connector.get(new URL(`${SNS_HOST}/slow`), 1_000)).rejects.toThrow('no answer within 4000 ms');
  });
});

describe('A subscription', () => {
  const metrics = async () => (await fetch(`${karin.url}/metrics`)).text();
  const page = async () => (await fetch(`${karin.url}/ops`)).text();

  it('is confirmed by itself, before its queue is known, logged, and shown', async () => {
    const envelope = sns.confirmation();
    const answer = await deliver(`not-yet?topic=${TOPIC}`, envelope);
    expect(answer).toMatchObject({ status: 200, Confirmed: TOPIC });
    expect(sns.asked).toEqual([sns.certificateUrl, envelope['SubscribeURL']]);
    expect(karin.logged.join('\n')).toContain('a subscription to an SNS topic is confirmed');
    expect(karin.logged.join('\n')).not.toContain('a-token');
    expect(await metrics()).toContain('karin_sns_subscriptions{state="confirmed"} 1\n');
    expect(await page()).toMatch(/not-yet[\s\S]*orders[\s\S]*confirmed/);
  });

  it('waits, visibly, while SNS does not confirm, and SNS is told to ask again', async () => {
    const envelope = sns.confirmation();
    sns.answers.set(String(envelope['SubscribeURL']), { status: 500, body: Buffer.from('') });
    expect(await deliver('jobs', envelope)).toMatchObject({ status: 503, code: 'SnsUnreachable' });
    expect(await metrics()).toContain('karin_sns_subscriptions{state="waiting"} 1\n');
    expect(await page()).toContain('waits for confirmation');
    sns.answers.delete(String(envelope['SubscribeURL']));
    expect((await deliver('jobs', envelope)).status).toBe(200);
    expect(await metrics()).toContain('karin_sns_subscriptions{state="waiting"} 0\n');
  });

  it('that has ended is shown and not taken up again', async () => {
    const envelope = sns.confirmation({ Type: 'UnsubscribeConfirmation' });
    expect(await deliver('jobs', envelope)).toMatchObject({ status: 200, Ended: TOPIC });
    expect(sns.asked).toEqual([sns.certificateUrl]);
    expect(karin.logged.join('\n')).toContain('has ended');
    expect(await page()).toContain('has ended');
    expect(await received()).toEqual([]);
  });

  it('to a topic that the URL does not name is not confirmed', async () => {
    expect(await deliver(`jobs?topic=${TOPIC}-2`, sns.confirmation())).toMatchObject({
      status: 403,
      code: 'WrongTopic',
    });
    expect(sns.asked).toEqual([]);
  });
});

describe('The operator', () => {
  it('sees the topics whose messages came, and refused deliveries with their reason', async () => {
    await deliver('jobs', sns.notification());
    await deliver('jobs', { ...sns.notification(), Message: 'forged' });
    const text = await (await fetch(`${karin.url}/metrics`)).text();
    expect(text).toContain(
      `karin_sent_messages_total{queue="jobs",account="${ACCOUNT}",region="us-east-1",source="sns",name="${TOPIC}"} 1\n`,
    );
    expect(text).toContain('karin_refused_deliveries_total{reason="WrongSignature"} 1\n');
    const page = await (await fetch(`${karin.url}/ops`)).text();
    expect(page).toContain(TOPIC);
    expect(page).toContain('The signature is not one of SNS for this message.');
  });

  it('sees at most two hundred named senders, whatever senders name; the others are counted together', async () => {
    for (let n = 0; n < 210; n += 1) await deliver(`jobs?from=sender-${n}`, 'x');
    const text = await (await fetch(`${karin.url}/metrics`)).text();
    expect(text.match(/name="sender-/g)).toHaveLength(200);
    expect(text).toContain(
      `karin_sent_messages_total{queue="jobs",account="${ACCOUNT}",region="us-east-1",source="ingest"} 10\n`,
    );
  });
});
