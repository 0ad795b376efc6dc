import { Annotations, CfnResource, Reference, Stage } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import type { IConstruct, IValidation } from 'constructs';
import { complaint, isHarmless } from './allowed-references';
import { AnchorIndex } from './anchor-index';
import { sourceOf } from './disable-mappings';
import { hasBoundEndpoint } from './function-environment';
import type { KarinQueueBase } from './karin-queue-base';
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
    const index = new AnchorIndex(this.#registry.queues);
    return resourcesIn(this.#registry.stage).flatMap((resource) => {
      const rendered = renderResource(resource);
      warnOfRedirect(resource, rendered, index);
      return [...references(resource, rendered, index), ...this.#enabledMapping(resource, rendered)];
    });
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

/** The errors for references of one resource that may not be. */
function references(resource: CfnResource, { properties, sightings }: RenderedResource, index: AnchorIndex): string[] {
  const found = new Map<string, KarinQueueBase>();
  for (const { token, path } of sightings) {
    const queue = index.ofToken(token);
    if (queue !== undefined) found.set(path.join('.'), queue);
  }
  for (const [path, text] of texts(properties, [])) {
    const queue = index.ofText(text);
    if (queue !== undefined) found.set(path, queue);
  }
  return Array.from(found, ([property, queue]) => ({
    resource,
    property,
    properties,
    queue,
    isAnchor: index.isAnchor(resource),
  }))
    .filter((reference) => !isHarmless(reference))
    .map(complaint);
}

/** `AWS_ENDPOINT_URL_SQS` redirects every SQS client of a function, also the one for a queue of Amazon SQS. */
function warnOfRedirect(resource: CfnResource, { sightings }: RenderedResource, index: AnchorIndex): void {
  if (!lambda.CfnFunction.isCfnFunction(resource) || !hasBoundEndpoint(resource.node.scope)) return;
  const real = sightings
    .map(({ token, path }) => (path[0] === 'Environment' && Reference.isReference(token) ? token.target : undefined))
    .find((target) => sqs.CfnQueue.isCfnQueue(target) && !index.isAnchor(target));
  if (real === undefined) return;
  Annotations.of(resource).addWarningV2(
    'karin-queue:endpointRedirectsAll',
    `AWS_ENDPOINT_URL_SQS sends every SQS client of this function to the Karin server, but its environment also names '${real.node.path}', a queue of Amazon SQS; bind it with 'endpointVariable: false' and give its Karin client the endpoint in code, or make that queue a KarinQueue`,
  );
}

function* texts(value: unknown, path: readonly string[]): Generator<[path: string, text: string]> {
  if (typeof value === 'string') yield [path.join('.'), value];
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) yield* texts(child, [...path, key]);
}

function isDisabled(properties: unknown): boolean {
  return typeof properties === 'object' && properties !== null && Reflect.get(properties, 'Enabled') === false;
}
