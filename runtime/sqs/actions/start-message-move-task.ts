import { queueKey } from '../../queue/arn.ts';
import { SqsError } from '../errors.ts';
import { MAX_MOVE_RATE } from '../limits.ts';
import { readArn, requireResource, toldAsSqs } from '../move-tasks.ts';
import { type Action, authorize } from './action.ts';

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
    authorize('StartMessageMoveTask', 'manage', call, sourceArn.name);
    if (destinationArn !== undefined) authorize('StartMessageMoveTask', 'manage', call, destinationArn.name);

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
    const task = await toldAsSqs(() => call.moveTasks.start(source, destination, rate));
    return { TaskHandle: task.handle };
  },
};
