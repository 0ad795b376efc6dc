/**
 * A queue over the store: where the rules of SQS about one queue meet. Each rule stands in a file of its own; this one
 * calls them in order.
 *
 * The three modes. `consume` and `hold` are the same here; the consumer looks at them. In `forward` sends go to the
 * real SQS queue, while what is held can still be received, deleted and changed here (so that it can be moved there, or
 * consumed to the end), and purge and depth speak of what is held only. Two kinds of sends are held even then, for the
 * forwarding service, which moves what is held as it becomes due: delays that SQS would refuse, and all sends to FIFO
 * queues. Those must not overtake what is held, and a sender's repeat of a message that was accepted here must be
 * recognised here.
 *
 * @module
 */
import type { Lease, LeaseOutcome, NewEntry, QueueKey, VisibilityChange } from '../store/store.ts';
import { DeadLetters } from './dead-letter.ts';
import type { QueueDefinition } from './definition.ts';
import { type Failure, newFailure } from './failure.ts';
import { createHeadWatch, type HeadWatch, SafetySweep } from './head-watch.ts';
import { LongPoll, WIDEST } from './long-poll.ts';
import type { OutgoingMessage, ReceivedMessage, SentMessage } from './message.ts';
import { browse, StoredMessages } from './messages.ts';
import { type QueueArn, queueKey } from './names.ts';
import {
  type BrowsedMessage,
  type HandleOptions,
  type HandleOutcome,
  InFlightLimitError,
  type Queue,
  type QueueContext,
  type QueueDepth,
  type QueueMessages,
  type ReceiveRequest,
  type VisibilityOutcome,
} from './queue.ts';
import type { Receipt } from './receipt-handle.ts';
import { ReceiveAttempts } from './receive-attempts.ts';
import { isPastRetention, Receiving } from './receiving.ts';
import { newEntry } from './record.ts';
import { Upkeep } from './upkeep.ts';
import { WatchedStore } from './watched-store.ts';

export type { Forward, QueueContext } from './queue.ts';

/**
 * A message may be invisible for twelve hours from its receive. Source: "Amazon SQS visibility timeout", Visibility
 * timeout limits.
 */
const LONGEST_VISIBILITY_MS = 43_200_000;
/** The longest delay that SQS itself accepts. */
const LONGEST_SQS_DELAY_MS = 900_000;
/** So often a receive looks again at once when all it leased was set aside. */
const ROUNDS = 5;

export class StoredQueue implements Queue {
  readonly key: QueueKey;
  readonly watch: HeadWatch;
  /** The messages of this queue, below its rules: for moves between queues. */
  readonly store: WatchedStore;
  readonly #context: QueueContext;
  readonly #deadLetters: DeadLetters;
  readonly #receiving: Receiving;
  readonly #longPoll: LongPoll;
  readonly #attempts: ReceiveAttempts;
  readonly #sweep: SafetySweep;
  readonly #upkeep: Upkeep;
  /** The present one; changed by `redefine` alone. */
  definition: QueueDefinition;
  /** Receives that ask the store now, without standing in line. */
  #asking = 0;

