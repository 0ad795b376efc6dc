/**
 * The move tasks of one source queue as a document of the store, newest first.
 *
 * Every change is a compare-and-set on the whole text, so one source has one active task, one instance runs it, and a cancellation and a progress report never undo each other.
 *
 * @module
 */
import * as z from 'zod/mini';
import { formatQueueArn, parseQueueArn, type QueueKey, queueKey } from './arn.ts';
import { type MoveTask, MoveTaskError } from './move-task.ts';
import type { Queue } from './queue.ts';

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
    const { sources: _, ...over } = task;
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
  const { id, runner: _, sources: __, ...shown } = task;
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

export function arnOf(queue: Queue): string {
  return formatQueueArn(queue.arn);
}
