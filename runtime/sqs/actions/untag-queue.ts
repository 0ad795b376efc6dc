import { queueAction, requireOwn } from './action.ts';

export const untagQueue = queueAction('UntagQueue', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'UntagQueue');
  const gone = new Set(input.TagKeys);
  const kept = Object.entries(queue.definition.tags).filter(([key]) => !gone.has(key));
  await call.directory.setTags(queue, Object.fromEntries(kept));
  return undefined;
});
