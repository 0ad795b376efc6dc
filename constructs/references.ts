import {
  DefaultTokenResolver,
  type IFragmentConcatenator,
  type IPostProcessor,
  type IResolvable,
  type IResolveContext,
  Reference,
  Tokenization,
} from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { isIngestAddress } from './ingest';

/** A token met while a value was resolved, and where. */
export interface Sighting {
  readonly token: IResolvable;
  /** Path of keys from the resolved value down to the token. */
  readonly path: readonly string[];
}

/**
 * A value with its tokens resolved: concatenations are flattened to text, in which a resource of the same template
 * reads `${Resource(Jobs.Arn)}` and every other unknown part `${Token}`.
 */
export interface Resolved {
  readonly value: unknown;
  readonly sightings: readonly Sighting[];
}

const UNKNOWN_PART = '$' + '{Token}';

/**
 * A resource of the same template in a flattened text; the group is its logical id, with the attribute if there is one.
 */
export const RESOURCE_IN_TEXT = /\$\{Resource\(([^)]+)\)\}/g;

/**
 * The resource that an intrinsic function names, as Fn::Sub writes it: `Jobs` for a `Ref`, `Jobs.Arn` for an
 * `Fn::GetAtt`.
 */
export function namedResource(value: object): string | undefined {
  const ref: unknown = Reflect.get(value, 'Ref');
  if (typeof ref === 'string') return ref;
  const attribute: unknown = Reflect.get(value, 'Fn::GetAtt');
  if (typeof attribute === 'string') return attribute;
  return Array.isArray(attribute) ? attribute.join('.') : undefined;
}

/** Concatenates to plain text; what only CloudFormation knows becomes a placeholder. */
const FLATTEN: IFragmentConcatenator = {
  join(left: unknown, right: unknown): string {
    return asText(left) + asText(right);
  },
};

function asText(part: unknown): string {
  if (part === undefined || part === null) return '';
  if (typeof part !== 'object') return String(part);
  const named = namedResource(part);
  return named === undefined ? UNKNOWN_PART : `\${Resource(${named})}`;
}

/**
 * Remembers each token on the way: a reference is seen even where it ends up inside a join, a sub-template or an import
 * of another stack.
 */
class RememberingResolver extends DefaultTokenResolver {
  readonly sightings: Sighting[] = [];

  constructor() {
    super(FLATTEN);
  }

  override resolveToken(token: IResolvable, context: IResolveContext, postProcessor: IPostProcessor): unknown {
    const seen = this.sightings.length;
    this.sightings.push({ token, path: context.documentPath });
    const resolved: unknown = super.resolveToken(token, context, postProcessor);
    // It names the queue to the server: what is sent there does not go to the anchor.
    if (isIngestAddress(token)) this.sightings.length = seen;
    return resolved;
  }
}

/** Resolves `value` as it would be written into the template of `scope`. */
export function resolveIn(scope: IConstruct, value: unknown): Resolved {
  const resolver = new RememberingResolver();
  const resolved: unknown = Tokenization.resolve(value, { scope, resolver, preparing: false });
  return { value: resolved, sightings: resolver.sightings };
}

/** The constructs that `value` refers to. */
export function targetsIn(scope: IConstruct, value: unknown): IConstruct[] {
  return resolveIn(scope, value).sightings.flatMap(({ token }) => (Reference.isReference(token) ? [token.target] : []));
}
