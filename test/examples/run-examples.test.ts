/**
 * Every example that runs under `karin dev`, as its README tells it. The clock is moved ahead where the README waits.
 */
import { createHmac } from 'node:crypto';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, it } from 'vitest';
import { type Dev, startDev } from '../../runtime/cli/dev.ts';
import type { ConsumerEvent } from '../../runtime/consumer/events.ts';
import { ForwardTime } from '../support/forward-time.ts';

/** Synthesizing an app takes its time where several suites share two cores. */
const PATIENCE_MS = 120_000;

/** What `karin dev` itself says at the end of an Invoke, beside what the function printed. */
const REPORT = /^(?:\d+ messages? of \S+, )?\d+ ms: |\(\d+ messages? of \S+, \d+ ms\)$|^ {2}/;

/** An event of the consumer, whatever its kind. */
interface Seen {
  readonly kind: ConsumerEvent['kind'];
  readonly messageIds?: readonly string[];
  readonly failedIds?: readonly string[];
  readonly receiveCounts?: readonly number[];
}

interface Running {
  readonly time: ForwardTime;
  /** Everything that was printed so far. */
  said(): readonly string[];
  /** What the functions printed, without the names before it. */
  printed(): readonly string[];
  /** Resolves when the functions have printed a line that matches. */
  prints(pattern: RegExp): Promise<void>;
  /** Resolves with the first event, past or to come, that matches; `all`: every event so far. */
  happens(matches: (event: Seen, all: readonly Seen[]) => boolean): Promise<Seen>;
  send(
    queue: string,
    body: string,
    options?: { readonly delaySeconds?: number; readonly group?: string },
  ): Promise<void>;
}

