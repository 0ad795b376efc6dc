/**
 * A local Lambda over a folder of its own, the ordinary SDK client for it, and what its functions printed.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { InvokeCommand, type InvokeCommandOutput, LambdaClient } from '@aws-sdk/client-lambda';
import { LocalLambda, type LocalLambdaOptions, ownNodeModules } from '../../runtime/dev/local-lambda.ts';
import type { TemplateApplication, TemplateFunction } from '../../runtime/dev/template/model.ts';
import { systemRandomness, systemTime } from '../../runtime/time.ts';

export class ScratchLambda {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-local-')));
  readonly lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  #lambda: LocalLambda | undefined;
  #client: LambdaClient | undefined;

  async start(changes: Partial<LocalLambdaOptions> = {}): Promise<LocalLambda> {
    const own = ownNodeModules();
    this.#lambda = await LocalLambda.start({
      region: 'eu-west-1',
      folder: this.folder,
      sqsOrigin: 'http://127.0.0.1:4999',
      workFolder: join(this.folder, '.karin'),
      cacheFolder: join(this.folder, '.cache'),
      nodeModules: own === undefined ? [] : [own],
      environment: process.env,
      output: {
        line: (name, text) => {
          this.lines.push(`[${name}] ${text}`);
          for (const listener of this.#listeners) listener();
        },
      },
      time: systemTime,
      randomness: systemRandomness,
      ...changes,
    });
    this.#client = new LambdaClient({
      endpoint: this.#lambda.origin,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      maxAttempts: 1,
    });
    return this.#lambda;
  }

  get lambda(): LocalLambda {
    if (this.#lambda === undefined) throw new Error('start() comes first');
    return this.#lambda;
  }

  get client(): LambdaClient {
    if (this.#client === undefined) throw new Error('start() comes first');
    return this.#client;
  }

  async stop(): Promise<void> {
    this.#client?.destroy();
    await this.#lambda?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Writes a file below the folder and returns its path. */
  write(path: string, text: string, mode = 0o644): string {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text, { mode });
    return file;
  }

  /** A function whose code is this folder, unless `changes` say otherwise. */
  define(changes: Partial<TemplateFunction> = {}): TemplateFunction {
    const name = changes.name ?? 'fn';
    return {
      name,
      arn: `arn:aws:lambda:eu-west-1:000000000000:function:${name}`,
      runtime: 'nodejs22.x',
      handler: 'index.handler',
      code: { kind: 'folder', path: this.folder },
      layers: [],
      timeoutSeconds: 10,
      memoryMegabytes: 128,
      environment: {},
      aliases: [],
      ...changes,
    };
  }

  apply(functions: readonly TemplateFunction[], rest: Partial<TemplateApplication> = {}): void {
    this.lambda.apply({
      fed: { feeds: [], unknown: [] },
      web: { apis: [], notes: [] },
      functions,
      mappings: [],
      broken: [],
      queues: [],
      problems: [],
      ...rest,
    });
  }

  async invoke(
    name: string,
    event: unknown = {},
  ): Promise<{ readonly answer: InvokeCommandOutput; readonly value: unknown }> {
    const answer = await this.client.send(
      new InvokeCommand({ FunctionName: name, Payload: Buffer.from(JSON.stringify(event)) }),
    );
    const text = Buffer.from(answer.Payload ?? []).toString('utf8');
    return { answer, value: text === '' ? undefined : JSON.parse(text) };
  }

  /** Resolves as soon as a line with `part` was printed. */
  printed(part: string): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!this.lines.some((line) => line.includes(part))) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      look();
    });
  }
}
