/**
 * The forwarding service: moves what queues in mode `forward` hold, as it becomes due, for as long as the server runs.
 * Any number of instances may do so at once: leases keep them apart.
 *
 * @module
 */

import { batchesOf, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, type RealEntry, type RealQueues } from '../aws/real-queues.ts';
import type { QueueDirectory } from '../queue/directory.ts';
import type { OutgoingMessage, SentMessage } from '../queue/message.ts';
import { formatQueueArn } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import type { Forward } from '../queue/stored-queue.ts';
import { Attempts } from '../retry.ts';
import { type QueueKey, StoreUnavailableError } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import { giveBack, MOVE_LEASE_MS, type MoverOptions, moveLeased } from './drain.ts';
import type { OnTransfer } from './transfer.ts';

export interface ForwardingOptions {
  readonly directory: Pick<QueueDirectory, 'all' | 'subscribe'>;
  readonly realQueues: RealQueues;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly onEvent: OnTransfer;
}

export interface Forwarding {
  /** Stops taking messages; what is being sent is finished first. Call it before the directory is closed. */
  close(): Promise<void>;
}

/** A wait costs the store nothing, so its length does not matter. */
const WAIT_MS = 3_600_000;

/** Begins with the queues that are in mode `forward` now, and follows the directory from then on. */
export function startForwarding(options: ForwardingOptions): Forwarding {
  const running = new Map<QueueKey, { readonly stop: AbortController; readonly over: Promise<void> }>();

  const start = (queue: Queue): void => {
    const stop = new AbortController();
    const over = forwardUntil(queue, options, stop.signal).finally(() => {
      if (running.get(queue.key)?.stop === stop) running.delete(queue.key);
    });
    running.set(queue.key, { stop, over });
  };
  const follow = (queue: Queue, exists: boolean): void => {
    const wanted = exists && queue.definition.mode === 'forward';
    const current = running.get(queue.key);
    if (wanted && (current === undefined || current.stop.signal.aborted)) start(queue);
    else if (!wanted) current?.stop.abort();
  };

  const unsubscribe = options.directory.subscribe(({ kind, queue }) => follow(queue, kind !== 'removed'));
  for (const queue of options.directory.all()) follow(queue, true);
  return {
    close: async () => {
      unsubscribe();
      const all = [...running.values()];
      for (const { stop } of all) stop.abort();
      await Promise.all(all.map(({ over }) => over));
    },
  };
}

async function forwardUntil(queue: Queue, options: ForwardingOptions, signal: AbortSignal): Promise<void> {
  const { realQueues, onEvent, time, randomness } = options;
  const mover: MoverOptions = { queue, realQueues, onEvent };
  const onRetry = (inMs: number, reason: string): void => onEvent({ kind: 'retrying', queue: queue.key, inMs, reason });
  const attempts = new Attempts({ time, randomness, signal, onRetry });
  let total = 0;
  while (!signal.aborted) {
    await attempts.persist(async () => {
      const leased = await queue.receive({
        maxMessages: MAX_BATCH_ENTRIES,
        maxBytes: MAX_BATCH_BYTES,
        visibilityTimeoutMs: MOVE_LEASE_MS,
        waitMs: WAIT_MS,
        signal,
      });
      if (signal.aborted) return giveBack(mover, leased);
      const { moved, failed } = await moveLeased(mover, leased);
      total += moved;
      if (moved > 0) onEvent({ kind: 'moved', queue: queue.key, count: moved, total });
      if (failed !== undefined) throw new Error(failed);
    });
  }
}

/*
 * Mode `forward`, the direct way: what is sent to a standard queue here goes straight on to the real one, and the
 * sender is told SQS's own message id.
 *
 * Two kinds of sends never come this way; the queue keeps them, and the forwarding service moves them when they are
 * due: delays beyond 900 s, which SQS does not take, and everything for FIFO queues, so that nothing overtakes what is
 * held and a sender's repeat is still recognised here.
 */

/** So often the entries that SQS did not accept are sent again before the sender is told. */
const ATTEMPTS = 3;

/**
 * The port that queues in mode `forward` send through. Errors: `StoreUnavailableError`, which the sender's SDK retries;
 * parts of a batch may have been accepted then.
 */
export function createForwarder(realQueues: RealQueues): Forward {
  return async (queue, messages) => {
    const sent: SentMessage[] = [];
    for (const batch of batchesOf(messages)) {
      try {
        sent.push(...(await sendBatch(realQueues, queue, batch)));
      } catch (error) {
        if (error instanceof StoreUnavailableError) throw error;
        throw notAccepted(queue, error instanceof Error ? error.message : String(error), error);
      }
    }
    return sent;
  };
}

async function sendBatch(
  realQueues: RealQueues,
  queue: Parameters<Forward>[0],
  batch: readonly OutgoingMessage[],
): Promise<readonly SentMessage[]> {
  const sent = new Map<OutgoingMessage, SentMessage>();
  let reason = '';
  for (let attempt = 0; attempt < ATTEMPTS && sent.size < batch.length; attempt += 1) {
    const open = batch.filter((message) => !sent.has(message));
    const outcomes = await realQueues.send(queue.arn, open.map(forwardedEntry));
    for (const [index, outcome] of outcomes.entries()) {
      const message = open[index];
      if (message === undefined) continue;
      if (outcome.kind === 'sent') {
        const { messageId: id, sequenceNumber } = outcome;
        sent.set(message, { id, duplicate: false, ...(sequenceNumber !== undefined && { sequenceNumber }) });
      } else if (outcome.kind === 'refused') {
        throw notAccepted(queue, outcome.reason);
      } else {
        reason = outcome.reason;
      }
    }
  }
  return batch.map((message) => {
    const answer = sent.get(message);
    if (answer === undefined) throw notAccepted(queue, reason);
    return answer;
  });
}

/** Delays are rounded up to the seconds that SQS counts in: never early. */
function forwardedEntry(message: OutgoingMessage): RealEntry {
  const { body, attributes, traceHeader, groupId, delayMs } = message;
  return {
    body,
    attributes,
    ...(traceHeader !== undefined && { traceHeader }),
    ...(groupId !== undefined && { groupId }),
    ...(delayMs !== undefined && { delaySeconds: Math.ceil(delayMs / 1000) }),
  };
}

function notAccepted(queue: Parameters<Forward>[0], reason: string, cause?: unknown): StoreUnavailableError {
  return new StoreUnavailableError(
    `queue ${formatQueueArn(queue.arn)} is in mode forward, and SQS did not accept the send: ${reason}`,
    { cause },
  );
}
