import { describe, expect, it } from 'vitest';
import type { OutgoingMessage } from '../../runtime/queue/message.ts';
import type { Queue } from '../../runtime/queue/queue.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, mappingOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { browser } from './page-visitor.ts';

const OPERATORS = 'bob:operate:bob-has-a-password; eve:look:eve-has-a-password';
const FAILURE = {
  errorType: 'TypeError',
  message: 'x is not a function',
  functionArn: mappingOf('jobs').functionArn,
  durationMs: 12,
  attempt: 1,
};

function message(body: string, overrides: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: crypto.randomUUID(), body, attributes: {}, senderId: 'AIDATEST', ...overrides };
}

async function serve() {
  const source = new ScriptedSource();
  source.found = discoveryOf([], { queues: ['jobs', 'mails', 'dead', 'a.fifo'].map((name) => queueOf(name)) });
  const env = { AWS_REGION: 'eu-west-1', KARIN_ACCOUNT_ID: '111122223333', KARIN_OPERATORS: OPERATORS };
  const karin = await runKarin(env, { source });
  const bob = browser(karin.url);
  await bob.logIn('bob');
  const queue = (name: string): Queue => {
    const found = karin.directory.byKey(keyOf(name));
    if (found === undefined) throw new Error(`there is no queue ${name}`);
    return found;
  };
  return { karin, bob, queue };
}

function hrefOf(queue: string, id: string): string {
  return `/ops/queues/${encodeURIComponent(keyOf(queue))}/messages/${id}`;
}

/** What was done, by the audit trail in the log. */
function audited(karin: RunningKarin): readonly (readonly unknown[])[] {
  const lines = karin.logged.map((line): Record<string, unknown> => JSON.parse(line));
  return lines.filter(({ msg }) => msg === 'audit').map(({ what, who, message: id }) => [what, who, id]);
}

/** The text between the tags of the element with this id. */
function textOf(page: string, id: string): string {
  const inner = new RegExp(`id="${id}"[^>]*>(.*?)</(?:pre|table|dl|ul|p|div)>`, 's').exec(page)?.[1] ?? '';
  return inner
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll('&quot;', '"')
    .trim();
}

describe('the page of a message', () => {
  it('shows the body as it was sent and as JSON, with its attributes, its failure and its history', async () => {
    const { bob, queue } = await serve();
    const attributes = {
      tenant: { dataType: 'String', stringValue: 'acme' },
      picture: { dataType: 'Binary', binaryValue: Buffer.from([0, 255, 65]) },
    };
    const sent = message('{"order":12345678901234567890,"lines":[],"of":[{"a":1}]}', { attributes });
    await queue('jobs').send([sent]);
    await queue('jobs').receive({ maxMessages: 1, visibilityTimeoutMs: 60_000 });
    await queue('jobs').keepFailures(new Map([[sent.id, FAILURE]]));
    const page = await bob.page(hrefOf('jobs', sent.id));
    // The number has more digits than JavaScript keeps.
    expect(textOf(page, 'formatted')).toBe(
      '{\n  "order": 12345678901234567890,\n  "lines": [],\n  "of": [\n    {\n      "a": 1\n    }\n  ]\n}',
    );
    expect(textOf(page, 'raw')).toBe(sent.body);
    expect(textOf(page, 'state')).toContain('Its last delivery failed');
    for (const text of ['acme', 'AP9B', '00 ff 41', 'TypeError: x is not a function', 'AIDATEST']) {
      expect(page).toContain(text);
    }
    const history = textOf(page, 'message-history');
    for (const text of ['sent', 'received for the first time', 'delivery 1 failed: TypeError']) {
      expect(history).toContain(text);
    }
    expect(page).toContain('are not known here');
  });

  it('gives the body as a file, as it was sent', async () => {
    const { bob, queue } = await serve();
    const [json, text] = [message('{"a": "\u202e<script>"}\n'), message('no JSON')];
    await queue('jobs').send([json, text]);
    const answer = await bob.request(`${hrefOf('jobs', json.id)}/body`);
    expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${json.id}.json"`);
    expect(answer.headers.get('content-type')).toBe('application/octet-stream');
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await answer.text()).toBe(json.body);
    const other = await bob.request(`${hrefOf('jobs', text.id)}/body`);
    expect(other.headers.get('content-disposition')).toContain('.txt');
  });

  it('shows what base64 stands for, and the bytes of what cannot be seen', async () => {
    const { bob, queue } = await serve();
    const encoded = message(Buffer.from('{"inside":"the base64"}').toString('base64'));
    const unseen = message('a\u200eb');
    await queue('jobs').send([encoded, unseen]);
    expect(await bob.page(hrefOf('jobs', encoded.id))).toContain('the base64');
    expect(await bob.page(hrefOf('jobs', unseen.id))).toContain('61 e2 80 8e 62');
  });

  it('says that a message is not there, without guessing what became of it', async () => {
    const { bob } = await serve();
    const answer = await bob.request(hrefOf('jobs', crypto.randomUUID()));
    expect(answer.status).toBe(404);
    expect(await answer.text()).toContain('It is not in this queue.');
    expect((await bob.request(hrefOf('jobs', 'no-id'))).status).toBe(404);
    expect((await bob.request(hrefOf('nowhere', crypto.randomUUID()))).status).toBe(404);
  });

  it('is linked from the list of messages, which reads half a mebibyte and says what it leaves out', async () => {
    const { bob, queue } = await serve();
    const sent = Array.from({ length: 4 }, () => message('x'.repeat(200_000)));
    await queue('jobs').send(sent);
    const page = await bob.page(`/ops/queues/${encodeURIComponent(keyOf('jobs'))}?messages=1`);
    const linked = sent.filter(({ id }) => page.includes(`href="${hrefOf('jobs', id)}"`));
    expect(linked).toHaveLength(2);
    expect(textOf(page, 'left-out').replaceAll(/\s+/g, ' ')).toBe(
      '2 more are not shown: a look reads 20 messages, and no more than 512.0 KiB of them.',
    );
  });
});

