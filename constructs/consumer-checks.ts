import { Annotations, type Duration } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { functionBehind, functionTimeout } from './consumer-mapping';
import type { KarinQueueBase } from './karin-queue-base';

/** What SQS uses where a queue states no visibility timeout. */
const DEFAULT_VISIBILITY_SECONDS = 30;

/** AWS's recommendation: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html */
const VISIBILITY_PER_FUNCTION_TIMEOUT = 6;

/**
 * The visibility timeout of a queue: as given, else six times the longest timeout of its consumers. `undefined` leaves
 * it to SQS (30 s), so that a queue with a short function has the same template as an `sqs.Queue`.
 */
export function visibilitySeconds(
  mappings: Iterable<lambda.CfnEventSourceMapping>,
  given: Duration | undefined,
): number | undefined {
  if (given !== undefined) return given.toSeconds();
  const wanted = VISIBILITY_PER_FUNCTION_TIMEOUT * longestTimeoutSeconds(mappings);
  return wanted > DEFAULT_VISIBILITY_SECONDS ? wanted : undefined;
}

function longestTimeoutSeconds(mappings: Iterable<lambda.CfnEventSourceMapping>): number {
  return Math.max(0, ...Array.from(mappings, (mapping) => functionTimeout(mapping)?.toSeconds() ?? 0));
}

/**
 * Errors about a queue and its consumers, once all of them are known; what is only unwise becomes a warning on the
 * queue.
 */
export function checkConsumers(queue: KarinQueueBase, given: Duration | undefined): string[] {
  if (queue._mappings.size === 0) {
    if (!queue._isDeadLetterQueue) warnOfNoConsumer(queue);
    return [];
  }
  warnOfUntaggedConsumers(queue);
  if (given === undefined || given.isUnresolved()) return [];
  const visibility = given.toSeconds();
  const longest = longestTimeoutSeconds(queue._mappings);
  if (visibility < longest) {
    return [
      `queue visibility timeout: ${visibility} seconds is less than function timeout: ${longest} seconds, which AWS refuses; raise visibilityTimeout, or leave it out for six times the function's timeout`,
    ];
  }
  if (visibility < VISIBILITY_PER_FUNCTION_TIMEOUT * longest) {
    Annotations.of(queue).addWarningV2(
      'karin-queue:visibilityTimeout',
      `visibility timeout ${visibility} s is less than six times the function's timeout of ${longest} s, which leaves no time to retry while the function is throttled; leave it out for six times`,
    );
  }
  return [];
}

/**
 * The server may invoke what carries the tag, or what it was granted by ARN; a function from elsewhere cannot be tagged
 * here.
 */
function warnOfUntaggedConsumers(queue: KarinQueueBase): void {
  if (queue._runtime !== undefined) return;
  for (const mapping of queue._mappings) {
    if (functionBehind(mapping) !== undefined) continue;
    Annotations.of(mapping).addWarningV2(
      'karin-queue:consumerNotTagged',
      `the consumer of '${queue.node.path}' is not defined in this app, so it cannot get the tag 'karin:managed=true' here, by which a Karin server may invoke it; tag it where it is defined, or pass the server's identity to the queue as 'runtime'`,
    );
  }
}

function warnOfNoConsumer(queue: KarinQueueBase): void {
  Annotations.of(queue).addWarningV2(
    'karin-queue:noConsumer',
    'this KarinQueue has no consumer and is no dead-letter queue: a Karin server learns of queues from their event source mappings, so it does not know this one and refuses messages for it; add a consumer, or acknowledge this warning if another app defines the mapping',
  );
}
