import { readTaskHandle } from '../../queue/move-task-document.ts';
import { requireResource, toldAsSqs } from '../move-tasks.ts';
import { type Action, authorize } from './action.ts';

export const cancelMessageMoveTask: Action<'CancelMessageMoveTask'> = {
  async run(input, call) {
    const { source } = await toldAsSqs(async () => readTaskHandle(input.TaskHandle));
    authorize('CancelMessageMoveTask', 'manage', call, source.slice(source.lastIndexOf(':') + 1));
    await requireResource(call, 'SourceArn', source);
    const task = await toldAsSqs(() => call.moveTasks.cancel(input.TaskHandle));
    return { ApproximateNumberOfMessagesMoved: task.moved };
  },
};
