import { mergeTags } from '../tags.ts';
import { queueAction, requireOwn } from './action.ts';

export const tagQueue = queueAction('TagQueue', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'TagQueue');
  await call.directory.setTags(queue, (tags) => mergeTags(tags, input.Tags, queue.arn.name));
  return undefined;
});
