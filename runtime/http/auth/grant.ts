/**
 * What a credential may do: scopes, and the queues they hold for.
 *
 * @module
 */
import { matchesGlob } from '../../glob.ts';
import type { Scope } from '../../sqs/request.ts';

export const SCOPES: readonly Scope[] = ['send', 'consume', 'manage'];

export interface Grant {
  readonly scopes: readonly Scope[];
  /** Queue-name globs: `*` stands for any characters, `?` for one. At least one; `*` alone: every queue. */
  readonly queues: readonly string[];
  /** Messages that may be sent in a second, through each server; absent: as many as it can take. */
  readonly sendsPerSecond?: number;
}

/** Everything, on every queue. */
export const FULL_GRANT: Grant = { scopes: SCOPES, queues: ['*'] };

/** Queue names have these characters (SQS: "alphanumeric characters, hyphens, or underscores", and `.fifo`); a glob adds its two. */
const GLOB = /^[A-Za-z0-9_.*?-]{1,80}$/;

/** `send+consume`, in any order; `all` for all three. Errors: a sentence instead of scopes. */
export function parseScopes(text: string): readonly Scope[] | { readonly problem: string } {
  const names = text.split('+').filter((name) => name !== '');
  if (names.length === 1 && names[0] === 'all') return SCOPES;
  const scopes = SCOPES.filter((scope) => names.includes(scope));
  const unknown = names.find((name) => !SCOPES.some((scope) => scope === name));
  if (unknown !== undefined)
    return { problem: `"${unknown}" is not a scope: use send, consume, manage or all, joined by +` };
  if (scopes.length === 0) return { problem: 'no scope is given: use send, consume, manage or all, joined by +' };
  return scopes;
}

/** `app-*|jobs`. Errors: a sentence instead of globs. */
export function parseQueueGlobs(text: string): readonly string[] | { readonly problem: string } {
  const globs = text.split('|').filter((glob) => glob !== '');
  const bad = globs.find((glob) => !GLOB.test(glob));
  if (bad !== undefined) {
    return {
      problem: `"${bad}" is not a pattern of queue names: use letters, digits, - and _, with * and ? as wildcards`,
    };
  }
  if (globs.length === 0) return { problem: 'no queue is given: use * for all of them' };
  return globs;
}

const MOST_SENDS = 1_000_000;

/** `sends=50`: messages a second. Errors: a sentence instead. */
export function parseShare(text: string): Pick<Grant, 'sendsPerSecond'> | { readonly problem: string } {
  const sends = Number(/^sends=(\d{1,7})$/.exec(text)?.[1]);
  if (sends >= 1 && sends <= MOST_SENDS) return { sendsPerSecond: sends };
  return { problem: `the share of a credential must be written as sends=<messages a second>, 1 to ${MOST_SENDS}` };
}

/** Whether the grant holds for the queue; without a name: for at least one conceivable queue, which every glob names. */
export function grants(grant: Grant, scope: Scope, queueName?: string): boolean {
  if (!grant.scopes.includes(scope)) return false;
  return queueName === undefined || grant.queues.some((glob) => matchesGlob(glob, queueName));
}
