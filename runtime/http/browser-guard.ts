/**
 * Protects an open server (loopback, any credential accepted) from the browser of the person who runs it: a page of any site can send requests to 127.0.0.1, and a
 * name of any site can be made to resolve to it.
 *
 * Only browsers send `Origin` and `Sec-Fetch-Site`, so SDKs, command lines and containers are never refused.
 *
 * @module
 */
import type { IncomingHttpHeaders } from 'node:http';

/** Whether the request was made by a page of another site, or by a page that reached this machine under a foreign name. */
export function comesFromForeignPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  const { origin, host = '' } = headers;
  if (site === undefined && origin === undefined) return false;
  if (site === 'cross-site' || site === 'same-site') return true;
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) return true;
  return !isOwnName(host);
}

/** A name that no stranger can own: an address, `localhost` and what is below it. */
function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').toLowerCase();
  return /^\d+(\.\d+){3}$/.test(name) || name.startsWith('[') || name === 'localhost' || name.endsWith('.localhost');
}
