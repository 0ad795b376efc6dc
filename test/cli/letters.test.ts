import { describe, expect, it } from 'vitest';
import type { Queue } from '../../runtime/queue/queue.ts';
import { type RunningKarin, runKarin } from '../http/running-karin.ts';
import { discoveryOf, keyOf, queueOf, ScriptedSource } from '../sync/discoveries.ts';
import { runCli } from './run-cli.ts';

const PASSWORD = 'correct horse battery';
const TOKEN = 'token-of-the-orders-team-0123456789';
const ENV = {
  KARIN_ADMIN_PASSWORD: PASSWORD,
  KARIN_TOKENS: `${TOKEN}:manage:orders*|dead*`,
  AWS_REGION: 'eu-west-1',
  KARIN_ACCOUNT_ID: '111122223333',
};

/** `orders` has `dead` as its dead-letter queue; `mails` has nothing to do with it. */
async function scene() {
  const source = new ScriptedSource();
  const queues = [queueOf('orders', 'dead'), queueOf('mails', 'dead'), queueOf('dead'), queueOf('orders-again')];
  source.found = discoveryOf([], { queues });
  const karin = await runKarin(ENV, { source });
  const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
  return { karin, run: (...args: readonly string[]) => runCli(args, env) };
}

function queueIn(karin: RunningKarin, name: string): Queue {
  const queue = karin.directory.byKey(keyOf(name));
  if (queue === undefined) throw new Error(`there is no queue ${name}`);
  return queue;
}

async function send(queue: Queue, bodies: readonly string[], delayMs?: number): Promise<readonly string[]> {
  const messages = bodies.map((body) => ({
    ...{ id: crypto.randomUUID(), body, attributes: {}, senderId: 'test' },
    ...(delayMs === undefined ? {} : { delayMs }),
  }));
  await queue.send(messages);
  return messages.map(({ id }) => id);
}

/** Messages of a queue that failed with these errors, each as `type: message`. */
async function failed(queue: Queue, ...errors: readonly string[]): Promise<readonly string[]> {
  const ids = await send(queue, errors);
  const received = await queue.receive({ maxMessages: ids.length, visibilityTimeoutMs: 0 });
  await queue.keepFailures(
    new Map(
      received.map(({ id, body }) => {
        const [errorType = '', message = ''] = body.split(': ');
        const functionArn = 'arn:aws:lambda:eu-west-1:111122223333:function:on-orders';
        return [id, { errorType, message, functionArn, durationMs: 3, attempt: 1 }];
      }),
    ),
  );
  return ids;
}

const bodies = async (queue: Queue): Promise<readonly string[]> =>
  (await queue.browse(100)).map(({ message }) => message?.body ?? '').sort();

