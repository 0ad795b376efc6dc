import { reportAttributes } from '../attribute-report.ts';
import { attributesFor } from '../redrive.ts';
import { queueAction } from './action.ts';

export const getQueueAttributes = queueAction('GetQueueAttributes', 'any', async (queue, input, call) => {
  const definition = { ...queue.definition, attributes: attributesFor(call, queue.definition.attributes) };
  return {
    Attributes: await reportAttributes(definition, input.AttributeNames ?? [], () => queue.depth()),
  };
});
