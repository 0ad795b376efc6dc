import type { CfnResource } from 'aws-cdk-lib';
import { resolveIn, type Sighting } from './references';

/** A resource as it will stand in the template. */
export interface RenderedResource {
  /** Its properties, with references still as intrinsic functions and concatenations as text. */
  readonly properties: unknown;
  /** Every token in its properties, by path below `Properties`. */
  readonly sightings: readonly Sighting[];
}

/**
 * Resolves a resource with its property overrides. Complete only after Aspects have run and references between stacks
 * are resolved.
 */
export function renderResource(resource: CfnResource): RenderedResource {
  // Marked internal in aws-cdk-lib, yet the only source that has property overrides as well; it is what a Stack itself
  // calls.
  const template = (resource as CfnResource & { _toCloudFormation(): unknown })._toCloudFormation();
  const { value, sightings } = resolveIn(resource, template);
  const byLogicalId = valueAt(value, 'Resources');
  const [written] = typeof byLogicalId === 'object' && byLogicalId !== null ? Object.values(byLogicalId) : [];
  return {
    properties: valueAt(written, 'Properties'),
    sightings: sightings.flatMap(({ token, path }) => {
      const at = path.indexOf('Properties');
      // A token above the properties (the resource as a whole) is no reference, and Metadata and DependsOn deliver
      // nothing.
      return at < 0 || at === path.length - 1 ? [] : [{ token, path: path.slice(at + 1).map(asWritten) }];
    }),
  };
}

/**
 * Tokens are met while keys are still spelled as in the L1 classes, `deadLetterConfig`; in the template they begin with
 * a capital.
 */
function asWritten(key: string): string {
  return key.charAt(0).toUpperCase() + key.slice(1);
}

function valueAt(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}
