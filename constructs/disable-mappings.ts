import { Annotations, type IAspect, Reference, Tokenization } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { IConstruct } from 'constructs';
import type { AnchoredQueue } from './queue-interface';

/**
 * Hands every event source mapping on a Karin queue to that queue, which disables it: also those made by an untouched
 * `SqsEventSource`, by `fn.addEventSourceMapping` or by hand, in whichever stack of the Stage they are.
 */
export class DisableMappings implements IAspect {
  readonly #queues: readonly AnchoredQueue[];

  /** `queues`: those of the Stage; the list grows as they are defined. */
  constructor(queues: readonly AnchoredQueue[]) {
    this.#queues = queues;
  }

  visit(node: IConstruct): void {
    if (!lambda.CfnEventSourceMapping.isCfnEventSourceMapping(node)) return;
    const queue = sourceOf(node, this.#queues);
    if (queue === undefined) return;
    if (node.enabled === true) {
      Annotations.of(node).addWarningV2(
        'karin-queue:mappingDisabled',
        `'enabled: true' is ignored: '${queue.node.path}' is a KarinQueue, whose messages never reach the real queue; to let AWS Lambda poll again, make the queue an sqs.Queue`,
      );
    }
    queue._adopt(node);
  }
}

/**
 * The Karin queue a mapping reads from, found by its ARN: as a reference to the anchor, or as the very text an imported
 * queue was given.
 */
function sourceOf(mapping: lambda.CfnEventSourceMapping, queues: readonly AnchoredQueue[]): AnchoredQueue | undefined {
  const arn = mapping.eventSourceArn;
  if (arn === undefined) return undefined;
  const token = Tokenization.reverse(arn, { failConcat: false });
  const target = Reference.isReference(token) ? token.target : undefined;
  return queues.find((queue) => queue.queueArn === arn || (target !== undefined && queue._anchor === target));
}
