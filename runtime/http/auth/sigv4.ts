/**
 * Verification of AWS Signature Version 4, in the Authorization header or in the query of a presigned URL.
 *
 * The claim of a request is read before (`sigv4.ts`); here it is proven, with the body. Texts and codes are those of
 * AWS, so that SDKs show their users what they know.
 *
 * Any region that AWS has is taken, because one server may be reached by clients configured for several; which queues
 * that means is told in `region.ts`. The body is
 * always part of the signature: `UNSIGNED-PAYLOAD` is a word of S3 alone, and SQS answers SignatureDoesNotMatch to it.
 *
 * @module
 */
import { createHash, createHmac, hash, timingSafeEqual } from 'node:crypto';
import { echo, SqsError } from '../../sqs/errors.ts';
import { isJson } from '../../sqs/request.ts';
import { canonicalRequest, queryPairs, type RequestParts } from './canonical.ts';

/**
 * How far the clock of a caller may be off, either way: what SQS says when it refuses one
 * (`(20160106T212834Z - 15 min.)`).
 */
const SKEW_MINUTES = 15;
const SKEW_MS = SKEW_MINUTES * 60_000;

/** A request with the ways in which its signer may have seen it: as received, or by the public address of a proxy. */
export interface SignedRequest extends Omit<RequestParts, 'path'> {
  readonly body: Uint8Array;
  /** SHA-256 of the body, hex, where it is known; then `body` is not looked at. */
  readonly bodyHash?: string | undefined;
  /** The first that fits is taken; at least one. */
  readonly views: readonly { readonly path: string; readonly host?: string }[];
}

/** Proves claims with the secrets of known keys. */
export class SignatureVerifier {
  readonly #service: string;
  readonly #now: () => number;
  readonly #regions: ReadonlySet<string>;
  /** Signing keys by `key id/date/region`; a key is good for a day, so the oldest entry is the one to drop. */
  readonly #signingKeys = new Map<string, { readonly secret: string; readonly key: HmacKey }>();

  /**
   * `service`: of the credential scope, `sqs`. `now`: wall clock, milliseconds since the epoch. `regions`: those of
   * the server.
   */
  constructor(service: string, now: () => number, regions: ReadonlySet<string> = new Set()) {
    this.#service = service;
    this.#now = now;
    this.#regions = regions;
  }

  /** Errors: `SqsError` if the claim does not hold. */
  verify(claim: SignatureClaim, secret: string, request: SignedRequest): void {
    if (!this.fits(claim, secret, request)) throw signatureDoesNotMatch();
  }

  /**
   * Whether the signature was made with the secret. Errors: `SqsError` if no signature could hold, because of what else
   * the claim says.
   */
  fits(claim: SignatureClaim, secret: string, request: SignedRequest): boolean {
    if (claim.service !== this.#service) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Credential should be scoped to correct service: '${this.#service}'. `,
      );
    }
    if (!isRegion(claim.region, this.#regions)) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Credential should be scoped to a valid region, not '${echo(claim.region)}'. `,
      );
    }
    this.#checkTime(claim);
    const payloadHash = request.bodyHash ?? hash('sha256', request.body, 'hex');
    const key = this.#signingKey(claim, secret);
    const given = Buffer.from(claim.signature, 'latin1');
    return request.views.some(({ path, host }) => {
      const { method, query, rawHeaders } = request;
      const canonical = canonicalRequest({ method, path, query, rawHeaders }, claim.signedHeaders, payloadHash, host);
      const digest = hash('sha256', Buffer.from(canonical, 'latin1'), 'hex');
      const stringToSign = `${ALGORITHM}\n${claim.timestamp}\n${claim.scope}\n${digest}`;
      const expected = Buffer.from(key.sign(stringToSign), 'latin1');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
  }

  #checkTime(claim: SignatureClaim): void {
    const { signedAt } = claim;
    const now = this.#now();
    if (signedAt > now + SKEW_MS) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Signature not yet current: ${claim.timestamp} is still later than ${formatBasicIso(now + SKEW_MS)} (${formatBasicIso(now)} + ${SKEW_MINUTES} min.)`,
      );
    }
    const lifeMs = claim.expiresSeconds === undefined ? SKEW_MS : claim.expiresSeconds * 1000;
    if (signedAt < now - lifeMs) {
      const life = claim.expiresSeconds === undefined ? `${SKEW_MINUTES} min.` : `${claim.expiresSeconds} sec.`;
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Signature expired: ${claim.timestamp} is now earlier than ${formatBasicIso(now - lifeMs)} (${formatBasicIso(now)} - ${life})`,
      );
    }
  }

  #signingKey(claim: SignatureClaim, secret: string): HmacKey {
    const name = `${claim.accessKeyId}/${claim.scopeDate}/${claim.region}`;
    const cached = this.#signingKeys.get(name);
    if (cached?.secret === secret) return cached.key;
    const derived = [claim.region, claim.service, TERMINATOR].reduce(hmac, hmac(`AWS4${secret}`, claim.scopeDate));
    const key = new HmacKey(derived);
    this.#signingKeys.set(name, { secret, key });
    if (this.#signingKeys.size > SIGNING_KEYS) {
      for (const oldest of this.#signingKeys.keys()) {
        this.#signingKeys.delete(oldest);
        break;
      }
    }
    return key;
  }
}

