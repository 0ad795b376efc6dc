/**
 * A whole consumer for tests: a real store, the directory, the supervisor, and the real invoker talking to a scriptable
 * Lambda. Time stands still unless the test moves it.
 *
 * @module
 */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe } from 'vitest';
import { createInvoker, type Invoker } from '../../runtime/aws/invoke.ts';
import type { Mapping } from '../../runtime/aws/mapping.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from '../../runtime/consumer/supervisor.ts';
import { createEventBus } from '../../runtime/ops/activity.ts';
import { countMetrics, type MetricCounts } from '../../runtime/ops/counts.ts';
import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../runtime/queue/definition.ts';
import type { OutgoingMessage } from '../../runtime/queue/message.ts';
import { formatQueueArn, type QueueArn } from '../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../runtime/queue/stored-directory.ts';
import type { StoredQueue } from '../../runtime/queue/stored-queue.ts';
import { MemoryStore } from '../../runtime/store/memory/memory-store.ts';
import { RedisStore } from '../../runtime/store/redis/redis-store.ts';
import type { Store } from '../../runtime/store/store.ts';
import { systemRandomness, systemTime, type Time } from '../../runtime/time.ts';
import { ManualTime } from './manual-time.ts';
import { RecordedEvents } from './recorded-events.ts';
import { RedisServer } from './redis-server.ts';
import { ScriptableLambda } from './scriptable-lambda.ts';

export type StoreKind = 'memory' | 'redis';

export interface WorldOptions {
  /** Jitter is none, so that the times of retries are exact. */
  readonly supervisor?: Partial<
    Pick<SupervisorOptions, 'limits' | 'settings' | 'queueNames' | 'instance' | 'logTails'>
  >;
  /** Default: a clock that stands still. */
  readonly time?: Time;
  /** Another instance on the same store and with the same Lambda. */
  readonly besides?: World;
  /** In the place of the real one, where thousands of Invokes are made. */
  readonly invoker?: Invoker;
  /** Until `way.open`, nobody listens where Lambda should be. */
  readonly unreachable?: true;
}

const ACCOUNT = '111122223333';

export class World {
  readonly kind: StoreKind;
  readonly store: Store;
  readonly directory: StoredDirectory;
  readonly supervisor: Supervisor;
  readonly events: RecordedEvents;
  readonly counts: MetricCounts;
  readonly lambda: ScriptableLambda;
  /** What listeners of the bus or queues of the directory reported as unexpected. */
  readonly faults: unknown[] = [];
  /** The way to Lambda: whether it is open, and how many calls are under way on it. */
  readonly way: { open: boolean; calls: number };
  readonly #time: Time;
  readonly #close: (() => Promise<void> | void)[];

  private constructor(
    kind: StoreKind,
    parts: Pick<World, 'store' | 'directory' | 'supervisor' | 'events' | 'counts' | 'lambda' | 'faults' | 'way'>,
    time: Time,
    close: (() => Promise<void> | void)[],
  ) {
    this.kind = kind;
    this.store = parts.store;
    this.directory = parts.directory;
    this.supervisor = parts.supervisor;
    this.events = parts.events;
    this.counts = parts.counts;
    this.lambda = parts.lambda;
    this.faults = parts.faults;
    this.way = parts.way;
    this.#time = time;
    this.#close = close;
  }

