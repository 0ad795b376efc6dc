/**
 * Pages of queue URLs, for ListQueues and ListDeadLetterSourceQueues. A token says after which queue the next page begins, so a page stays right when queues come and go.
 *
 * @module
 */
import type { Queue } from '../queue/queue.ts';
import { SqsError } from './errors.ts';
import { MAX_PAGE } from './limits.ts';

export interface PageRequest {
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

export interface Page {
  readonly queues: readonly Queue[];
  /** Only if MaxResults was given: SQS pages for no one who did not ask. */
  readonly nextToken: string | undefined;
}

/** Errors: `InvalidParameterValue`. */
export function pageOf(queues: readonly Queue[], request: PageRequest): Page {
  const asked = request.MaxResults === 0 ? undefined : request.MaxResults;
  if (asked !== undefined && (asked < 1 || asked > MAX_PAGE)) {
    throw new SqsError(
      'InvalidParameterValue',
      `Value for parameter MaxResults is invalid. Reason: MaxResults must be an integer between 1 and ${MAX_PAGE}.`,
    );
  }
  const after = request.NextToken === undefined ? '' : readToken(request.NextToken);
  const sorted = [...queues].sort((a, b) => compare(a.key, b.key)).filter((queue) => queue.key > after);
  const page = sorted.slice(0, asked ?? MAX_PAGE);
  const last = page.at(-1);
  const nextToken = asked !== undefined && last !== undefined && page.length < sorted.length ? token(last) : undefined;
  return { queues: page, nextToken };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

const TOKEN_PREFIX = 'after:';

function token(queue: Queue): string {
  return Buffer.from(`${TOKEN_PREFIX}${queue.key}`).toString('base64url');
}

function readToken(text: string): string {
  const decoded = Buffer.from(text, 'base64url').toString();
  if (!decoded.startsWith(TOKEN_PREFIX)) {
    throw new SqsError('InvalidParameterValue', 'Invalid or expired next token.');
  }
  return decoded.slice(TOKEN_PREFIX.length);
}