/** What AWS says of a signature that is not the one of the request. */
export function signatureDoesNotMatch(): SqsError {
  return new SqsError(
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  );
}

/**
 * The hash of its body that a request says it signed, SHA-256 in hex; `undefined`: the body must be hashed. Where the
 * signature fits this one, it fits no other body.
 */
export function claimedBodyHash(rawHeaders: readonly string[]): string | undefined {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if ((rawHeaders[i] ?? '').toLowerCase() !== BODY_HASH_HEADER) continue;
    const value = rawHeaders[i + 1] ?? '';
    return SHA_256.test(value) ? value : undefined;
  }
  return undefined;
}

const BODY_HASH_HEADER = 'x-amz-content-sha256';
const SHA_256 = /^[0-9a-f]{64}$/;

/*
 * The regions of AWS, for the credential scope. A region newer than this list is accepted once a server of that region
 * asks for it.
 *
 * Source: AWS General Reference, "Amazon SQS endpoints and quotas", and the partitions of the AWS SDKs.
 */

const REGIONS: ReadonlySet<string> = new Set(
  `af-south-1 ap-east-1 ap-east-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3
  ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ca-central-1 ca-west-1 eu-central-1 eu-central-2 eu-north-1 eu-south-1 eu-south-2
  eu-west-1 eu-west-2 eu-west-3 il-central-1 me-central-1 me-south-1 mx-central-1 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
  cn-north-1 cn-northwest-1 us-gov-east-1 us-gov-west-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 us-isob-west-1 eu-isoe-west-1 us-isof-east-1
  us-isof-south-1 eusc-de-east-1`.split(/\s+/),
);

/** Whether AWS has a region of this name; `own` are those that the server was started for. */
function isRegion(name: string, own: ReadonlySet<string>): boolean {
  return own.has(name) || REGIONS.has(name);
}

/** Names of regions come from callers, so the cache must be bounded. */
const SIGNING_KEYS = 200;

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** Bytes that SHA-256 takes at a time, by which HMAC lengthens its key. */
const BLOCK = 64;

/**
 * A key of HMAC with SHA-256 that signs many texts (RFC 2104): the hash of the outer key and the hash of the inner key
 * and the text. `createHmac` makes an object of OpenSSL for each text, which cost a tenth of a signed send.
 */
export class HmacKey {
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  /** `key`: at most 64 bytes. */
  constructor(key: Buffer) {
    if (key.length > BLOCK) throw new RangeError(`a key of HMAC has at most ${BLOCK} bytes here, not ${key.length}`);
    const whole = Buffer.alloc(BLOCK);
    key.copy(whole);
    this.#inner = Buffer.from(whole.map((byte) => byte ^ 0x36));
    this.#outer = Buffer.from(whole.map((byte) => byte ^ 0x5c));
  }

  /** The signature in hex. `text`: each character is one byte. */
  sign(text: string): string {
    const inner = Buffer.allocUnsafe(BLOCK + text.length);
    this.#inner.copy(inner);
    inner.write(text, BLOCK, 'latin1');
    const outer = Buffer.allocUnsafe(BLOCK + 32);
    this.#outer.copy(outer);
    outer.write(hash('sha256', inner, 'hex'), BLOCK, 'hex');
    return hash('sha256', outer, 'hex');
  }
}

/*
 * What a request says about its own signature: which key, when, which headers. Read from its head, before any body is.
 *
 * Codes and texts of what is refused are those of AWS, so that SDKs show their users what they know.
 */

const ALGORITHM = 'AWS4-HMAC-SHA256';
const TERMINATOR = 'aws4_request';
/** The longest life of a presigned URL: seven days. */
const LONGEST_EXPIRES_SECONDS = 604_800;

