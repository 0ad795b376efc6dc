import { queueAction } from './action.ts';

export const listQueueTags = queueAction('ListQueueTags', 'any', async (queue) => {
  const tags = new Map(Object.entries(queue.definition.tags));
  return { Tags: tags.size === 0 ? undefined : tags };
});
