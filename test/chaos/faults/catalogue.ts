/**
 * The faults: what each does to a running world, and what it may cost.
 *
 * A fault that is lifted by hand is counted from that moment, one that Karin or Redis must overcome alone from its
 * beginning.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { RedisProxy } from '../../store/redis-proxy.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { reshard, startRedisCluster } from '../../support/redis-cluster.ts';
import { startRedisSentinels } from '../../support/redis-sentinels.ts';
import { RedisServer } from '../../support/redis-server.ts';
import type { Recovery } from './ledger.ts';
import { pause, type World, type WorldOptions } from './world.ts';

/** How much is done. */
export interface Size {
  readonly messages: number;
  /** How often a fault strikes that can strike again. */
  readonly strikes: number;
  /**
   * How long a message is hidden from others while a function has it, where a fault may outlive that; elsewhere it is
   * so long that no slow machine does.
   */
  readonly leaseSeconds: number;
}

/** Something to strike: made anew for each run. */
interface Target extends Pick<WorldOptions, 'redisUrl' | 'environment'> {
  /**
   * Calls `struck` when the fault has taken effect, and resolves when it is over, or left to those who must overcome
   * it.
   */
  strike(world: World, struck: () => void): Promise<{ readonly recovery: Promise<Recovery> }>;
}

export interface Fault {
  /** As the table names it. */
  readonly name: string;
  /** Why an accepted message may be lost. Absent: none may be. */
  readonly loses?: string;
  /** Why a message may be delivered again after a function has succeeded with it. Absent: none may be. */
  readonly redelivers?: string;
  /** Whether sends are refused or unanswered meanwhile: at least one, none, or some if it comes to that. */
  readonly refuses: boolean | 'perhaps';
  /** What this machine lacks for it; `undefined`: nothing. Absent: no machine lacks anything. */
  readonly lacking?: () => string | undefined;
  /** It leaves nothing to be struck again. */
  readonly once?: true;
  /** `keep`: what is given to it is stopped at the end, the last first. */
  prepare(size: Size, keep: Keep): Promise<Target>;
}

type Keep = <T extends { stop(): Promise<unknown> }>(thing: T) => T;

/** Beyond the lease, so that what was leased is due again before the fault is over. */
function lasting({ leaseSeconds }: Size): Promise<void> {
  return pause(leaseSeconds * 1_000 + 500);
}

/** An hour, in seconds. */
const JUMP = 3_600;
/** Seconds that waiting messages wait longer when the clock of Redis goes back by as many. */
const JUMP_BACK = 10;
/** Seconds by which a clock that has jumped may miss the mark. */
const JUMP_TOLERANCE = 3;
const FLUSH_EVERY_MS = 5;
/** Bytes of a disk for a message, its append-only file and what rewrites it. */
const DISK_BYTES_PER_MESSAGE = 16_384;
const LEAST_DISK_BYTES = 64 * 1_048_576;

const KILLED_WITH_INVOKES = 'the server died after the function had succeeded and before the message was deleted';
const LEASE_ENDED = 'the lease ended before the message could be deleted';
const LEASE_ENDED_EARLY = 'the lease ended early, by that clock';
const ANSWER_LOST = 'the connection broke before the answer of the function had arrived';
const DELETE_LOST = 'the delete was lost with what Redis had not on disk or on its replica';

function startRedis(keep: Keep, appendFsync: 'always' | 'everysec' = 'everysec'): Promise<RedisServer> {
  return RedisServer.start({ appendOnly: true, appendFsync }).then(keep);
}

function killedRedis(appendFsync: 'always' | 'everysec'): Fault['prepare'] {
  return async (_, keep) => {
    const redis = await startRedis(keep, appendFsync);
    return {
      redisUrl: () => redis.url,
      strike: async ({ ledger }, struck) => {
        await redis.kill();
        struck();
        await redis.restart();
        return { recovery: ledger.goesOn() };
      },
    };
  };
}

/** The master dies, its replica is promoted, and the address leads there, where another replica joins. */
function failOver(environment: Readonly<Record<string, string>>): Fault['prepare'] {
  return async (_, keep) => {
    const master = await startRedis(keep);
    const replica = await startRedis(keep);
    await replica.follow(master);
    const address = keep(await RedisProxy.start(master.port));
    return {
      redisUrl: () => address.url,
      environment: () => environment,
      strike: async ({ ledger }, struck) => {
        await master.kill();
        struck();
        await replica.promote();
        keep(await RedisServer.start({ replicaOf: replica }));
        address.leadTo(replica.port);
        address.dropConnections();
        return { recovery: ledger.goesOn() };
      },
    };
  };
}

