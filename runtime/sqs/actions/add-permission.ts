import { addPermission as withPermission } from '../policy.ts';
import { queueAction, requireOwn } from './action.ts';

export const addPermission = queueAction('AddPermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'AddPermission');
  const permission = { label: input.Label, actions: input.Actions, accounts: input.AWSAccountIds };
  await call.directory.setAttributes(queue, (attributes) => {
    return { ...attributes, policy: withPermission(attributes.policy, queue.arn, permission) };
  });
  return undefined;
});
