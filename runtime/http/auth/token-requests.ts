/**
 * Requests for new tokens and how tokens are shown: the same over HTTP and on the command line.
 *
 * @module
 */
import type { Scope } from '../../sqs/request.ts';
import { type Capability, hasExpired } from './capability.ts';
import { parseQueueGlobs, parseScopes, parseShare } from './grant.ts';
import type { TokenStore } from './token-store.ts';

/** A token as lists show it, never with its secret. */
export interface ShownToken {
  readonly id: string;
  readonly scopes: readonly Scope[];
  readonly queues: readonly string[];
  readonly sendsPerSecond?: number;
  /** ISO 8601. */
  readonly createdAt: string;
  /** ISO 8601; absent: never. */
  readonly expiresAt?: string;
  readonly expired: boolean;
  readonly name?: string;
}

/** The answer to the request that made it: the only place where the token itself appears. */
export interface CreatedToken extends ShownToken {
  readonly token: string;
  /** What callers use as the address of SQS. */
  readonly endpoint: string;
}

export interface TokenRequest {
  readonly scopes: readonly Scope[];
  readonly queues: readonly string[];
  readonly sendsPerSecond?: number;
  readonly expiresInSeconds?: number;
  readonly name?: string;
}

/** Ten years: beyond that "never" is meant. */
const LONGEST_LIFE_SECONDS = 315_360_000;
const LONGEST_NAME = 200;

/** Reads `{ scopes: "send+consume", queues: "app-*|jobs", expiresInSeconds, name }`. What is wrong comes back as a sentence. */
export function readTokenRequest(value: unknown): TokenRequest | { readonly problem: string } {
  const body: Readonly<Record<string, unknown>> = typeof value === 'object' && value !== null ? { ...value } : {};
  const scopes = parseScopes(text(body['scopes']) ?? '');
  const queues = parseQueueGlobs(text(body['queues']) ?? '*');
  const seconds = body['expiresInSeconds'];
  const name = text(body['name']);
  const share = body['sendsPerSecond'] === undefined ? {} : parseShare(`sends=${String(body['sendsPerSecond'])}`);
  const lifeIsValid =
    seconds === undefined ||
    (Number.isInteger(seconds) && Number(seconds) >= 60 && Number(seconds) <= LONGEST_LIFE_SECONDS);
  const problems = [
    ...('problem' in scopes ? [scopes.problem] : []),
    ...('problem' in queues ? [queues.problem] : []),
    ...('problem' in share ? [share.problem] : []),
    ...(lifeIsValid ? [] : [`a token may live from 60 to ${LONGEST_LIFE_SECONDS} seconds, or for ever`]),
    ...((name?.length ?? 0) > LONGEST_NAME ? [`a name may have ${LONGEST_NAME} characters`] : []),
  ];
  if ('problem' in scopes || 'problem' in queues || 'problem' in share || problems.length > 0)
    return { problem: problems.join('; ') };
  return {
    scopes,
    queues,
    ...share,
    ...(seconds === undefined ? {} : { expiresInSeconds: Number(seconds) }),
    ...(name === undefined ? {} : { name }),
  };
}

/** Makes the token. `server`: origin and base path of the server; `now`: wall clock, milliseconds since the epoch. Errors: `StoreUnavailableError`. */
export async function createRequested(
  tokens: TokenStore,
  request: TokenRequest,
  server: string,
  now: number,
): Promise<CreatedToken> {
  const { scopes, queues, sendsPerSecond, expiresInSeconds, name } = request;
  const { token, capability } = await tokens.create({
    scopes,
    queues,
    ...(sendsPerSecond === undefined ? {} : { sendsPerSecond }),
    ...(expiresInSeconds === undefined ? {} : { expiresAt: now + expiresInSeconds * 1000 }),
    ...(name === undefined ? {} : { name }),
  });
  return { ...showToken(capability, now), token, endpoint: `${server}/k/${token}` };
}

/** `now`: wall clock, milliseconds since the epoch. */
export function showToken(capability: Capability, now: number): ShownToken {
  const { id, grant, createdAt, expiresAt, name } = capability;
  return {
    id,
    scopes: grant.scopes,
    queues: grant.queues,
    ...(grant.sendsPerSecond === undefined ? {} : { sendsPerSecond: grant.sendsPerSecond }),
    createdAt: new Date(createdAt).toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: new Date(expiresAt).toISOString() }),
    expired: hasExpired(capability, now),
    ...(name === undefined ? {} : { name }),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
