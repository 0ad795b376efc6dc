/**
 * Drain and pull as the HTTP routes and the ops page start them: one of each queue at a time, ended when the server
 * stops.
 *
 * @module
 */

import type { RealQueues } from '../aws/real-queues.ts';
import { TransferError } from '../aws/real-queues.ts';
import { isNameOf, type QueueArn } from '../queue/names.ts';
import type { StoredDirectory } from '../queue/stored-directory.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import type { QueueKey } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import { type DrainResult, runDrain } from './drain.ts';
import { type PullResult, runPull } from './pull.ts';
import type { OnTransfer, TransferEvent } from './transfer.ts';

interface TransferRequest {
  /** Ends it early, after the calls under way. */
  readonly signal?: AbortSignal;
  readonly onEvent: OnTransfer;
  /** Drain: also stay until delayed messages are due and moved. */
  readonly waitForDelayed?: boolean;
}

export type TransferKind = 'drain' | 'pull';

export interface Transfers {
  /**
   * The queue of this name, key, `account/region/name` or ARN, of those that `reaches` lets through; default: of all.
   * Errors: `TransferError` (none, or several of that name).
   */
  find(text: string, reaches?: (queue: QueueArn) => boolean): StoredQueue;
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
    find: (text, reaches = () => true) => {
      const found = directory
        .all()
        .filter((queue) => isNameOf(text, queue.arn))
        .filter(({ arn }) => reaches(arn));
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
