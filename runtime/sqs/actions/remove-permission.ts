import { removePermission as withoutPermission } from '../policy.ts';
import { queueAction, requireOwn } from './action.ts';

export const removePermission = queueAction('RemovePermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'RemovePermission');
  const { policy: present, ...others } = queue.definition.attributes;
  const policy = withoutPermission(present, input.Label);
  await call.directory.setAttributes(queue, policy === undefined ? others : { ...others, policy });
  return undefined;
});