describe('the commands about dead letters', () => {
  it('tell why they failed, those of one error together', async () => {
    const { karin, run } = await scene();
    expect((await run('errors', 'dead')).out).toBe('the queue is empty\n');
    const red = '\u001b[31mred';
    const texts = [`TypeError: order 1 is ${red}`, 'Timeout: no answer', `TypeError: order 2 is ${red}`];
    await failed(queueIn(karin, 'dead'), ...texts);
    const lines = (await run('errors', 'dead')).out.split('\n');
    expect(lines[0]).toMatch(/^messages {2}id {10}last, UTC {12}function {3}error$/);
    expect(lines[1]).toMatch(/^2 {9}[0-9a-f]{10} {2}\S{19} {2}on-orders {2}TypeError: order <n> is \?\[<n>mred$/);
    expect(lines[2]).toMatch(/^1 .* Timeout: no answer$/);
    const json = JSON.parse((await run('errors', 'dead', '--json')).out);
    expect(json).toMatchObject({ looked: 3, more: false, errors: [{ type: 'TypeError', count: 2 }, { count: 1 }] });
  });

  it('redrive those of one error to another queue, and wait until it is over', async () => {
    const { karin, run } = await scene();
    const dead = queueIn(karin, 'dead');
    await failed(dead, 'TypeError: order 1', 'TypeError: order 2', 'Timeout: no answer');
    const { errors } = JSON.parse((await run('errors', 'dead', '--json')).out);
    const args = ['redrive', 'dead', '--to', 'orders-again', '--error', errors[0].id];
    await expect(run(...args)).rejects.toThrow(
      `Move the messages of error ${errors[0].id} of dead to orders-again? Say so with --yes.`,
    );
    expect(await run(...args, '--yes', '--wait')).toMatchObject({ status: 0, out: expect.stringContaining('2 of 2') });
    expect(await bodies(queueIn(karin, 'orders-again'))).toEqual(['TypeError: order 1', 'TypeError: order 2']);
    expect(await bodies(dead)).toEqual(['Timeout: no answer']);
    await expect(run(...args, '--yes')).rejects.toThrow('No message of this error is in the queue any more.');
    expect(karin.logged.some((line) => line.includes('"what":"redrive"') && line.includes(errors[0].id))).toBe(true);
  });

  it('redrive at a speed, and end that', async () => {
    const { karin, run } = await scene();
    await send(
      queueIn(karin, 'dead'),
      Array.from({ length: 60 }, (_, at) => String(at)),
    );
    await expect(run('redrive', 'dead', '--cancel')).rejects.toThrow('No redrive of this queue is running.');
    const begun = await run('redrive', 'dead', '--to', 'orders', '--speed', '1', '--yes');
    expect(begun.out).toBe('dead: the redrive of 60 messages has begun\n');
    await expect(run('redrive', 'dead', '--yes')).rejects.toThrow('There is already a task running.');
    await expect(run('redrive', 'dead', '--cancel', '--speed', '2')).rejects.toThrow('it takes no --to, --speed');
    expect((await run('redrive', 'dead', '--cancel')).out).toBe('dead: the redrive is cancelled\n');
  });

  it('say with status 1 that a redrive failed, and why', async () => {
    const { karin, run } = await scene();
    await send(queueIn(karin, 'dead'), ['sent directly']);
    const { status, out } = await run('redrive', 'dead', '--yes', '--wait');
    expect({ status, out }).toEqual({
      status: 1,
      out: expect.stringContaining(
        'failed: 0 of 1 moved (CouldNotDetermineMessageSource: a message was sent to this queue directly, so it came from no other; --to <queue> says where it goes)',
      ),
    });
  });

  it('refuse what they cannot read instead of doing it to all messages', async () => {
    const { karin, run } = await scene();
    await send(queueIn(karin, 'dead'), ['stays']);
    await expect(run('redrive', 'dead', '--yes', '--speed', '501')).rejects.toThrow('1 to 500 messages a second');
    await expect(run('redrive', 'dead', '--yes', '--error', 'TypeError')).rejects.toThrow('id of a group of errors');
    await expect(run('redrive', 'dead', '--yes', '--to', 'ordres')).rejects.toThrow('did you mean orders');
    for (const body of ['{"eror":"none"}', '{"messages":[]}', '{"messages":["x"]}', '[]', 'null', '{"speed":', '"x"']) {
      const answer = await fetch(`${karin.url}/api/v1/queues/dead/redrive`, {
        ...{ method: 'POST', body, headers: { authorization: `Bearer ${PASSWORD}` } },
      });
      expect(answer.status, body).toBe(400);
    }
    expect(await bodies(queueIn(karin, 'dead'))).toEqual(['stays']);
  });

  it('delete messages by their ids, but none that somebody has received', async () => {
    const { karin, run } = await scene();
    const dead = queueIn(karin, 'dead');
    await send(dead, ['taken']);
    const [taken] = await dead.receive({ maxMessages: 1, visibilityTimeoutMs: 60_000 });
    const [gone = '', kept = ''] = await send(dead, ['gone', 'kept']);
    const absent = crypto.randomUUID();
    await expect(run('delete', 'dead', gone)).rejects.toThrow('Delete this message of dead?');
    const { status, out } = await run('delete', 'dead', gone.toUpperCase(), taken?.id ?? '', absent, '--yes');
    expect({ status, out }).toEqual({
      status: 1,
      out: [
        `${gone}: deleted`,
        `${taken?.id}: in flight: somebody has received it, so nothing was done`,
        `${absent}: not in this queue\n`,
      ].join('\n'),
    });
    expect((await dead.browse(10)).map(({ id }) => id).sort()).toEqual([kept, taken?.id ?? ''].sort());
    await expect(run('delete', 'dead', 'x', '--yes')).rejects.toThrow('messages must be selected, by their ids');
  });
});

describe('the commands about scheduled messages', () => {
  it('list them by due time, and cancel or run some of them', async () => {
    const { karin, run } = await scene();
    const orders = queueIn(karin, 'orders');
    expect((await run('scheduled', 'orders')).out).toBe('nothing is scheduled\n');
    const [late = ''] = await send(orders, ['late'], 600_000);
    const [soon = '', other = ''] = await send(orders, ['soon', 'other'], 300_000);
    const [now = ''] = await send(orders, ['now']);
    const { out } = await run('scheduled', 'orders');
    expect(out.split('\n').filter((line) => /^[0-9a-f]/.test(line))).toHaveLength(3);
    expect(out).toMatch(new RegExp(`${late} {2}due \\S+Z, in (?:9|10) min\\n {2}late\\n$`));
    expect(JSON.parse((await run('scheduled', 'orders', '--json')).out)).toMatchObject({ total: 3, page: 1 });
    expect((await run('scheduled', 'orders', '--page', '2')).out).toContain('there is nothing on this page\n');

    expect(await run('run-now', 'orders', soon)).toMatchObject({ status: 0, out: `${soon}: due now\n` });
    expect(await run('cancel', 'orders', late, now)).toMatchObject({
      status: 1,
      out: `${late}: cancelled\n${now}: due already, so nothing was done; karin delete deletes it\n`,
    });
    expect(await orders.depth()).toEqual({ visible: 2, delayed: 1, inFlight: 0 });
    const { messages } = JSON.parse((await run('cancel', 'orders', other, '--json')).out);
    expect(messages).toEqual([{ id: other, outcome: 'done' }]);
    await expect(run('cancel', 'order', other)).rejects.toMatchObject({ status: 3 });
  });
});

describe('a credential for some queues', () => {
  it('redrives to those only, and hears of no redrive to another', async () => {
    const { karin } = await scene();
    const dead = queueIn(karin, 'dead');
    await send(
      dead,
      Array.from({ length: 60 }, (_, at) => String(at)),
    );
    const call = async (method: string, path: string, body?: unknown) => {
      const answer = await fetch(`${karin.url}/api/v1/queues/dead/${path}`, {
        ...{ method, headers: { authorization: `Bearer ${TOKEN}` } },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: answer.status, json: (await answer.json()) as unknown };
    };
    expect(await call('POST', 'redrive', { to: 'mails' })).toMatchObject({
      status: 404,
      json: { error: expect.stringContaining('there is no queue mails') },
    });
    const env = { KARIN_URL: karin.url, KARIN_ADMIN_PASSWORD: PASSWORD };
    await runCli(['redrive', 'dead', '--to', 'mails', '--speed', '1', '--yes'], env);
    expect(await call('GET', 'redrives')).toEqual({ status: 200, json: { redrives: [] } });
    expect((await call('POST', 'cancel-redrive')).status).toBe(409);
    await runCli(['redrive', 'dead', '--cancel'], env);
  });

  it('gives no message back to a queue that it does not reach', async () => {
    const { karin } = await scene();
    const [mails, dead] = [queueIn(karin, 'mails'), queueIn(karin, 'dead')];
    await send(mails, ['of mails']);
    // Received more often than the queue allows, it goes to the dead-letter queue.
    for (let count = 0; count < 5; count += 1) await mails.receive({ maxMessages: 1, visibilityTimeoutMs: 0 });
    expect(await bodies(dead)).toEqual(['of mails']);
    const env = { KARIN_URL: karin.url, KARIN_TOKEN: TOKEN };
    const { status } = await runCli(['redrive', 'dead', '--yes', '--wait'], env);
    expect(status).toBe(1);
    expect(await bodies(dead)).toEqual(['of mails']);
    expect((await mails.depth()).visible).toBe(0);
  });
});
