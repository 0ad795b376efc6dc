import type { Redis } from 'ioredis';
import { FAIR_LOOK_AHEAD, wholeMs } from '../steps.ts';
import type {
  BrowsedEntry,
  BrowseOptions,
  DelayedEntry,
  DelaySpan,
  DeleteReply,
  HeadLowered,
  KeptMessage,
  Lease,
  LeasedEntry,
  LeaseOutcome,
  NewEntry,
  Page,
  PageOptions,
  QueueKey,
  ReceiveOptions,
  ReceiveReply,
  Restoration,
  RestoreOutcome,
  RestoreReply,
  SendReply,
  SentEntry,
  VisibilityChange,
} from '../store.ts';
import {
  type Argument,
  buffer,
  idText,
  integersIn,
  type RedisCalls,
  ReplyReader,
  shortIdBytes,
  storedValue,
  valueToStore,
} from './calls.ts';
import { queueKeys, wakeSubject } from './keys.ts';
import { BROWSE, PAGE } from './scripts/browse.ts';
import { RECEIVE } from './scripts/receive.ts';
import { RESTORE } from './scripts/restore.ts';
import type { Script } from './scripts/script.ts';
import { SEND } from './scripts/send.ts';
import { CHANGE_VISIBILITY, DELETE, RELEASE } from './scripts/settle.ts';
import { DELAYED, DELETE_DELAYED, TRIM } from './scripts/upkeep.ts';

/** The calls of standard queues. */
export class StandardCommands implements QueueCommands {
  readonly #calls: RedisCalls;
  readonly #channel: string;
  readonly #instanceId: string;
  #lastNamed: Named | undefined;

  /** `instanceId`: whom wakes are from; that instance knows already, by the reply. */
  constructor(calls: RedisCalls, channel: string, instanceId: string) {
    this.#calls = calls;
    this.#channel = channel;
    this.#instanceId = instanceId;
  }

