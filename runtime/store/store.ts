/**
 * The one seam of Karin: what a store of messages can do, and nothing of what SQS means by it. Every rule (dead letter,
 * retention, limits, validation) is written once, in `queue/`. Two implementations, Redis and memory, pass one contract
 * suite.
 *
 * Time. The store has the only clock that decides when a message is due. Callers give and get relative milliseconds, so
 * the clocks of the instances never matter; absolute times appear only as facts to report (`sentAt`,
 * `firstReceivedAt`).
 *
 * Atomicity. Each call on one queue is atomic against all others on that queue, from any instance. No call spans two
 * queues.
 *
 * @module
 */
/**
 * The identity of a queue inside Karin: `region:account:name`. Two queues of one name in two accounts are two queues.
 * It is the hash tag of all Redis keys of the queue.
 */
export type QueueKey = string;

/** Which queue, and which of the two structures it has. */
export interface StoredQueue {
  readonly key: QueueKey;
  readonly fifo: boolean;
}

/** A message to store. */
export interface NewEntry {
  /** UUID. A second send of an id that is still stored changes nothing. */
  readonly id: string;
  /** Opaque bytes, given back as they are. */
  readonly record: Uint8Array;
  /** Milliseconds until it may first be received; 0 or more. */
  readonly delayMs: number;
  /**
   * FIFO: required, the order and the lock are per group. Standard: optional, receives take groups in turn within a
   * bounded look-ahead.
   */
  readonly group?: string;
  /**
   * FIFO: a send with a key that was accepted in the last `DEDUPLICATION_WINDOW_MS` by the store's clock is answered
   * with the first one's outcome and stores nothing.
   */
  readonly deduplicationKey?: string;
  /** A message moved from another queue keeps its history. Without it: sent now, never received. */
  readonly history?: { readonly sentAt: number; readonly receiveCount: number; readonly firstReceivedAt: number };
}

/** Five minutes, as AWS documents for `MessageDeduplicationId`. */
export const DEDUPLICATION_WINDOW_MS = 300_000;

/**
 * A head that has been due for longer than this, ms, is news to a send: the clock of the store may have jumped over it
 * (the machine slept), so that the timers of the instances stand long after it. With a backlog that is older it costs
 * one published wake for each call, which wakes nobody who is awake.
 */
export const OVERDUE_MS = 10_000;

export interface SentEntry {
  /** The id stored, or that of the first message where this one was a duplicate. */
  readonly id: string;
  readonly sentAt: number;
  /** FIFO: 20 digits, growing within the queue. */
  readonly sequenceNumber?: string;
  readonly duplicate: boolean;
}

/** What an operation says about the head of the queue: the earliest moment at which a receive could return anything. */
export interface HeadLowered {
  /**
   * Set only if this operation made the head earlier than it was: milliseconds from now until it is due (0: now). The
   * store has published a wake for the other instances. A send that finds the head long past due (`OVERDUE_MS`) sets it
   * to 0. A send of an id that is stored already sets it too, because the reply to the first send may have been lost.
   */
  readonly headLoweredToMs?: number;
}

export interface SendReply extends HeadLowered {
  readonly sent: readonly SentEntry[];
}

export interface ReceiveOptions {
  /** 1 or more; the store works in steps of at most 500. */
  readonly maxMessages: number;
  /** Stops before the records together exceed this; the first record is always taken. Bytes. */
  readonly maxBytes: number;
  /** Length of the lease, milliseconds; 0 or more (0: counted as received, but due again at once). */
  readonly leaseMs: number;
}

/** What the store tells of a message that it hands out or shows. */
interface StoredEntry {
  readonly id: string;
  readonly record: Uint8Array;
  readonly sentAt: number;
  readonly group?: string;
  readonly sequenceNumber?: string;
}

/**
 * A message under a lease. `id` and `leaseNumber` together are the fence: a later receive changes the number, and the
 * old pair no longer matches.
 */
export interface LeasedEntry extends StoredEntry {
  /** Greater than that of every earlier lease of the message in this queue; 1 or more. */
  readonly leaseNumber: number;
  /** This receive included, without those that were undone by `release`; 1 or more. */
  readonly receiveCount: number;
  readonly firstReceivedAt: number;
  /**
   * Milliseconds by which this receive came after the message was due, 0 or more, by the store's clock: after it was
   * sent, its delay ended, or its last lease ended. FIFO queues: after its group might be served again; the delay of a
   * message behind the first one does not count.
   */
  readonly lateMs: number;
}

