/**
 * The AWS emulator `moto_server` as a child process, on a free port of 127.0.0.1. Its account is 123456789012.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

export const MOTO_ACCOUNT = '123456789012';

export class MotoServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  /** Starts an emulator and waits until it listens. Throws, with how to install it, where there is none. */
  static async start(): Promise<MotoServer> {
    const port = await freePort();
    const child = spawn('moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: ['ignore', 'pipe', 'pipe'] });
    process.once('exit', () => child.kill('SIGKILL'));
    const said: string[] = [];
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error) =>
        reject(
          new Error(`moto_server cannot be started; install it with: pip install 'moto[server]'`, { cause: error }),
        ),
      );
      child.once('close', () => reject(new Error(`moto_server ended at start:\n${said.join('\n')}`)));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          said.push(line);
          if (said.length > 30) said.shift();
          if (line.includes('Running on http://')) resolve();
        });
      }
    });
    return new MotoServer(port, child);
  }

  /** By name: the CDK CLI needs `localhost` to address its bucket by path. */
  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** By address: the Serverless Framework needs an IP address to do the same. */
  get addressUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Forgets everything that was created. */
  async reset(): Promise<void> {
    const response = await fetch(`${this.addressUrl}/moto-api/reset`, { method: 'POST' });
    if (!response.ok) throw new Error(`moto-api/reset answered ${response.status}`);
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('close', resolve));
    this.#process.kill('SIGTERM');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP listener has no port');
  await new Promise((resolve) => listener.close(resolve));
  return address.port;
}
