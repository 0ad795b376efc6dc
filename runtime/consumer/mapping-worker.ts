/**
 * One mapping at work on one queue: it draws messages, collects them into batches and has these delivered.
 *
 * The life of a batch, each step only after the one before:
 *
 *   begin      everything that is needed is taken, see `slots.ts`.
 *   lease      one receive, for as many messages and bytes as there is room for. Only one is under way per queue,
 *              because its actor draws one at a time.
 *   collect    only with a window: the batch stays open, each newcomer is leased into it. It holds its slot, but no
 *              Invoke. Its leases are short, and renewed every 20 s until it has its Invoke.
 *   flush      on size, bytes, window end, a change of the mapping, or because others starve for memory. A batch that
 *              collected takes its Invoke now, before all others; its leases are set to the full visibility timeout,
 *              and what was lost to others leaves it.
 *   deliver    see `delivery.ts`.
 *   give back  everything that was taken, whatever happened.
 *
 * Invariant. A message that this worker leased is in exactly one place: in the open batch, in a batch under delivery,
 * or in the hands of a settlement that deletes it, gives it back, or leaves it to its lease. Where none of the three
 * has it, its lease alone decides.
 *
 * @module
 */
import type { ReceivedMessage } from '../queue/message.ts';
import type { Queue } from '../queue/queue.ts';
import { pause, repeat } from '../retry.ts';
import {
  type BatchRecord,
  COLLECTING_LEASE_MS,
  changeLeases,
  HeldBatch,
  leaseMsOf,
  RENEWAL_INTERVAL_MS,
  readyToInvoke,
  releaseBatch,
} from './batch.ts';
import { awaitNextAttempt, deliver } from './delivery.ts';
import { Intake } from './intake.ts';
import type { Trouble } from './lambda-trouble.ts';
import type { ByteShare } from './limits.ts';
import type { ConsumerParts, ServedMapping } from './parts.ts';
import { releaseMessages, warnOfStore } from './settlement.ts';
import { type Holdings, MappingSlots } from './slots.ts';
/** `empty`: nothing was there. `refused`: no slot in the store, or the worker was withheld meanwhile. */
export type DrawEnd = 'received' | 'empty' | 'refused';

/** One receive, with everything taken that it needs. Errors: those of the store; all is given back then. */
export type Draw = () => Promise<DrawEnd>;

/** Who withholds a worker: its queue (mode, end of service), or the mapping itself (a filter that fails, a loop). */
export type WithholdingCause = 'queue' | 'mapping';

/** The state of a mapping, for the operator. */
export interface WorkerSnapshot {
  readonly uuid: string;
  readonly functionArn: string;
  /** Batches on their way, open ones included. */
  readonly running: number;
  /** Batches that may be on their way now in this process. */
  readonly concurrency: number;
  /** Over all instances; absent: no limit of its own. */
  readonly maximumConcurrency?: number;
  /** Messages in the open batch. */
  readonly collecting: number;
  /** Why nothing is drawn now, if so. */
  readonly paused?: string;
  /** Why its invocations do not get through now, if so; nothing is counted as received meanwhile. */
  readonly trouble?: string;
  /** It is paused until somebody looks at its mapping and resumes it. */
  readonly resumable?: true;
}

export interface WorkerOptions {
  readonly served: ServedMapping;
  readonly queue: Queue;
  readonly parts: ConsumerParts;
  /** Called when the worker may be able to draw again. */
  readonly onReady: () => void;
  /** Called when the worker withheld itself: somebody must look at its mapping. */
  readonly onStopped: (why: string) => void;
}

/** Groups that failed and are invoked apart from others; of more, the oldest is forgotten. */
const REMEMBERED_SUSPECTS = 1_000;