export interface ReceiveReply {
  readonly leased: readonly LeasedEntry[];
  /**
   * Milliseconds until the next message *other than those just leased* is due (0: due now; may be another's lease
   * running out); `undefined`: there is none.
   */
  readonly nextDueInMs?: number;
  /** All messages of the queue, whatever their state, before this receive. */
  readonly total: number;
}

/**
 * The pair that proves a lease. FIFO also needs the group and the sequence number, which find the message in its order.
 */
export interface Lease {
  readonly id: string;
  readonly leaseNumber: number;
  readonly group?: string;
  readonly sequenceNumber?: string;
  /**
   * Standard queues, `delete` and `changeVisibility`: a lease of an earlier receive counts as well. Default: only that
   * of the last one.
   */
  readonly orEarlier?: boolean;
}

/**
 * `done`: it was so. `superseded`: the message was received again since, or given back. `missing`: it is no longer in
 * the queue. `expired` (FIFO only): the lease had run out, so nothing was done.
 */
export type LeaseOutcome = 'done' | 'superseded' | 'missing' | 'expired';

export interface DeleteReply extends HeadLowered {
  readonly outcomes: readonly LeaseOutcome[];
  /**
   * Milliseconds until the head is due after this call (0: now); `undefined`: the queue is empty. The holder of a lease
   * that was the head needs it: a message that others sent meanwhile, to be due after the end of that lease, published
   * no wake.
   */
  readonly nextDueInMs?: number;
}

export interface VisibilityChange extends Lease {
  /** Due again this many milliseconds from now; 0 or more. */
  readonly leaseMs: number;
}

/** A message of a standard queue that nobody may receive yet, because the delay it was sent with still runs. */
export interface DelayedEntry {
  readonly id: string;
  readonly record: Uint8Array;
  /** Milliseconds until the delay ends: 1 or more. */
  readonly dueInMs: number;
}

/** Delays that end within a span of time, both ends included, milliseconds from now. */
export interface DelaySpan {
  readonly fromMs: number;
  readonly toMs: number;
  /** 1 to 500 messages. */
  readonly limit: number;
}

/** Failures that are kept of one queue; with texts of 2 KB they take 2 MB. */
export const MOST_FAILURES = 1_000;

/** What is kept of the last failure of a message: a text that means nothing to the store. */
export interface KeptFailure {
  /** When it was kept first, epoch ms by the store's clock. */
  readonly at: number;
  readonly text: string;
}

export interface NewFailure {
  /** Id of the message. */
  readonly id: string;
  readonly text: string;
  /** Of a failure that moves with its message; default: now. Epoch ms. */
  readonly at?: number;
}

/** A message that was only looked at. */
export interface BrowsedEntry extends StoredEntry {
  readonly receiveCount: number;
  /** 0 if it was never received. */
  readonly firstReceivedAt: number;
  readonly state: 'visible' | 'delayed' | 'in-flight';
  /** Milliseconds until its delay or lease ends; 0: visible. */
  readonly dueInMs: number;
}

export interface BrowseOptions {
  /** 1 to 500 messages. */
  readonly limit: number;
  /** Stops before the records together exceed this; the first record is always given. Bytes. */
  readonly maxBytes: number;
}

/*
 * Messages by their names: what people do to one message that they look at, whatever its state.
 *
 * A message in flight belongs to whoever received it, so nothing here touches one, with one exception: a receive whose
 * delivery has failed is known by its count (`givenUp`), and the message that only waits for the end of that lease is
 * free. A later receive has another count, so a handler that came first wins.
 */

/**
 * Names a message. The store keeps messages under more than their ids; whoever knows the id alone looks the message up
 * first, and finds the group in its record.
 */
export interface MessageName {
  readonly id: string;
  /** Of a message that has one. A standard queue can do without it once the message was received. */
  readonly group?: string;
  /** FIFO: finds it at once. Without it the first `MOST_LOOKED_THROUGH` messages of groups are looked through. */
  readonly sequenceNumber?: string;
}

/** Places of FIFO messages that one call looks through for those named without a sequence number. */
export const MOST_LOOKED_THROUGH = 10_000;

/** A name, with the receive whose lease stands in nobody's way any more because its delivery failed. Default: none. */
export interface FreeMessage extends MessageName {
  readonly givenUp?: number;
}

