import { Annotations, CfnResource, Reference, Stage, Tokenization } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { IConstruct, IValidation } from 'constructs';
import { complaint, isHarmless } from './allowed-references';
import { sourceOf } from './disable-mappings';
import { hasBoundEndpoint } from './function-environment';
import type { KarinQueueBase } from './karin-queue-base';
import type { Sighting } from './references';
import { type RenderedResource, renderResource } from './rendered-resource';
import type { StageRegistry } from './stage-registry';

/**
 * Refuses every reference to an anchor that is not known to be harmless.
 *
 * A Karin queue can be handed to whatever takes a queue, but what AWS itself delivers to the anchor nobody reads. The services that can
 * do so are too many, and grow; so the harmless places are listed, and all others are errors. The validation also proves that no mapping
 * on a Karin queue stayed enabled, whatever other Aspects and overrides did to it.
 */
export class AnchorGuard implements IValidation {
  readonly #registry: StageRegistry;

  constructor(registry: StageRegistry) {
    this.#registry = registry;
  }

  validate(): string[] {
    return resourcesIn(this.#registry.stage).flatMap((resource) => {
      const rendered = renderResource(resource);
      this.#warnOfRedirect(resource, rendered);
      return [...this.#references(resource, rendered), ...this.#enabledMapping(resource, rendered)];
    });
  }

  #references(resource: CfnResource, rendered: RenderedResource): string[] {
    const { queues } = this.#registry;
    const found = new Map<string, KarinQueueBase>();
    for (const sighting of rendered.sightings) {
      const queue = queues.find((candidate) => isReferenceTo(sighting, candidate));
      if (queue !== undefined) found.set(sighting.path.join('.'), queue);
    }
    for (const [path, text] of texts(rendered.properties, [])) {
      const queue = queues.find((candidate) => names(text, candidate));
      if (queue !== undefined && queue._anchor !== resource) found.set(path, queue);
    }
    const isAnchor = queues.some((queue) => queue._anchor === resource);
    return [...found]
      .map(([property, queue]) => ({ resource, property, properties: rendered.properties, queue, isAnchor }))
      .filter((reference) => !isHarmless(reference))
      .map(complaint);
  }

  /** `AWS_ENDPOINT_URL_SQS` redirects every SQS client of a function, also the one for a queue of Amazon SQS. */
  #warnOfRedirect(resource: CfnResource, { sightings }: RenderedResource): void {
    if (!lambda.CfnFunction.isCfnFunction(resource) || !hasBoundEndpoint(resource.node.scope)) return;
    const { queues } = this.#registry;
    const real = sightings
      .map(({ token, path }) => (path[0] === 'Environment' && Reference.isReference(token) ? token.target : undefined))
      .find((target) => sqs.CfnQueue.isCfnQueue(target) && !queues.some((queue) => queue._anchor === target));
    if (real === undefined) return;
    Annotations.of(resource).addWarningV2(
      'karin-queue:endpointRedirectsAll',
      `AWS_ENDPOINT_URL_SQS sends every SQS client of this function to the Karin server, but its environment also names '${real.node.path}', a queue of Amazon SQS; bind it with 'endpointVariable: false' and give its Karin client the endpoint in code, or make that queue a KarinQueue`,
    );
  }

  #enabledMapping(resource: CfnResource, rendered: RenderedResource): string[] {
    if (!lambda.CfnEventSourceMapping.isCfnEventSourceMapping(resource)) return [];
    const queue = sourceOf(resource, this.#registry.queues);
    if (queue === undefined || isDisabled(rendered.properties)) return [];
    return [
      `'${resource.node.path}' (AWS::Lambda::EventSourceMapping) on the KarinQueue '${queue.node.path}' is not disabled: AWS Lambda would poll the anchor, which is always empty, and bill each poll; remove the override of its property Enabled`,
    ];
  }
}

/** The resources of a Stage, without those of Stages inside it: each of those has a guard of its own. */
function resourcesIn(scope: IConstruct): CfnResource[] {
  return scope.node.children
    .filter((child) => !Stage.isStage(child))
    .flatMap((child) => [...(CfnResource.isCfnResource(child) ? [child] : []), ...resourcesIn(child)]);
}

function isReferenceTo({ token }: Sighting, queue: KarinQueueBase): boolean {
  if (Reference.isReference(token)) return token.target === queue._anchor;
  return token === Tokenization.reverse(queue.queueArn, { failConcat: false });
}

/** Whether a text names the anchor without a token: its ARN or its URL at Amazon SQS, written out or put together by hand. */
function names(text: string, queue: KarinQueueBase): boolean {
  const name = queue._literalName;
  if (name === undefined) return false;
  const escaped = name.replaceAll('.', '\\.');
  return new RegExp(`(:sqs:\\S*:|//sqs\\.\\S*/)${escaped}(?![\\w.-])`).test(text);
}

function* texts(value: unknown, path: readonly string[]): Generator<[path: string, text: string]> {
  if (typeof value === 'string') yield [path.join('.'), value];
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) yield* texts(child, [...path, key]);
}

function isDisabled(properties: unknown): boolean {
  return typeof properties === 'object' && properties !== null && Reflect.get(properties, 'Enabled') === false;
}
