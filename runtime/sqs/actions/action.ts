/**
 * What an action of the SQS API is, and what it works with.
 *
 * @module
 */

import type { QueueDirectory } from '../../queue/directory.ts';
import type { MoveTasks } from '../../queue/move-task.ts';
import { type QueueArn, type QueueRef, queueKey } from '../../queue/names.ts';
import type { CallerSignal, Queue } from '../../queue/queue.ts';
import type { QueueKey } from '../../store/store.ts';
import type { Randomness } from '../../time.ts';
import { SqsError } from '../errors.ts';
import { FORBIDDEN_CHARACTER, MAX_TRACE_HEADER_LENGTH } from '../limits.ts';
import type { ActionName, Input, Output } from '../protocol/model.ts';
import { parseQueueUrl } from '../queue-url.ts';
import type { Caller, Scope, SendSource, SqsRequest } from '../request.ts';

/** One PurgeQueue a minute on each queue. */
export interface PurgeInterval {
  /**
   * Runs a purge and notes it; `false` if the last one was less than 60 seconds ago. Errors: those of `purge`,
   * `StoreUnavailableError`.
   */
  run(queue: QueueKey, purge: () => Promise<void>): Promise<boolean>;
  /** The queue is gone. Errors: `StoreUnavailableError`. */
  forget(queue: QueueKey): Promise<void>;
}

/** What the actions of one server share. */
export interface Services {
  readonly directory: QueueDirectory;
  readonly moveTasks: MoveTasks;
  readonly purges: PurgeInterval;
  readonly randomness: Randomness;
  /** The longest `DelaySeconds` of a message; 900 as in SQS, more where the operator allows it. */
  readonly maxDelaySeconds: number;
  /**
   * Queues made by CreateQueue that may exist at one time. Each server counts those it knows, so several may pass it by
   * what they make in one moment.
   */
  readonly maxQueues: number;
  /** Creations under way: the queues, and with which credential. They count as if they were there. */
  readonly creations: Map<QueueKey, string>;
  /** QueueUrls that were read before. They name queues that may not exist. */
  readonly named: Map<string, NamedQueue>;
  /** Whether the store has room for so many messages and bytes of a caller who may not manage. */
  readonly hasRoom: (messages: number, bytes: number) => boolean;
  /** Why queues of this place may exist that the directory does not know yet; `undefined`: it knows all. */
  readonly unknownQueues: (place: Pick<QueueArn, 'account' | 'region'>) => string | undefined;
  /** Told of messages that were stored, and where they came from. */
  readonly sent?: ((queue: QueueKey, source: SendSource, messages: number) => void) | undefined;
}

/** What one request brings beside its input. */
export interface Call extends Services {
  readonly caller: Caller;
  /** What QueueUrls in the answer begin with. */
  readonly endpoint: string;
  readonly signal: CallerSignal;
  /** The `X-Amzn-Trace-Id` header. */
  readonly traceHeader: string | undefined;
  readonly source: SendSource;
}

export interface Action<N extends ActionName> {
  /** Errors, thrown or by the promise: `SqsError`, and those of the store. */
  run(input: Input<N>, call: Call): Promise<Output<N>>;
}

/** What a caller needs for an action: one scope, or any of them for what only reads. */
export type Need = Scope | 'any';

const EVERY_SCOPE: readonly Scope[] = ['send', 'consume', 'manage'];

/** Errors: `AccessDenied`, before anything is said about whether the queue exists. */
export function authorize(action: ActionName, need: Need, call: Pick<Call, 'caller'>, queue?: QueueRef): void {
  const scopes = need === 'any' ? EVERY_SCOPE : [need];
  if (scopes.some((scope) => call.caller.allows(scope, queue))) return;
  const resource = queue === undefined ? 'any queue' : `queue ${nameFor(call.caller, queue)}`;
  const scope = need === 'any' ? 'any scope' : `the scope "${need}"`;
  throw new SqsError(
    'AccessDenied',
    `${call.caller.senderId} is not authorized to perform: sqs:${action} on ${resource}. Its credential needs ${scope} for it.`,
  );
}

/** A queue as a caller must name it in a credential: with account and region where there are several. */
function nameFor({ regionOf }: Pick<Caller, 'regionOf'>, { account, region, name }: QueueRef): string {
  return regionOf === undefined ? name : `${account}/${region}/${name}`;
}

/**
 * Takes messages and their bytes from the share of the caller's credential and from what the store has for those who
 * may not manage. `undefined`: at once, as for most callers. Errors: `RequestThrottled`, which SDKs try again after a
 * pause; `OverLimit`.
 */
export function takeShare(
  call: Pick<Call, 'caller' | 'hasRoom'>,
  queue: Queue,
  messages: number,
  bytes: number,
): Promise<void> | undefined {
  const { share, senderId } = call.caller;
  if (share?.takeSends?.(messages) === false) {
    throw new SqsError('RequestThrottled', `${senderId} sends more messages a second than its share.`);
  }
  if (!call.hasRoom(messages, bytes) && !call.caller.allows('manage')) {
    throw new SqsError(
      'OverLimit',
      'The store of messages is nearly full, and what is left is kept for credentials with the scope manage. Receive and delete messages, or give the store more memory.',
    );
  }
  return share?.takeRoom?.(queue, messages, bytes).then((lacking) => {
    if (lacking === undefined) return;
    throw new SqsError(
      'OverLimit',
      `${senderId} may have no more ${lacking} in the queues that it sends to: its share is used up until some are received and deleted.`,
    );
  });
}

