/**
 * Function URLs: an HTTP request becomes an event of payload format 2.0, and what the function returns becomes the
 * response.
 *
 * Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
 *
 * @module
 */
import { eventOf, type Landing } from './http/event.ts';
import { readResponse } from './http/response.ts';
import type { JsonObject } from './template/model.ts';

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

const LANDING: Landing = {
  kind: 'url',
  apiId: 'local',
  account: '',
  stage: '$default',
  method: 'ANY',
  route: '$default',
  pathParameters: {},
  payload: '2.0',
};

/** The event of a call. */
export function urlEvent({ request, path, body, requestId, now, sourceIp }: UrlCall): JsonObject {
  const url = new URL(request.url);
  const query = url.search.replace(/^\?/, '');
  const headers = [...request.headers];
  return eventOf(
    { method: request.method, path, query, headers, body, host: url.host, sourceIp, requestId, now },
    LANDING,
  );
}

/**
 * The response that the payload of a successful invocation stands for: a structured one, or any JSON value as it is.
 */
export function urlResponse(payload: Uint8Array): Response {
  const reading = readResponse(payload, LANDING);
  if ('wrong' in reading) return badGateway();
  const { status, body } = reading.answer;
  const headers = new Headers();
  for (const [name, value] of reading.answer.headers) headers.append(name, value);
  return new Response(body.length === 0 ? null : new Uint8Array(Buffer.from(body)), { status, headers });
}

/** What a function URL answers when its function failed. */
export function badGateway(): Response {
  return new Response('Internal Server Error', { status: 502, headers: { 'content-type': 'application/json' } });
}
