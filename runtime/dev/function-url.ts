/**
 * Function URLs: an HTTP request becomes an event of payload format 2.0, and what the function returns becomes the
 * response.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 *
 * @module
 */
import { isObject, type JsonObject, objectOr, textOr } from './template/model.ts';

/** What a request has besides its URL and body. */
export interface UrlCall {
  readonly request: Request;
  /** The path below the function's own URL, with a slash at its beginning. */
  readonly path: string;
  readonly body: Uint8Array;
  readonly requestId: string;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly sourceIp: string;
}

const TEXT_TYPE = /^(text\/|application\/(json|xml|javascript|x-www-form-urlencoded|[\w.-]+\+(json|xml)))/i;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The event of a call. */
export function urlEvent({ request, path, body, requestId, now, sourceIp }: UrlCall): JsonObject {
  const url = new URL(request.url);
  const { cookie, ...headers } = Object.fromEntries(request.headers);
  const query = new Map<string, string[]>();
  for (const [name, value] of url.searchParams) query.set(name, [...(query.get(name) ?? []), value]);
  const isText = TEXT_TYPE.test(request.headers.get('content-type') ?? 'text/plain');
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: url.search.replace(/^\?/, ''),
    ...(cookie === undefined ? {} : { cookies: cookie.split('; ') }),
    headers,
    ...(query.size === 0
      ? {}
      : { queryStringParameters: Object.fromEntries([...query].map(([name, values]) => [name, values.join(',')])) }),
    requestContext: {
      accountId: 'anonymous',
      apiId: 'local',
      domainName: url.host,
      domainPrefix: 'local',
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp,
        userAgent: request.headers.get('user-agent') ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: clfTime(new Date(now)),
      timeEpoch: now,
    },
    ...(body.length === 0
      ? { isBase64Encoded: false }
      : { body: Buffer.from(body).toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText }),
  };
}

/**
 * The response that the payload of a successful invocation stands for: a structured one, or any JSON value as it is.
 */
export function urlResponse(payload: Uint8Array): Response {
  const text = Buffer.from(payload).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return new Response(text, { headers: { 'content-type': 'application/json' } });
  }
  if (!isObject(value) || !('statusCode' in value)) {
    const body = typeof value === 'string' ? value : text;
    return new Response(body, { headers: { 'content-type': 'application/json' } });
  }
  const headers = new Headers();
  for (const [name, header] of Object.entries(objectOr(value['headers']))) headers.set(name, String(header));
  if (!headers.has('content-type')) headers.set('content-type', 'application/json');
  const cookies: readonly unknown[] = Array.isArray(value['cookies']) ? value['cookies'] : [];
  for (const cookie of cookies) headers.append('set-cookie', String(cookie));
  const status = Number(value['statusCode']);
  if (!Number.isInteger(status) || status < 200 || status > 599) return badGateway();
  const body = value['body'];
  const encoded =
    typeof body === 'string' || body === undefined || body === null ? textOr(body, '') : JSON.stringify(body);
  const bytes = value['isBase64Encoded'] === true ? Buffer.from(encoded, 'base64') : encoded;
  // These statuses may not have a body at all.
  return new Response(status === 204 || status === 205 || status === 304 ? null : bytes, { status, headers });
}

/** What a function URL answers when its function failed. */
export function badGateway(): Response {
  return new Response('Internal Server Error', { status: 502, headers: { 'content-type': 'application/json' } });
}

/** `12/Mar/2020:19:03:58 +0000` */
function clfTime(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}
