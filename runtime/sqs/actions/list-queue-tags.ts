import { queueAction } from './action.ts';

export const listQueueTags = queueAction('ListQueueTags', 'any', async (queue) => {
  return { Tags: new Map(Object.entries(queue.definition.tags)) };
});
