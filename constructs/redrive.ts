import * as sqs from 'aws-cdk-lib/aws-sqs';
import { defined } from './defined';
import { isKarinQueueBase, type KarinQueueBase } from './karin-queue-base';

/** More source queues than this need the permission for all. */
const MAX_SOURCE_QUEUES = 10;

/** The redrive policy of `queue`. Throws if its dead-letter queue is not a Karin queue of the same kind. */
export function deadLetterTarget(queue: KarinQueueBase, target: sqs.DeadLetterQueue | undefined): object | undefined {
  if (target === undefined) return undefined;
  const deadLetters = target.queue;
  if (!isKarinQueueBase(deadLetters)) {
    throw new Error(
      `${queue.node.path}: the dead-letter queue '${deadLetters.node.path}' is an Amazon SQS queue, to which a Karin server moves nothing; make it a KarinQueue`,
    );
  }
  if (deadLetters.fifo !== queue.fifo) {
    const kind = (fifo: boolean) => (fifo ? 'a FIFO queue' : 'a standard queue');
    throw new Error(
      `${queue.node.path}: the dead-letter queue of ${kind(queue.fifo)} must be one too, but '${deadLetters.node.path}' is ${kind(deadLetters.fifo)}`,
    );
  }
  deadLetters._markAsDeadLetterQueue();
  return { deadLetterTargetArn: deadLetters.queueArn, maxReceiveCount: target.maxReceiveCount };
}

/** The redrive allow policy of `queue`. Throws if permission and source queues contradict each other. */
export function redriveAllowPolicy(
  queue: KarinQueueBase,
  policy: sqs.RedriveAllowPolicy | undefined,
): object | undefined {
  if (policy === undefined) return undefined;
  const sources = policy.sourceQueues;
  const { ALLOW_ALL, BY_QUEUE } = sqs.RedrivePermission;
  const permission = policy.redrivePermission ?? (sources === undefined ? ALLOW_ALL : BY_QUEUE);
  const fail = (rule: string) => new Error(`${queue.node.path}: ${rule}`);
  if (permission !== BY_QUEUE && sources !== undefined) {
    throw fail(
      `redriveAllowPolicy must not list sourceQueues with the permission '${permission}'; leave one of them out`,
    );
  }
  if (permission === BY_QUEUE && (sources === undefined || sources.length === 0)) {
    throw fail(`redriveAllowPolicy must list at least one source queue with the permission 'byQueue'`);
  }
  if (sources !== undefined && sources.length > MAX_SOURCE_QUEUES) {
    throw fail(
      `redriveAllowPolicy must list at most ${MAX_SOURCE_QUEUES} source queues, but ${sources.length} were provided; use the permission 'allowAll'`,
    );
  }
  return defined<{ redrivePermission: string; sourceQueueArns?: string[] }>({
    redrivePermission: permission,
    sourceQueueArns: sources?.map((source) => source.queueArn),
  });
}