/** What a request says about its own signature; nothing of it is proven yet. */
export interface SignatureClaim {
  readonly accessKeyId: string;
  /** `date/region/service/aws4_request`. */
  readonly scope: string;
  readonly scopeDate: string;
  readonly region: string;
  readonly service: string;
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly timestamp: string;
  /** The same, milliseconds since the epoch. */
  readonly signedAt: number;
  /** As listed; names that are not in lower case match no header. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** Presigned URLs: how long they hold, seconds. */
  readonly expiresSeconds?: number;
}

/** Reads the claim of a request; `undefined`: it is not signed. Errors: `SqsError` if it is signed, but not in full. */
export function readClaim(parts: Pick<RequestParts, 'query' | 'rawHeaders'>): SignatureClaim | undefined {
  const headers = claimHeaders(parts.rawHeaders);
  const { authorization } = headers;
  if (authorization?.startsWith('AWS4-')) return readHeaderClaim(headers, authorization);
  if (parts.query.includes('X-Amz-Signature') || parts.query.includes('X-Amz-Credential'))
    return readPresignedClaim(headers, parts.query);
  return undefined;
}

function readHeaderClaim(headers: ClaimHeaders, authorization: string): SignatureClaim {
  const space = authorization.indexOf(' ');
  const algorithm = space < 0 ? authorization : authorization.slice(0, space);
  if (algorithm !== ALGORITHM)
    throw new SqsError('IncompleteSignature', `Unsupported AWS 'algorithm': '${echo(algorithm)}'.`);
  let [credential, signature, signedHeaders]: (string | undefined)[] = [];
  for (const part of space < 0 ? [] : authorization.slice(space + 1).split(',')) {
    const field = part.replace(/^ +/, '');
    const equals = field.indexOf('=');
    if (equals < 0) {
      throw new SqsError(
        'IncompleteSignature',
        `Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '${fingerprint(authorization)}'.`,
      );
    }
    const name = field.slice(0, equals);
    if (name === 'Credential') credential = field.slice(equals + 1);
    else if (name === 'Signature') signature = field.slice(equals + 1);
    else if (name === 'SignedHeaders') signedHeaders = field.slice(equals + 1);
  }
  const date = headers.amzDate ?? headers.date;
  if (!credential || !signature || !signedHeaders || !date) {
    const missing = [
      credential ? '' : "Authorization header requires 'Credential' parameter. ",
      signature ? '' : "Authorization header requires 'Signature' parameter. ",
      signedHeaders ? '' : "Authorization header requires 'SignedHeaders' parameter. ",
      date ? '' : "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ",
    ].join('');
    throw new SqsError(
      'IncompleteSignature',
      `${missing}(Hashed with SHA-256 and encoded with Base64) Authorization=${fingerprint(authorization)}`,
    );
  }
  return claimOf(headers, { credential, signature, signedHeaders, date });
}

function readPresignedClaim(headers: ClaimHeaders, query: string): SignatureClaim {
  const fields = new Map(queryPairs(query));
  const algorithm = fields.get('X-Amz-Algorithm');
  if (algorithm !== undefined && algorithm !== ALGORITHM) {
    throw new SqsError('IncompleteSignature', `Unsupported AWS 'algorithm': '${echo(algorithm)}'.`);
  }
  const names = [
    'X-Amz-Algorithm',
    'X-Amz-Credential',
    'X-Amz-Signature',
    'X-Amz-SignedHeaders',
    'X-Amz-Date',
    'X-Amz-Expires',
  ];
  const [, credential, signature, signedHeaders, date, expires] = names.map((name) => fields.get(name));
  if (!algorithm || !credential || !signature || !signedHeaders || !date || !expires) {
    const missing = names
      .filter((name) => !fields.get(name))
      .map((name) => `AWS query-string parameters must include '${name}'. `);
    throw new SqsError('IncompleteSignature', `${missing.join('')}Re-examine the query-string parameters.`);
  }
  const expiresSeconds = /^\d{1,6}$/.test(expires) ? Number(expires) : 0;
  if (expiresSeconds < 1 || expiresSeconds > LONGEST_EXPIRES_SECONDS) {
    throw new SqsError(
      'IncompleteSignature',
      `X-Amz-Expires must be between 1 and ${LONGEST_EXPIRES_SECONDS} seconds.`,
    );
  }
  return { ...claimOf(headers, { credential, signature, signedHeaders, date }), expiresSeconds };
}

interface Fields {
  readonly credential: string;
  readonly signature: string;
  readonly signedHeaders: string;
  readonly date: string;
}

