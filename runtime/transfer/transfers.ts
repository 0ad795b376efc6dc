/**
 * Drain and pull as the HTTP routes and the ops page start them: one of each queue at a time, ended when the server
 * stops.
 *
 * @module
 */

import type { RealQueues } from '../aws/real-queues.ts';
import type { QueueMode } from '../queue/definition.ts';
import { formatQueueArn, type QueueKey } from '../queue/names.ts';
import type { StoredDirectory } from '../queue/stored-directory.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import type { Randomness, Time } from '../time.ts';
import { type DrainResult, runDrain } from './drain.ts';
import { type PullResult, runPull } from './pull.ts';

export interface TransferRequest {
  /** Ends it early, after the calls under way. */
  readonly signal?: AbortSignal;
  readonly onEvent: OnTransfer;
  /** Drain: also stay until delayed messages are due and moved. */
  readonly waitForDelayed?: boolean;
}

export type TransferKind = 'drain' | 'pull';

export interface Transfers {
  /** The queue of this name, key or ARN. Errors: `TransferError` (none, or several of that name). */
  find(text: string): StoredQueue;
  /**
   * Takes what the forwarding of this server does by itself: it helps a drain, whose events and result contain it.
   * Whether a drain of this server took it.
   */
  forwarded(event: TransferEvent): boolean;
  /** What this server does with the queue now. */
  current(key: QueueKey): TransferKind | undefined;
  /**
   * Moves what is held here to SQS, and all that is sent from now on. Errors: `TransferError`, `StoreUnavailableError`.
   */
  drain(queue: StoredQueue, request: TransferRequest): Promise<DrainResult>;
  /** Brings here what waits in SQS. Errors: `TransferError`, `StoreFullError`, `StoreUnavailableError`. */
  pull(queue: StoredQueue, request: TransferRequest): Promise<PullResult>;
  /** Ends what is under way and waits for it. */
  close(): Promise<void>;
}

export interface TransfersParts {
  readonly directory: StoredDirectory;
  readonly realQueues: RealQueues;
  readonly time: Time;
  readonly randomness: Randomness;
}

export function createTransfers(parts: TransfersParts): Transfers {
  const { directory } = parts;
  const closing = new AbortController();
  const running = new Map<QueueKey, { readonly kind: TransferKind; readonly result: Promise<unknown> }>();
  const drains = new Map<QueueKey, OnTransfer>();

  const exclusively = <T>(
    kind: TransferKind,
    queue: StoredQueue,
    signal: AbortSignal | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ) => {
    if (running.has(queue.key)) throw new TransferError(`${queue.arn.name} is already being drained or pulled here`);
    const ended = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
    const result = run(ended).finally(() => running.delete(queue.key));
    running.set(queue.key, { kind, result });
    return result;
  };

  return {
    find: (text) => {
      const found = directory
        .all()
        .filter((queue) => [queue.arn.name, queue.key, formatQueueArn(queue.arn)].includes(text));
      const [queue, ...others] = found;
      if (queue === undefined) throw new TransferError(`there is no queue ${text}`);
      if (others.length > 0) {
        throw new TransferError(
          `several queues are named ${text}; say which: ${found.map((one) => one.key).join(', ')}`,
        );
      }
      return queue;
    },
    forwarded: (event) => {
      const drain = drains.get(event.queue);
      drain?.(event);
      return drain !== undefined;
    },
    current: (key) => running.get(key)?.kind,
    drain: async (queue, { signal, onEvent, waitForDelayed = false }) =>
      exclusively('drain', queue, signal, async (ended) => {
        let helped = 0;
        drains.set(queue.key, (event) => {
          if (event.kind === 'moved') helped += event.count;
          onEvent(event);
        });
        try {
          const result = await runDrain({ ...parts, queue, signal: ended, onEvent, waitForDelayed });
          return { ...result, moved: result.moved + helped };
        } finally {
          drains.delete(queue.key);
        }
      }),
    pull: async (queue, { signal, onEvent }) =>
      exclusively('pull', queue, signal, (ended) => runPull({ ...parts, queue, signal: ended, onEvent })),
    close: async () => {
      closing.abort();
      await Promise.allSettled([...running.values()].map(({ result }) => result));
    },
  };
}

/**
 * A transfer between Karin and SQS cannot go on, and trying again changes nothing: the queue does not exist in AWS, or
 * AWS refuses. The message says what mends it. Nothing is lost by it; the same command goes on where this one stopped.
 */
export class TransferError extends Error {
  override readonly name = 'TransferError';
}

/*
 * What a transfer between Karin and SQS reports while it runs: for the command line, the ops page and the log. Never a
 * message body.
 */

export type TransferEvent = { readonly queue: QueueKey } & (
  | { readonly kind: 'mode-changed'; readonly from: QueueMode; readonly to: QueueMode }
  /**
   * Held messages were accepted by SQS and deleted here. `total`: since this drain, or this server's forwarding of the
   * queue, began.
   */
  | { readonly kind: 'moved'; readonly count: number; readonly total: number }
  /** Messages of the real queue were stored here and deleted there. `total`: since this pull began. */
  | { readonly kind: 'pulled'; readonly count: number; readonly total: number }
  /** Nothing can be taken now, but there are messages: in flight (a function or another client has them) or delayed. */
  | { readonly kind: 'waiting'; readonly visible: number; readonly delayed: number; readonly inFlight: number }
  /** SQS or the store did not answer as it should; tried again after a pause. */
  | { readonly kind: 'retrying'; readonly inMs: number; readonly reason: string }
  /** SQS will never accept this message as it is; it stays here. */
  | { readonly kind: 'refused'; readonly messageId: string; readonly reason: string }
);

/** Takes the events of a transfer. It must not throw. */
export type OnTransfer = (event: TransferEvent) => void;
