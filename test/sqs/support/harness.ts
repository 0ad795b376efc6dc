/**
 * The SQS API in this process, over a real store, called as HTTP would call it.
 *
 * @module
 */

import { DEFAULT_ATTRIBUTES, type QueueAttributes } from '../../../runtime/queue/definition.ts';
import type { DiscoveredQueue } from '../../../runtime/queue/directory.ts';
import { parseQueueArn } from '../../../runtime/queue/names.ts';
import { createDirectory, type StoredDirectory } from '../../../runtime/queue/stored-directory.ts';
import { createMoveTasks } from '../../../runtime/queue/stored-move-tasks.ts';
import { createSqsApi, type SqsApi } from '../../../runtime/sqs/api.ts';
import type { ActionName } from '../../../runtime/sqs/protocol/model.ts';
import type { Caller, Scope, SqsRequest, SqsResponse } from '../../../runtime/sqs/request.ts';
import type { Store } from '../../../runtime/store/store.ts';
import { systemRandomness } from '../../../runtime/time.ts';
import type { ManualTime } from '../../support/manual-time.ts';
import { fromXml, type PlainInput, type PlainOutput, parseXml, toForm } from './wire.ts';

export type Protocol = 'json' | 'query';
export const PROTOCOLS: readonly Protocol[] = ['json', 'query'];

export const ACCOUNT = '123456789012';
const REGION = 'eu-central-1';
export const ENDPOINT = 'https://queues.example/base';

/** What a refused call says, in either protocol. */
export interface Refusal {
  readonly status: number;
  /** `Code` of the Query protocol, which JSON answers carry in a header. */
  readonly code: string;
  readonly message: string;
}

export interface HarnessOptions {
  readonly store: Store;
  readonly time: ManualTime;
  readonly maxDelaySeconds?: number;
  /** Default: that of SQS. */
  readonly inFlightLimit?: number;
}

export interface RequestOptions {
  readonly caller?: Caller;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export const ANYBODY: Caller = { senderId: 'AIDATESTER', account: ACCOUNT, region: REGION, allows: () => true };

/** A caller with these scopes for queues whose names begin with `prefix`. */
export function callerWith(scopes: readonly Scope[], prefix = ''): Caller {
  const reaches = (name: string | undefined): boolean => name === undefined || name.startsWith(prefix);
  return { ...ANYBODY, allows: (scope, queue) => scopes.includes(scope) && reaches(queue?.name) };
}

export function queueUrl(name: string): string {
  return `${ENDPOINT}/${ACCOUNT}/${name}`;
}

export function queueArnText(name: string): string {
  return `arn:aws:sqs:${REGION}:${ACCOUNT}:${name}`;
}

/** A queue that AWS names. */
export function discovered(name: string, attributes: Partial<QueueAttributes> = {}): DiscoveredQueue {
  const arn = parseQueueArn(queueArnText(name));
  if (arn === undefined) throw new Error(`${name} is no queue name`);
  return { arn, attributes: { ...DEFAULT_ATTRIBUTES, ...attributes }, tags: { owner: 'aws' } };
}

export class Harness {
  readonly api: SqsApi;
  readonly directory: StoredDirectory;
  readonly store: Store;
  readonly time: ManualTime;
  /** What the API could not foresee; a test that expects none fails on the first. */
  readonly reported: readonly unknown[];
  readonly #close: () => Promise<void>;
  #requests = 0;

  private constructor(parts: Pick<Harness, 'api' | 'directory' | 'store' | 'time' | 'reported' | 'close'>) {
    this.store = parts.store;
    this.time = parts.time;
    this.directory = parts.directory;
    this.api = parts.api;
    this.reported = parts.reported;
    this.#close = parts.close;
  }

