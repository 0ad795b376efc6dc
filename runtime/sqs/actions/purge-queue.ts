import { SqsError } from '../errors.ts';
import { queueAction } from './action.ts';

export const purgeQueue = queueAction('PurgeQueue', 'manage', async (queue, _input, call) => {
  if (!(await call.purges.run(queue.key, () => queue.purge()))) {
    throw new SqsError(
      'PurgeQueueInProgress',
      `Only one PurgeQueue operation on ${queue.arn.name} is allowed every 60 seconds.`,
    );
  }
  return undefined;
});
