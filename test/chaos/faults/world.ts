/**
 * What every fault strikes: two whole servers on one Redis, eight queues, half of them FIFO, a Lambda on loopback, and
 * three producers of each queue that send batches of ten to the two servers in turn until each message was accepted, as
 * an SDK does.
 *
 * @module
 */
import { z } from 'zod';
import { systemTime } from '../../../runtime/time.ts';
import { ACCOUNT, type AwsEndpoint, startAwsEndpoint } from '../../support/aws-endpoint.ts';
import { type RunningServer, startServerProcess } from '../../support/karin-process.ts';
import { Ledger, type Sent } from './ledger.ts';

const SERVERS = 2;
const QUEUES = ['a', 'b', 'c', 'd'].flatMap((name) => [`plain-${name}`, `ordered-${name}.fifo`]);
/** Of each queue, so that servers always have something to do. */
const PRODUCERS = 3;
const BATCH = 10;
const TOKEN = 'chaos-token-chaos-token-chaos-token';
const PASSWORD = 'correct horse battery';
const FUNCTION_SECONDS = 1;

/** A producer waits before it repeats what was refused, each time twice as long as before, as SDKs do. */
const BACK_OFF_MS = { first: 50, longest: 400 };
/** How often is looked whether queues are empty. */
const LOOK_MS = 200;

const batchAnswer = z.object({ Successful: z.array(z.object({ Id: z.string() })).default([]) });
const depths = z.object({ Attributes: z.record(z.string(), z.string()) });

export interface WorldOptions {
  /** The address of Redis for each server, from 0. */
  readonly redisUrl: (server: number) => string;
  /** Further settings of each server. */
  readonly environment?: (server: number) => Readonly<Record<string, string>>;
  /** The built command of Karin. */
  readonly command: string;
  /** Of the queues: how long a message is hidden from others while a function has it. */
  readonly leaseSeconds: number;
  /** An answer that takes longer is none for a producer. */
  readonly patienceMs: number;
}

export class World {
  readonly ledger = new Ledger();
  readonly aws: AwsEndpoint;
  /** Requests to send that were refused or not answered, by what was answered. */
  readonly refusals = new Map<string, number>();
  readonly #options: WorldOptions;
  readonly #servers: RunningServer[] = [];
  /** Everything that was ever started. */
  readonly #started: RunningServer[] = [];
  #limit = 0;
  #limitRaised: () => void = () => {};
  #limitChanged = new Promise<void>(() => {});

  private constructor(options: WorldOptions, aws: AwsEndpoint) {
    this.#options = options;
    this.aws = aws;
    aws.onInvoke = (event) => this.ledger.handle(event);
    this.allow(0);
  }

  static async start(options: WorldOptions): Promise<World> {
    const aws = await startAwsEndpoint(QUEUES, {
      mapping: { BatchSize: BATCH, FunctionResponseTypes: ['ReportBatchItemFailures'] },
      functionTimeoutSeconds: FUNCTION_SECONDS,
      visibilityTimeoutSeconds: options.leaseSeconds,
    });
    const world = new World(options, aws);
    await Promise.all(Array.from({ length: SERVERS }, (_, at) => world.startServer(at)));
    return world;
  }

