/**
 * The queue that somebody means by a name that he typed.
 *
 * @module
 */
import { editDistance, isNameOf, type QueueArn } from '../queue/names.ts';
import type { Queue } from '../queue/queue.ts';
import { type OverviewParts, queueRows } from './overview.ts';

/** Characters of a URL that may name a queue. */
const LONGEST_NAME = 2_000;
/** A URL of a queue: its region, if it names one, and its account and name. */
const URL_OF_QUEUE = /^https?:\/\/(?:[^?#]*\/r\/([a-z0-9-]+)|.*)\/(\d{12}\/[^/]+)$/;
/** Names that are proposed for one that does not exist. */
const MOST_PROPOSALS = 3;
/** Names that a mistyped one is compared with; each costs the product of both lengths. */
const MOST_COMPARED = 1_000;

/** No queue has the name, or several have. */
export interface QueueMiss {
  readonly status: 404 | 409;
  readonly message: string;
}

/** The queues that somebody may know of. */
export type Reach = (queue: QueueArn) => boolean;

/**
 * The queue that a text names by its name, `region:account:name`, `account/region/name`, ARN, URL or friendly name,
 * among those that `reaches` lets through (default: all); a miss names those that are like it.
 */
export function findQueue(parts: OverviewParts, text: string, reaches: Reach = () => true): Queue | QueueMiss {
  const rows = queueRows(parts).filter(({ queue }) => reaches(queue.arn));
  const [, inRegion, ofUrl] = URL_OF_QUEUE.exec(text.slice(0, LONGEST_NAME)) ?? [];
  const found = rows.filter(
    ({ queue, friendlyName }) =>
      isNameOf(text, queue.arn) ||
      friendlyName === text ||
      (`${queue.arn.account}/${queue.arn.name}` === ofUrl && (inRegion === undefined || inRegion === queue.arn.region)),
  );
  const [first, second] = found;
  if (second !== undefined) {
    const keys = found.map(({ queue }) => queue.key).join(', ');
    return { status: 409, message: `several queues are named ${text}; name one of them as ${keys}` };
  }
  if (first !== undefined) return first.queue;
  const like = proposals(
    text,
    rows.map(({ queue }) => queue.arn.name),
  );
  const hint = like.length === 0 ? '' : `; did you mean ${like.join(' or ')}?`;
  return { status: 404, message: `there is no queue ${text}${hint}` };
}

/** The names that are most like a mistyped one: those that contain it, or differ in a few letters. */
function proposals(text: string, names: readonly string[]): readonly string[] {
  const wanted = text.slice(0, 80).toLowerCase();
  const scored = names.slice(0, MOST_COMPARED).map((name) => {
    const other = name.toLowerCase();
    const contains = wanted !== '' && (other.includes(wanted) || wanted.includes(other));
    return { name, distance: contains ? 0 : editDistance(wanted, other) };
  });
  return scored
    .filter(({ distance }) => distance <= Math.max(2, wanted.length / 3))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MOST_PROPOSALS)
    .map(({ name }) => name);
}
