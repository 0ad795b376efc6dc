/**
 * Where a request goes and where its answer says it came from: base path, capability, public address, address of the
 * client.
 *
 * @module
 */
import { isIP } from 'node:net';
import { splitCapability } from './auth/credentials.ts';

/** The parts of a request target. */
export interface Location {
  /** As received, base path and capability included, percent-encoding untouched: what the caller signed. */
  readonly rawPath: string;
  /** Below the base path, without capability and region; begins with a slash; written in one way (`plainPath`). */
  readonly path: string;
  /** Without its question mark. */
  readonly query: string;
  /** The capability token in the path. */
  readonly token?: string;
  /** That of `/r/<region>`, which is no part of `path`; absent: the path names none. */
  readonly region?: string;
}

/**
 * Takes a request target apart; `undefined`: it is none that this server serves (`*`, `CONNECT` targets, and paths that
 * another reader would take for different ones).
 */
export function locate(target: string, basePath: string): Location | undefined {
  // Proxies may use the absolute form; everybody else sends the path.
  const relative = target.startsWith('/') ? target : /^https?:\/\/[^/?#]+(.*)$/i.exec(target)?.[1];
  if (relative === undefined) return undefined;
  const question = relative.indexOf('?');
  const rawPath = (question < 0 ? relative : relative.slice(0, question)) || '/';
  const query = question < 0 ? '' : relative.slice(question + 1);
  if (!rawPath.startsWith('/')) return undefined;
  const plain = plainPath(rawPath);
  if (plain === undefined) return undefined;
  // A proxy may or may not have taken the base path off.
  const below = withoutBase(plain, basePath);
  const capability = splitCapability(below);
  if (capability === undefined) return { rawPath, query, ...splitRegion(below) };
  const { before, token, rest } = capability;
  // The region may stand on either side of the capability.
  const { region } = splitRegion(before);
  return { rawPath, query, token, ...(region === undefined ? splitRegion(rest) : { path: rest, region }) };
}

/** Segments that lead elsewhere, and characters at which some readers end a path or a segment and others do not. */
const AMBIGUOUS = /\/\.\.?(?=\/|$)|[\\#]/;

/**
 * A path as every part of this server reads it. What decides who may do something looks at the same text as what does
 * it: unreserved characters stand for themselves however they were sent (`%74okens` is `tokens`), and a path with
 * segments `.` or `..`, a backslash or a fragment is none (`undefined`). Clients resolve those before they send.
 *
 * Source: RFC 3986, section 6.2.2
 */
function plainPath(path: string): string | undefined {
  const plain = path.replace(/%[2-7][0-9a-f]/gi, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
    return /[\w.~-]/.test(character) ? character : encoded;
  });
  return AMBIGUOUS.test(plain) ? undefined : plain;
}

/** Whatever stands there is meant for a region: what is none is refused by who knows the regions, not left out. */
const REGION_IN_PATH = /^\/r\/([^/]*)/;

function splitRegion(path: string): Pick<Location, 'path' | 'region'> {
  const [whole = '', region] = REGION_IN_PATH.exec(path) ?? [];
  return region === undefined ? { path } : { path: path.slice(whole.length) || '/', region };
}

function withoutBase(path: string, basePath: string): string {
  if (basePath === '' || !path.startsWith(basePath)) return path;
  const rest = path.slice(basePath.length);
  if (rest === '') return '/';
  return rest.startsWith('/') ? rest : path;
}

/** The address under which callers know this server. */
export interface PublicAddress {
  /** From `KARIN_PUBLIC_URL`: origin and base path, no slash at the end; absent: the Host of each request. */
  readonly url?: string;
  /** Host and port of `url`. */
  readonly host?: string;
  /** Path of `url`: empty, or with a slash at its beginning and none at its end. */
  readonly basePath: string;
}

export function publicAddress(publicUrl: string | undefined): PublicAddress {
  if (publicUrl === undefined) return { basePath: '' };
  const url = new URL(publicUrl);
  return { url: publicUrl, host: url.host, basePath: url.pathname.replace(/\/+$/, '') };
}

/** Names and addresses with a port; whatever else stands in a Host header is not repeated in answers. */
const HOST = /^[A-Za-z0-9._-]+(:\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](:\d{1,5})?$/;

/** What URLs in answers begin with, without a capability. `forwardedProto` counts only behind a trusted proxy. */
export function endpointOf(
  address: PublicAddress,
  host: string | undefined,
  forwardedProto: string | undefined,
  fallbackHost: string,
): string {
  if (address.url !== undefined) return address.url;
  const protocol = forwardedProto === 'https' ? 'https' : 'http';
  return `${protocol}://${host !== undefined && HOST.test(host) ? host : fallbackHost}`;
}

/** How the signer of a request may have seen its address: by the public URL, or as it arrived here. */
export function signerViews(
  address: PublicAddress,
  location: Location,
): readonly { readonly path: string; readonly host?: string }[] {
  const received = { path: location.rawPath };
  if (address.host === undefined) return [received];
  const below = withoutBase(location.rawPath, address.basePath);
  const path = address.basePath === '' ? location.rawPath : `${address.basePath}${below === '/' ? '/' : below}`;
  return [{ path, host: address.host }, received];
}

/** What proxies say of the client. */
export interface Forwarding {
  /** `X-Forwarded-For`, of several headers joined by commas. */
  readonly forwardedFor: string | undefined;
  /** `Fly-Client-IP`; only where the server is a Fly machine, because anybody else can write it. */
  readonly fly?: { readonly clientIp: string | undefined };
}

/**
 * The address of the client. `X-Forwarded-For` grows on the right, one entry for each proxy, so with n trusted proxies
 * the n-th entry from the right is the first that no stranger could have written. Some proxies write the port as well,
 * which changes with every connection and is left out. Where that entry is no address, or there are fewer (the request
 * did not pass them all), the address is that of the connection.
 *
 * Fly adds two entries, the client and the address of the app, and names the client once more in `Fly-Client-IP`. Where
 * another proxy stands before Fly, that header names the proxy, and the client is found by counting.
 *
 * Source: https://fly.io/docs/networking/request-headers/
 */
export function clientAddress(
  remoteAddress: string | undefined,
  { forwardedFor, fly }: Forwarding,
  trustedProxies: number,
): string {
  const connection = remoteAddress ?? 'unknown';
  if (trustedProxies === 0) return connection;
  const said = trustedProxies === 1 ? addressOf(fly?.clientIp) : undefined;
  const place = fly === undefined ? trustedProxies : trustedProxies + 1;
  return said ?? addressOf((forwardedFor ?? '').split(',').at(-place)) ?? connection;
}

/** `192.0.2.1`, `192.0.2.1:4000`, `2001:db8::1`, `[2001:db8::1]:4000` -> the address alone; `undefined`: it is none. */
function addressOf(text: string | undefined): string | undefined {
  const hop = (text ?? '').trim();
  const [, bracketed, plain = hop] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d{1,5})?$/.exec(hop) ?? [];
  const address = bracketed ?? plain;
  return isIP(address) === 0 ? undefined : address;
}

/** A host by which this machine reaches a server that listens on `host`, fit for a URL. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '::' || host === '') return '127.0.0.1';
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
