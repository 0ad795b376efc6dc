import { type IResolvable, Reference, Tokenization } from 'aws-cdk-lib';
import type { KarinQueueBase } from './karin-queue-base';

/** Finds the Karin queue whose anchor a token or a text means; built once for all resources of a Stage, which may be thousands. */
export class AnchorIndex {
  readonly #byAnchor = new Map<unknown, KarinQueueBase>();
  readonly #byArnToken = new Map<IResolvable, KarinQueueBase>();
  readonly #byName: Array<{ readonly queue: KarinQueueBase; readonly mention: RegExp }> = [];

  constructor(queues: readonly KarinQueueBase[]) {
    for (const queue of queues) {
      if (queue._anchor !== undefined) this.#byAnchor.set(queue._anchor, queue);
      const arn = Tokenization.reverse(queue.queueArn, { failConcat: false });
      if (arn !== undefined) this.#byArnToken.set(arn, queue);
      if (queue._literalName !== undefined) this.#byName.push({ queue, mention: mentionOf(queue._literalName) });
    }
  }

  isAnchor(construct: unknown): boolean {
    return this.#byAnchor.has(construct);
  }

  /** The queue that a token refers to: an attribute of its anchor, or the very token that an imported queue has as its ARN. */
  ofToken(token: IResolvable): KarinQueueBase | undefined {
    const target = Reference.isReference(token) ? this.#byAnchor.get(token.target) : undefined;
    return target ?? this.#byArnToken.get(token);
  }

  /** The queue that a text names without a token: by its ARN or its URL at Amazon SQS, written out or put together by hand. */
  ofText(text: string): KarinQueueBase | undefined {
    // Nearly all texts of a template end here.
    if (!text.includes(':sqs:') && !text.includes('//sqs.')) return undefined;
    return this.#byName.find(({ mention }) => mention.test(text))?.queue;
  }
}

function mentionOf(name: string): RegExp {
  return new RegExp(`(:sqs:\\S*:|//sqs\\.\\S*/)${name.replaceAll('.', '\\.')}(?![\\w.-])`);
}
