import { formatQueueArn, queueKey } from '../../queue/arn.ts';
import type { Queue } from '../../queue/queue.ts';
import { SqsError } from '../errors.ts';
import { MAX_MOVE_RATE } from '../limits.ts';
import { readArn, requireResource, toldAsSqs } from '../move-tasks.ts';
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
    const task = await toldAsSqs(() =>
      call.moveTasks.start(source, destination, rate, sourcesFor(call, source, destination)),
    );
    return { TaskHandle: task.handle };
  },
};

/**
 * The queues to which a task may give messages back: without a destination each message goes where it came from, and that may be a queue outside of the
 * credential. `undefined`: to every queue.
 */
function sourcesFor(call: Call, source: Queue, destination: Queue | undefined): readonly string[] | undefined {
  if (destination !== undefined || call.caller.allows('manage', EVERY_QUEUE)) return undefined;
  const target = formatQueueArn(source.arn);
  return call.directory
    .all()
    .filter(({ definition }) => definition.attributes.redrivePolicy?.deadLetterTargetArn === target)
    .filter(({ arn }) => call.caller.allows('manage', arn.name))
    .map(({ arn }) => formatQueueArn(arn));
}
