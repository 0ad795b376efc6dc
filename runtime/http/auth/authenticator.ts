/**
 * Decides who calls: a capability in the URL, a signature, the admin password, or, on an open server, anybody.
 *
 * A capability wins over a signature, because Lambda functions send both and nobody but AWS can verify theirs.
 *
 * Failed attempts are counted by address. An address that has used them up is told so, but whoever is right always
 * passes: behind a proxy many callers share one address, and one of them must not lock out the others. Attempts at the
 * admin password wait before they come here, and refusals of wrong signatures wait afterwards (`attempt-limit.ts`).
 *
 * @module
 */

import type { Places } from '../../aws/scope.ts';
import { SqsError, type SqsErrorCode } from '../../sqs/errors.ts';
import { EVERY_QUEUE } from '../../sqs/request.ts';
import { authorizationSecret, equalInConstantTime } from './admin.ts';
import type { AttemptLimit } from './attempt-limit.ts';
import { queryPairs, type RequestParts } from './canonical.ts';
import {
  type AccessKey,
  type Capability,
  type Credential,
  type CredentialBook,
  EVERY_GLOB,
  FULL_GRANT,
  type Grant,
  grants,
  hasExpired,
  hashToken,
  homeOf,
} from './credentials.ts';
import { createShares } from './shares.ts';
import { claimedBodyHash, readClaim, type SignatureVerifier, signatureDoesNotMatch } from './sigv4.ts';
import type { TokenStore } from './tokens.ts';

/** A request without its body. */
export interface AuthenticationHead extends Omit<RequestParts, 'path'> {
  /** How the signer may have seen the address; see `SignedRequest`. */
  readonly views: readonly { readonly path: string; readonly host?: string }[];
  /** The capability token in the path or in the QueueUrl. */
  readonly token?: string | undefined;
  readonly authorization?: string | undefined;
  /** Where the request comes from, for the limit on failed attempts. */
  readonly address: string;
  /** What the caller asked for, for the text of a refusal. */
  readonly resource: string;
}

export interface AuthenticationRequest extends AuthenticationHead {
  readonly body: Uint8Array;
  /** Of the body, SHA-256 in hex, where it is known; then `body` is not looked at. */
  readonly bodyHash?: string | undefined;
}

/**
 * Who sends a request, as far as its head tells.
 *
 * `proven`: a caller. With a `bodyHash`: proven by a signature over the head, for the one body that has this hash
 * (SHA-256, hex). `expected`: the body will prove it, and most likely does: the network signed with the same key
 * before, or everybody may call. `claimed`: the signature names a key that this server has, which any stranger can do;
 * the body may prove it.
 */
export type KnownSender = 'proven' | { readonly bodyHash: string } | 'expected' | 'claimed';

/**
 * What the head of a request tells: the credential, if it is proven. `stranger`: nothing, unless a capability stands in
 * the body.
 */
interface HeadVerdict {
  readonly credential?: Credential;
  readonly sender: KnownSender | 'stranger';
}

export interface Authenticator {
  /**
   * Looks at the head alone, before anything of the body is kept. Errors: `SqsError` if the head holds a token or a
   * password that is wrong.
   */
  fromHead(head: AuthenticationHead): HeadVerdict;
  /** Errors: `SqsError`. */
  authenticate(request: AuthenticationRequest): Credential;
  /**
   * How long a refusal must wait before it is answered, because it tells that a guess was wrong; `undefined`: not at
   * all. Resolves early when `gone` is aborted.
   */
  pause(refusal: unknown, gone: () => AbortSignal): Promise<void> | undefined;
  /** Whether anybody may call: a loopback address, and no credential made yet. */
  readonly open: boolean;
}

export interface AuthenticatorParts {
  /** The current one; replaced on SIGHUP. */
  readonly book: { readonly current: CredentialBook };
  readonly places: Pick<Places, 'isHome'>;
  readonly tokens: Pick<TokenStore, 'find'>;
  readonly verifier: SignatureVerifier;
  readonly attempts: Pick<AttemptLimit, 'exhausted' | 'failed' | 'proven' | 'signed' | 'hasSigned' | 'wrongSignature'>;
  /** Told of each credential that is proven. */
  readonly used: (credential: Credential) => void;
  /** Wall clock, milliseconds since the epoch. */
  readonly now: () => number;
  readonly open: () => boolean;
}

