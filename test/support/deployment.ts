/**
 * A production set-up on loopback: a Redis with an append-only file, an AWS with one disabled mapping for each queue,
 * and `karin start` as a process of its own.
 *
 * @module
 */
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { ACCOUNT, type AwsEndpoint, type AwsEndpointOptions, REGION, startAwsEndpoint } from './aws-endpoint.ts';
import { type RunningServer, startServerProcess } from './karin-process.ts';
import { RedisServer, type RedisServerOptions } from './redis-server.ts';

const COUNTS = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
] as const;

export interface DeploymentOptions {
  readonly queues: readonly string[];
  readonly aws?: AwsEndpointOptions;
  readonly redis?: RedisServerOptions;
  /** More variables of the server. */
  readonly env?: Readonly<Record<string, string>>;
}

export class Deployment {
  readonly redis: RedisServer;
  readonly aws: AwsEndpoint;
  readonly #env: Readonly<Record<string, string>>;
  #server: RunningServer | undefined;
  #client: SQSClient | undefined;

  private constructor(redis: RedisServer, aws: AwsEndpoint, env: Readonly<Record<string, string>>) {
    this.redis = redis;
    this.aws = aws;
    this.#env = env;
  }

  /** Starts all of it and waits until the server is ready. */
  static async start({ queues, aws, redis, env }: DeploymentOptions): Promise<Deployment> {
    const [server, endpoint] = await Promise.all([
      RedisServer.start({ appendOnly: true, ...redis }),
      startAwsEndpoint(queues, aws),
    ]);
    const deployment = new Deployment(server, endpoint, env ?? {});
    try {
      await deployment.startServer();
    } catch (error) {
      await deployment.close();
      throw error;
    }
    return deployment;
  }

  /** Starts the server, in the place of one that was killed or stopped. */
  async startServer(): Promise<void> {
    this.#server = await startServerProcess({ ...this.aws.environment, REDIS_URL: this.redis.url, ...this.#env });
    this.#client?.destroy();
    this.#client = undefined;
  }

  get server(): RunningServer {
    if (this.#server === undefined) throw new Error('the server was not started');
    return this.#server;
  }

  queueUrl(name: string): string {
    return `${this.server.url}/${ACCOUNT}/${name}`;
  }

  /** A current SDK, which speaks JSON; one attempt, unless `maxAttempts` says otherwise. */
  get sqs(): SQSClient {
    this.#client ??= this.client();
    return this.#client;
  }

  client(maxAttempts = 1): SQSClient {
    return new SQSClient({
      endpoint: this.server.url,
      region: REGION,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts,
    });
  }

  /** A call in the Query protocol, as SDKs of old make it. */
  form(action: string, parameters: Readonly<Record<string, string>>): Promise<Response> {
    return fetch(this.server.url, {
      method: 'POST',
      body: new URLSearchParams({ Action: action, Version: '2012-11-05', ...parameters }),
    });
  }

  /** Messages of a queue in any state. */
  async depth(queue: string): Promise<number> {
    const { Attributes = {} } = await this.sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: this.queueUrl(queue), AttributeNames: [...COUNTS] }),
    );
    return COUNTS.reduce((sum, name) => sum + Number(Attributes[name]), 0);
  }

  /** Resolves once a queue is empty: what was handled is deleted a moment after the function answered. */
  async emptied(queue: string): Promise<void> {
    while ((await this.depth(queue)) > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  async close(): Promise<void> {
    this.#client?.destroy();
    await this.#server?.kill();
    await this.aws.close();
    await this.redis.stop();
  }
}
