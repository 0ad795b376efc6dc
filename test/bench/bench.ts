/** What every figure shares: processes that end with the bench, sizes, and a plain SQS call. */
import { RedisServer, type RedisServerOptions } from '../support/redis-server.ts';
import { imageFlags, type ServerProcess, startServer } from './server-process.ts';

const BARE = ['--import', 'tsx', 'test/bench/bare-server.ts'];
const COUNTING = ['--import', 'tsx', 'test/bench/path-server.ts'];

export interface Bench {
  /** `full` normally, `quick` under `--quick`. */
  size(full: number, quick: number): number;
  /** Whether what runs is to be named, on stderr. */
  readonly list: boolean;
  /** The built command, and the Node that runs it. */
  readonly command: string;
  readonly node: string;
  redis(options?: RedisServerOptions): Promise<RedisServer>;
  /** The built server. */
  server(env: Readonly<Record<string, string>>): Promise<ServerProcess>;
  bareServer(env: Readonly<Record<string, string>>): Promise<ServerProcess>;
  /** The server from its sources, which counts what runs: see `path-server.ts`. */
  countingServer(env: Readonly<Record<string, string>>): Promise<ServerProcess>;
  /** Closes `thing` when the figure is done. */
  keep<T extends { close(): Promise<void> }>(thing: Promise<T>): Promise<T>;
  /** One SQS call in the JSON protocol; throws on a refusal. */
  sqs(server: ServerProcess, action: string, input: Readonly<Record<string, unknown>>, base?: string): Promise<unknown>;
  /** The value of a metric without labels. */
  metric(server: ServerProcess, name: string): Promise<number | undefined>;
  until(condition: () => Promise<boolean>): Promise<void>;
  pause(ms: number): Promise<void>;
}

export interface BenchOptions {
  /** Small sizes. */
  readonly quick: boolean;
  /** Name what runs. */
  readonly list: boolean;
  /** The built command, `cli.js`. */
  readonly command: string;
  /** The Node that runs the servers. */
  readonly node: string;
}

/** Runs `measure` with a bench of its own and ends everything it started, in reverse. */
export async function withBench<T>(options: BenchOptions, measure: (bench: Bench) => Promise<T>): Promise<T> {
  const endings: (() => Promise<void>)[] = [];
  const ending = <S>(thing: S, end: () => Promise<void>): S => {
    endings.unshift(end);
    return thing;
  };
  const start = async (script: readonly string[], env: Readonly<Record<string, string>>): Promise<ServerProcess> => {
    const server = await startServer(options.node, script, env);
    return ending(server, () => server.stop());
  };
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  const bench: Bench = {
    list: options.list,
    command: options.command,
    node: options.node,
    size: (full, small) => (options.quick ? small : full),
    redis: async (options) => {
      const redis = await RedisServer.start(options);
      return ending(redis, () => redis.stop());
    },
    server: (env) => start([...imageFlags(), options.command, 'start'], env),
    bareServer: (env) => start(BARE, env),
    countingServer: (env) => start(COUNTING, env),
    keep: async (promise) => {
      const thing = await promise;
      return ending(thing, () => thing.close());
    },
    sqs: async (server, action, input, base = '') => {
      const response = await fetch(`http://127.0.0.1:${server.port}${base}/`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
        body: JSON.stringify(input),
      });
      const text = await response.text();
      if (!response.ok) throw new Error(`${action}: ${response.status} ${text}`);
      return text === '' ? {} : JSON.parse(text);
    },
    metric: async (server, name) => {
      const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
      const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1];
      return value === undefined ? undefined : Number(value);
    },
    until: async (condition) => {
      const end = performance.now() + 60_000;
      while (!(await condition())) {
        if (performance.now() > end) throw new Error('what the bench waits for did not come within a minute');
        await pause(5);
      }
    },
    pause,
  };
  try {
    return await measure(bench);
  } finally {
    for (const end of endings) await end();
  }
}
