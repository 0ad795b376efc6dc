import { type CfnOutput, type IResolvable, Reference, Stack, Token, Tokenization } from 'aws-cdk-lib';
import type { Mention } from './mentions';
import { addressesIn, type QueueAddress } from './queue-addresses';
import type { AnchoredQueue } from './queue-interface';
import { resolveIn } from './references';

/**
 * Finds the Karin queue whose anchor a token or a mention means; built once for all resources of a Stage, which may be
 * thousands.
 */
export class AnchorIndex {
  readonly #byAnchor = new Map<unknown, AnchoredQueue>();
  readonly #byArnToken = new Map<IResolvable, AnchoredQueue>();
  readonly #byLogicalId = new Map<Stack, Map<string, AnchoredQueue>>();
  readonly #byName = new Map<string, AnchoredQueue[]>();
  readonly #byExport = new Map<string, AnchoredQueue>();

  constructor(queues: readonly AnchoredQueue[], outputs: readonly CfnOutput[]) {
    for (const queue of queues) {
      if (queue._anchor !== undefined) {
        this.#byAnchor.set(queue._anchor, queue);
        this.#logicalIdsOf(Stack.of(queue)).set(String(Stack.of(queue).resolve(queue._anchor.logicalId)), queue);
      }
      const arn = Tokenization.reverse(queue.queueArn, { failConcat: false });
      if (arn !== undefined) this.#byArnToken.set(arn, queue);
      const name = queue._literalName;
      if (name !== undefined) this.#byName.set(name, [...(this.#byName.get(name) ?? []), queue]);
    }
    for (const output of outputs) this.#addExport(output);
  }

  isAnchor(construct: unknown): boolean {
    return this.#byAnchor.has(construct);
  }

  /**
   * The queue that a token refers to: an attribute of its anchor, or the very token that an imported queue has as its
   * ARN.
   */
  ofToken(token: IResolvable): AnchoredQueue | undefined {
    const target = Reference.isReference(token) ? this.#byAnchor.get(token.target) : undefined;
    return target ?? this.#byArnToken.get(token);
  }

  /** The queue that is named without a token, in a resource of `stack`. */
  ofMention({ logicalIds, importedExport, text }: Mention, stack: Stack): AnchoredQueue | undefined {
    const inStack = this.#byLogicalId.get(stack);
    for (const logicalId of logicalIds) {
      const queue = inStack?.get(logicalId);
      if (queue !== undefined) return queue;
    }
    if (importedExport !== undefined) return this.#byExport.get(importedExport);
    for (const address of text === undefined ? [] : addressesIn(text)) {
      const queue = this.#byName.get(address.name)?.find((candidate) => mayBeAt(candidate, address));
      if (queue !== undefined) return queue;
    }
    return undefined;
  }

  #logicalIdsOf(stack: Stack): Map<string, AnchoredQueue> {
    const ids = this.#byLogicalId.get(stack) ?? new Map<string, AnchoredQueue>();
    this.#byLogicalId.set(stack, ids);
    return ids;
  }

  #addExport(output: CfnOutput): void {
    const name: unknown = output.stack.resolve(output.exportName);
    if (typeof name !== 'string') return;
    for (const { token } of resolveIn(output, output.value).sightings) {
      const queue = this.ofToken(token);
      if (queue !== undefined) this.#byExport.set(name, queue);
    }
  }
}

/** Queues in other accounts and regions may have the same name; what is only known at deployment may be the same. */
function mayBeAt({ env }: AnchoredQueue, { region, account }: QueueAddress): boolean {
  const same = (said: string, actual: string) => said === '' || Token.isUnresolved(actual) || said === actual;
  return same(region, env.region) && same(account, env.account);
}