function claimOf(headers: ClaimHeaders, fields: Fields): SignatureClaim {
  const elements = fields.credential.split('/');
  const [accessKeyId, scopeDate, region, service, terminator] = elements;
  if (
    elements.length !== 5 ||
    !accessKeyId ||
    scopeDate === undefined ||
    region === undefined ||
    service === undefined
  ) {
    throw new SqsError(
      'IncompleteSignature',
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${echo(fields.credential)}'`,
    );
  }
  if (terminator !== TERMINATOR) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      `Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${echo(terminator ?? '')}'.`,
    );
  }
  const direct = parseBasicIso(fields.date);
  const timestamp = Number.isNaN(direct) ? basicIso(fields.date) : fields.date;
  if (timestamp === undefined) {
    throw new SqsError(
      'IncompleteSignature',
      `Date must be in ISO-8601 'basic format'. Got '${echo(fields.date)}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    );
  }
  if (timestamp.slice(0, 8) !== scopeDate) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${echo(scopeDate)}' != '${timestamp.slice(0, 8)}', from '${timestamp}'.`,
    );
  }
  const listed = fields.signedHeaders.split(';');
  const signedHeaders = new Set(listed);
  // A long value under a name that is listed a thousand times would make a canonical request a thousand times as long
  // as the request.
  if (signedHeaders.size < listed.length) {
    throw new SqsError('IncompleteSignature', "A header is listed twice in the 'SignedHeaders' of the signature.");
  }
  if (!signedHeaders.has('host') && !signedHeaders.has(':authority')) {
    throw new SqsError(
      'SignatureDoesNotMatch',
      "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
    );
  }
  // The action of a JSON request stands in this header: unsigned, it would turn a signed SendMessage body into
  // anything.
  if (headers.target !== undefined && !signedHeaders.has('x-amz-target')) {
    throw new SqsError('SignatureDoesNotMatch', "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.");
  }
  // AWS wants Content-Type signed where there is one, but the SDK for JavaScript v2 never did it and is let in. So it
  // may be left out only where another value would change nothing: with a target the body is JSON, and must not be read
  // as a form.
  const { contentType } = headers;
  const isSigned = contentType === undefined || signedHeaders.has('content-type');
  if (!isSigned && signedHeaders.has('x-amz-target') && !isJson(contentType)) {
    throw new SqsError('SignatureDoesNotMatch', "'Content-Type' must be a 'SignedHeader' in the AWS Authorization.");
  }
  return {
    accessKeyId,
    scope: fields.credential.slice(accessKeyId.length + 1),
    scopeDate,
    region,
    service,
    timestamp,
    signedAt: Number.isNaN(direct) ? parseBasicIso(timestamp) : direct,
    signedHeaders: listed,
    signature: fields.signature,
  };
}

/** Lets an operator recognise a header in a report without repeating what it holds. */
function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

/** The headers that a claim is read from; of a name that is repeated, the first. */
interface ClaimHeaders {
  authorization: string | undefined;
  amzDate: string | undefined;
  date: string | undefined;
  target: string | undefined;
  contentType: string | undefined;
}

function claimHeaders(rawHeaders: readonly string[]): ClaimHeaders {
  const found: ClaimHeaders = {
    authorization: undefined,
    amzDate: undefined,
    date: undefined,
    target: undefined,
    contentType: undefined,
  };
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    if (name === 'authorization') found.authorization ??= rawHeaders[i + 1];
    else if (name === 'x-amz-date') found.amzDate ??= rawHeaders[i + 1];
    else if (name === 'date') found.date ??= rawHeaders[i + 1];
    else if (name === 'x-amz-target') found.target ??= rawHeaders[i + 1];
    else if (name === 'content-type') found.contentType ??= rawHeaders[i + 1];
  }
  return found;
}

/*
 * Moments as Signature Version 4 writes them: `YYYYMMDDTHHMMSSZ`.
 */

const BASIC_ISO = /^\d{8}T\d{6}Z$/;

/** A `Date` header in the form of RFC 9110 as `YYYYMMDDTHHMMSSZ`. */
function basicIso(text: string): string | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) || !text.endsWith('GMT') ? undefined : formatBasicIso(time);
}

/** Milliseconds since the epoch; NaN for anything else. */
function parseBasicIso(text: string): number {
  if (!BASIC_ISO.test(text)) return Number.NaN;
  // Every signed request has one: cutting is three times as fast as a replacement.
  const [year, month, dayAndHour] = [text.slice(0, 4), text.slice(4, 6), text.slice(6, 11)];
  return Date.parse(`${year}-${month}-${dayAndHour}:${text.slice(11, 13)}:${text.slice(13)}`);
}

/** `time`: milliseconds since the epoch. */
function formatBasicIso(time: number): string {
  return new Date(time).toISOString().replace(/[-:]|\.\d{3}/g, '');
}
