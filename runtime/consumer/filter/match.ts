/**
 * Matching a tree of conditions against a JSON value.
 *
 * Arrays. An array stands for any of its elements. Conditions on several fields of the objects in one array must be met
 * by one and the same element: `{"items": {"id": [1], "state": ["new"]}}` asks for an item that is both. A field is
 * absent from an array of objects only if no element has it, unless another condition has chosen the element. Hence the
 * three answers of a match: `no`, `absent` (met, but only because nothing was there), `present` (met by a value). Of
 * the elements of an array, one `present` is enough; `absent` must be the answer of all.
 *
 * Dots. A key `"a.b"` of the event is the same as `b` inside `a`, so a place in an event can be spread over several
 * objects: it is a list of views. A view is an object as one node of the pattern sees it: its keys, and where those
 * with a dot lead further down the pattern.
 *
 * Work. The keys of an object are followed along the pattern once, when its view is made. What a view gives to a node
 * is looked through once, however many elements of an array it is combined with. So the work is linear in the value,
 * for one pattern, but for one case: two arrays at one place, one of them reached through a dotted key, whose objects
 * must be tried in pairs. Hence the bound (`Work`), which every loop pays into.
 *
 * @module
 */
import {
  compileLeaf,
  FilterError,
  FilterWorkError,
  isRecord,
  isScalar,
  type Leaf,
  OPERATORS,
  type Scalar,
} from './matchers.ts';

/**
 * What matching one message may take, and has taken. A step is a key looked at, a value compared, or 32 characters
 * searched.
 */
export class Work {
  readonly #limit: number;
  #spent = 0;

  /** @param limit Steps, 1 or more. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get spent(): number {
    return this.#spent;
  }

  /** Errors: `FilterWorkError` beyond the limit. */
  spend(steps: number): void {
    this.#spent += steps;
    if (this.#spent > this.#limit) {
      throw new FilterWorkError(`matching it against the filters takes more than ${this.#limit} steps`);
    }
  }
}

type Answer = 'no' | 'absent' | 'present';

/** An object, as the node sees it that it was found at. */
interface View {
  readonly object: Record<string, unknown>;
  readonly node: PatternNode;
  /**
   * What its keys with a dot hold, by the node that they lead to. Nodes that they only pass through are there too, and
   * hold nothing.
   */
  readonly dotted: ReadonlyMap<PatternNode, readonly unknown[]> | undefined;
  /**
   * What it gives to each node below its own, looked through when first asked for; only where it is combined with the
   * elements of an array.
   */
  given?: Map<PatternNode, Found>;
}

/** Values at one node of the pattern, arrays taken apart. */
interface Found {
  /** Whether one of the scalars meets the leaf of the node. */
  readonly meetsLeaf: boolean;
  readonly hasScalars: boolean;
  readonly objects: readonly View[];
  /**
   * Objects that are elements of an array. Their views are made one by one: a large array would fill the memory with
   * them.
   */
  readonly elements: readonly Record<string, unknown>[];
  readonly fromArray: boolean;
}

/**
 * Whether `value` meets every condition of the tree. Errors: `FilterWorkError` if that takes more than `work` allows.
 */
export function matchesTree(tree: PatternNode, value: unknown, work: Work): boolean {
  return matchNode(tree, [look(tree, [value], work)], [], work) !== 'no';
}

/**
 * @param found What is at this node, of each view that has something there. @param passing Views with keys that run on
 *   through this node.
 */
function matchNode(node: PatternNode, found: readonly Found[], passing: readonly View[], work: Work): Answer {
  const leafAnswer = matchLeaf(node, found);
  if (leafAnswer === 'no' || node.children.size === 0) return leafAnswer;
  return both(leafAnswer, matchChildren(node, found, passing, work));
}

function matchLeaf({ leaf }: PatternNode, found: readonly Found[]): Answer {
  if (leaf === undefined) return 'absent';
  if (found.some(({ meetsLeaf }) => meetsLeaf)) return 'present';
  return leaf.mayBeAbsent && !found.some(({ hasScalars }) => hasScalars) ? 'absent' : 'no';
}

function matchChildren(node: PatternNode, found: readonly Found[], passing: readonly View[], work: Work): Answer {
  const views = [...passing, ...found.flatMap(({ objects }) => objects)];
  if (!found.some(({ fromArray }) => fromArray)) return matchFields(node, views, work);
  for (const view of views) view.given ??= new Map();
  let answer: Answer = 'absent';
  const consider = (elementViews: readonly View[]): boolean => {
    const one = matchFields(node, elementViews, work);
    if (one === 'present' || (one === 'no' && answer === 'absent')) answer = one;
    return one === 'present';
  };
  // Elements that are no objects have no fields, nor has an empty array: one look stands for all of them.
  const withoutFields =
    found.some(({ hasScalars }) => hasScalars) || !found.some(({ elements }) => elements.length > 0);
  if (withoutFields && consider(views)) return answer;
  for (const { elements } of found) {
    for (const element of elements) {
      if (consider([...views, viewOf(element, node, work)])) return answer;
    }
  }
  return answer;
}

