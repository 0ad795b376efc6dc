/**
 * One event on its way to a function and back, and the failures that Lambda itself reports.
 *
 * @module
 */

export interface Invocation {
  readonly requestId: string;
  /** As invoked, with its qualifier. */
  readonly functionArn: string;
  /** UTF-8 JSON. */
  readonly payload: Uint8Array;
  /** `X-Amzn-Trace-Id`. */
  readonly traceId?: string;
  /** `X-Amz-Client-Context`, decoded from base64. */
  readonly clientContext?: string;
}

export type InvocationResult =
  | { readonly kind: 'response'; readonly payload: Uint8Array }
  /** `X-Amz-Function-Error: Unhandled`; the payload is the JSON of the error. `notice`: what to print, where the function itself could not. */
  | { readonly kind: 'function-error'; readonly payload: Uint8Array; readonly notice?: string };

/** Lambda's limit of a synchronous request, bytes. */
export const LARGEST_PAYLOAD = 6_291_456;
/** Lambda's limit of a synchronous response, bytes. */
export const LARGEST_RESPONSE = LARGEST_PAYLOAD + 100;

/** A failure that Lambda reports, not the function. */
export function sandboxError(errorType: string, errorMessage: string): InvocationResult {
  return {
    kind: 'function-error',
    payload: Buffer.from(JSON.stringify({ errorType, errorMessage })),
    notice: errorMessage,
  };
}

/** `Task timed out after N.NN seconds`, in the words of Lambda. */
export function timedOut(requestId: string, timeoutSeconds: number): InvocationResult {
  const seconds = timeoutSeconds.toFixed(2);
  return sandboxError('Sandbox.Timedout', `RequestId: ${requestId} Error: Task timed out after ${seconds} seconds`);
}

/** How a process ended. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The process ended instead of answering. */
export function exited(requestId: string, { code, signal }: ProcessEnd): InvocationResult {
  const how =
    signal !== null
      ? `Runtime exited with error: signal: ${SIGNALS.get(signal) ?? signal.toLowerCase()}`
      : code === 0
        ? 'Runtime exited without providing a reason'
        : `Runtime exited with error: exit status ${code}`;
  return sandboxError('Runtime.ExitError', `RequestId: ${requestId} Error: ${how}`);
}

/** The names that Go, in which Lambda's supervisor is written, gives to signals. */
const SIGNALS: ReadonlyMap<string, string> = new Map([
  ['SIGKILL', 'killed'],
  ['SIGTERM', 'terminated'],
  ['SIGABRT', 'aborted'],
  ['SIGSEGV', 'segmentation fault'],
  ['SIGINT', 'interrupt'],
]);

/** The response is larger than Lambda lets through. */
export function responseTooLarge(bytes: number): InvocationResult {
  return sandboxError(
    'Function.ResponseSizeTooLarge',
    `Response payload size (${bytes} bytes) exceeded maximum allowed payload size (${LARGEST_RESPONSE} bytes).`,
  );
}
