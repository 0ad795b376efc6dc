/**
 * `karin drain`: hands a queue back to AWS. It switches the queue to mode `forward`, so that new messages go to the
 * real queue, and moves what is held.
 *
 * Messages that still wait for their delay go ahead with what remains of it, if SQS takes that (standard queues, up to
 * 900 s). The others stay until they are due and then follow, moved by the servers of this store (the forwarding
 * service) or by this very call if it is told to wait for them. What a function or a client has in flight is waited
 * for: either it is deleted as handled, or it comes back and is moved.
 *
 * It may be interrupted at any point and called again; several may run at once, beside servers that forward too.
 *
 * @module
 */

import {
  batchesOf,
  MAX_BATCH_BYTES,
  MAX_BATCH_ENTRIES,
  type RealEntry,
  type RealQueues,
  type RealSendOutcome,
  TransferError,
} from '../aws/real-queues.ts';
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue, QueueDepth } from '../queue/queue.ts';
import type { StoredQueue } from '../queue/stored-queue.ts';
import { moveAhead } from './ahead.ts';
import { type OnTransfer, type TransferOptions, TransferRun } from './transfer.ts';

/** A drain that is ended early leaves the queue in mode `forward`. */
export interface DrainOptions extends TransferOptions {
  /**
   * Also stays until delayed messages that SQS cannot take yet are moved; default false: they follow by themselves,
   * while a server of this store runs.
   */
  readonly waitForDelayed?: boolean;
  /** How long messages stay hidden here if this process dies while it moves them, ms; default 120,000. */
  readonly leaseMs?: number;
}

export interface DrainResult {
  /** Messages that this call moved. */
  readonly moved: number;
  /**
   * What is still here: messages whose delay SQS does not take yet, and more if the drain was ended early or SQS
   * refused some. Absent: ended early, and the store did not say.
   */
  readonly left?: QueueDepth;
  /**
   * Messages that SQS will never accept, with its reason; they (and on a FIFO queue what stands behind them in their
   * groups) stay here.
   */
  readonly refused: ReadonlyMap<string, string>;
}

/** How long one look for messages waits, ms, before the counts are looked at again. */
const LOOK_MS = 1_000;

/**
 * Drains `queue`. Errors: `TransferError` if the real queue cannot be used (if nothing was moved by then the mode is
 * what it was before), `StoreUnavailableError` if the mode cannot be stored.
 */
export async function runDrain(options: DrainOptions): Promise<DrainResult> {
  const { queue, directory, realQueues, onEvent = () => {} } = options;
  const { mode: before, modeAfterAws: wanted = before } = queue.definition;
  const drain = new Drain({ ...options, onEvent });
  try {
    // Asked before the mode changes: a queue without a counterpart in AWS must go on taking messages.
    await drain.run.attempts.persist(() => realQueues.depth(queue.arn));
    if (before !== 'forward' && !drain.run.ended) {
      await directory.setMode(queue, 'forward');
      onEvent({ kind: 'mode-changed', queue: queue.key, from: before, to: 'forward' });
    }
    return await drain.finish();
  } catch (error) {
    if (error instanceof TransferError && drain.moved === 0 && queue.definition.mode !== before) {
      await directory.setMode(queue, wanted);
      onEvent({ kind: 'mode-changed', queue: queue.key, from: 'forward', to: before });
    }
    throw error;
  }
}

class Drain {
  readonly run: TransferRun;
  readonly #options: DrainOptions & { readonly onEvent: OnTransfer };
  readonly #mover: MoverOptions & { readonly queue: StoredQueue };
  readonly #holder: string;
  readonly #refused = new Map<string, string>();
  moved = 0;

  constructor(options: DrainOptions & { readonly onEvent: OnTransfer }) {
    const { queue, realQueues, randomness, onEvent } = options;
    this.#options = options;
    this.#mover = { queue, realQueues, onEvent };
    this.#holder = randomness.uuid();
    this.run = new TransferRun(options);
  }

