/**
 * What can go wrong with filters.
 *
 * @module
 */

import { md5OfBody, type ReceivedMessage } from '../../queue/message.ts';
import { formatQueueArn, type QueueArn } from '../../queue/names.ts';
import { attributeRecord, systemAttributes } from '../event.ts';
import { matchesTree, Work } from './match.ts';
import { compileLeaf, isRecord, type Leaf, OPERATORS } from './matchers.ts';

/**
 * A filter pattern that cannot be computed. The mapping must not be served: such a filter may neither drop nor deliver
 * a message.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

/**
 * A message that takes more work to match than any message may. It is neither dropped nor delivered; the messages
 * beside it are unharmed.
 */
export class FilterWorkError extends Error {
  override readonly name = 'FilterWorkError';
}

/*
 * `FilterCriteria`: which messages a mapping delivers. A message that no filter matches is deleted, so a filter that
 * cannot be computed must never be run: compiling fails, and the mapping is not served.
 *
 * What is matched is the record that the function would receive, with one difference: `body` is parsed when it is a
 * JSON object or array.
 *
 *   body is          pattern for body is     then
 *   JSON             an object               the parsed body is matched
 *   not JSON         an object               no match, not even for {"exists": false}
 *   JSON             a list of values        no match
 *   not JSON         a list of values        the text is matched
 *   anything         absent                  only the other fields are matched
 *
 * A body that is a JSON scalar (`123`, `"x"`, `true`) counts as text. The body that is delivered is never re-written.
 * Source: "Using event filtering with an Amazon SQS event source".
 */

/** The filters of one mapping, compiled. */
export interface Filter {
  /**
   * Whether at least one pattern matches, or there is none. Errors: `FilterWorkError` for a message that takes too much
   * work to match; it must be neither dropped nor delivered. Any sender can write one, so it must not stop the mapping.
   */
  matches(message: ReceivedMessage, queueArn: QueueArn): boolean;
}

/** Steps (see `Work`) that any message may take, however short. A step is some 40 nanoseconds. */
const STEPS = 500_000;
/** Steps for each character of the body beyond that. An ordinary body takes less than one, for one filter. */
const STEPS_PER_CHARACTER = 4;

const MATCHES_EVERYTHING: Filter = { matches: () => true };

/**
 * Compiles the patterns of a mapping (JSON texts); an empty list matches everything.
 * Errors: `FilterError`, naming the pattern, the rule it breaks and what would mend it.
 */
export function compileFilter(patterns: readonly string[]): Filter {
  if (patterns.length === 0) return MATCHES_EVERYTHING;
  const conjunctions = patterns.flatMap((text) => compileNamed(text).map(conjunctionOf));
  return {
    matches: (message, queueArn) => {
      const body = parsedOnce(message.body);
      const work = new Work(STEPS + STEPS_PER_CHARACTER * message.body.length);
      return conjunctions.some(
        (conjunction) =>
          bodyMatches(conjunction, message.body, body, work) &&
          (conjunction.others === undefined ||
            matchesTree(conjunction.others, metadata(message, queueArn, conjunction.others), work)),
      );
    },
  };
}

/** One conjunction, with what it asks of the body apart from the rest. */
interface Conjunction {
  readonly body: PatternNode | undefined;
  readonly others: PatternNode | undefined;
}

function compileNamed(text: string): readonly PatternNode[] {
  try {
    return compilePattern(text);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    throw new FilterError(`the filter pattern ${quote(text)} cannot be used: ${error.message}`);
  }
}

function quote(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}...`;
}

function conjunctionOf(tree: PatternNode): Conjunction {
  const others = new Map(tree.children);
  others.delete('body');
  return { body: tree.children.get('body'), others: others.size === 0 ? undefined : { children: others } };
}

function bodyMatches(conjunction: Conjunction, text: string, parsed: () => object | undefined, work: Work): boolean {
  const { body } = conjunction;
  if (body === undefined) return true;
  const json = parsed();
  if (json === undefined) return body.children.size === 0 && matchesTree(body, text, work);
  return body.leaf === undefined && matchesTree(body, json, work);
}

/** The body as a JSON object or array, parsed when first asked for; `undefined` for everything else. */
function parsedOnce(text: string): () => object | undefined {
  let asked = false;
  let parsed: object | undefined;
  return () => {
    if (!asked) {
      asked = true;
      parsed = parseObjectOrArray(text);
    }
    return parsed;
  };
}

function parseObjectOrArray(text: string): object | undefined {
  if (!/^[ \t\r\n]*[{[]/.test(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    // Not JSON is not an error: it is the second row of the table.
    return undefined;
  }
}

function metadata(message: ReceivedMessage, queueArn: QueueArn, asked: PatternNode): Record<string, unknown> {
  return {
    messageId: message.id,
    receiptHandle: message.receiptHandle,
    attributes: systemAttributes(message),
    messageAttributes: Object.fromEntries(
      Object.entries(message.attributes).map(([name, attribute]) => [name, attributeRecord(attribute)]),
    ),
    ...(asked.children.has('md5OfBody') && { md5OfBody: md5OfBody(message.body) }),
    eventSource: 'aws:sqs',
    eventSourceARN: formatQueueArn(queueArn),
    awsRegion: queueArn.region,
  };
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
