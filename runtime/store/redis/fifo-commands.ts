import type { Redis } from 'ioredis';
import { wholeMs } from '../steps.ts';
import type { QueueKey } from '../store.ts';
import {
  type BrowsedEntry,
  type BrowseOptions,
  DEDUPLICATION_WINDOW_MS,
  type DeleteReply,
  type KeptMessage,
  type Lease,
  type LeasedEntry,
  type NewEntry,
  type Page,
  type PageOptions,
  type ReceiveOptions,
  type ReceiveReply,
  type Restoration,
  type RestoreReply,
  type SendReply,
  type SentEntry,
  type VisibilityChange,
} from '../store.ts';
import {
  type Argument,
  buffer,
  idBytes,
  idText,
  type RedisCalls,
  ReplyReader,
  sequenceText,
  valueToStore,
} from './calls.ts';
import { queueKeys, wakeSubject } from './keys.ts';
import { FIFO_BROWSE, FIFO_PAGE } from './scripts/browse.ts';
import { FIFO_RECEIVE } from './scripts/receive.ts';
import { FIFO_RESTORE } from './scripts/restore.ts';
import type { Script } from './scripts/script.ts';
import { FIFO_SEND } from './scripts/send.ts';
import { FIFO_CHANGE_VISIBILITY, FIFO_DELETE, FIFO_RELEASE } from './scripts/settle.ts';
import { FIFO_PURGE, FIFO_TRIM } from './scripts/upkeep.ts';
import {
  type QueueCommands,
  readBrowsed,
  readHeadLowered,
  readKept,
  readLeased,
  readNextDue,
  readOutcomes,
  readRestored,
  readTrimmed,
} from './standard-commands.ts';

/** How long Redis keeps a deduplication key: longer than the window, so that its expiry never decides. */
const DEDUPLICATION_EXPIRY_MS = DEDUPLICATION_WINDOW_MS + 60_000;

/** The calls of FIFO queues. */
export class FifoCommands implements QueueCommands {
  readonly #calls: RedisCalls;
  readonly #channel: string;
  readonly #instanceId: string;

  /** `instanceId`: whom wakes are from; that instance knows already, by the reply. */
  constructor(calls: RedisCalls, channel: string, instanceId: string) {
    this.#calls = calls;
    this.#channel = channel;
    this.#instanceId = instanceId;
  }

