import { queueAction, requireOwn } from './action.ts';

export const deleteQueue = queueAction('DeleteQueue', 'manage', async (queue, _input, call) => {
  requireOwn(queue, 'DeleteQueue');
  await call.directory.remove(queue);
  await call.purges.forget(queue.key);
  return undefined;
});
