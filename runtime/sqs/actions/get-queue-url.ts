import { SqsError } from '../errors.ts';
import { QUEUE_NAME } from '../limits.ts';
import { formatQueueUrl, queueArn } from '../queue-url.ts';
import { type Action, authorize, requireQueue } from './action.ts';

export const getQueueUrl: Action<'GetQueueUrl'> = {
  async run(input, call) {
    const { QueueName: name = '', QueueOwnerAWSAccountId: owner } = input;
    if (name === '') {
      throw new SqsError(
        'InvalidParameterValue',
        'Value for parameter QueueName is invalid. Reason: Must specify a queue name.',
      );
    }
    if (!QUEUE_NAME.test(name)) throw new SqsError('QueueDoesNotExist');
    const arn = queueArn(owner ?? call.caller.account, name, call.caller.region);
    authorize('GetQueueUrl', 'any', call, arn.name);
    await requireQueue(call, arn);
    return { QueueUrl: formatQueueUrl(call.endpoint, arn) };
  },
};
