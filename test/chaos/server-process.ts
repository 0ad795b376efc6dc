/**
 * Real servers as child processes, to be killed at any moment.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Discovery } from '../../runtime/aws/discovery/discovery.ts';

export interface ServerOptions {
  readonly redisUrl: string;
  readonly lambdaEndpoint: string;
  readonly discovery: Discovery;
}

const SCRIPT = fileURLToPath(new URL('server.ts', import.meta.url));

export class ServerProcess {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** Starts a server and waits until it serves requests. */
  static async start(options: ServerOptions): Promise<ServerProcess> {
    const child = spawn(process.execPath, ['--import', 'tsx', SCRIPT], {
      env: {
        PATH: process.env['PATH'],
        HOST: '127.0.0.1',
        PORT: '0',
        LOG_LEVEL: 'error',
        KARIN_CONCURRENCY: '50',
        REDIS_URL: options.redisUrl,
        AWS_REGION: 'eu-west-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        AWS_EC2_METADATA_DISABLED: 'true',
        AWS_ENDPOINT_URL_LAMBDA: options.lambdaEndpoint,
        KARIN_TEST_DISCOVERY: JSON.stringify(options.discovery),
      },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const failed = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`the server ended with ${code ?? signal} before it was ready`);
    });
    const ready = once(child, 'message').then(([message]) => z.object({ url: z.string() }).parse(message).url);
    const url = await Promise.race([ready, failed]);
    failed.catch(() => undefined);
    return new ServerProcess(child, url);
  }

  /** How many messages it has deleted after success so far. */
  async deleted(): Promise<number> {
    this.#child.send('counts');
    const [message] = await once(this.#child, 'message');
    return z.object({ deleted: z.number() }).parse(message).deleted;
  }

  /** As `kill -9`. */
  kill(): Promise<void> {
    return this.#end('SIGKILL');
  }

  /** Lets open Invokes finish. */
  stop(): Promise<void> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    await exited;
  }
}
