import { startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { DAY_MS, startIdleServer } from '../../support/idle-server.ts';
import type { Bench } from '../bench.ts';
import type { Figure } from '../figure.ts';

const QUEUES = 20;

/**
 * A whole day of an idle server with its timers run by hand: what Redis and AWS are asked. And a day of one long
 * poller.
 */
export async function idle(bench: Bench): Promise<readonly Figure[]> {
  const redis = await bench.redis();
  const names = Array.from({ length: QUEUES }, (_, i) => `idle-${i}`);
  const aws = await bench.keep(startAwsEndpoint(names));
  Object.assign(process.env, aws.environment);
  const { karin, pass, settle, asked } = await bench.keep(startIdleServer(redis.url, aws));

  await pass(DAY_MS);
  const day = await asked();

  const share = bench.size(1, 0.1);
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
    while (!answered) await pass(20_000);
    if ((await poll).length !== 0) throw new Error('an idle queue gave a message');
    polled += 1;
  }
  const withPoller = ((await asked()).redisCommands - day.redisCommands) / share;

  return [
    {
      name: `idle: Redis commands a day, ${QUEUES} queues`,
      value: day.redisCommands,
      unit: 'commands',
      bound: { kind: 'at-most', value: 300 + 10 * QUEUES },
      note: 'those inside scripts counted',
    },
    {
      name: 'idle: Redis commands a day that a long poller adds',
      value: Math.max(0, withPoller - day.redisCommands),
      unit: 'commands',
      bound: { kind: 'at-most', value: 50 },
      note: `${polled} polls of 20 s`,
    },
    {
      name: 'idle: AWS list calls a day',
      value: day.awsLists,
      unit: 'calls',
      bound: { kind: 'at-most', value: 54 },
      note: 'one page of mappings and one of functions, hourly',
    },
    {
      name: 'idle: other AWS calls a day and mapping',
      value: day.awsOthers / QUEUES,
      unit: 'calls',
      bound: { kind: 'at-most', value: 3 },
    },
  ];
}
