import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { SMTPServer } from 'smtp-server';
import { afterEach, describe, expect, it } from 'vitest';
import { type AlertMessage, AlertRefusedError, readAlertTargets } from '../../runtime/ops/alert-targets.ts';
import { systemTime } from '../../runtime/time.ts';
import { runCli } from '../cli/run-cli.ts';
import { runKarin } from '../http/running-karin.ts';
import { ManualTime } from '../support/manual-time.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const MESSAGE: AlertMessage = {
  kind: 'alert',
  at: '2026-01-01T00:00:00.000Z',
  server: 'https://karin.example.com',
  began: [
    { id: 'a', kind: 'failing', urgency: 'now', text: 'it failed: <!channel> & @everyone', link: 'https://x/ops' },
  ],
  resolved: [{ id: 'b', kind: 'stuck', urgency: 'now', text: 'jobs is stuck' }],
  leftOut: 0,
};
const { signal } = new AbortController();

/** An HTTP server that answers with `status` and keeps what it was sent. */
async function receiver(status = 204) {
  const got: { request: IncomingMessage; body: string }[] = [];
  const bodies = new PassThrough({ objectMode: true });
  const server = createServer(async (request, response) => {
    const body = await text(request);
    got.push({ request, body });
    bodies.write(body);
    response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => server.close());
  // A server that listens on a port has an address of this form.
  const { port } = server.address() as AddressInfo;
  const each = bodies[Symbol.asyncIterator]();
  /** The next body, as soon as it has come. */
  const next = async (): Promise<string> => String((await each.next()).value);
  return { got, next, host: `127.0.0.1:${port}` };
}

function only(address: string) {
  const { targets, problems } = readAlertTargets([address], systemTime);
  const [target] = targets;
  if (target === undefined) throw new Error(problems.join());
  return target;
}

describe('a target of alerts', () => {
  it('gets the message as JSON by a web hook, with the login of its address', async () => {
    const { got, host } = await receiver();
    const target = only(`http://me:s3cret@${host}/hook?x=1`);
    await target.send(MESSAGE, signal);
    expect(target.name).toBe('webhook');
    expect(JSON.parse(got[0]?.body ?? '')).toEqual(MESSAGE);
    expect(got[0]?.request.url).toBe('/hook?x=1');
    expect(got[0]?.request.headers.authorization).toBe(`Basic ${btoa('me:s3cret')}`);
  });

  it('of Slack gets text without links and mentions; of Discord one that mentions nobody', async () => {
    const { got, host } = await receiver();
    await only(`slack+http://${host}/`).send(MESSAGE, signal);
    await only(`discord+http://${host}/`).send(MESSAGE, signal);
    const said = [
      'Karin (https://karin.example.com): 1 thing needs you, 1 resolved',
      '- it failed: <!channel> & @everyone',
      '   https://x/ops',
      '- resolved: jobs is stuck',
    ].join('\n');
    expect(JSON.parse(got[0]?.body ?? '')).toEqual({
      text: said.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'),
    });
    expect(JSON.parse(got[1]?.body ?? '')).toEqual({ content: said, allowed_mentions: { parse: [] } });
  });

  it('that answers 4xx or leads elsewhere refused the message; 429 and 5xx may take it later', async () => {
    for (const [status, refused] of [
      [404, true],
      [302, true],
      [429, false],
      [503, false],
    ] as const) {
      const { host } = await receiver(status);
      const failure = await only(`http://${host}/s3cret`)
        .send(MESSAGE, signal)
        .catch((error: unknown) => error);
      expect(failure instanceof AlertRefusedError).toBe(refused);
      expect(failure).toMatchObject({ message: `it answered HTTP ${status}` });
    }
  });

  it('gets mail with what it is about in the subject', async () => {
    const mails: { to: string[]; data: string; user: unknown }[] = [];
    const server = new SMTPServer({
      disabledCommands: ['STARTTLS'],
      allowInsecureAuth: true,
      onAuth: ({ username, password }, _session, done) =>
        password === 'p@ss' ? done(null, { user: username }) : done(new Error('no')),
      onData: (stream, { envelope, user }, done) => {
        text(stream).then((data) => {
          mails.push({ to: envelope.rcptTo.map(({ address }) => address), data, user });
          done();
        }, done);
      },
    });
    // It reports a refused login as an error of its own.
    server.on('error', () => {});
    const listening = server.listen(0, '127.0.0.1');
    await once(listening, 'listening');
    closing.push(() => server.close());
    const { port } = listening.address() as AddressInfo;
    const query = 'from=karin@example.com&to=ann@example.com&to=bob@example.com';
    await only(`smtp://karin:p%40ss@127.0.0.1:${port}?${query}`).send(MESSAGE, signal);
    expect(mails).toHaveLength(1);
    expect(mails[0]?.to).toEqual(['ann@example.com', 'bob@example.com']);
    expect(mails[0]?.user).toBe('karin');
    expect(mails[0]?.data).toContain('Subject: Karin (https://karin.example.com): 1 thing needs you, 1 resolved');
    expect(mails[0]?.data).toContain('resolved: jobs is stuck');
    const wrong = only(`smtp://karin:wr0ng@127.0.0.1:${port}?${query}`).send(MESSAGE, signal);
    await expect(wrong).rejects.toEqual(new AlertRefusedError('the mail server answered 535'));
  });

  it('is told by karin alert test, which says who took it and never where he is', async () => {
    const [good, bad] = [await receiver(), await receiver(403)];
    const { status, out, err } = await runCli(['alert', 'test'], {
      KARIN_ALERTS: `team=http://${good.host}/s3cret slack+http://${bad.host}/s3cret`,
    });
    expect(out).toBe('team  sent\nslack  not sent: it answered HTTP 403\n');
    expect(err).toBe('');
    expect(status).toBe(1);
    expect(JSON.parse(good.got[0]?.body ?? '')).toMatchObject({ kind: 'test' });
  });
});

describe('a server with KARIN_ALERTS', () => {
  it('tells of the first dead letter of a queue, and that it is gone', async () => {
    const { host, next } = await receiver();
    const time = new ManualTime();
    const source = new ScriptedSource();
    source.found = discoveryOf([], { queues: [queueOf('orders', 'dead'), queueOf('dead')] });
    const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_ALERTS: `http://${host}/` };
    const karin = await runKarin(env, { source, time });
    const dead = karin.directory.byKey(keyOf('dead'));
    await dead?.send([{ id: crypto.randomUUID(), body: 'a secret', attributes: {}, senderId: 'test' }]);
    await time.advanceAsync(120_000);
    const told = await next();
    expect(told).toContain('1 dead letter of orders in dead, the first for');
    expect(told).not.toContain('a secret');
    await dead?.purge();
    await time.advanceAsync(180_000);
    expect(JSON.parse(await next())).toMatchObject({ began: [], resolved: [{ kind: 'dead-letters' }] });
  });

  it('does not start with a target that it cannot read', async () => {
    await expect(runKarin({ KARIN_ALERTS: 'http://example.com/s3cret' })).rejects.toThrow('must be https');
  });
});

