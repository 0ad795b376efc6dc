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
    return new StoreFullError('Redis has reached its memory limit and takes no more messages', { cause: error });
  }
  return new StoreUnavailableError(`Redis cannot serve this call: ${message}`, { cause: error });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** With the text of a script before it, where the server adds that. */
export function isOutOfMemory(message: string): boolean {
  return /^(-?OOM |ERR .*-OOM )/.test(message);
}
