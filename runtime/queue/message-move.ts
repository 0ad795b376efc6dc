/**
 * One step of a move task: leases some messages of the source, stores each as a new message in its destination, deletes
 * it from the source. They are those that a receive gives, or the next ones of a selection.
 *
 * The new id is derived from the task and the old id. So a step that is repeated after a crash between storing and
 * deleting stores nothing twice, as long as the first copy is still there (or, on FIFO queues, for five minutes): the
 * same promise as a dead-letter move.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { Lease, MessageName, NewEntry, QueueKey } from '../store/store.ts';
import { withoutTurns } from './message.ts';
import type { MoveTaskFailure } from './move-task.ts';
import { parseQueueArn, queueKey } from './names.ts';
import { decodeRecord, encodeRecord, RecordError } from './record.ts';
import type { StoredQueue } from './stored-queue.ts';

/** Length of the lease of a step, ms: after a fault of the store a step may be repeated when this has passed. */
export const STEP_LEASE_MS = 30_000;
const STEP_MAX_BYTES = 16 * 1_048_576;

export interface MoveStep {
  readonly moved: number;
  /** Messages past the retention period of the source, which were deleted: moved, they would begin a new life. */
  readonly expired: number;
  /** Messages that the step came to: 0, nothing could be received. Of a selection, more than it moves may be met. */
  readonly met: number;
  /** Messages that have nowhere to go; they were given back to the source. */
  readonly failure?: MoveTaskFailure;
}

interface MoveStepOptions {
  readonly taskId: string;
  readonly source: StoredQueue;
  readonly destinationArn: string | undefined;
  /** ARNs of the only queues to which messages may go back; `undefined`: all. */
  readonly sources: readonly string[] | undefined;
  readonly maxMessages: number;
  /** What is still to be moved of a selection, 1 or more; absent: whatever can be received. */
  readonly selection?: readonly MessageName[];
  readonly byKey: (key: QueueKey) => StoredQueue | undefined;
}

/** A message of the source under the lease of a step. */
interface Held extends Lease {
  readonly record: Uint8Array;
  readonly sentAt: number;
}

interface Planned {
  readonly lease: Held;
  readonly target: StoredQueue;
  readonly entry: NewEntry;
}

/**
 * Errors: `StoreFullError`, `StoreUnavailableError`; messages under way are due again in the source when their lease
 * ends.
 */
export async function moveStep(options: MoveStepOptions): Promise<MoveStep> {
  const { source } = options;
  const { leased, met } = await leaseSome(options);
  const old = leased.filter(({ sentAt }) => source.isPastRetention(sentAt));
  const planned: Planned[] = [];
  const stranded: Held[] = [];
  let failure: MoveTaskFailure | undefined;
  for (const lease of leased) {
    if (old.includes(lease)) continue;
    const plan = planMove(lease, options);
    if (plan === 'unreadable') continue;
    if (typeof plan === 'object') {
      planned.push(plan);
    } else {
      stranded.push(lease);
      failure ??= plan;
    }
  }
  for (const target of new Set(planned.map((plan) => plan.target))) {
    const plans = planned.filter((plan) => plan.target === target);
    await target.store.send(plans.map(({ entry }) => entry));
    await source.store.delete(plans.map(({ lease }) => lease));
  }
  if (old.length > 0) await source.store.delete(old);
  if (stranded.length > 0) await source.store.release(stranded);
  return {
    moved: planned.length,
    expired: old.length,
    met,
    ...(failure === undefined ? {} : { failure }),
  };
}

async function leaseSome({ source, maxMessages, selection }: MoveStepOptions) {
  if (selection !== undefined) return takeSome(source, selection.slice(0, maxMessages));
  const limits = { maxMessages, maxBytes: STEP_MAX_BYTES, leaseMs: STEP_LEASE_MS };
  const leased: readonly Held[] = (await source.store.receive(limits)).leased;
  return { leased, met: leased.length };
}

/**
 * Leases messages by their names. Those that are gone, or that another receiver has, are met and not leased. So are
 * those of a step that was repeated, which are under its first lease; the repeat waits until that is over.
 */
async function takeSome({ store }: StoredQueue, names: readonly MessageName[]) {
  const { found, looked } = await store.named.lookUp(names, STEP_MAX_BYTES);
  if (found.length === 0) return { leased: [], met: looked };
  const free = found.map((entry) => {
    const group = entry.group ?? readMessage(entry)?.groupId;
    const sequenceNumber = entry.sequenceNumber ?? names.find(({ id }) => id === entry.id)?.sequenceNumber;
    return {
      id: entry.id,
      ...(group === undefined ? {} : { group }),
      ...(sequenceNumber === undefined ? {} : { sequenceNumber }),
    };
  });
  const { leases } = await store.named.take(free, STEP_LEASE_MS);
  const entries = new Map(found.map((entry) => [entry.id, entry]));
  const leased = leases.flatMap((lease): readonly Held[] => {
    const entry = entries.get(lease.id);
    return entry === undefined ? [] : [{ ...lease, record: entry.record, sentAt: entry.sentAt }];
  });
  return { leased, met: looked };
}

/** An unreadable message stays under its lease, and so is not met again by this task. */
function planMove(lease: Held, options: MoveStepOptions): Planned | MoveTaskFailure | 'unreadable' {
  const { taskId, source, destinationArn, sources, byKey } = options;
  const message = readMessage(lease);
  if (message === undefined) return 'unreadable';
  const targetArn = destinationArn ?? message.deadLetterSourceArn;
  if (targetArn === undefined) return 'CouldNotDetermineMessageSource';
  const arn = parseQueueArn(targetArn);
  const reached = destinationArn !== undefined || sources === undefined || sources.includes(targetArn);
  const target = arn === undefined || !reached ? undefined : byKey(queueKey(arn));
  if (target === undefined || target.definition.fifo !== source.definition.fifo) {
    return 'AWS.SimpleQueueService.NonExistentQueue';
  }
  const { deadLetterSourceArn: _, traceHeader, ...content } = message;
  // A redrive is a person's decision: a message that was stopped as part of a loop would be stopped again at once.
  const trace = traceHeader === undefined ? undefined : withoutTurns(traceHeader);
  const id = derivedId(taskId, lease.id);
  const entry = {
    id,
    record: encodeRecord({ ...content, ...(trace === undefined ? {} : { traceHeader: trace }), id }),
    delayMs: 0,
    ...(message.groupId === undefined ? {} : { group: message.groupId }),
    ...(target.definition.fifo ? { deduplicationKey: id } : {}),
  };
  return { lease, target, entry };
}

function readMessage({ id, record }: Pick<Held, 'id' | 'record'>) {
  try {
    return decodeRecord(id, record).message;
  } catch (error) {
    if (error instanceof RecordError) return undefined;
    throw error;
  }
}

/** A UUID (version 8: made by a rule of its own) that is always the same for this task and message. */
function derivedId(taskId: string, messageId: string): string {
  const bytes = createHash('sha256').update(`${taskId} ${messageId}`).digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
