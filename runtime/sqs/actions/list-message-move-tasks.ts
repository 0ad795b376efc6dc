import { queueKey } from '../../queue/arn.ts';
import type { MoveTask } from '../../queue/move-task.ts';
import { SqsError } from '../errors.ts';
import { MAX_MOVE_TASK_RESULTS } from '../limits.ts';
import { reachesDestination, readArn, requireResource } from '../move-tasks.ts';
import type { Output } from '../protocol/model.ts';
import { type Action, authorize } from './action.ts';

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
    authorize('ListMessageMoveTasks', 'manage', call, arn.name);
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