export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  const { book, places, tokens, verifier, attempts, used, now } = parts;

  const shareOf = createShares(now);
  const withShare = (credential: Credential, grant: Grant): Credential => {
    const share = shareOf(credential.senderId, grant);
    return share === undefined ? credential : { ...credential, share };
  };

  /** Made once for each capability and key. One that is changed is another object, and its credential goes with it. */
  const credentials = new WeakMap<Capability | AccessKey, Credential>();
  const kept = (holder: Capability | AccessKey, credential: Credential): Credential => {
    const whole = withShare(credential, holder.grant);
    credentials.set(holder, whole);
    return whole;
  };

  /**
   * Hashes of tokens that were let in, because a hash costs as much as the rest of the look-up. Whether the token still
   * holds is looked up each time. The map compares a text only where its seeded hash is the same, which nobody outside
   * can choose, so time tells no more than by the hash itself.
   */
  const hashes = new Map<string, string>();

  /** Whether somebody could do without a credential so far; once it is false it stays so. */
  let mayBeOpen = true;
  const isOpen = (): boolean => {
    mayBeOpen &&= parts.open();
    return mayBeOpen;
  };

  const unknown = () => new SqsError('InvalidClientTokenId', 'The security token included in the request is invalid.');

  const byToken = (token: string): Credential => {
    const hash = hashes.get(token) ?? hashToken(token);
    const capability = book.current.tokens.get(hash) ?? tokens.find(hash);
    if (capability === undefined) {
      hashes.delete(token);
      throw unknown();
    }
    if (capability.expiresAt !== undefined && hasExpired(capability, now())) {
      throw new SqsError('InvalidClientTokenId', 'The security token included in the request is expired.');
    }
    const credential = credentials.get(capability);
    if (credential !== undefined) return credential;
    if (hashes.size >= KEPT_HASHES) hashes.clear();
    hashes.set(token, hash);
    return kept(capability, credentialOf(capability, token, places));
  };

  /** By a password or a token in the Authorization header; `undefined`: neither is there. */
  const bySecret = ({ authorization, address }: AuthenticationHead): Credential | undefined => {
    const secret = authorizationSecret(authorization);
    if (secret === undefined) return undefined;
    const password = book.current.adminPassword;
    if (password !== undefined && equalInConstantTime(secret, password)) {
      attempts.proven(address);
      return withGrant({ kind: 'admin', senderId: 'admin' }, FULL_GRANT, places);
    }
    // Without its token: an answer need not repeat what came in a header.
    const { token: _, ...credential } = byToken(secret);
    return credential;
  };

  /** Refusals of wrong signatures, with what was guessed. */
  const guesses = new WeakMap<object, { readonly address: string; readonly accessKeyId: string }>();

  const bySignature = (head: AuthenticationHead, body: Uint8Array, bodyHash: string | undefined): Credential => {
    const claim = readClaim(head);
    if (claim === undefined) throw new SqsError('AccessDenied', `Access to the resource ${head.resource} is denied.`);
    if (queryPairs(head.query).length > MOST_SIGNED_PARAMETERS) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        `The signed query string has more than ${MOST_SIGNED_PARAMETERS} parameters.`,
      );
    }
    // Sorted for the signature, read in order by the decoder: two values of one name could be swapped.
    if (repeatsName(head.query)) {
      throw new SqsError(
        'SignatureDoesNotMatch',
        'A parameter of the signed query string is repeated, so the signature does not say which value holds.',
      );
    }
    const key = book.current.keys.get(claim.accessKeyId);
    if (key === undefined) throw unknown();
    const { method, query, rawHeaders, views, address } = head;
    if (!verifier.fits(claim, key.secret, { method, query, rawHeaders, views, body, bodyHash })) {
      const refusal = signatureDoesNotMatch();
      guesses.set(refusal, { address, accessKeyId: key.id });
      throw refusal;
    }
    attempts.signed(address, key.id);
    return credentials.get(key) ?? kept(key, withGrant({ kind: 'access-key', senderId: key.id }, key.grant, places));
  };

  /** `undefined`: not by the head alone; why not, is told once the body was looked at. */
  const bySignatureOfHead = (head: AuthenticationHead, bodyHash: string): Credential | undefined => {
    try {
      return bySignature(head, NO_BODY, bodyHash);
    } catch (error) {
      if (error instanceof SqsError) return undefined;
      throw error;
    }
  };

  const prove = (request: AuthenticationRequest): Credential =>
    (request.token === undefined ? bySecret(request) : byToken(request.token)) ??
    bySignature(request, request.body, request.bodyHash);

  /** What to refuse a request with: the error, counted if it may have been a guess. */
  const counted = (error: unknown, address: string): unknown => {
    if (!(error instanceof SqsError) || !GUESSES.has(error.code)) return error;
    const exhausted = attempts.exhausted(address);
    attempts.failed(address);
    if (!exhausted) return error;
    const refusal = new SqsError(
      'RequestThrottled',
      'Too many failed attempts from this address. Try again in a minute.',
    );
    const guess = guesses.get(error);
    if (guess !== undefined) guesses.set(refusal, guess);
    return refusal;
  };

  return {
    get open() {
      return mayBeOpen && isOpen();
    },
    fromHead: (head) => {
      if (mayBeOpen && isOpen()) return { sender: 'expected' };
      try {
        const proven = head.token === undefined ? bySecret(head) : byToken(head.token);
        if (proven !== undefined) {
          used(proven);
          return { credential: proven, sender: 'proven' };
        }
      } catch (error) {
        throw counted(error, head.address);
      }
      const id = CLAIMED_KEY.exec(head.authorization ?? head.query)?.[1];
      if (id === undefined || !book.current.keys.has(id)) return { sender: 'stranger' };
      const bodyHash = claimedBodyHash(head.rawHeaders);
      if (bodyHash === undefined) return { sender: attempts.hasSigned(head.address, id) ? 'expected' : 'claimed' };
      const credential = bySignatureOfHead(head, bodyHash);
      if (credential === undefined) return { sender: 'stranger' };
      used(credential);
      return { credential, sender: { bodyHash } };
    },
    pause: (refusal, gone) => {
      const guess = typeof refusal === 'object' && refusal !== null ? guesses.get(refusal) : undefined;
      return guess && attempts.wrongSignature(guess.address, guess.accessKeyId, gone);
    },
    authenticate: (request) => {
      if (mayBeOpen && isOpen()) return anyone(request, places);
      try {
        const credential = prove(request);
        used(credential);
        return credential;
      } catch (error) {
        throw counted(error, request.address);
      }
    },
  };
}