/** A message that was looked up. */
export interface FoundEntry extends Omit<BrowsedEntry, 'state' | 'dueInMs'> {
  /** Absent: the message is there; its state is not known, because its name left out the group, or is out of reach. */
  readonly state?: BrowsedEntry['state'];
  /** As `BrowsedEntry` has it; absent without a state. */
  readonly dueInMs?: number;
}

export interface LookUpReply {
  /** Those that are there, in the order of their names. */
  readonly found: readonly FoundEntry[];
  /** So many names were looked at, 1 or more; the bound of bytes kept the rest. */
  readonly looked: number;
}

/**
 * `done`: it was so. `in-flight`: somebody has received it, so nothing was done. `missing`: it is not in the queue.
 * `behind` (FIFO): a message before it in its group must go first, so nothing was done. `out-of-reach`: its name left
 * out the group, or it stands too far behind in its group to be found without its sequence number.
 */
export type NamedOutcome = 'done' | 'in-flight' | 'missing' | 'behind' | 'out-of-reach';

export interface NamedReply extends HeadLowered {
  /** In the order of the names. */
  readonly outcomes: readonly NamedOutcome[];
  /** As in `DeleteReply`. */
  readonly nextDueInMs?: number;
}

export interface TakeReply extends NamedReply {
  /** The leases of those that were taken, in the order of their names. */
  readonly leases: readonly Lease[];
}

export interface NamesReply {
  readonly names: readonly MessageName[];
  /** Gives the next names; absent: there are no more. */
  readonly cursor?: string;
}

export interface ScheduledReply {
  /** By when their delays end, and how many milliseconds from now that is: 1 or more. */
  readonly scheduled: readonly { readonly id: string; readonly dueInMs: number }[];
  /** All messages of the queue whose delay runs. */
  readonly total: number;
}

export interface RecordsReply {
  /** By id; those that are not there are absent. */
  readonly records: ReadonlyMap<string, Uint8Array>;
  /** So many ids were looked at, 1 or more. */
  readonly looked: number;
}

export interface HoldersReply {
  readonly holders: readonly QueueKey[];
  /** As in `DepthsReply`. */
  readonly commands: number;
}

/** Each call names 1 to 500 messages of one queue, each once, and is atomic as all others are. */
export interface NamedMessages {
  /** Looks at messages; reading stops before their records together exceed `maxBytes`, the first always read. */
  lookUp(queue: StoredQueue, names: readonly MessageName[], maxBytes: number): Promise<LookUpReply>;
  /** Deletes messages, with what is kept of their failures. The order of those that stay does not change. */
  delete(queue: StoredQueue, names: readonly FreeMessage[]): Promise<NamedReply>;
  /**
   * Ends delays and leases given up, so that the messages may be received now; receive counts stay. One that may be
   * received already is `done`. FIFO: `behind` if a message before it is in flight, or the first of its group delayed.
   */
  makeDue(queue: StoredQueue, names: readonly FreeMessage[]): Promise<NamedReply>;
  /**
   * Leases messages, as a receive does, but those named and delayed ones too; a delay ends by it. The lease lasts
   * `leaseMs`, and at least until the message would have been due by itself, so that a taker that dies brings nothing
   * forward. FIFO: only from the first message of a group on, without a gap; others are `behind`.
   */
  take(queue: StoredQueue, names: readonly FreeMessage[], leaseMs: number): Promise<TakeReply>;
  /**
   * Names of messages, about `count` (1 to 500) for each call, in no order: all that are there from the first call to
   * the last come at least once. Costs one command.
   */
  names(queue: StoredQueue, count: number, cursor?: string): Promise<NamesReply>;
  /**
   * Which messages have a delay that still runs: up to `count` (1 to 500) from the one with this place on, 0 being that
   * whose delay ends first. Costs four commands.
   */
  scheduled(queue: StoredQueue, from: number, count: number): Promise<ScheduledReply>;
  /**
   * Reads records only, of messages named by id; reading stops before they together exceed `maxBytes`, the first always
   * read. Costs a command for 16 messages, where `lookUp` costs a few for each.
   */
  records(queue: StoredQueue, ids: readonly string[], maxBytes: number): Promise<RecordsReply>;
  /** Which of these queues have a message of this id. In Redis one call for 100 queues, a command for each queue. */
  holders(queues: readonly StoredQueue[], id: string): Promise<HoldersReply>;
}