  async send(queue: QueueKey, entries: readonly NewEntry[], node?: Redis): Promise<SendReply> {
    const named = queueKeys(queue);
    const keys = [...groupKeys(queue), named.sequence, named.purged];
    const args: Argument[] = [entries.length, DEDUPLICATION_WINDOW_MS, DEDUPLICATION_EXPIRY_MS];
    for (const { id, record, delayMs, group, deduplicationKey, history } of entries) {
      if (deduplicationKey !== undefined) keys.push(named.deduplication(deduplicationKey));
      args.push(idBytes(id), buffer(record), wholeMs(delayMs), group ?? '');
      args.push(history?.receiveCount ?? 0, history?.firstReceivedAt ?? 0, history?.sentAt ?? '');
      args.push(deduplicationKey === undefined ? 0 : keys.length);
    }
    args.push(this.#channel, wakeSubject(queue, this.#instanceId));
    const reply = new ReplyReader(await this.#calls.script(FIFO_SEND, keys, args, node));
    const lowered = readHeadLowered(reply);
    return { sent: entries.map(() => readSent(reply)), ...lowered };
  }

  async receive(queue: QueueKey, options: ReceiveOptions, takeFirst: boolean): Promise<ReceiveReply> {
    const { maxMessages, maxBytes, leaseMs } = options;
    const args = [maxMessages, maxBytes, leaseMs, takeFirst ? 1 : 0];
    const reply = await this.#script(FIFO_RECEIVE, groupKeys(queue), args);
    const total = reply.integer();
    const next = readNextDue(reply);
    const leased: LeasedEntry[] = [];
    while (!reply.done) {
      leased.push({ ...readLeased(reply), group: reply.text(), sequenceNumber: sequenceText(reply.integer()) });
    }
    return { leased, total, ...next };
  }

  async delete(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply> {
    return this.#settle(FIFO_DELETE, queue, leases, () => []);
  }

  async changeVisibility(queue: QueueKey, changes: readonly VisibilityChange[]): Promise<DeleteReply> {
    return this.#settle(FIFO_CHANGE_VISIBILITY, queue, changes, ({ leaseMs }) => [leaseMs]);
  }

  async release(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply> {
    return this.#settle(FIFO_RELEASE, queue, leases, () => []);
  }

  async browse(queue: QueueKey, { limit, maxBytes }: BrowseOptions): Promise<readonly BrowsedEntry[]> {
    const reply = await this.#script(FIFO_BROWSE, groupKeys(queue), [limit, maxBytes]);
    const found: BrowsedEntry[] = [];
    while (!reply.done) {
      const id = idText(reply.bytes());
      found.push({
        id,
        ...readBrowsed(reply),
        group: reply.text(),
        sequenceNumber: sequenceText(reply.integer()),
      });
    }
    return found;
  }

  async page(queue: QueueKey, { limit, maxBytes, after = '' }: PageOptions): Promise<Page> {
    const keys = [...groupKeys(queue), queueKeys(queue).sequence];
    const reply = await this.#script(FIFO_PAGE, keys, [limit, maxBytes, Buffer.from(after, 'base64url')]);
    const lastSequence = reply.integer();
    const next = reply.bytes().toString('base64url');
    const messages: KeptMessage[] = [];
    while (!reply.done) {
      const id = idText(reply.bytes());
      messages.push({
        id,
        ...readKept(reply),
        group: reply.text(),
        sequenceNumber: sequenceText(reply.integer()),
      });
    }
    return { messages, lastSequence, ...(next === '' ? {} : { next }) };
  }

  async restore(
    queue: QueueKey,
    { source, entries, lastSequence = 0 }: Restoration,
    node?: Redis,
  ): Promise<RestoreReply> {
    const named = queueKeys(queue);
    const keys = [...groupKeys(queue), named.sequence, named.restored];
    const args: Argument[] = [entries.length, source, lastSequence, DEDUPLICATION_EXPIRY_MS];
    for (const entry of entries) {
      const { deduplicationKey } = entry;
      if (deduplicationKey !== undefined) keys.push(named.deduplication(deduplicationKey));
      args.push(entry.position, idBytes(entry.id), valueToStore(entry), entry.dueAt, entry.group ?? '');
      args.push(Number(entry.sequenceNumber), entry.receiveCount, entry.firstReceivedAt, entry.sentAt);
      args.push(deduplicationKey === undefined ? 0 : keys.length);
    }
    args.push(this.#channel, wakeSubject(queue, this.#instanceId));
    return readRestored(new ReplyReader(await this.#calls.script(FIFO_RESTORE, keys, args, node)), true);
  }

  async purge(queue: QueueKey): Promise<void> {
    const { sequence, purged, failures, restored } = queueKeys(queue);
    const keys = [...groupKeys(queue), sequence, purged, failures, restored];
    await this.#calls.script(FIFO_PURGE, keys, [DEDUPLICATION_EXPIRY_MS]);
  }

  async trim(queue: QueueKey, olderThanMs: number, most: number): Promise<{ removed: number; more: boolean }> {
    return readTrimmed(
      await this.#script(FIFO_TRIM, [...groupKeys(queue), queueKeys(queue).failures], [olderThanMs, most]),
    );
  }

  async #settle<T extends Lease>(
    script: Script,
    queue: QueueKey,
    leases: readonly T[],
    rest: (lease: T) => readonly Argument[],
  ): Promise<DeleteReply> {
    const args = leases.flatMap((lease) => [
      idBytes(lease.id),
      lease.leaseNumber,
      lease.group ?? '',
      lease.sequenceNumber ?? 0,
      ...rest(lease),
    ]);
    const reply = await this.#script(
      script,
      [...groupKeys(queue), queueKeys(queue).failures],
      [...args, this.#channel, wakeSubject(queue, this.#instanceId)],
    );
    const lowered = readHeadLowered(reply);
    const next = readNextDue(reply);
    return { outcomes: readOutcomes(reply), ...lowered, ...next };
  }

  async #script(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<ReplyReader> {
    return new ReplyReader(await this.#calls.script(script, keys, args));
  }
}

/** KEYS[1..6] of the scripts, in the order that `fifo-groups.ts` gives. */
function groupKeys(queue: QueueKey): string[] {
  const { due, messages, receives, delayed, order, flight } = queueKeys(queue);
  return [due, messages, receives, delayed, order, flight];
}

function readSent(reply: ReplyReader): SentEntry {
  return {
    id: idText(reply.bytes()),
    sentAt: reply.integer(),
    sequenceNumber: sequenceText(reply.integer()),
    duplicate: reply.integer() === 1,
  };
}
