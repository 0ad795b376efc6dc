/**
 * The seam between the consumer and AWS Lambda: one synchronous Invoke, no retries, and an outcome for each row of the decision table.
 *
 * @module
 */

export interface InvokeRequest {
  /** Passed to Lambda unchanged, qualifier included. */
  readonly functionArn: string;
  /** The event, UTF-8 JSON, at most 6,291,456 bytes. */
  readonly payload: Uint8Array;
  /** The function's own timeout, seconds; the call is given up that long, plus a margin, after it began. */
  readonly timeoutSeconds: number;
  /** `X-Amzn-Trace-Id` of the sender, carried on. */
  readonly traceHeader?: string;
  /** Ends the call: outcome `connection-lost`. */
  readonly signal?: AbortSignal;
}

export type InvokeOutcome =
  /** 200 without `X-Amz-Function-Error`. */
  | { readonly kind: 'success'; readonly response: Uint8Array; readonly executedVersion?: string }
  /** 200 with `X-Amz-Function-Error`: exception, exit, out of memory, timeout of the function, response too large. */
  | { readonly kind: 'function-error'; readonly errorType: string; readonly message: string }
  /** 429. The message was not shown to the function; may be tried again inside the lease. */
  | { readonly kind: 'throttled'; readonly retryAfterMs?: number; readonly message: string }
  /** 5xx, 409, 408 or a connection that was refused before the request was sent: the function did not run; may be tried again inside the lease. */
  | { readonly kind: 'unavailable'; readonly message: string }
  /** 400, 403, 404, 413, 415: trying again changes nothing. */
  | { readonly kind: 'rejected'; readonly status: number; readonly message: string }
  /** The connection broke, or the answer did not come in time, after the request may have been sent: the function may have run. Never invoke again in this lease. */
  | { readonly kind: 'connection-lost'; readonly message: string };

export interface Invoker {
  invoke(request: InvokeRequest): Promise<InvokeOutcome>;
  close(): void;
}
