/**
 * SNS as this server reaches it: the certificates that it signs with, and the pages that confirm a subscription.
 *
 * The addresses stand in messages, so whoever may send can write them. What keeps a request from being steered
 * elsewhere, in this order:
 *
 *   1. The address (`snsUrl`): https, no user, no port, a host that only SNS has, no query where none belongs. What a
 *      URL parser makes of the text is what is looked at and what is asked, so no spelling can mean two things.
 *   2. The name (`publicLookup`): every address that it resolves to is a public one. Whoever rules the name server of
 *      this machine still cannot lead it to itself.
 *   3. TLS with the authorities of Node, by the name of the host.
 *   4. The answer: no redirect is followed, its size and time are bounded, and one connection serves one request.
 *
 * Where the operator names another endpoint for SNS (`AWS_ENDPOINT_URL_SNS`, for an emulator or an endpoint inside a
 * VPC), every request goes there instead.
 *
 * @module
 */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { lookup as systemLookup } from 'node:dns';
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIPv6, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import type { Time } from '../../time.ts';
import { DeliveryRefusal } from './refusal.ts';

/** What a GET brought. */
export interface Fetched {
  readonly status: number;
  readonly body: Buffer;
}

/** The way out. */
export interface SnsConnector {
  /**
   * GETs a URL that was checked; at most `mostBytes` of the answer. Errors: any, if there is no whole answer in time.
   */
  get(url: URL, mostBytes: number): Promise<Fetched>;
}

export interface ConnectorParts {
  readonly time: Pick<Time, 'after'>;
  /** Where all requests go instead. */
  readonly endpoint?: URL;
  /** How names are resolved; default: as the system does. */
  readonly lookup?: LookupFunction;
}

/** SNS wants its answer within 15 s, and up to three requests may precede it. */
const PATIENCE_MS = 4_000;

