/**
 * The canonical request of AWS Signature Version 4: one spelling for all requests that mean the same.
 *
 * The spelling must follow what the rest of the server reads: wherever two raw requests give one canonical request,
 * they must also mean one thing, or a signature for one would let in the other. Hence a plus sign in a query is a space
 * here, because the form decoder reads it so.
 *
 * Source: AWS General Reference, "Create a signed AWS API request".
 *
 * @module
 */

/** The parts of a request that a signature covers, as received. */
export interface RequestParts {
  readonly method: string;
  /** The path as the signer wrote it, base path included, percent-encoding as received. */
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** Names and values in turn, in the order received (`IncomingMessage.rawHeaders`); one entry for each repetition. */
  readonly rawHeaders: readonly string[];
}

/** Percent-encodes everything but the unreserved characters of RFC 3986. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/**
 * The path without empty and dot segments, percent-encoded once more (every service but S3 does so).
 */
function canonicalPath(path: string): string {
  if (path === '/' || path === '') return '/';
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(encodeRfc3986(segment));
  }
  return `/${segments.join('/')}${segments.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** The parameters of a query string, decoded as the SQS Query protocol decodes them. */
export function queryPairs(query: string): readonly (readonly [name: string, value: string])[] {
  return query === '' ? [] : [...new URLSearchParams(query)];
}

/** The query sorted by encoded name, then value; the signature itself is left out. */
function canonicalQuery(query: string): string {
  if (query === '') return '';
  return queryPairs(query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/**
 * The canonical request; each of its characters is one byte (headers are Latin-1 in HTTP/1.1, the rest is ASCII).
 *
 * Its headers are `name:value` lines in the order of `signed`, which lists no name twice. Values of one name are joined
 * by commas, runs of spaces become one. `host` replaces the Host that was received, for servers behind a proxy that
 * changes it.
 */
export function canonicalRequest(
  { method, path, query, rawHeaders }: RequestParts,
  signed: readonly string[],
  payloadHash: string,
  host?: string,
): string {
  const values = new Map<string, string | undefined>();
  for (const name of signed) values.set(name, undefined);
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    if (!values.has(name)) continue;
    const trimmed = (rawHeaders[i + 1] ?? '').trim();
    const value = trimmed.includes('  ') ? trimmed.replace(/ {2,}/g, ' ') : trimmed;
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  if (host !== undefined && values.has('host')) values.set('host', host);
  let lines = '';
  for (const [name, value] of values) lines += `${name}:${value ?? ''}\n`;
  const head = `${method}\n${canonicalPath(path)}\n${canonicalQuery(query)}`;
  return `${head}\n${lines}\n${signed.join(';')}\n${payloadHash}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
