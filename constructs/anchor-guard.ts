import { CfnResource, Reference, Stage, Tokenization } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type { IConstruct, IValidation } from 'constructs';
import { complaint, isHarmless } from './allowed-references';
import { sourceOf } from './disable-mappings';
import type { KarinQueueBase } from './karin-queue-base';
import { resolveIn, type Sighting } from './references';
import type { StageRegistry } from './stage-registry';

/** A resource as it will stand in the template. */
interface Rendered {
  /** Its properties, with references still as intrinsic functions and concatenations as text. */
  readonly properties: unknown;
  /** Every token in its properties, by path below `Properties`. */
  readonly sightings: readonly Sighting[];
}

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
      const rendered = render(resource);
      return [...this.#references(resource, rendered), ...this.#enabledMapping(resource, rendered)];
    });
  }

  #references(resource: CfnResource, rendered: Rendered): string[] {
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

  #enabledMapping(resource: CfnResource, rendered: Rendered): string[] {
    if (!lambda.CfnEventSourceMapping.isCfnEventSourceMapping(resource)) return [];
    const queue = sourceOf(resource, this.#registry.queues);
    if (queue === undefined || valueAt(rendered.properties, 'Enabled') === false) return [];
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

function render(resource: CfnResource): Rendered {
  // Marked internal in aws-cdk-lib, yet the only source that has property overrides as well; it is what a Stack itself calls.
  const template = (resource as CfnResource & { _toCloudFormation(): unknown })._toCloudFormation();
  const { value, sightings } = resolveIn(resource, template);
  const byLogicalId = valueAt(value, 'Resources');
  const [written] = typeof byLogicalId === 'object' && byLogicalId !== null ? Object.values(byLogicalId) : [];
  return {
    properties: valueAt(written, 'Properties'),
    sightings: sightings.flatMap(({ token, path }) => {
      const at = path.indexOf('Properties');
      // A token above the properties (the resource as a whole) is no reference, and Metadata and DependsOn deliver nothing.
      return at < 0 || at === path.length - 1 ? [] : [{ token, path: path.slice(at + 1).map(asWritten) }];
    }),
  };
}

/** Tokens are met while keys are still spelled as in the L1 classes, `deadLetterConfig`; in the template they begin with a capital. */
function asWritten(key: string): string {
  return key.charAt(0).toUpperCase() + key.slice(1);
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

function valueAt(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
