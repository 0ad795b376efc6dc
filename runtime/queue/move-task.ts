/**
 * Message move tasks: what is in a dead-letter queue goes back to where it came from, or to another queue, at a bounded
 * rate.
 * Source: StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks; "Configure a dead-letter queue redrive".
 *
 * @module
 */

import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import type { Lease, MessageName, NewEntry, QueueKey } from '../store/store.ts';
import type { Cancel } from '../time.ts';
import { withoutTurns } from './message.ts';
import { formatQueueArn, parseQueueArn, queueKey } from './names.ts';
import type { Queue } from './queue.ts';
import { decodeRecord, encodeRecord, RecordError } from './record.ts';
import type { StoredQueue } from './stored-queue.ts';

/** `CANCELLING`: the one that runs it has yet to hear of the cancellation. */
type MoveTaskStatus = 'RUNNING' | 'COMPLETED' | 'CANCELLING' | 'CANCELLED' | 'FAILED';

/**
 * Why a task failed, in the words of SQS: the queue to move to does not exist (any more), or a message that was sent to
 * the dead-letter queue directly has no source to go back to.
 */
export type MoveTaskFailure = 'AWS.SimpleQueueService.NonExistentQueue' | 'CouldNotDetermineMessageSource';

export interface MoveTask {
  /** Opaque; names the task for `cancel`. */
  readonly handle: string;
  readonly sourceArn: string;
  /** Absent: each message goes back to the queue that it came from. */
  readonly destinationArn?: string;
  /** 1 to 500; absent: as fast as the store takes them. */
  readonly maxPerSecond?: number;
  readonly status: MoveTaskStatus;
  /** Messages moved so far, as last written down. */
  readonly moved: number;
  /** Messages that were selected, or that could be received when the task began; no more are moved. */
  readonly toMove: number;
  /** Messages of a selection that were not moved: gone, too old, or in flight. Absent: nothing was selected. */
  readonly left?: number;
  readonly failure?: MoveTaskFailure;
  /** Epoch ms. */
  readonly startedAt: number;
}

/** Why a call was refused. */
export type MoveTaskRefusal =
  /** No queue names the source as its dead-letter queue. */
  | 'not-a-dead-letter-queue'
  /** The destination is of the other type, or the source itself. */
  | 'unfit-destination'
  /** A source has one active task at most. */
  | 'already-running'
  | 'invalid-handle'
  | 'no-such-task'
  /** Only a running task can be cancelled. */
  | 'not-running';

export class MoveTaskError extends Error {
  override readonly name = 'MoveTaskError';
  readonly refusal: MoveTaskRefusal;
  constructor(refusal: MoveTaskRefusal, message: string) {
    super(message);
    this.refusal = refusal;
  }
}

/** How messages are to be moved; without any, all go back where they came from, as fast as the store takes them. */
export interface MoveTaskOptions {
  /** Default: each message goes back to the queue that it came from. */
  readonly destination?: Queue | undefined;
  /** 1 to 500; default: no bound. */
  readonly maxPerSecond?: number | undefined;
  /**
   * ARNs of the only queues to which messages may go back, for a caller who reaches no others; those from elsewhere are
   * as if their source were gone. Default: all.
   */
  readonly sources?: readonly string[] | undefined;
  /** The only messages to move, 1 to `MOST_SELECTED`; default: all. On a FIFO queue in their order. */
  readonly messages?: readonly MessageName[] | undefined;
}

/** Messages that one task can be given by name: they are written down with every step. */
export const MOST_SELECTED = 1_000;

export interface MoveTasks {
  /**
   * Begins to move messages out of `source`; resolves as soon as that is written down. A moved message is a new one:
   * new id, new sent time, never received. Errors: `MoveTaskError` (`not-a-dead-letter-queue`, also if `sources` is
   * empty, `unfit-destination`, `already-running`), `RangeError` (too many messages), `StoreUnavailableError`.
   */
  start(source: Queue, options?: MoveTaskOptions): Promise<MoveTask>;
  /**
   * Stops a running task; what was moved stays moved. Errors: `MoveTaskError` (`invalid-handle`, `no-such-task`,
   * `not-running`), `StoreUnavailableError`.
   */
  cancel(handle: string): Promise<MoveTask>;
  /** The latest ten tasks of this source, newest first. Errors: `StoreUnavailableError`. */
  list(source: Queue): Promise<readonly MoveTask[]>;
  /** Calls back when a task of any queue began, came further or ended, by whichever instance; until it is cancelled. */
  onChange(listener: () => void): Cancel;
}

/*
 * The move tasks of one source queue as a document of the store, newest first.
 *
 * Every change is a compare-and-set on the whole text, so one source has one active task, one instance runs it, and a
 * cancellation and a progress report never undo each other.
 */

/** What names of these documents begin with; the source's key follows. */
export const MOVE_TASKS_PREFIX = 'move-tasks:';

export function moveTasksName(source: QueueKey): string {
  return `${MOVE_TASKS_PREFIX}${source}`;
}

/** As many as ListMessageMoveTasks can show. */
const REMEMBERED_TASKS = 10;

