/**
 * Message move tasks: what is in a dead-letter queue goes back to where it came from, or to another queue, at a bounded
 * rate.
 * Source: StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks; "Configure a dead-letter queue redrive".
 *
 * @module
 */

import * as z from 'zod/mini';
import type { MessageName, QueueKey } from '../store/store.ts';
import type { Cancel } from '../time.ts';
import { formatQueueArn, parseQueueArn, queueKey } from './names.ts';
import type { Queue } from './queue.ts';

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
    const { sources: _, messages: __, ...over } = task;
    return over;
  });
  return JSON.stringify(kept);
}

/** The task that still runs; only the newest can. */
export function activeTask(tasks: readonly StoredMoveTask[]): StoredMoveTask | undefined {
  const [newest] = tasks;
  return newest?.status === 'RUNNING' || newest?.status === 'CANCELLING' ? newest : undefined;
}

/** What callers see of a task. */
export function describeTask(task: StoredMoveTask): MoveTask {
  const { id, runner: _, sources: __, messages: ___, ...shown } = task;
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

export function nameText({ id, sequenceNumber }: MessageName): string {
  return sequenceNumber === undefined ? id : `${id} ${sequenceNumber}`;
}

export function readNameText(text: string): MessageName {
  const [id = '', sequenceNumber] = text.split(' ');
  return sequenceNumber === undefined ? { id } : { id, sequenceNumber };
}

export function arnOf(queue: Queue): string {
  return formatQueueArn(queue.arn);
}