const NO_BODY: Uint8Array = new Uint8Array(0);

/**
 * The access key that a signature names, in a header or the query of a presigned URL: a look, not yet a reading of the
 * claim.
 */
const CLAIMED_KEY = /Credential=([^/%,&\s]{1,128})(?:\/|%2F)/i;

/** Sorting and encoding more takes time; the largest valid query string has some five hundred. */
const MOST_SIGNED_PARAMETERS = 1_024;

/** Refusals that may be an attempt at guessing. */
const GUESSES: ReadonlySet<SqsErrorCode> = new Set<SqsErrorCode>(['InvalidClientTokenId', 'SignatureDoesNotMatch']);

/** Tokens whose hash is kept. */
const KEPT_HASHES = 1_000;

/** Whether a parameter stands in the query twice. */
function repeatsName(query: string): boolean {
  if (query === '') return false;
  const pairs = queryPairs(query);
  return new Set(pairs.map(([name]) => name)).size < pairs.length;
}

function withGrant(
  credential: Omit<Credential, 'allows' | 'home'>,
  grant: Grant,
  places: Pick<Places, 'isHome'>,
): Credential {
  const { scopes, queues } = grant;
  // A server with one scope has no queue that is not at home there.
  const everyQueue = queues.includes(EVERY_GLOB) || (queues.includes('*') && places.isHome(EVERY_QUEUE));
  const home = homeOf(grant);
  return {
    ...credential,
    ...(home === undefined ? {} : { home }),
    allows: (scope, queue) => (everyQueue ? scopes.includes(scope) : grants(grant, scope, queue, places)),
  };
}

function credentialOf(capability: Capability, token: string, places: Pick<Places, 'isHome'>): Credential {
  return withGrant({ kind: 'capability', senderId: `token:${capability.id}`, token }, capability.grant, places);
}

/** The caller of an open server: named after the access key it claims, if it claims one. */
function anyone(request: AuthenticationRequest, places: Pick<Places, 'isHome'>): Credential {
  const claimed = /Credential=([\w-]{1,128})\//.exec(request.authorization ?? '')?.[1];
  return withGrant(
    {
      kind: 'anyone',
      senderId: claimed ?? 'anonymous',
      ...(request.token === undefined ? {} : { token: request.token }),
    },
    FULL_GRANT,
    places,
  );
}
