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
  /**
   * The longest that AWS lets such an Invoke last, seconds; the call is given up that long, plus a margin, after it began. Never the timeout of the function as last read: a
   * deployment may have raised it since.
   */
  readonly longestSeconds: number;
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
  /** A 5xx, 409 or 408 of Lambda itself: the function did not run; may be tried again inside the lease. */
  | { readonly kind: 'unavailable'; readonly message: string }
  /**
   * The event surely reached no function, for a reason that holds for every event of the mapping: no connection, a request that was not sent, credentials that were
   * refused, a function that is not there. To be tried again when the way is open, see `Invoker.probe`.
   */
  | { readonly kind: 'unreached'; readonly why: 'no-way' | 'not-found'; readonly message: string }
  /** Lambda refused this very event (recursion, content, size): another one may pass. */
  | { readonly kind: 'rejected'; readonly status: number; readonly message: string }
  /** The connection broke, or the answer did not come in time, after the request may have been sent: the function may have run. Never invoke again in this lease. */
  | { readonly kind: 'connection-lost'; readonly message: string };

/** Whether a function can be invoked now, found out without running it. */
export type ProbeOutcome =
  | { readonly kind: 'reached' }
  | { readonly kind: 'unreached'; readonly why: 'no-way' | 'not-found'; readonly message: string };

export interface Invoker {
  invoke(request: InvokeRequest): Promise<InvokeOutcome>;
  /** Asks Lambda whether the function could be invoked (`DryRun`); no function sees it. Never rejects. */
  probe(functionArn: string): Promise<ProbeOutcome>;
  close(): void;
}