/** A message with all that the store keeps of it, so that another store can take its place. */
export interface KeptMessage extends StoredEntry {
  readonly receiveCount: number;
  /** 0 if it was never received. */
  readonly firstReceivedAt: number;
  readonly state: BrowsedEntry['state'];
  /**
   * When it may be handed out, epoch ms by the store's clock; it may have passed. FIFO: when its delay or lease ends;
   * of a visible message that is the first of its group, when the group may be served.
   */
  readonly dueAt: number;
}

export interface PageOptions extends BrowseOptions {
  /** `next` of the page before; absent: the first page. */
  readonly after?: string;
}

export interface Page {
  readonly messages: readonly KeptMessage[];
  /** Where the next page begins; absent: this one is the last. */
  readonly next?: string;
  /** FIFO: the last sequence number that the queue gave. */
  readonly lastSequence?: number;
}

/** A message to be put back. */
export interface RestoredEntry extends KeptMessage {
  /** 1 or more, and growing within one `source`. */
  readonly position: number;
  /** FIFO: as in `NewEntry`; it counts from `sentAt`. */
  readonly deduplicationKey?: string;
}

export interface Restoration {
  /** Names where the messages come from. */
  readonly source: string;
  /** 0 to 500 messages. */
  readonly entries: readonly RestoredEntry[];
  /** FIFO: further sequence numbers are larger than this one. */
  readonly lastSequence?: number;
}

/**
 * `present`: a message of this id is stored. `earlier`: the queue has had this position of this source before, whatever
 * became of the message since.
 */
export type RestoreOutcome = 'restored' | 'present' | 'earlier';

export interface RestoreReply extends HeadLowered {
  readonly outcomes: readonly RestoreOutcome[];
  /**
   * FIFO: the queue has messages, and some were sent to it rather than put back, with numbers below `lastSequence`. In
   * their groups they stand before what is put back with larger ones.
   */
  readonly sentBefore: boolean;
}

/** How long a queue remembers which positions of a source it has had, ms: as long as any message may live. */
export const RESTORED_MS = 14 * 24 * 3_600_000;

export interface Depth {
  /** May be received now. FIFO: messages whose own time has come, locked groups' waiting messages included. */
  readonly visible: number;
  /** Sent with a delay that still runs. */
  readonly delayed: number;
  /** Received, not deleted, lease running. */
  readonly inFlight: number;
}

/** A depth with what a person asks next: is it stuck, and when does it change by itself. */
export interface DepthNow extends Depth {
  /**
   * Milliseconds since the message that may be received first became due; absent: none may be received. A message that
   * was delayed, returned or dead-lettered became due when that happened, not when it was sent.
   */
  readonly waitsMs?: number;
  /** Milliseconds until the next delay or lease ends; absent: none runs. */
  readonly nextDueInMs?: number;
}

export interface AskedQueue extends StoredQueue {
  /** Default: true. */
  readonly likelyEmpty?: boolean;
}

export interface DepthsReply {
  /** In the order in which they were asked for. */
  readonly depths: readonly DepthNow[];
  /** Commands that the answer cost, as a provider bills them: those inside scripts too. 0 in memory. */
  readonly commands: number;
}

/** What one instance hears from the store, about every queue. */
export type Signal =
  /**
   * The head of a queue was made earlier by another instance. (A store may report the calls of this one too, whose
   * replies have said so already; that costs a receive that finds nothing.)
   */
  | { readonly kind: 'wake'; readonly queue: QueueKey; readonly dueInMs: number }
  /** A document changed: its name. */
  | { readonly kind: 'document'; readonly name: string }
  /** A slot set that was full has room again: its name. */
  | { readonly kind: 'slot'; readonly name: string }
  /** The list of live instances changed (rendezvous preference): all ids, this one included. */
  | { readonly kind: 'instances'; readonly ids: readonly string[] }
  /** Another instance, which claims the messages of this queue first, has no room for what is due. */
  | { readonly kind: 'help'; readonly queue: QueueKey }
  /** Signals may have been lost (the connection was replaced). Whoever relies on them must look for himself. */
  | { readonly kind: 'gap' }
  /**
   * The store had come back without anything in it. The documents that were in the memory of the instances have been
   * written again, `restored` of them by this one; `queues` and `tokens`: how many this instance knows now. The
   * messages are gone, and whoever holds more than documents must write it again. A `gap` follows.
   */
  | { readonly kind: 'emptied'; readonly queues: number; readonly tokens: number; readonly restored: number }
  /** A document cannot be read and was set aside under another name; `restored`: what it held before is there again. */
  | {
      readonly kind: 'unreadable';
      readonly name: string;
      readonly asideAs: string;
      readonly fault: string;
      readonly restored: boolean;
    }
  /**
   * Calls can or cannot be made. `refusal`: what the store itself said, if it is there and refuses them; it names no
   * address and no secret.
   */
  | { readonly kind: 'reachable'; readonly reachable: boolean; readonly refusal?: string };

