import { type MoveTask, MoveTaskError, readTaskHandle } from '../../queue/move-task.ts';
import { formatQueueArn, parseQueueArn, parseQueueKey, type QueueArn, queueKey } from '../../queue/names.ts';
import type { Queue } from '../../queue/queue.ts';
import type { QueueKey } from '../../store/store.ts';
import { SqsError } from '../errors.ts';
import { MAX_MOVE_RATE, MAX_MOVE_TASK_RESULTS } from '../limits.ts';
import type { Output } from '../protocol/model.ts';
import { EVERY_QUEUE } from '../request.ts';
import { type Action, authorize, type Call } from './action.ts';
export const startMessageMoveTask: Action<'StartMessageMoveTask'> = {
  async run(input, call) {
    const sourceArn = readArn('SourceArn', input.SourceArn);
    const destinationArn =
      input.DestinationArn === undefined ? undefined : readArn('DestinationArn', input.DestinationArn);
    const rate = input.MaxNumberOfMessagesPerSecond;
    if (rate !== undefined && (rate < 1 || rate > MAX_MOVE_RATE)) {
      throw new SqsError(
        'InvalidParameterValue',
        `Value for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: You must enter a number that's between 1 and ${MAX_MOVE_RATE}.`,
      );
    }
    authorize('StartMessageMoveTask', 'manage', call, sourceArn);
    if (destinationArn !== undefined) authorize('StartMessageMoveTask', 'manage', call, destinationArn);

    const source = await requireResource(call, 'SourceArn', queueKey(sourceArn));
    const destination =
      destinationArn === undefined
        ? undefined
        : await requireResource(call, 'DestinationArn', queueKey(destinationArn));
    if (destinationArn !== undefined && queueKey(destinationArn) === source.key) {
      throw new SqsError('InvalidParameterValue', 'Source queue arn and destination queue arn cannot be the same.');
    }
    if (destination !== undefined && destination.definition.fifo !== source.definition.fifo) {
      throw new SqsError(
        'InvalidParameterValue',
        'The source queue and destination queue must be of the same queue type.',
      );
    }
    const task = await toldAsSqs(() =>
      call.moveTasks.start(source, {
        ...{ destination, maxPerSecond: rate },
        sources: sourcesFor(call, source, destination),
      }),
    );
    return { TaskHandle: task.handle };
  },
};

/**
 * The queues to which a task may give messages back: without a destination each message goes where it came from, and
 * that may be a queue outside of the credential. `undefined`: to every queue.
 */
function sourcesFor(call: Call, source: Queue, destination: Queue | undefined): readonly string[] | undefined {
  if (destination !== undefined || call.caller.allows('manage', EVERY_QUEUE)) return undefined;
  const target = formatQueueArn(source.arn);
  return call.directory
    .all()
    .filter(({ definition }) => definition.attributes.redrivePolicy?.deadLetterTargetArn === target)
    .filter(({ arn }) => call.caller.allows('manage', arn))
    .map(({ arn }) => formatQueueArn(arn));
}

export const cancelMessageMoveTask: Action<'CancelMessageMoveTask'> = {
  async run(input, call) {
    const { id, source } = await toldAsSqs(async () => readTaskHandle(input.TaskHandle));
    authorize('CancelMessageMoveTask', 'manage', call, parseQueueKey(source) ?? EVERY_QUEUE);
    const queue = await requireResource(call, 'SourceArn', source);
    const found = (await call.moveTasks.list(queue)).find(({ handle }) => readTaskHandle(handle).id === id);
    if (found !== undefined && !reachesDestination(call, found)) throw noSuchTask();
    const task = await toldAsSqs(() => call.moveTasks.cancel(input.TaskHandle));
    return { ApproximateNumberOfMessagesMoved: task.moved };
  },
};

type Entry = NonNullable<Output<'ListMessageMoveTasks'>['Results']>[number];

export const listMessageMoveTasks: Action<'ListMessageMoveTasks'> = {
  async run(input, call) {
    const arn = readArn('SourceArn', input.SourceArn);
    const most = input.MaxResults ?? 1;
    if (most < 1 || most > MAX_MOVE_TASK_RESULTS) {
      throw new SqsError(
        'InvalidParameterValue',
        `Value for parameter MaxResults is invalid. Reason: You must enter a number that's between 1 and ${MAX_MOVE_TASK_RESULTS}.`,
      );
    }
    authorize('ListMessageMoveTasks', 'manage', call, arn);
    const source = await requireResource(call, 'SourceArn', queueKey(arn));
    const tasks = (await call.moveTasks.list(source)).filter((task) => reachesDestination(call, task));
    return { Results: tasks.slice(0, most).map(entryOf) };
  },
};

function entryOf(task: MoveTask): Entry {
  return {
    // Only a running task can be cancelled, so only its handle is of use.
    TaskHandle: task.status === 'RUNNING' ? task.handle : undefined,
    Status: task.status,
    SourceArn: task.sourceArn,
    DestinationArn: task.destinationArn,
    MaxNumberOfMessagesPerSecond: task.maxPerSecond,
    ApproximateNumberOfMessagesMoved: task.moved,
    ApproximateNumberOfMessagesToMove: task.toMove,
    FailureReason: task.failure,
    StartedTimestamp: task.startedAt,
  };
}

/*
 * What the three actions on message move tasks share: ARNs as they are given, and refusals as they are told.
 */

/** The queue ARN in a parameter. Errors: `InvalidParameterValue`. */
function readArn(parameter: 'SourceArn' | 'DestinationArn', text: string): QueueArn {
  const arn = parseQueueArn(text);
  if (arn !== undefined) return arn;
  throw new SqsError(
    'InvalidParameterValue',
    `You must use this format to specify the ${parameter}: arn:<partition>:<service>:<region>:<account-id>:<resource-id>`,
  );
}

/** Errors: `ResourceNotFoundException`: these actions know no QueueDoesNotExist. */
async function requireResource(
  call: Pick<Call, 'directory'>,
  parameter: 'SourceArn' | 'DestinationArn',
  key: QueueKey,
): Promise<Queue> {
  const queue = await call.directory.find(key);
  if (queue !== undefined) return queue;
  throw new SqsError(
    'ResourceNotFoundException',
    `The resource that you specified for the ${parameter} parameter doesn't exist.`,
  );
}

/** Whether the caller may manage the queue to which a task moves messages; other tasks do not exist for him. */
function reachesDestination(call: Pick<Call, 'caller'>, { destinationArn }: MoveTask): boolean {
  const queue = destinationArn === undefined ? undefined : parseQueueArn(destinationArn);
  return queue === undefined || call.caller.allows('manage', queue);
}

function noSuchTask(): SqsError {
  return new SqsError('ResourceNotFoundException', 'Task does not exist.');
}

/** Runs `act`, with the refusals of the engine as errors of the API. */
async function toldAsSqs<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof MoveTaskError)) throw error;
    if (error.refusal === 'no-such-task') throw noSuchTask();
    throw new SqsError('InvalidParameterValue', error.message);
  }
}
