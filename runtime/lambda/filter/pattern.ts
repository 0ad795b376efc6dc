/**
 * From the JSON text of a filter pattern to trees that can be matched.
 *
 * `$or` is taken out first: a pattern becomes a list of conjunctions, one for each way to choose from its `$or`s, and matches if one of them does. A conjunction is a
 * tree of field names with leaves. A path that is given twice, beside and inside an `$or` or with and without dots, is what it is given last: so AWS's own engine has it. Dots in names separate levels, so that `{"a.b": [1]}` and `{"a": {"b": [1]}}` are one pattern.
 *
 * @module
 */
import { FilterError } from './filter-error.ts';
import { compileLeaf, isRecord, type Leaf, OPERATORS } from './matchers.ts';

/** The fields of one level that a pattern speaks of. */
export interface PatternNode {
  readonly children: ReadonlyMap<string, PatternNode>;
  /** What is asked of the scalars found at this very path. */
  readonly leaf?: Leaf;
}

/** Ways to choose from all `$or`s of a pattern; as EventBridge limits it. */
const MAX_CONJUNCTIONS = 1000;

interface Condition {
  readonly path: string;
  readonly leaf: Leaf;
}
type Conjunction = readonly Condition[];

/** Compiles one pattern. It matches if one of the trees does. Errors: `FilterError`. */
export function compilePattern(text: string): readonly PatternNode[] {
  let pattern: unknown;
  try {
    pattern = JSON.parse(text);
  } catch (error) {
    throw new FilterError(`it is not valid JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isRecord(pattern)) throw new FilterError('it must be a JSON object');
  return conjunctionsOf(pattern, undefined).map(treeOf);
}

function conjunctionsOf(pattern: Record<string, unknown>, prefix: string | undefined): readonly Conjunction[] {
  const fields = Object.entries(pattern);
  if (fields.length === 0) {
    throw new FilterError(`${prefix === undefined ? 'it' : `"${prefix}"`} is an empty object; name at least one field`);
  }
  let all: readonly Conjunction[] = [[]];
  for (const [name, value] of fields) {
    const path = prefix === undefined ? name : `${prefix}.${name}`;
    const choices = isOr(name, value)
      ? value.flatMap((branch) => conjunctionsOf(branch, prefix))
      : isRecord(value)
        ? conjunctionsOf(value, path)
        : [[{ path, leaf: leafOf(value, path) }]];
    if (all.length * choices.length > MAX_CONJUNCTIONS) {
      throw new FilterError(`its $or clauses make more than ${MAX_CONJUNCTIONS} combinations`);
    }
    all = all.flatMap((chosen) => choices.map((choice) => [...chosen, ...choice]));
  }
  return all;
}

function leafOf(value: unknown, path: string): Leaf {
  if (!Array.isArray(value)) throw new FilterError(`"${path}" must be an object or an array of values`);
  return compileLeaf(value, path);
}

/** `$or` is an operator only over two or more objects of ordinary fields; otherwise it is the name of a field. */
function isOr(name: string, value: unknown): value is readonly Record<string, unknown>[] {
  return (
    name === '$or' &&
    Array.isArray(value) &&
    value.length >= 2 &&
    value.every((branch) => isRecord(branch) && !Object.keys(branch).some((key) => OPERATORS.has(key)))
  );
}

interface GrowingNode {
  readonly children: Map<string, GrowingNode>;
  leaf?: Leaf;
}

function treeOf(conjunction: Conjunction): PatternNode {
  const root: GrowingNode = { children: new Map() };
  for (const { path, leaf } of conjunction) {
    let node = root;
    for (const segment of path.split('.')) {
      let child = node.children.get(segment);
      if (child === undefined) {
        child = { children: new Map() };
        node.children.set(segment, child);
      }
      node = child;
    }
    node.leaf = leaf;
  }
  return root;
}
