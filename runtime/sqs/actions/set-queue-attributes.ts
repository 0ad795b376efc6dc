import { applyAttributes } from '../queue-attributes.ts';
import { authorizeSources, checkRedriveTarget } from '../redrive.ts';
import { queueAction, requireOwn } from './action.ts';

export const setQueueAttributes = queueAction('SetQueueAttributes', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'SetQueueAttributes');
  const { attributes: present, fifo } = queue.definition;
  const given = input.Attributes;
  if (given.has('RedrivePolicy')) {
    await checkRedriveTarget(call, queue.arn, applyAttributes(present, given, fifo));
  }
  if (given.has('RedriveAllowPolicy')) {
    authorizeSources('SetQueueAttributes', call, applyAttributes(present, given, fifo));
  }
  await call.directory.setAttributes(queue, (attributes) => applyAttributes(attributes, given, fifo));
  return undefined;
});