describe('KARIN_ALERTS', () => {
  const problems = (...texts: string[]) => readAlertTargets(texts, systemTime).problems;

  it('knows Slack and Discord by their hosts, and names targets by kind or as it is told', () => {
    const { targets } = readAlertTargets(
      [
        'https://hooks.slack.com/services/T/B/x',
        'https://discord.com/api/webhooks/1/x',
        'ops=https://example.com/?a=b',
        'smtps://mail.example.com?from=a@example.com&to=b@example.com',
        'arn:aws:sns:eu-west-1:111122223333:alerts',
      ],
      systemTime,
    );
    expect(targets.map(({ name }) => name)).toEqual(['slack', 'discord', 'ops', 'mail', 'sns']);
  });

  it('takes http on this machine alone, and shows no address in what it says', () => {
    for (const address of [
      'http://example.com/s3cret',
      'http://169.254.169.254/s3cret',
      'ftp://example.com/s3cret',
      'https://a:%zz@example.com/s3cret',
      'smtp://u:s3cret@mail.example.com',
      'arn:aws:sqs:eu-west-1:111122223333:s3cret',
      's3cret',
    ]) {
      expect(problems(address)).toHaveLength(1);
      expect(problems(address).join()).not.toContain('s3cret');
    }
  });

  it('refuses two targets of one name, and one that is named off', () => {
    expect(problems('https://a.example.com', 'https://b.example.com')).toEqual([
      'KARIN_ALERTS: target 2 is named webhook, as another one is',
    ]);
    expect(problems('off=https://a.example.com')).toEqual([
      'KARIN_ALERTS: target 1 is named off, which as a tag means no alerts; give it another name',
    ]);
  });
});
