/**
 * A queue over the store: where the rules of SQS about one queue meet. Each rule stands in a file of its own; this one calls them in order.
 *
 * The three modes. `consume` and `hold` are the same here; the consumer looks at them. In `forward` sends go to the real SQS queue, while what is held can still be
 * received, deleted and changed here (so that it can be moved there, or consumed to the end), and purge and depth speak of what is held only. Two kinds of sends are held even then, for the
 * forwarding service, which moves what is held as it becomes due: delays that SQS would refuse, and all sends to FIFO queues. Those must not overtake what is held, and a sender's
 * repeat of a message that was accepted here must be recognised here.
 *
 * @module
 */
import type { LeaseOutcome, NewEntry, SentEntry, Store, VisibilityChange } from '../store/store.ts';
import type { Randomness, Time } from '../time.ts';
import { type QueueArn, type QueueKey, queueKey } from './arn.ts';
import { deduplicationId, deduplicationKey } from './deduplication.ts';
import { createHeadWatch, type HeadWatch } from './head-watch.ts';
import { IN_FLIGHT_LIMIT } from './in-flight-limit.ts';
import { LongPoll } from './long-poll.ts';
import type { OutgoingMessage, ReceivedMessage, SentMessage } from './message.ts';
import {
  type HandleOutcome,
  InFlightLimitError,
  type Queue,
  type QueueDepth,
  type ReceiveRequest,
  type VisibilityOutcome,
} from './queue.ts';
import type { QueueDefinition } from './queue-definition.ts';
import type { Notify } from './queue-events.ts';
import type { Receipt, ReceiptHandles } from './receipt-handle.ts';
import { ReceiveAttempts } from './receive-attempts.ts';
import { type DeadLetterTarget, Receiving } from './receiving.ts';
import { encodeRecord } from './record.ts';
import { retentionMs, TrimSchedule } from './retention.ts';
import { SafetySweep } from './safety-sweep.ts';
import type { StoreClock } from './store-clock.ts';
import { WatchedStore } from './watched-store.ts';

/**
 * Sends messages to the real SQS queue of the same ARN, a standard queue; an answer for each, in order. Delays are at most 900 s. It rejects if any of them was not accepted, and the sender
 * then sees the whole send fail, as with a store that cannot be reached.
 */
export type Forward = (queue: Queue, messages: readonly OutgoingMessage[]) => Promise<readonly SentMessage[]>;

/** What all queues of a process share. */
export interface QueueContext {
  readonly store: Store;
  readonly time: Time;
  readonly randomness: Randomness;
  readonly handles: ReceiptHandles;
  readonly clock: StoreClock;
  readonly notify: Notify;
  readonly forward?: Forward;
  /** The queue with this ARN, if it exists here and is of the same type. */
  readonly findDeadLetterQueue: (arn: string, fifo: boolean) => DeadLetterTarget | undefined;
}

/** A message may be invisible for twelve hours from its receive. Source: "Amazon SQS visibility timeout", Visibility timeout limits. */
const LONGEST_VISIBILITY_MS = 43_200_000;
/** The longest delay that SQS itself accepts. */
const LONGEST_SQS_DELAY_MS = 900_000;
/** Old messages removed by one call to the store, which is kept from other work meanwhile. */
const TRIM_STEP = 500;
/** So often a short poll looks again at once when all it leased was set aside. */
const SHORT_POLL_ROUNDS = 5;

export class StoredQueue implements Queue {
  readonly key: QueueKey;
  readonly watch: HeadWatch;
  /** The messages of this queue, below its rules: for moves between queues. */
  readonly store: WatchedStore;
  readonly #context: QueueContext;
  readonly #receiving: Receiving;
  readonly #longPoll: LongPoll;
  readonly #attempts: ReceiveAttempts;
  readonly #sweep: SafetySweep;
  readonly #trims: TrimSchedule;
  #definition: QueueDefinition;

