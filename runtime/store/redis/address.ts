/**
 * Where Redis is, read from URLs.
 *
 * @module
 */

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly username?: string;
  readonly password?: string;
  /** 0 unless the path of the URL or its parameter `db` names another. A cluster has no other. */
  readonly database: number;
}

const FORM =
  'redis://[user:password@]host[:port][/database] (or ?db=database), or rediss:// for TLS; in user and password a character such as / # @ % is written %2F %23 %40 %25';

/**
 * Reads `redis://` and `rediss://` URLs. Errors, all at once and never with a credential in them: `RangeError`.
 */
export function parseRedisUrls(urls: readonly string[]): readonly [RedisAddress, ...RedisAddress[]] {
  const problems: string[] = [];
  const addresses: RedisAddress[] = [];
  for (const [index, text] of urls.entries()) {
    const address = parse(text);
    if (address === undefined) problems.push(`URL ${index + 1} of Redis is not of the form ${FORM}`);
    else addresses.push(address);
  }
  const [first, ...others] = addresses;
  if (first === undefined) {
    throw new RangeError(problems.length > 0 ? problems.join('; ') : `no URL of Redis is given (${FORM})`);
  }
  if (urls.length > 1 && addresses.some(({ database }) => database !== 0)) {
    problems.push('several URLs mean a cluster, and a cluster has no database but 0');
  }
  if (problems.length > 0) throw new RangeError(problems.join('; '));
  return [first, ...others];
}

/** The address for people: without credentials. */
export function displayAddress({ tls, host, port }: RedisAddress): string {
  return `${tls ? 'rediss' : 'redis'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function parse(text: string): RedisAddress | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') return undefined;
  if (url.hostname === '' || !/^\/?\d{0,3}$/.test(url.pathname)) return undefined;
  const database = databaseOf(url);
  if (database === undefined) return undefined;
  const [username, password] = [decoded(url.username), decoded(url.password)];
  if (username === undefined || password === undefined) return undefined;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    tls: url.protocol === 'rediss:',
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    database,
  };
}

/** The number in the path or in `db`, as other clients write it; `undefined`: neither is one, or they differ, and the wrong one may be that of another stage. */
function databaseOf(url: URL): number | undefined {
  const named = [url.pathname.slice(1), ...url.searchParams.getAll('db')].filter((text) => text !== '');
  const [first = '0', ...others] = named;
  return /^\d{1,3}$/.test(first) && others.every((other) => other === first) ? Number(first) : undefined;
}

/** `undefined`: a percent sign stands for itself, so nobody knows what the others stand for. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}
