/**
 * Verification of AWS Signature Version 4, in the Authorization header or in the query of a presigned URL.
 *
 * The claim of a request is read before (`signature-claim.ts`); here it is proven, with the body. Texts and codes are those of AWS, so that SDKs show their users
 * what they know.
 *
 * Any region that AWS has is taken, because one server may be reached by clients configured for several. The body is always part of the signature:
 * `UNSIGNED-PAYLOAD` is a word of S3 alone, and SQS answers SignatureDoesNotMatch to it.
 *
 * @module
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { echo, SqsError } from '../../sqs/errors.ts';
import { formatBasicIso, parseBasicIso } from './basic-iso.ts';
import { canonicalRequest, type RequestParts } from './canonical.ts';
import { isRegion } from './regions.ts';
import { ALGORITHM, type SignatureClaim, TERMINATOR } from './signature-claim.ts';

/** How far the clock of a caller may be off, either way: what SQS says when it refuses one (`(20160106T212834Z - 15 min.)`). */
const SKEW_MINUTES = 15;
const SKEW_MS = SKEW_MINUTES * 60_000;

/** A request with the ways in which its signer may have seen it: as received, or by the public address of a proxy. */
export interface SignedRequest extends RequestParts {
  readonly body: Uint8Array;
  /** The first that fits is taken; at least one. */
  readonly views: readonly { readonly path: string; readonly host?: string }[];
}

/** Proves claims with the secrets of known keys. */
export class SignatureVerifier {
  readonly #service: string;
  readonly #now: () => number;
  readonly #region: string | undefined;
  /** Signing keys by `key id/date/region`; a key is good for a day, so the oldest entry is the one to drop. */
  readonly #signingKeys = new Map<string, { readonly secret: string; readonly key: Buffer }>();

  /** `service`: of the credential scope, `sqs`. `now`: wall clock, milliseconds since the epoch. `region`: the one of the server. */
  constructor(service: string, now: () => number, region?: string) {
    this.#service = service;
    this.#now = now;
    this.#region = region;
  }

  /** Errors: `SqsError` if the claim does not hold. */
  verify(claim: SignatureClaim, secret: string, request: SignedRequest): void {
    if (claim.service !== this.#service) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Credential should be scoped to correct service: '${this.#service}'. `,
      );
    }
    if (!isRegion(claim.region, this.#region)) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `Credential should be scoped to a valid region, not '${echo(claim.region)}'. `,
      );
    }
    this.#checkTime(claim);
    const payloadHash = hash('sha256', request.body, 'hex');
    const key = this.#signingKey(claim, secret);
    const given = Buffer.from(claim.signature, 'latin1');
    const fits = request.views.some(({ path, host }) => {
      const canonical = canonicalRequest({ ...request, path }, claim.signedHeaders, payloadHash, host);
      const digest = hash('sha256', Buffer.from(canonical, 'latin1'), 'hex');
      const stringToSign = `${ALGORITHM}\n${claim.timestamp}\n${claim.scope}\n${digest}`;
      const expected = Buffer.from(createHmac('sha256', key).update(stringToSign, 'latin1').digest('hex'), 'latin1');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
    if (!fits) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
      );
    }
  }

  #checkTime(claim: SignatureClaim): void {
    const signedAt = parseBasicIso(claim.timestamp);
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

  #signingKey(claim: SignatureClaim, secret: string): Buffer {
    const name = `${claim.accessKeyId}/${claim.scopeDate}/${claim.region}`;
    const cached = this.#signingKeys.get(name);
    if (cached?.secret === secret) return cached.key;
    const key = [claim.region, claim.service, TERMINATOR].reduce(
      (derived, part) => hmac(derived, part),
      hmac(`AWS4${secret}`, claim.scopeDate),
    );
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

/** Names of regions come from callers, so the cache must be bounded. */
const SIGNING_KEYS = 200;

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}
