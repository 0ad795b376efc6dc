import { pageOf } from '../paging.ts';
import { formatQueueUrl } from '../queue-url.ts';
import { type Action, authorize, mayRead } from './action.ts';

/** The queues of the caller's account that his credential reaches, by name. */
export const listQueues: Action<'ListQueues'> = {
  async run(input, call) {
    authorize('ListQueues', 'any', call);
    const { account, region } = call.caller;
    const prefix = input.QueueNamePrefix ?? '';
    const reachable = call.directory.all().filter(({ arn }) => {
      return arn.account === account && arn.region === region && arn.name.startsWith(prefix) && mayRead(call, arn.name);
    });
    const { queues, nextToken } = pageOf(reachable, input);
    return { QueueUrls: queues.map(({ arn }) => formatQueueUrl(call.endpoint, arn)), NextToken: nextToken };
  },
};
