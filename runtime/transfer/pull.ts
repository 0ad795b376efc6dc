/**
 * `karin pull`: brings the messages of the real queue here. Receive there, store here, delete there.
 *
 * Nothing is lost, because a message is deleted there only when it is stored here. Killed between the two, it is
 * received and stored again later: under the same id, which is made from the one that SQS gave it, so that the second
 * copy collapses into the first while that is still held, and on FIFO queues also for five minutes after. A copy that a
 * function has already handled by then is handled once more, as SQS itself may deliver a message twice.
 *
 * Messages keep their id, body, attributes, sender, sent time, receive count, trace header, group and deduplication id.
 * A delay that still runs in SQS ends there first. FIFO: one call at a time, so the order of a group is the one in
 * which SQS hands it out.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { MAX_BATCH_ENTRIES, type RealDepth, type RealMessage } from '../aws/real-queues.ts';
import type { QueueMode } from '../queue/definition.ts';
import type { Message } from '../queue/message.ts';
import { encodeRecord } from '../queue/record.ts';
import { type NewEntry, StoreFullError } from '../store/store.ts';
import { type OnTransfer, type TransferOptions, TransferRun } from './transfer.ts';

/** A FIFO queue is pulled by one call at a time, whatever `parallel` says. */
export interface PullOptions extends TransferOptions {
  /** Long polling of the real queue, 0 to 20 s; default 20. Only a long poll asks all servers of SQS. */
  readonly waitSeconds?: number;
  /** How long a received message stays hidden in SQS if this process dies, s; default 120. */
  readonly visibilityTimeoutSeconds?: number;
}

export interface PullResult {
  /** Messages that this call brought here. */
  readonly pulled: number;
  /**
   * What the real queue still holds, by its approximate counts; zeros unless the pull was ended early. Absent: ended
   * early, and SQS did not say.
   */
  readonly left?: RealDepth;
  /** The mode of the queue now: in `hold` what was pulled waits until the mapping is disabled and synced. */
  readonly mode: QueueMode;
}

/**
 * The counts of SQS are approximate: only when they are zero at two empty receives in a row is the queue taken for
 * empty.
 */
const EMPTY_LOOKS = 2;

/**
 * A receipt handle that SQS does not take any more never will; its message is received again, and the second copy
 * collapses.
 */
const DELETE_ATTEMPTS = 3;

/**
 * Pulls until the real queue is empty. A queue in mode `forward` is switched to `consume` first, or what is pulled
 * would be sent straight back.
 * Errors: `TransferError` if the real queue cannot be used, `StoreFullError` if there is no room here; what was not
 * stored is still in SQS.
 */
export async function runPull(options: PullOptions): Promise<PullResult> {
  const { queue, directory, realQueues, onEvent = () => {} } = options;
  const pull = new Pull({ ...options, onEvent });
  await pull.run.attempts.persist(() => realQueues.depth(queue.arn));
  if (queue.definition.mode === 'forward' && !pull.run.ended) {
    await directory.setMode(queue, 'consume');
    onEvent({ kind: 'mode-changed', queue: queue.key, from: 'forward', to: queue.definition.mode });
  }
  return pull.finish();
}

class Pull {
  readonly run: TransferRun;
  readonly #options: PullOptions & { readonly onEvent: OnTransfer };
  #pulled = 0;

  constructor(options: PullOptions & { readonly onEvent: OnTransfer }) {
    this.#options = options;
    this.run = new TransferRun({ ...options, isPermanent: (error) => error instanceof StoreFullError });
  }

  async finish(): Promise<PullResult> {
    const { queue, realQueues, parallel = 4 } = this.#options;
    const workers = Array.from({ length: queue.definition.fifo ? 1 : parallel }, () => this.#work());
    const outcomes = await Promise.allSettled(workers);
    this.run.end();
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    const left = await this.run.closing.persist(() => realQueues.depth(queue.arn));
    return { pulled: this.#pulled, mode: queue.definition.mode, ...(left !== undefined && { left }) };
  }

  async #work(): Promise<void> {
    let emptyLooks = 0;
    try {
      while (!this.run.ended) {
        const received = await this.run.attempts.persist(() => this.#receive());
        if (received === undefined) return;
        if (received.length > 0) {
          emptyLooks = 0;
          await this.#take(received);
        } else if (await this.run.attempts.persist(() => this.#isEmpty())) {
          emptyLooks += 1;
          if (emptyLooks === EMPTY_LOOKS) return;
        } else {
          emptyLooks = 0;
        }
      }
    } catch (error) {
      this.run.end();
      throw error;
    }
  }

  #receive(): Promise<readonly RealMessage[]> {
    const { queue, realQueues, waitSeconds = 20, visibilityTimeoutSeconds = 120 } = this.#options;
    return realQueues.receive(queue.arn, {
      maxMessages: MAX_BATCH_ENTRIES,
      waitSeconds,
      visibilityTimeoutSeconds,
      signal: this.run.signal,
    });
  }

  /**
   * Stores what was received, then deletes it in SQS. Each step is repeated on its own, so that a lost answer never
   * stores without deleting.
   */
  async #take(received: readonly RealMessage[]): Promise<void> {
    const { queue, realQueues, onEvent } = this.#options;
    const entries = received.map((message) => entryFor(message, queue.definition.fifo));
    if ((await this.run.attempts.persist(() => queue.store.send(entries))) === undefined) return;
    let open = received.map(({ receiptHandle }) => receiptHandle);
    for (let attempt = 0; attempt < DELETE_ATTEMPTS && open.length > 0; attempt += 1) {
      const handles = open;
      const gone = await this.run.attempts.persist(() => realQueues.delete(queue.arn, handles));
      open = open.filter((_, index) => gone?.[index] !== true);
    }
    const count = received.length - open.length;
    this.#pulled += count;
    onEvent({ kind: 'pulled', queue: queue.key, count, total: this.#pulled });
  }

  async #isEmpty(): Promise<boolean> {
    const { queue, realQueues, onEvent } = this.#options;
    const { visible, delayed, inFlight } = await realQueues.depth(queue.arn);
    if (visible + delayed + inFlight === 0) return true;
    onEvent({ kind: 'waiting', queue: queue.key, visible, delayed, inFlight });
    return false;
  }
}

function entryFor(received: RealMessage, fifo: boolean): NewEntry {
  const { receiptHandle: _, sentAt, receiveCount, firstReceivedAt, ...content } = received;
  const message: Message = { ...content, id: idFor(received.id) };
  // The receive of the pull itself was shown to nobody.
  const before = receiveCount - 1;
  return {
    id: message.id,
    record: encodeRecord(message, before),
    delayMs: 0,
    ...(message.groupId !== undefined && { group: message.groupId }),
    // Not the sender's id: two messages with one id, sent more than five minutes apart, are both to come. Senders' ids
    // have no spaces, so none is like this.
    ...(fifo && { deduplicationKey: ` pulled ${message.id}` }),
    history: { sentAt, receiveCount: before, firstReceivedAt: before > 0 ? firstReceivedAt : 0 },
  };
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * The id here of a message of SQS: the same one. SQS documents no form for it; one that is no UUID is hashed into one.
 */
export function idFor(sqsMessageId: string): string {
  if (UUID.test(sqsMessageId)) return sqsMessageId;
  const hex = createHash('sha256').update(sqsMessageId, 'utf8').digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
