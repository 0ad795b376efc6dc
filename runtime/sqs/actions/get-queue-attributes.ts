import { reportAttributes } from '../attribute-report.ts';
import { queueAction } from './action.ts';

export const getQueueAttributes = queueAction('GetQueueAttributes', 'any', async (queue, input) => {
  const attributes = await reportAttributes(queue.definition, input.AttributeNames ?? [], () => queue.depth());
  return { Attributes: attributes.size === 0 ? undefined : attributes };
});
