import { queueAction, requireOwn } from './action.ts';

export const untagQueue = queueAction('UntagQueue', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'UntagQueue');
  const gone = new Set(input.TagKeys);
  await call.directory.setTags(queue, (tags) => {
    return Object.fromEntries(Object.entries(tags).filter(([key]) => !gone.has(key)));
  });
  return undefined;
});