/** The proxies between servers and Redis swallow what is sent. `cutOff`: which servers they are. */
function partition(cutOff: readonly number[]): Fault['prepare'] {
  return async (size, keep) => {
    const redis = await startRedis(keep);
    const ways = [keep(await RedisProxy.start(redis.port)), keep(await RedisProxy.start(redis.port))];
    return {
      redisUrl: (server) => ways[server]?.url ?? '',
      strike: async ({ ledger }, struck) => {
        for (const server of cutOff) ways[server]?.cut();
        struck();
        await lasting(size);
        for (const server of cutOff) ways[server]?.mend();
        return { recovery: ledger.goesOn() };
      },
    };
  };
}

/** Something of AWS fails and is well again. */
function awsTrouble(
  begin: (aws: World['aws']) => Promise<void> | void,
  end: (aws: World['aws']) => Promise<void> | void,
): Fault['prepare'] {
  return async (size, keep) => {
    const redis = await startRedis(keep);
    return {
      redisUrl: () => redis.url,
      strike: async (world, struck) => {
        await begin(world.aws);
        world.sync();
        struck();
        await lasting(size);
        await end(world.aws);
        return { recovery: world.ledger.goesOn() };
      },
    };
  };
}

/** Clocks are set for single processes by a library for Linux. */
function lackingClock(): string | undefined {
  return process.platform === 'linux' ? undefined : 'clocks of single processes are set on Linux only';
}

/** A small disk of its own is a mount that no other process sees, which some systems allow to root only. */
function lackingOwnDisk(): string | undefined {
  const mayMount = spawnSync('unshare', ['--map-root-user', '--mount', 'true'], { stdio: 'ignore' }).status === 0;
  return mayMount ? undefined : 'this user may not mount a disk of its own (unshare --map-root-user --mount)';
}

/** By so many seconds each time. */
function redisClockJump(by: number): Fault['prepare'] {
  return async (_, keep) => {
    const clock = keep(await FakeClock.start());
    const redis = keep(await RedisServer.start({ appendOnly: true, appendFsync: 'everysec', clock }));
    let ahead = 0;
    return {
      redisUrl: () => redis.url,
      strike: async ({ ledger }, struck) => {
        ahead += by;
        await clock.set(ahead);
        await untilRedisIsAhead(redis, ahead);
        struck();
        return { recovery: ledger.goesOn() };
      },
    };
  };
}

/** Writes until Redis says that it cannot: what it appends may still find room in the last page of its file. */
async function untilRefused(redis: RedisServer): Promise<void> {
  await redis.ask(async (client) => {
    while ((await client.set('chaos', 'x'.repeat(1_000)).catch(() => 'refused')) === 'OK');
    await client.del('chaos').catch(() => undefined);
  });
}

