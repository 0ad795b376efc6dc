/**
 * What became of one Invoke, told from what a function answered that failed and from what the AWS SDK threw. The
 * question behind every line of the second: may the function have run?
 *
 * @module
 */
import * as z from 'zod/mini';

export type InvokeOutcome =
  /** 200 without `X-Amz-Function-Error`. */
  | {
      readonly kind: 'success';
      readonly response: Uint8Array;
      readonly executedVersion?: string;
      readonly requestId?: string;
      /** The end of the log of the run, if it was asked for. What a function writes there is for people alone. */
      readonly logTail?: string;
    }
  /** 200 with `X-Amz-Function-Error`: exception, exit, out of memory, timeout of the function, response too large. */
  | {
      readonly kind: 'function-error';
      readonly errorType: string;
      readonly message: string;
      /** First lines of what the runtime answered of its stack. */
      readonly trace?: string;
      readonly requestId?: string;
      /** As of a success. */
      readonly logTail?: string;
    }
  /** 429. The message was not shown to the function; may be tried again inside the lease. */
  | { readonly kind: 'throttled'; readonly retryAfterMs?: number; readonly message: string }
  /** A 5xx, 409 or 408 of Lambda itself: the function did not run; may be tried again inside the lease. */
  | { readonly kind: 'unavailable'; readonly message: string }
  /**
   * The event surely reached no function, for a reason that holds for every event of the mapping: no connection, a
   * request that was not sent, credentials that were refused, a function that is not there. To be tried again when the
   * way is open, see `Invoker.probe`.
   */
  | { readonly kind: 'unreached'; readonly why: 'no-way' | 'not-found'; readonly message: string }
  /** Lambda refused this very event (recursion, content, size): another one may pass. */
  | { readonly kind: 'rejected'; readonly status: number; readonly message: string }
  /**
   * The connection broke, or the answer did not come in time, after the request may have been sent: the function may
   * have run. Never invoke again in this lease.
   */
  | { readonly kind: 'connection-lost'; readonly message: string };

/** The response is longer than was allowed; it was not read to its end. */
export class ResponseTooLargeError extends Error {
  override readonly name = 'ResponseTooLargeError';
}

/** Characters of a function's error message that are kept. */
const MAX_MESSAGE_LENGTH = 1_000;
/** Lines of a function's trace that are kept. */
const MAX_TRACE_LINES = 12;

export function functionError(payload: Uint8Array): Extract<InvokeOutcome, { kind: 'function-error' }> {
  const { errorType, errorMessage, trace, stackTrace } = FunctionErrorPayload.parse(parsed(payload));
  const lines = (trace ?? stackTrace ?? []).slice(0, MAX_TRACE_LINES).map(traceLine);
  return {
    kind: 'function-error',
    errorType,
    message: errorMessage.slice(0, MAX_MESSAGE_LENGTH),
    ...(lines.length === 0 ? {} : { trace: lines.join('\n').slice(0, MAX_MESSAGE_LENGTH) }),
  };
}

/** Python ends its lines itself; .NET and Java write texts; anything else is shown as JSON. */
function traceLine(line: unknown): string {
  return (typeof line === 'string' ? line : JSON.stringify(line)).trimEnd();
}

/** What runtimes answer when a handler fails; members of other types, or none at all, are possible. */
const FunctionErrorPayload = z.catch(
  z.object({
    errorType: z.catch(z.string(), 'Error'),
    errorMessage: z.catch(z.string(), 'the function failed without a message'),
    /** Of the Node.js runtime. */
    trace: z.catch(z.optional(z.array(z.unknown())), undefined),
    /** Of the Python, Java and Ruby runtimes. */
    stackTrace: z.catch(z.optional(z.array(z.unknown())), undefined),
  }),
  { errorType: 'Error', errorMessage: 'the function failed without a message' },
);