/**
 * Small named texts that all instances share: queue definitions, the discovery snapshot, tokens, modes, move tasks,
 * secrets.
 */
export interface Documents {
  get(name: string): Promise<string | undefined>;
  /** Documents whose names begin with `prefix`, by name. A rare call (listing), for kinds of which there are few. */
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /**
   * The same one after another, read in pages, so that their number does not matter. One may come twice, and one that
   * is written meanwhile may be left out.
   */
  each(prefix: string): AsyncIterable<readonly [name: string, text: string]>;
  /**
   * Says that the caller has the documents of these names in memory, and answers their texts as long as it has them. A
   * store that keeps what it may have to write again then asks for it instead of keeping a second copy.
   */
  heldBy(prefix: string, text: (name: string) => string | undefined): void;
  /**
   * Writes `value`. With `expected` given it writes only if the present value is that (`null`: only if there is none)
   * and answers whether it did. Publishes a `document` signal when it wrote.
   */
  put(name: string, value: string, expected?: string | null): Promise<boolean>;
  /** Removes it; `expected` as in `put`. Publishes a `document` signal when it removed one. */
  remove(name: string, expected?: string): Promise<boolean>;
}

/** Bounded sets of holders, shared by all instances: MaximumConcurrency of a mapping. */
export interface Slots {
  /**
   * Takes a slot of `name` if fewer than `limit` are taken. It frees itself after `holdMs` if the holder dies. Answers
   * `taken`, or the milliseconds until the first of the slots that are taken now frees itself (1 or more), which nobody
   * will announce.
   */
  take(name: string, holder: string, limit: number, holdMs: number): Promise<'taken' | number>;
  /** Gives it back; publishes a `slot` signal only if the set was full. Giving back what is not held does nothing. */
  free(name: string, holder: string, limit: number): Promise<void>;
}

/** How the store is, for `/readyz`, the ops page and `doctor`. */
export interface StoreHealth {
  readonly reachable: boolean;
  /** What the operator must know (no persistence, a dangerous eviction policy, nearly full), in plain words. */
  readonly warnings: readonly string[];
  readonly usedBytes?: number;
  /** Absent: no limit is set. */
  readonly maxBytes?: number;
  /** For example `redis 7.0.15, standalone` or `memory`. */
  readonly description: string;
}

/**
 * The store cannot be reached, or answered with a fault of its own. Whether it carried out what it was asked for is
 * unknown. SDKs retry what follows from it (503).
 */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** The store has no room for another message. Receive and delete go on. */
export class StoreFullError extends Error {
  override readonly name = 'StoreFullError';
}

export interface Store {
  readonly documents: Documents;
  readonly slots: Slots;
  readonly named: NamedMessages;

