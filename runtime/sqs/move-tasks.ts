/**
 * What the three actions on message move tasks share: ARNs as they are given, and refusals as they are told.
 *
 * @module
 */
import { parseQueueArn, type QueueArn, type QueueKey } from '../queue/arn.ts';
import { type MoveTask, MoveTaskError } from '../queue/move-task.ts';
import type { Queue } from '../queue/queue.ts';
import type { Call } from './actions/action.ts';
import { SqsError } from './errors.ts';

/** The queue ARN in a parameter. Errors: `InvalidParameterValue`. */
export function readArn(parameter: 'SourceArn' | 'DestinationArn', text: string): QueueArn {
  const arn = parseQueueArn(text);
  if (arn !== undefined) return arn;
  throw new SqsError(
    'InvalidParameterValue',
    `You must use this format to specify the ${parameter}: arn:<partition>:<service>:<region>:<account-id>:<resource-id>`,
  );
}

/** Errors: `ResourceNotFoundException`: these actions know no QueueDoesNotExist. */
export async function requireResource(
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
export function reachesDestination(call: Pick<Call, 'caller'>, { destinationArn }: MoveTask): boolean {
  const name = destinationArn === undefined ? undefined : parseQueueArn(destinationArn)?.name;
  return name === undefined || call.caller.allows('manage', name);
}

export function noSuchTask(): SqsError {
  return new SqsError('ResourceNotFoundException', 'Task does not exist.');
}

/** Runs `act`, with the refusals of the engine as errors of the API. */
export async function toldAsSqs<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof MoveTaskError)) throw error;
    if (error.refusal === 'no-such-task') throw noSuchTask();
    throw new SqsError('InvalidParameterValue', error.message);
  }
}