  static async open(options: HarnessOptions): Promise<Harness> {
    const { store, time, inFlightLimit } = options;
    const parts = { store, time, randomness: systemRandomness, notify: () => {} };
    const directory = await createDirectory({ ...parts, ...(inFlightLimit === undefined ? {} : { inFlightLimit }) });
    const moveTasks = await createMoveTasks({ ...parts, directory });
    const reported: unknown[] = [];
    const api = createSqsApi({
      directory,
      moveTasks,
      documents: store.documents,
      time,
      randomness: systemRandomness,
      maxDelaySeconds: options.maxDelaySeconds ?? 900,
      report: (error) => reported.push(error),
    });
    const close = async (): Promise<void> => {
      await moveTasks.close();
      directory.close();
      await store.close();
    };
    return new Harness({ api, directory, store, time, reported, close });
  }

  async close(): Promise<void> {
    await this.#close();
  }

  /**
   * Lets time pass. A test's clock jumps while answers of Redis are on the way, which real time never does, so what the
   * queues know of their heads may be too late by the jump; they forget it.
   */
  async pass(ms: number): Promise<void> {
    await this.time.advanceAsync(ms);
    for (const queue of this.directory.all()) queue.watch.forget();
  }

  /** Calls an action and answers its result; anything but a success is an error. */
  async ok<N extends ActionName>(
    protocol: Protocol,
    action: N,
    input: PlainInput<N>,
    options: RequestOptions = {},
  ): Promise<PlainOutput<N>> {
    const response = await this.call(protocol, action, input, options);
    if (response.status !== 200) throw new Error(`${action}: ${response.status} ${response.body}`);
    const result = protocol === 'query' ? fromXml(action, response.body) : JSON.parse(response.body || '{}');
    // What came over the wire was written by the model that this type is derived from; the assertions of the tests look
    // at the values.
    return result as PlainOutput<N>;
  }

  /** Calls an action that must be refused. */
  async refused<N extends ActionName>(
    protocol: Protocol,
    action: N,
    input: PlainInput<N>,
    options: RequestOptions = {},
  ): Promise<Refusal> {
    return refusalOf(await this.call(protocol, action, input, options));
  }

  async call(protocol: Protocol, action: string, input: object, options: RequestOptions = {}): Promise<SqsResponse> {
    if (protocol === 'json') {
      const headers = { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` };
      return this.send({ ...options, headers: { ...headers, ...options.headers }, body: JSON.stringify(input) });
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' };
    // An action that is none has no members either; its name is all that matters.
    const form = toForm(action as ActionName, input);
    return this.send({ ...options, headers: { ...headers, ...options.headers }, body: form.toString() });
  }

  /** Sends a request as it is. */
  send(
    request: RequestOptions & {
      readonly method?: string;
      readonly query?: string;
      readonly body?: string | Uint8Array;
    },
  ): Promise<SqsResponse> {
    this.#requests += 1;
    const headers = new Map(Object.entries(request.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
    const body = request.body ?? '';
    const whole: SqsRequest = {
      method: request.method ?? 'POST',
      path: request.path ?? '/',
      query: request.query ?? '',
      headers: (name) => headers.get(name.toLowerCase()),
      requestId: `00000000-0000-4000-8000-${String(this.#requests).padStart(12, '0')}`,
      body: typeof body === 'string' ? Buffer.from(body) : body,
      endpoint: ENDPOINT,
      caller: request.caller ?? ANYBODY,
      signal: request.signal ?? new AbortController().signal,
    };
    return this.api.handle(whole);
  }
}

/** Reads an error answer in whichever protocol it is. */
export function refusalOf(response: SqsResponse): Refusal {
  const { status, headers, body } = response;
  if (headers['content-type'] === 'application/x-amz-json-1.0') {
    const { message } = JSON.parse(body) as { readonly message: string };
    const [code = ''] = (headers['x-amzn-query-error'] ?? '').split(';');
    return { status, code, message };
  }
  const { ErrorResponse } = parseXml(body) as { readonly ErrorResponse?: { readonly Error: Record<string, string> } };
  return { status, code: ErrorResponse?.Error['Code'] ?? '', message: ErrorResponse?.Error['Message'] ?? body };
}