  static async open(kind: StoreKind, redis: RedisServer | undefined, options: WorldOptions): Promise<World> {
    const { besides } = options;
    const time = options.time ?? (besides === undefined ? new ManualTime() : besides.#time);
    const instance = options.supervisor?.instance ?? crypto.randomUUID();
    const randomness = { uuid: systemRandomness.uuid, fraction: () => 0 };
    const faults: unknown[] = [];
    const store =
      kind === 'memory' && besides !== undefined ? besides.store : await openStore(kind, redis, time, instance);
    const bus = createEventBus((error) => faults.push(error));
    const directory = await createDirectory({
      store,
      time,
      randomness,
      notify: (event) => {
        if (event.kind === 'queue-warning') faults.push(event);
        else bus.emit(event);
      },
    });
    const lambda = besides?.lambda ?? (await ScriptableLambda.start());
    const at = (endpoint: string): Invoker =>
      createInvoker({
        region: 'eu-west-1',
        endpoint,
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
        time,
      });
    const way = { open: options.unreachable === undefined, calls: 0 };
    const counted = <T>(call: Promise<T>): Promise<T> => {
      way.calls += 1;
      return call.finally(() => {
        way.calls -= 1;
      });
    };
    const nowhere = at('http://127.0.0.1:1');
    const there = options.invoker ?? at(lambda.endpoint);
    const invoker: Invoker = {
      invoke: (request) => counted((way.open ? there : nowhere).invoke(request)),
      probe: (functionArn) => counted((way.open ? there : nowhere).probe(functionArn)),
      close: () => {
        there.close();
        nowhere.close();
      },
    };
    // First, so that whoever is woken by an event finds it counted.
    const counts = countMetrics(bus);
    const events = new RecordedEvents(bus);
    const supervisor = createSupervisor({
      directory,
      store,
      invoker,
      time,
      randomness,
      events: bus,
      limits: { maxInvokes: 250, maxBytes: 64 * 1_048_576 },
      instance,
      ...options.supervisor,
    });
    return new World(kind, { store, directory, supervisor, events, counts, lambda, faults, way }, time, [
      () => supervisor.stop(0),
      () => invoker.close(),
      () => directory.close(),
      () => (store === besides?.store ? undefined : store.close()),
      () => (besides === undefined ? lambda.close() : undefined),
    ]);
  }

  /** The clock, if it stands still. */
  get time(): ManualTime {
    if (!(this.#time instanceof ManualTime)) throw new Error('this world has a clock that runs');
    return this.#time;
  }

  /** Creates a queue. */
  async queue(name: string, attributes: Partial<QueueAttributes> = {}, account = ACCOUNT): Promise<StoredQueue> {
    const arn: QueueArn = { partition: 'aws', region: 'eu-west-1', account, name };
    await this.directory.create(arn, { ...DEFAULT_ATTRIBUTES, visibilityTimeoutSeconds: 60, ...attributes }, {});
    const queue = this.directory.byKey(`eu-west-1:${account}:${name}`);
    if (queue === undefined) throw new Error(`${name} was not created`);
    return queue;
  }

  /** Creates a queue with a dead-letter queue. */
  async queueWithDeadLetters(name: string, maxReceiveCount: number, attributes: Partial<QueueAttributes> = {}) {
    const deadLetters = await this.queue(`dead-${name}`);
    const redrivePolicy = { deadLetterTargetArn: formatQueueArn(deadLetters.arn), maxReceiveCount };
    return { queue: await this.queue(name, { ...attributes, redrivePolicy }), deadLetters };
  }

  /** Serves exactly these mappings. */
  apply(...mappings: readonly Mapping[]) {
    return this.supervisor.apply(mappings);
  }

  /**
   * Lets `ms` pass on the clock that stands still, and the work that this sets off run as far as it can without waiting
   * for the store or Lambda.
   */
  async pass(ms: number): Promise<void> {
    // What the store was asked until now is done at this time, not at a later one: on a busy machine the command may
    // still be on its way.
    for (let round = 0; round < 2; round += 1) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.store.documents.get('nothing').catch(() => undefined);
    }
    await this.time.advanceAsync(ms);
  }

  /** Waits until every actor rests and no Invoke is open: from then on only time, or a send, can set anything off. */
  async quiet(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const { queues, invokes } = this.supervisor.snapshot();
      const resting = queues.every(({ state }) => state !== 'leasing');
      if (resting && invokes.running === 0) return;
    }
  }

  /**
   * Waits until no call to the store or to Lambda is under way, but for Invokes whose answer the test holds back: from
   * then on only time, or a send, can set anything off.
   */
  async settled(): Promise<void> {
    for (let quietRounds = 0; quietRounds < 2; ) {
      await new Promise((resolve) => setImmediate(resolve));
      const busy = this.way.calls > 0 || this.supervisor.snapshot().queues.some(({ state }) => state === 'leasing');
      quietRounds = busy ? 0 : quietRounds + 1;
      // Its answer comes after those to everything that was asked before.
      if (!busy) await this.store.documents.get('nothing');
    }
  }

  async close(): Promise<void> {
    for (const close of this.#close) await close();
  }
}

/** A mapping of the queue, with the defaults of AWS, but for what the test says. */
export function mappingOf(queue: { readonly arn: QueueArn }, overrides: Partial<Mapping> = {}): Mapping {
  const uuid = overrides.uuid ?? crypto.randomUUID();
  return {
    uuid,
    mappingArn: `arn:aws:lambda:eu-west-1:${ACCOUNT}:event-source-mapping:${uuid}`,
    queueArn: queue.arn,
    functionArn: `arn:aws:lambda:eu-west-1:${ACCOUNT}:function:worker`,
    batchSize: 10,
    batchWindowSeconds: 0,
    filterPatterns: [],
    reportBatchItemFailures: false,
    functionTimeoutSeconds: 10,
    lastModified: 1_735_689_600_000,
    tags: {},
    ...overrides,
  };
}

/** A message to send. */
export function message(body: string, overrides: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: crypto.randomUUID(), body, attributes: {}, senderId: 'AIDAIENQZJOLO23YVJ4VO', ...overrides };
}

/** Messages of one group of a FIFO queue. */
export function groupMessages(group: string, bodies: readonly string[]): OutgoingMessage[] {
  return bodies.map((body) => message(body, { groupId: group, deduplicationId: `${group} ${body}` }));
}

/**
 * How to open worlds inside {@link forEachStore}; they are closed after each test, and a fault that was reported fails
 * it.
 */
export type OpenWorld = (options?: WorldOptions) => Promise<World>;

/** Runs a suite against memory and against a real Redis server. */
export function forEachStore(name: string, suite: (open: OpenWorld, kind: StoreKind) => void): void {
  describe.each<StoreKind>(['memory', 'redis'])(`${name} (%s)`, (kind) => {
    let redis: RedisServer | undefined;
    let worlds: World[] = [];

    beforeAll(async () => {
      if (kind === 'redis') redis = await RedisServer.start();
    });
    afterEach(async () => {
      const open = worlds.reverse();
      worlds = [];
      for (const world of open) await world.close();
      if (redis !== undefined) await empty(redis);
      const faults = open.flatMap((world) => world.faults);
      if (faults.length > 0) throw new AggregateError(faults, `unexpected: ${JSON.stringify(faults)}`);
    });
    afterAll(async () => {
      await redis?.stop();
    });

    suite(async (options = {}) => {
      const world = await World.open(kind, redis, options);
      worlds.push(world);
      return world;
    }, kind);
  });
}

async function empty(server: RedisServer): Promise<void> {
  const client = new Redis(server.url);
  await client.flushall();
  client.disconnect();
}

async function openStore(
  kind: StoreKind,
  redis: RedisServer | undefined,
  time: Time,
  instanceId: string,
): Promise<Store> {
  if (kind === 'memory') return new MemoryStore({ time });
  if (redis === undefined) throw new Error('no Redis server runs');
  return RedisStore.open({
    urls: [redis.url],
    instanceId,
    // Its pings must come back in real time, whatever the test does to the clock of the store.
    time: systemTime,
    randomness: systemRandomness,
    ...(time === systemTime ? {} : { clock: () => time.now() }),
  });
}
