/**
 * Protects an open server (loopback, any credential accepted) from the browser of the person who runs it: a page of any
 * site can send requests to 127.0.0.1, and a name of any site can be made to resolve to it.
 *
 * Two walls. The name: only names that no stranger can own are answered, whoever asks, because after DNS rebinding a
 * page is of the same origin as the server and looks like no stranger at all. The origin: what a page of another site
 * sends is refused. Only browsers send `Origin` and `Sec-Fetch-Site`, so SDKs and command lines are never refused by
 * the second wall.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';

/** A request as far as the guard looks at it. */
export interface GuardedRequest {
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** Pages that only show something and cannot be framed: a link may lead to them from anywhere. */
const LINKED = /^\/(ops|functions)(\/|$)/;

/**
 * Why a server without credentials must not answer; `undefined`: it may. `path`: below the base path. `publicHost`:
 * host and port of the public address, if one is configured. `pageIsNamed`: the operator lets the page that asks in by
 * its very origin, so the second wall is open to it.
 */
export function refusalWithoutCredentials(
  request: GuardedRequest,
  path: string,
  publicHost: string | undefined,
  pageIsNamed = false,
): string | undefined {
  if (!isOwnHost(request.headers.host, publicHost)) {
    return 'this server asks nobody for a credential, so it answers only to localhost, loopback addresses and the host of KARIN_PUBLIC_URL; make a credential to reach it by other names';
  }
  if (pageIsNamed || !comesFromForeignPage(request.headers) || (LINKED.test(path) && isLink(request))) return undefined;
  return 'requests of other web sites are refused, because this server asks nobody for a credential';
}

/** Whether the request was made by a page of another site. */
export function comesFromForeignPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  const { origin, host = '' } = headers;
  if (site === 'cross-site' || site === 'same-site') return true;
  return origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host);
}

/** Whether a person followed a link: the browser shows the answer, and no page can read it. */
export function isLink({ method, headers }: GuardedRequest): boolean {
  return method === 'GET' && headers.origin === undefined && headers['sec-fetch-mode'] === 'navigate';
}

/** Whether a Host header is one that no stranger can own. Only clients of HTTP/1.0 send none, and no browser is one. */
export function isOwnHost(host: string | undefined, publicHost?: string): boolean {
  if (host === undefined) return true;
  const lower = host.toLowerCase();
  if (lower === publicHost?.toLowerCase()) return true;
  const name = lower.replace(/:\d{1,5}$/, '');
  return name === 'localhost' || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}
