/**
 * A project in a folder of its own, run by `karin dev` in this process: the same reading and the same invoking, without
 * the start of another Node.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SendMessageCommand, type SendMessageCommandInput, SQSClient } from '@aws-sdk/client-sqs';
import { type Dev, type DevOptions, startDev } from '../../runtime/cli/dev.ts';

/** Texts by path. */
export type Files = Readonly<Record<string, string>>;

export class ScratchProject {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-project-')));
  readonly lines: string[] = [];
  readonly #listeners = new Set<() => void>();
  #dev: Dev | undefined;
  #sqs: SQSClient | undefined;

  constructor(files: Files = {}) {
    this.write(files);
  }

  write(files: Files): void {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(this.folder, path)), { recursive: true });
      writeFileSync(join(this.folder, path), text);
    }
  }

  /** Starts it with mappings that are enabled served, too: projects of strangers have no others. */
  async start(options: DevOptions = {}): Promise<Dev> {
    const { PATH = '', HOME = '' } = process.env;
    this.#dev = await startDev({
      project: this.folder,
      port: 0,
      watch: false,
      all: true,
      environment: { PATH, HOME },
      write: (text) => {
        this.lines.push(...text.split('\n').slice(0, -1));
        for (const listener of this.#listeners) listener();
      },
      ...options,
    });
    this.#sqs = new SQSClient({
      endpoint: this.#dev.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    });
    return this.#dev;
  }

  /** Everything it said and its functions printed. */
  get said(): string {
    return this.lines.join('\n');
  }

  /** What it said that it cannot do. */
  get warnings(): readonly string[] {
    return this.lines.filter((line) => line.startsWith('! '));
  }

  async send(queue: string, MessageBody: string, more: Partial<SendMessageCommandInput> = {}): Promise<void> {
    const QueueUrl = `${this.#dev?.url}/000000000000/${queue}`;
    await this.#sqs?.send(new SendMessageCommand({ QueueUrl, MessageBody, ...more }));
  }

  /** Resolves with the first line, said already or yet to come, that matches. */
  line(pattern: RegExp): Promise<string> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.lines.find((text) => pattern.test(text));
        if (found === undefined) return;
        this.#listeners.delete(look);
        resolve(found);
      };
      this.#listeners.add(look);
      look();
    });
  }

  async stop(): Promise<void> {
    this.#sqs?.destroy();
    await this.#dev?.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