describe('the buttons of a message', () => {
  it('make a delayed one due, and leave alone one that somebody has received', async () => {
    const { karin, bob, queue } = await serve();
    const [late, taken] = [message('late', { delayMs: 800_000 }), message('taken')];
    await queue('jobs').send([taken, late]);
    await queue('jobs').receive({ maxMessages: 1 });
    expect(await bob.page(hrefOf('jobs', late.id))).toContain('Run now');
    const answer = await bob.press(`${hrefOf('jobs', late.id)}/retry`);
    expect(answer.headers.get('location')).toBe(hrefOf('jobs', late.id));
    expect(await bob.page(hrefOf('jobs', late.id))).toContain('The message is due now.');
    expect(await queue('jobs').depth()).toEqual({ visible: 1, delayed: 0, inFlight: 1 });
    for (const doing of ['retry', 'delete']) {
      const refused = await bob.press(`${hrefOf('jobs', taken.id)}/${doing}`);
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain('Nothing was done: the message was received');
    }
    expect(audited(karin).filter(([what]) => what !== 'log-in')).toEqual([['retry-message', 'bob', late.id]]);
  });

  it('delete and move a message after a question, also without a script', async () => {
    const { karin, bob, queue } = await serve();
    const [first, second] = [message('first'), message('second')];
    await queue('jobs').send([first, second]);
    const asked = await (await bob.press(`${hrefOf('jobs', first.id)}/move`, { confirmed: '', to: 'mails' })).text();
    expect(asked).toContain('Move this message to the other queue?');
    expect(asked).toContain('name="to" value="mails"');
    expect(await queue('jobs').depth()).toMatchObject({ visible: 2 });
    const moved = await bob.press(`${hrefOf('jobs', first.id)}/move`, { to: 'mails' });
    const there = moved.headers.get('location') ?? '';
    expect(there).toContain(encodeURIComponent(keyOf('mails')));
    expect(await bob.page(there)).toContain('The message was moved. Here it is a new one.');
    expect(textOf(await bob.page(there), 'raw')).toBe('first');
    const question = await (await bob.press(`${hrefOf('jobs', second.id)}/delete`, { confirmed: '' })).text();
    expect(question).toContain('Delete this message?');
    await bob.press(`${hrefOf('jobs', second.id)}/delete`);
    expect(await queue('jobs').depth()).toEqual({ visible: 0, delayed: 0, inFlight: 0 });
    expect(audited(karin).slice(1)).toEqual([
      ['move-message', 'bob', first.id],
      ['delete-message', 'bob', second.id],
    ]);
  });

  it('move a message to no queue that is not there, is the same, or of the other type', async () => {
    const { bob, queue } = await serve();
    const sent = message('stays');
    await queue('jobs').send([sent]);
    for (const to of ['', 'nowhere', 'jobs', 'a.fifo', keyOf('jobs')]) {
      const answer = await bob.press(`${hrefOf('jobs', sent.id)}/move`, { to });
      expect(answer.status, to).toBe(400);
      expect(await answer.text(), to).toContain('Nothing was done');
    }
    expect(await queue('jobs').depth()).toMatchObject({ visible: 1 });
  });

  it('send a message again with another body, its attributes and line ends kept, in the place of the old one', async () => {
    const { bob, queue } = await serve();
    const attributes = {
      tenant: { dataType: 'String', stringValue: 'acme' },
      picture: { dataType: 'Binary.png', binaryValue: Uint8Array.of(1, 2) },
    };
    const sent = message('{\n"broken": 1', { attributes, deadLetterSourceArn: 'arn:aws:sqs:x:1:jobs' });
    await queue('dead').send([sent]);
    expect(await bob.page(hrefOf('dead', sent.id))).toContain(
      'name="to" list="targets-again" required="" value="jobs"',
    );
    const form = { to: 'jobs', body: '{\r\n"mended": 1}', replace: 'yes' };
    const answer = await bob.press(`${hrefOf('dead', sent.id)}/again`, form);
    expect(answer.headers.get('location')).toContain(encodeURIComponent(keyOf('jobs')));
    expect(await queue('dead').depth()).toMatchObject({ visible: 0 });
    const [again] = await queue('jobs').receive({ maxMessages: 1 });
    expect(again).toMatchObject({ body: '{\n"mended": 1}', attributes });
    expect(again?.id).not.toBe(sent.id);
  });

  it('keep what was typed when the send is refused, and say what a part of it could not do', async () => {
    const { bob, queue } = await serve();
    const sent = message('taken');
    await queue('jobs').send([sent]);
    const refused = await bob.press(`${hrefOf('jobs', sent.id)}/again`, { to: 'nowhere', body: 'typed by bob' });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('typed by bob');
    await queue('jobs').receive({ maxMessages: 1 });
    const half = await bob.press(`${hrefOf('jobs', sent.id)}/again`, { to: 'mails', body: 'x', replace: 'yes' });
    expect(await half.text()).toContain('It was sent, and the old message is still there');
    expect(await queue('mails').depth()).toMatchObject({ visible: 1 });
  });

  it('keep the order of a FIFO group, and say so', async () => {
    const { bob, queue } = await serve();
    const sent = ['one', 'two'].map((body) => message(body, { groupId: 'g', deduplicationId: body }));
    await queue('a.fifo').send(sent);
    await queue('a.fifo').receive({ maxMessages: 1 });
    const second = sent[1]?.id ?? '';
    const answer = await bob.press(`${hrefOf('a.fifo', second)}/retry`, {});
    expect(await answer.text()).toContain('a message before it in its group must go first');
  });

  it('are not there for who may only look', async () => {
    const { karin, queue } = await serve();
    const sent = message('seen');
    await queue('jobs').send([sent]);
    const eve = browser(karin.url);
    await eve.logIn('eve');
    const page = await eve.page(hrefOf('jobs', sent.id));
    expect(textOf(page, 'raw')).toBe('seen');
    expect([...page.matchAll(/action="[^"]*\/(\w+)"/g)].map(([, action]) => action)).toEqual(['logout']);
    expect((await eve.press(`${hrefOf('jobs', sent.id)}/delete`)).status).toBe(403);
  });
});

describe('the search for messages', () => {
  it('leads from the search box of the overview to the message of an id, in whatever queue it is', async () => {
    const { bob, queue } = await serve();
    const sent = message('found', { groupId: 'g', deduplicationId: 'd' });
    await queue('a.fifo').send([sent]);
    const first = await bob.request(`/ops?q=${sent.id.toUpperCase()}`);
    const second = await bob.request(first.headers.get('location') ?? '');
    expect(second.headers.get('location')).toMatch(new RegExp(`^${hrefOf('a.fifo', sent.id)}\\?seq=\\d{20}$`));
    expect(textOf(await bob.page(second.headers.get('location') ?? ''), 'raw')).toBe('found');
    expect(await bob.page(`/ops/search?q=${crypto.randomUUID()}`)).toContain('No queue holds a message of this id');
  });

  it('says what it will read before it reads, and then what it read', async () => {
    const { bob, queue } = await serve();
    await queue('jobs').send([message('the needle'), message('hay')]);
    await queue('mails').send([message('also a NEEDLE'), message('more hay')]);
    const announced = textOf(await bob.page('/ops/search?q=needle'), 'announcement');
    expect(announced).toContain('2 queues hold about 4');
    expect(announced).toContain('2,000 messages or 4.0 MiB');
    expect(announced).not.toContain('the needle');
    const page = await bob.page('/ops/search?q=needle&from=start');
    expect(textOf(page, 'read')).toContain('2 hits');
    expect(textOf(page, 'read')).toContain('That was all.');
    expect(page).toContain('also a NEEDLE');
    const one = await bob.page(`/ops/search?q=needle&from=start&queue=${encodeURIComponent(keyOf('jobs'))}`);
    expect(textOf(one, 'read')).toContain('1 hit');
  });

  it('goes on by a button where a step ends, until all was read', async () => {
    const { bob, queue } = await serve();
    for (let at = 0; at < 5; at += 1) {
      await queue('jobs').send(Array.from({ length: 500 }, () => message('hay')));
    }
    await queue('mails').send([message('a needle')]);
    let path: string | undefined = '/ops/search?q=needle&from=start';
    const pages: string[] = [];
    while (path !== undefined && pages.length < 5) {
      const page: string = await bob.page(path);
      pages.push(page);
      const [, from] = /name="from" value="([^"]+)"/.exec(page) ?? [];
      const [, read] = /name="read" value="([^"]+)"/.exec(page) ?? [];
      path =
        from === undefined ? undefined : `/ops/search?${new URLSearchParams({ q: 'needle', from, read: read ?? '' })}`;
    }
    expect(pages).toHaveLength(2);
    expect(textOf(pages[0] ?? '', 'read')).toContain('No hit in 2,000 messages');
    expect(textOf(pages[1] ?? '', 'read')).toContain('1 hit in 501 messages');
    expect(textOf(pages[1] ?? '', 'read')).toContain('2,501 were read in all');
  });
});
