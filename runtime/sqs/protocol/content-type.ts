/**
 * Which protocol a request speaks, by its headers alone.
 *
 * @module
 */
import type { SqsRequestHead } from '../request.ts';
import type { QueryFormat } from './query.ts';

export type Protocol = 'json' | 'query';

/** Whether a content type is that of the JSON protocol. */
export function isJson(contentType: string | undefined): boolean {
  return /^application\/x-amz-json-1\.[01]\s*(?:;|$)/i.test(contentType ?? '');
}

/** Whether a content type is that of form parameters. */
export function isForm(contentType: string | undefined): boolean {
  return /^application\/x-www-form-urlencoded\s*(?:;|$)/i.test(contentType ?? '');
}

export function protocolOf(head: Pick<SqsRequestHead, 'method' | 'headers'>): Protocol {
  return head.method === 'POST' && isJson(head.headers('content-type')) ? 'json' : 'query';
}

/** SQS answers a GET in JSON if that is what it accepts. */
export function queryFormatOf(head: Pick<SqsRequestHead, 'method' | 'headers'>): QueryFormat {
  return head.method === 'GET' && /\bapplication\/json\b/i.test(head.headers('accept') ?? '') ? 'json' : 'xml';
}
