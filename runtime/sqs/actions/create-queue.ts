import { isFifoName, queueKey } from '../../queue/arn.ts';
import type { Queue } from '../../queue/queue.ts';
import { DEFAULT_ATTRIBUTES } from '../../queue/queue-definition.ts';
import { SqsError } from '../errors.ts';
import { QUEUE_NAME } from '../limits.ts';
import { applyAttributes, firstDifference, readBoolean } from '../queue-attributes.ts';
import { formatQueueUrl, queueArn } from '../queue-url.ts';
import { authorizeSources, checkRedriveTarget } from '../redrive.ts';
import { mergeTags } from '../tags.ts';
import { type Action, authorize } from './action.ts';

/** Idempotent: a queue that is there with the same values of the given attributes is answered, whoever made it. */
export const createQueue: Action<'CreateQueue'> = {
  async run(input, call) {
    const given = input.Attributes ?? new Map<string, string>();
    const name = checkName(input.QueueName, given);
    const arn = queueArn(call.caller.account, name, call.caller.region);
    authorize('CreateQueue', 'manage', call, arn.name);
    const answer = { QueueUrl: formatQueueUrl(call.endpoint, arn) };

    const existing = await call.directory.find(queueKey(arn));
    if (existing !== undefined) {
      checkSame(existing, given);
      return answer;
    }
    const attributes = applyAttributes(DEFAULT_ATTRIBUTES, given, isFifoName(name));
    await checkRedriveTarget(call, arn, attributes);
    authorizeSources('CreateQueue', call, attributes);
    const tags = mergeTags({}, input.tags ?? new Map(), name);
    if (await call.directory.deletedRecently(queueKey(arn))) throw new SqsError('QueueDeletedRecently');
    const made = call.directory.all().filter(({ definition }) => definition.origin === 'api').length;
    if (made >= call.maxQueues) {
      throw new SqsError(
        'OverLimit',
        `No more than ${call.maxQueues} queues can be created on this server. Delete some, or ask its operator to raise KARIN_MAX_QUEUES.`,
      );
    }
    const { queue, exists } = await call.directory.create(arn, attributes, tags);
    // Another caller may have been faster.
    if (exists) checkSame(queue, given);
    return answer;
  },
};

/** The suffix `.fifo` and the attribute `FifoQueue` belong together. */
function checkName(name: string | undefined, given: ReadonlyMap<string, string>): string {
  if (name === undefined) {
    throw invalidName('Value for parameter QueueName is invalid. Reason: Must specify a queue name.');
  }
  if (name === '') throw invalidName('Queue name cannot be empty');
  const wantsFifo = readBoolean(given.get('FifoQueue')) === true;
  if (wantsFifo && !(QUEUE_NAME.test(name) && isFifoName(name))) {
    throw invalidName(
      'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length',
    );
  }
  if (!QUEUE_NAME.test(name) || (isFifoName(name) && !wantsFifo)) {
    throw invalidName('Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length');
  }
  return name;
}

function invalidName(text: string): SqsError {
  return new SqsError('InvalidParameterValue', text);
}

function checkSame(queue: Queue, given: ReadonlyMap<string, string>): void {
  const { attributes, fifo } = queue.definition;
  const different = firstDifference(given, attributes, applyAttributes(attributes, given, fifo));
  if (different === undefined) return;
  throw new SqsError(
    'QueueNameExists',
    `A queue already exists with the same name and a different value for attribute ${different}`,
  );
}