/**
 * What a task may ask of whoever runs it, by name. A field that changes what a task moves comes with a name here, so
 * that a server of a version without it leaves the task to others and does not move what was not meant.
 */
const FEATURES: ReadonlySet<string> = new Set(['selection']);

const storedTask = z.object({
  id: z.string(),
  sourceArn: z.string(),
  destinationArn: z.exactOptional(z.string()),
  maxPerSecond: z.exactOptional(z.number()),
  /** ARNs of the only queues to which messages may go back; absent: all. Kept while the task runs. */
  sources: z.exactOptional(z.array(z.string())),
  /** Of a selection: messages that no step has come to yet, as `nameText` writes them. Kept while the task runs. */
  messages: z.exactOptional(z.array(z.string())),
  left: z.exactOptional(z.number()),
  /**
   * Of a selection: how many messages it had. Its `toMove` is 0, so that versions without `needs` move none of others.
   */
  selected: z.exactOptional(z.number()),
  /** `FEATURES` that whoever runs it must know; absent: none. */
  needs: z.exactOptional(z.array(z.string())),
  status: z.enum(['RUNNING', 'COMPLETED', 'CANCELLING', 'CANCELLED', 'FAILED']),
  moved: z.number(),
  toMove: z.number(),
  failure: z.exactOptional(z.enum(['AWS.SimpleQueueService.NonExistentQueue', 'CouldNotDetermineMessageSource'])),
  startedAt: z.number(),
  /** Which process runs it; absent: none does, whoever sees it may. */
  runner: z.exactOptional(z.string()),
});

export type StoredMoveTask = z.infer<typeof storedTask>;

/** Errors: those of JSON and of the schema, if the document is not Karin's. */
export function readMoveTasks(text: string | undefined): readonly StoredMoveTask[] {
  return text === undefined ? [] : z.array(storedTask).parse(JSON.parse(text));
}

export function writeMoveTasks(tasks: readonly StoredMoveTask[]): string {
  const active = activeTask(tasks);
  const kept = tasks.slice(0, REMEMBERED_TASKS).map((task) => {
    if (task === active) return task;
    const { sources: _, messages: __, needs: ___, ...over } = task;
    return over;
  });
  return JSON.stringify(kept);
}

/** The task that still runs; only the newest can. */
export function activeTask(tasks: readonly StoredMoveTask[]): StoredMoveTask | undefined {
  const [newest] = tasks;
  return newest?.status === 'RUNNING' || newest?.status === 'CANCELLING' ? newest : undefined;
}

/** Whether this version knows all that the task asks for; to end a cancelled one asks for nothing. */
export function canRun({ status, needs = [] }: StoredMoveTask): boolean {
  return status === 'CANCELLING' || needs.every((name) => FEATURES.has(name));
}

/** What is asked of a task with a selection. */
export function selectionOf(
  messages: readonly MessageName[],
): Pick<StoredMoveTask, 'messages' | 'left' | 'selected' | 'needs' | 'toMove'> {
  return { messages: messages.map(nameText), left: 0, selected: messages.length, needs: ['selection'], toMove: 0 };
}

/** What callers see of a task. */
export function describeTask(task: StoredMoveTask): MoveTask {
  const { id, runner: _, sources: __, messages: ___, needs: ____, selected, ...rest } = task;
  const shown = selected === undefined ? rest : { ...rest, toMove: selected };
  const handle = Buffer.from(JSON.stringify({ taskId: id, sourceArn: task.sourceArn })).toString('base64');
  return { ...shown, handle };
}

const handleContent = z.object({ taskId: z.uuid(), sourceArn: z.string() });

/** Errors: `MoveTaskError` (`invalid-handle`). */
export function readTaskHandle(handle: string): { readonly id: string; readonly source: QueueKey } {
  try {
    const { taskId, sourceArn } = handleContent.parse(JSON.parse(Buffer.from(handle, 'base64').toString('utf8')));
    const arn = parseQueueArn(sourceArn);
    if (arn !== undefined) return { id: taskId, source: queueKey(arn) };
  } catch {
    // Neither base64 of JSON nor ours: the same refusal as below.
  }
  throw new MoveTaskError('invalid-handle', 'Value for parameter TaskHandle is invalid.');
}

/*
 * The name of a message in a stored task: its id, and on a FIFO queue its sequence number, which finds it at once. The
 * group stands in its record.
 */

function nameText({ id, sequenceNumber }: MessageName): string {
  return sequenceNumber === undefined ? id : `${id} ${sequenceNumber}`;
}

export function readNameText(text: string): MessageName {
  const [id = '', sequenceNumber] = text.split(' ');
  return sequenceNumber === undefined ? { id } : { id, sequenceNumber };
}

export function arnOf(queue: Queue): string {
  return formatQueueArn(queue.arn);
}

/*
 * One step of a move task: leases some messages of the source, stores each as a new message in its destination, deletes
 * it from the source. They are those that a receive gives, or the next ones of a selection.
 *
 * The new id is derived from the task and the old id. So a step that is repeated after a crash between storing and
 * deleting stores nothing twice, as long as the first copy is still there (or, on FIFO queues, for five minutes): the
 * same promise as a dead-letter move.
 */

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
