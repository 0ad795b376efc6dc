import type { QueueKey } from '../../queue/arn.ts';
import type {
  BrowsedEntry,
  BrowseOptions,
  DeleteReply,
  Depth,
  HeadLowered,
  Lease,
  LeaseOutcome,
  NewEntry,
  ReceiveOptions,
  ReceiveReply,
  SendReply,
  VisibilityChange,
} from '../store.ts';
import { type ReplyReader, storedValue } from './encoding.ts';

/** What differs between the two kinds of queue: which scripts, which keys, which arguments. Each call is one script and at most `STEP` messages. */
export interface QueueCommands {
  send(queue: QueueKey, entries: readonly NewEntry[]): Promise<SendReply>;
  receive(queue: QueueKey, options: ReceiveOptions, takeFirst: boolean): Promise<ReceiveReply>;
  delete(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply>;
  changeVisibility(queue: QueueKey, changes: readonly VisibilityChange[]): Promise<DeleteReply>;
  release(queue: QueueKey, leases: readonly Lease[]): Promise<DeleteReply>;
  depth(queue: QueueKey): Promise<Depth>;
  browse(queue: QueueKey, options: BrowseOptions): Promise<readonly BrowsedEntry[]>;
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

export function readDepth(reply: ReplyReader): Depth {
  return { visible: reply.integer(), delayed: reply.integer(), inFlight: reply.integer() };
}

export function readTrimmed(reply: ReplyReader): { readonly removed: number; readonly more: boolean } {
  return { removed: reply.integer(), more: reply.integer() === 1 };
}
