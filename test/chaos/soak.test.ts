import { afterEach, beforeEach, describe, expect, it, onTestFailed } from 'vitest';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { DEFAULT_ATTRIBUTES } from '../../runtime/queue/definition.ts';
import type { DiscoveredQueue } from '../../runtime/queue/directory.ts';
import { formatQueueArn, type QueueArn, queueKey } from '../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';
import { mappingOf, message } from '../support/consumer-world.ts';
import { RedisServer } from '../support/redis-server.ts';
import { ScriptableLambda } from '../support/scriptable-lambda.ts';
import { discoveryOf } from './discovery.ts';
import { ServerProcess } from './server-process.ts';
import { type Fate, SoakModel } from './soak-model.ts';

const FULL = process.env['KARIN_TEST_SIZE'] === 'full';
/** A multiple of 200. `KARIN_TEST_MESSAGES` asks for another size between the two. */
const MESSAGES = Number(process.env['KARIN_TEST_MESSAGES'] ?? (FULL ? 100_000 : 2_000));
const LARGE = MESSAGES > 10_000;
/** A server is killed each time Lambda was called so often: every few seconds. */
const CALLS_PER_KILL = LARGE ? 500 : 150;
const SEED = Number(process.env['KARIN_TEST_SEED'] ?? Date.now() % 1_000_000);

const ACCOUNT = '111122223333';
const MAX_RECEIVES = 4;
const VISIBILITY_SECONDS = 2;
const GROUPS = MESSAGES / 50;
/** One message in so many is poison. */
const POISON_EVERY = 100;

/** How each queue is consumed. */
const KINDS: Readonly<Record<string, Partial<Mapping>>> = {
  plain: { batchSize: 1 },
  reporting: { batchSize: 10, reportBatchItemFailures: true },
  windowed: { batchSize: 50, batchWindowSeconds: 1, reportBatchItemFailures: true },
  'groups.fifo': { batchSize: 10, reportBatchItemFailures: true },
};

describe('Soak', () => {
  let redis: RedisServer;
  let lambda: ScriptableLambda;
  let store: RedisStore;
  let directory: StoredDirectory;
  let servers: ServerProcess[] = [];

  beforeEach(async () => {
    redis = await RedisServer.start();
    lambda = await ScriptableLambda.start();
    store = await RedisStore.open({
      urls: [redis.url],
      instanceId: 'producer',
      time: systemTime,
      randomness: systemRandomness,
    });
    directory = await createDirectory({ store, time: systemTime, randomness: systemRandomness, notify: () => {} });
    await directory.applyDiscovery(queues());
  });
  afterEach(async () => {
    await Promise.all(servers.map((server) => server.kill()));
    directory.close();
    await store.close();
    await lambda.close();
    await redis.stop();
  });

  it(
    `${MESSAGES} messages, random outcomes, two servers, one of them killed every few seconds (seed ${SEED})`,
    async () => {
      const model = new SoakModel({
        maxReceiveCount: MAX_RECEIVES,
        reporting: new Set(Object.keys(KINDS).filter((name) => KINDS[name]?.reportBatchItemFailures)),
        random: seeded(SEED),
        tooLong: () => new Promise((resolve) => void systemTime.after((VISIBILITY_SECONDS + 1) * 1_000, resolve)),
      });
      // If it never ends, this tells what is missing.
      onTestFailed(() => console.error(model.verdict().slice(0, 20).join('\n')));
      const start = (): Promise<ServerProcess> =>
        ServerProcess.start({ redisUrl: redis.url, lambdaEndpoint: lambda.endpoint, discovery: discovery() });
      servers = await Promise.all([start(), start()]);

      let kills = 0;
      let killing = Promise.resolve();
      let giveUp: (error: unknown) => void = () => {};
      const noServer = new Promise<never>((_, reject) => {
        giveUp = reject;
      });
      const killOne = async (): Promise<void> => {
        kills += 1;
        await servers.shift()?.kill();
        servers.push(await start());
      };
      lambda.behave((call) => {
        if (call.index % CALLS_PER_KILL === CALLS_PER_KILL - 1) killing = killing.then(killOne).catch(giveUp);
        return call.functionName.includes(':function:dead-') ? model.bury(call) : model.invoke(call);
      });
      await sendAll(model, directory);
      await Promise.race([model.ended, noServer]);
      await killing;

      // What was handled just before a kill may be delivered once more; then everything is empty.
      for (const queue of directory.all()) {
        while (Object.values(await queue.depth()).some((count) => count > 0)) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      if (LARGE)
        process.stdout.write(`${JSON.stringify({ seed: SEED, kills, ...model.figures, broken: model.verdict() })}\n`);
      expect(model.verdict()).toEqual([]);
      expect(kills).toBeGreaterThan(1);
    },
    LARGE ? 1_800_000 : 240_000,
  );
});

function arnOf(name: string): QueueArn {
  return { partition: 'aws', region: 'eu-west-1', account: ACCOUNT, name };
}

function functionArnOf(name: string): string {
  return `arn:aws:lambda:eu-west-1:${ACCOUNT}:function:${name}`;
}

function queues(): readonly DiscoveredQueue[] {
  const attributes = { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: VISIBILITY_SECONDS };
  return Object.keys(KINDS).flatMap((name) => {
    const redrivePolicy = { deadLetterTargetArn: formatQueueArn(arnOf(`dead-${name}`)), maxReceiveCount: MAX_RECEIVES };
    return [
      { arn: arnOf(name), attributes: { ...attributes, redrivePolicy }, tags: {} },
      { arn: arnOf(`dead-${name}`), attributes, tags: {} },
    ];
  });
}

function discovery(): Discovery {
  const mapping = (name: string, settings: Partial<Mapping>): Mapping =>
    mappingOf(
      { arn: arnOf(name) },
      { ...settings, uuid: `uuid-${name}`, functionArn: functionArnOf(name), functionTimeoutSeconds: 1 },
    );
  return discoveryOf({
    mappings: Object.entries(KINDS).flatMap(([name, settings]) => [
      mapping(name, settings),
      mapping(`dead-${name}`, {}),
    ]),
    queues: queues(),
  });
}

/** Sends the same number of messages to each queue, ten at a time. */
async function sendAll(model: SoakModel, directory: StoredDirectory): Promise<void> {
  const perQueue = MESSAGES / Object.keys(KINDS).length;
  for (let from = 0; from < perQueue; from += 10) {
    for (const name of Object.keys(KINDS)) {
      const outgoing = Array.from({ length: 10 }, (_, index) => outgoingMessage(model, name, from + index));
      await directory.byKey(queueKey(arnOf(name)))?.send(outgoing);
    }
  }
  model.allSent();
}

function outgoingMessage(model: SoakModel, queue: string, number: number) {
  const fifo = queue.endsWith('.fifo');
  const fate: Fate = {
    queue,
    group: fifo ? `group-${number % GROUPS}` : '',
    position: fifo ? Math.floor(number / GROUPS) : number,
    poison: number % POISON_EVERY === 17,
  };
  const outgoing = message(String(number), fifo ? { groupId: fate.group, deduplicationId: String(number) } : {});
  model.expect(outgoing.id, fate);
  return outgoing;
}

/** A small generator of numbers in [0, 1): the same for the same seed. Source: Mulberry32, public domain. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
