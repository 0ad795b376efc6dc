import { formatQueueArn } from '../../queue/arn.ts';
import { pageOf } from '../paging.ts';
import { formatQueueUrl } from '../queue-url.ts';
import { mayRead, queueAction } from './action.ts';

export const listDeadLetterSourceQueues = queueAction(
  'ListDeadLetterSourceQueues',
  'any',
  async (queue, input, call) => {
    const target = formatQueueArn(queue.arn);
    const sources = call.directory.all().filter(({ arn, definition }) => {
      return definition.attributes.redrivePolicy?.deadLetterTargetArn === target && mayRead(call, arn.name);
    });
    const { queues, nextToken } = pageOf(sources, input);
    return { queueUrls: queues.map(({ arn }) => formatQueueUrl(call.endpoint, arn)), NextToken: nextToken };
  },
);