  async finish(): Promise<DrainResult> {
    const helpers = Array.from({ length: (this.#options.parallel ?? 4) - 1 }, () => this.#help());
    const workers = [this.#lead(Promise.allSettled(helpers)), ...helpers];
    for (const worker of workers) worker.catch(() => this.run.end());
    const outcomes = await Promise.allSettled(workers);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    const left = await this.run.closing.persist(() => this.#options.queue.depth());
    return { moved: this.moved, refused: this.#refused, ...(left !== undefined && { left }) };
  }

  /**
   * Moves what is due, looks after delayed messages when nothing is, waits for the helpers and for what comes back, and
   * finds out when all is done.
   */
  async #lead(helpers: Promise<unknown>): Promise<void> {
    let waitMs = 0;
    while (!this.run.ended) {
      const moved =
        (await this.run.attempts.persist(() => this.#moveSome(waitMs))) ||
        (await this.run.attempts.persist(() => this.#moveAhead()));
      if (!moved) await helpers;
      if (!moved && (await this.run.attempts.persist(() => this.#isDone()))) this.run.end();
      waitMs = moved ? 0 : LOOK_MS;
    }
  }

  /** Moves what is due. When nothing is, it is not needed any more. */
  async #help(): Promise<void> {
    while (!this.run.ended && (await this.run.attempts.persist(() => this.#moveSome(0))));
  }

  /** Moves up to ten messages; whether there were any. */
  async #moveSome(waitMs: number): Promise<boolean> {
    const { queue, leaseMs = MOVE_LEASE_MS } = this.#options;
    const leased = await queue.receive({
      maxMessages: MAX_BATCH_ENTRIES,
      maxBytes: MAX_BATCH_BYTES,
      visibilityTimeoutMs: leaseMs,
      waitMs,
      signal: this.run.signal,
    });
    if (this.run.ended) {
      await giveBack(this.#mover, leased);
      return false;
    }
    if (leased.length === 0) return false;
    this.#count(await moveLeased(this.#mover, leased));
    return true;
  }

  /** Moves up to ten messages that still wait for their delay; whether there were any. */
  async #moveAhead(): Promise<boolean> {
    if (this.run.ended) return false;
    const result = await moveAhead({ ...this.#mover, holder: this.#holder }, this.#refused);
    for (const [messageId, reason] of result.refused) {
      this.#options.onEvent({ kind: 'refused', queue: this.#options.queue.key, messageId, reason });
    }
    this.#count(result);
    return result.moved > 0;
  }

  /** Errors: one that says why some messages were not accepted for now. */
  #count({ moved, failed, refused }: Moved): void {
    for (const [id, reason] of refused) this.#refused.set(id, reason);
    this.moved += moved;
    if (moved > 0) {
      const { queue, onEvent } = this.#options;
      onEvent({ kind: 'moved', queue: queue.key, count: moved, total: this.moved });
    }
    if (failed !== undefined) throw new Error(failed);
  }

  /** Whether nothing is left that this drain should move. Called when a receive gave nothing. */
  async #isDone(): Promise<boolean> {
    const { queue, waitForDelayed, onEvent } = this.#options;
    const { visible, delayed, inFlight } = await queue.depth();
    // What was refused stays in flight; on a FIFO queue the rest of its group waits behind it.
    const stuck = this.#refused.size;
    const blocked = queue.definition.fifo && stuck > 0;
    if (inFlight <= stuck && (visible === 0 || blocked) && (delayed === 0 || !waitForDelayed)) return true;
    onEvent({ kind: 'waiting', queue: queue.key, visible, delayed, inFlight });
    return false;
  }
}

/*
 * Moves messages that are held here to the real queue: lease here, send there, delete here.
 *
 * Nothing is lost, because a message is deleted here only when SQS has said that it has it. Killed between the two, the
 * lease runs out and the message is sent again: on a standard queue that is a duplicate, as SQS itself may make one; on
 * a FIFO queue SQS recognises it, because the id of the message here is its deduplication id there (for five minutes,
 * its deduplication window). It is not the id that the sender gave: two messages that were sent with one id more than
 * five minutes apart are both held, and both must arrive.
 *
 * Order. On a FIFO queue a lease locks the group, so all that is leased of one group is in one hand. Messages of one
 * group are sent one after another, each after the one before it was accepted, because SQS may accept the second of two
 * in one call and refuse the first; different groups share calls. After a message that was not accepted the rest of its
 * group is given back.
 *
 * What SQS does not accept for a while is given back uncounted, so that a failure of the network never pushes a message
 * towards its dead-letter queue. What it will never accept stays under its lease.
 */

/** Default lease of what is being moved, ms: longer than a send with all its repeats takes. */
export const MOVE_LEASE_MS = 120_000;

export interface MoverOptions {
  readonly queue: Queue;
  readonly realQueues: RealQueues;
  readonly onEvent: OnTransfer;
}

/** What became of the messages of one call. */
export interface Moved {
  /** Accepted by SQS and deleted here. */
  readonly moved: number;
  /** Why SQS did not accept some of the others for now. */
  readonly failed?: string;
  /** Will never be accepted: id and reason. */
  readonly refused: ReadonlyMap<string, string>;
}

/**
 * Moves messages that `queue.receive` just leased. Errors: those of the real queue and of the store; the messages that
 * were not moved are given back first, as far as the store can be reached.
 */
export async function moveLeased(options: MoverOptions, leased: readonly ReceivedMessage[]): Promise<Moved> {
  const open = new Set(leased);
  const refused = new Map<string, string>();
  const stopped = new Set<string>();
  let failed: string | undefined;
  try {
    for (const batch of callsFor(options.queue, leased)) {
      const sendable = batch.filter(({ groupId }) => groupId === undefined || !stopped.has(groupId));
      if (sendable.length === 0) continue;
      const outcomes = await options.realQueues.send(options.queue.arn, sendable.map(entryFor(options.queue)));
      const accepted: ReceivedMessage[] = [];
      for (const [index, message] of sendable.entries()) {
        const outcome: RealSendOutcome = outcomes[index] ?? { kind: 'failed', reason: 'SQS did not answer for it' };
        if (outcome.kind === 'sent') {
          accepted.push(message);
          continue;
        }
        if (options.queue.definition.fifo && message.groupId !== undefined) stopped.add(message.groupId);
        if (outcome.kind === 'failed') {
          failed = outcome.reason;
        } else {
          refused.set(message.id, outcome.reason);
          open.delete(message);
        }
      }
      for (const message of accepted) open.delete(message);
      if (accepted.length > 0) await options.queue.delete(accepted.map(({ lease }) => lease));
    }
  } finally {
    await giveBack(options, [...open]);
  }
  for (const [messageId, reason] of refused) {
    options.onEvent({ kind: 'refused', queue: options.queue.key, messageId, reason });
  }
  const moved = leased.length - open.size - refused.size;
  return { moved, refused, ...(failed !== undefined && { failed }) };
}

/**
 * Gives leased messages back, uncounted. If the store does not answer, their leases run out instead; that is not worth
 * hiding the first failure for.
 */
export async function giveBack({ queue, onEvent }: MoverOptions, messages: readonly ReceivedMessage[]): Promise<void> {
  if (messages.length === 0) return;
  try {
    await queue.release(messages.map(({ lease }) => lease));
  } catch (error) {
    const reason = `messages could not be given back: ${error instanceof Error ? error.message : String(error)}`;
    onEvent({ kind: 'retrying', queue: queue.key, inMs: MOVE_LEASE_MS, reason });
  }
}

/** The calls to make, in order. FIFO: the n-th call (or calls) takes the n-th message of each group. */
function callsFor(queue: Queue, leased: readonly ReceivedMessage[]): readonly ReceivedMessage[][] {
  if (!queue.definition.fifo) return batchesOf(leased);
  const rounds: ReceivedMessage[][] = [];
  const countOf = new Map<string | undefined, number>();
  for (const message of leased) {
    const round = countOf.get(message.groupId) ?? 0;
    countOf.set(message.groupId, round + 1);
    const sameRound = rounds[round] ?? [];
    sameRound.push(message);
    rounds[round] = sameRound;
  }
  return rounds.flatMap(batchesOf);
}

/** The delay of a message is over when it is leased, so a standard queue's own delay must not begin another one. */
function entryFor(queue: Queue): (message: ReceivedMessage) => RealEntry {
  const own = queue.definition.fifo
    ? ({ id }: ReceivedMessage) => ({ deduplicationId: id })
    : () => ({ delaySeconds: 0 });
  return (message) => ({
    body: message.body,
    attributes: message.attributes,
    ...(message.traceHeader !== undefined && { traceHeader: message.traceHeader }),
    ...(message.groupId !== undefined && { groupId: message.groupId }),
    ...own(message),
  });
}