describe('an example under karin dev', { timeout: PATIENCE_MS }, () => {
  const endings: (() => Promise<unknown> | undefined)[] = [];
  afterEach(async () => {
    for (const end of endings.splice(0).reverse()) await end();
  });

  async function run(example: string): Promise<Running> {
    const time = new ForwardTime();
    const lines: string[] = [];
    const events: Seen[] = [];
    const watchers = new Set<() => void>();
    const changed = (): void => {
      for (const watcher of watchers) watcher();
    };
    const { PATH = '', HOME = '' } = process.env;
    const dev: Dev = await startDev({
      project: `examples/${example}`,
      port: 0,
      watch: false,
      environment: { PATH, HOME },
      time,
      write: (text) => {
        lines.push(...text.split('\n').slice(0, -1));
        changed();
      },
    });
    endings.push(() => dev.stop());
    dev.karin.events.subscribe((event) => {
      events.push(event);
      changed();
    });
    const until = <T>(look: () => T | undefined): Promise<T> =>
      new Promise((resolve) => {
        const watcher = (): void => {
          const found = look();
          if (found === undefined) return;
          watchers.delete(watcher);
          resolve(found);
        };
        watchers.add(watcher);
        watcher();
      });
    const sqs = new SQSClient({
      endpoint: dev.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    });
    endings.push(async () => sqs.destroy());
    const printed = (): readonly string[] =>
      lines
        .flatMap((line) => (/^\[[\w-]+\] /.test(line) ? [line.replace(/^\[[\w-]+\] /, '')] : []))
        .filter((line) => !REPORT.test(line));
    return {
      time,
      said: () => lines,
      printed,
      prints: async (pattern) => {
        await until(() => printed().find((line) => pattern.test(line)));
      },
      happens: (matches) => until(() => events.find((event) => matches(event, events))),
      send: async (queue, body, { delaySeconds, group } = {}) => {
        await sqs.send(
          new SendMessageCommand({
            QueueUrl: `${dev.url}/000000000000/${queue}`,
            MessageBody: body,
            ...(delaySeconds !== undefined && { DelaySeconds: delaySeconds }),
            ...(group !== undefined && { MessageGroupId: group }),
          }),
        );
      },
    };
  }

  /** Batches of which something was reported as failed. */
  const failuresIn = (all: readonly Seen[]): number => all.filter(({ failedIds = [] }) => failedIds.length > 0).length;
  const takenIn = (all: readonly Seen[]): number =>
    all.reduce((sum, { kind, messageIds = [] }) => (kind === 'leased' ? sum + messageIds.length : sum), 0);

  it('hello: hello after 5 seconds and world after 10; what fails five times is kept as a dead letter', async () => {
    const { send, happens, time, prints, printed, said } = await run('hello');
    const call = said().find((line) => line.includes('curl ')) ?? '';
    const answer = await fetch(call.replace(/.*curl /, ''));
    expect(answer.status).toBe(202);
    time.skip(5_000);
    await prints(/^hello \(after \S+ s, delivery 1\)$/);
    time.skip(5_000);
    await prints(/^world \(after \S+ s, delivery 1\)$/);
    expect(printed()).toHaveLength(2);

    await send('Jobs', 'fail');
    const deliveries = () => printed().filter((line) => line.startsWith('fail ')).length;
    for (let delivery = 1; delivery <= 5; delivery++) {
      await happens((_, all) => failuresIn(all) === delivery);
      time.skip(60_000);
    }
    const moved = await happens(({ kind }) => kind === 'dead-lettered');
    expect(moved).toMatchObject({ target: expect.stringContaining('DeadLetters') });
    expect(deliveries()).toBe(5);
  });

  it('fifo-orders: a failed step holds back its own order alone, and a broken one only for three deliveries', async () => {
    const { send, prints, printed, time, happens } = await run('fifo-orders');
    const step = (group: string, body: string) => send('orders.fifo', body, { group });
    const stepsOf = (order: string): readonly string[] =>
      printed().flatMap((line) => (line.startsWith(`${order}: `) ? [line.slice(order.length + 2)] : []));

    for (const body of ['reserve', 'flaky charge', 'ship']) await step('order-1', body);
    for (const body of ['reserve', 'charge', 'ship']) await step('order-2', body);
    await prints(/^order-2: ship done/);
    await happens((_, all) => failuresIn(all) === 1);
    expect(stepsOf('order-1')).toEqual(['reserve done (delivery 1)', 'flaky charge failed (delivery 1)']);
    expect(stepsOf('order-2')).toEqual([
      'reserve done (delivery 1)',
      'charge done (delivery 1)',
      'ship done (delivery 1)',
    ]);
    time.skip(30_000);
    await prints(/^order-1: ship done/);
    expect(stepsOf('order-1').slice(2)).toEqual([
      'flaky charge done (delivery 2)',
      expect.stringMatching(/^ship done/),
    ]);

    await step('order-3', 'broken charge');
    await step('order-3', 'ship');
    for (let delivery = 1; delivery <= 3; delivery++) {
      await happens((_, all) => failuresIn(all) === 1 + delivery);
      expect(printed().at(-1)).toBe(`order-3: broken charge failed (delivery ${delivery})`);
      time.skip(30_000);
    }
    const moved = await happens(({ kind }) => kind === 'dead-lettered');
    expect(moved).toMatchObject({ target: expect.stringContaining('failed-orders.fifo') });
    await prints(/^order-3: ship done/);
  });

  it('partial-failures: one batch without the filtered message, and the failed one again, alone', async () => {
    const { send, prints, printed, time, happens } = await run('partial-failures');
    await send('uploads', '{"type":"image","key":"cat.jpg"}');
    await send('uploads', '{"type":"image","key":"dog.jpg"}');
    await send('uploads', '{"type":"image"}');
    await send('uploads', '{"type":"video","key":"cat.mp4"}');
    // All four are in the window, or out of it by the filter.
    await happens((_, all) => takenIn(all) === 4);
    time.skip(3_000);
    const first = await happens(({ kind }) => kind === 'succeeded');
    expect(first).toMatchObject({ messageIds: { length: 3 }, failedIds: { length: 1 } });
    expect(await happens(({ kind }) => kind === 'filtered-out')).toMatchObject({ messageIds: { length: 1 } });
    expect([...printed()].sort()).toEqual(['a batch of 3', 'thumbnail of cat.jpg', 'thumbnail of dog.jpg']);
    time.skip(30_000);
    await happens(({ kind, receiveCounts }) => kind === 'leased' && receiveCounts?.includes(2) === true);
    time.skip(3_000);
    await prints(/^a batch of 1$/);
    await happens(({ kind, messageIds }) => kind === 'succeeded' && messageIds?.length === 1);
    time.skip(30_000);
    const moved = await happens(({ kind }) => kind === 'dead-lettered');
    expect(moved).toMatchObject({ target: expect.stringContaining('failed-uploads') });
  });

  it('existing-queue: a queue and a trigger without any construct of Karin', async () => {
    const { send, prints, time } = await run('existing-queue');
    await send('reports', 'weekly', { delaySeconds: 3 });
    time.skip(3_000);
    await prints(/^report weekly, delivery 1$/);
  });

  it('sam: the template as it is, without a build', async () => {
    const { send, prints, happens, printed } = await run('sam');
    await send('mails', 'someone@example.com');
    await prints(/^mail to someone@example\.com$/);
    await send('mails', 'nobody');
    await happens(({ kind, failedIds }) => kind === 'succeeded' && failedIds?.length === 1);
    expect(printed()).toContain('"nobody" is no address');
  });

  /** Runs the `curl` line that stands under the first title that begins so. */
  async function play({ said }: Running, title: string): Promise<void> {
    const lines = said();
    const at = lines.findIndex((line) => line.startsWith(`  ${title}`));
    const [, body = '', url = ''] = /^ {4}curl -d '(.*)' '?(http:[^']*)'?$/.exec(lines[at + 1] ?? '') ?? [];
    const answer = await fetch(url, { method: 'POST', body });
    expect({ title, status: answer.status }).toEqual({ title, status: 200 });
  }

  it('fan-out: each queue is played by the line of its subscription, with the envelope of SNS or without', async () => {
    const running = await run('fan-out');
    const titles = running.said().flatMap((line) => (/^ {2}topic /.test(line) ? [line.trim()] : []));
    expect(titles.map((title) => title.replace(/^topic [^, ]+/, '')).sort()).toEqual([
      '  ->  Archive',
      ', raw  ->  Large',
      ', raw  ->  Mails',
    ]);
    for (const title of titles) await play(running, title);
    await running.prints(/^\S*MailsConsumer\S*: hello $/);
    await running.prints(/^\S*LargeConsumer\S*: hello $/);
    await running.prints(/^\S*ArchiveConsumer\S*: \{.*"Type": ?"Notification".*"Message": ?"hello"/);
  });

  it('s3-thumbnails: an upload is played by the line of the bucket, and a broken one comes again alone', async () => {
    const running = await run('s3-thumbnails');
    await play(running, 'bucket ');
    await running.prints(/^thumbnail of \S+\/\S+$/);
    await running.send('Jobs', '{"Records":[{}]}');
    await running.happens((_, all) => failuresIn(all) === 1);
    await running.send('Jobs', '{"Service":"Amazon S3","Event":"s3:TestEvent"}');
    await running.happens((_, all) => all.filter(({ kind }) => kind === 'succeeded').length === 3);
    expect(running.printed()).toHaveLength(1);
  });

  it('webhooks: the secrets stay in AWS, so nothing is proven here, and what comes in is kept as a dead letter', async () => {
    const { said, happens, time, printed } = await run('webhooks');
    const address = said().find((line) => /^ {2}http:\S+\/in\/\d+\/Hooks$/.test(line));
    const signature = createHmac('sha256', '').update('{}').digest('hex');
    const answer = await fetch(`${address?.trim()}?from=github&headers=X-Hub-Signature-256`, {
      method: 'POST',
      body: '{}',
      headers: { 'x-hub-signature-256': `sha256=${signature}` },
    });
    expect(answer.status).toBe(200);
    for (let delivery = 1; delivery <= 3; delivery++) {
      await happens((_, all) => failuresIn(all) === delivery);
      time.skip(180_000);
    }
    const moved = await happens(({ kind }) => kind === 'dead-lettered');
    expect(moved).toMatchObject({ target: expect.stringContaining('Failed') });
    expect(printed()).toEqual([]);
  });
});
