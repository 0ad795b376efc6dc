import { removePermission as withoutPermission } from '../policy.ts';
import { queueAction, requireOwn } from './action.ts';

export const removePermission = queueAction('RemovePermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'RemovePermission');
  await call.directory.setAttributes(queue, ({ policy: present, ...others }) => {
    const policy = withoutPermission(present, input.Label);
    return policy === undefined ? others : { ...others, policy };
  });
  return undefined;
});
