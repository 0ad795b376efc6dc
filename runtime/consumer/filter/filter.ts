/**
 * What can go wrong with filters.
 *
 * @module
 */

import { md5OfBody, type ReceivedMessage } from '../../queue/message.ts';
import { formatQueueArn, type QueueArn } from '../../queue/names.ts';
import { attributeRecord, systemAttributes } from '../event.ts';
import { compilePattern, matchesTree, type PatternNode, Work } from './match.ts';
import { FilterError } from './matchers.ts';

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