  /**
   * Stores 1 to 500 messages of one queue, in order, all or none. Errors: `StoreFullError`, `StoreUnavailableError`.
   */
  send(queue: StoredQueue, entries: readonly NewEntry[]): Promise<SendReply>;
  /**
   * Only of a store that is to keep sends safer than an answer of `send` tells. Called before a send; what it gives is
   * called after it, and resolves when the messages are as safe as was asked for. Errors: `StoreUnavailableError`,
   * nobody knows whether they are: they may be there.
   */
  readonly confirmation?: (queue: StoredQueue) => () => Promise<void>;
  /** Leases what is due, oldest due first. */
  receive(queue: StoredQueue, options: ReceiveOptions): Promise<ReceiveReply>;
  /**
   * Deletes leased messages. Standard: also after the lease ran out, as long as nobody received the message again, or
   * `orEarlier` is set.
   */
  delete(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply>;
  /**
   * Moves the end of leases. Standard: also of a message that is visible again, as long as nobody received it, or
   * `orEarlier` is set.
   */
  changeVisibility(queue: StoredQueue, changes: readonly VisibilityChange[]): Promise<DeleteReply>;
  /**
   * Undoes receives: the messages are due at once, and their receive count is what it was before (0 clears the
   * first-receive time as well). May be repeated if its answer was lost: a lease that it gave back already is `done`,
   * and a later lease of the message is left alone.
   */
  release(queue: StoredQueue, leases: readonly Lease[]): Promise<DeleteReply>;
  /** Milliseconds until the head is due (0: now); `undefined`: the queue is empty. One command on an empty queue. */
  peek(queue: StoredQueue): Promise<number | undefined>;
  depth(queue: StoredQueue): Promise<Depth>;
  /**
   * Depths of any number of queues: in Redis one call for 100 queues (in a cluster one call for each). It is cheapest
   * if `likelyEmpty` is right; whatever it says, the answer is.
   */
  depths(queues: readonly AskedQueue[]): Promise<DepthsReply>;
  /**
   * Looks at messages without receiving them, for people. Standard: by when they may be received, those already visible
   * first. FIFO: by group, that which may be served first coming first, in order within it. A few commands for each
   * message.
   */
  browse(queue: StoredQueue, options: BrowseOptions): Promise<readonly BrowsedEntry[]>;
  /**
   * All messages of a queue, whatever their state, page by page. Standard: by when they are due. FIFO: by group, in
   * order within it. What stays as it is between the pages comes exactly once. In a standard queue a message that is
   * received or returned meanwhile changes its place, and may come twice or not at all. A few commands for each
   * message.
   */
  page(queue: StoredQueue, options: PageOptions): Promise<Page>;
  /**
   * Puts messages back as they were: id, bytes, times, receive count, order and sequence number; all or none. Nothing
   * is done twice: see `RestoreOutcome`. Nobody holds the lease of a message that was in flight: it is handed out when
   * that lease would have ended (FIFO: it counts as delayed until then). A purge forgets the sources. Errors:
   * `StoreFullError`, `StoreUnavailableError`.
   */
  restore(queue: StoredQueue, restoration: Restoration): Promise<RestoreReply>;
  /**
   * Keeps the last failure of each of 1 to 500 messages that were received and are still there; another replaces it. It
   * goes with its message, at the latest 15 days after the queue's last failure; a delete of a message that was
   * received once leaves it until then. Beyond `MOST_FAILURES` of a queue the oldest go. Errors: `StoreFullError`.
   */
  keepFailures(queue: StoredQueue, failures: readonly NewFailure[]): Promise<void>;
  /** What is kept of the last failures of up to 500 messages; those without one are absent. One command. */
  failures(queue: StoredQueue, ids: readonly string[]): Promise<ReadonlyMap<string, KeptFailure>>;
  /** Removes every message; on a FIFO queue what was sent before is no original of a duplicate any more. */
  purge(queue: StoredQueue): Promise<void>;
  /**
   * Removes messages that are visible (neither in flight nor delayed) and were sent more than `olderThanMs` ago, at
   * most `limit` of them; answers how many. In a long queue it may miss those that were delayed, received or moved
   * since; a later call finds them once they have been due for that long.
   */
  trim(queue: StoredQueue, olderThanMs: number, limit: number): Promise<number>;

  /** Standard queues: messages whose delay ends within the span, earliest first. They are only looked at. */
  delayed(queue: StoredQueue, span: DelaySpan): Promise<readonly DelayedEntry[]>;
  /**
   * Standard queues: deletes up to 500 messages whose delay still runs. `superseded`: it has ended, so that the message
   * may be received now.
   */
  deleteDelayed(queue: StoredQueue, ids: readonly string[]): Promise<readonly LeaseOutcome[]>;

  /** Calls `listener` with every signal until the returned function is called. */
  subscribe(listener: (signal: Signal) => void): () => void;
  /**
   * An instance of the `instances` signal seems to be gone: it is asked for a sign of life, and leaves the list of all
   * instances if there is none. Costs one command, the answer of a live instance another; repeated doubts cost nothing.
   */
  doubt(instance: string): void;
  /** Tells the other instances that this one has no room for what is due in the queue. Costs one command. */
  askForHelp(queue: QueueKey): void;
  health(): Promise<StoreHealth>;
  /** Lets calls under way finish, then closes the connections. */
  close(): Promise<void>;
}
