import { StoreFullError, StoreUnavailableError } from '../store.ts';

/** This server must not be used, or cannot: what is wrong with it and how to mend that. */
export class UnsuitableRedisError extends Error {
  override readonly name = 'UnsuitableRedisError';
}

/** The one place where what Redis and its driver say becomes an error of the store. */
export function storeError(error: unknown): Error {
  if (error instanceof StoreFullError || error instanceof StoreUnavailableError || error instanceof RangeError) {
    return error;
  }
  const message = messageOf(error);
  if (isOutOfMemory(message)) {
    return new StoreFullError('Redis has reached its memory limit and takes no more messages', { cause: bare(error) });
  }
  return new StoreUnavailableError(`Redis cannot serve this call: ${message}`, { cause: bare(error) });
}

/** The error without what the driver attaches: the arguments of the command, which are message bodies or a password and must not reach a log. */
export function bare(error: unknown): Error {
  const copy = new Error(messageOf(error));
  if (error instanceof Error) {
    copy.name = error.name;
    if (error.stack !== undefined) copy.stack = error.stack;
  }
  return copy;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Whether the server is a replica, and so takes no writes: after a fail-over its address may soon lead to the new master. */
export function isReadOnly(message: string): boolean {
  return /^(READONLY |ERR .*-READONLY )/.test(message);
}

/** Whether the server refuses for a state that passes without its being another server: it loads, was demoted, lacks replicas, cannot save. */
export function isPassing(message: string): boolean {
  return /^(LOADING|CLUSTERDOWN|MASTERDOWN|BUSY|TRYAGAIN|NOREPLICAS|MISCONF) /.test(message) || isReadOnly(message);
}

/** Whether the plan of a hosted server is used up, in the words of their providers; the server refuses every call until that changes. */
export function isQuota(message: string): boolean {
  return /\b(requests?|commands?|bandwidth|transfer) limit exceeded|max[a-z ]{0,40}bandwidth exceeded|quota (is )?exceeded|exceeded [a-z ]{0,40}quota/i.test(
    message.slice(0, 500),
  );
}

/** Whether the server itself answered so, rather than the driver. */
export function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError';
}

/** What the server said, in one short line for people; what a used up plan is called by it may be anything. */
export function refusalOf(message: string): string {
  const line = message.replace(/\s+/g, ' ').slice(0, 200);
  return isQuota(message) ? `the plan of the Redis provider is used up (${line})` : line;
}

/** With the text of a script before it, where the server adds that. */
export function isOutOfMemory(message: string): boolean {
  return /^(-?OOM |ERR .*-OOM )/.test(message);
}
