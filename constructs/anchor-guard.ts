import { CfnElement, CfnOutput, CfnResource, Stage } from 'aws-cdk-lib';
import type { IConstruct, IValidation } from 'constructs';
import { complaint, isHarmless } from './allowed-references';
import { AnchorIndex } from './anchor-index';
import { checkEnvironment } from './environment-checks';
import { mentionsIn } from './mentions';
import type { AnchoredQueue } from './queue-interface';
import { type RenderedResource, renderResource } from './rendered-resource';

/**
 * Refuses every reference to an anchor that is not known to be harmless.
 *
 * A Karin queue can be handed to whatever takes a queue. But nobody reads what AWS itself delivers to the anchor. Many
 * services can do so, and more will; so the harmless places are listed, and all others are errors. The validation also
 * proves that no mapping on a Karin queue stayed enabled, whatever other Aspects and overrides did to it.
 */
export class AnchorGuard implements IValidation {
  readonly #stage: IConstruct;
  readonly #queues: readonly AnchoredQueue[];

  /** `queues`: those of the Stage; the list grows as they are defined. */
  constructor(stage: IConstruct, queues: readonly AnchoredQueue[]) {
    this.#stage = stage;
    this.#queues = queues;
  }

  validate(): string[] {
    const elements = elementsIn(this.#stage);
    const index = new AnchorIndex(
      this.#queues,
      elements.filter((element) => element instanceof CfnOutput),
    );
    return elements.filter(CfnResource.isCfnResource).flatMap((resource) => {
      const rendered = renderResource(resource);
      const anchors = anchorsIn(resource, rendered, index);
      checkEnvironment(resource, rendered, anchors, index);
      return complaintsAbout(resource, rendered, anchors, index);
    });
  }
}

/**
 * The elements of the templates of a Stage, without those of Stages inside it: each of those has a guard of its own.
 */
function elementsIn(scope: IConstruct): CfnElement[] {
  return scope.node.children
    .filter((child) => !Stage.isStage(child))
    .flatMap((child) => [...(CfnElement.isCfnElement(child) ? [child] : []), ...elementsIn(child)]);
}

/** The errors for references of one resource that may not be. */
function complaintsAbout(
  resource: CfnResource,
  { properties }: RenderedResource,
  anchors: ReadonlyMap<string, AnchoredQueue>,
  index: AnchorIndex,
): string[] {
  return Array.from(anchors, ([property, queue]) => ({
    resource,
    property,
    properties,
    queue,
    isAnchor: index.isAnchor(resource),
  }))
    .filter((reference) => !isHarmless(reference))
    .map(complaint);
}

/** The queues whose anchors a resource refers to, by the path of the property that does. */
function anchorsIn(
  resource: CfnResource,
  { properties, sightings }: RenderedResource,
  index: AnchorIndex,
): Map<string, AnchoredQueue> {
  const found = new Map<string, AnchoredQueue>();
  for (const { token, path } of sightings) {
    const queue = index.ofToken(token);
    if (queue !== undefined) found.set(propertyOf(path), queue);
  }
  const tokens = Array.from(found);
  for (const mention of mentionsIn(properties)) {
    const queue = index.ofMention(mention, resource.stack);
    // What a token became in the template says the same again, at a path that may be spelled in another way.
    const known = tokens.some(([path, seen]) => seen === queue && topOf(path) === mention.path[0]);
    if (queue !== undefined && !known) found.set(propertyOf(mention.path), queue);
  }
  return found;
}

/** The property itself, without the intrinsic functions in its value. */
function propertyOf(path: readonly string[]): string {
  const intrinsic = path.findIndex((key) => key.startsWith('Fn::'));
  return path.slice(0, intrinsic < 0 ? path.length : intrinsic).join('.');
}

function topOf(path: string): string | undefined {
  return path.split('.')[0];
}