  constructor(definition: QueueDefinition, context: QueueContext) {
    const { store, time, randomness, clock } = context;
    this.key = queueKey(definition.arn);
    this.#definition = definition;
    this.#context = context;
    this.watch = createHeadWatch({ time });
    this.#sweep = new SafetySweep({ time, randomness, sweep: (idle) => void this.#upkeep(idle) });
    this.#trims = new TrimSchedule(time);
    this.store = new WatchedStore({
      store,
      address: { key: this.key, fifo: definition.fifo },
      watch: this.watch,
      clock,
      onActivity: () => this.#sweep.active(),
    });
    this.#receiving = new Receiving({
      ...context,
      key: this.key,
      store: this.store,
      definition: () => this.#definition,
      findDeadLetterQueue: (arn) => context.findDeadLetterQueue(arn, definition.fifo),
    });
    this.#longPoll = new LongPoll({
      time,
      watch: this.watch,
      receive: async (request) => {
        const outcome = await this.#receiving.receive(request);
        return outcome === 'at-limit' ? outcome : outcome.messages;
      },
      release: (messages) => this.release(messages.map((message) => message.receiptHandle)),
    });
    this.#attempts = new ReceiveAttempts({ time, renew: (messages, timeoutMs) => this.#renew(messages, timeoutMs) });
  }

  get arn(): QueueArn {
    return this.#definition.arn;
  }

  get definition(): QueueDefinition {
    return this.#definition;
  }

  /** Takes over a changed definition of the same queue. */
  redefine(definition: QueueDefinition): void {
    this.#definition = definition;
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    if (this.#definition.mode === 'forward') return this.#sendOn(messages);
    return this.#keep(messages);
  }

  async receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]> {
    if (request.attemptId === undefined || !this.#definition.fifo) return this.#receive(request);
    const timeoutMs = request.visibilityTimeoutMs ?? this.#visibilityTimeoutMs();
    return this.#attempts.receive(request.attemptId, timeoutMs, () => this.#receive(request));
  }

  delete(receiptHandles: readonly string[]): Promise<readonly HandleOutcome[]> {
    const verdicts = receiptHandles.map((handle) => this.#read(handle) ?? 'invalid');
    return complete<Receipt, 'invalid'>(verdicts, (receipts) => this.store.delete(receipts));
  }

  changeVisibility(
    changes: readonly { readonly receiptHandle: string; readonly timeoutMs: number }[],
  ): Promise<readonly VisibilityOutcome[]> {
    const verdicts = changes.map(({ receiptHandle, timeoutMs }): VisibilityChange | 'invalid' | 'beyond-maximum' => {
      const receipt = this.#read(receiptHandle);
      if (receipt === undefined) return 'invalid';
      return this.#isBeyondMaximum(receipt, timeoutMs) ? 'beyond-maximum' : { ...receipt, leaseMs: timeoutMs };
    });
    return complete<VisibilityChange, 'invalid' | 'beyond-maximum'>(verdicts, (allowed) =>
      this.store.changeVisibility(allowed),
    );
  }

  async release(receiptHandles: readonly string[]): Promise<void> {
    const receipts = receiptHandles.map((handle) => this.#read(handle)).filter((receipt) => receipt !== undefined);
    if (receipts.length > 0) await this.store.release(receipts);
  }

  purge(): Promise<void> {
    return this.store.purge();
  }

  async depth(): Promise<QueueDepth> {
    if (this.#trims.isDue(this.#definition.attributes)) await this.#trim();
    return this.store.depth();
  }

  /** Another instance lowered the head. */
  woken(dueInMs: number): void {
    this.#sweep.active();
    this.watch.lowered(dueInMs);
  }

  /** Signals were lost. Whoever waits is woken by the answer of one peek; where nobody waits, the next receive asks. */
  async signalsLost(): Promise<void> {
    if (!this.watch.hasListeners()) {
      this.watch.forget();
      return;
    }
    await this.#tryUpkeep(() => this.store.peek(this.watch.relearn()));
  }

  /** Ends timers and waiting receives (which answer empty). The messages stay in the store. */
  close(): void {
    this.#longPoll.close();
    this.#sweep.close();
    this.watch.close();
  }

  async #keep(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const sent = await this.store.send(messages.map((message) => this.#entry(message)));
    return sent.map(({ id, duplicate, sequenceNumber }: SentEntry) => ({
      id,
      duplicate,
      ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    }));
  }

  #entry(outgoing: OutgoingMessage): NewEntry {
    const { attributes, fifo } = this.#definition;
    const { delayMs = attributes.delaySeconds * 1000, ...message } = outgoing;
    const { id, groupId } = message;
    if (!fifo || groupId === undefined) {
      return { id, record: encodeRecord(message), delayMs, ...(groupId === undefined ? {} : { group: groupId }) };
    }
    const uniqueId = deduplicationId(outgoing, attributes);
    return {
      id,
      record: encodeRecord({ ...message, deduplicationId: uniqueId }),
      delayMs,
      group: groupId,
      deduplicationKey: deduplicationKey(uniqueId, groupId, attributes),
    };
  }

  /** Mode `forward`. */
  async #sendOn(messages: readonly OutgoingMessage[]): Promise<readonly SentMessage[]> {
    const { forward, notify } = this.#context;
    if (forward === undefined) {
      const detail = 'the queue is in mode forward, but this server cannot reach SQS; messages are kept here';
      notify({ kind: 'queue-warning', queue: this.key, what: 'cannot-forward', detail });
      return this.#keep(messages);
    }
    if (this.#definition.fifo) return this.#keep(messages);
    const tooLong = (message: OutgoingMessage): boolean => (message.delayMs ?? 0) > LONGEST_SQS_DELAY_MS;
    const held = messages.filter(tooLong);
    const passed = messages.filter((message) => !tooLong(message));
    const [kept, forwarded] = await Promise.all([
      held.length === 0 ? [] : this.#keep(held),
      passed.length === 0 ? [] : forward(this, passed),
    ]);
    const answers = { held: kept.values(), passed: forwarded.values() };
    return messages.flatMap((message) => answers[tooLong(message) ? 'held' : 'passed'].next().value ?? []);
  }

  async #receive(request: ReceiveRequest): Promise<readonly ReceivedMessage[]> {
    if (request.signal?.aborted === true) return [];
    const waitMs = request.waitMs ?? 0;
    // A newcomer who would wait stands behind those who wait already; with nobody in line and something due he need not queue at all.
    if (waitMs > 0 && (this.#longPoll.busy || !this.watch.isDue())) return this.#longPoll.wait(request, waitMs);
    for (let round = 0; round < SHORT_POLL_ROUNDS && this.watch.isDue(); round += 1) {
      const outcome = await this.#receiving.receive(request);
      if (outcome === 'at-limit') return this.#refuse(request, waitMs);
      if (outcome.messages.length > 0) return outcome.messages;
      if (!outcome.setAside) break;
    }
    return waitMs > 0 ? this.#longPoll.wait(request, waitMs) : [];
  }

  #refuse(request: ReceiveRequest, waitMs: number): Promise<readonly ReceivedMessage[]> {
    if (waitMs > 0) return this.#longPoll.wait(request, waitMs);
    if (this.#definition.fifo) return Promise.resolve([]);
    throw new InFlightLimitError(
      `queue ${this.#definition.arn.name} has ${IN_FLIGHT_LIMIT} messages in flight; delete some of them before receiving more`,
    );
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

  /** What the safety sweep does: look for a wake that was lost, if somebody would be woken, and remove old messages when that is due. */
  async #upkeep(idle: boolean): Promise<void> {
    const trimIsDue = this.#trims.isDue(this.#definition.attributes);
    const look = idle && this.watch.hasListeners();
    if (!look && !trimIsDue) return;
    await this.#tryUpkeep(async () => {
      const holdsMessages = await this.store.peek();
      if (trimIsDue && holdsMessages) await this.#trim();
      else if (trimIsDue) this.#trims.done();
    });
  }

  async #tryUpkeep(act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      this.#context.notify({ kind: 'queue-warning', queue: this.key, what: 'sweep-failed', detail });
    }
  }

  async #trim(): Promise<void> {
    const olderThanMs = retentionMs(this.#definition.attributes);
    let count = 0;
    for (let trimmed = TRIM_STEP; trimmed === TRIM_STEP; count += trimmed) {
      trimmed = await this.store.trim(olderThanMs, TRIM_STEP);
    }
    this.#trims.done();
    if (count > 0) this.#context.notify({ kind: 'expired', queue: this.key, count });
  }

  #read(receiptHandle: string): Receipt | undefined {
    return this.#context.handles.read(this.key, receiptHandle);
  }

  #visibilityTimeoutMs(): number {
    return this.#definition.attributes.visibilityTimeoutSeconds * 1000;
  }

  /** Counted in whole seconds, as SQS counts, so that the full twelve hours may be asked for right after the receive. */
  #isBeyondMaximum(receipt: Receipt, timeoutMs: number): boolean {
    const sinceReceiveMs = (this.#context.clock.now() ?? receipt.receivedAt) - receipt.receivedAt;
    return Math.floor(sinceReceiveMs / 1000) * 1000 + timeoutMs > LONGEST_VISIBILITY_MS;
  }
}

/** Lets `act` find the outcomes of those items that have none yet (are not texts), in one call; no call if there are none. */
async function complete<Item extends object, Verdict extends string>(
  verdicts: readonly (Item | Verdict)[],
  act: (items: readonly Item[]) => Promise<readonly LeaseOutcome[]>,
): Promise<readonly (Verdict | LeaseOutcome)[]> {
  const open = verdicts.filter((verdict): verdict is Item => typeof verdict === 'object');
  const outcomes = (open.length === 0 ? [] : await act(open)).values();
  return verdicts.map((verdict) => (typeof verdict === 'object' ? (outcomes.next().value ?? 'missing') : verdict));
}
