/**
 * Capability tokens: whoever holds the URL may do what the token says.
 *
 * A Lambda function signs with the temporary keys of its role, which nobody but AWS can verify; a token in the path of
 * the endpoint needs neither a key nor a change of code. A token has 256 random bits, so its plain SHA-256 hash is as
 * good a thing to store as any slow hash, and finding it by its hash tells nothing through time: an attacker cannot
 * choose the hash of a guess.
 *
 * @module
 */
import { hash, randomBytes } from 'node:crypto';
import { type Grant, readGrant, splitEntries } from './credentials.ts';

export interface Capability {
  /** The first 12 hex digits of the hash: names the token in lists and as SenderId, and does not help to find it. */
  readonly id: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly grant: Grant;
  /** Milliseconds since the epoch; 0: unknown (from the environment). */
  readonly createdAt: number;
  /** Milliseconds since the epoch; absent: never. */
  readonly expiresAt?: number;
  /** Whose token it is, in the operator's words. */
  readonly name?: string;
}

/** What tokens look like: the prefix lets secret scanners find one that leaked. */
const TOKEN = /^[A-Za-z0-9_-]{22,128}$/;
const PREFIX = 'karin_';
/** What a token from the environment may do if it does not say. */
const DEFAULT_GRANT: Grant = { scopes: ['send'], queues: ['*'] };

/** A new token: `karin_` and 43 characters. Shown once, never stored. */
export function newToken(): string {
  return `${PREFIX}${randomBytes(32).toString('base64url')}`;
}

export function hashToken(token: string): string {
  return hash('sha256', token, 'hex');
}

export function capabilityId(hash: string): string {
  return hash.slice(0, 12);
}

/** Whether the capability no longer holds at `now`, milliseconds since the epoch. */
export function hasExpired(capability: Capability, now: number): boolean {
  return capability.expiresAt !== undefined && now >= capability.expiresAt;
}

/** Reads `token[:scopes[:queue globs[:share]...]]` entries. What is wrong is added to `problems`, without the token. */
export function parseTokens(text: string, source: string, problems: string[]): readonly Capability[] {
  return splitEntries(text, source).flatMap(({ fields, where }) => {
    const [token = '', scopes, globs, ...shares] = fields;
    const before = problems.length;
    if (!TOKEN.test(token)) {
      problems.push(
        `${where}: a token must be 22 to 128 letters, digits, - or _, for example from: openssl rand -hex 24`,
      );
    }
    const grant = readGrant(scopes, globs, shares, DEFAULT_GRANT, where, problems);
    const hash = hashToken(token);
    return problems.length > before ? [] : [{ id: capabilityId(hash), hash, grant, createdAt: 0 }];
  });
}

/** No part of it can match in two ways: strangers send this text, and its length must be all that it costs. */
const IN_PATH = /\/k\/([A-Za-z0-9_-]+)(?=\/|$)/;

/**
 * Splits `/k/<token>` off a path: what stands before it, the token, and what follows (`/` at least). `undefined`: there
 * is none.
 */
export function splitCapability(
  path: string,
): { readonly before: string; readonly token: string; readonly rest: string } | undefined {
  const found = IN_PATH.exec(path);
  const [whole = '', token] = found ?? [];
  if (found === null || token === undefined) return undefined;
  return { before: path.slice(0, found.index), token, rest: path.slice(found.index + whole.length) || '/' };
}