/** Waits until the wall clock of Redis is so far from that of this process, in seconds. */
async function untilRedisIsAhead(redis: RedisServer, seconds: number): Promise<void> {
  await redis.ask(async (client) => {
    for (;;) {
      const [now = 0] = (await client.time()).map(Number);
      if (Math.abs(now - Date.now() / 1_000 - seconds) < JUMP_TOLERANCE) return;
    }
  });
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'a server is killed (`kill -9`) and another started',
    redelivers: KILLED_WITH_INVOKES,
    refuses: true,
    prepare: async (_, keep) => {
      const redis = await startRedis(keep);
      return {
        redisUrl: () => redis.url,
        strike: async (world, struck) => {
          await world.server(0).kill();
          struck();
          const recovery = world.ledger.goesOn();
          await world.startServer(0);
          return { recovery };
        },
      };
    },
  },
  {
    name: 'Redis is killed (`kill -9`) and started, `appendfsync everysec`',
    loses: 'at most the last second: what had not reached the append-only file',
    redelivers: DELETE_LOST,
    refuses: true,
    prepare: killedRedis('everysec'),
  },
  {
    name: 'Redis is killed (`kill -9`) and started, `appendfsync always`',
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: killedRedis('always'),
  },
  {
    name: 'fail-over: the master is killed, its replica promoted',
    loses: 'what the replica had not received',
    redelivers: DELETE_LOST,
    refuses: true,
    once: true,
    prepare: failOver({}),
  },
  {
    name: 'the same fail-over, `KARIN_DURABILITY=replica`',
    redelivers: DELETE_LOST,
    refuses: true,
    once: true,
    prepare: failOver({ KARIN_DURABILITY: 'replica' }),
  },
  {
    name: 'fail-over by Sentinels, `KARIN_DURABILITY=replica`',
    redelivers: DELETE_LOST,
    refuses: true,
    once: true,
    prepare: async (_, keep) => {
      const { master, replica, urls, switched, stop } = await startRedisSentinels();
      keep({ stop });
      return {
        redisUrl: () => urls.join(','),
        environment: () => ({ KARIN_DURABILITY: 'replica' }),
        strike: async ({ ledger }, struck) => {
          const replaced = switched();
          await master.kill();
          struck();
          const recovery = ledger.goesOn();
          await replaced;
          await master.restart();
          await master.follow(replica);
          return { recovery };
        },
      };
    },
  },
  {
    name: 'resharding: every slot in use moves to another node of a cluster',
    // Redis answers TRYAGAIN while the keys of a queue are on two nodes, which the driver repeats for a time.
    refuses: 'perhaps',
    prepare: async (_, keep) => {
      const cluster = keep(await startRedisCluster());
      return {
        redisUrl: () => cluster.urls.join(','),
        strike: async ({ ledger }, struck) => {
          const recovery = ledger.goesOn();
          struck();
          await reshard(cluster);
          return { recovery };
        },
      };
    },
  },
  {
    name: 'network partition: one server cannot reach Redis',
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: partition([0]),
  },
  {
    name: 'network partition: no server can reach Redis',
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: partition([0, 1]),
  },
  {
    name: 'pause of a server (`SIGSTOP`) beyond its leases',
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: async (size, keep) => {
      const redis = await startRedis(keep);
      return {
        redisUrl: () => redis.url,
        strike: async (world, struck) => {
          world.server(0).signal('SIGSTOP');
          struck();
          await lasting(size);
          world.server(0).signal('SIGCONT');
          return { recovery: world.ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'pause of Redis (`SIGSTOP`) beyond all leases',
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: async (size, keep) => {
      const redis = await startRedis(keep);
      return {
        redisUrl: () => redis.url,
        strike: async ({ ledger }, struck) => {
          redis.freeze();
          struck();
          await lasting(size);
          redis.unfreeze();
          return { recovery: ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'the disk of the append-only file is full',
    lacking: lackingOwnDisk,
    redelivers: LEASE_ENDED,
    refuses: true,
    prepare: async (size, keep) => {
      const diskBytes = Math.max(LEAST_DISK_BYTES, size.messages * DISK_BYTES_PER_MESSAGE);
      const redis = keep(await RedisServer.start({ appendOnly: true, appendFsync: 'everysec', diskBytes }));
      return {
        redisUrl: () => redis.url,
        strike: async ({ ledger }, struck) => {
          await redis.fillDisk();
          await untilRefused(redis);
          struck();
          await lasting(size);
          await redis.freeDisk();
          return { recovery: ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'Redis is out of memory (`maxmemory`, `noeviction`)',
    refuses: true,
    prepare: async (size, keep) => {
      const redis = await startRedis(keep);
      const limit = (bytes: number): Promise<unknown> =>
        redis.ask((client) => client.config('SET', 'maxmemory', bytes));
      return {
        redisUrl: () => redis.url,
        strike: async ({ ledger }, struck) => {
          await limit(1);
          struck();
          await lasting(size);
          await limit(0);
          return { recovery: ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'the clock of a server jumps by an hour, forward and back',
    lacking: lackingClock,
    refuses: false,
    prepare: async (size, keep) => {
      const redis = await startRedis(keep);
      const clock = keep(await FakeClock.start());
      return {
        redisUrl: () => redis.url,
        environment: (server) => (server === 0 ? clock.environment : {}),
        strike: async ({ ledger }, struck) => {
          await clock.set(JUMP);
          struck();
          await lasting(size);
          await clock.set(0);
          await lasting(size);
          return { recovery: ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'the clock of Redis jumps forward by an hour',
    lacking: lackingClock,
    redelivers: LEASE_ENDED_EARLY,
    refuses: false,
    prepare: redisClockJump(JUMP),
  },
  {
    name: 'the clock of Redis jumps back by ten seconds',
    lacking: lackingClock,
    redelivers: LEASE_ENDED,
    refuses: false,
    prepare: redisClockJump(-JUMP_BACK),
  },
  {
    name: '`SCRIPT FLUSH`, over and over',
    refuses: false,
    prepare: async (size, keep) => {
      const redis = await startRedis(keep);
      return {
        redisUrl: () => redis.url,
        strike: async ({ ledger }, struck) => {
          struck();
          let over = false;
          const flushing = redis.ask(async (client) => {
            while (!over) {
              await client.script('FLUSH');
              await pause(FLUSH_EVERY_MS);
            }
          });
          await lasting(size);
          over = true;
          await flushing;
          return { recovery: ledger.goesOn() };
        },
      };
    },
  },
  {
    name: 'AWS throttles every call (429)',
    refuses: false,
    prepare: awsTrouble(
      (aws) => {
        aws.throttles = true;
      },
      (aws) => {
        aws.throttles = false;
      },
    ),
  },
  {
    name: 'AWS is dead: nobody listens at its address',
    redelivers: ANSWER_LOST,
    refuses: false,
    prepare: awsTrouble(
      (aws) => aws.die(),
      (aws) => aws.revive(),
    ),
  },
];