  constructor(definition: QueueDefinition, context: QueueContext) {
    const { store, time, randomness, handles, clock, notify } = context;
    this.key = queueKey(definition.arn);
    this.definition = definition;
    this.#context = context;
    // There may be thousands of queues, so each part is given what it needs and no more: copies of the whole context
    // cost a kilobyte each.
    const watch = createHeadWatch({ time });
    this.watch = watch;
    const address = { key: this.key, fifo: definition.fifo };
    this.#sweep = new SafetySweep({ time, randomness, sweep: (idle) => void this.#upkeep.look(idle) });
    const watched = new WatchedStore({ store, address, watch, clock, sweep: this.#sweep });
    this.store = watched;
    this.#upkeep = new Upkeep({ time, notify, queue: this, store: watched, watch, sweep: this.#sweep });
    const findDeadLetterQueue = (arn: string) => context.findDeadLetterQueue(arn, definition.fifo);
    const deadLetters = new DeadLetters({ queue: this, store: watched, clock, notify, findDeadLetterQueue });
    this.#deadLetters = deadLetters;
    const { inFlightLimit, room } = context;
    const receiving = { queue: this, store: watched, time, clock, handles, notify, deadLetters, inFlightLimit, room };
    this.#receiving = new Receiving(receiving);
    this.#longPoll = new LongPoll({
      time,
      watch,
      receive: async (request) => {
        const outcome = await this.#receiving.receive(request);
        return outcome === 'at-limit' ? outcome : outcome.messages;
      },
      release: (messages) => this.#giveBack(messages),
    });
    this.#attempts = new ReceiveAttempts({
      time,
      room: context.attemptRoom,
      renew: (messages, timeoutMs) => this.#renew(messages, timeoutMs),
    });
  }

  get arn(): QueueArn {
    return this.definition.arn;
  }

  /** Takes over a changed definition of the same queue. */
  redefine(definition: QueueDefinition): void {
    this.definition = definition;
  }

  /** Errors: `MissingDeduplicationIdError`, and those that the interface names. */
  send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    return this.definition.mode === 'forward' ? this.#forward(messages) : this.#keep(messages);
  }

  receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]> {
    const { fifo, attributes } = this.definition;
    if (request.attemptId === undefined || !fifo) return this.#receive(request);
    const timeoutMs = request.visibilityTimeoutMs ?? attributes.visibilityTimeoutSeconds * 1000;
    return this.#attempts.receive(request.attemptId, timeoutMs, () => this.#receive(request));
  }

  async delete(
    held: readonly (string | Lease)[],
    { orEarlier = false }: HandleOptions = {},
  ): Promise<readonly HandleOutcome[]> {
    const leases: Lease[] = [];
    const verdicts: (Lease | 'invalid')[] = [];
    for (const each of held) {
      if (this.definition.fifo && typeof each === 'string') this.#attempts.settled(each);
      const receipt = typeof each === 'string' ? this.#context.handles.read(this.key, each) : each;
      const lease = receipt === undefined || !orEarlier ? receipt : { ...receipt, orEarlier };
      if (lease !== undefined) leases.push(lease);
      verdicts.push(lease ?? 'invalid');
    }
    if (leases.length === held.length) return this.store.delete(leases);
    return complete<Lease, 'invalid'>(verdicts, (receipts) => this.store.delete(receipts));
  }

  changeVisibility(
    changes: readonly { readonly receiptHandle: string; readonly timeoutMs: number }[],
    { orEarlier = false }: HandleOptions = {},
  ): Promise<readonly VisibilityOutcome[]> {
    const verdicts = changes.map(({ receiptHandle, timeoutMs }): VisibilityChange | 'invalid' | 'beyond-maximum' => {
      const receipt = this.#read(receiptHandle);
      if (receipt === undefined) return 'invalid';
      return this.#isBeyondMaximum(receipt, timeoutMs)
        ? 'beyond-maximum'
        : { ...receipt, leaseMs: timeoutMs, orEarlier };
    });
    return complete<VisibilityChange, 'invalid' | 'beyond-maximum'>(verdicts, (allowed) =>
      this.store.changeVisibility(allowed),
    );
  }

  release(held: readonly (string | Lease)[]): Promise<readonly HandleOutcome[]> {
    const verdicts = held.map((each) => (typeof each === 'string' ? (this.#read(each) ?? 'invalid') : each));
    return complete<Lease, 'invalid'>(verdicts, (leases) => this.store.release(leases));
  }

  hasDeadLetterQueue(): boolean {
    return this.#deadLetters.target() !== undefined;
  }

  async moveToDeadLetterQueue(messages: readonly ReceivedMessage[]): Promise<void> {
    const target = this.#deadLetters.target();
    if (target !== undefined && messages.length > 0) await this.#deadLetters.move(messages, target);
  }

  /** Whether a message that was sent at `sentAt`, epoch ms by the store's clock, is too old to be handed out. */
  isPastRetention(sentAt: number): boolean {
    return isPastRetention(sentAt, this.definition.attributes, this.#context.clock);
  }

  get uses(): number {
    return this.#sweep.uses;
  }

  keepFailures(failures: ReadonlyMap<string, Failure>): Promise<void> {
    return this.store.keepFailures([...failures].map(([id, failure]) => newFailure(id, failure)));
  }

  purge(): Promise<void> {
    return this.store.purge();
  }

  browse(limit: number, maxBytes?: number): Promise<readonly BrowsedMessage[]> {
    return browse(this.store, limit, maxBytes);
  }

  get messages(): QueueMessages {
    const { randomness, findDeadLetterQueue } = this.#context;
    const { fifo } = this.definition;
    return new StoredMessages({
      ...{ fifo, store: this.store, randomness },
      findQueue: (arn) => findDeadLetterQueue(arn, fifo),
    });
  }

  async depth(): Promise<QueueDepth> {
    await this.#upkeep.trimIfDue();
    return this.store.depth();
  }

  /** Another instance lowered the head. */
  woken(dueInMs: number): void {
    this.#sweep.active();
    this.watch.lowered(dueInMs);
  }

  /** Signals were lost. Never rejects. */
  signalsLost(): Promise<void> {
    return this.#upkeep.signalsLost();
  }

  /** Ends timers and waiting receives (which answer empty). The messages stay in the store. */
  close(): void {
    this.#longPoll.close();
    this.#upkeep.close();
    this.watch.close();
  }

  async #keep(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const entries: NewEntry[] = [];
    for (const message of messages) entries.push(newEntry(message, this.definition));
    const sent: SentMessage[] = [];
    for (const { id, duplicate, sequenceNumber } of await this.store.send(entries)) {
      sent.push(sequenceNumber === undefined ? { id, duplicate } : { id, duplicate, sequenceNumber });
    }
    return sent;
  }

  async #forward(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const { forward, notify } = this.#context;
    if (forward === undefined) {
      const detail = 'the queue is in mode forward, but this server cannot reach SQS; messages are kept here';
      notify({ kind: 'queue-warning', queue: this.key, what: 'cannot-forward', detail });
      return this.#keep(messages);
    }
    if (this.definition.fifo) return this.#keep(messages);
    const held = messages.filter(isTooLongForSqs);
    const passed = messages.filter((message) => !isTooLongForSqs(message));
    const [kept, forwarded] = await Promise.all([
      held.length === 0 ? [] : this.#keep(held),
      passed.length === 0 ? [] : forward(this, passed),
    ]);
    const [answersOfKept, answersOfForwarded] = [kept.values(), forwarded.values()];
    return messages.flatMap((message) => {
      const answers = isTooLongForSqs(message) ? answersOfKept : answersOfForwarded;
      return answers.next().value ?? [];
    });
  }

  async #receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]> {
    const waitMs = request.waitMs ?? 0;
    // A newcomer who would wait stands behind those who wait already; with nobody in line and something due he need not
    // queue at all. When many come at once, before the answer to the first is there, the others stand in line for that
    // answer.
    if (waitMs > 0 && (this.#longPoll.busy || !this.watch.isDue() || this.#asking >= WIDEST)) {
      return this.#longPoll.wait(request, waitMs);
    }
    let messages: readonly ReceivedMessage[] | 'at-limit';
    this.#asking += 1;
    try {
      messages = await this.#ask(request);
    } finally {
      this.#asking -= 1;
    }
    if (messages === 'at-limit') return this.#refuse(request, waitMs);
    if (messages.length === 0) return waitMs > 0 ? this.#longPoll.wait(request, waitMs) : [];
    if (request.signal?.aborted !== true) return messages;
    // The caller has gone while the store was asked: the messages go to the next one, uncounted.
    await this.#giveBack(messages);
    return [];
  }

  /** Asks the store as long as something is due and all that it gives is set aside. */
  async #ask({ rounds = ROUNDS, ...request }: ReceiveRequest): Promise<readonly ReceivedMessage[] | 'at-limit'> {
    for (let round = 0; round < rounds && this.watch.isDue() && request.signal?.aborted !== true; round += 1) {
      const outcome = await this.#receiving.receive(request);
      if (outcome === 'at-limit') return outcome;
      if (outcome.messages.length > 0) return outcome.messages;
      if (!outcome.setAside) break;
    }
    return [];
  }

  #refuse(request: ReceiveRequest, waitMs: number): Promise<readonly ReceivedMessage[]> {
    if (waitMs > 0) return this.#longPoll.wait(request, waitMs);
    if (this.definition.fifo) return Promise.resolve([]);
    throw new InFlightLimitError(
      `queue ${this.definition.arn.name} has ${this.#context.inFlightLimit} messages in flight; delete some of them before receiving more`,
    );
  }

  async #giveBack(messages: readonly ReceivedMessage[]): Promise<void> {
    await this.release(messages.map(({ lease }) => lease));
  }

  /** Begins the leases of a repeated receive attempt anew. */
  async #renew(
    messages: readonly ReceivedMessage[],
    timeoutMs: number,
  ): Promise<readonly ReceivedMessage[] | undefined> {
    const leaseEndsAt = this.#context.time.monotonic() + timeoutMs;
    const outcomes = await this.changeVisibility(messages.map(({ receiptHandle }) => ({ receiptHandle, timeoutMs })));
    if (!outcomes.every((outcome) => outcome === 'done')) return undefined;
    return messages.map((message) => ({ ...message, leaseEndsAt }));
  }

  #read(receiptHandle: string): Receipt | undefined {
    return this.#context.handles.read(this.key, receiptHandle);
  }

  /**
   * Counted in whole seconds, as SQS counts, so that the full twelve hours may be asked for right after the receive.
   */
  #isBeyondMaximum(receipt: Receipt, timeoutMs: number): boolean {
    const sinceReceiveMs = (this.#context.clock.now() ?? receipt.receivedAt) - receipt.receivedAt;
    return Math.floor(sinceReceiveMs / 1000) * 1000 + timeoutMs > LONGEST_VISIBILITY_MS;
  }
}

function isTooLongForSqs(message: OutgoingMessage): boolean {
  return (message.delayMs ?? 0) > LONGEST_SQS_DELAY_MS;
}

/**
 * Lets `act` find the outcomes of those items that have none yet (are not texts), in one call; no call if there are
 * none.
 */
async function complete<Item extends object, Verdict extends string>(
  verdicts: readonly (Item | Verdict)[],
  act: (items: readonly Item[]) => Promise<readonly LeaseOutcome[]>,
): Promise<readonly (Verdict | LeaseOutcome)[]> {
  const open = verdicts.filter((verdict): verdict is Item => typeof verdict === 'object');
  const outcomes = (open.length === 0 ? [] : await act(open)).values();
  return verdicts.map((verdict) => (typeof verdict === 'object' ? (outcomes.next().value ?? 'missing') : verdict));
}