function parsed(payload: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(payload).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** What is read of the SDK's errors, which carry more than their types say. */
const SdkError = z.object({
  name: z.catch(z.string(), ''),
  message: z.catch(z.string(), ''),
  code: z.catch(z.optional(z.string()), undefined),
  syscall: z.catch(z.optional(z.string()), undefined),
  $metadata: z.catch(z.optional(z.object({ httpStatusCode: z.optional(z.number()) })), undefined),
  $response: z.catch(z.optional(z.object({ headers: z.record(z.string(), z.string()) })), undefined),
});
type SdkError = z.infer<typeof SdkError>;

/** Errors of name look-up and connecting, and of the TLS handshake's certificate check. */
const CONNECTING = new Set(['connect', 'getaddrinfo']);
const NEVER_CONNECTED =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|EMFILE|EPROTO|ERR_SSL_.*|ERR_TLS_.*|UNABLE_TO_.*|.*CERT.*)$/;
/** What Node says of a connection that was closed before its TLS handshake was over; its code is that of any reset. */
const BEFORE_TLS = 'before secure TLS connection was established';
/** Errors of Lambda, beside those by status, that are about this one event. Source: Lambda API, `Invoke`, Errors. */
const ABOUT_THE_EVENT = new Set([
  'InvalidRequestContentException',
  'RecursiveInvocationException',
  'RequestTooLargeException',
  'SerializationException',
  'UnsupportedMediaTypeException',
]);

/** `handedOver`: the request may have left the process. */
export function classifyError(thrown: unknown, handedOver: boolean): InvokeOutcome {
  if (thrown instanceof ResponseTooLargeError) {
    return { kind: 'function-error', errorType: 'Function.ResponseSizeTooLarge', message: thrown.message };
  }
  const error = SdkError.parse(thrown instanceof Error ? thrown : new Error(String(thrown)));
  const message = describe(error);
  if (!handedOver) return unreached(`the request was not sent: ${message}`);
  const status = error.$metadata?.httpStatusCode;
  if (status !== undefined && status >= 300) return classifyStatus(status, error, message);
  if (neverConnected(error)) return unreached(`no connection to Lambda: ${message}`);
  return { kind: 'connection-lost', message: `the answer was lost: ${message}` };
}

function classifyStatus(status: number, error: SdkError, message: string): InvokeOutcome {
  const headers = error.$response?.headers ?? {};
  if (status === 429) {
    const retryAfterMs = retryAfter(headers);
    return { kind: 'throttled', ...(retryAfterMs !== undefined && { retryAfterMs }), message };
  }
  // Lambda names its errors. A gateway error without a name comes from a proxy in between, which may have passed the
  // request on.
  const named = headers['x-amzn-errortype'] !== undefined;
  if ((status === 502 || status === 504) && !named) {
    return { kind: 'connection-lost', message: `${status} from a gateway in front of Lambda: ${message}` };
  }
  if (status >= 500 || status === 409 || status === 408) return { kind: 'unavailable', message };
  if (status === 413 || status === 415 || ABOUT_THE_EVENT.has(error.name)) return { kind: 'rejected', status, message };
  if (status === 404) return { kind: 'unreached', why: 'not-found', message: `${status}: ${message}` };
  return unreached(`${status}: ${message}`);
}

function unreached(message: string): InvokeOutcome {
  return { kind: 'unreached', why: 'no-way', message };
}

function neverConnected(error: SdkError): boolean {
  if (error.syscall !== undefined && CONNECTING.has(error.syscall)) return true;
  if (error.message.includes(BEFORE_TLS)) return true;
  if (error.code !== undefined) return NEVER_CONNECTED.test(error.code);
  // The SDK's limit on connecting is its only time limit in use here, and the only TimeoutError without a code.
  return error.name === 'TimeoutError';
}

/** `Retry-After` in whole seconds, as Lambda sends it; milliseconds. */
function retryAfter(headers: Readonly<Record<string, string>>): number | undefined {
  const text = headers['retry-after'];
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined;
}

function describe(error: SdkError): string {
  const name = error.code ?? error.name;
  const text = error.message.slice(0, 500);
  if (text === '') return name;
  return name === '' || text.includes(name) ? text : `${name}: ${text}`;
}
