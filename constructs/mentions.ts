import { isIngestJoin } from './ingest';
import { namedResource, RESOURCE_IN_TEXT } from './references';

/** A place in a rendered value that may name a queue without a reference that the CDK knows of. */
export interface Mention {
  /** Path of keys down to it. */
  readonly path: readonly string[];
  /** Logical ids of resources of the same template, named by hand: `Ref`, `Fn::GetAtt`, `Fn::Sub`. */
  readonly logicalIds: readonly string[];
  /** The export of a stack that is imported. */
  readonly importedExport?: string;
  /** The text itself, in which an ARN or a URL may be written out. */
  readonly text?: string;
}

/** What Fn::Sub substitutes; `${!x}` is an escape. */
const SUBSTITUTION = /\$\{([^!}][^}]*)\}/g;

/**
 * Every text, and every intrinsic function that names a resource or an export, in a value that was resolved by
 * `resolveIn`.
 */
export function* mentionsIn(value: unknown, path: readonly string[] = []): Generator<Mention> {
  if (typeof value === 'string') {
    const patterns = path.includes('Fn::Sub') ? [RESOURCE_IN_TEXT, SUBSTITUTION] : [RESOURCE_IN_TEXT];
    const names = patterns.flatMap((pattern) => Array.from(value.matchAll(pattern), ([, name = '']) => name));
    yield { path, logicalIds: names.map(logicalIdOf), text: value };
  }
  if (typeof value !== 'object' || value === null || isIngestJoin(value)) return;
  const named = namedResource(value);
  if (named !== undefined) yield { path, logicalIds: [logicalIdOf(named)] };
  const imported: unknown = Reflect.get(value, 'Fn::ImportValue');
  if (typeof imported === 'string') yield { path, logicalIds: [], importedExport: imported };
  for (const [key, child] of Object.entries(value)) yield* mentionsIn(child, [...path, key]);
}

function logicalIdOf(name: string): string {
  return name.split('.')[0] ?? name;
}