/** The connector of a server. */
export function createConnector({ time, endpoint, lookup = systemLookup }: ConnectorParts): SnsConnector {
  return {
    get: (url, mostBytes) =>
      new Promise((resolve, reject) => {
        const to = endpoint === undefined ? url : new URL(`${url.pathname}${url.search}`, endpoint);
        const options: RequestOptions = {
          agent: false,
          // Emulators and proxies that serve all of AWS at one port may tell its services apart by the name.
          headers: { Accept: '*/*', ...(to.protocol === 'http:' ? { Host: url.host } : {}) },
          ...(endpoint === undefined ? { lookup: publicLookup(lookup) } : {}),
        };
        const request = (to.protocol === 'http:' ? httpRequest : httpsRequest)(to, options, (response) => {
          const chunks: Buffer[] = [];
          let length = 0;
          response.on('data', (chunk: Buffer) => {
            length += chunk.length;
            if (length > mostBytes) request.destroy(new Error(`the answer is larger than ${mostBytes} bytes`));
            else chunks.push(chunk);
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
          response.on('error', reject);
        });
        const cancel = time.after(PATIENCE_MS, () => request.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
        request.on('close', cancel).on('error', reject).end();
      }),
  };
}

/**
 * Addresses that are not public: of this machine, of private networks, of links, of groups, reserved ones. Source: the
 * special-purpose registries of IANA. Two lists, because a list of both takes every IPv4 address for one of
 * `::ffff:0:0/96`.
 */
const NOT_PUBLIC = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [network, bits] of [
  ...([
    ['0.0.0.0', 8],
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
  ] as const),
  ...([
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['224.0.0.0', 3],
  ] as const),
] as const) {
  NOT_PUBLIC.ipv4.addSubnet(network, bits, 'ipv4');
}
for (const [network, bits] of [
  ...([
    ['::', 96],
    ['::ffff:0:0', 96],
    ['64:ff9b:1::', 48],
    ['fc00::', 7],
    ['fe80::', 10],
    ['ff00::', 8],
  ] as const),
] as const) {
  NOT_PUBLIC.ipv6.addSubnet(network, bits, 'ipv6');
}

/** Resolves names to public addresses only. */
export function publicLookup(lookup: LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      // With `all` the answer is a list; the type of the callback covers both ways to ask.
      const addresses = typeof found === 'string' ? [{ address: found, family: isIPv6(found) ? 6 : 4 }] : found;
      const [first] = addresses ?? [];
      if (error !== null || first === undefined) return callback(error ?? new Error(`${hostname} has no address`), '');
      const inside = addresses.find(({ address }) => {
        const family = isIPv6(address) ? 'ipv6' : 'ipv4';
        return NOT_PUBLIC[family].check(address, family);
      });
      if (inside !== undefined) {
        return callback(new Error(`${hostname} resolves to ${inside.address}, which is not a public address`), '');
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** `sns.<region>.<suffix of its partition>`. Source: AWS SDK for Java, `SnsHostProvider`. */
const SUFFIXES = [
  'amazonaws.com',
  'amazonaws.com.cn',
  'amazonaws.eu',
  'c2s.ic.gov',
  'sc2s.sgov.gov',
  'csp.hci.ic.gov',
  'cloud.adc-e.uk',
];
const HOST = new RegExp(
  `^sns\\.(?<region>[a-z]{2,8}(?:-[a-z0-9]{1,12}){1,4})\\.(?<suffix>${SUFFIXES.join('|').replaceAll('.', '\\.')})$`,
);
const CERTIFICATE_FILE = /\/SimpleNotificationService-[0-9A-Za-z]{1,128}\.pem$/;

/**
 * A URL of SNS that stands in a message. `endpoint`: the one that the operator named, whose own URLs are as good.
 * Errors: `DeliveryRefusal` 403.
 */
export function snsUrl(text: string, what: 'SigningCertURL' | 'SubscribeURL', endpoint?: URL): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isOfEndpoint = endpoint !== undefined && url?.origin === endpoint.origin;
  const isOfSns = url?.protocol === 'https:' && url.port === '' && HOST.test(url.hostname);
  const isPlain = url?.username === '' && url.password === '' && url.hash === '';
  if (url === undefined || !isPlain || !(isOfSns || isOfEndpoint)) {
    throw new DeliveryRefusal(
      403,
      'NotFromSns',
      `The ${what} ${shown(text)} is none of SNS: it must begin with https://sns.<region>.amazonaws.com/.`,
    );
  }
  const isAtRoot = isOfEndpoint || url.pathname.lastIndexOf('/') === 0;
  const isWhole =
    what === 'SubscribeURL' ? url.pathname === '/' : CERTIFICATE_FILE.test(url.pathname) && url.search === '';
  if (!isAtRoot || !(isWhole || (isOfEndpoint && what === 'SubscribeURL'))) {
    throw new DeliveryRefusal(403, 'NotFromSns', `The ${what} ${shown(text)} has a path that SNS does not use.`);
  }
  return url;
}

/**
 * Names that the certificates of a region are made for. Source: AWS SDK for Java, `SnsHostProvider`, which lists them
 * by region.
 */
function certificateNames(host: string): readonly string[] {
  const { region = '', suffix = '' } = HOST.exec(host)?.groups ?? {};
  return [
    'sns.amazonaws.com',
    `sns.${region}.${suffix}`,
    `sns-signing.${region}.${suffix}`,
    `sns-${region}.${suffix}`,
    ...(region.startsWith('us-gov-') ? ['sns-us-gov-west-1.amazonaws.com'] : []),
  ];
}

export interface CertificatesParts {
  readonly connector: SnsConnector;
  readonly endpoint?: URL;
  /** PEM of the authorities that are trusted; default: those of Node. */
  readonly roots?: readonly string[];
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
}

export interface Certificates {
  /**
   * The public key of the certificate at an address. Errors: `DeliveryRefusal`: 403 if it is not one of SNS that holds
   * now, 503 if it cannot be had.
   */
  keyAt(address: string): Promise<KeyObject>;
}

/** SNS has one or two for each region at a time. */
const KEPT = 32;
/** Whoever may send can name files that are not there; each costs a request. */
const FETCHES_AT_ONCE = 4;
const FAILURE_KEPT_MS = 5_000;
const FILE_BYTES = 65_536;
const LONGEST_CHAIN = 5;
const SMALLEST_KEY_BITS = 2_048;

interface Kept {
  readonly key: Promise<KeyObject>;
  /** Until when it is used, ms since the epoch. */
  until: number;
}

/**
 * Fetches certificates and keeps them. One address is asked for once, however many messages wait for it; a failure is
 * remembered for a moment.
 *
 * A certificate is one of SNS if it was made for a name of SNS, holds now, and leads to an authority that Node trusts.
 * Issuers come from the same file, else from where the certificate says (`amazontrust.com`, `digicert.com`). Where the
 * operator named the endpoint, the file at this endpoint is trusted for itself: emulators have no certificate of an
 * authority.
 */
export function createCertificates(parts: CertificatesParts): Certificates {
  const { connector, endpoint, now } = parts;
  const kept = new Map<string, Kept>();
  let fetching = 0;

  const fetchCertificate = async (url: URL): Promise<{ readonly key: KeyObject; readonly until: number }> => {
    const { status, body } = await connector.get(url, FILE_BYTES);
    if (status !== 200) throw new Error(`the answer was ${status}`);
    const [certificate, ...others] = readCertificates(body);
    if (certificate === undefined) throw foreign(url, 'the file holds no certificate');
    checkDates(certificate, url, now());
    const key = certificate.publicKey;
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType !== 'rsa' || bits < SMALLEST_KEY_BITS)
      throw foreign(url, 'its key is not RSA of 2,048 bits');
    if (endpoint === undefined) {
      const isNamed = certificateNames(url.hostname).some((name) => certificate.checkHost(name) !== undefined);
      if (!isNamed) throw foreign(url, 'it was made for another name');
      await checkChain(certificate, others, url);
    }
    return { key, until: Date.parse(certificate.validTo) };
  };

  const checkChain = async (first: X509Certificate, others: readonly X509Certificate[], url: URL): Promise<void> => {
    const roots = (parts.roots ?? rootCertificates).map((pem) => new X509Certificate(pem));
    let certificate = first;
    for (let length = 1; length <= LONGEST_CHAIN; length += 1) {
      const root = issuerAmong(roots, certificate);
      if (root !== undefined) return checkDates(root, url, now());
      const issuer = issuerAmong(others, certificate) ?? (await fetchIssuer(certificate));
      if (issuer === undefined) break;
      checkDates(issuer, url, now());
      certificate = issuer;
    }
    throw foreign(url, 'it leads to no authority that is trusted');
  };

  const fetchIssuer = async (certificate: X509Certificate): Promise<X509Certificate | undefined> => {
    const address = /^CA Issuers - URI:(\S+)$/m.exec(certificate.infoAccess ?? '')?.[1] ?? '';
    const url = URL.canParse(address) ? new URL(address) : undefined;
    // A file at SNS's own host names it; still, only two authorities are ever asked.
    if (url === undefined || !/^https?:$/.test(url.protocol) || url.port !== '' || url.username !== '')
      return undefined;
    if (!/\.(?:amazontrust|digicert)\.com$/.test(url.hostname)) return undefined;
    const { status, body } = await connector.get(url, FILE_BYTES);
    if (status !== 200) throw new Error(`${url.host} answered ${status} for the issuer`);
    return issuerAmong([new X509Certificate(body)], certificate);
  };

  const fetchAndKeep = (address: string, url: URL): Promise<KeyObject> => {
    if (fetching >= FETCHES_AT_ONCE) throw unavailable(url, 'too many certificates are being fetched');
    fetching += 1;
    const entry: Kept = {
      until: Number.POSITIVE_INFINITY,
      key: fetchCertificate(url)
        .then(
          ({ key, until }) => {
            entry.until = until;
            return key;
          },
          (error: unknown) => {
            entry.until = now() + FAILURE_KEPT_MS;
            if (error instanceof DeliveryRefusal) throw error;
            throw unavailable(url, error instanceof Error ? error.message : String(error), error);
          },
        )
        .finally(() => {
          fetching -= 1;
        }),
    };
    kept.set(address, entry);
    for (const oldest of kept.keys()) {
      if (kept.size <= KEPT) break;
      kept.delete(oldest);
    }
    return entry.key;
  };

  return {
    keyAt: async (address) => {
      const entry = kept.get(address);
      if (entry !== undefined && now() < entry.until) {
        // Kept in the order of their use, so that what nobody uses goes first.
        kept.delete(address);
        kept.set(address, entry);
        return entry.key;
      }
      return fetchAndKeep(address, snsUrl(address, 'SigningCertURL', endpoint));
    },
  };
}

const PEM = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

function readCertificates(file: Buffer): readonly X509Certificate[] {
  try {
    return (file.toString('latin1').match(PEM) ?? []).slice(0, LONGEST_CHAIN).map((pem) => new X509Certificate(pem));
  } catch {
    return [];
  }
}

/** The certificate of an authority that issued this one, proven by its key. */
function issuerAmong(candidates: readonly X509Certificate[], issued: X509Certificate): X509Certificate | undefined {
  return candidates.find((one) => one.ca && issued.checkIssued(one) && issued.verify(one.publicKey));
}

function checkDates(certificate: X509Certificate, url: URL, at: number): void {
  if (at < Date.parse(certificate.validFrom)) throw foreign(url, `it holds only from ${certificate.validFrom}`);
  if (at >= Date.parse(certificate.validTo)) throw foreign(url, `it ended on ${certificate.validTo}`);
}

function foreign(url: URL, why: string): DeliveryRefusal {
  return new DeliveryRefusal(403, 'WrongCertificate', `The certificate at ${shown(url.href)} is not accepted: ${why}.`);
}

function unavailable(url: URL, why: string, cause?: unknown): DeliveryRefusal {
  return new DeliveryRefusal(503, 'SnsUnreachable', `${shown(url.href)} cannot be had from SNS now: ${why}.`, {
    cause,
  });
}

/** A URL without its query, in which a token may stand. */
function shown(address: string): string {
  const [path = ''] = address.split('?', 1);
  return path.length > 200 ? `${path.slice(0, 200)}...` : path;
}