export class MappingWorker {
  readonly #queue: Queue;
  readonly #parts: ConsumerParts;
  readonly #onReady: () => void;
  readonly #slots: MappingSlots;
  readonly #intake: Intake;
  readonly #causes = new Map<WithholdingCause, string>();
  /** Why nothing is drawn: the one of `#causes` that is told. */
  #withheld: string | undefined;
  /** What goes on by itself; it never rejects. */
  readonly #work = new Set<Promise<void>>();
  /** FIFO: groups of batches that failed as a whole, oldest first. */
  readonly #suspects = new Set<string>();
  #served: ServedMapping;
  #open: HeldBatch | undefined;

  constructor({ served, queue, parts, onReady, onStopped }: WorkerOptions) {
    this.#served = served;
    this.#queue = queue;
    this.#parts = parts;
    this.#onReady = onReady;
    this.#slots = new MappingSlots(served, parts, onReady, (trouble) => this.#emitTrouble(trouble));
    this.#intake = new Intake({
      queue,
      parts,
      track: (work) => this.#track(work),
      stopMapping: (why) => {
        this.withhold('mapping', why);
        onStopped(why);
      },
    });
  }

  get served(): ServedMapping {
    return this.#served;
  }

  get snapshot(): WorkerSnapshot {
    const { mapping, tuning } = this.#served;
    const { trouble } = this.#slots;
    const paused = this.#withheld ?? (trouble && `invocations do not get through: ${trouble.detail}`);
    return {
      uuid: mapping.uuid,
      functionArn: mapping.functionArn,
      running: this.#slots.concurrency.running,
      concurrency: this.#slots.concurrency.limit,
      ...(tuning.maximumConcurrency !== undefined && { maximumConcurrency: tuning.maximumConcurrency }),
      collecting: this.#open?.records.length ?? 0,
      ...(paused !== undefined && { paused }),
      ...(trouble !== undefined && { trouble: trouble.detail }),
      ...(this.#causes.has('mapping') && { resumable: true }),
    };
  }

  /**
   * Takes what a receive needs and answers the receive; `undefined`: not now, `onReady` will be called. Only while the
   * queue is due, and one draw at a time.
   */
  begin(): Draw | undefined {
    if (this.#withheld !== undefined) return undefined;
    const open = this.#open;
    if (open !== undefined) {
      const headroom = this.#slots.headroom(open.missing, open.missingBytes);
      return headroom && (() => this.#drawMore(open, headroom));
    }
    const holdings = this.#slots.begin();
    if (holdings === undefined) return undefined;
    const batch = new HeldBatch(this.#parts.limits.nextBatch(), this.#served.mapping, this.#queue, holdings);
    return () => this.#drawFirst(batch);
  }

  /** A receive was refused because the process has no room, and has none yet. */
  get lacksRoom(): boolean {
    return this.#slots.lacksRoom;
  }

  /** Nothing is due. */
  idle(): void {
    this.#slots.concurrency.idle();
  }

  /** The settings changed; they hold for the next batch. */
  retune(served: ServedMapping): void {
    const before = this.#served.mapping.filterPatterns;
    this.#served = served;
    if (before.join() !== served.mapping.filterPatterns.join()) this.#intake.filtersChanged();
    this.#slots.retune(served);
    if (this.#open !== undefined) this.#flush(this.#open);
    this.resume('mapping');
  }

  /** Draws nothing more and gives back what is only collected; what is on its way goes on. */
  withhold(cause: WithholdingCause, why: string): void {
    this.#causes.set(cause, why);
    this.#withheld = this.#causes.get('queue') ?? why;
    this.#slots.stopWaiting();
    const open = this.#open;
    if (open !== undefined && !open.drawing) this.#abandon(open, why);
  }

  /** Draws again, unless the other cause withholds it too. */
  resume(cause: WithholdingCause): void {
    if (cause === 'mapping' && this.#causes.has('mapping')) this.#intake.resumed();
    this.#causes.delete(cause);
    this.#withheld = this.#causes.get('queue') ?? this.#causes.get('mapping');
    this.#onReady();
  }

  /** A slot of the mapping may be free in the store. */
  sharedPossible(): void {
    this.#slots.sharedPossible();
  }

  /** Withholds for good, and waits until everything on its way has ended. Not while a draw is under way. */
  async stop(why: string): Promise<void> {
    this.withhold('queue', why);
    while (this.#work.size > 0) await Promise.all(this.#work);
    this.#slots.close();
  }

  async #drawFirst(batch: HeldBatch): Promise<DrawEnd> {
    try {
      const taken =
        this.#served.tuning.maximumConcurrency === undefined ||
        (await this.#slots.takeShared(batch.holdings, leaseMsOf(this.#queue)));
      if (!taken || this.#withheld !== undefined) {
        await this.#giveBack(batch);
        return 'refused';
      }
      const begunAt = this.#parts.time.monotonic();
      return this.#takeIn(batch, await this.#receive(batch, batch.holdings.bytes.bytes), begunAt);
    } catch (error) {
      await this.#giveBack(batch);
      throw error;
    }
  }

  async #drawMore(batch: HeldBatch, headroom: ByteShare): Promise<DrawEnd> {
    batch.drawing = true;
    const begunAt = this.#parts.time.monotonic();
    let messages: readonly ReceivedMessage[] = [];
    try {
      messages = await this.#receive(batch, headroom.bytes);
    } finally {
      batch.drawing = false;
      headroom.free();
      // A flush that was asked for meanwhile takes place now, whether new messages came or not.
      this.#takeIn(batch, messages, begunAt);
    }
    return messages.length === 0 ? 'empty' : 'received';
  }

  #receive(batch: HeldBatch, maxBytes: number): Promise<readonly ReceivedMessage[]> {
    const fullMs = leaseMsOf(this.#queue);
    return this.#queue.receive({
      maxMessages: batch.missing,
      maxBytes,
      visibilityTimeoutMs: batch.windowMs === 0 ? fullMs : batch.leaseMs(this.#parts.time.monotonic(), fullMs),
      // However many dead letters stand before the first message for us: an empty answer must mean that there is none.
      rounds: Number.POSITIVE_INFINITY,
      signal: this.#parts.stopping,
    });
  }

  /** `begunAt`: monotonic ms when the receive that brought the messages began. */
  #takeIn(batch: HeldBatch, messages: readonly ReceivedMessage[], begunAt: number): DrawEnd {
    const { name } = batch;
    if (messages.length > 0) {
      const leased = {
        messageIds: [] as string[],
        receiveCounts: [] as number[],
        traceHeaders: [] as (string | undefined)[],
      };
      for (const { id, receiveCount, traceHeader } of messages) {
        leased.messageIds.push(id);
        leased.receiveCounts.push(receiveCount);
        leased.traceHeaders.push(traceHeader);
      }
      const tookMs = this.#parts.time.monotonic() - begunAt;
      this.#parts.events.emit({ kind: 'leased', ...name, ...leased, tookMs });
    }
    if (this.#withheld === undefined) {
      const records = messages.length === 0 ? [] : this.#intake.take(messages, this.#served, name);
      const [first = [], ...apart] = this.#suspects.size === 0 ? [records] : this.#apart(records);
      this.#place(batch, first);
      for (const others of apart) this.#placeApart(others, batch.windowEndsAt);
    } else {
      this.#track(releaseMessages(this.#queue, messages, name, this.#withheld, this.#parts));
      this.#abandon(batch, this.#withheld);
    }
    return messages.length === 0 ? 'empty' : 'received';
  }

  /** Puts records into a batch, flushes it if it is time, and begins the next one with what found no place. */
  #place(batch: HeldBatch, records: readonly BatchRecord[]): void {
    // The messages themselves may have stopped the mapping; then the batch was given back with them.
    if (batch.closed) return;
    const now = this.#parts.time.monotonic();
    let placed = 0;
    for (const record of records) {
      if (!batch.add(record, now)) break;
      placed += 1;
    }
    const rest = records.slice(placed);
    batch.holdings.bytes.resize(batch.bytes);

    const windowLeftMs = batch.windowMs === 0 ? 0 : batch.windowLeftMs(now);
    const complete = batch.missing === 0 || rest.length > 0 || windowLeftMs === 0 || batch.flushAsked;
    if (batch.records.length === 0) this.#abandon(batch, 'nothing to deliver');
    else if (complete) this.#flush(batch);
    else this.#collect(batch, windowLeftMs);
    if (rest.length > 0) this.#placeRest(rest, batch.windowEndsAt);
  }

  /**
   * FIFO: which records go into batches of their own. Each group that failed with others is alone until it succeeded;
   * all other groups are together.
   */
  #apart(records: readonly BatchRecord[]): readonly (readonly BatchRecord[])[] {
    const batches = new Map<string | undefined, BatchRecord[]>();
    for (const record of records) {
      const group = record.message.groupId;
      const key = group !== undefined && this.#suspects.has(group) ? group : undefined;
      batches.set(key, [...(batches.get(key) ?? []), record]);
    }
    return [...batches.values()];
  }

  /**
   * FIFO: remembers the groups of a batch that failed as a whole, one of which may be what made it fail, and trusts
   * those that succeeded.
   */
  #judgeGroups(batch: HeldBatch, failed: boolean): void {
    for (const group of batch.groups) {
      if (group === undefined) continue;
      this.#suspects.delete(group);
      if (failed) this.#suspects.add(group);
    }
    for (const oldest of this.#suspects) {
      if (this.#suspects.size <= REMEMBERED_SUSPECTS) break;
      this.#suspects.delete(oldest);
    }
  }

  /**
   * Leased records for which an event had no room begin the next batch, if it can begin now. FIFO: their group may be
   * in flight, so they are given back.
   */
  #placeRest(records: readonly BatchRecord[], windowEndsAt: number | undefined): void {
    if (this.#queue.definition.fifo) this.#releaseUnplaced(records);
    else this.#placeApart(records, windowEndsAt);
  }

  /** Leased records begin a batch of their own, if it can begin now; else they are given back. */
  #placeApart(records: readonly BatchRecord[], windowEndsAt: number | undefined): void {
    const holdings = this.#slots.beginLeased();
    if (holdings === undefined) {
      this.#releaseUnplaced(records);
      return;
    }
    const number = this.#parts.limits.nextBatch();
    this.#place(new HeldBatch(number, this.#served.mapping, this.#queue, holdings, windowEndsAt), records);
  }

  #releaseUnplaced(records: readonly BatchRecord[]): void {
    const name = { mapping: this.#served.mapping.uuid, queue: this.#queue.key, batch: this.#parts.limits.nextBatch() };
    const messages = records.map((record) => record.message);
    this.#track(
      releaseMessages(
        this.#queue,
        messages,
        name,
        'their batch had no room for them, and no slot was free for another',
        this.#parts,
      ),
    );
  }

  #collect(batch: HeldBatch, windowLeftMs: number): void {
    this.#open = batch;
    batch.cancelWindow ??= this.#parts.time.after(windowLeftMs, () => this.#flush(batch));
    batch.endCollecting ??= this.#parts.limits.idling(() => this.#flush(batch));
    if (batch.windowMs > 0) this.#renewLeases(batch);
  }

  /** Keeps the leases of a batch with a window alive, until it is invoked or given up. */
  #renewLeases(batch: HeldBatch): void {
    const renew = async (): Promise<void> => {
      await changeLeases(batch, COLLECTING_LEASE_MS, this.#parts);
      if (!batch.closed) batch.holdings.bytes.resize(batch.bytes);
    };
    batch.endRenewal ??= repeat(this.#parts.time, RENEWAL_INTERVAL_MS, () => this.#track(renew()));
  }

  #flush(batch: HeldBatch): void {
    if (batch.drawing) {
      batch.flushAsked = true;
      return;
    }
    if (!this.#close(batch)) return;
    this.#track(this.#deliver(batch));
  }

  /** Ends a batch that will not be invoked. */
  #abandon(batch: HeldBatch, why: string): void {
    if (!this.#close(batch)) return;
    batch.endRenewal?.();
    this.#track(releaseBatch(batch, why, this.#parts));
    this.#track(this.#giveBack(batch));
  }

  /** Whether it was open until now. */
  #close(batch: HeldBatch): boolean {
    batch.cancelWindow?.();
    batch.endCollecting?.();
    if (this.#open === batch) this.#open = undefined;
    const wasOpen = !batch.closed;
    batch.closed = true;
    return wasOpen;
  }

  async #deliver(batch: HeldBatch): Promise<void> {
    const { holdings } = batch;
    try {
      // A batch without a window has all that it needs since before its lease.
      const leaseEndsAt = batch.windowMs === 0 ? batch.leaseEndsAt : await this.#ready(batch);
      if (leaseEndsAt === undefined) return;
      let throttled = false;
      const end = await deliver(batch, leaseEndsAt, this.#parts, {
        nextAttempt: (inMs, until) => {
          if (!throttled) this.#slots.concurrency.backOff();
          throttled = true;
          return awaitNextAttempt(batch, this.#slots, this.#parts, inMs, until);
        },
        ...(holdings.shared !== undefined && { outlasting: () => this.#outlasting(batch) }),
      });
      const isJudged = this.#queue.definition.fifo && end.effect !== undefined && end.giveBack === undefined;
      if (isJudged) this.#judgeGroups(batch, end.failed === true);
      if (end.effect !== undefined) this.#slots.ended(end.effect, throttled);
      if (end.giveBack !== undefined) await releaseBatch(batch, end.giveBack, this.#parts);
      if (end.restsUntil !== undefined) await this.#rest(end.restsUntil, holdings);
      if (end.mayRunUntil !== undefined && holdings.shared !== undefined)
        await this.#outlast(end.mayRunUntil, holdings);
    } finally {
      await this.#giveBack(batch);
    }
  }

  /** With a window: when the leases end, once there is an Invoke for the batch; its leases are kept until then. */
  async #ready(batch: HeldBatch): Promise<number | undefined> {
    this.#renewLeases(batch);
    try {
      return await readyToInvoke(batch, this.#parts);
    } finally {
      batch.endRenewal?.();
    }
  }

  async #outlasting({ holdings, name }: HeldBatch): Promise<void> {
    try {
      await this.#slots.outlasting(holdings);
    } catch (error) {
      warnOfStore(name, 'a slot could not be prolonged, and may end before its batch', error, this.#parts);
    }
  }

  #emitTrouble(trouble: Trouble | undefined): void {
    const name = { mapping: this.#served.mapping.uuid, queue: this.#queue.key };
    if (trouble === undefined) this.#parts.events.emit({ kind: 'lambda-reached', ...name });
    else this.#parts.events.emit({ kind: 'lambda-trouble', ...name, detail: trouble.detail });
  }

  /** The slot of a batch that was given back stays taken. */
  async #rest(until: number, holdings: Holdings): Promise<void> {
    const { time, stopping } = this.#parts;
    holdings.giveBackProcess();
    await pause(time, until - time.monotonic(), stopping);
  }

  /**
   * A function whose call was lost may still be running. With a limited concurrency its slot stays taken until it must
   * have ended; if the server does not live that long, until the deadline of the slot.
   */
  async #outlast(until: number, holdings: Holdings): Promise<void> {
    const { time, stopping } = this.#parts;
    holdings.giveBackProcess();
    if (!(await pause(time, until - time.monotonic(), stopping))) holdings.shared = undefined;
  }

  async #giveBack({ name, holdings }: HeldBatch): Promise<void> {
    try {
      await holdings.giveBack();
    } catch (error) {
      const what = 'a slot could not be given back, and frees itself by its deadline';
      warnOfStore(name, what, error, this.#parts);
    }
    this.#onReady();
  }

  #track(work: Promise<void>): void {
    const tracked = work
      .catch((error: unknown) => {
        const name = { mapping: this.#served.mapping.uuid, queue: this.#queue.key };
        warnOfStore(name, 'a step of the consumer failed', error, this.#parts);
      })
      .finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }
}