/** Whether the caller has any scope for a queue. */
export function mayRead(call: Pick<Call, 'caller'>, queue: QueueRef): boolean {
  return EVERY_SCOPE.some((scope) => call.caller.allows(scope, queue));
}

/** The queue of this identity. Errors: `QueueDoesNotExist`, `ServiceUnavailable` (nobody knows yet). */
export async function requireQueue(call: Pick<Call, 'directory' | 'unknownQueues'>, arn: QueueArn): Promise<Queue> {
  const queue = await call.directory.find(queueKey(arn));
  if (queue !== undefined) return queue;
  // An SDK gives up on a queue that does not exist, and tries again on 503.
  const why = call.unknownQueues(arn);
  throw why === undefined ? new SqsError('QueueDoesNotExist') : new SqsError('ServiceUnavailable', why);
}

/** The queue that a QueueUrl names. */
interface NamedQueue {
  readonly arn: QueueArn;
  readonly key: QueueKey;
}

const KEPT_QUEUE_URLS = 1_000;
/** An account, a queue name, a token and a long host take 400. */
const LONGEST_KEPT_QUEUE_URL = 512;

/**
 * Reads a QueueUrl. It is kept where it names the same queue for every caller: where it has an account, the server has
 * one region, and it is not so long that what strangers send could fill the memory.
 */
function namedBy(queueUrl: string, { caller, named }: Pick<Call, 'caller' | 'named'>): NamedQueue {
  const arn = parseQueueUrl(queueUrl, caller);
  const found = { arn, key: queueKey(arn) };
  if (caller.regionOf === undefined && queueUrl.includes('/') && queueUrl.length <= LONGEST_KEPT_QUEUE_URL) {
    if (named.size >= KEPT_QUEUE_URLS) named.clear();
    named.set(queueUrl, found);
  }
  return found;
}

/** An action on the queue of its QueueUrl: authorizes, finds the queue, runs. */
export function queueAction<N extends ActionName>(
  name: N,
  need: Need,
  run: (queue: Queue, input: Input<N>, call: Call) => Promise<Output<N>>,
): Action<N> {
  return {
    run(input, call) {
      // Every caller of this function names an action whose input has a QueueUrl; the type of a generic input cannot
      // say so.
      const { QueueUrl = '' } = input as { readonly QueueUrl?: string };
      const { regionOf } = call.caller;
      const named = (regionOf === undefined ? call.named.get(QueueUrl) : undefined) ?? namedBy(QueueUrl, call);
      if (need === 'any' || !call.caller.allows(need, named.arn)) authorize(name, need, call, named.arn);
      const queue = call.directory.byKey(named.key);
      // Known almost always, and then without a turn of the event loop.
      if (queue !== undefined) return run(queue, input, call);
      return requireQueue(call, named.arn).then((found) => run(found, input, call));
    },
  };
}

/** Errors: `UnsupportedOperation`, if AWS owns the queue: its attributes, tags and existence are changed there. */
export function requireOwn(queue: Queue, action: ActionName): void {
  const { origin } = queue.definition;
  if (origin === 'api') return;
  if (origin === 'left-over' && action === 'DeleteQueue') return;
  const why =
    origin === 'aws'
      ? 'belongs to AWS: change it in AWS, then sync (POST /sync)'
      : 'is no longer named by AWS and only kept until its messages are gone: receive, move, purge or delete them';
  throw new SqsError('UnsupportedOperation', `${action} is not supported here: queue ${queue.arn.name} ${why}.`);
}

/*
 * A request as the actions see it.
 */

const SDK: SendSource = { kind: 'sdk' };

/**
 * What most actions never ask for (the signal, the trace header) is looked up only when one does: a send should not pay
 * for it.
 */
export class RequestCall implements Call {
  readonly directory: Services['directory'];
  readonly moveTasks: Services['moveTasks'];
  readonly purges: Services['purges'];
  readonly randomness: Services['randomness'];
  readonly maxDelaySeconds: number;
  readonly maxQueues: number;
  readonly creations: Services['creations'];
  readonly named: Services['named'];
  readonly hasRoom: Services['hasRoom'];
  readonly caller: Caller;
  readonly sent: Services['sent'];
  readonly unknownQueues: Services['unknownQueues'];
  readonly source: SendSource;
  readonly #request: SqsRequest;

  constructor(services: Services, request: SqsRequest) {
    this.directory = services.directory;
    this.moveTasks = services.moveTasks;
    this.purges = services.purges;
    this.randomness = services.randomness;
    this.maxDelaySeconds = services.maxDelaySeconds;
    this.maxQueues = services.maxQueues;
    this.creations = services.creations;
    this.named = services.named;
    this.hasRoom = services.hasRoom;
    this.caller = request.caller;
    this.sent = services.sent;
    this.unknownQueues = services.unknownQueues;
    this.source = request.source ?? SDK;
    this.#request = request;
  }

  get signal(): CallerSignal {
    return this.#request.signal;
  }

  get endpoint(): string {
    return this.#request.endpoint;
  }

  /** Set by X-Ray and by API Gateway; anything that could not be given back as text is not one. */
  get traceHeader(): string | undefined {
    const header = this.#request.headers('x-amzn-trace-id');
    if (header === undefined || header === '' || header.length > MAX_TRACE_HEADER_LENGTH) return undefined;
    return FORBIDDEN_CHARACTER.test(header) ? undefined : header;
  }
}