  async send(queue: QueueKey, entries: readonly NewEntry[], node?: Redis): Promise<SendReply> {
    const { keys, wake } = this.#lastNamed?.queue === queue ? this.#lastNamed : this.#name(queue);
    const args: Argument[] = [entries.length];
    for (const { id, record, delayMs, group = '', history } of entries) {
      const moved = history === undefined ? '' : historyText(history);
      const bytes = Buffer.isBuffer(record) ? record : buffer(record);
      args.push(shortIdBytes(id), bytes, delayMs === 0 ? 0 : wholeMs(delayMs), group, moved);
    }
    args.push(this.#channel, wake);
    const [headLoweredToMs = -1, ...sentAt] = integersIn(await this.#calls.script(SEND, keys, args, node));
    const sent: SentEntry[] = [];
    for (const { id } of entries) sent.push({ id, sentAt: sentAt[sent.length] ?? Number.NaN, duplicate: false });
    return headLoweredToMs === -1 ? { sent } : { sent, headLoweredToMs };
  }

  #name(queue: QueueKey): Named {
    const keys = allKeys(queue);
    const leaseKeys = keys.slice(0, 3);
    const settleKeys = [...leaseKeys, queueKeys(queue).failures];
    this.#lastNamed = { queue, keys, leaseKeys, settleKeys, wake: wakeSubject(queue, this.#instanceId) };
    return this.#lastNamed;
  }

  async receive(queue: QueueKey, options: ReceiveOptions, takeFirst: boolean): Promise<ReceiveReply> {
    const { leaseKeys } = this.#lastNamed?.queue === queue ? this.#lastNamed : this.#name(queue);
    const { maxMessages, maxBytes, leaseMs } = options;
    const args = [maxMessages, maxBytes, leaseMs, takeFirst ? 1 : 0, Math.max(maxMessages, FAIR_LOOK_AHEAD)];
    const reply = new ReplyReader(await this.#calls.script(RECEIVE, leaseKeys, args));
    const total = reply.integer();
    const nextDueInMs = reply.integer();
    const leased: LeasedEntry[] = [];
    while (!reply.done) {
      const entry = readLeased(reply);
      const group = reply.text();
      leased.push(group === '' ? entry : { ...entry, group });
    }
    return nextDueInMs === -1 ? { leased, total } : { leased, total, nextDueInMs };
  }

  async delete(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply> {
    const args: Argument[] = [];
    for (const lease of leases) args.push(shortIdBytes(lease.id), fenceOf(lease));
    return this.#settle(DELETE, queue, args);
  }

  async changeVisibility(queue: QueueKey, changes: readonly VisibilityChange[]): Promise<DeleteReply> {
    const args = changes.flatMap((change) => [shortIdBytes(change.id), fenceOf(change), change.leaseMs]);
    return this.#settle(CHANGE_VISIBILITY, queue, args);
  }

  async release(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply> {
    const args = leases.flatMap(({ id, leaseNumber }) => [shortIdBytes(id), leaseNumber]);
    return this.#settle(RELEASE, queue, args);
  }

  async browse(queue: QueueKey, { limit, maxBytes }: BrowseOptions): Promise<readonly BrowsedEntry[]> {
    const reply = await this.#script(BROWSE, allKeys(queue), [limit, maxBytes]);
    const found: BrowsedEntry[] = [];
    while (!reply.done) {
      const entry = { id: idText(reply.bytes()), ...readBrowsed(reply) };
      const group = reply.text();
      found.push(group === '' ? entry : { ...entry, group });
    }
    return found;
  }

  async page(queue: QueueKey, { limit, maxBytes, after = '' }: PageOptions): Promise<Page> {
    const [score = '', member = ''] = after.split(' ');
    const reply = await this.#script(PAGE, allKeys(queue), [limit, maxBytes, score, Buffer.from(member, 'base64url')]);
    const place = [reply.text(), reply.bytes().toString('base64url')].join(' ');
    const messages: KeptMessage[] = [];
    while (!reply.done) {
      const entry = { id: idText(reply.bytes()), ...readKept(reply) };
      const group = reply.text();
      messages.push(group === '' ? entry : { ...entry, group });
    }
    return place === ' ' ? { messages } : { messages, next: place };
  }

  async restore(queue: QueueKey, { source, entries }: Restoration, node?: Redis): Promise<RestoreReply> {
    const args: Argument[] = [entries.length, source];
    for (const entry of entries) {
      const { position, id, dueAt, state, group = '', receiveCount, firstReceivedAt } = entry;
      args.push(position, shortIdBytes(id), valueToStore(entry), dueAt, state === 'delayed' ? 1 : 0);
      args.push(group, receiveCount, firstReceivedAt);
    }
    const keys = [...allKeys(queue), queueKeys(queue).restored];
    args.push(this.#channel, wakeSubject(queue, this.#instanceId));
    return readRestored(new ReplyReader(await this.#calls.script(RESTORE, keys, args, node)), false);
  }

  async purge(queue: QueueKey): Promise<void> {
    const { failures, restored } = queueKeys(queue);
    await this.#calls.command('unlink', ...allKeys(queue), failures, restored);
  }

  async trim(queue: QueueKey, olderThanMs: number, most: number): Promise<{ removed: number; more: boolean }> {
    return readTrimmed(await this.#script(TRIM, [...allKeys(queue), queueKeys(queue).failures], [olderThanMs, most]));
  }

  async delayed(queue: QueueKey, { fromMs, toMs, limit }: DelaySpan): Promise<readonly DelayedEntry[]> {
    const reply = await this.#script(DELAYED, allKeys(queue), [fromMs, toMs, limit]);
    const found: DelayedEntry[] = [];
    while (!reply.done) {
      const id = idText(reply.bytes());
      const { record } = storedValue(reply.bytes());
      found.push({ id, record, dueInMs: reply.integer() });
    }
    return found;
  }

  async deleteDelayed(queue: QueueKey, ids: readonly string[]): Promise<readonly LeaseOutcome[]> {
    return readOutcomes(await this.#script(DELETE_DELAYED, allKeys(queue), ids.map(shortIdBytes)));
  }

  async #settle(script: Script, queue: QueueKey, args: Argument[]): Promise<DeleteReply> {
    const { settleKeys, wake } = this.#lastNamed?.queue === queue ? this.#lastNamed : this.#name(queue);
    args.push(this.#channel, wake);
    const [headLoweredToMs = -1, nextDueInMs = -1, ...states] = integersIn(
      await this.#calls.script(script, settleKeys, args),
    );
    const outcomes: LeaseOutcome[] = [];
    for (const state of states) outcomes.push(OUTCOMES[state] ?? 'missing');
    return {
      outcomes,
      ...(headLoweredToMs === -1 ? {} : { headLoweredToMs }),
      ...(nextDueInMs === -1 ? {} : { nextDueInMs }),
    };
  }

  async #script(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<ReplyReader> {
    return new ReplyReader(await this.#calls.script(script, keys, args));
  }
}

/** What every call for a queue names alike. Most calls are for the queue of the call before: it is kept. */
interface Named {
  readonly queue: QueueKey;
  readonly keys: readonly string[];
  /** Without the key of running delays, which only sends begin. */
  readonly leaseKeys: readonly string[];
  /** Those of the scripts that settle leases. */
  readonly settleKeys: readonly string[];
  readonly wake: string;
}

function historyText(history: NonNullable<NewEntry['history']>): string {
  return `${history.receiveCount}:${history.firstReceivedAt}:${history.sentAt}`;
}

function allKeys(queue: QueueKey): string[] {
  const { due, messages, receives, delayed } = queueKeys(queue);
  return [due, messages, receives, delayed];
}

/** The part of a leased message that both kinds of queue have. */
export function readLeased(reply: ReplyReader): LeasedEntry {
  return {
    id: idText(reply.bytes()),
    ...storedValue(reply.bytes()),
    leaseNumber: reply.integer(),
    receiveCount: reply.integer(),
    firstReceivedAt: reply.integer(),
    lateMs: reply.integer(),
  };
}

/** The lease number as the scripts take it: negative if earlier leases count as well. */
function fenceOf({ leaseNumber, orEarlier }: Lease): number {
  return orEarlier === true ? -leaseNumber : leaseNumber;
}

/**
 * What differs between the two kinds of queue: which scripts, which keys, which arguments. Each call is one script and
 * at most `STEP` messages.
 */
export interface QueueCommands {
  /** `node`: the server that is to do it, or to refuse; default: the one that has the queue. */
  send(queue: QueueKey, entries: readonly NewEntry[], node?: Redis): Promise<SendReply>;
  receive(queue: QueueKey, options: ReceiveOptions, takeFirst: boolean): Promise<ReceiveReply>;
  delete(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply>;
  changeVisibility(queue: QueueKey, changes: readonly VisibilityChange[]): Promise<DeleteReply>;
  release(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply>;
  browse(queue: QueueKey, options: BrowseOptions): Promise<readonly BrowsedEntry[]>;
  page(queue: QueueKey, options: PageOptions): Promise<Page>;
  /** `node`: as of `send`. */
  restore(queue: QueueKey, restoration: Restoration, node?: Redis): Promise<RestoreReply>;
  purge(queue: QueueKey): Promise<void>;
  /** `more`: there may be more to do at once. */
  trim(
    queue: QueueKey,
    olderThanMs: number,
    most: number,
  ): Promise<{ readonly removed: number; readonly more: boolean }>;
}

const OUTCOMES: readonly LeaseOutcome[] = ['done', 'superseded', 'missing', 'expired'];

/** The outcomes that fill the rest of a reply. */
export function readOutcomes(reply: ReplyReader): LeaseOutcome[] {
  const outcomes: LeaseOutcome[] = [];
  while (!reply.done) outcomes.push(OUTCOMES[reply.integer()] ?? 'missing');
  return outcomes;
}

/** The part of a reply that says whether the head was lowered. */
export function readHeadLowered(reply: ReplyReader): HeadLowered {
  const headLoweredToMs = reply.optionalMs();
  return headLoweredToMs === undefined ? {} : { headLoweredToMs };
}

/** The part of a reply that says when the next message is due. */
export function readNextDue(reply: ReplyReader): { readonly nextDueInMs?: number } {
  const nextDueInMs = reply.optionalMs();
  return nextDueInMs === undefined ? {} : { nextDueInMs };
}

const STATES: readonly BrowsedEntry['state'][] = ['visible', 'delayed', 'in-flight'];

/** The part of a browsed message that both kinds of queue have, after its id. */
export function readBrowsed(reply: ReplyReader): Omit<BrowsedEntry, 'id' | 'group' | 'sequenceNumber'> {
  return {
    ...storedValue(reply.bytes()),
    receiveCount: reply.integer(),
    firstReceivedAt: reply.integer(),
    state: STATES[reply.integer()] ?? 'visible',
    dueInMs: reply.integer(),
  };
}

/** The part of a message of a page that both kinds of queue have, after its id. */
export function readKept(reply: ReplyReader): Omit<KeptMessage, 'id' | 'group' | 'sequenceNumber'> {
  const { dueInMs: dueAt, ...rest } = readBrowsed(reply);
  return { ...rest, dueAt };
}

const RESTORE_OUTCOMES: readonly RestoreOutcome[] = ['restored', 'present', 'earlier'];

export function readRestored(reply: ReplyReader, fifo: boolean): RestoreReply {
  const lowered = readHeadLowered(reply);
  const sentBefore = fifo && reply.integer() === 1;
  const outcomes: RestoreOutcome[] = [];
  while (!reply.done) outcomes.push(RESTORE_OUTCOMES[reply.integer()] ?? 'restored');
  return { outcomes, sentBefore, ...lowered };
}

export function readTrimmed(reply: ReplyReader): { readonly removed: number; readonly more: boolean } {
  return { removed: reply.integer(), more: reply.integer() === 1 };
}
