import { reportAttributes } from '../attribute-report.ts';
import { queueAction } from './action.ts';

export const getQueueAttributes = queueAction('GetQueueAttributes', 'any', async (queue, input) => {
  return {
    Attributes: await reportAttributes(queue.definition, input.AttributeNames ?? [], () => queue.depth()),
  };
});
