import { addPermission as withPermission } from '../policy.ts';
import { queueAction, requireOwn } from './action.ts';

export const addPermission = queueAction('AddPermission', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'AddPermission');
  const { attributes } = queue.definition;
  const permission = { label: input.Label, actions: input.Actions, accounts: input.AWSAccountIds };
  const policy = withPermission(attributes.policy, queue.arn, permission);
  await call.directory.setAttributes(queue, { ...attributes, policy });
  return undefined;
});
