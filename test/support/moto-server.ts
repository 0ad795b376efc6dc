/**
 * The AWS emulator `moto_server` as a child process, on a free port of 127.0.0.1. Its account is 123456789012.
 *
 * @module
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

export const MOTO_ACCOUNT = '123456789012';

/** One run of a deployed function. */
export interface Invocation {
  readonly functionName: string;
  readonly event: unknown;
  /** What it printed. */
  readonly printed: string;
  readonly answer: unknown;
  readonly failed: boolean;
}

export interface MotoOptions {
  /**
   * Mends what `aws-emulator.py` lists: deployed functions run, and a queue keeps the order of FIFO groups. Default:
   * plain moto.
   */
  readonly mended?: boolean;
  /** With `mended`: the value of every secret that CloudFormation generates. Default: random. */
  readonly generatedSecret?: string;
}

export class MotoServer {
  readonly port: number;
  readonly invocations: Invocation[] = [];
  readonly #process: ChildProcess;
  readonly #waiting = new Set<(invocation: Invocation) => void>();

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.#process = child;
  }

  /** Starts an emulator and waits until it listens. Throws, with how to install it, where there is none. */
  static async start(options: MotoOptions = {}): Promise<MotoServer> {
    const port = await freePort();
    const [command, args] = options.mended
      ? ['python3', ['test/support/aws-emulator.py', String(port)]]
      : ['moto_server', ['-H', '127.0.0.1', '-p', String(port)]];
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, GENERATED_SECRET: options.generatedSecret ?? '' },
    });
    process.once('exit', () => child.kill('SIGKILL'));
    const server = new MotoServer(port, child);
    await server.#ready();
    return server;
  }

  /** By name: the CDK CLI needs `localhost` to address its bucket by path. */
  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** By address: the Serverless Framework needs an IP address to do the same. */
  get addressUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What AWS tools need to talk to this emulator and to nothing else. */
  get environment(): Readonly<Record<string, string>> {
    return {
      AWS_ENDPOINT_URL: this.url,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  /** Resolves with the first run that `matches`, also one in the past. */
  invoked(matches: (invocation: Invocation) => boolean): Promise<Invocation> {
    const past = this.invocations.find(matches);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      const listener = (invocation: Invocation): void => {
        if (!matches(invocation)) return;
        this.#waiting.delete(listener);
        resolve(invocation);
      };
      this.#waiting.add(listener);
    });
  }

  /** Forgets everything that was created. */
  async reset(): Promise<void> {
    const response = await fetch(`${this.addressUrl}/moto-api/reset`, { method: 'POST' });
    if (!response.ok) throw new Error(`moto-api/reset answered ${response.status}`);
    this.invocations.length = 0;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('close', resolve));
    this.#process.kill('SIGKILL');
    await ended;
  }

  #ready(): Promise<void> {
    const said: string[] = [];
    return new Promise<void>((resolve, reject) => {
      this.#process.once('error', (error) =>
        reject(new Error(`moto cannot be started; install it with: pip install 'moto[server]'`, { cause: error })),
      );
      this.#process.once('close', () => reject(new Error(`moto ended at start:\n${said.join('\n')}`)));
      for (const stream of [this.#process.stdout, this.#process.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on('line', (line) => {
          said.push(line);
          if (said.length > 30) said.shift();
          if (line.includes('Running on http://')) resolve();
          if (line.startsWith('invoked ')) this.#heard(JSON.parse(line.slice('invoked '.length)));
        });
      }
    });
  }

  #heard(invocation: Invocation): void {
    this.invocations.push(invocation);
    for (const listener of [...this.#waiting]) listener(invocation);
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
