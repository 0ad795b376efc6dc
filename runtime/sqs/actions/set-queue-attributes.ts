import { applyAttributes } from '../queue-attributes.ts';
import { checkRedriveTarget } from '../redrive.ts';
import { queueAction, requireOwn } from './action.ts';

export const setQueueAttributes = queueAction('SetQueueAttributes', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'SetQueueAttributes');
  const { attributes: present, fifo } = queue.definition;
  const attributes = applyAttributes(present, input.Attributes, fifo);
  if (input.Attributes.has('RedrivePolicy')) await checkRedriveTarget(call.directory, queue.arn, attributes);
  await call.directory.setAttributes(queue, attributes);
  return undefined;
});