function matchFields(node: PatternNode, views: readonly View[], work: Work): Answer {
  let answer: Answer = 'absent';
  for (const [segment, child] of node.children) {
    const found: Found[] = [];
    const passing: View[] = [];
    for (const view of views) {
      work.spend(1);
      const given = give(view, node, segment, child, work);
      if (given !== undefined) found.push(given);
      if (view.dotted?.has(child)) passing.push(view);
    }
    answer = both(answer, matchNode(child, found, passing, work));
    if (answer === 'no') return answer;
  }
  return answer;
}

function both(one: Answer, other: Answer): Answer {
  if (one === 'no' || other === 'no') return 'no';
  return one === 'present' || other === 'present' ? 'present' : 'absent';
}

/** What the view has at `child`, a child of `node`; `undefined`: nothing. */
function give(view: View, node: PatternNode, segment: string, child: PatternNode, work: Work): Found | undefined {
  const known = view.given?.get(child);
  if (known !== undefined) return known;
  const values = [...(view.dotted?.get(child) ?? [])];
  if (view.node === node && Object.hasOwn(view.object, segment)) values.push(view.object[segment]);
  if (values.length === 0) return undefined;
  const found = look(child, values, work);
  view.given?.set(child, found);
  return found;
}

/** Takes arrays within arrays apart. A loop, because a hostile event can nest arrays deeper than the call stack. */
function look(node: PatternNode, values: readonly unknown[], work: Work): Found {
  const objects: View[] = [];
  const elements: Record<string, unknown>[] = [];
  const arrays: (readonly unknown[])[] = [];
  let meetsLeaf = false;
  let hasScalars = false;
  const sort = (value: unknown, found: (object: Record<string, unknown>) => void): void => {
    work.spend(1);
    if (Array.isArray(value)) arrays.push(value);
    else if (isScalar(value)) {
      hasScalars = true;
      meetsLeaf ||= meets(node, value, work);
    } else if (isRecord(value) && node.children.size > 0) found(value);
  };
  for (const value of values) sort(value, (object) => objects.push(viewOf(object, node, work)));
  const fromArray = arrays.length > 0;
  for (let array = arrays.pop(); array !== undefined; array = arrays.pop()) {
    for (const value of array) sort(value, (object) => elements.push(object));
  }
  return { meetsLeaf, hasScalars, objects, elements, fromArray };
}

function meets({ leaf }: PatternNode, value: Scalar, work: Work): boolean {
  if (leaf === undefined) return false;
  work.spend(leaf.steps(value));
  return leaf.matches(value);
}

function viewOf(object: Record<string, unknown>, node: PatternNode, work: Work): View {
  let dotted: Map<PatternNode, unknown[]> | undefined;
  for (const key in object) {
    work.spend(1);
    if (!key.includes('.')) continue;
    dotted ??= new Map();
    follow(key, object[key], node, dotted, work);
  }
  return { object, node, dotted, given: new Map() };
}

/** Walks a key with dots down the pattern, and notes where it passes and where it ends. */
function follow(
  key: string,
  value: unknown,
  start: PatternNode,
  dotted: Map<PatternNode, unknown[]>,
  work: Work,
): void {
  let node: PatternNode | undefined = start;
  for (let from = 0; node !== undefined; ) {
    work.spend(1);
    const dot = key.indexOf('.', from);
    node = node.children.get(key.slice(from, dot === -1 ? undefined : dot));
    if (node === undefined) return;
    const values = dotted.get(node) ?? [];
    dotted.set(node, values);
    if (dot === -1) {
      values.push(value);
      return;
    }
    from = dot + 1;
  }
}

/*
 * From the JSON text of a filter pattern to trees that can be matched.
 *
 * `$or` is taken out first: a pattern becomes a list of conjunctions, one for each way to choose from its `$or`s, and
 * matches if one of them does. A conjunction is a tree of field names with leaves. A path that is given twice, beside
 * and inside an `$or` or with and without dots, is what it is given last: so AWS's own engine has it. Dots in names
 * separate levels, so that `{"a.b": [1]}` and `{"a": {"b": [1]}}` are one pattern.
 */

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
type PatternConjunction = readonly Condition[];

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

function conjunctionsOf(pattern: Record<string, unknown>, prefix: string | undefined): readonly PatternConjunction[] {
  const fields = Object.entries(pattern);
  if (fields.length === 0) {
    throw new FilterError(`${prefix === undefined ? 'it' : `"${prefix}"`} is an empty object; name at least one field`);
  }
  let all: readonly PatternConjunction[] = [[]];
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

function treeOf(conjunction: PatternConjunction): PatternNode {
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
