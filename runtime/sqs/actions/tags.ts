import { SqsError } from '../errors.ts';
import { MAX_TAG_KEY_LENGTH, MAX_TAG_VALUE_LENGTH, MAX_TAGS } from '../limits.ts';
import { queueAction, requireOwn } from './action.ts';

export const tagQueue = queueAction('TagQueue', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'TagQueue');
  await call.directory.setTags(queue, (tags) => mergeTags(tags, input.Tags, queue.arn.name));
  return undefined;
});

export const untagQueue = queueAction('UntagQueue', 'manage', async (queue, input, call) => {
  requireOwn(queue, 'UntagQueue');
  const gone = new Set(input.TagKeys);
  await call.directory.setTags(queue, (tags) => {
    return Object.fromEntries(Object.entries(tags).filter(([key]) => !gone.has(key)));
  });
  return undefined;
});

export const listQueueTags = queueAction('ListQueueTags', 'any', async (queue) => {
  return { Tags: new Map(Object.entries(queue.definition.tags)) };
});

/*
 * The rules of queue tags. Source: SQS developer guide, "Amazon SQS cost allocation tags".
 */

/** Letters, digits, spaces and `_.:/=+-@`. */
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** The tags of a queue after `given` were put over `present`. Errors: `InvalidParameterValue`. */
export function mergeTags(
  present: Readonly<Record<string, string>>,
  given: ReadonlyMap<string, string>,
  queueName: string,
): Readonly<Record<string, string>> {
  for (const [key, value] of given) checkTag(key, value);
  const merged = new Map([...Object.entries(present), ...given]);
  if (merged.size > MAX_TAGS) throw invalid(`Too many tags added for queue ${queueName}.`);
  return Object.fromEntries(merged);
}

function checkTag(key: string, value: string): void {
  if (key.length < 1 || key.length > MAX_TAG_KEY_LENGTH) {
    throw invalid(`Tag keys must be between 1 and ${MAX_TAG_KEY_LENGTH} characters in length.`);
  }
  if (value.length > MAX_TAG_VALUE_LENGTH) {
    throw invalid(`Tag values must be between 0 and ${MAX_TAG_VALUE_LENGTH} characters in length.`);
  }
  if (/^aws:/i.test(key)) {
    throw invalid('Tag keys cannot start with aws:, which is reserved for tags that AWS sets.');
  }
  // The only name that a stored object loses; better said than dropped.
  if (key === '__proto__') throw invalid('Tag keys cannot be __proto__.');
  if (!TAG_TEXT.test(key) || !TAG_TEXT.test(value)) {
    throw invalid(
      'Tag keys and values may only contain unicode letters, digits, white space, or one of _ . : / = + - @',
    );
  }
}

function invalid(text: string): SqsError {
  return new SqsError('InvalidParameterValue', text);
}
