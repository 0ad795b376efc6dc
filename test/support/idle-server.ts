/**
 * A whole server on a clock that stands still, so that days of idleness pass in seconds, and what they ask of Redis and
 * AWS can be counted.
 *
 * @module
 */
import { Redis } from 'ioredis';
import { createLog } from '../../runtime/log.ts';
import { type Karin, startKarin } from '../../runtime/main.ts';
import { readConfig } from '../../runtime/settings.ts';
import { type AwsEndpoint, REGION } from './aws-endpoint.ts';
import { ManualTime } from './manual-time.ts';

export const DAY_MS = 86_400_000;

/** What the hourly sync asks. */
const LIST = 'GET /2015-03-31/event-source-mappings';
const FUNCTIONS = 'GET /2015-03-31/functions';
/** Round trips of whatever a timer began: more than any of them takes. */
const ROUND_TRIPS = 12;

/** What was asked since the server was ready, or since `startCounting`. */
interface Asked {
  /** Commands that Redis ran, those inside scripts included. */
  readonly redisCommands: number;
  readonly awsLists: number;
  /** Calls to AWS other than the list of mappings. */
  readonly awsOthers: number;
}

export interface IdleServer {
  readonly karin: Karin;
  /** Lets `ms` pass, timer by timer, and what each of them asks be answered. */
  pass(ms: number): Promise<void>;
  /** Lets what is under way be answered while the clock stands still. */
  settle(): Promise<void>;
  asked(): Promise<Asked>;
  /** What was asked so far is not counted. */
  startCounting(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts one. The AWS SDK reads its endpoints from the environment of the process: `aws.environment` must be in it.
 * `environment`: settings beside those that every such server has.
 */
export async function startIdleServer(
  redisUrl: string,
  aws: AwsEndpoint,
  environment: Readonly<Record<string, string>> = {},
): Promise<IdleServer> {
  const client = new Redis(redisUrl);
  /** Commands of the counting itself, which no server sent. */
  const own = { ping: 0, info: 0 };
  const time = new ManualTime(Date.now());
  const settle = async (): Promise<void> => {
    for (let trip = 0; trip < ROUND_TRIPS; trip += 1) {
      own.ping += 1;
      await client.ping();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const config = readConfig({
    ...{ REDIS_URL: redisUrl, PORT: '0', AWS_REGION: REGION, LOG_LEVEL: 'silent' },
    ...environment,
  });
  const starting = startKarin(config, { time, log: createLog({ level: config.logLevel }) });
  let started = false;
  const isStarted = starting.then(
    () => {
      started = true;
    },
    () => {
      started = true;
    },
  );
  // The first discovery paces its calls to AWS by the same clock.
  while (!started) {
    await Promise.race([isStarted, settle()]);
    if (!started) await time.advanceAsync(10);
  }
  const karin = await starting;
  await settle();

  const total = async (): Promise<Asked> => {
    let redisCommands = 0;
    // The INFO that asks is not yet among its own counts.
    for (const calls of (await commandCalls(client)).values()) redisCommands += calls;
    redisCommands -= own.ping + own.info;
    own.info += 1;
    let awsLists = 0;
    let awsOthers = 0;
    for (const [call, calls] of aws.calls) {
      if (call.startsWith(LIST) || call.replace(/\/$/, '') === FUNCTIONS) awsLists += calls;
      else awsOthers += calls;
    }
    return { redisCommands, awsLists, awsOthers };
  };
  let before = await total();
  return {
    karin,
    settle,
    pass: async (ms) => {
      let left = ms;
      while (left > 0) {
        const step = Math.min(left, Math.max(1, time.nextInMs() ?? left));
        await time.advanceAsync(step);
        await settle();
        left -= step;
      }
    },
    asked: async () => {
      const now = await total();
      return {
        redisCommands: now.redisCommands - before.redisCommands,
        awsLists: now.awsLists - before.awsLists,
        awsOthers: now.awsOthers - before.awsOthers,
      };
    },
    startCounting: async () => {
      before = await total();
    },
    close: async () => {
      client.disconnect();
      await karin.stop();
    },
  };
}

/** How often each command was called, those inside scripts included, from INFO commandstats. */
export async function commandCalls(client: Redis): Promise<ReadonlyMap<string, number>> {
  const text = await client.info('commandstats');
  return new Map(
    [...text.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].map(([, name, calls]) => [name ?? '', Number(calls)]),
  );
}
