/**
 * A real master with a replica for tests, and three Sentinels that look after them.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort, RedisServer, redisServerBinary } from './redis-server.ts';

const MASTER = 'karin';
const SENTINELS = 3;
const QUORUM = 2;

export interface RedisSentinels {
  readonly master: RedisServer;
  readonly replica: RedisServer;
  /** Those of the Sentinels, as `REDIS_URL` takes them. */
  readonly urls: readonly string[];
  /** Resolves when a Sentinel next says that another server is the master. Rejects if it ends before. */
  switched(): Promise<void>;
  stop(): Promise<void>;
}

interface Sentinel {
  readonly url: string;
  logged(text: string): Promise<void>;
  stop(): Promise<void>;
}

/** Starts all of them; resolves when each Sentinel knows the replica and the other two. */
export async function startRedisSentinels(): Promise<RedisSentinels> {
  const master = await RedisServer.start();
  const replica = await RedisServer.start({ replicaOf: master });
  const directory = await mkdtemp(join(tmpdir(), 'karin-sentinels-'));
  const started = await Promise.all(
    Array.from({ length: SENTINELS }, (_, at) => startSentinel(join(directory, `${at}.conf`), master.port)),
  );
  const [first] = started;
  if (first === undefined) throw new Error('there is no Sentinel');
  return {
    master,
    replica,
    urls: started.map(({ url }) => url),
    switched: () => first.logged('+switch-master'),
    stop: async () => {
      await Promise.all(started.map((sentinel) => sentinel.stop()));
      await Promise.all([master.stop(), replica.stop()]);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function startSentinel(file: string, masterPort: number): Promise<Sentinel> {
  const port = await freePort();
  await writeFile(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      'protected-mode no',
      `sentinel monitor ${MASTER} 127.0.0.1 ${masterPort} ${QUORUM}`,
      `sentinel down-after-milliseconds ${MASTER} 500`,
      `sentinel failover-timeout ${MASTER} 2000`,
    ].join('\n'),
  );
  const child = spawn(redisServerBinary() ?? 'redis-server', [file, '--sentinel'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const lines = createInterface({ input: child.stdout });
  const logged = (text: string, times = 1): Promise<void> =>
    new Promise((resolve, reject) => {
      let left = times;
      const heard = (line: string): void => {
        if (!line.includes(text)) return;
        left -= 1;
        if (left > 0) return;
        lines.off('line', heard);
        resolve();
      };
      lines.on('line', heard);
      void ended.then(() => reject(new Error(`a Sentinel ended before it said ${text}`)));
    });
  await Promise.all([logged('+slave '), logged('+sentinel ', SENTINELS - 1)]);
  return {
    url: `redis+sentinel://127.0.0.1:${port}/${MASTER}`,
    logged: (text) => logged(text),
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
