import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { createSources } from '../../runtime/http/ingest/sources.ts';
import { publishToCloudWatch } from '../../runtime/ops/cloudwatch.ts';
import type { KnownDepth } from '../../runtime/ops/depths.ts';
import { runKarin, sqsCall } from '../http/running-karin.ts';
import { ManualTime } from '../support/manual-time.ts';
import { arnOf, keyOf } from '../sync/discoveries.ts';

/** What CloudWatch takes. Source: "Specification: Embedded metric format". */
const Line = z.looseObject({
  _aws: z.strictObject({
    Timestamp: z.int(),
    CloudWatchMetrics: z.tuple([
      z.strictObject({
        Namespace: z.literal('Karin'),
        Dimensions: z.tuple([z.tuple([z.literal('QueueName')])]),
        Metrics: z.array(z.strictObject({ Name: z.string(), Unit: z.enum(['Count', 'Seconds']) })),
      }),
    ]),
  }),
  QueueName: z.string(),
});

/** The queue and the values of each line. */
function linesOf(text: string) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const parsed = Line.parse(JSON.parse(line));
      const { Metrics } = parsed._aws.CloudWatchMetrics[0];
      return {
        at: parsed._aws.Timestamp,
        queue: parsed.QueueName,
        values: Object.fromEntries(Metrics.map(({ Name }) => [Name, z.number().parse(parsed[Name])])),
      };
    });
}

function open() {
  const time = new ManualTime();
  const sources = createSources(() => time.now());
  const known: KnownDepth = { visible: 3, delayed: 2, inFlight: 1, readAt: 0 };
  const written: string[] = [];
  const store = { away: false };
  const end = publishToCloudWatch({
    queues: () => ['a', 'b', 'unread'].map((name) => ({ key: keyOf(name), arn: arnOf(name) })),
    isChosen: ({ name }) => name !== 'b',
    depths: {
      refresh: () => (store.away ? Promise.reject(new Error('the store is away')) : Promise.resolve()),
      of: (key) => (key === keyOf('unread') ? undefined : known),
      waitsMs: () => 4_900,
    },
    sources,
    time,
    write: (lines) => written.push(lines),
  });
  return { time, sources, written, store, end };
}

describe('metrics for CloudWatch', () => {
  it('are one line for each chosen queue and minute, in the form that CloudWatch Logs reads', async () => {
    const { time, sources, written, end } = open();
    sources.sent(keyOf('a'), { kind: 'sdk' }, 5);
    sources.sent(keyOf('a'), { kind: 'ingest', name: 'github' }, 2);
    await time.advanceAsync(60_000);
    expect(linesOf(written.join(''))).toEqual([
      {
        at: time.now(),
        queue: 'a',
        values: {
          ApproximateNumberOfMessagesVisible: 3,
          ApproximateNumberOfMessagesNotVisible: 1,
          ApproximateNumberOfMessagesDelayed: 2,
          ApproximateAgeOfOldestMessage: 4,
          NumberOfMessagesSent: 7,
        },
      },
    ]);
    sources.sent(keyOf('a'), { kind: 'sdk' }, 1);
    await time.advanceAsync(60_000);
    expect(linesOf(written.slice(1).join('')).map(({ values }) => values['NumberOfMessagesSent'])).toEqual([1]);

    end();
    expect(time.pending).toBe(0);
  });

  it('are left out for a minute in which the store is away; what was sent then is in the next', async () => {
    const { time, sources, written, store } = open();
    store.away = true;
    sources.sent(keyOf('a'), { kind: 'sdk' }, 5);
    await time.advanceAsync(60_000);
    expect(written).toEqual([]);
    store.away = false;
    await time.advanceAsync(60_000);
    expect(linesOf(written.join('')).map(({ values }) => values['NumberOfMessagesSent'])).toEqual([5]);
  });

  it('are written by a server for the queues that its setting names, and by no other', async () => {
    const time = new ManualTime();
    const written: string[] = [];
    let wrote = (): void => {};
    const first = new Promise<void>((resolve) => {
      wrote = resolve;
    });
    const writeMetrics = (lines: string): void => {
      written.push(lines);
      wrote();
    };
    const karin = await runKarin({ KARIN_CLOUDWATCH_QUEUES: 'job*' }, { time, writeMetrics });
    for (const QueueName of ['jobs', 'mails']) await sqsCall(karin.url, 'CreateQueue', { QueueName });
    await sqsCall(karin.url, 'SendMessage', { QueueUrl: 'jobs', MessageBody: 'x' });
    await time.advanceAsync(60_000);
    await first;
    expect(linesOf(written.join(''))).toMatchObject([
      { queue: 'jobs', values: { ApproximateNumberOfMessagesVisible: 1, NumberOfMessagesSent: 1 } },
    ]);

    const quiet = await runKarin({}, { time, writeMetrics });
    await sqsCall(quiet.url, 'CreateQueue', { QueueName: 'jobs' });
    await karin.stop();
    await time.advanceAsync(60_000);
    expect(written).toHaveLength(1);
  });
});
