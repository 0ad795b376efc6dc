/**
 * Lets pages of other origins use the SQS API from a browser (CORS), where the operator names their origins in
 * `KARIN_CORS_ORIGINS`. Without that setting no answer says anything to a browser, and it keeps every answer from the
 * page.
 *
 * CORS lets nobody in: a page still needs a credential, as every caller does, and whatever credential it has can be
 * read by whoever opens it. The API knows no cookies, so there is none that a browser could add by itself. The paths
 * beside the SQS API (the ops page, `/sync`, `/tokens`, ...) stay closed to other origins.
 *
 * Source: the Fetch standard, "CORS protocol"; the headers are those that the AWS SDK for JavaScript v3 sends and reads
 * in a browser.
 *
 * @module
 */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';

/** Pages of every origin. */
const ANY_ORIGIN = '*';

/** What a page may send: signed or presigned, in either protocol. */
const REQUEST_HEADERS = [
  ...['authorization', 'content-type', 'amz-sdk-invocation-id', 'amz-sdk-request', 'x-amz-content-sha256'],
  ...['x-amz-date', 'x-amz-security-token', 'x-amz-target', 'x-amz-user-agent'],
  ...['x-amzn-query-mode', 'x-amzn-trace-id'],
].join(', ');

/** What a page may read: the request id, and the code of an error as old programs know it. */
const ANSWER_HEADERS = 'x-amzn-requestid, x-amzn-query-error, x-amzn-query-mode, date';

/** How long a browser may remember the answer to a preflight, seconds; Chromium takes two hours at most. */
const PREFLIGHT_SECONDS = 7_200;

export interface Cors {
  /** Whether the operator named the very origin that this request comes from; `*` names none. */
  names(headers: IncomingHttpHeaders): boolean;
  /**
   * Writes into the answer that the page may read it, if it may. Answers whether the request was a preflight of such a
   * page; then it is answered.
   */
  apply(request: IncomingMessage, response: ServerResponse): boolean;
}

/** `origins`: as browsers send them, and `*`; none: nothing is ever written. */
export function createCors(origins: readonly string[]): Cors {
  const named = new Set(origins);
  const any = named.delete(ANY_ORIGIN);
  return {
    names: ({ origin }) => origin !== undefined && named.has(origin),
    apply(request, response) {
      if (!any && named.size === 0) return false;
      // A cache must not give the answer for one page to another.
      if (!any) response.setHeader('Vary', 'Origin');
      const { origin } = request.headers;
      if (origin === undefined || !(any || named.has(origin))) return false;
      response.setHeader('Access-Control-Allow-Origin', any ? ANY_ORIGIN : origin);
      if (request.method !== 'OPTIONS') {
        response.setHeader('Access-Control-Expose-Headers', ANSWER_HEADERS);
        return false;
      }
      response.writeHead(204, {
        'Access-Control-Allow-Methods': 'GET, POST',
        'Access-Control-Allow-Headers': REQUEST_HEADERS,
        'Access-Control-Max-Age': PREFLIGHT_SECONDS,
      });
      response.end();
      return true;
    },
  };
}
