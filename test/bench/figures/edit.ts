import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Bench } from '../bench.ts';
import { type Figure, percentile } from '../figure.ts';

/** A project with one function `Worker`, whose queue is `jobs`. */
interface Kind {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  /** The file that is edited, and its text with a word that it prints before each body. */
  readonly handler: string;
  text(word: string): string;
}

const typescript = (word: string): string => `
import { SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
const Body = z.string();
export const client = new SQSClient({});
export const handler = async (event: { Records: { body: string }[] }): Promise<void> => {
  for (const { body } of event.Records) console.log('edit ${word}', Body.parse(body));
};
`;
const python = (word: string): string => `
import json
def handler(event, context):
    for record in event["Records"]:
        print("edit ${word}", record["body"])
`;
const sam = (runtime: string, handler: string): string => `
Transform: AWS::Serverless-2016-10-31
Resources:
  Queue: { Type: AWS::SQS::Queue, Properties: { QueueName: jobs } }
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: Worker
      Runtime: ${runtime}
      Handler: ${handler}
      CodeUri: src
      Events:
        Jobs: { Type: SQS, Properties: { Queue: !GetAtt Queue.Arn, Enabled: false, BatchSize: 1 } }
`;

const KINDS: readonly Kind[] = [
  {
    name: 'CDK NodejsFunction',
    handler: 'src/worker.ts',
    text: typescript,
    files: {
      'cdk.json': JSON.stringify({ app: 'node app.cjs' }),
      'package.json': '{"name":"shop"}',
      'package-lock.json': '{"name":"shop","lockfileVersion":3,"packages":{}}',
      'app.cjs': `
        const cdk = require('aws-cdk-lib');
        const { Runtime } = require('aws-cdk-lib/aws-lambda');
        const { NodejsFunction } = require('aws-cdk-lib/aws-lambda-nodejs');
        const { SqsEventSource } = require('aws-cdk-lib/aws-lambda-event-sources');
        const sqs = require('aws-cdk-lib/aws-sqs');
        const app = new cdk.App();
        const stack = new cdk.Stack(app, 'Shop');
        const queue = new sqs.Queue(stack, 'Queue', { queueName: 'jobs' });
        const worker = new NodejsFunction(stack, 'Worker', {
          functionName: 'Worker',
          entry: __dirname + '/src/worker.ts',
          runtime: Runtime.NODEJS_22_X,
          projectRoot: __dirname,
          depsLockFilePath: __dirname + '/package-lock.json',
        });
        worker.addEventSource(new SqsEventSource(queue, { enabled: false, batchSize: 1 }));
        app.synth();`,
    },
  },
  {
    name: 'SAM',
    handler: 'src/worker.ts',
    text: typescript,
    files: { 'template.yaml': sam('nodejs22.x', 'worker.handler') },
  },
  {
    name: 'serverless.yml',
    handler: 'src/worker.ts',
    text: typescript,
    files: {
      'serverless.yml': `
service: shop
provider: { name: aws, runtime: nodejs22.x }
functions:
  worker:
    name: Worker
    handler: src/worker.handler
    events: [{ sqs: { arn: !GetAtt Queue.Arn, enabled: false, batchSize: 1 } }]
resources:
  Resources:
    Queue: { Type: AWS::SQS::Queue, Properties: { QueueName: jobs } }
`,
    },
  },
  {
    name: 'Python',
    handler: 'src/worker.py',
    text: python,
    files: { 'template.yaml': sam('python3.12', 'worker.handler') },
  },
];

/**
 * From the moment at which an edited handler is saved until it has handled a message, while messages are sent one after
 * the other.
 */
export async function edit(bench: Bench): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const kind of KINDS) {
    const samples = await measure(bench, kind);
    const note = `${samples.length} edits; p50 ${percentile(samples, 0.5).toFixed(0)} ms`;
    const name = `edit of a handler to live, p95 (${kind.name})`;
    const bound = { kind: 'at-most', value: 1_000 } as const;
    figures.push({ name, value: percentile(samples, 0.95), unit: 'ms', bound, note });
  }
  return figures;
}

async function measure(bench: Bench, kind: Kind): Promise<readonly number[]> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'karin-bench-')));
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  for (const [path, text] of Object.entries(kind.files)) put(path, text);
  put(kind.handler, kind.text('v0'));
  const dev = new DevServer(bench.node, bench.command, folder);
  try {
    const origin = await dev.ready();
    let sent = 0;
    /** Sends a message, and resolves with the word of the code that handled it. */
    const probe = async (): Promise<string> => {
      sent += 1;
      const handled = dev.line(new RegExp(`edit (\\S+) m${sent}$`));
      const answer = await fetch(origin, {
        method: 'POST',
        headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.SendMessage' },
        body: JSON.stringify({ QueueUrl: `${origin}/000000000000/jobs`, MessageBody: `m${sent}` }),
      });
      if (!answer.ok) throw new Error(`SendMessage: ${answer.status} ${await answer.text()}`);
      return handled;
    };
    await probe();
    const samples: number[] = [];
    const edits = bench.size(60, 8);
    for (let n = 1; n <= edits; n += 1) {
      const savedAt = performance.now();
      put(kind.handler, kind.text(`v${n}`));
      const givenUpAt = savedAt + 30_000;
      while ((await probe()) !== `v${n}`) {
        if (performance.now() > givenUpAt) throw new Error(`${kind.name}: an edit was not live after 30 s`);
      }
      // The first edit makes what the others find made: it is as much a part of a day as the others, and is counted.
      samples.push(performance.now() - savedAt);
    }
    return samples;
  } finally {
    await dev.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The built `karin dev` as a child process. */
class DevServer {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #waiting: (() => void) | undefined;

  constructor(node: string, command: string, project: string) {
    const { PATH = '', HOME = '' } = process.env;
    const args = [command, 'dev', '--project', project];
    this.#child = spawn(node, args, { env: { PATH, HOME, PORT: '0' }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on('line', (line) => {
        this.#lines.push(line);
        this.#waiting?.();
      });
    }
    this.#child.once('exit', () => this.#waiting?.());
  }

  async ready(): Promise<string> {
    return this.line(/^karin ready (http\S+)$/);
  }

  /** What a line has where the pattern has its group; lines before are seen, too. */
  line(pattern: RegExp): Promise<string> {
    return new Promise((done, failed) => {
      const look = (): void => {
        const found = this.#lines.flatMap((line) => pattern.exec(line)?.[1] ?? []).at(-1);
        if (found !== undefined) done(found);
        else if (this.#child.exitCode !== null) failed(new Error(`karin dev ended:\n${this.#lines.join('\n')}`));
      };
      this.#waiting = look;
      look();
    });
  }

  stop(): Promise<void> {
    return new Promise((done) => {
      if (this.#child.exitCode !== null) return done();
      this.#child.once('exit', () => done());
      this.#child.kill('SIGINT');
    });
  }
}