  /** Starts one in the place of what was there. */
  async startServer(at: number): Promise<void> {
    const environment = {
      REDIS_URL: this.#options.redisUrl(at),
      KARIN_TOKENS: `${TOKEN}:send+consume+manage`,
      KARIN_ADMIN_PASSWORD: PASSWORD,
      ...this.aws.environment,
      ...this.#options.environment?.(at),
    };
    const server = await startServerProcess(environment, [], undefined, [this.#options.command]);
    this.#servers[at] = server;
    this.#started.push(server);
  }

  server(at: number): RunningServer {
    const server = this.#servers[at];
    if (server === undefined) throw new Error(`there is no server ${at}`);
    return server;
  }

  /** Asks every server to read AWS anew; what becomes of it is not waited for. */
  sync(): void {
    const headers = { authorization: `Bearer ${PASSWORD}` };
    for (const { url } of this.#servers) fetch(`${url}/sync`, { method: 'POST', headers }).catch(() => undefined);
  }

  /** Producers may send so many messages in all, in batches of ten. */
  allow(messages: number): void {
    this.#limit = messages;
    this.#limitRaised();
    this.#limitChanged = new Promise((resolve) => {
      this.#limitRaised = resolve;
    });
  }

  /** Resolves when so many messages were accepted: a multiple of ten. */
  async send(messages: number): Promise<void> {
    let begun = 0;
    const producer = async (queue: string, number: number): Promise<void> => {
      for (let batch = 0; ; batch += 1) {
        while (begun >= this.#limit && begun < messages) await this.#limitChanged;
        if (begun >= messages) return;
        begun += BATCH;
        await this.#insist(number + batch, batchOf(queue, number, batch));
      }
    };
    await Promise.all(
      Array.from({ length: PRODUCERS }, (_, number) => QUEUES.map((queue) => producer(queue, number))).flat(),
    );
  }

  /**
   * Resolves when all queues are empty, so that nothing will be delivered any more. A message that waits for its lease
   * to end is in flight, and counts.
   */
  async drained(): Promise<void> {
    for (;;) {
      if (await this.#areEmpty()) return;
      await pause(LOOK_MS);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#started.map((server) => server.kill()));
    await this.aws.close();
  }

  /** To one server, then the other, until all ten were accepted; `first`: where to begin, even or odd. */
  async #insist(first: number, batch: readonly Sent[]): Promise<void> {
    let left = batch;
    let backOffMs = BACK_OFF_MS.first;
    for (let attempt = first; ; attempt += 1) {
      for (const sent of left) this.ledger.begin(sent);
      const accepted = await this.#sendBatch(this.server(attempt % SERVERS), left);
      for (const sent of accepted) this.ledger.accept(sent);
      left = left.filter((sent) => !accepted.includes(sent));
      if (left.length === 0) return;
      await pause(backOffMs);
      backOffMs = Math.min(backOffMs * 2, BACK_OFF_MS.longest);
    }
  }

  async #sendBatch(server: RunningServer, batch: readonly Sent[]): Promise<readonly Sent[]> {
    const Entries = batch.map(({ body, group }, at) => ({
      Id: String(at),
      MessageBody: body,
      ...(group === undefined ? {} : { MessageGroupId: group, MessageDeduplicationId: body.replaceAll(' ', '-') }),
    }));
    const { status, text } = await call(
      server,
      'SendMessageBatch',
      { QueueUrl: urlOf(batch[0]?.queue ?? ''), Entries },
      this.#options.patienceMs,
    );
    const { Successful } = status === 200 ? batchAnswer.parse(JSON.parse(text)) : { Successful: [] };
    if (Successful.length < batch.length) this.#refused(status, text);
    const ids = new Set(Successful.map(({ Id }) => Id));
    return batch.filter((_, at) => ids.has(String(at)));
  }

  #refused(status: number, text: string): void {
    const what = status === 0 ? 'no answer' : `${status} ${/"(?:__type|Code)":"([^"]*)"/.exec(text)?.[1] ?? text}`;
    this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1);
  }

  async #areEmpty(): Promise<boolean> {
    for (const queue of QUEUES) {
      const input = { QueueUrl: urlOf(queue), AttributeNames: ['All'] };
      const { status, text } = await call(this.server(1), 'GetQueueAttributes', input, this.#options.patienceMs);
      if (status !== 200) return false;
      const { Attributes } = depths.parse(JSON.parse(text));
      for (const [name, value] of Object.entries(Attributes)) {
        if (name.startsWith('ApproximateNumberOfMessages') && value !== '0') return false;
      }
    }
    return true;
  }
}

/**
 * Ten messages; of a FIFO queue one of each of ten groups of this producer, so that a repeat of some of them keeps the
 * order.
 */
function batchOf(queue: string, producer: number, batch: number): readonly Sent[] {
  return Array.from({ length: BATCH }, (_, at) => {
    const group = `${producer}-${at}`;
    const body = `${queue} ${group} ${batch}`;
    return queue.endsWith('.fifo') ? { body, queue, group, position: batch } : { body, queue, position: batch };
  });
}

function urlOf(queue: string): string {
  return `http://karin/${ACCOUNT}/${queue}`;
}

/** Status 0: there was no answer. */
async function call(
  server: RunningServer,
  action: string,
  input: object,
  patienceMs: number,
): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(`${server.url}/k/${TOKEN}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
      body: JSON.stringify(input),
      signal: AbortSignal.timeout(patienceMs),
    });
    return { status: response.status, text: await response.text() };
  } catch {
    return { status: 0, text: '' };
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void systemTime.after(ms, resolve));
}
