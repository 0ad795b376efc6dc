/**
 * Matching a tree of conditions against a JSON value.
 *
 * Arrays. An array stands for any of its elements. Conditions on several fields of the objects in one array must be met by one and the same element:
 * `{"items": {"id": [1], "state": ["new"]}}` asks for an item that is both. A field is absent from an array of objects only if no element has it, unless another
 * condition has chosen the element. Hence the three answers of a match: `no`, `absent` (met, but only because nothing was there), `present` (met by a value).
 * Of the elements of an array, one `present` is enough; `absent` must be the answer of all.
 *
 * Dots. A key `"a.b"` of the event is the same as `b` inside `a`, so a place in an event can be spread over several objects: it is a list of views,
 * each an object and the part of its keys that is already behind us.
 *
 * @module
 */
import { isRecord, isScalar, type Scalar } from './matchers.ts';
import type { PatternNode } from './pattern.ts';

type Answer = 'no' | 'absent' | 'present';

interface View {
  readonly object: Record<string, unknown>;
  /** What stands before the next segment in the keys of `object`: empty, or segments each followed by a dot. */
  readonly prefix: string;
  /** The keys of `object` that have a dot. */
  readonly dottedKeys: readonly string[];
}

/** Whether `value` meets every condition of the tree. */
export function matchesTree(tree: PatternNode, value: unknown): boolean {
  return matchNode(tree, [value], []) !== 'no';
}

/** @param values What was found at the path of this node. @param partial Views with keys that run on through this path. */
function matchNode(node: PatternNode, values: readonly unknown[], partial: readonly View[]): Answer {
  const found = flatten(values);
  const leafAnswer = matchLeaf(node, found.scalars);
  if (leafAnswer === 'no' || node.children.size === 0) return leafAnswer;
  return both(leafAnswer, matchChildren(node, [...partial, ...found.objects.map(viewOf)], found));
}

function matchLeaf(node: PatternNode, scalars: readonly Scalar[]): Answer {
  const { leaf } = node;
  if (leaf === undefined) return 'absent';
  if (scalars.some((scalar) => leaf.matches(scalar))) return 'present';
  return leaf.mayBeAbsent && scalars.length === 0 ? 'absent' : 'no';
}

function matchChildren(node: PatternNode, views: readonly View[], found: Found): Answer {
  if (!found.fromArray) return matchFields(node, views);
  let answer: Answer = 'absent';
  const consider = (elementViews: readonly View[]): boolean => {
    const one = matchFields(node, elementViews);
    if (one === 'present' || (one === 'no' && answer === 'absent')) answer = one;
    return one === 'present';
  };
  // Elements that are no objects have no fields, nor has an empty array: one look stands for all of them.
  if ((found.elements.length === 0 || found.scalars.length > 0) && consider(views)) return answer;
  for (const element of found.elements) {
    if (consider([...views, viewOf(element)])) return answer;
  }
  return answer;
}

function matchFields(node: PatternNode, views: readonly View[]): Answer {
  let answer: Answer = 'absent';
  for (const [segment, child] of node.children) {
    const values: unknown[] = [];
    const partial: View[] = [];
    for (const view of views) {
      const key = view.prefix + segment;
      if (Object.hasOwn(view.object, key)) values.push(view.object[key]);
      const longer = `${key}.`;
      if (view.dottedKeys.some((dotted) => dotted.startsWith(longer))) partial.push({ ...view, prefix: longer });
    }
    answer = both(answer, matchNode(child, values, partial));
    if (answer === 'no') return answer;
  }
  return answer;
}

function both(one: Answer, other: Answer): Answer {
  if (one === 'no' || other === 'no') return 'no';
  return one === 'present' || other === 'present' ? 'present' : 'absent';
}

function viewOf(object: Record<string, unknown>): View {
  return { object, prefix: '', dottedKeys: Object.keys(object).filter((key) => key.includes('.')) };
}

interface Found {
  /** Numbers, strings, ... at this path, elements of arrays included. */
  readonly scalars: readonly Scalar[];
  /** Objects at this path. */
  readonly objects: readonly Record<string, unknown>[];
  /** Objects that are elements of an array at this path. */
  readonly elements: readonly Record<string, unknown>[];
  /** Whether there is an array at this path. */
  readonly fromArray: boolean;
}

/** Takes arrays within arrays apart. A loop, because a hostile event can nest arrays deeper than the call stack. */
function flatten(values: readonly unknown[]): Found {
  const scalars: Scalar[] = [];
  const objects: Record<string, unknown>[] = [];
  const elements: Record<string, unknown>[] = [];
  const arrays: unknown[][] = [];
  for (const value of values) {
    if (Array.isArray(value)) arrays.push(value);
    else if (isScalar(value)) scalars.push(value);
    else if (isRecord(value)) objects.push(value);
  }
  const fromArray = arrays.length > 0;
  for (let array = arrays.pop(); array !== undefined; array = arrays.pop()) {
    for (const value of array) {
      if (Array.isArray(value)) arrays.push(value);
      else if (isScalar(value)) scalars.push(value);
      else if (isRecord(value)) elements.push(value);
    }
  }
  return { scalars, objects, elements, fromArray };
}
