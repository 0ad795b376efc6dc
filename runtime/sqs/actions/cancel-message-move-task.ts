import { readTaskHandle } from '../../queue/move-task-document.ts';
import { noSuchTask, reachesDestination, requireResource, toldAsSqs } from '../move-tasks.ts';
import { type Action, authorize } from './action.ts';

export const cancelMessageMoveTask: Action<'CancelMessageMoveTask'> = {
  async run(input, call) {
    const { id, source } = await toldAsSqs(async () => readTaskHandle(input.TaskHandle));
    authorize('CancelMessageMoveTask', 'manage', call, source.slice(source.lastIndexOf(':') + 1));
    const queue = await requireResource(call, 'SourceArn', source);
    const found = (await call.moveTasks.list(queue)).find(({ handle }) => readTaskHandle(handle).id === id);
    if (found !== undefined && !reachesDestination(call, found)) throw noSuchTask();
    const task = await toldAsSqs(() => call.moveTasks.cancel(input.TaskHandle));
    return { ApproximateNumberOfMessagesMoved: task.moved };
  },
};
