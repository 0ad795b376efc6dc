import { Redis } from 'ioredis';
import { readConfig } from '../../../runtime/config.ts';
import { createLog } from '../../../runtime/log.ts';
import { type Karin, startKarin } from '../../../runtime/main.ts';
import { ManualTime } from '../../support/manual-time.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../aws-endpoint.ts';
import { type Bench, commandCalls } from '../bench.ts';
import type { Figure } from '../figure.ts';

const DAY_MS = 86_400_000;
const QUEUES = 20;
/** Commands that are no client's doing, or that this measurement itself sends. */
const NOT_COUNTED = new Set(['info', 'ping', 'config|resetstat']);

/** A whole day of an idle server with its timers run by hand: what Redis and AWS are asked. And a day of one long poller. */
export async function idle(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const names = Array.from({ length: QUEUES }, (_, i) => `idle-${i}`);
  const aws = await bench.keep(startAwsEndpoint(names));
  const client = new Redis(redis.url);
  const time = new ManualTime(Date.now());
  const karin = await startOn(redis.url, aws, time, bench.pause);
  try {
    const settle = async (): Promise<void> => {
      await client.ping();
      await bench.pause(2);
    };
    await settle();

    const beforeDay = await counted(client);
    const awsBefore = new Map(aws.calls);
    await pass(time, DAY_MS, settle);
    const perDay = (await counted(client)) - beforeDay;
    const lists = callsSince(aws, awsBefore, (call) => call.startsWith('GET /2015-03-31/event-source-mappings'));
    const others = callsSince(aws, awsBefore, (call) => !call.startsWith('GET /2015-03-31/event-source-mappings'));

    const share = bench.size(1, 0.1);
    const beforePolls = await counted(client);
    const queue = karin.directory.all()[0];
    if (queue === undefined) throw new Error('the server found no queue');
    let polled = 0;
    for (let elapsed = 0; elapsed < DAY_MS * share; elapsed += 20_000) {
      const poll = queue.receive({ maxMessages: 10, waitMs: 20_000 });
      let answered = false;
      void poll.then(() => {
        answered = true;
      });
      // The first poll asks the store before it waits, so its wait may begin a moment later than this one.
      await settle();
      while (!answered) await pass(time, 20_000, settle);
      if ((await poll).length !== 0) throw new Error('an idle queue gave a message');
      polled += 1;
    }
    const withPoller = ((await counted(client)) - beforePolls) / share;

    return [
      {
        name: `idle: Redis commands a day, ${QUEUES} queues`,
        value: perDay,
        unit: 'commands',
        bound: { kind: 'at-most', value: 300 + 10 * QUEUES },
        note: 'those inside scripts counted',
      },
      {
        name: 'idle: Redis commands a day that a long poller adds',
        value: Math.max(0, withPoller - perDay),
        unit: 'commands',
        bound: { kind: 'at-most', value: 50 },
        note: `${polled} polls of 20 s`,
      },
      {
        name: 'idle: AWS list calls a day',
        value: lists,
        unit: 'calls',
        bound: { kind: 'at-most', value: 27 },
        note: 'one page, hourly',
      },
      {
        name: 'idle: other AWS calls a day and mapping',
        value: others / QUEUES,
        unit: 'calls',
        bound: { kind: 'at-most', value: 3 },
      },
    ];
  } finally {
    client.disconnect();
    await karin.stop();
  }
}

async function startOn(redisUrl: string, aws: AwsEndpoint, time: ManualTime, pause: Bench['pause']): Promise<Karin> {
  // The AWS SDK reads its endpoints from the environment of the process.
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_LAMBDA: aws.url,
    AWS_ENDPOINT_URL_SQS: aws.url,
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench',
    AWS_REGION: 'us-east-1',
  });
  const config = readConfig({ REDIS_URL: redisUrl, PORT: '0', AWS_REGION: 'us-east-1', LOG_LEVEL: 'silent' });
  const starting = startKarin(config, { time, log: createLog({ level: config.logLevel }) });
  let started = false;
  void starting.then(() => {
    started = true;
  });
  // The first discovery paces its calls to AWS by the same clock.
  while (!started) {
    await pause(2);
    if (!started) await time.advanceAsync(10);
  }
  return starting;
}

/** Lets `ms` pass, timer by timer, and what each of them asks be answered. */
async function pass(time: ManualTime, ms: number, settle: () => Promise<void>): Promise<void> {
  let left = ms;
  while (left > 0) {
    const step = Math.min(left, Math.max(1, time.nextInMs() ?? left));
    await time.advanceAsync(step);
    await settle();
    left -= step;
  }
}

async function counted(client: Redis): Promise<number> {
  let total = 0;
  for (const [command, calls] of await commandCalls(client)) if (!NOT_COUNTED.has(command)) total += calls;
  return total;
}

function callsSince(aws: AwsEndpoint, before: ReadonlyMap<string, number>, which: (call: string) => boolean): number {
  let total = 0;
  for (const [call, calls] of aws.calls) if (which(call)) total += calls - (before.get(call) ?? 0);
  return total;
}
